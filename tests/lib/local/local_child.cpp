// A program for the tests of lib/local, which need real processes: a worker of a fleet in several moods, a parent with
// workers, and senders and receivers of a queue. Prints what it did, a line each, so that the test sees how far it was.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "lib/base/environment.hpp"
#include "lib/base/rng.hpp"
#include "lib/local/child_guard.hpp"
#include "lib/local/process_fleet.hpp"
#include "lib/local/sqlite_queue.hpp"

namespace imgrec {
namespace {

using Arguments = std::vector<std::string>;

void say(const std::string& line) {
  const std::string text = line + "\n";
  if (::write(STDOUT_FILENO, text.data(), text.size()) < 0) ::_exit(9);
}

int wait_for_sigterm() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  int signal = 0;
  ::sigwait(&set, &signal);
  return 0;
}

void block_sigterm() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

// FOLDER/WORKER_ID gets the process id: so the test finds the worker of an instance.
void leave_pid(const std::string& folder) {
  const std::string id = environment_variable("IMGREC_WORKER_ID").value_or("none");
  std::ofstream(folder + "/." + id) << ::getpid() << "\n";
  std::filesystem::rename(folder + "/." + id, folder + "/" + id);
}

// A well-behaved worker.
int serve(const Arguments& arguments) {
  block_sigterm();
  const auto guard = make_child_guard([] { ::kill(::getpid(), SIGTERM); }, Millis(2'000));
  leave_pid(arguments.at(0));
  guard->ready();
  return wait_for_sigterm();
}

// Never says that it is ready.
int quiet(const Arguments& arguments) {
  block_sigterm();
  const auto guard = make_child_guard([] { ::kill(::getpid(), SIGTERM); }, Millis(2'000));
  leave_pid(arguments.at(0));
  return wait_for_sigterm();
}

// Hears neither SIGTERM nor that its parent is gone.
int stubborn(const Arguments& arguments) {
  block_sigterm();
  const auto guard = make_child_guard([] { ::pause(); }, Millis(500));
  leave_pid(arguments.at(0));
  guard->ready();
  while (true) ::pause();
}

// Writes what it has inherited.
int inspect(const Arguments& arguments) {
  block_sigterm();
  {
    std::ofstream out(arguments.at(0) + "/.inherited");
    std::map<int, std::string> fds;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      const auto target = std::filesystem::read_symlink(entry.path(), ignored).string();
      if (target.find("/proc/") == std::string::npos && target.find("inherited") == std::string::npos) {
        fds[std::stoi(entry.path().filename().string())] = target;
      }
    }
    for (const auto& [fd, target] : fds) out << "fd " << fd << " " << target.substr(0, target.find(':')) << "\n";
    for (const auto& variable : environment_of_this_process()) {
      if (variable.starts_with("IMGREC_")) out << variable << "\n";
    }
    out << "own group " << (::getpgrp() == ::getpid()) << "\n";
    for (std::size_t i = 1; i < arguments.size(); ++i) out << "argument " << arguments[i] << "\n";
  }
  std::filesystem::rename(arguments.at(0) + "/.inherited", arguments.at(0) + "/inherited");
  const auto guard = make_child_guard([] { ::kill(::getpid(), SIGTERM); }, Millis(2'000));
  guard->ready();
  return wait_for_sigterm();
}

// A parent with three workers in the given mood, to be killed.
int parent(const Arguments& arguments) {
  const auto fleet = make_process_fleet({.executable = "/proc/self/exe",
                                         .arguments = {arguments.at(1), arguments.at(0)},
                                         .environment = {},
                                         .instances_max = 3},
                                        system_clock(), system_rng());
  if (!fleet->launch({.count = 3, .token = LaunchToken("t")})) return 1;
  while (true) ::pause();
}

std::shared_ptr<MessageQueue> open_queue(const std::string& file, std::unique_ptr<QueueDirectory>& directory) {
  auto opened =
      open_sqlite_queues(file, {[](const std::string&) { return SqliteQueueOptions{}; }}, system_clock(), system_rng());
  if (!opened) {
    say("error " + describe(opened.error()));
    ::_exit(1);
  }
  directory = *std::move(opened);
  return directory->open("q").value();
}

// Sends "NAME-0", "NAME-1", … ten at a time and says each that was accepted. FILE NAME COUNT
int send(const Arguments& arguments) {
  std::unique_ptr<QueueDirectory> directory;
  const auto queue = open_queue(arguments.at(0), directory);
  const int count = std::stoi(arguments.at(2));
  for (int i = 0; i < count; i += 10) {
    std::vector<OutgoingMessage> batch;
    for (int j = i; j < std::min(i + 10, count); ++j) {
      batch.push_back({.body = arguments.at(1) + "-" + std::to_string(j), .group_id = {}, .dedup_id = {}});
    }
    const auto outcomes = queue->send(batch, Deadline::in(system_clock(), Seconds(20)));
    if (!outcomes) return say("error " + describe(outcomes.error())), 1;
    for (std::size_t j = 0; j < batch.size(); ++j) {
      if ((*outcomes)[j]) say(batch[j].body);
    }
  }
  return 0;
}

// Receives and says every body, and removes it when it is told to, until killed. FILE VISIBILITY_MS keep|remove
int receive(const Arguments& arguments) {
  std::unique_ptr<QueueDirectory> directory;
  const auto queue = open_queue(arguments.at(0), directory);
  say("up");
  while (true) {
    const auto messages = queue->receive({.wait = Seconds(20), .visibility = Millis(std::stoi(arguments.at(1)))}, {});
    if (!messages) return say("error " + describe(messages.error())), 1;
    for (const Message& message : *messages) {
      say(message.body);
      if (arguments.at(2) != "remove") continue;
      const auto removed = queue->remove({&message.receipt, 1});
      if (removed && removed->front()) say("removed " + message.body);
    }
  }
}

}  // namespace
}  // namespace imgrec

int main(int count, char** values) {
  using namespace imgrec;
  const std::vector<std::string> arguments(values + 1, values + count);
  const std::map<std::string, std::function<int(const Arguments&)>> commands = {
      {"serve", serve},   {"quiet", quiet}, {"stubborn", stubborn}, {"inspect", inspect},
      {"parent", parent}, {"send", send},   {"receive", receive},   {"fail", [](const Arguments&) { return 3; }}};
  const auto command = arguments.empty() ? commands.end() : commands.find(arguments[0]);
  if (command == commands.end()) return 2;
  const int status = command->second({arguments.begin() + 1, arguments.end()});
  // Not by exit(): the leak check there waits for ever, now and then, when a thread is just starting, as the child
  // guard's does.
  std::fflush(nullptr);
  ::_exit(status);
}
