// imgrec bench: how long an image takes here, stage by stage and as a whole, on each engine and in each precision.
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/signals.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/bench_cold.hpp"
#include "cmd/commands/bench_stages.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/files/image_files.hpp"
#include "lib/base/cpu.hpp"
#include "lib/base/file.hpp"

namespace imgrec {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr std::size_t kImagesMax = 1000;
constexpr std::uint64_t kImageBytesMax = 256 * kMiB;  // of all images
constexpr int kRoundsMax = 1000;
constexpr double kSecondsMax = 3600;

struct Unavailable {
  std::string engine, precision, reason;
};

struct Bench {
  std::vector<BenchImage> images;
  std::size_t images_left_out = 0;
  std::string left_out_because;
  int cores = 1, rounds = 5;
  double seconds = 1;
  PrepareSamples prepare;
  std::vector<BenchEngine> engines;
  std::vector<Unavailable> unavailable;
};

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(std::min(line.find(':') + 2, line.size()));
  }
  return "unknown processor";
}

std::vector<std::string> feature_names() {
  const ProcessorFeatures has = processor_features();
  std::vector<std::string> names;
  const std::pair<bool, const char*> all[] = {{has.avx2, "avx2"},
                                              {has.avx512, "avx512"},
                                              {has.avx_vnni, "avx_vnni"},
                                              {has.avx512_vnni, "avx512_vnni"},
                                              {has.avx512_bf16, "avx512_bf16"},
                                              {has.amx_int8, "amx_int8"},
                                              {has.amx_bf16, "amx_bf16"}};
  for (const auto& [there, name] : all) {
    if (there) names.emplace_back(name);
  }
  return names;
}

// A number of an option, or its default; nothing when it is none or out of bounds.
std::optional<double> bench_number(const Invocation& call, const std::string& flag, double otherwise, double most) {
  if (!call.has(flag)) return otherwise;
  const std::string text = call.option(flag);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !(value > 0) || value > most) return std::nullopt;
  return value;
}

// ---- What is measured ----

void read_bench_images(const Invocation& call, Bench& bench) {
  std::uint64_t bytes = 0;
  for (const ImageFile& file : find_image_files(call.arguments)) {
    if (bench.images.size() == kImagesMax || bytes > kImageBytesMax) break;
    auto content = file.unreadable ? Result<std::string>(fail(*file.unreadable))
                                   : read_file(file.path, call.config().image.bytes_max);
    if (content) {
      bytes += content->size();
      bench.images.push_back({file.path, *std::move(content)});
    } else {
      ++bench.images_left_out;
      if (bench.left_out_because.empty()) bench.left_out_because = content.error().message;
    }
  }
}

// Each engine in each precision that was not excluded, as far as it can be had here.
void load_engines(const Invocation& call, Bench& bench) {
  ClassifierOptions options = classifier_options(call.config(), bench.cores);
  const auto wanted = [](const std::string& asked, const std::string& one) { return asked == "auto" || asked == one; };
  const ModelConfig& model = call.config().model;
  for (const char* engine : {"openvino", "opencv"}) {
    for (const char* precision : {"int8", "bf16", "f32"}) {
      if (!wanted(model.engine, engine) || !wanted(model.precision, precision)) continue;
      options.engine = engine;
      options.precision = precision;
      auto loaded = load_bench_engine(options, bench.cores);
      if (loaded)
        bench.engines.push_back(*std::move(loaded));
      else
        bench.unavailable.push_back({engine, precision, loaded.error().message});
    }
  }
}

struct TemporaryFolder {
  std::string path;
  TemporaryFolder() {
    std::error_code ignored;
    std::string pattern = (fs::temp_directory_path(ignored) / "imgrec-bench-XXXXXX").string();
    if (::mkdtemp(pattern.data()) != nullptr) path = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path.empty()) fs::remove_all(path, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
};

// A process that finds no compiled model, one that finds it, and one that works on all images with all cores.
Result<void> measure_processes(const Config& config, const Bench& bench, BenchEngine& engine) {
  const TemporaryFolder folder;
  if (folder.path.empty()) return fail(ErrorKind::transient, "no_temporary_folder", "Cannot make a temporary folder.");
  ChildOptions options{.engine = engine.model.engine, .precision = engine.model.precision, .state_dir = folder.path};
  const std::vector<std::string> one = {bench.images.front().path};
  for (Samples* samples : {&engine.cold_ms, &engine.cached_ms}) {
    const auto run = run_classify_child(config, options, one, system_clock());
    if (!run) return fail(run.error());
    samples->add(run->first_label_ms);
  }
  std::vector<std::string> all;
  for (const BenchImage& image : bench.images) all.push_back(image.path);
  options.threads = bench.cores;
  const auto run = run_classify_child(config, options, all, system_clock());
  if (!run) return fail(run.error());
  engine.peak_bytes.add(run->peak_bytes);
  return {};
}

Result<void> measure(const Config& config, Bench& bench, const std::stop_token& stop) {
  Clock& clock = system_clock();
  ProgressLine progress(is_terminal(STDERR_FILENO), clock);
  {
    progress.show("warming up");
    PrepareSamples ignored;
    std::vector<BenchEngine>& engines = bench.engines;
    StageBench warm(bench.images, config.image, std::min(bench.seconds, 0.2), clock);
    if (auto ok = warm.round(ignored, engines); !ok) return ok;
    for (BenchEngine& engine : engines) {
      for (Samples* samples :
           {&engine.infer_ms, &engine.one_core, &engine.all_cores, &engine.efficiency, &engine.scaling}) {
        samples->values.clear();
      }
    }
  }
  StageBench stages(bench.images, config.image, bench.seconds, clock);
  for (int round = 1; round <= bench.rounds && !stop.stop_requested(); ++round) {
    progress.show("round " + std::to_string(round) + " of " + std::to_string(bench.rounds));
    if (auto ok = stages.round(bench.prepare, bench.engines); !ok) return ok;
    for (BenchEngine& engine : bench.engines) {
      if (auto ok = measure_processes(config, bench, engine); !ok) return ok;
    }
  }
  return {};
}

// ---- What is printed ----

double to_thousandth(double value) {
  return std::round(value * 1000) / 1000;
}

ordered_json samples_json(const Samples& samples) {
  ordered_json rounds = ordered_json::array();
  for (const double value : samples.values) rounds.push_back(to_thousandth(value));
  return {{"median", to_thousandth(samples.median())},
          {"min", to_thousandth(samples.min())},
          {"max", to_thousandth(samples.max())},
          {"rounds", rounds}};
}

double mean_bytes(const Bench& bench) {
  double bytes = 0;
  for (const BenchImage& image : bench.images) bytes += static_cast<double>(image.bytes.size());
  return bytes / static_cast<double>(bench.images.size());
}

std::string bench_json(const Bench& bench) {
  const ModelManifest& manifest = bench.engines.front().model.entry.manifest;
  ordered_json out;
  out["version"] = version();
  out["processor"] = {{"name", processor_name()}, {"features", feature_names()}, {"cores", bench.cores}};
  out["model"] = {{"name", manifest.name}, {"sha256", manifest.sha256}};
  out["images"] = {{"count", bench.images.size()},
                   {"left_out", bench.images_left_out},
                   {"bytes_mean", std::round(mean_bytes(bench))}};
  out["rounds"] = bench.rounds;
  out["seconds"] = bench.seconds;
  out["stages_ms"] = {{"decode_resize_tensor", samples_json(bench.prepare.all_ms)},
                      {"decode", samples_json(bench.prepare.decode_ms)},
                      {"resize_tensor", samples_json(bench.prepare.preprocess_ms)}};
  out["engines"] = ordered_json::array();
  for (const BenchEngine& engine : bench.engines) {
    Samples peak_mib;
    for (const double bytes : engine.peak_bytes.values) peak_mib.add(bytes / static_cast<double>(kMiB));
    out["engines"].push_back({{"engine", engine.model.engine},
                              {"precision", engine.model.precision},
                              {"why", engine.model.why},
                              {"infer_ms", samples_json(engine.infer_ms)},
                              {"one_core_images_per_s", samples_json(engine.one_core)},
                              {"efficiency", samples_json(engine.efficiency)},
                              {"all_cores_images_per_s", samples_json(engine.all_cores)},
                              {"all_cores_over_one", samples_json(engine.scaling)},
                              {"first_label_ms", samples_json(engine.cold_ms)},
                              {"first_label_cached_ms", samples_json(engine.cached_ms)},
                              {"peak_resident_mib", samples_json(peak_mib)}});
  }
  out["unavailable"] = ordered_json::array();
  for (const Unavailable& one : bench.unavailable) {
    out["unavailable"].push_back({{"engine", one.engine}, {"precision", one.precision}, {"reason", one.reason}});
  }
  return out.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

// "3.1 (3.0-3.4)"
std::string cell(const Samples& samples, int decimals) {
  char text[96];
  std::snprintf(text, sizeof text, "%.*f (%.*f-%.*f)", decimals, samples.median(), decimals, samples.min(), decimals,
                samples.max());
  return text;
}

std::string bench_table(const Bench& bench) {
  std::string features;
  for (const std::string& name : feature_names()) features += (features.empty() ? "" : " ") + name;
  char head[160];
  std::snprintf(head, sizeof head, "%zu images of %.0f kB on average; median (min-max) of %d rounds\n\n",
                bench.images.size(), mean_bytes(bench) / 1000, bench.rounds);
  const PrepareSamples& prepare = bench.prepare;
  std::string out = processor_name() + ", " + std::to_string(bench.cores) + (bench.cores == 1 ? " core" : " cores") +
                    (features.empty() ? "" : " (" + features + ")") + "\n" +
                    bench.engines.front().model.entry.manifest.name + ", " + head;
  out += as_columns({{"of an image, on one core", "ms"},
                     {"decode + resize + tensor, in one pass", cell(prepare.all_ms, 3)},
                     {"  of it decode", cell(prepare.decode_ms, 3)},
                     {"  of it resize + tensor", cell(prepare.preprocess_ms, 3)}});
  const std::string cores = std::to_string(bench.cores) + (bench.cores == 1 ? " core" : " cores");
  std::vector<std::vector<std::string>> speed = {
      {"engine", "precision", "network, ms", "1 core, images/s", "efficiency", cores + ", images/s", "over 1 core"}};
  std::vector<std::vector<std::string>> process = {
      {"engine", "precision", "first label, ms", "with compiled model, ms", "peak MiB, " + cores}};
  for (const BenchEngine& engine : bench.engines) {
    const LoadedModel& model = engine.model;
    speed.push_back({model.engine, model.precision, cell(engine.infer_ms, 2), cell(engine.one_core, 1),
                     cell(engine.efficiency, 2), cell(engine.all_cores, 1), cell(engine.scaling, 2)});
    Samples peak_mib;
    for (const double bytes : engine.peak_bytes.values) peak_mib.add(bytes / static_cast<double>(kMiB));
    process.push_back(
        {model.engine, model.precision, cell(engine.cold_ms, 0), cell(engine.cached_ms, 0), cell(peak_mib, 0)});
  }
  out += "\n" + as_columns(speed) + "\n" + as_columns(process);
  for (const Unavailable& one : bench.unavailable) {
    out += "\n" + one.engine + " in " + one.precision + ": " + printable(one.reason);
  }
  return out + (bench.unavailable.empty() ? "" : "\n");
}

int run_bench(const Invocation& call) {
  Bench bench;
  const auto rounds = bench_number(call, "--rounds", bench.rounds, kRoundsMax);
  const auto seconds = bench_number(call, "--seconds", bench.seconds, kSecondsMax);
  if (!rounds || *rounds != std::floor(*rounds) || !seconds) {
    complain("--rounds takes a whole number from 1 to 1000, --seconds a number above 0.");
    return kExitUsage;
  }
  bench.rounds = static_cast<int>(*rounds);
  bench.seconds = *seconds;
  bench.cores = call.config().classify.threads;
  read_bench_images(call, bench);
  if (!bench.images.empty()) load_engines(call, bench);
  if (!bench.images.empty() && bench.engines.empty()) {
    for (const Unavailable& one : bench.unavailable) complain(one.reason);
    return kExitUsage;
  }
  if (!bench.images.empty()) {
    const std::size_t before = bench.images.size();
    const std::string reason = keep_usable(bench.images, bench.engines.front());
    bench.images_left_out += before - bench.images.size();
    if (bench.left_out_because.empty()) bench.left_out_because = reason;
  }
  if (bench.images_left_out > 0) {
    complain(std::to_string(bench.images_left_out) + " left out, such as " + bench.left_out_because);
  }
  if (bench.images.empty()) {
    complain("There is no image to measure with in " + call.arguments.front() +
             ". Give photos like those you classify.");
    return kExitItemFailed;
  }
  Interrupts interrupts;
  const auto measured = measure(call.config(), bench, interrupts.token());
  if (!measured) return report(measured.error());
  if (interrupts.token().stop_requested()) return kExitInterrupted;
  const std::string text = call.has("--json") ? bench_json(bench) : bench_table(bench);
  print(text);
  return std::fflush(stdout) == 0 ? kExitOk : kExitItemFailed;
}

}  // namespace

Command bench_command() {
  return {
      .name = "bench",
      .summary = "Measure how long an image takes here, stage by stage, on each engine and in each precision",
      .arguments = "FILE|FOLDER…",
      .arguments_min = 1,
      .arguments_max = 1'000'000,
      .settings = kClassifyCommand,
      .examples = {{"imgrec bench photos/", "everything that this build and processor can do"},
                   {"imgrec bench --engine openvino --precision int8 --rounds 9 photos/", "one of them, with care"},
                   {"imgrec bench --json --threads 1 photos/ > here.json", "for programs; one core only"}},
      .options = {{"--json", "", "an object instead of tables: median, min, max and each round"},
                  {"--rounds", "NUMBER", "how often everything is measured, in turn [5]"},
                  {"--seconds", "NUMBER", "how long each measurement of a round takes [1]"}},
      .notes =
          "Images (1000 and 256 MiB at most) are held in memory. Efficiency is the throughput of one core times the\n"
          "sum of the stages' times: what is lost between stages makes it less than 1. The first label is that of\n"
          "`imgrec classify` with one image, from the start of the process, without and with a compiled model from\n"
          "an earlier start; peak memory is that of `imgrec classify` with all images.",
      .run = run_bench};
}

}  // namespace imgrec
