#include "lib/local/process_fleet.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

#include "lib/base/environment.hpp"
#include "lib/base/log.hpp"
#include "lib/local/spawn.hpp"

namespace imgrec {
namespace {

constexpr std::size_t kTokensKept = 1000;
constexpr Millis kChildrenLookAgain = std::chrono::minutes(1);  // for ended children when nobody asks
constexpr int kReapIntervalMs = 10;                             // while the fleet is destroyed

struct Worker {
  Instance instance;
  int number = 0;                // of its app_tier_id
  std::optional<Child> child{};  // until the boot delay is over: none
  MonoTime launched{};
  MonoTime starts_at{};  // launched + its boot delay
  bool was_ready = false;
  std::optional<MonoTime> kill_at{};  // set by terminate()
};

std::string describe_end(int status) {
  if (WIFEXITED(status)) return "exit status " + std::to_string(WEXITSTATUS(status));
  if (WIFSIGNALED(status))
    return std::string("signal ") + std::to_string(WTERMSIG(status)) + " (" + ::sigdescr_np(WTERMSIG(status)) + ")";
  return "status " + std::to_string(status);
}

class ProcessFleet final : public Fleet {
 public:
  ProcessFleet(ProcessFleetOptions options, Clock& clock, Rng& rng)
      : options_(std::move(options)), clock_(clock), rng_(rng) {
    watcher_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
  }

  ~ProcessFleet() override {
    watcher_.request_stop();
    watcher_.join();
    std::lock_guard lock(mutex_);
    std::erase_if(workers_, [](const Worker& worker) { return !worker.child; });
    for (Worker& worker : workers_) {
      worker.kill_at = MonoTime::max();
      ::kill(worker.child->pid, SIGTERM);
    }
    // Real time, since the children live in it.
    const MonoTime end = system_clock().mono_now() + options_.stop_timeout;
    for (reap(); !workers_.empty() && system_clock().mono_now() < end; reap()) ::poll(nullptr, 0, kReapIntervalMs);
    for (Worker& worker : workers_) {
      ::kill(worker.child->pid, SIGKILL);
      int status = 0;
      while (::waitpid(worker.child->pid, &status, 0) < 0 && errno == EINTR) {
      }
      log_end(worker, status);
    }
  }

  Result<std::vector<Instance>> describe(const CallLimits& limits) override {
    if (auto within = limits.check(clock_); !within) return fail(within.error());
    std::lock_guard lock(mutex_);
    reap();
    read_ready_bytes();
    std::vector<Instance> instances;
    for (const Worker& worker : workers_) instances.push_back(worker.instance);
    return instances;
  }

  Result<std::vector<Instance>> launch(const LaunchRequest& request, const CallLimits& limits) override {
    if (request.count < 1 || request.token.empty()) {
      return fail(ErrorKind::invalid, "bad_launch", "A launch has a count of 1 or more, and a token.");
    }
    if (auto within = limits.check(clock_); !within) return fail(within.error());
    std::lock_guard lock(mutex_);
    reap();
    read_ready_bytes();
    const auto before = std::ranges::find(launches_, request.token, &Launch::token);
    if (before != launches_.end()) return as_now(before->instances);
    const int free = options_.instances_max - static_cast<int>(workers_.size());
    if (free <= 0) {
      return fail(ErrorKind::throttled, "fleet_full",
                  "All " + std::to_string(options_.instances_max) + " workers that are allowed are there.");
    }
    std::vector<Instance> started;
    for (int i = 0; i < std::min(free, request.count); ++i) {
      auto instance = start_one();
      if (!instance && started.empty()) return fail(instance.error());
      if (!instance) break;
      started.push_back(*std::move(instance));
    }
    launches_.push_back({request.token, started});
    if (launches_.size() > kTokensKept) launches_.pop_front();
    wake_watcher();
    return started;
  }

  Result<void> terminate(std::span<const InstanceId> ids, const CallLimits& limits) override {
    if (auto within = limits.check(clock_); !within) return fail(within.error());
    std::lock_guard lock(mutex_);
    reap();
    std::erase_if(workers_, [&](const Worker& worker) {
      if (worker.child || std::ranges::find(ids, worker.instance.id) == ids.end()) return false;
      log::info("worker ended before it had booted",
                {{"instance", worker.instance.id}, {"app_tier_id", worker.instance.app_tier_id}});
      return true;
    });
    for (Worker& worker : workers_) {
      if (std::ranges::find(ids, worker.instance.id) == ids.end()) continue;
      if (worker.instance.state == InstanceState::stopping) continue;
      worker.instance.state = InstanceState::stopping;
      worker.kill_at = clock_.mono_now() + options_.stop_timeout;
      ::kill(worker.child->pid, SIGTERM);
    }
    wake_watcher();
    return {};
  }

 private:
  struct Launch {
    LaunchToken token;
    std::vector<Instance> instances;
  };

  Result<Instance> start_one() {
    Worker worker;
    worker.number = lowest_free_number();
    worker.instance = {.id = InstanceId("i-" + random_hex(rng_, 8)),
                       .state = InstanceState::pending,
                       .app_tier_id = "app-tier-" + std::to_string(worker.number),
                       .launched_at = clock_.wall_now()};
    worker.launched = clock_.mono_now();
    const Millis delay = draw_boot_delay();
    worker.starts_at = worker.launched + delay;
    if (delay == Millis(0)) {
      if (auto started = start_child(worker); !started) return fail(started.error());
    } else {
      log::info("worker boots", {{"instance", worker.instance.id},
                                 {"app_tier_id", worker.instance.app_tier_id},
                                 {"boot_delay_ms", delay.count()}});
    }
    workers_.push_back(std::move(worker));
    return workers_.back().instance;
  }

  Millis draw_boot_delay() const {
    const auto span = static_cast<double>((options_.boot_delay.max - options_.boot_delay.min).count() + 1);
    return options_.boot_delay.min + Millis(static_cast<std::int64_t>(rng_.next_unit() * span));
  }

  Result<void> start_child(Worker& worker) const {
    auto child = spawn_child({options_.executable, options_.name, options_.arguments, environment_of(worker.instance)});
    if (!child) return fail(child.error());
    worker.child = *std::move(child);
    log::info(
        "worker started",
        {{"instance", worker.instance.id}, {"app_tier_id", worker.instance.app_tier_id}, {"pid", worker.child->pid}});
    return {};
  }

  // Starts the children whose boot delay is over. Returns when the next one is.
  MonoTime start_booted() {
    const MonoTime now = clock_.mono_now();
    MonoTime next = MonoTime::max();
    std::erase_if(workers_, [&](Worker& worker) {
      if (worker.child) return false;
      if (now < worker.starts_at) {
        next = std::min(next, worker.starts_at);
        return false;
      }
      const auto started = start_child(worker);
      if (!started) {
        log::error("worker cannot be started",
                   {{"instance", worker.instance.id}, {"error", imgrec::describe(started.error())}});
      }
      return !started;
    });
    return next;
  }

  int lowest_free_number() const {
    int number = 1;
    while (std::ranges::find(workers_, number, &Worker::number) != workers_.end()) ++number;
    return number;
  }

  // Ours, with what the options add or replace, and what tells the worker who it is.
  std::vector<std::string> environment_of(const Instance& instance) const {
    auto added = options_.environment;
    added.emplace_back("IMGREC_WORKER_ID", instance.id.str());
    added.emplace_back("IMGREC_WORKER_APP_TIER_ID", instance.app_tier_id);
    std::vector<std::string> variables = environment_of_this_process();
    for (const auto& [name, value] : added) {
      std::erase_if(variables, [&](const std::string& variable) { return variable.starts_with(name + "="); });
      variables.push_back(name + "=" + value);
    }
    std::erase_if(variables, [](const std::string& variable) {
      // systemd hears of the service from its first process alone.
      return variable.starts_with("IMGREC_PARENT_FD=") || variable.starts_with("IMGREC_READY_FD=") ||
             variable.starts_with("NOTIFY_SOCKET=");
    });
    return variables;
  }

  // The instances of an earlier launch in the state that they have now; "stopping" for those that are gone.
  std::vector<Instance> as_now(std::vector<Instance> instances) const {
    for (Instance& instance : instances) {
      const auto worker = std::ranges::find(workers_, instance.id, [](const Worker& w) { return w.instance.id; });
      instance.state = worker == workers_.end() ? InstanceState::stopping : worker->instance.state;
    }
    return instances;
  }

  // Takes out those that ended. Only our own pids are waited for: other parts of the process may have children too.
  void reap() {
    std::erase_if(workers_, [&](Worker& worker) {
      if (!worker.child) return false;
      int status = 0;
      const pid_t ended = ::waitpid(worker.child->pid, &status, WNOHANG);
      if (ended == 0 || (ended < 0 && errno == EINTR)) return false;
      take_ready_byte(worker);
      log_end(worker, status);
      if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        dead_.push_back(worker.child->pid);
        wake_watcher();
      }
      return true;
    });
  }

  void log_end(const Worker& worker, int status) const {
    const bool expected = worker.kill_at || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
    log::write(expected ? log::Level::info : log::Level::warning, "worker ended",
               {{"instance", worker.instance.id},
                {"app_tier_id", worker.instance.app_tier_id},
                {"pid", worker.child->pid},
                {"how", describe_end(status)},
                {"was_ready", worker.was_ready},
                {"after_ms", elapsed_ms(worker.launched, clock_.mono_now())}});
  }

  void read_ready_bytes() {
    for (Worker& worker : workers_) take_ready_byte(worker);
  }

  void take_ready_byte(Worker& worker) {
    char byte = 0;
    if (!worker.child || worker.was_ready || ::read(worker.child->ready.get(), &byte, 1) != 1) return;
    worker.was_ready = true;
    if (worker.instance.state == InstanceState::pending) worker.instance.state = InstanceState::running;
  }

  void wake_watcher() { deadlines_changed_.request_stop(); }

  // A thread's loop: starts children after their boot delay, kills those that were told to end and did not, and calls
  // on_death for those that died.
  void watch(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      MonoTime next = clock_.mono_now() + kChildrenLookAgain;
      std::stop_token changed;
      std::vector<pid_t> dead;
      {
        std::lock_guard lock(mutex_);
        reap();
        dead.swap(dead_);
        next = std::min(next, start_booted());
        for (Worker& worker : workers_) {
          if (!worker.kill_at || *worker.kill_at == MonoTime::max()) continue;
          if (clock_.mono_now() >= *worker.kill_at) {
            log::warning("worker did not end in time: killing it",
                         {{"instance", worker.instance.id}, {"pid", worker.child->pid}});
            ::kill(worker.child->pid, SIGKILL);
            worker.kill_at = MonoTime::max();  // once is enough
          } else {
            next = std::min(next, *worker.kill_at);
          }
        }
        deadlines_changed_ = std::stop_source();
        changed = deadlines_changed_.get_token();
      }
      for (const pid_t pid : dead) options_.on_death(pid, stop);
      const std::stop_callback stopped(stop, [&] {
        std::lock_guard lock(mutex_);
        wake_watcher();
      });
      clock_.sleep_until(next, changed);
    }
  }

  const ProcessFleetOptions options_;
  Clock& clock_;
  Rng& rng_;
  std::mutex mutex_;
  std::vector<Worker> workers_;         // oldest first
  std::deque<Launch> launches_;         // the latest
  std::vector<pid_t> dead_;             // on_death is to be called for these
  std::stop_source deadlines_changed_;  // or dead_, or who boots
  std::jthread watcher_;
};

}  // namespace

std::unique_ptr<Fleet> make_process_fleet(ProcessFleetOptions options, Clock& clock, Rng& rng) {
  return std::make_unique<ProcessFleet>(std::move(options), clock, rng);
}

}  // namespace imgrec
