#include "lib/local/wake_board.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "lib/base/file.hpp"

namespace imgrec {
namespace {

constexpr std::size_t kWords = 1024;
constexpr std::size_t kBytes = kWords * sizeof(std::uint32_t);

std::uint32_t load(std::uint32_t* word) {
  return std::atomic_ref(*word).load(std::memory_order_seq_cst);
}
void increment(std::uint32_t* word) {
  std::atomic_ref(*word).fetch_add(1, std::memory_order_seq_cst);
}

// Not FUTEX_PRIVATE_FLAG: the word is shared with other processes, which the kernel knows by file and offset. The bits
// tell whom a wake is for: a sleeper that has none of them sleeps on.
constexpr std::uint32_t kAllBits = FUTEX_BITSET_MATCH_ANY;
void futex_wait(std::uint32_t* word, std::uint32_t value, std::uint32_t bits) {
  ::syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value, nullptr, nullptr, bits);
}
void futex_wake_all(std::uint32_t* word, std::uint32_t bits) {
  ::syscall(SYS_futex, word, FUTEX_WAKE_BITSET, INT_MAX, nullptr, nullptr, bits);
}
std::uint32_t bit_of(std::int64_t queue) {
  return 1U << (static_cast<std::uint64_t>(queue) % 32);
}

std::unexpected<Error> board_error(const std::filesystem::path& file, int error) {
  const std::string text = "Cannot open " + file.string() + ": " + std::strerror(error) + ".";
  if (error == EACCES || error == EPERM || error == EROFS) return fail(ErrorKind::denied, "queue_denied", text);
  if (error == ENOSPC || error == EDQUOT) return fail(ErrorKind::transient, "disk_full", text + " Free some space.");
  return fail(ErrorKind::transient, "queue_unavailable", text);
}

}  // namespace

Result<std::unique_ptr<WakeBoard>> WakeBoard::open(const std::filesystem::path& file) {
  const Fd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd.ok()) return board_error(file, errno);
  // Allocated, not just long: a page that the disk has no room for would end the process with SIGBUS later.
  if (const int error = ::posix_fallocate(fd.get(), 0, kBytes); error != 0) return board_error(file, error);
  void* memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return board_error(file, errno);
  return std::unique_ptr<WakeBoard>(new WakeBoard(static_cast<std::uint32_t*>(memory)));
}

WakeBoard::~WakeBoard() {
  if (watcher_.joinable()) {
    watcher_.request_stop();
    increment(words_);
    futex_wake_all(words_, kAllBits);
    watcher_.join();
  }
  ::munmap(words_, kBytes);
}

std::uint32_t* WakeBoard::counter_of(std::int64_t queue) const {
  return words_ + 1 + static_cast<std::size_t>(queue) % (kWords - 1);
}

std::uint32_t WakeBoard::seen(std::int64_t queue) const {
  return load(counter_of(queue));
}

void WakeBoard::ring(std::int64_t queue) {
  increment(counter_of(queue));
  increment(words_);
  futex_wake_all(words_, bit_of(queue));
}

void WakeBoard::wait(std::int64_t queue, std::uint32_t seen, MonoTime until, Clock& clock,
                     const std::stop_token& stop) {
  std::list<Waiter>::iterator waiter;
  {
    std::lock_guard lock(mutex_);
    if (!watcher_.joinable()) watcher_ = std::jthread([this](const std::stop_token& ended) { watch(ended); });
    waiter = waiters_.insert(waiters_.end(), {counter_of(queue), seen, {}});
    waiters_changed_.notify_all();
    if ((bits_ & bit_of(queue)) == 0) {
      bits_ |= bit_of(queue);
      increment(words_);  // a watcher that sleeps already begins anew, with this bit too
      futex_wake_all(words_, kAllBits);
    }
  }
  {
    // In this order nothing is missed: a ring before this line is seen here, one after it finds the waiter in the list.
    if (load(waiter->counter) != seen) waiter->wake.request_stop();
    const std::stop_callback stopped(stop, [&] { waiter->wake.request_stop(); });
    clock.sleep_until(until, waiter->wake.get_token());
  }
  std::lock_guard lock(mutex_);
  waiters_.erase(waiter);
}

void WakeBoard::watch(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::uint32_t all = 0, bits = 0;
    {
      std::unique_lock lock(mutex_);
      waiters_changed_.wait(lock, stop, [&] { return !waiters_.empty(); });
      all = load(words_);  // read before the bits: whoever adds one moves it afterwards
      bits = bits_;
    }
    wake_changed();
    if (!stop.stop_requested()) futex_wait(words_, all, bits);
  }
}

void WakeBoard::wake_changed() {
  std::lock_guard lock(mutex_);
  for (Waiter& waiter : waiters_) {
    if (load(waiter.counter) != waiter.seen) waiter.wake.request_stop();
  }
}

}  // namespace imgrec
