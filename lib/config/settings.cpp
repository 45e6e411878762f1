#include "lib/config/settings.hpp"

#include <algorithm>
#include <utility>

#include "lib/base/secret.hpp"
#include "lib/config/setting_kinds.hpp"
#include "lib/config/settings_aws.hpp"
#include "lib/config/settings_controller.hpp"
#include "lib/config/settings_deploy.hpp"
#include "lib/config/settings_results.hpp"
#include "lib/config/settings_web.hpp"

namespace imgrec {
namespace {

using namespace setting_kinds;

constexpr unsigned kServers = kWebCommand | kWorkerCommand | kControllerCommand | kLocalCommand;
constexpr unsigned kEvery = kServers | kClassifyCommand | kModelCommand;

using std::chrono::days;
using std::chrono::hours;

void add_general(std::vector<Setting>& all) {
  all.push_back(text({"platform", "where queues, stores and instances are", {}, kServers}, AtTop{&Config::platform},
                     {"NAME", "local or aws", [](auto value) { return value == "local" || value == "aws"; }}));
  all.push_back(text({"state_dir",
                      "folder of queue, images, results and models; empty: /var/lib/imgrec as root, else "
                      "$XDG_DATA_HOME/imgrec or ~/.local/share/imgrec",
                      {},
                      kEvery},
                     AtTop{&Config::state_dir}, kPath));
  all.push_back(text({"log.level", "debug, info, warning or error", {}, kEvery}, In{&Config::log, &LogConfig::level},
                     {"LEVEL", "debug, info, warning or error", [](auto value) {
                        return value == "debug" || value == "info" || value == "warning" || value == "error";
                      }}));
  all.push_back(text({"log.format", "text (key=value) or json", {}, kEvery}, In{&Config::log, &LogConfig::format},
                     {"FORMAT", "text or json", [](auto value) { return value == "text" || value == "json"; }}));
}

bool is_bucket_list(std::string_view value) {
  return value.size() <= 4096 && is_plain(value, "-.,") &&
         std::ranges::none_of(value, [](char c) { return c >= 'A' && c <= 'Z'; });
}

void add_model_and_image(std::vector<Setting>& all) {
  constexpr unsigned kInferring = kWorkerCommand | kControllerCommand | kLocalCommand | kClassifyCommand;
  all.push_back(
      text({"model.name", "model to classify with (imgrec model list)", {"--model"}, kInferring | kWebCommand},
           In{&Config::model, &ModelConfig::name}, kFilledWord));
  all.push_back(text({"model.dir", "folder of models; empty: STATE_DIR/models", {}, kInferring | kModelCommand},
                     In{&Config::model, &ModelConfig::dir}, kPath));
  all.push_back(
      text({"model.labels",
            "class names: names, reference (as the reference projects answer), or a file with one name per line",
            {"--labels"},
            kInferring},
           In{&Config::model, &ModelConfig::labels},
           {"names|reference|FILE", "names, reference or the path of a file",
            [](std::string_view value) { return !value.empty() && is_one_line(value); }}));
  all.push_back(number({"model.top_k", "labels per image", {"--top-k"}, kWebCommand | kLocalCommand | kClassifyCommand},
                       In{&Config::model, &ModelConfig::top_k}, {1, 1000}));
  all.push_back(text({"model.engine", "what runs the network: auto, openvino or opencv", {"--engine"}, kInferring},
                     In{&Config::model, &ModelConfig::engine}, {"ENGINE", "auto, openvino or opencv", [](auto value) {
                                                                  return value == "auto" || value == "openvino" ||
                                                                         value == "opencv";
                                                                }}));
  all.push_back(text({"model.precision",
                      "numbers to compute in: f32, bf16, int8, or auto: the fastest that is accurate enough",
                      {"--precision"},
                      kInferring},
                     In{&Config::model, &ModelConfig::precision},
                     {"PRECISION", "auto, f32, bf16 or int8", [](auto value) {
                        return value == "auto" || value == "f32" || value == "bf16" || value == "int8";
                      }}));
  all.push_back(fraction({"model.agreement_min",
                          "part of a precision's answers that have to be those in f32, for auto to take it",
                          {"--agreement-min"},
                          kInferring},
                         In{&Config::model, &ModelConfig::agreement_min}));
  all.push_back(
      boolean({"model.winograd", "3x3 convolutions by Winograd's way in f32, the quicker one", {}, kInferring},
              In{&Config::model, &ModelConfig::winograd}));
  constexpr unsigned kAccepting = kInferring | kWebCommand;
  all.push_back(size({"image.bytes_max", "largest image file", {}, kAccepting},
                     In{&Config::image, &ImageConfig::bytes_max}, {kKiB, 1024 * kMiB}));
  all.push_back(text({"image.object_buckets",
                      "buckets, separated by commas, of which requests may name objects to classify; empty: none",
                      {},
                      kWebCommand | kWorkerCommand | kControllerCommand | kLocalCommand},
                     In{&Config::image, &ImageConfig::object_buckets},
                     {"BUCKETS", "names of buckets with commas between them", is_bucket_list}));
  all.push_back(number({"image.pixels_max", "largest width x height that is decoded", {}, kInferring},
                       In{&Config::image, &ImageConfig::pixels_max}, {1, 1'000'000'000}));
  all.push_back(
      number({"image.jpeg_scans_max", "scans of a progressive JPEG; each costs a pass over the image", {}, kInferring},
             In{&Config::image, &ImageConfig::jpeg_scans_max}, {1, 10'000}));
  all.push_back(text({"image.truncated",
                      "images cut off before their last pixels: refuse, or accept, the rest grey or black",
                      {},
                      kInferring},
                     In{&Config::image, &ImageConfig::truncated},
                     {"MODE", "refuse or accept", [](auto value) { return value == "refuse" || value == "accept"; }}));
  all.push_back(boolean({"image.jpeg_fast_decoder",
                         "entropy decoding of JPEGs by imgrec's own decoder; false: by libjpeg, slower",
                         {},
                         kInferring},
                        In{&Config::image, &ImageConfig::jpeg_fast_decoder}));
}

void add_queue(std::vector<Setting>& all) {
  all.push_back(text({"queue.request", "queue that holds the images to classify", {}, kServers},
                     In{&Config::queue, &QueueConfig::request}, kQueueName));
  all.push_back(text({"queue.response_prefix", "answers go to the queue PREFIX-NODE of the web node", {}, kServers},
                     In{&Config::queue, &QueueConfig::response_prefix}, kQueueName));
  all.push_back(text({"queue.dead_letter", "queue of messages that failed too often", {}, kServers},
                     In{&Config::queue, &QueueConfig::dead_letter}, kQueueName));
  all.push_back(
      text({"queue.shutdown_request", "FIFO queue in which the controller asks workers to stop", {}, kServers},
           In{&Config::queue, &QueueConfig::shutdown_request}, kQueueName));
  all.push_back(
      text({"queue.shutdown_confirmed", "FIFO queue in which workers say that they have stopped", {}, kServers},
           In{&Config::queue, &QueueConfig::shutdown_confirmed}, kQueueName));
  all.push_back(text({"queue.signals",
                      "queue of what web nodes and workers tell the controller; empty: they tell nothing",
                      {},
                      kServers},
                     In{&Config::queue, &QueueConfig::signals},
                     {"NAME", "empty, or 1 to 80 of the characters A-Z a-z 0-9 - _",
                      [](std::string_view value) { return value.empty() || kQueueName.accepts(value); }}));
  all.push_back(boolean({"queue.fifo", "first in, first out within a session", {}, kServers},
                        In{&Config::queue, &QueueConfig::fifo}));
  all.push_back(number({"queue.receives_max",
                        "deliveries after which the queue gives up a message; workers judge by worker.attempts_max",
                        {},
                        kServers},
                       In{&Config::queue, &QueueConfig::receives_max}, {1, 1000}));
  all.push_back(duration({"queue.visibility",
                          "lease of a received message; extended while it is worked on",
                          {},
                          kWorkerCommand | kControllerCommand | kLocalCommand},
                         In{&Config::queue, &QueueConfig::visibility}, {Seconds(1), hours(12)}));
}

void add_workers(std::vector<Setting>& all) {
  constexpr unsigned kFleet = kControllerCommand | kLocalCommand;  // passes them on to its workers
  all.push_back(text({"worker.id", "name of this worker; empty: host name and process id", {}, kWorkerCommand},
                     In{&Config::worker, &WorkerConfig::id}, kWord));
  all.push_back(
      text({"worker.app_tier_id", "the instance it runs on (app-tier-1); given by the fleet", {}, kWorkerCommand},
           In{&Config::worker, &WorkerConfig::app_tier_id}, kWord));
  all.push_back(number({"worker.threads", "images at a time; 0: usable cores", {"--threads"}, kWorkerCommand},
                       In{&Config::worker, &WorkerConfig::threads}, {0, 1024}));
  all.push_back(
      number({"worker.prefetch", "messages held beyond those being worked on", {"--prefetch"}, kWorkerCommand | kFleet},
             In{&Config::worker, &WorkerConfig::prefetch}, {0, 1000}));
  all.push_back(duration({"worker.poll_wait", "long poll of the queue", {"--poll-wait"}, kWorkerCommand | kFleet},
                         In{&Config::worker, &WorkerConfig::poll_wait}, {Millis(0), Seconds(20)}));
  all.push_back(duration(
      {"worker.exit_when_idle", "end after so long without work; 0: never", {"--exit-when-idle"}, kWorkerCommand},
      In{&Config::worker, &WorkerConfig::exit_when_idle}, {Seconds(0), days(30)}));
  all.push_back(text({"worker.base_app_tier",
                      "the fleet's worker of this App Tier ID obeys no exit_when_idle (policy warm sets it)",
                      {},
                      kWorkerCommand},
                     In{&Config::worker, &WorkerConfig::base_app_tier}, kWord));
  all.push_back(duration({"worker.shutdown_check",
                          "an idle worker looks so often for a request to stop; 0: never",
                          {},
                          kWorkerCommand | kFleet},
                         In{&Config::worker, &WorkerConfig::shutdown_check}, {Millis(0), hours(1)}));
  all.push_back(duration({"worker.orphan_timeout",
                          "a fleet's worker ends when no work came and no controller led for so long; 0: never",
                          {},
                          kWorkerCommand | kFleet},
                         In{&Config::worker, &WorkerConfig::orphan_timeout}, {Seconds(0), days(30)}));
  all.push_back(duration({"worker.drain_timeout",
                          "on SIGTERM: time to finish; the rest returns to the queue",
                          {},
                          kWorkerCommand | kFleet},
                         In{&Config::worker, &WorkerConfig::drain_timeout}, {Millis(0), hours(1)}));
  all.push_back(number({"worker.attempts_max",
                        "times that an image at which workers died is tried alone before it is given up",
                        {},
                        kWorkerCommand | kFleet},
                       In{&Config::worker, &WorkerConfig::attempts_max}, {1, 100}));
  all.push_back(number({"worker.engine_failures_max",
                        "failures of the engine in a row, after which the worker ends",
                        {},
                        kWorkerCommand | kFleet},
                       In{&Config::worker, &WorkerConfig::engine_failures_max}, {1, 1000}));
  all.push_back(duration({"worker.outage_hold_max",
                          "messages are held so long while a store or queue fails, then returned",
                          {},
                          kWorkerCommand | kFleet},
                         In{&Config::worker, &WorkerConfig::outage_hold_max}, {Seconds(1), hours(1)}));
  all.push_back(duration({"worker.other_version_delay",
                          "a message of another version waits so long for workers of that version",
                          {},
                          kWorkerCommand | kFleet},
                         In{&Config::worker, &WorkerConfig::other_version_delay}, {Seconds(1), hours(12)}));
  all.push_back(duration(
      {"worker.answer_linger_max", "a batch of answers waits no longer for more of them", {}, kWorkerCommand | kFleet},
      In{&Config::worker, &WorkerConfig::answer_linger_max}, {Millis(0), Seconds(5)}));
  all.push_back(duration({"worker.removal_linger",
                          "finished messages are removed so much later, in batches, while there is other work",
                          {},
                          kWorkerCommand | kFleet},
                         In{&Config::worker, &WorkerConfig::removal_linger}, {Millis(0), Seconds(10)}));
}

void add_metrics(std::vector<Setting>& all) {
  all.push_back(text(
      {"metrics.port", "port that serves /metrics, /healthz and /decisions; off: none, 0: any free one", {}, kServers},
      In{&Config::metrics, &MetricsConfig::port},
      {"PORT|off", "off or a whole number from 0 to 65535", [](std::string_view value) {
         const auto port = parse_whole(value);
         return value == "off" || (port && *port >= 0 && *port <= 65'535);
       }}));
  all.push_back(text({"metrics.bind", "address that it listens on; 0.0.0.0: all", {}, kServers},
                     In{&Config::metrics, &MetricsConfig::bind}, kAddress));
  all.push_back(text(
      {"metrics.dir", "folder in which a worker keeps its metrics as a text file; empty: none", {}, kWorkerCommand},
      In{&Config::metrics, &MetricsConfig::dir}, kPath));
  all.push_back(duration({"metrics.file_interval", "between two writes of a worker's metrics file", {}, kServers},
                         In{&Config::metrics, &MetricsConfig::file_interval}, {Millis(100), hours(1)}));
  all.push_back(number({"metrics.decisions_max",
                        "latest decisions of the controller that are kept; equal ones in a row are one",
                        {},
                        kControllerCommand | kLocalCommand},
                       In{&Config::metrics, &MetricsConfig::decisions_max}, {1, 100'000}));
}

void add_local_and_classify(std::vector<Setting>& all) {
  constexpr unsigned kFleet = kControllerCommand | kLocalCommand;
  all.push_back(number({"local.worker_threads", "images at a time per worker process", {}, kFleet},
                       In{&Config::local, &LocalConfig::worker_threads}, {1, 1024}));
  all.push_back(text({"local.worker_executable", "program of the worker processes; empty: this one", {}, kFleet},
                     In{&Config::local, &LocalConfig::worker_executable}, kPath));
  all.push_back(duration_range({"local.boot_delay",
                                "a worker process starts so long after its launch, as a machine of a cloud boots; a "
                                "range: each after another time",
                                {"--boot-delay"},
                                kFleet},
                               In{&Config::local, &LocalConfig::boot_delay}, hours(1)));
  all.push_back(duration({"local.retention",
                          "images, results and messages nobody reads are deleted when older than this; 0: never",
                          {"--retention"},
                          kLocalCommand},
                         In{&Config::local, &LocalConfig::retention}, {Seconds(0), days(36'500)}));
  all.push_back(number({"classify.threads", "images at a time; 0: usable cores", {"--threads"}, kClassifyCommand},
                       In{&Config::classify, &ClassifyConfig::threads}, {0, 1024}));
}

std::vector<Setting> make_settings() {
  std::vector<Setting> all;
  add_general(all);
  add_model_and_image(all);
  add_queue(all);
  add_web_settings(all);
  add_workers(all);
  add_results_settings(all);
  add_controller_settings(all);
  add_metrics(all);
  add_aws_settings(all);
  add_deploy_settings(all);
  add_local_and_classify(all);
  return all;
}

}  // namespace

std::string Setting::environment_name() const {
  std::string name = "IMGREC_";
  for (const char c : key) name += c == '.' ? '_' : (c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
  return name;
}

const std::vector<Setting>& settings() {
  static const std::vector<Setting> all = make_settings();
  return all;
}

const Setting* find_setting(std::string_view key) {
  for (const Setting& setting : settings()) {
    if (setting.key == key) return &setting;
  }
  return nullptr;
}

std::vector<std::string> flags_of(const Setting& setting, CommandBit command) {
  if (command != kConfigCommand) return setting.commands & command ? setting.flags : std::vector<std::string>();
  std::vector<std::string> unambiguous;
  for (const std::string& flag : setting.flags) {
    const auto users = std::ranges::count_if(
        settings(), [&](const Setting& other) { return std::ranges::find(other.flags, flag) != other.flags.end(); });
    if (users == 1) unambiguous.push_back(flag);
  }
  return unambiguous;
}

std::string shown_value(const Setting& setting, const Config& config) {
  return setting.secret ? Secret(setting.get(config)).masked() : setting.get(config);
}

bool is_internal_variable(std::string_view name) {
  constexpr std::string_view kNames[] = {"IMGREC_CONFIG",         "IMGREC_PARENT_FD", "IMGREC_READY_FD",
                                         "IMGREC_BINARY",         "IMGREC_BUILD_DIR", "IMGREC_SHARED",
                                         "IMGREC_REQUIRE_SHARED", "IMGREC_API_KEY"};
  return std::ranges::find(kNames, name) != std::end(kNames) || name.starts_with("IMGREC_TEST_");
}

Result<void> validate(const Config& config) {
  const auto wrong = [](std::string message) { return fail(ErrorKind::invalid, "bad_setting", std::move(message)); };
  if (auto checked = validate_controller(config.controller); !checked) return checked;
  if (auto checked = validate_results(config); !checked) return checked;
  if (auto checked = validate_deploy(config); !checked) return checked;
  if (config.web.body_bytes_max < config.image.bytes_max) {
    return wrong("web.body_bytes_max (" + format_size(config.web.body_bytes_max) + ") is below image.bytes_max (" +
                 format_size(config.image.bytes_max) +
                 "): an image of that size could not be uploaded. Raise the first.");
  }
  if (config.web.buffered_bytes_max < config.web.body_bytes_max) {
    return wrong("web.buffered_bytes_max (" + format_size(config.web.buffered_bytes_max) +
                 ") is below web.body_bytes_max (" + format_size(config.web.body_bytes_max) +
                 "): a request of that size would wait for ever. Raise the first.");
  }
  if (config.web.job_ttl < config.web.wait_max) {
    return wrong("web.job_ttl (" + format_duration(config.web.job_ttl) + ") is below web.wait_max (" +
                 format_duration(config.web.wait_max) +
                 "): jobs would end while clients wait for them. Raise the first, or lower the second.");
  }
  if (config.local.retention != Seconds(0) && config.local.retention < config.web.wait_max) {
    return wrong("local.retention (" + format_duration(config.local.retention) + ") is below web.wait_max (" +
                 format_duration(config.web.wait_max) +
                 "): images would be deleted while clients wait for them. Raise the first, or lower the second.");
  }
  if (config.queue.request == config.queue.dead_letter) {
    return wrong("queue.request and queue.dead_letter are both \"" + config.queue.request + "\": give them two names.");
  }
  // Queue names have 80 characters at most, a node's 40.
  if (config.queue.response_prefix.size() > 39) {
    return wrong("queue.response_prefix is longer than 39 characters: response queues are named PREFIX-NODE.");
  }
  const std::string prefix = config.queue.response_prefix + "-";
  if (config.queue.request.starts_with(prefix) || config.queue.dead_letter.starts_with(prefix)) {
    return wrong("queue.request and queue.dead_letter must not begin with \"" + prefix +
                 "\", where the response queues are (queue.response_prefix).");
  }
  return validate_aws(config.aws);
}

}  // namespace imgrec
