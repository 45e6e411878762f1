// What a workload is: whom it is sent to, what, how much of it and when.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/secret.hpp"
#include "lib/base/units.hpp"
#include "lib/http/load/target.hpp"

namespace imgrec::load {

/// How images are sent and answers read.
enum class Dialect {
  v1,     // POST /v1/classify
  y2021,  // multipart field `myfile` to any path; the answer is the label
  y2026,  // multipart field `inputFile`; the answer is `stem:label`
};

struct LoadImage {
  std::string name;      // the file's, without folders
  std::string bytes;     // encoded
  std::string expected;  // the right label; empty: not known
};

/// Requests at times of their own, whether earlier ones have been answered or not (the open model). Arrivals are a
/// Poisson process whose rate goes from rate_begin to rate_end over the duration; or the instants of a trace.
struct OpenModel {
  double rate_begin = 0, rate_end = 0;  // requests per second
  std::vector<double> at_s{};           // ascending; not empty: these instead
};

struct LoadPlan {
  Target target{};
  Dialect dialect = Dialect::v1;
  bool async = false;  // v1: answered with 202 at once, and asked for the result every poll_interval
  Millis poll_interval{500};
  int batch = 1;            // v1: images a request
  Secret api_key{};         // empty: none
  std::string ca_bundle{};  // https: PEM file of the only authorities to be trusted; empty: this machine's

  std::optional<OpenModel> open{};  // nothing: the closed model
  int concurrency = 100;            // requests under way: in the closed model always so many, in the open model at most
  std::uint64_t requests = 0;       // that many, without those of the warm-up; 0: until the duration ends
  Millis duration{0};               // after the warm-up; 0: until the requests are sent
  Millis warmup{0};                 // what begins earlier is not in the figures
  Millis timeout{0};                // of a request; 0: none
  std::uint64_t seed = 1;
};

/// A request and the images in it, once it has ended. Seconds since the workload's beginning.
struct LoadRecord {
  double intended_s = 0;  // when it should have been sent; latencies count from here
  double sent_s = 0, ended_s = 0;
  std::uint32_t first_image = 0;  // of the list; the others follow it, in a circle
  std::uint16_t images = 0, ok = 0;
  std::uint16_t status = 0;  // of HTTP; 0: no answer
  std::uint16_t error = 0;   // index into LoadResult::errors; 0: none
  std::uint32_t label = 0;   // of the first image: index into LoadResult::labels; 0: none
  bool is_warmup = false;

  double latency_s() const { return ended_s - intended_s; }
  bool is_ok() const { return ok == images; }
};

struct LoadResult {
  std::vector<LoadRecord> records{};    // in the order of their ends
  std::vector<std::string> errors{""};  // "http_503 overloaded", "timeout", …
  std::vector<std::string> labels{""};
  std::uint64_t calls = 0;                // HTTP requests answered after the warm-up, polls too
  std::uint64_t abandoned = 0;            // under way when the workload was ended early
  std::uint64_t correct = 0, wrong = 0;   // after the warm-up, of the images whose right label is known
  std::optional<double> first_label_s{};  // since the beginning
  double duration_s = 0;                  // from the beginning to the last end
  std::uint64_t connections = 0;
  bool has_too_many = false;  // ended because there were kRecordsMax requests
};

/// Requests that one run keeps account of, in memory: 48 bytes each.
constexpr std::size_t kRecordsMax = 20'000'000;

/// One image that was answered, or was not, as soon as it is known.
struct ImageEnd {
  const LoadImage& image;
  int status = 0;           // of HTTP; 0: no answer
  std::string_view label;   // empty: none
  std::string_view answer;  // 2021 and 2026: the whole text
  std::string_view error;   // empty: none
  bool is_transport_error = false;
};

/// How it stands, for people who watch.
struct LoadProgress {
  double now_s = 0;
  std::uint64_t ok = 0, failed = 0, images = 0;  // requests; images that were answered
  std::size_t under_way = 0;
  bool is_warmup = false;
};

struct LoadHooks {
  std::function<void(const ImageEnd&)> on_image;         // may be empty
  std::function<void(const LoadProgress&)> on_progress;  // about ten times a second; may be empty
};

}  // namespace imgrec::load
