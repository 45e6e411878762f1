// imgrec web
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <optional>

#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/service_manager.hpp"
#include "cmd/cli/signals.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/commands/key_place_of.hpp"
#include "cmd/commands/process_metrics.hpp"
#include "cmd/commands/serving.hpp"
#include "cmd/files/lock.hpp"
#include "cmd/platform/platform.hpp"
#include "cmd/platform/resolve.hpp"
#include "lib/base/log.hpp"
#include "lib/base/open_files.hpp"
#include "lib/base/text.hpp"
#include "lib/queues/queues.hpp"
#include "lib/signals/signal_sender.hpp"
#include "lib/signals/signalling_queue.hpp"
#include "roles/web/access/site.hpp"
#include "roles/web/web.hpp"

namespace imgrec {

Result<FileLock> lock_web_node(const Config& config) {
  if (auto made = make_state_dir(config); !made) return fail(made.error());
  const std::filesystem::path file = std::filesystem::path(config.state_dir) / ("web-" + config.web.node + ".lock");
  return FileLock::take(file, "Another web node named " + config.web.node + " runs on " + config.state_dir +
                                  ": each needs its own response queue. Give one of them another --node.");
}

namespace {

bool is_loopback(const std::string& bind) {
  return bind.starts_with("127.") || bind == "::1";
}

void warn_of_strangers(const WebConfig& web) {
  if (is_loopback(web.bind)) return;
  if (web.keys_file.empty()) {
    log::warning(
        "the service listens for other machines and has no authentication (web.keys_file): whoever reaches it may use "
        "it "
        "and read its results; make keys (imgrec key create), or put it behind a proxy that asks who they are, or a "
        "firewall",
        {{"bind", web.bind}});
  } else if (web.tls_certificate.empty()) {
    log::warning(
        "keys travel in the clear, and who listens on the way can use them: set web.tls_certificate and web.tls_key, "
        "or "
        "let only a proxy that speaks TLS reach this service",
        {{"bind", web.bind}});
  }
}

}  // namespace

std::optional<std::vector<std::string>> known_hosts(const WebConfig& web) {
  if (!is_loopback(web.bind) || web.hosts == "*") return std::nullopt;
  std::vector<std::string> names;
  for (const std::string_view name : split(web.hosts, ',')) {
    if (!name.empty()) names.emplace_back(name);
  }
  if (auto host = host_of_url(web.public_url); !host.empty()) names.push_back(std::move(host));
  char own[256] = "";
  if (::gethostname(own, sizeof own - 1) == 0 && own[0] != '\0') names.emplace_back(own);
  return names;
}

std::string web_address(const Config& config, int port) {
  // What a browser on this machine can open.
  std::string host = config.web.bind;
  if (host == "0.0.0.0") host = "127.0.0.1";
  if (host == "::") host = "::1";
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  return (config.web.tls_certificate.empty() ? "http://" : "https://") + host + ":" + std::to_string(port) + "/";
}

Result<void> serve_web(const Config& config, const Platform& platform, const WebRun& run) {
  auto responses = platform.queues->open(queue_name(config, QueueKind::responses), run.stop);
  if (!responses) return fail(responses.error());
  std::optional<SignalSender> sender;
  std::optional<SignallingQueue> told;  // the requests, of which the controller is told
  if (platform.signals) {
    sender.emplace(*platform.signals, run.clock, run.rng, SignalSender::Options{.sender = config.web.node});
    told.emplace(*platform.requests, *sender);
  }
  WebPorts ports{.requests = told ? static_cast<MessageQueue&>(*told) : *platform.requests,
                 .responses = **responses,
                 .responses_name = queue_name(config, QueueKind::responses),
                 .dead_letters = *platform.dead_letters,
                 .inputs = *platform.inputs,
                 .outputs = *platform.outputs,
                 .clock = run.clock,
                 .rng = run.rng,
                 .metrics = run.metrics,
                 .on_listening =
                     [&](int port) {
                       warn_of_strangers(config.web);
                       run.on_listening(port);
                     },
                 .keys = config.web.keys_file.empty() ? nullptr : key_place_of(config, platform.outputs)};
  const WebSettings settings{.web = config.web,
                             .image = config.image,
                             .top_k = config.model.top_k,
                             .model = config.model.name,
                             .version = std::string(version()),
                             .input_bucket = platform.input_bucket,
                             .known_hosts = known_hosts(config.web),
                             .fifo_queues = config.queue.fifo};
  return run_web(settings, std::move(ports), run.stop);
}

namespace {

int run_web_command(const Config& config) {
  ignore_sigpipe();
  raise_open_files_limit();
  Interrupts interrupts;
  auto platform = make_platform(config, system_clock(), system_rng(), {.stop = interrupts.token()});
  if (!platform) return report(platform.error(), interrupts);
  auto lock = lock_web_node(config);
  if (!lock) return report(lock.error());
  Metrics metrics;
  const auto listener = listen_for_metrics(config.metrics, metrics, nullptr);
  if (!listener) return report(listener.error());
  const auto served = serve_web(config, *platform,
                                {.clock = system_clock(),
                                 .rng = system_rng(),
                                 .metrics = metrics,
                                 .on_listening =
                                     [&](int port) {
                                       log::info("listening", {{"address", web_address(config, port)},
                                                               {"state_dir", config.state_dir},
                                                               {"node", config.web.node}});
                                       tell_service_manager("READY=1");
                                     },
                                 .stop = interrupts.token()});
  if (!served) return report(served.error(), interrupts);
  return exit_code(interrupts);
}

}  // namespace

Command web_command() {
  return {.name = "web",
          .summary = "Take images over HTTP, hold each client until its own answer is there",
          .settings = kWebCommand,
          .examples = {{"imgrec web", "listen on 127.0.0.1:8000"},
                       {"imgrec web --bind 0.0.0.0 --port 80", "listen on all addresses"},
                       {"imgrec --role=web", "the same command, by role"}},
          .notes = kRoleNotes,
          .run = [](const Invocation& call) { return run_web_command(call.config()); }};
}

}  // namespace imgrec
