#include "tests/formats/formats.hpp"

#include <utility>

#include "lib/base/digest.hpp"
#include "lib/job/job.hpp"
#include "lib/job/leader_lease.hpp"
#include "lib/job/service_status.hpp"
#include "lib/job/shutdown.hpp"
#include "lib/job/signal.hpp"
#include "lib/job/worker_start.hpp"
#include "roles/web/access/allowance.hpp"
#include "roles/web/access/keys.hpp"
#include "roles/web/jobs/idempotency.hpp"
#include "roles/web/jobs/index_page.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/memory_store.hpp"

namespace imgrec::test {
namespace {

const WallTime kAt{Seconds(1'790'000'000)};

JobId job(std::uint64_t seed) {
  SeededRng rng(seed);
  return make_job_id(kAt, rng);
}
OwnerId owner() {
  return OwnerId("0123456789abcdef0123456789abcdef");
}

template <class Document>
Format format(std::string name, const Document& example, Result<Document> (*parse)(std::string_view)) {
  return {std::move(name), to_json(example), [parse](std::string_view text) -> Result<std::string> {
            auto document = parse(text);
            if (!document) return fail(document.error());
            return to_json(*document);
          }};
}

JobRequest request() {
  return {.job = job(1),
          .session = SessionId("session-1"),
          .owner = owner(),
          .name = "Grüße/eine \"Katze\".jpg",
          .input = {.bucket = "inputs", .key = input_key(job(1), owner()), .bytes = 5, .sha256 = sha256_hex("photo")},
          .object = ObjectReference{.bucket = "photos", .key = ObjectKey("2026/ä cat.jpg"), .version = "v-7"},
          .top_k = 3,
          .reply_to = "imgrec-responses-a",
          .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
          .submitted_at = kAt,
          .expires_at = kAt + Seconds(900)};
}

JobResult result() {
  return {.job = job(1),
          .session = SessionId("session-1"),
          .owner = owner(),
          .name = "cat.jpg",
          .model = {.name = "resnet18", .sha256 = sha256_hex("model"), .engine = "openvino", .precision = "bf16"},
          .labels = {{.index = 281, .wnid = "n02123045", .label = "tabby", .score = 0.75},
                     {.index = 282, .wnid = "", .label = "tiger cat", .score = 0.125}},
          .error = {},
          .timings = {.queue_ms = 1.5, .fetch_ms = 2, .decode_ms = 3, .preprocess_ms = 4, .infer_ms = 5, .store_ms = 6},
          .worker = WorkerId("w-1"),
          .app_tier_id = "app-tier-1",
          .completed_at = kAt + Millis(250)};
}

JobResult refused() {
  JobResult refused = result();
  refused.labels.clear();
  refused.error =
      JobError{.code = "image_truncated", .title = "The image ends early", .detail = "d", .retryable = true};
  return refused;
}

LeaderLease lease() {
  return {.epoch = 7,
          .holder = "host-1234",
          .fleet = "imgrec",
          .renewals = 12,
          .length = Millis(15'000),
          .released = true,
          .launches = {{.token = LaunchToken("7-ab"), .count = 2, .total = 5, .plan = "c7i.large"}},
          .at = kAt};
}

ServiceStatus status() {
  ServiceStatus status{.at = kAt, .ended = true, .controller = "abcd", .policy = "depth"};
  status.queue = {.visible = 12, .in_flight = 3, .delayed = 1, .oldest_age = Millis(4'200)};
  status.counts = {.booting = 1, .ready = 2, .busy = 3, .draining = 4};
  status.machines = {{.id = "i-1",
                      .app_tier_id = "app-tier-1",
                      .type = "c7i.large",
                      .state = MachineState::draining,
                      .launched_at = kAt - Seconds(90),
                      .images = 17,
                      .busy_share = 0.75}};
  status.wanted = 2;
  status.why = "15 messages, at most 2 workers";
  status.error = "no capacity";
  status.arrivals_per_s = 1.5;
  status.boot_s = 41.5;
  status.boots = {{.image = "ami-0123456789abcdef0", .times_s = {41.5, 40}}};
  status.cost = {.since = kAt - Seconds(3600), .machine_seconds = 1'800, .dollars_per_hour = 0.5};
  status.decisions = {{.at = kAt,
                       .wanted = 2,
                       .launch = 1,
                       .take_back = 2,
                       .ask_to_stop = 3,
                       .terminate = 4,
                       .why = "more work",
                       .error = "no capacity"}};
  status.samples = {{.at = kAt - Seconds(1), .values = {1, 2, 3, 4.5, 1, 0, 1, 0, 2, 1'799}}};
  return status;
}

Signal signal(SignalKind kind) {
  return {.kind = kind,
          .sender = "app-tier-7",
          .life = "5f3c",
          .sequence = 12,
          .images = 340,
          .span = Millis(10'000),
          .busy_share = 0.25,
          .idle = Millis(1'500)};
}

std::vector<AccessKey> keys() {
  return {{.id = "0123456789ab",
           .name = "Müller",
           .roles = {.submit = true, .read = true, .admin = true},
           .digest = sha256({"key"}),
           .created_at = kAt,
           .images_per_second = 2.5,
           .images_per_day = 5'000}};
}

std::string write_keys(const std::vector<AccessKey>& list) {
  return to_json(std::span<const AccessKey>(list));
}

// A record is only read by claiming its key again.
struct Claims {
  FakeClock clock;
  MemoryStore store{clock};
  Idempotency idempotency{{.store = store, .clock = clock}};

  Result<Idempotency::Claim> claim(std::uint64_t seed) {
    return idempotency.claim(owner(), "key-1",
                             {.digest = sha256_hex("request"), .jobs = {job(seed), JobId()}, .at = clock.wall_now()});
  }
  std::string stored() { return store.get(store.keys().at(0), kMiB)->bytes; }
};

std::string idempotency_example() {
  Claims claims;
  (void)claims.claim(1);
  return claims.stored();
}

Result<std::string> reread_idempotency(std::string_view text) {
  Claims claims;
  if (auto made = claims.claim(2); !made) return fail(made.error());
  const ObjectKey key = claims.store.keys().at(0);
  if (auto put = claims.store.put(key, text, {}); !put) return fail(put.error());
  const auto claim = claims.claim(2);
  if (claims.stored() != text) return fail(ErrorKind::bug, "replaced", "The record was replaced.");
  if (!claim) return fail(claim.error());
  return claims.stored();
}

Result<std::string> reread_use(std::string_view text) {
  const auto use = parse_use(text);
  if (!use) return fail(use.error());
  if (!*use) return fail(ErrorKind::invalid, "bad_use", "The count of what a key has used cannot be read.");
  return to_json(**use);
}

}  // namespace

std::vector<Format> formats() {
  std::vector<Format> all = {
      format("job_request", request(), parse_job_request),
      format("job_result", result(), parse_job_result),
      format("job_result_error", refused(), parse_job_result),
      format("leader_lease", lease(), parse_leader_lease),
      format("service_status", status(), parse_service_status),
      format("shutdown_request", ShutdownRequest{.id = "r-1", .requested_at = kAt}, parse_shutdown_request),
      format("shutdown_confirmation",
             ShutdownConfirmation{
                 .request = "r-1", .instance = InstanceId("i-1"), .app_tier_id = "app-tier-1", .confirmed_at = kAt},
             parse_shutdown_confirmation),
      format("worker_start",
             WorkerStartFailure{
                 .code = "model_damaged", .detail = "pull it again", .worker = "w-1", .version = "0.1.0", .at = kAt},
             parse_worker_start),
      format("index_page", std::vector<IndexedJob>{{.job = job(1), .name = "cat.jpg"}}, parse_index_page),
      {"access_keys", write_keys(keys()),
       [](std::string_view text) -> Result<std::string> {
         const auto list = parse_keys(text);
         if (!list) return fail(list.error());
         return write_keys(*list);
       }},
      {"key_use", to_json(UseDocument{.tokens = 1.5, .at_ms = 1'790'000'000'000, .day = 20'717, .images = 42}),
       reread_use},
      {"idempotency_record", idempotency_example(), reread_idempotency},
  };
  for (const SignalKind kind :
       {SignalKind::enqueued, SignalKind::ready, SignalKind::worked, SignalKind::draining, SignalKind::ended}) {
    all.push_back(format("signal", signal(kind), parse_signal));
  }
  return all;
}

}  // namespace imgrec::test
