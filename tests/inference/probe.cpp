// Stages of inference by themselves, for tests that compare them with other programs:
//   inference_probe decode FILE…                       a line per file: "ok W H SHA256-of-the-pixels" or "CODE:
//   message" inference_probe pixels FILE OUT                    the pixels, 3 bytes each inference_probe input PROFILE
//   SIZE FILE OUT        the network's input, float32 inference_probe run MODEL.onnx W H IN OUT          the network's
//   output, float32, for each W x H input in IN inference_probe classify MODEL.onnx PROFILE FILE…  a line per file:
//   "INDEX SCORE" or "CODE: message"
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <span>
#include <string>
#include <vector>

#include "inference/classifier.hpp"
#include "inference/decode/decode.hpp"
#include "lib/base/digest.hpp"
#include "lib/base/file.hpp"

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

int write_input(Arguments arguments) {
  ImageDecoder decoder{ImageConfig{}};
  const Image* image = need(decoder.decode(bytes_of(arguments[2])));
  Preprocessor preprocessor(need(parse_preprocess_profile(arguments[0])), std::atoi(arguments[1]));
  std::vector<float> input(need(preprocessor.input_size_for(image->width, image->height)).floats());
  preprocessor.run(*image, input);
  write(arguments[3], input.data(), input.size() * sizeof(float));
  return 0;
}

int run_network(Arguments arguments) {
  const auto engine = need(make_opencv_engine(bytes_of(arguments[0])));
  const InputSize size{std::atoi(arguments[1]), std::atoi(arguments[2])};
  const std::string input = bytes_of(arguments[3]);
  const std::size_t input_bytes = size.floats() * sizeof(float);
  std::vector<float> all;
  for (std::size_t at = 0; at + input_bytes <= input.size(); at += input_bytes) {
    std::memcpy(engine->input(size).data(), input.data() + at, input_bytes);
    const auto output = need(engine->run());
    all.insert(all.end(), output.begin(), output.end());
  }
  write(arguments[4], all.data(), all.size() * sizeof(float));
  return 0;
}

int classify_files(Arguments arguments) {
  ModelManifest manifest;
  manifest.profile = need(parse_preprocess_profile(arguments[1]));
  const ClassifierParts parts{
      .manifest = manifest,
      .classes = std::make_shared<const std::vector<ClassName>>(imagenet_class_names(ImagenetNames::names)),
      .limits = {}};
  const auto classifier = make_classifier(parts, need(make_opencv_engine(bytes_of(arguments[0]))));
  for (const char* file : arguments.subspan(2)) {
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

int run(Arguments arguments) {
  const std::string what = arguments.size() > 1 ? arguments[1] : "";
  const Arguments rest = arguments.subspan(std::min<std::size_t>(2, arguments.size()));
  if (what == "decode") return decode_files(rest);
  if (what == "pixels" && rest.size() == 2) return write_pixels(rest[0], rest[1]);
  if (what == "input" && rest.size() == 4) return write_input(rest);
  if (what == "run" && rest.size() == 5) return run_network(rest);
  if (what == "classify" && rest.size() >= 3) return classify_files(rest);
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
