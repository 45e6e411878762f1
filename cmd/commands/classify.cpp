// imgrec classify: image files to labels, without any service.
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/signals.hpp"
#include "cmd/cli/terminal.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/files/classify_pipeline.hpp"
#include "inference/classifier_factory.hpp"
#include "inference/model_loader.hpp"
#include "lib/base/log.hpp"
#include "lib/job/image_type.hpp"
#include "lib/job/job.hpp"

namespace imgrec {
namespace {

using nlohmann::ordered_json;

double rounded(double value, double per_unit) {
  return std::round(value * per_unit) / per_unit;
}

std::string json_line(const FileOutcome& outcome, const LoadedModel& model) {
  ordered_json line;
  line["file"] = outcome.path;
  if (const auto& done = outcome.classification) {
    line["labels"] = ordered_json::array();
    for (const Label& label : done->labels) {
      line["labels"].push_back(
          {{"index", label.index}, {"wnid", label.wnid}, {"label", label.label}, {"score", rounded(label.score, 1e6)}});
    }
    line["timings_ms"] = {{"read", rounded(outcome.read_ms, 1e3)},
                          {"decode", rounded(done->decode_ms, 1e3)},
                          {"preprocess", rounded(done->preprocess_ms, 1e3)},
                          {"infer", rounded(done->infer_ms, 1e3)}};
    line["model"] = model.entry.manifest.name;
    line["engine"] = model.engine;
    line["precision"] = model.precision;
  } else {
    const Error& error = outcome.classification.error();
    line["error"] = {{"code", error.code}, {"detail", error.message}, {"retryable", is_retryable(error.kind)}};
  }
  return line.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

// RFC 4180: quotes where a separator, a quote or a line end is inside, and quotes doubled.
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

class Printer {
 public:
  virtual ~Printer() = default;
  virtual std::string head() const { return {}; }
  virtual std::string lines(const FileOutcome& outcome) const = 0;
};

class JsonPrinter final : public Printer {
 public:
  explicit JsonPrinter(const LoadedModel& model) : model_(model) {}
  std::string lines(const FileOutcome& outcome) const override { return json_line(outcome, model_); }

 private:
  const LoadedModel& model_;
};

class CsvPrinter final : public Printer {
 public:
  std::string head() const override { return "Image,Results\n"; }
  std::string lines(const FileOutcome& outcome) const override {
    const std::string name = csv_field(file_stem(outcome.path)) + ",";
    // In brackets, which no label begins with.
    if (!outcome.classification) return name + csv_field("(" + outcome.classification.error().code + ")") + "\n";
    const auto& labels = outcome.classification->labels;
    return name + csv_field(labels.empty() ? "" : labels.front().label) + "\n";
  }
};

class TablePrinter final : public Printer {
 public:
  // labels_max: lines per image.
  TablePrinter(const std::vector<ImageFile>& files, int labels_max) : labels_max_(labels_max) {
    for (const ImageFile& file : files) width_ = std::max(width_, std::min<std::size_t>(file.path.size(), 60));
  }
  std::string head() const override { return row("file", "score", "ms", "label"); }
  std::string lines(const FileOutcome& outcome) const override {
    if (!outcome.classification) return row(outcome.path, "-", "-", "(" + outcome.classification.error().code + ")");
    const Classification& done = *outcome.classification;
    char ms[32];
    std::snprintf(ms, sizeof ms, "%.1f", done.decode_ms + done.preprocess_ms + done.infer_ms);
    std::string out;
    for (const Label& label : done.labels) {
      if (!out.empty() && labels_max_ == 1) break;
      char score[32];
      std::snprintf(score, sizeof score, "%.3f", label.score);
      out += row(out.empty() ? outcome.path : "", score, out.empty() ? ms : "", label.label);
    }
    return out;
  }

 private:
  std::string row(const std::string& file, const std::string& score, const std::string& ms,
                  const std::string& label) const {
    return padded(printable(file), width_) + "  " + std::string(score.size() < 6 ? 6 - score.size() : 0, ' ') + score +
           "  " + std::string(ms.size() < 7 ? 7 - ms.size() : 0, ' ') + ms + "  " + printable(label) + "\n";
  }
  std::size_t width_ = 4;
  int labels_max_;
};

std::unique_ptr<Printer> make_printer(const Invocation& call, const std::vector<ImageFile>& files,
                                      const LoadedModel& model) {
  if (call.has("--json")) return std::make_unique<JsonPrinter>(model);
  if (call.has("--csv")) return std::make_unique<CsvPrinter>();
  // A table shows the best label, or as many as were asked for.
  const bool asked = call.loaded.origin("model.top_k") != "default";
  return std::make_unique<TablePrinter>(files, asked ? call.config().model.top_k : 1);
}

void print_summary(std::size_t done, std::size_t failed, double seconds, const LoadedModel& model) {
  char text[128];
  std::snprintf(text, sizeof text, "%zu image%s in %.2f s, %.1f images/s", done, done == 1 ? "" : "s", seconds,
                seconds > 0 ? static_cast<double>(done) / seconds : 0.0);
  std::string line = text;
  if (failed > 0) line += "; " + std::to_string(failed) + " failed";
  complain(line + " (" + model.entry.manifest.name + " on " + model.engine + " in " + model.precision + ")");
}

// Files of folders that are not classified: named, but not by the thousand.
class LeftOut {
 public:
  void add(const std::string& path) {
    if (++count_ <= kNamedMax) names_ += (names_.empty() ? "" : ", ") + path;
  }
  void complain_if_any() const {
    if (count_ == 0) return;
    const std::string more = count_ > kNamedMax ? " and " + std::to_string(count_ - kNamedMax) + " more" : "";
    complain("Left out, as neither name nor content is that of an image: " + names_ + more + ".");
  }

 private:
  static constexpr std::size_t kNamedMax = 10;
  std::size_t count_ = 0;
  std::string names_;
};

int run_classify(const Invocation& call) {
  if (call.has("--json") && call.has("--csv")) {
    complain("Give --json or --csv, not both.");
    return kExitUsage;
  }
  const Config& config = call.config();
  const ClassifierOptions options = classifier_options(config, config.classify.threads);
  const auto loaded = load_model(options);
  if (!loaded) return report(loaded.error());
  log::debug(
      "model loaded",
      {{"model", options.model}, {"engine", loaded->engine}, {"precision", loaded->precision}, {"why", loaded->why}});
  const auto make_classifier = make_classifier_factory(*loaded, options);
  if (!make_classifier) return report(make_classifier.error());
  LeftOut left_out;
  const std::vector<ImageFile> files =
      find_image_files(call.arguments, [&](const std::string& path) { left_out.add(path); });
  left_out.complain_if_any();
  if (files.empty()) {
    complain("There is no image in " + call.arguments.front() + " (looked for " + std::string(kImageTypeNames) + ").");
    return kExitItemFailed;
  }
  Interrupts interrupts;
  Clock& clock = system_clock();
  const auto printer = make_printer(call, files, *loaded);
  ProgressLine progress(is_terminal(STDERR_FILENO) && !is_terminal(STDOUT_FILENO), clock);
  // A line is there for the next program as soon as it is known.
  const auto print_now = [](const std::string& text) {
    print(text);
    std::fflush(stdout);
  };
  std::size_t done = 0, failed = 0;
  print_now(printer->head());
  const MonoTime begin = clock.mono_now();
  const auto classified = classify_files(
      files, *make_classifier,
      {.threads = config.classify.threads, .top_k = config.model.top_k, .file_bytes_max = config.image.bytes_max},
      clock,
      [&](const FileOutcome& outcome) {
        ++done;
        print_now(printer->lines(outcome));
        if (!outcome.classification) {
          ++failed;
          progress.clear();
          complain(outcome.path + ": " + outcome.classification.error().message);
        }
        progress.show(std::to_string(done) + " of " + std::to_string(files.size()) + " images");
      },
      interrupts.token());
  progress.clear();
  if (!classified) return report(classified.error());
  print_summary(done, failed, elapsed_ms(begin, clock.mono_now()) / 1000, *loaded);
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    complain("Cannot write the results to standard output.");
    return kExitItemFailed;
  }
  if (interrupts.token().stop_requested()) return kExitInterrupted;
  return failed == 0 ? kExitOk : kExitItemFailed;
}

}  // namespace

Command classify_command() {
  return {.name = "classify",
          .summary = "Classify image files without any service",
          .arguments = "FILE|FOLDER|-…",
          .arguments_min = 1,
          .arguments_max = 1'000'000,
          .settings = kClassifyCommand,
          .examples = {{"imgrec classify photo.jpg", "a table"},
                       {"imgrec classify --json --top-k 3 photos/ more/cat.png", "one line of JSON per image"},
                       {"imgrec classify --csv photos/ > results.csv", "Image,Results"},
                       {"curl -s https://example.org/cat.jpg | imgrec classify -", "from standard input"}},
          .options = {{"--json", "", "one JSON object per line and image: labels and timings_ms, or error"},
                      {"--csv", "",
                       "Image,Results: the file name without extension, and the first label or the error in brackets"}},
          .notes =
              "Folders are searched for images, recursively, in the order of their names; what is left out is named. "
              "Exits\n"
              "with 1 when an image could not be classified; the others are answered.",
          .run = run_classify};
}

}  // namespace imgrec
