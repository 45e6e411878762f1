// What the contract does not say: the file, its limits and its failures.
#include "lib/local/sqlite_queue.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <future>
#include <thread>

#include "tests/support/fake_clock.hpp"
#include "tests/support/temp_dir.hpp"

namespace imgrec::sqlite_queue_test {
namespace {

namespace fs = std::filesystem;

class SqliteQueueTest : public testing::Test {
 protected:
  Result<std::unique_ptr<SqliteQueues>> open(std::uint64_t file_bytes_max = 64 * kMiB) {
    SqliteQueueRules rules;
    rules.options_of = [](const std::string& name) -> std::optional<SqliteQueueOptions> {
      if (name == "unknown") return std::nullopt;
      SqliteQueueOptions options;
      options.fifo = name.ends_with(".fifo");
      options.survives_power_cut = !name.starts_with("quick");
      return options;
    };
    rules.file_bytes_max = file_bytes_max;
    rules.boot_id = boot_id_;
    rules.sync_file = sync_file_;
    return open_sqlite_queues(file_, std::move(rules), clock_, rng_);
  }
  Result<MessageId> send(MessageQueue& queue, const std::string& body) {
    const OutgoingMessage message{.body = body, .group_id = {}, .dedup_id = {}};
    auto outcomes = queue.send({&message, 1}, Deadline::in(clock_, Seconds(10)));
    if (!outcomes) return fail(outcomes.error());
    return outcomes->front();
  }
  std::vector<Message> receive(MessageQueue& queue, Millis visibility = Seconds(30)) {
    return queue.receive({.wait = Millis(0), .visibility = visibility}, {}).value();
  }

  test::TempDir dir_;
  const fs::path file_ = dir_.path() / "queues.db";
  test::FakeClock clock_;
  test::SeededRng rng_;
  std::string boot_id_ = "first boot";
  std::function<int(int)> sync_file_;
};

// Another process that writes: to SQLite it makes no difference that it is this one.
class LockHolder {
 public:
  explicit LockHolder(const fs::path& file) {
    EXPECT_EQ(sqlite3_open(file.c_str(), &connection_), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(connection_, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  }
  ~LockHolder() { sqlite3_close(connection_); }
  LockHolder(const LockHolder&) = delete;
  LockHolder& operator=(const LockHolder&) = delete;

 private:
  sqlite3* connection_ = nullptr;
};

TEST_F(SqliteQueueTest, KeepsItsMessagesWhenOpenedAgain) {
  {
    const auto queues = open();
    const auto queue = (*queues)->open("q").value();
    ASSERT_TRUE(send(*queue, "waiting"));
    ASSERT_TRUE(send(*queue, "in flight"));
    ASSERT_EQ(queue->receive({.messages_max = 1}, {})->size(), 1U);
  }
  const auto queues = open();
  const auto queue = (*queues)->open("q").value();
  EXPECT_EQ(queue->depth()->visible, 1U);
  EXPECT_EQ(queue->depth()->in_flight, 1U);
  clock_.advance(Seconds(30));
  EXPECT_EQ(receive(*queue).size(), 2U);
}

TEST_F(SqliteQueueTest, WhatADeadProcessHeldIsReleasedAtOnce) {
  const auto queues = open();
  const auto a = (*queues)->open("a").value(), b = (*queues)->open("b").value();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(send(*a, "for a"));
  ASSERT_TRUE(send(*b, "for b"));
  ASSERT_EQ(receive(*a).size(), 3U);
  const auto held = receive(*b);
  ASSERT_EQ(held.size(), 1U);
  EXPECT_EQ((*queues)->release_held_by(::getpid() + 1, {}), 0U);
  EXPECT_EQ(a->depth()->in_flight, 3U);
  EXPECT_EQ((*queues)->release_held_by(::getpid(), {}), 4U);
  const auto again = receive(*a);
  ASSERT_EQ(again.size(), 3U);
  EXPECT_EQ(again[0].receive_count, 2) << "it may be what the process died of";
  EXPECT_EQ(b->remove({&held[0].receipt, 1})->size(), 1U);
}

TEST_F(SqliteQueueTest, QueuesAreApart) {
  const auto queues = open();
  const auto a = (*queues)->open("a").value(), b = (*queues)->open("b").value();
  EXPECT_EQ((*queues)->open("a").value(), a);
  ASSERT_TRUE(send(*a, "for a"));
  EXPECT_TRUE(receive(*b).empty());
  const auto messages = receive(*a);
  ASSERT_EQ(messages.size(), 1U);
  EXPECT_EQ(b->remove({&messages[0].receipt, 1})->front().error().code, "stale_receipt");
  EXPECT_TRUE(a->remove({&messages[0].receipt, 1})->front());
}

TEST_F(SqliteQueueTest, AQueueMayOutliveItsDirectory) {
  auto queues = open();
  const auto queue = (*queues)->open("q").value();
  queues->reset();
  ASSERT_TRUE(send(*queue, "x"));
  EXPECT_EQ(receive(*queue).size(), 1U);
}

TEST_F(SqliteQueueTest, NamesAreChecked) {
  const auto queues = open();
  for (const std::string& name : {std::string(), std::string("a/b"), std::string("a b"), std::string(81, 'a')}) {
    EXPECT_EQ((*queues)->open(name).error().code, "bad_queue_name") << name;
  }
  EXPECT_TRUE((*queues)->open(std::string(80, 'a')));
  EXPECT_EQ((*queues)->open("unknown").error().code, "no_such_queue");
}

TEST_F(SqliteQueueTest, ATypeDoesNotChange) {
  {
    ASSERT_TRUE((*open())->open("q.fifo"));
  }
  auto queues = open_sqlite_queues(file_, {[](const std::string&) { return SqliteQueueOptions{}; }}, clock_, rng_);
  EXPECT_EQ((*queues)->open("q.fifo").error().code, "queue_type_differs");
}

TEST_F(SqliteQueueTest, OnlyWhatIsInFlightIsExtended) {
  const auto queues = open();
  const auto queue = (*queues)->open("q").value();
  ASSERT_TRUE(send(*queue, "x"));
  const Receipt receipt = receive(*queue).at(0).receipt;
  ASSERT_TRUE(queue->extend({&receipt, 1}, Millis(0))->front());
  // A lease keeper that comes too late must not hide what was returned.
  EXPECT_EQ(queue->extend({&receipt, 1}, Seconds(30))->front().error().code, "stale_receipt");
  EXPECT_EQ(receive(*queue).size(), 1U);
}

TEST_F(SqliteQueueTest, WhatNobodyReceivedIsRemovedOnRequest) {
  std::optional<WallTime> before;
  {
    const auto queues = open();
    const auto forgotten = (*queues)->open("forgotten").value(), groups = (*queues)->open("q.fifo").value();
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(send(*forgotten, "old"));
    const OutgoingMessage grouped{.body = "old", .group_id = "g", .dedup_id = "d"};
    ASSERT_TRUE(groups->send({&grouped, 1}, Deadline::in(clock_, Seconds(10)))->front());
    clock_.advance(Seconds(100));
    before = clock_.wall_now();
    ASSERT_TRUE(send(*forgotten, "just in time"));
  }
  // No queue has to be open for it.
  const auto queues = open();
  const auto queue = (*queues)->open("q").value();
  ASSERT_TRUE(send(*queue, "x"));
  EXPECT_EQ((*queues)->remove_unread(*before, 3), 3U);
  EXPECT_EQ((*queues)->remove_unread(*before, 3), 1U);
  EXPECT_EQ((*queues)->remove_unread(*before, 3), 0U);
  const auto left = receive(*(*queues)->open("forgotten").value());
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left[0].body, "just in time");
  EXPECT_TRUE(receive(*(*queues)->open("q.fifo").value()).empty());
  EXPECT_EQ(receive(*queue).size(), 1U);
}

TEST_F(SqliteQueueTest, AnOldMessageThatIsBeingWorkedOnOrCameBackIsNotRemoved) {
  const auto queues = open();
  const auto queue = (*queues)->open("q").value();
  ASSERT_TRUE(send(*queue, "in flight"));
  ASSERT_TRUE(send(*queue, "given back"));
  clock_.advance(Seconds(100));
  const auto messages = receive(*queue);
  ASSERT_EQ(messages.size(), 2U);
  ASSERT_TRUE(queue->extend({&messages[1].receipt, 1}, Millis(0))->front());
  EXPECT_EQ((*queues)->remove_unread(clock_.wall_now(), 10), 0U);
  EXPECT_EQ(queue->depth()->in_flight, 1U);
  EXPECT_EQ(queue->depth()->visible, 1U);
}

TEST_F(SqliteQueueTest, ReceiptsCannotBeGuessedOrForged) {
  const auto queues = open();
  const auto queue = (*queues)->open("q").value();
  ASSERT_TRUE(send(*queue, "x"));
  const std::string good = receive(*queue).at(0).receipt.str();
  const std::vector<std::string> forged = {good + "0", good.substr(0, good.size() - 1), "1-0", "1", "", "-1-1",
                                           "1' OR 1=1"};
  for (const std::string& bad : forged) {
    const Receipt receipt(bad);
    EXPECT_EQ(queue->remove({&receipt, 1})->front().error().code, "stale_receipt") << bad;
  }
  const Receipt receipt(good);
  EXPECT_TRUE(queue->remove({&receipt, 1})->front());
}

TEST_F(SqliteQueueTest, ADeadlineThatHasPassedSendsNothing) {
  const auto queues = open();
  const auto queue = (*queues)->open("q").value();
  const OutgoingMessage message{.body = "x", .group_id = {}, .dedup_id = {}};
  EXPECT_EQ(queue->send({&message, 1}, Deadline{clock_.mono_now()}).error().code, "timeout");
  EXPECT_TRUE(receive(*queue).empty());
}

TEST_F(SqliteQueueTest, SendsGoOnWhenAnotherProcessReleasesTheFile) {
  const auto queues = open();
  const auto queue = (*queues)->open("q").value(), other = (*queues)->open("other").value();
  const OutgoingMessage message{.body = "x", .group_id = {}, .dedup_id = {}};
  std::vector<std::future<bool>> waiting;
  {
    const LockHolder holder(file_);
    for (int i = 0; i < 3; ++i) {
      waiting.push_back(std::async(std::launch::async, [&] { return send(*queue, "y").has_value(); }));
    }
    // What only reads is not held up, nor a send that has less time, nor one that is stopped.
    EXPECT_TRUE(queue->depth());
    EXPECT_TRUE(receive(*other).empty());
    EXPECT_EQ(other->send({&message, 1}, Deadline::in(clock_, Millis(20))).error().kind, ErrorKind::transient);
    std::stop_source stop;
    auto stopped = std::async(std::launch::async, [&] { return other->send({&message, 1}, stop.get_token()); });
    stop.request_stop();
    EXPECT_EQ(stopped.get().error().kind, ErrorKind::cancelled);
  }
  for (auto& sent : waiting) EXPECT_TRUE(sent.get());
  EXPECT_EQ(receive(*queue).size(), 3U);
  EXPECT_TRUE(receive(*other).empty());
}

TEST_F(SqliteQueueTest, SettingTheWallClockBackHidesNothing) {
  const auto queues = open();
  const auto queue = (*queues)->open("q").value();
  ASSERT_TRUE(send(*queue, "x"));
  ASSERT_EQ(receive(*queue).size(), 1U);
  clock_.shift_wall(-std::chrono::hours(1));
  clock_.advance(Seconds(30));
  EXPECT_EQ(queue->depth()->oldest_age, Seconds(30));
  const auto again = receive(*queue);
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].sent_at, clock_.wall_now() - Seconds(30));
  EXPECT_EQ((*queues)->remove_unread(clock_.wall_now(), 10), 0U);
}

TEST_F(SqliteQueueTest, AfterANewBootNothingStaysHidden) {
  {
    const auto queues = open();
    const auto queue = (*queues)->open("q").value();
    ASSERT_TRUE(send(*queue, "in flight"));
    ASSERT_EQ(receive(*queue, std::chrono::hours(12)).size(), 1U);
    const OutgoingMessage late{.body = "delayed", .group_id = {}, .dedup_id = {}, .delay = std::chrono::minutes(15)};
    ASSERT_TRUE(queue->send({&late, 1}));
  }
  {
    const auto queues = open();
    EXPECT_TRUE(receive(*(*queues)->open("q").value()).empty()) << "the same boot";
  }
  boot_id_ = "second boot";
  clock_.shift_wall(-std::chrono::hours(24));
  const auto queues = open();
  const auto queue = (*queues)->open("q").value();
  const auto found = receive(*queue, std::chrono::hours(1));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].body, "in flight");
  clock_.advance(std::chrono::minutes(15));
  EXPECT_EQ(receive(*queue).size(), 1U);
}

TEST_F(SqliteQueueTest, AReturnedMessageIsNoDelivery) {
  const auto queues = open();
  const auto queue = (*queues)->open("q").value();
  ASSERT_TRUE(send(*queue, "x"));
  for (int i = 0; i < 5; ++i) {
    const auto taken = receive(*queue);
    ASSERT_EQ(taken.size(), 1U);
    EXPECT_EQ(taken[0].receive_count, 1);
    ASSERT_TRUE(queue->extend({&taken[0].receipt, 1}, Millis(0))->front());
  }
  ASSERT_EQ(receive(*queue).size(), 1U);
  clock_.advance(Seconds(30));
  EXPECT_EQ(receive(*queue).at(0).receive_count, 2) << "a lease that ended is one";
}

TEST_F(SqliteQueueTest, AWriteThatTheDiskLostFailsAllThatWaitedForIt) {
  std::promise<void> failing;
  auto fails = failing.get_future().share();
  std::atomic<int> syncs = 0;
  sync_file_ = [&](int fd) {
    if (++syncs > 1) return ::fdatasync(fd);
    fails.wait();
    errno = EIO;
    return -1;
  };
  const auto queues = open();
  const auto queue = (*queues)->open("q").value();
  std::vector<std::future<Result<MessageId>>> sent;
  for (int i = 0; i < 3; ++i) sent.push_back(std::async(std::launch::async, [&] { return send(*queue, "x"); }));
  while (queue->depth()->visible < 3) std::this_thread::yield();  // all are committed, and one waits for the disk
  failing.set_value();
  for (auto& one : sent) EXPECT_EQ(one.get().error().code, "queue_unavailable");
  EXPECT_EQ(syncs, 1);
  EXPECT_FALSE(send(*queue, "x")) << "the next sync of the kernel would succeed, and the lost pages stay lost";
  EXPECT_EQ(syncs, 1);
  const MonoTime end = system_clock().mono_now() + Seconds(30);
  while (!send(*queue, "later") && system_clock().mono_now() < end) std::this_thread::sleep_for(Millis(20));
  EXPECT_EQ(syncs, 2) << "the log was written again";
  EXPECT_TRUE(send(*queue, "later"));
}

TEST_F(SqliteQueueTest, AFullFileIsNamedAndRecovers) {
  const auto queues = open(kMiB);
  const auto queue = (*queues)->open("q").value();
  const std::string body(50 * kKiB, 'x');
  int sent = 0;
  Result<MessageId> outcome;
  while ((outcome = send(*queue, body)) && sent < 100) ++sent;
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, ErrorKind::transient);
  EXPECT_EQ(outcome.error().code, "disk_full");
  EXPECT_GT(sent, 10);
  EXPECT_EQ(queue->depth()->visible, static_cast<std::uint64_t>(sent)) << "nothing accepted is lost";
  // Everybody who can make room still can.
  const auto messages = receive(*queue);
  ASSERT_FALSE(messages.empty());
  for (const Message& message : messages) EXPECT_TRUE(queue->remove({&message.receipt, 1})->front());
  EXPECT_TRUE(send(*queue, body));
}

TEST_F(SqliteQueueTest, RoomIsUsedAgain) {
  const auto queues = open(4 * kMiB);
  const auto queue = (*queues)->open("quick").value();
  for (int i = 0; i < 400; ++i) {  // 40 MiB in all
    ASSERT_TRUE(send(*queue, std::string(100 * kKiB, 'x'))) << i;
    const auto messages = receive(*queue);
    ASSERT_EQ(messages.size(), 1U);
    ASSERT_TRUE(queue->remove({&messages[0].receipt, 1})->front());
  }
}

TEST_F(SqliteQueueTest, DedupIdsArePurged) {
  const auto queues = open(kMiB);  // full after some thousands of them
  const auto queue = (*queues)->open("quick.fifo").value();
  for (int i = 0; i < 20'000; i += 10) {
    std::vector<OutgoingMessage> batch;
    for (int j = i; j < i + 10; ++j) {
      batch.push_back({.body = "x", .group_id = "g", .dedup_id = std::string(100, 'd') + std::to_string(j)});
    }
    const auto outcomes = queue->send(batch, Deadline::in(clock_, Seconds(10)));
    ASSERT_TRUE(outcomes) << i << describe(outcomes.error());
    std::vector<Receipt> receipts;
    for (const Message& message : receive(*queue)) receipts.push_back(message.receipt);
    ASSERT_EQ(receipts.size(), 10U);
    ASSERT_TRUE(queue->remove(receipts));
    clock_.advance(Seconds(10));
  }
}

TEST_F(SqliteQueueTest, ADamagedFileIsNamed) {
  std::ofstream(file_) << std::string(8192, 'x');
  auto queues = open();
  ASSERT_FALSE(queues);
  EXPECT_EQ(queues.error().kind, ErrorKind::invalid);
  EXPECT_EQ(queues.error().code, "queue_file_damaged");
}

TEST_F(SqliteQueueTest, DamageInTheMiddleIsNamed) {
  {
    const auto queues = open();
    const auto queue = (*queues)->open("q").value();
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(send(*queue, std::string(3000, 'x')));
  }
  {
    std::fstream damaged(file_, std::ios::in | std::ios::out | std::ios::binary);
    damaged.seekp(4096);
    const std::string noise(400'000, '\x5A');
    damaged.write(noise.data(), static_cast<std::streamsize>(noise.size()));
  }
  Error error;
  if (auto queues = open(); !queues) {
    error = queues.error();
  } else if (auto queue = (*queues)->open("q"); !queue) {
    error = queue.error();
  } else if (auto messages = (*queue)->receive({.wait = Millis(0)}, {}); !messages) {
    error = messages.error();
  }
  EXPECT_EQ(error.code, "queue_file_damaged") << error.message;
}

TEST_F(SqliteQueueTest, AnotherProgramsFileIsNotTouched) {
  {
    ASSERT_TRUE(open());
  }
  std::fstream file(file_, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(68);  // the application id (https://www.sqlite.org/fileformat.html)
  file.write("abcd", 4);
  file.close();
  EXPECT_EQ(open().error().code, "queue_file_damaged");
}

TEST_F(SqliteQueueTest, ANewerVersionsFileIsNotTouched) {
  {
    ASSERT_TRUE(open());
  }
  const auto version_at_60 = [&](const char* bytes) {  // user_version (https://www.sqlite.org/fileformat.html)
    std::fstream file(file_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(60);
    file.write(bytes, 4);
  };
  version_at_60("\0\0\0\2");
  const auto refused = open();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "queue_file_newer");
  EXPECT_EQ(refused.error().message.find("Move it away"), std::string::npos) << "messages wait in it";
  version_at_60("\0\0\0\1");
  EXPECT_TRUE(open());
}

TEST_F(SqliteQueueTest, AMissingFolderIsAnError) {
  auto queues = open_sqlite_queues(dir_.path() / "none" / "q.db",
                                   {[](const std::string&) { return SqliteQueueOptions{}; }}, clock_, rng_);
  ASSERT_FALSE(queues);
  EXPECT_EQ(queues.error().kind, ErrorKind::transient);
}

TEST_F(SqliteQueueTest, AForbiddenFileIsDenied) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read anything";
  {
    ASSERT_TRUE(open());
  }
  fs::permissions(file_, fs::perms::none);
  EXPECT_EQ(open().error().kind, ErrorKind::denied);
}

TEST_F(SqliteQueueTest, StaysQuickWithManyMessages) {
  const auto queues = open(512 * kMiB);
  const auto queue = (*queues)->open("quick").value(), fifo = (*queues)->open("quick.fifo").value();
  constexpr int kMessages = 10'000;
  for (int i = 0; i < kMessages; i += 10) {
    std::vector<OutgoingMessage> batch(10, {.body = std::string(500, 'x'), .group_id = {}, .dedup_id = {}});
    ASSERT_TRUE(queue->send(batch, Deadline::in(clock_, Seconds(10))));
    for (int j = 0; j < 10; ++j) {
      batch[static_cast<std::size_t>(j)].group_id = "one-group";
      batch[static_cast<std::size_t>(j)].dedup_id = std::to_string(i + j);
    }
    ASSERT_TRUE(fifo->send(batch, Deadline::in(clock_, Seconds(10))));
  }
  const MonoTime start = system_clock().mono_now();
  for (int i = 0; i < 50; ++i) {
    for (const auto& q : {queue, fifo}) {
      const auto messages = receive(*q);
      ASSERT_EQ(messages.size(), 10U);
      if (q == fifo) {
        EXPECT_TRUE(receive(*q).empty()) << "the group is in flight";
      }
      std::vector<Receipt> receipts;
      for (const Message& message : messages) receipts.push_back(message.receipt);
      ASSERT_TRUE(q->remove(receipts));
      ASSERT_TRUE(q->depth());
    }
  }
  EXPECT_LT(elapsed_ms(start, system_clock().mono_now()), 5'000) << "takes about 200 ms on an idle machine";
}

TEST_F(SqliteQueueTest, AnIdlePollCostsNothing) {
  const auto queues =
      open_sqlite_queues(file_, {[](const std::string&) { return SqliteQueueOptions{}; }}, system_clock(), rng_);
  const auto queue = (*queues)->open("q").value();
  timespec before{}, after{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  EXPECT_TRUE(queue->receive({.wait = Millis(1'000)}, {})->empty());
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  const double ms = static_cast<double>(after.tv_sec - before.tv_sec) * 1e3 +
                    static_cast<double>(after.tv_nsec - before.tv_nsec) / 1e6;
  EXPECT_LT(ms, 20) << "of CPU in one second";
}

}  // namespace
}  // namespace imgrec::sqlite_queue_test
