// The answer to one request, with what is logged and counted about it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/http/server/server.hpp"
#include "lib/job/job.hpp"
#include "lib/telemetry/metrics.hpp"

namespace imgrec {

/// One more request of the route was answered; answer_class: "2xx" …, "client_left", "dropped".
void count_request(Metrics& metrics, std::string_view route, const std::string& answer_class);

/// How long each stage of an image took, for Server-Timing (https://www.w3.org/TR/server-timing/).
void add_server_timing(Response& response, const StageTimings& timings);

/// Moves with the request through its stages; whoever sends ends it. Destroyed unsent, the server answers 500.
class Reply {
 public:
  struct Context {
    RequestId request;
    std::string method, path;
    std::string route;  // from a fixed list: it becomes a metric label
    MonoTime received_at{};
    bool quiet = false;  // probes and scrapes: logged at debug
  };
  Reply(Context context, Responder responder, Clock& clock, Metrics& metrics)
      : context_(std::move(context)), responder_(std::move(responder)), clock_(&clock), metrics_(&metrics) {}

  const RequestId& request() const { return context_.request; }
  /// For the log line.
  void concerns(const JobId& job) { jobs_.push_back(job); }

  /// For the answer, whichever it will be.
  void add_headers(HttpHeaders headers);

  /// Adds X-Content-Type-Options and Server-Timing to every answer.
  void send(Response response);
  /// Counts and logs like send().
  ResponseStream open_stream(Response head, StreamCallbacks callbacks);
  void on_client_gone(IoCallback callback, ClientEof eof) { responder_.on_client_gone(std::move(callback), eof); }
  /// The client has left: counts and logs that, and sends nothing.
  void send_to_nobody();

 private:
  double count(const std::string& answer_class);
  void log_sent(int status, double ms, bool sent) const;
  std::string jobs_text() const;

  Context context_;
  HttpHeaders headers_;
  std::vector<JobId> jobs_;
  Responder responder_;
  Clock* clock_;
  Metrics* metrics_;
};

}  // namespace imgrec
