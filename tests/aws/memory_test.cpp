// A worker calls AWS for weeks: what one call leaves behind adds up. `aws_client_benchmark calls 100000` is the long
// form.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "aws/adapters/s3_store.hpp"
#include "aws/adapters/sqs_queue.hpp"
#include "aws/client/encoding.hpp"
#include "lib/base/digest.hpp"
#include "tests/aws/imposter.hpp"

namespace imgrec::aws::memory_test {
namespace {

using nlohmann::json;
using test::Reply;
using test::Seen;

constexpr int kRounds = 1'000;  // of five calls each
constexpr long kGrowthKibMax = 1024;

long resident_kib() {
  long pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * ::sysconf(_SC_PAGESIZE) / 1024;
}

const std::string& object() {
  static const std::string bytes(100'000, 'o');
  return bytes;
}

Reply answer(const Seen& request) {
  const std::string operation = request.operation();
  json done = json::array();
  if (request.method == "PUT") return {};
  if (request.method == "GET") {
    return {.body = object(), .headers = {{"x-amz-checksum-sha256", base64_of_hex(sha256_hex(object()))}}};
  }
  if (operation == "GetQueueUrl") return {.body = json({{"QueueUrl", "http://sqs/jobs"}}).dump()};
  if (operation == "ReceiveMessage") {
    const json message = {
        {"MessageId", "m"}, {"ReceiptHandle", std::string(180, 'r')}, {"Body", std::string(700, 'b')}};
    return {.body = json({{"Messages", json(10, message)}}).dump()};
  }
  for (int i = 0; i < 10; ++i) done.push_back({{"Id", std::to_string(i)}, {"MessageId", "m"}});
  return {.body = json({{"Successful", done}, {"Failed", json::array()}}).dump()};
}

template <class T>
bool all_done(const Result<std::vector<Result<T>>>& outcomes) {
  return outcomes && std::ranges::all_of(*outcomes, [](const auto& one) { return one.has_value(); });
}

TEST(Memory, StaysAsItIsOverThousandsOfCalls) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer keeps what was freed";
#endif
  test::ImposterWorld world;
  world.imposter.always(answer);
  world.imposter.remember_no_more();
  const auto store = open_s3_store(world.session, {.bucket = "photos", .setup = BucketSetup::use}).value();
  const auto queues =
      open_sqs_queues(world.session, {.options_of = [](const std::string&) {
                        return std::optional(SqsQueueOptions{.dead_letter = {}, .setup = QueueSetup::use});
                      }});
  const auto queue = queues->open("jobs").value();
  const std::vector<OutgoingMessage> messages(10, {.body = std::string(700, 'b'), .group_id = {}, .dedup_id = {}});
  const std::vector<Receipt> receipts(10, Receipt(std::string(180, 'r')));
  const ObjectKey key("in/photo.jpg");
  long early = 0;
  for (int i = 0; i < kRounds; ++i) {
    if (i == kRounds / 10) early = resident_kib();  // buffers and connections have their size by then
    ASSERT_TRUE(all_done(queue->send(messages, Deadline::in(world.clock, Seconds(60)))));
    ASSERT_EQ(queue->receive({}, {}).value().size(), 10U);
    ASSERT_TRUE(all_done(queue->remove(receipts)));
    ASSERT_TRUE(store->put(key, object(), {}));
    ASSERT_EQ(store->get(key, kMiB).value().bytes.size(), object().size());
  }
  EXPECT_LT(resident_kib() - early, kGrowthKibMax);
}

}  // namespace
}  // namespace imgrec::aws::memory_test
