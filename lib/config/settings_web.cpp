#include "lib/config/settings_web.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "lib/base/text.hpp"
#include "lib/config/setting_kinds.hpp"

namespace imgrec {
namespace {

using namespace setting_kinds;
using std::chrono::hours;

constexpr std::string_view kHostList = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.,";
constexpr std::string_view kAddressList = "abcdefABCDEF0123456789.:,";

// What a browser sends as Origin, but for a slash at the end.
bool is_origin(std::string_view value) {
  if (value.empty()) return true;
  if (value.ends_with('/')) value.remove_suffix(1);
  if (!value.starts_with("http://") && !value.starts_with("https://")) return false;
  const auto host = value.substr(value.find("://") + 3);
  return !host.empty() && host.size() <= 255 && host.find_first_of("/?#@, \"<>\\") == host.npos;
}

bool is_origin_list(std::string_view value) {
  if (value.empty() || value == "*") return true;
  return value.size() <= 4096 && std::ranges::all_of(split(value, ','), [](std::string_view origin) {
           return !trim(origin).empty() && is_origin(trim(origin));
         });
}

constexpr unsigned kServing = kWebCommand | kLocalCommand;

// Who may use the service, and from where.
void add_access(std::vector<Setting>& all) {
  all.push_back(text({"web.keys_file",
                      "file of the keys that users need; store: an object of the result store; empty: no key is needed",
                      {},
                      kServing},
                     In{&Config::web, &WebConfig::keys_file}, kPath));
  all.push_back(boolean({"web.open_metrics", "/metrics needs no key where others do", {}, kServing},
                        In{&Config::web, &WebConfig::open_metrics}));
  all.push_back(text({"web.cors_origins",
                      "sites whose pages may use this service from a browser: https://app.example; *: any",
                      {},
                      kServing},
                     In{&Config::web, &WebConfig::cors_origins},
                     {"ORIGINS", "origins (https://app.example) separated by commas, or *", is_origin_list}));
  all.push_back(text(
      {"web.tls_certificate", "file of the certificate (PEM, with its chain); empty: HTTP without TLS", {}, kServing},
      In{&Config::web, &WebConfig::tls_certificate}, kPath));
  all.push_back(text({"web.tls_key", "file of the certificate's private key (PEM)", {}, kServing},
                     In{&Config::web, &WebConfig::tls_key}, kPath));
}

}  // namespace

void add_web_settings(std::vector<Setting>& all) {
  const auto count = [&](Words words, auto member, Range<std::int64_t> range) {
    words.commands = kServing;
    all.push_back(number(words, In{&Config::web, member}, range));
  };
  const auto bytes = [&](const std::string& key, const std::string& help, auto member, Range<std::uint64_t> range) {
    all.push_back(size({key, help, {}, kServing}, In{&Config::web, member}, range));
  };
  const auto time = [&](const std::string& key, const std::string& help, auto member, Range<Millis> range) {
    all.push_back(duration({key, help, {}, kServing}, In{&Config::web, member}, range));
  };
  all.push_back(text({"web.bind", "address to listen on; 0.0.0.0: all", {"--bind"}, kServing},
                     In{&Config::web, &WebConfig::bind}, kAddress));
  count({"web.port", "port to listen on; 0: any free one", {"--port"}}, &WebConfig::port, {0, 65'535});
  all.push_back(text({"web.hosts",
                      "further names by which requests may call this service while it listens on loopback; *: any",
                      {},
                      kServing},
                     In{&Config::web, &WebConfig::hosts},
                     {"NAMES", "host names separated by commas, or *", [](std::string_view value) {
                        return value.size() <= 1024 &&
                               (value == "*" || value.find_first_not_of(kHostList) == value.npos);
                      }}));
  all.push_back(text({"web.public_url",
                      "address by which browsers reach this service through a proxy: https://photos.example",
                      {},
                      kServing},
                     In{&Config::web, &WebConfig::public_url},
                     {"URL", "empty, or http:// or https://, a host and perhaps a port", is_origin}));
  all.push_back(text({"web.trusted_proxies",
                      "proxies whose X-Forwarded-Host and X-Forwarded-Proto are believed; *: any sender's",
                      {},
                      kServing},
                     In{&Config::web, &WebConfig::trusted_proxies},
                     {"ADDRESSES", "IP addresses separated by commas, or *", [](std::string_view value) {
                        return value.size() <= 1024 &&
                               (value == "*" || value.find_first_not_of(kAddressList) == value.npos);
                      }}));
  add_access(all);
  all.push_back(text({"web.node",
                      "name of this web node, in its response queue's name; empty: host name and port",
                      {"--node"},
                      kServing},
                     In{&Config::web, &WebConfig::node},
                     {"NAME", "up to 40 of the characters A-Z a-z 0-9 - _",
                      [](std::string_view value) { return is_name(value, 40) && value.find('.') == value.npos; }}));
  count({"web.threads", "threads for blocking work (store, queue)"}, &WebConfig::threads, {1, 256});
  count({"web.connections_max", "open connections; beyond it the longest-silent one is closed"},
        &WebConfig::connections_max, {1, 100'000});
  count({"web.connections_reserve", "connections beyond that, for GET alone (health, metrics, the page)"},
        &WebConfig::connections_reserve, {1, 10'000});
  count({"web.pending_jobs_max", "images that are not answered; more are refused"}, &WebConfig::pending_jobs_max,
        {1, 10'000'000});
  time("web.queue_wait_max", "an image that would wait longer for a worker is refused with 503",
       &WebConfig::queue_wait_max, {Millis(100), hours(1)});
  count({"web.queue_jobs_min", "so many images may be pending however long they wait"}, &WebConfig::queue_jobs_min,
        {0, 1'000'000});
  time("web.job_ttl", "a job that no worker has answered by then is over", &WebConfig::job_ttl,
       {Seconds(10), hours(14 * 24)});
  time("web.outage_max", "store or queue fails for longer: clients of /v1 are refused, others wait",
       &WebConfig::outage_max, {Millis(0), hours(1)});
  time("web.readiness_interval", "/readyz tells what was found out less long ago", &WebConfig::readiness_interval,
       {Millis(10), hours(1)});
  time("web.readiness_probe", "/readyz writes to store and queue when nothing else did for so long",
       &WebConfig::readiness_probe, {Millis(10), hours(24)});
  count({"web.results_max", "results kept in memory for GET /results, of all sessions"}, &WebConfig::results_max,
        {0, 10'000'000});
  bytes("web.results_bytes_max", "the same in bytes", &WebConfig::results_bytes_max, {0, 65'536 * kMiB});
  bytes("web.results_session_bytes_max", "of one session", &WebConfig::results_session_bytes_max, {0, 65'536 * kMiB});
  bytes("web.header_bytes_max", "headers of one request", &WebConfig::header_bytes_max, {kKiB, kMiB});
  bytes("web.body_bytes_max", "body of one request (several images)", &WebConfig::body_bytes_max, {kKiB, 4096 * kMiB});
  bytes("web.buffered_bytes_max", "bodies of all requests at once; more wait unread", &WebConfig::buffered_bytes_max,
        {kKiB, 65'536 * kMiB});
  bytes("web.body_bytes_floor", "of each body, taken even when that memory is used up", &WebConfig::body_bytes_floor,
        {0, kMiB});
  bytes("web.body_rate_min", "a second; a body that arrives slower is ended (0: none is)", &WebConfig::body_rate_min,
        {0, kMiB});
  bytes("web.stream_bytes_max", "of one streamed answer, waiting to be sent", &WebConfig::stream_bytes_max,
        {kKiB, 64 * kMiB});
  count({"web.images_per_request_max", "images in one request"}, &WebConfig::images_per_request_max, {1, 10'000});
  time("web.header_timeout", "from the first byte of a request to the end of its headers", &WebConfig::header_timeout,
       {Millis(100), hours(1)});
  time("web.body_timeout", "for the body of a request", &WebConfig::body_timeout, {Millis(100), hours(1)});
  time("web.memory_wait_max", "an upload waits for memory; then the slowest upload is ended",
       &WebConfig::memory_wait_max, {Millis(100), hours(1)});
  time("web.idle_timeout", "keep-alive without a request", &WebConfig::idle_timeout, {Millis(100), hours(1)});
  time("web.write_timeout", "without progress in sending an answer", &WebConfig::write_timeout,
       {Millis(100), hours(1)});
  time("web.wait_max", "a client is held this long for its answer", &WebConfig::wait_max, {Millis(100), hours(12)});
  time("web.drain_timeout", "on SIGTERM: time for requests in progress", &WebConfig::drain_timeout,
       {Millis(0), hours(1)});
}

}  // namespace imgrec
