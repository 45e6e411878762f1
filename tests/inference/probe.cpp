// Stages of inference by themselves, for tests that compare them with other programs:
//   inference_probe decode FILE…                    a line per file: "ok W H SHA256-of-the-pixels" or "CODE: message"
//   inference_probe pixels FILE OUT                 the pixels, 3 bytes each
//   inference_probe input PROFILE SIZE OUT FILE…    the network's inputs, float32; a line per file: "ok W H" or "CODE:
//   …" inference_probe run ENGINE MODEL W H IN OUT     the network's output, float32, for each W x H input in IN
//   inference_probe classify ENGINE MODEL PROFILE FILE…   a line per file: "MS INDEX SCORE" or "MS CODE: message"
//   inference_probe load ENGINE MODEL…              a line per model: "ok OUTPUTS" or "CODE: message"
//   inference_probe repeat ENGINE MODEL PROFILE TIMES FILE…   so many images; prints the resident KiB early and late
// ENGINE is a name of named_engine.hpp.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "inference/classifier.hpp"
#include "inference/decode/decode.hpp"
#include "inference/input_tensor.hpp"
#include "lib/base/digest.hpp"
#include "lib/base/file.hpp"
#include "tests/inference/named_engine.hpp"

namespace imgrec {
namespace {

using Arguments = std::span<char*>;

[[noreturn]] void give_up(const Error& error) {
  std::fprintf(stderr, "%s\n", describe(error).c_str());
  std::exit(1);
}

template <class T>
T need(Result<T> result) {
  if (!result) give_up(result.error());
  return *std::move(result);
}

std::string bytes_of(const char* file) {
  return need(read_file(file, 1024 * kMiB));
}

void write(const char* file, const void* data, std::size_t count) {
  need(write_file_atomic(file, {static_cast<const char*>(data), count}, WriteMode::replace));
}

// One line, whatever the message holds.
void print_error(const Error& error) {
  std::string text = describe(error);
  for (char& c : text) c = c == '\n' ? ' ' : c;
  std::printf("%s\n", text.c_str());
}

int decode_files(Arguments files) {
  ImageDecoder decoder{ImageConfig{}};
  for (const char* file : files) {
    const std::string bytes = bytes_of(file);
    const auto image = decoder.decode(bytes);
    if (!image) {
      print_error(image.error());
    } else {
      const auto& rgb = (*image)->rgb;
      const std::string digest = sha256_hex({reinterpret_cast<const char*>(rgb.data()), rgb.size()});
      std::printf("ok %d %d %s\n", (*image)->width, (*image)->height, digest.c_str());
    }
  }
  return 0;
}

int write_pixels(const char* file, const char* out) {
  ImageDecoder decoder{ImageConfig{}};
  const Image* image = need(decoder.decode(bytes_of(file)));
  write(out, image->rgb.data(), image->rgb.size());
  return 0;
}

// PROFILE SIZE OUT FILE…: as engines get them, rows straight from the decoder.
int write_inputs(Arguments arguments) {
  ModelManifest manifest;
  manifest.profile = need(parse_preprocess_profile(arguments[0]));
  manifest.input_size = std::atoi(arguments[1]);
  InputTensors tensors(manifest, ImageConfig{});
  std::string all;
  for (const char* file : arguments.subspan(3)) {
    const std::string bytes = bytes_of(file);
    const auto input = tensors.of(bytes);
    if (!input) {
      print_error(input.error());
      continue;
    }
    std::printf("ok %d %d\n", tensors.size().width, tensors.size().height);
    all.append(reinterpret_cast<const char*>(input->data()), input->size_bytes());
  }
  write(arguments[2], all.data(), all.size());
  return 0;
}

constexpr InputSize kUsualSize{224, 224};

int run_network(Arguments arguments) {
  const InputSize size{std::atoi(arguments[2]), std::atoi(arguments[3])};
  // As those of the profile as-is, whose images keep their size: networks then run at other sizes than they declare,
  // too.
  const bool any_size = size.width != kUsualSize.width || size.height != kUsualSize.height;
  const auto engine = need(test::named_engine(arguments[0], arguments[1], size, any_size));
  const std::string input = bytes_of(arguments[4]);
  const std::size_t input_bytes = size.floats() * sizeof(float);
  std::vector<float> all;
  for (std::size_t at = 0; at + input_bytes <= input.size(); at += input_bytes) {
    std::memcpy(engine->input(size).data(), input.data() + at, input_bytes);
    const auto output = need(engine->run());
    all.insert(all.end(), output.begin(), output.end());
  }
  write(arguments[5], all.data(), all.size() * sizeof(float));
  return 0;
}

// ENGINE MODEL PROFILE
std::unique_ptr<Classifier> classifier_of(Arguments arguments) {
  ModelManifest manifest;
  manifest.profile = need(parse_preprocess_profile(arguments[2]));
  const ClassifierParts parts{
      .manifest = manifest,
      .classes = std::make_shared<const std::vector<ClassName>>(imagenet_class_names(ImagenetNames::names)),
      .limits = {}};
  const bool any_size = manifest.profile == PreprocessProfile::as_is;
  return make_classifier(parts, need(test::named_engine(arguments[0], arguments[1], kUsualSize, any_size)));
}

int classify_files(Arguments arguments) {
  const auto classifier = classifier_of(arguments);
  for (const char* file : arguments.subspan(3)) {
    const std::string bytes = bytes_of(file);
    // The processor's time, so that a busy machine fails no test.
    const std::clock_t start = std::clock();
    const auto answer = classifier->classify(bytes, 1);
    std::printf("%.0f ", 1000.0 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
    if (!answer) {
      print_error(answer.error());
    } else {
      std::printf("%d %.6f\n", answer->labels[0].index, answer->labels[0].score);
    }
  }
  return 0;
}

int load_models(Arguments arguments) {
  for (const char* file : arguments.subspan(1)) {
    const auto engine = test::named_engine(arguments[0], file, kUsualSize, /*any_size=*/false);
    if (!engine) {
      print_error(engine.error());
      continue;
    }
    const std::span<float> input = (*engine)->input(kUsualSize);
    std::fill(input.begin(), input.end(), 0.5F);
    if (const auto output = (*engine)->run())
      std::printf("ok %zu\n", output->size());
    else
      print_error(output.error());
  }
  return 0;
}

long resident_kib() {
  std::ifstream statm("/proc/self/statm");
  long pages = 0, resident = 0;
  statm >> pages >> resident;
  return resident * (::sysconf(_SC_PAGESIZE) / 1024);
}

// Early: after a tenth of them.
int repeat(Arguments arguments) {
  const auto classifier = classifier_of(arguments);
  const int times = std::atoi(arguments[3]);
  std::vector<std::string> images;
  for (const char* file : arguments.subspan(4)) images.push_back(bytes_of(file));
  long early = 0;
  for (int i = 0; i < times; ++i) {
    if (i == times / 10) early = resident_kib();
    need(classifier->classify(images[static_cast<std::size_t>(i) % images.size()], 5));
  }
  std::printf("%ld %ld\n", early, resident_kib());
  return 0;
}

int run(Arguments arguments) {
  const std::string what = arguments.size() > 1 ? arguments[1] : "";
  const Arguments rest = arguments.subspan(std::min<std::size_t>(2, arguments.size()));
  if (what == "decode") return decode_files(rest);
  if (what == "pixels" && rest.size() == 2) return write_pixels(rest[0], rest[1]);
  if (what == "input" && rest.size() >= 4) return write_inputs(rest);
  if (what == "run" && rest.size() == 6) return run_network(rest);
  if (what == "classify" && rest.size() >= 4) return classify_files(rest);
  if (what == "load" && rest.size() >= 2) return load_models(rest);
  if (what == "repeat" && rest.size() >= 5) return repeat(rest);
  std::fprintf(stderr, "usage: see the head of probe.cpp\n");
  return 2;
}

}  // namespace
}  // namespace imgrec

int main(int count, char** values) {
  const int code = imgrec::run({values, static_cast<std::size_t>(count)});
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::fprintf(stderr, "peak_kib %ld\n", usage.ru_maxrss);
  return code;
}
