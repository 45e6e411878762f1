// imgrec worker
#include <unistd.h>

#include <optional>
#include <thread>

#include "cmd/cli/exit_code.hpp"
#include "cmd/cli/service_manager.hpp"
#include "cmd/cli/signals.hpp"
#include "cmd/commands/commands.hpp"
#include "cmd/commands/process_metrics.hpp"
#include "cmd/platform/platform.hpp"
#include "inference/classifier_factory.hpp"
#include "inference/model_loader.hpp"
#include "lib/base/log.hpp"
#include "lib/base/open_files.hpp"
#include "lib/local/child_guard.hpp"
#include "lib/signals/signal_sender.hpp"
#include "roles/worker/worker.hpp"

namespace imgrec {
namespace {

std::string default_worker_id() {
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  return std::string(host) + "-" + std::to_string(::getpid());
}

class HookedClassifier final : public Classifier {
 public:
  HookedClassifier(std::unique_ptr<Classifier> inner, std::function<void(ByteView)> on_image)
      : inner_(std::move(inner)), on_image_(std::move(on_image)) {}
  Result<Classification> classify(ByteView image, int top_k) override {
    on_image_(image);
    return inner_->classify(image, top_k);
  }
  Result<std::string> thumbnail(ByteView image, int side) override { return inner_->thumbnail(image, side); }
  ModelInfo model() const override { return inner_->model(); }

 private:
  const std::unique_ptr<Classifier> inner_;
  const std::function<void(ByteView)> on_image_;
};

// Loads the model when the first classifier is asked for: then there is a worker that can tell why it cannot be loaded.
class ModelOnDemand {
 public:
  ModelOnDemand(const Config& config, const WorkerHooks& hooks)
      : hooks_(hooks), options_(classifier_options(config, config.worker.threads)) {}

  Result<std::unique_ptr<Classifier>> make_classifier() {
    auto classifier = try_to_make();
    unusable_ = !classifier;
    if (!classifier) return classifier;
    return std::make_unique<HookedClassifier>(*std::move(classifier), hooks_.on_image);
  }
  bool is_unusable() const { return unusable_; }

 private:
  Result<std::unique_ptr<Classifier>> try_to_make() {
    if (!factory_) {
      const auto model = load_model(options_);
      if (!model) return fail(model.error());
      log::info(
          "model loaded",
          {{"model", options_.model}, {"engine", model->engine}, {"precision", model->precision}, {"why", model->why}});
      auto factory = make_classifier_factory(*model, options_);
      if (!factory) return fail(factory.error());
      factory_ = *std::move(factory);
    }
    return factory_();
  }

  const WorkerHooks& hooks_;
  const ClassifierOptions options_;
  ClassifierFactory factory_;
  bool unusable_ = false;
};

int run_worker_command(const Config& config, const WorkerHooks& hooks) {
  ignore_sigpipe();
  raise_open_files_limit();
  Interrupts interrupts;
  const auto guard = make_child_guard([&] { interrupts.stop(); });
  auto platform = make_platform(config, system_clock(), system_rng(), {.stop = interrupts.token()});
  if (!platform) return report(platform.error(), interrupts);
  std::jthread notice_watcher;
  if (platform->watch_for_notice) {
    notice_watcher = std::jthread([&](std::stop_token stop) {
      const auto drain = [&](const std::string& action) {
        log::warning("this machine is taken away: draining", {{"action", action}});
        interrupts.stop();
      };
      platform->watch_for_notice(drain, stop);
    });
  }
  WorkerSettings settings{.worker = config.worker,
                          .queue = config.queue,
                          .image = config.image,
                          .results = config.results,
                          .version = std::string(version())};
  if (settings.worker.id.empty()) settings.worker.id = default_worker_id();
  Metrics metrics;
  const auto listener = listen_for_metrics(config.metrics, metrics, nullptr);
  if (!listener) return report(listener.error());
  const std::jthread metrics_file = keep_metrics_file(config.metrics, settings.worker, metrics);
  ModelOnDemand model(config, hooks);
  std::optional<SignalSender> signals;
  if (platform->signals) {
    const std::string& tier = settings.worker.app_tier_id;
    signals.emplace(*platform->signals, system_clock(), system_rng(),
                    SignalSender::Options{.sender = tier.empty() ? settings.worker.id : tier});
  }
  WorkerPorts ports{.requests = *platform->requests,
                    .replies = *platform->queues,
                    .dead_letters = *platform->dead_letters,
                    .inputs = *platform->inputs,
                    .outputs = *platform->outputs,
                    .objects = platform->objects,
                    .make_classifier = [&] { return model.make_classifier(); },
                    .clock = system_clock(),
                    .rng = system_rng(),
                    .metrics = metrics,
                    .on_ready =
                        [&] {
                          guard->ready();
                          tell_service_manager("READY=1");
                          if (signals) signals->ready();
                        },
                    .on_holding =
                        [&](int held, int finished) {
                          if (signals) signals->holds(held, finished);
                        },
                    .on_drain =
                        [&] {
                          if (signals) signals->draining();
                        },
                    .on_step = hooks.on_step};
  const auto worked = run_worker(settings, std::move(ports), interrupts.token());
  if (signals) signals->ended();
  if (model.is_unusable()) return kExitModelUnusable;  // the worker has said why
  if (!worked) return report(worked.error(), interrupts);
  return exit_code(interrupts);
}

}  // namespace

Command worker_command(const WorkerHooks& hooks) {
  return {.name = "worker",
          .summary = "Receive images from the queue, classify, store and answer",
          .settings = kWorkerCommand,
          .examples = {{"imgrec worker", "one image per core at a time, until it is told to end"},
                       {"imgrec worker --threads 2 --exit-when-idle 60s", "end by itself when there is nothing to do"}},
          .notes = kRoleNotes,
          .run = [hooks](const Invocation& call) { return run_worker_command(call.config(), hooks); }};
}

}  // namespace imgrec
