#include "cmd/commands/load_options.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>

#include "cmd/files/image_files.hpp"
#include "lib/arrivals/trace.hpp"
#include "lib/base/environment.hpp"
#include "lib/base/file.hpp"
#include "lib/base/text.hpp"
#include "lib/config/values.hpp"
#include "lib/http/load/target.hpp"
#include "roles/load/arrivals.hpp"
#include "roles/load/predictions.hpp"

namespace imgrec {
namespace {

using namespace load;

constexpr std::uint64_t kImagesBytesMax = 4096 * kMiB;  // all of them are kept in memory
constexpr std::uint64_t kCsvBytesMax = 256 * kMiB;
constexpr double kConcurrencyMax = 100'000, kBatchMax = 1'000, kRateMax = 1e6, kScaleMax = 1e9, kSeedMax = 1e15;
constexpr int kOpenConnections = 1'000;
constexpr Millis kOpenDuration{60'000};
constexpr Millis kTimeout{1'200'000};     // more than a service that scales out from nothing may need
constexpr Millis kWatchAfterHtml{2'000};  // the service tells its last seconds so much later
constexpr const char* kDefaultUrl = "http://127.0.0.1:8000";
constexpr const char* kGeneratorPort = ":8000/";  // the 2026 generator is told an address alone

std::unexpected<Error> bad_option(const std::string& flag, const std::string& value, const std::string& wanted) {
  return fail(ErrorKind::invalid, "bad_option", flag + " cannot be " + json_quote(value) + ": give " + wanted + ".");
}

std::optional<double> parse_number(std::string_view text, double most) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value > 0) || value > most) return std::nullopt;
  return value;
}

/// The flag's number above 0 and up to `most`, or `otherwise` when it was not given.
Result<double> number_option(const Invocation& call, const std::string& flag, double most, double otherwise) {
  if (!call.has(flag)) return otherwise;
  const auto value = parse_number(call.option(flag), most);
  if (value) return *value;
  return bad_option(flag, call.option(flag), "a number above 0, up to " + std::to_string(static_cast<long long>(most)));
}

Result<std::uint64_t> whole_option(const Invocation& call, const std::string& flag, double most,
                                   std::uint64_t otherwise) {
  const auto value = number_option(call, flag, most, static_cast<double>(otherwise));
  if (!value) return fail(value.error());
  const auto whole = static_cast<std::uint64_t>(*value);
  if (call.has(flag) && static_cast<double>(whole) != *value)
    return bad_option(flag, call.option(flag), "a whole number");
  return whole;
}

Result<Millis> time_option(const Invocation& call, const std::string& flag, Millis otherwise) {
  if (!call.has(flag)) return otherwise;
  const auto value = parse_duration(call.option(flag));
  return value ? Result<Millis>(*value) : bad_option(flag, call.option(flag), "a time such as 500ms, 30s or 10m");
}

LoadLines lines_of(const Invocation& call) {
  if (call.has("--ip_addr") || call.has("--prediction_file")) return LoadLines::generator_2026;
  if (call.has("--num_request") || call.has("--image_folder")) return LoadLines::generator_2021;
  return LoadLines::summary;
}

Result<Dialect> dialect_of(const Invocation& call, LoadLines lines) {
  const std::string text = call.option("--dialect");
  if (text == "2021" || (text.empty() && lines == LoadLines::generator_2021)) return Dialect::y2021;
  if (text == "2026" || (text.empty() && lines == LoadLines::generator_2026)) return Dialect::y2026;
  if (text.empty() || text == "v1") return Dialect::v1;
  return bad_option("--dialect", text, "v1, 2021 or 2026");
}

std::string url_of(const Invocation& call) {
  if (!call.has("--ip_addr")) return call.has("--url") ? call.option("--url") : kDefaultUrl;
  const std::string address = call.option("--ip_addr");
  return address.contains("://") ? address : "http://" + address + kGeneratorPort;
}

Result<OpenModel> read_trace(const Invocation& call, std::uint64_t seed) {
  const std::string file = call.option("--trace");
  const auto scale = number_option(call, "--scale", kScaleMax, 1);
  if (!scale) return fail(scale.error());
  const auto text = read_file(file, kCsvBytesMax);
  if (!text) return fail(text.error());
  const auto trace = parse_trace(*text, file);
  if (!trace) return fail(trace.error());
  double arrivals = 0;
  for (const TraceRow& row : trace->rows) arrivals += row.count * *scale;
  if (arrivals > static_cast<double>(kRecordsMax)) {
    return bad_option("--scale", call.option("--scale"), "less: more than 20 million requests are not kept account of");
  }
  OpenModel model{.at_s = arrivals_of(*trace, *scale, seed)};
  if (model.at_s.empty()) return bad_option("--trace", file, "one with arrivals (at this scale it has none)");
  return model;
}

/// Nothing: the closed model.
Result<std::optional<OpenModel>> open_model(const Invocation& call, std::uint64_t seed) {
  if (call.has("--rate") + call.has("--ramp") + call.has("--trace") > 1) {
    return fail(ErrorKind::invalid, "bad_option", "Give one of --rate, --ramp and --trace.");
  }
  if (call.has("--scale") && !call.has("--trace")) {
    return fail(ErrorKind::invalid, "bad_option", "--scale is of --trace alone.");
  }
  if (call.has("--trace")) {
    auto model = read_trace(call, seed);
    if (!model) return fail(model.error());
    return *std::move(model);
  }
  if (call.has("--rate")) {
    const auto rate = number_option(call, "--rate", kRateMax, 0);
    if (!rate) return fail(rate.error());
    return OpenModel{.rate_begin = *rate, .rate_end = *rate};
  }
  if (!call.has("--ramp")) return std::nullopt;
  const std::string text = call.option("--ramp");
  const std::size_t dots = text.find("..");
  const auto begin = dots == text.npos ? std::nullopt : parse_number(text.substr(0, dots), kRateMax);
  const auto end = dots == text.npos ? std::nullopt : parse_number(text.substr(dots + 2), kRateMax);
  if (!begin || !end) return bad_option("--ramp", text, "two rates, such as 1..200");
  return OpenModel{.rate_begin = *begin, .rate_end = *end};
}

Result<void> read_how_much(const Invocation& call, std::size_t images, LoadOptions& options) {
  LoadPlan& plan = options.plan;
  const bool is_generator = options.lines != LoadLines::summary;
  const auto most = static_cast<double>(kRecordsMax);
  const auto requests = whole_option(call, call.has("--requests") ? "--requests" : "--num_request", most, 0);
  if (!requests) return fail(requests.error());
  const auto duration = time_option(call, "--duration", Millis(0));
  if (!duration) return fail(duration.error());
  const auto warmup = time_option(call, "--warmup", Millis(0));
  if (!warmup) return fail(warmup.error());
  const auto timeout = time_option(call, "--timeout", kTimeout);
  if (!timeout) return fail(timeout.error());
  plan.requests = *requests;
  plan.duration = *duration;
  plan.warmup = *warmup;
  plan.timeout = *timeout;
  // As the generators do: each file once.
  if (is_generator) plan.requests = std::min<std::uint64_t>(plan.requests == 0 ? images : plan.requests, images);
  if (plan.requests > 0 || plan.duration > Millis(0)) return {};
  if (!plan.open) {
    plan.requests = (images + static_cast<std::size_t>(plan.batch) - 1) / static_cast<std::size_t>(plan.batch);
  } else if (plan.open->at_s.empty()) {
    plan.duration = kOpenDuration;
  }
  return {};
}

Result<void> read_how(const Invocation& call, LoadOptions& options) {
  LoadPlan& plan = options.plan;
  auto target = parse_target(url_of(call));
  if (!target) return fail(target.error());
  plan.target = *std::move(target);
  const auto dialect = dialect_of(call, options.lines);
  if (!dialect) return fail(dialect.error());
  plan.dialect = *dialect;
  plan.async = call.has("--async");
  const auto batch = whole_option(call, "--batch", kBatchMax, 1);
  if (!batch) return fail(batch.error());
  plan.batch = static_cast<int>(*batch);
  if (plan.dialect != Dialect::v1 && (plan.async || plan.batch > 1)) {
    return fail(ErrorKind::invalid, "bad_option", "--async and --batch are of --dialect v1 alone.");
  }
  const auto poll = time_option(call, "--poll", plan.poll_interval);
  if (!poll) return fail(poll.error());
  plan.poll_interval = *poll;
  const auto seed = whole_option(call, "--seed", kSeedMax, 1);
  if (!seed) return fail(seed.error());
  plan.seed = *seed;
  auto open = open_model(call, plan.seed);
  if (!open) return fail(open.error());
  plan.open = *std::move(open);
  const auto concurrency =
      whole_option(call, "--concurrency", kConcurrencyMax, plan.open ? kOpenConnections : plan.concurrency);
  if (!concurrency) return fail(concurrency.error());
  plan.concurrency = static_cast<int>(*concurrency);
  plan.ca_bundle = call.option("--ca");
  plan.api_key = Secret(environment_variable("IMGREC_API_KEY").value_or(""));
  return {};
}

Result<std::vector<LoadImage>> read_images(const Invocation& call, std::uint64_t files_max) {
  std::vector<std::string> places = call.arguments;
  if (call.has("--image_folder")) places.push_back(call.option("--image_folder"));
  if (places.empty()) {
    return fail(ErrorKind::invalid, "no_images", "There is nothing to send: name image files or folders.");
  }
  std::vector<LoadImage> images;
  std::uint64_t bytes = 0;
  for (const ImageFile& file : find_image_files(places)) {
    if (files_max > 0 && images.size() == files_max) break;
    if (file.unreadable) return fail(*file.unreadable);
    auto content = read_file(file.path, kImagesBytesMax - bytes);
    if (!content) return fail(content.error());
    bytes += content->size();
    images.push_back(
        {.name = std::filesystem::path(file.path).filename().string(), .bytes = *std::move(content), .expected = {}});
  }
  if (images.empty()) {
    return fail(ErrorKind::invalid, "no_images", "There is no image in " + places.front() + ".");
  }
  return images;
}

Result<void> add_predictions(const Invocation& call, LoadOptions& options) {
  const std::string file = call.has("--predictions") ? call.option("--predictions") : call.option("--prediction_file");
  if (file.empty()) return {};
  const auto text = read_file(file, kCsvBytesMax);
  if (!text) return fail(text.error());
  const auto predictions = Predictions::parse(*text, file);
  if (!predictions) return fail(predictions.error());
  options.has_predictions = true;
  for (LoadImage& image : options.images) image.expected = predictions->label_of(image.name);
  return {};
}

Result<void> add_conditions(const Invocation& call, LoadOptions& options) {
  const auto given = call.repeated.find("--fail-if");
  if (given == call.repeated.end()) return {};
  for (const std::string& text : given->second) {
    auto condition = parse_fail_if(text);
    if (!condition) return fail(condition.error());
    if (condition->figure == "accuracy" && !options.has_predictions) {
      return fail(ErrorKind::invalid, "bad_option",
                  "--fail-if " + text + " needs the right labels: --predictions FILE.");
    }
    options.fail_if.push_back(*std::move(condition));
  }
  return {};
}

}  // namespace

Result<LoadOptions> read_load_options(const Invocation& call) {
  LoadOptions options{.lines = lines_of(call),
                      .watch_service = !call.has("--no-status"),
                      .json = call.option("--json"),
                      .csv = call.option("--csv"),
                      .html = call.option("--html")};
  const auto watch_after = time_option(call, "--watch-after", call.has("--html") ? kWatchAfterHtml : Millis(0));
  if (!watch_after) return fail(watch_after.error());
  options.watch_after = *watch_after;
  if (auto done = read_how(call, options); !done) return fail(done.error());
  const auto files_max = whole_option(call, "--num_request", static_cast<double>(kRecordsMax), 0);
  if (!files_max) return fail(files_max.error());
  auto images = read_images(call, *files_max);
  if (!images) return fail(images.error());
  options.images = *std::move(images);
  if (auto done = read_how_much(call, options.images.size(), options); !done) return fail(done.error());
  if (auto done = add_predictions(call, options); !done) return fail(done.error());
  if (auto done = add_conditions(call, options); !done) return fail(done.error());
  return options;
}

std::vector<OwnOption> load_own_options() {
  return {
      {"--url", "URL", "the service, or another of its dialect (http://127.0.0.1:8000)"},
      {"--ca", "FILE", "https: certificates of the only authorities to be trusted (PEM); else this system's"},
      {"--dialect", "NAME", "v1: POST /v1/classify (the default); 2021: form field myfile; 2026: form field inputFile"},
      {"--async", "", "v1: queue each image (202), then ask for its result until it is there"},
      {"--poll", "TIME", "with --async: how often to ask (500ms)"},
      {"--batch", "N", "v1: so many images in each request (1)"},
      {"--concurrency", "N",
       "requests under way: always so many (100); with --rate, --ramp and --trace at most (1000)"},
      {"--rate", "R", "so many requests a second, whether earlier ones are answered or not, at random times (Poisson)"},
      {"--ramp", "R1..R2", "the same, with a rate that goes from R1 to R2 over the duration"},
      {"--trace", "FILE", "the same, at the times of a CSV file with the header at_s or at_s,count"},
      {"--scale", "X", "multiplies the trace's counts (1)"},
      {"--requests", "N", "so many requests, the images in turn; else each image once"},
      {"--duration", "TIME", "begin requests for so long (1m with --rate and --ramp)"},
      {"--warmup", "TIME", "before that, and not in the figures (0s)"},
      {"--timeout", "TIME", "give a request up after so long (20m)"},
      {"--seed", "N", "of the random times: the same seed, the same times (1)"},
      {"--predictions", "FILE", "the right labels, CSV with the header Image,Results: tells the accuracy"},
      {"--json", "FILE", "the figures as JSON; - is standard output"},
      {"--csv", "FILE", "a line for each request"},
      {"--html", "FILE", "a page with plots and scaling decisions over one time axis, in one file"},
      {"--fail-if", "CONDITION",
       "exit with 4 when it holds, such as 'p99>2s', 'accuracy<0.99', 'failed>0'; may be repeated", false, true},
      {"--no-status", "", "do not ask the service for machines and cost (/v1/status, once a second)"},
      {"--watch-after", "TIME", "go on asking for so long after the last answer, to see machines end (2s with --html)"},
      {"--num_request", "N",
       "as the reference systems' workload generators have it, with their lines on standard output"},
      {"--image_folder", "FOLDER", "the same: the first files of this folder"},
      {"--ip_addr", "ADDRESS", "the same, of 2026: an address (port 8000) or a URL"},
      {"--prediction_file", "FILE", "the same, of 2026: as --predictions"}};
}

}  // namespace imgrec
