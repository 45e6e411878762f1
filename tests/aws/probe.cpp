// One call through an adapter, for tests that look at what the other side says to it:
//   aws_probe send QUEUE BODY | put BUCKET KEY BODY | get BUCKET KEY | describe FLEET | launch FLEET
//   aws_probe endpoints      answers lines "SERVICE REGION FIPS DUALSTACK BUCKET" with "URL SIGNING_REGION", or "none
//   -"
// Prints the outcome, or the error on stderr (exit 1).
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "aws/adapters/ec2_fleet.hpp"
#include "aws/adapters/s3_store.hpp"
#include "aws/adapters/sqs_queue.hpp"
#include "tests/aws/session_of_environment.hpp"

namespace {

using namespace imgrec;

Result<std::string> send(aws::Session& session, const std::string& name, const std::string& body) {
  aws::SqsRules rules;
  rules.options_of = [](const std::string&) {
    aws::SqsQueueOptions options;
    options.setup = aws::QueueSetup::use;
    return std::optional(options);
  };
  const auto queues = aws::open_sqs_queues(session, rules);
  const auto queue = queues->open(name);
  if (!queue) return fail(queue.error());
  const OutgoingMessage message{.body = body, .group_id = {}, .dedup_id = {}};
  const auto sent = (*queue)->send({&message, 1}, Deadline::in(system_clock(), Seconds(30)));
  if (!sent) return fail(sent.error());
  if (!sent->front()) return fail(sent->front().error());
  return sent->front()->str();
}

Result<std::string> put_or_get(aws::Session& session, const std::vector<std::string>& words) {
  const auto store = aws::open_s3_store(session, {.bucket = words[1], .setup = aws::BucketSetup::use});
  if (!store) return fail(store.error());
  if (words[0] == "get") {
    auto object = (*store)->get(ObjectKey(words[2]), 1 * kMiB);
    if (!object) return fail(object.error());
    return std::move(object->bytes);
  }
  const auto put = (*store)->put(ObjectKey(words[2]), words[3], {});
  if (!put) return fail(put.error());
  return "stored";
}

Result<std::string> ask_fleet(aws::Session& session, const std::vector<std::string>& words) {
  aws::Ec2FleetOptions options;
  options.name = words[1];
  options.image_id = "ami-12c6146b";
  options.instance_types = {"t3.micro"};
  const auto fleet = aws::make_ec2_fleet(session, options);
  if (!fleet) return fail(fleet.error());
  const auto instances = words[0] == "launch"
                             ? (*fleet)->launch({.count = 1, .token = LaunchToken(random_hex(system_rng(), 16))})
                             : (*fleet)->describe();
  if (!instances) return fail(instances.error());
  return std::to_string(instances->size());
}

// Of standard input. A bucket of "-" is none.
void print_endpoints() {
  aws::EndpointSettings settings;
  std::string service, bucket;
  while (std::cin >> service >> settings.region >> settings.fips >> settings.dualstack >> bucket) {
    const auto found = bucket == "-" ? aws::endpoint_for(settings, service) : aws::bucket_endpoint(settings, bucket);
    if (found) {
      std::cout << found->scheme << "://" << found->authority << found->base_path << ' ' << found->signing_region
                << '\n';
    } else {
      std::cout << "none -\n";
    }
  }
}

}  // namespace

int main(int count, char** values) {
  const std::vector<std::string> words(values + 1, values + count);
  if (words.size() == 1 && words[0] == "endpoints") {
    print_endpoints();
    return 0;
  }
  const auto session = aws::test::session_of_environment();
  Result<std::string> outcome = fail(ErrorKind::invalid, "usage", "aws_probe send|put|get|describe|launch …");
  if (words.size() == 3 && words[0] == "send") outcome = send(*session, words[1], words[2]);
  if (words.size() == 4 && words[0] == "put") outcome = put_or_get(*session, words);
  if (words.size() == 3 && words[0] == "get") outcome = put_or_get(*session, words);
  if (words.size() == 2) outcome = ask_fleet(*session, words);
  if (!outcome) {
    std::fprintf(stderr, "%s\n", describe(outcome.error()).c_str());
    return 1;
  }
  std::printf("%s\n", outcome->c_str());
  return 0;
}
