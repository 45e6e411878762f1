// Messages per second through the local queue: each is sent, received and deleted, durably as in production.
//   queue_benchmark [SECONDS]
// Two processes do the same on one queue file at the same time, each on a queue of its own and then on one they share.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/cpu.hpp"
#include "lib/base/ids.hpp"
#include "lib/base/rng.hpp"
#include "lib/local/sqlite_queue.hpp"

namespace {

using namespace imgrec;

struct Setup {
  const char* what;
  int processes;
  std::size_t batch;
  bool shared;  // one queue for all processes
  bool synced;  // sends wait for the disk
};

constexpr std::size_t kBodyBytes = 600;  // about a request message

[[noreturn]] void give_up(const Error& error) {
  std::fprintf(stderr, "queue_benchmark: %s\n", describe(error).c_str());
  std::_Exit(1);
}

// Messages deleted within the time.
long work(MessageQueue& queue, std::size_t batch_size, MonoTime end) {
  Clock& clock = system_clock();
  const OutgoingMessage message{.body = std::string(kBodyBytes, 'x'), .group_id = {}, .dedup_id = {}};
  const std::vector<OutgoingMessage> batch(batch_size, message);
  long done = 0;
  while (clock.mono_now() < end) {
    if (const auto sent = queue.send(batch, Deadline::in(clock, Seconds(10))); !sent) give_up(sent.error());
    const auto messages = queue.receive({.messages_max = static_cast<int>(batch_size), .wait = Millis(0)}, {});
    if (!messages) give_up(messages.error());
    if (messages->empty()) continue;
    std::vector<Receipt> receipts;
    for (const Message& received : *messages) receipts.push_back(received.receipt);
    const auto removed = queue.remove(receipts);
    if (!removed) give_up(removed.error());
    for (const auto& outcome : *removed) done += outcome ? 1 : 0;
  }
  return done;
}

long work_in_this_process(const std::filesystem::path& file, const Setup& setup, int number, Seconds duration) {
  const auto options_of = [&](const std::string&) {
    return SqliteQueueOptions{.dead_letter = {}, .survives_power_cut = setup.synced};
  };
  auto queues = open_sqlite_queues(file, {.options_of = options_of}, system_clock(), system_rng());
  if (!queues) give_up(queues.error());
  const auto queue = (*queues)->open(setup.shared ? "shared" : "own-" + std::to_string(number));
  if (!queue) give_up(queue.error());
  return work(**queue, setup.batch, system_clock().mono_now() + duration);
}

// Each process writes its count to a pipe.
double messages_per_second(const std::filesystem::path& file, const Setup& setup, Seconds duration) {
  int ends[2];
  if (::pipe(ends) != 0) std::_Exit(1);
  for (int number = 0; number < setup.processes; ++number) {
    if (::fork() == 0) {
      const long done = work_in_this_process(file, setup, number, duration);
      std::_Exit(::write(ends[1], &done, sizeof done) == sizeof done ? 0 : 1);
    }
  }
  ::close(ends[1]);
  long total = 0, done = 0;
  int answers = 0;
  for (; ::read(ends[0], &done, sizeof done) == sizeof done; ++answers) total += done;
  ::close(ends[0]);
  while (::wait(nullptr) > 0) {
  }
  if (answers != setup.processes) std::_Exit(1);
  return static_cast<double>(total) / static_cast<double>(duration.count());
}

}  // namespace

int main(int count, char** values) {
  const Seconds duration(count > 1 ? std::max(1, std::atoi(values[1])) : 3);
  const auto folder = std::filesystem::current_path() / ("queue-benchmark-" + random_hex(system_rng(), 4));
  std::filesystem::create_directories(folder);
  std::printf(
      "Local queue: send + receive + delete, %zu-byte messages, %d cores.\n"
      "Synced: every send waits for the disk, and survives a power cut. All survive kill -9.\n",
      kBodyBytes, usable_cores());
  constexpr Setup kSetups[] = {{"1 process,   batches of 10", 1, 10, false, true},
                               {"2 processes, batches of 10, own queues", 2, 10, false, true},
                               {"2 processes, batches of 10, one queue", 2, 10, true, true},
                               {"1 process,   one at a time", 1, 1, false, true},
                               {"2 processes, one at a time, one queue", 2, 1, true, true},
                               {"1 process,   batches of 10, not synced", 1, 10, false, false},
                               {"2 processes, batches of 10, one queue, not synced", 2, 10, true, false},
                               {"1 process,   one at a time, not synced", 1, 1, false, false},
                               {"2 processes, one at a time, one queue, not synced", 2, 1, true, false}};
  int number = 0;
  for (const Setup& setup : kSetups) {
    std::fflush(stdout);
    const double rate = messages_per_second(folder / std::to_string(++number), setup, duration);
    std::printf("  %-52s %9.0f messages/s\n", setup.what, rate);
  }
  std::filesystem::remove_all(folder);
}
