// How a session reads a request.
#include <algorithm>
#include <cassert>

#include "lib/base/rng.hpp"
#include "lib/base/text.hpp"
#include "lib/http/server/session.hpp"
#include "lib/http/syntax/chunked.hpp"

namespace imgrec::http {
namespace {

using boost::system::error_code;

constexpr std::size_t kReadBytes = 16 * kKiB;
constexpr std::size_t kBodyGrowthBytes = 256 * kKiB;
constexpr std::size_t kFloorGrowthBytes = 16 * kKiB;
constexpr std::ptrdiff_t kBodyAtOnceBytes = 1024 * kKiB;
/// So much is set aside for a promised body before it comes; beyond, as it arrives.
constexpr std::size_t kBodyReservedBytes = kMiB;
/// More of a body than this is not read only to keep the connection after an early answer.
constexpr std::uint64_t kSkippedBytesMax = 64 * kKiB;

// A client's own id, where it is as harmless as one of ours.
bool is_request_id(std::string_view text) {
  constexpr std::string_view kAllowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !text.empty() && text.size() <= 64 && text.find_first_not_of(kAllowed) == std::string_view::npos;
}

}  // namespace

// Among the uploads as long as its body is being read.
class Session::UploadEntry {
 public:
  explicit UploadEntry(Session& session) : session_(session) { session_.context_.uploads.insert(&session_); }
  ~UploadEntry() { session_.context_.uploads.erase(&session_); }
  UploadEntry(const UploadEntry&) = delete;

 private:
  Session& session_;
};

asio::awaitable<Session::Outcome> Session::read_request() {
  set_silent(true);
  auto outcome = co_await read_head();
  set_silent(false);
  disarm();
  if (outcome == Outcome::ok) outcome = check_head();
  if (outcome == Outcome::ok) outcome = decide();
  if (outcome == Outcome::ok) outcome = co_await read_body();
  co_return outcome;
}

asio::awaitable<Session::Outcome> Session::read_head() {
  std::size_t scanned = 0;
  if (in_.empty()) {
    arm(context_.options.idle_timeout);
    const bool came = co_await read_more();
    if (!came) co_return Outcome::closed;
  }
  enter(Stage::busy);
  id_ = RequestId(random_hex(system_rng(), 8));
  arm(context_.options.header_timeout);
  while (true) {
    auto scan = scan_head(in_, scanned, context_.options.header_bytes_max);
    if (scan.state == HeadState::refused) {
      refusal_ = std::move(scan.refusal);
      co_return Outcome::refused;
    }
    if (scan.state == HeadState::complete) {
      auto head = parse_head(std::string_view(in_).substr(0, scan.length));
      if (!head) {
        refusal_ = std::move(head.error());
        co_return Outcome::refused;
      }
      in_.erase(0, scan.length);
      take_head(std::move(*head));
      co_return Outcome::ok;
    }
    set_silent(true);
    const bool came = co_await read_more();
    if (!came) co_return on_silence("The headers");
  }
}

void Session::take_head(RequestHead head) {
  framing_ = {.version_minor = head.version_minor,
              .chunked = head.chunked,
              .expects_continue = head.expects_continue,
              .keep_alive = head.keep_alive,
              .is_head = head.method == "HEAD",
              .content_length = head.content_length};
  request_.method = std::move(head.method);
  request_.target = std::move(head.target);
  request_.path = std::move(head.path);
  request_.query = std::move(head.query);
  request_.headers = std::move(head.headers);
  if (const auto own = request_.header("x-request-id"); own && is_request_id(*own)) id_ = RequestId(std::string(*own));
  request_.id = id_;
  request_.remote = remote_;
  request_.encrypted = tls_ != nullptr;
  request_.received_at = system_clock().mono_now();
}

Session::Outcome Session::check_head() {
  if (framing_.content_length <= context_.options.body_bytes_max) return Outcome::ok;
  return refuse(413, "body_too_large",
                "The body has " + std::to_string(framing_.content_length) + " bytes; at most " +
                    std::to_string(context_.options.body_bytes_max) + " are taken.");
}

Session::Outcome Session::decide() {
  const bool has_body = framing_.chunked || framing_.content_length > 0;
  if (context_.connections <= context_.options.connections_max) on_reserve_ = false;  // others have left since
  HeadDecision decision;
  if (context_.options.on_head) {
    const HeadContext head{
        .content_length = framing_.content_length, .chunked = framing_.chunked, .on_reserve = on_reserve_};
    const bool decided =
        run_guarded(context_, "request head hook", [&] { decision = context_.options.on_head(request_, head); });
    if (!decided) {
      decision = HeadDecision::answer(make_error(500, "internal_error", "The server failed to answer; see its log."));
    }
  }
  const bool reads_only = (request_.method == "GET" || request_.method == "HEAD") && !has_body;
  if (on_reserve_ && !reads_only && decision.kind == HeadDecision::Kind::accept) decision = HeadDecision::drop();
  switch (decision.kind) {
    case HeadDecision::Kind::accept: request_.attachment = std::move(decision.attachment); return Outcome::ok;
    case HeadDecision::Kind::drop: return Outcome::closed;
    case HeadDecision::Kind::answer: break;
  }
  answer_ = std::move(decision.response);
  plan_skipping_the_body();
  return Outcome::answered;
}

// A client that asked before sending (Expect) may send its body all the same or not: after the answer nobody knows what
// its next bytes are, so the connection ends.
void Session::plan_skipping_the_body() {
  const std::uint64_t arrived = std::min<std::uint64_t>(in_.size(), framing_.content_length);
  const std::uint64_t rest = framing_.content_length - arrived;
  if (framing_.chunked || rest > kSkippedBytesMax || (rest > 0 && framing_.expects_continue)) {
    framing_.keep_alive = false;
    return;
  }
  in_.erase(0, static_cast<std::size_t>(arrived));
  body_bytes_to_skip_ = rest;
}

asio::awaitable<bool> Session::skip_rest_of_body() {
  if (body_bytes_to_skip_ == 0) co_return true;
  arm(context_.options.header_timeout);
  while (body_bytes_to_skip_ > 0) {
    in_.clear();
    const bool came = co_await read_more();
    if (!came) co_return false;
    const std::uint64_t skipped = std::min<std::uint64_t>(in_.size(), body_bytes_to_skip_);
    in_.erase(0, static_cast<std::size_t>(skipped));
    body_bytes_to_skip_ -= skipped;
  }
  disarm();
  co_return true;
}

asio::awaitable<Session::Outcome> Session::read_body() {
  if (!framing_.chunked && framing_.content_length == 0) co_return Outcome::ok;
  const UploadEntry entry(*this);
  reservation_ = std::make_shared<Reservation>(context_.budget);
  if (framing_.expects_continue && in_.empty()) {  // not needed when the body comes anyway
    const bool written = co_await write_continue();
    if (!written) co_return Outcome::closed;
  }
  body_deadline_ = system_clock().mono_now() + context_.options.body_timeout;
  arm_body();
  if (!framing_.chunked) co_return co_await read_sized_body();
  const auto outcome = co_await read_chunked_body();
  if (outcome == Outcome::ok) reservation_->shrink_to(body_.size());
  co_return outcome;
}

// The body may then have so many bytes. Where there is no room it waits, and so does the client, whose bytes stay
// unread.
asio::awaitable<Session::Outcome> Session::reserve(std::uint64_t bytes) {
  if (bytes <= reservation_->bytes() || context_.budget->try_grow(*reservation_, bytes)) co_return Outcome::ok;
  const MonoTime began = system_clock().mono_now();
  MemoryBudget::Waiter waiter{.reservation = reservation_.get(), .bytes = bytes, .wake = [this] { wake_.cancel(); }};
  context_.budget->add(waiter);
  context_.watch_uploads();
  waits_for_memory_ = true;
  arm(context_.options.body_timeout);
  watch_peer();
  while (!waiter.granted && !peer_gone_ && !aborted_ && !timed_out_) co_await wait_for_wake();
  unwatch_peer();
  waits_for_memory_ = false;
  marked_bytes_.reset();
  if (!waiter.granted) context_.budget->remove(waiter);
  if (peer_gone_ || aborted_) co_return Outcome::closed;
  if (!waiter.granted) {
    co_return refuse(503, "memory_full", "Too many large uploads are in progress; try again in a moment.");
  }
  body_deadline_ += system_clock().mono_now() - began;  // it waited for the server, not the server for it
  arm_body();
  co_return Outcome::ok;
}

// Not in the coroutine, in which g++ 12 does not compile a std::min of three.
std::size_t Session::next_reservation(std::size_t size) const {
  const auto floor = static_cast<std::size_t>(context_.options.body_bytes_floor);
  if (body_.size() < floor) return std::min({body_.size() + kFloorGrowthBytes, floor, size});
  return std::min(body_.size() + kBodyGrowthBytes, size);
}

// Room is taken as the body arrives, not as it is promised.
asio::awaitable<Session::Outcome> Session::read_sized_body() {
  const auto size = static_cast<std::size_t>(framing_.content_length);
  body_.reserve(std::min(size, kBodyReservedBytes));
  std::ptrdiff_t at_once = 0;
  while (body_.size() < size) {
    if (body_.size() == reservation_->bytes()) {
      const auto outcome = co_await reserve(next_reservation(size));
      if (outcome != Outcome::ok) co_return outcome;
    }
    const auto room = static_cast<std::size_t>(reservation_->bytes()) - body_.size();
    if (!in_.empty()) {
      const std::size_t taken = std::min(in_.size(), room);
      body_.append(in_, 0, taken);
      in_.erase(0, taken);
      continue;
    }
    const auto length = receive(body_, room);
    if (length == 0) co_return Outcome::closed;
    at_once += std::max<std::ptrdiff_t>(length, 0);
    if (length > 0 && at_once < kBodyAtOnceBytes) continue;
    at_once = 0;  // a fast sender of a large body lets the other connections have their turn
    if (body_.size() == size) break;
    const auto outcome = co_await wait_for_body();
    if (outcome != Outcome::ok) co_return outcome;
  }
  co_return Outcome::ok;
}

asio::awaitable<Session::Outcome> Session::read_chunked_body() {
  ChunkDecoder decoder(context_.options.body_bytes_max, context_.options.header_bytes_max);
  while (true) {
    // What has arrived is at least as long as what it holds of the body.
    const auto outcome = co_await reserve(body_.size() + in_.size());
    if (outcome != Outcome::ok) co_return outcome;
    const auto taken = decoder.feed(in_, body_);
    if (!taken) co_return refuse(taken.error().status, taken.error().code, taken.error().detail);
    in_.erase(0, *taken);
    if (decoder.done()) co_return Outcome::ok;
    assert(in_.empty());
    const auto waited = co_await wait_for_body();
    if (waited != Outcome::ok) co_return waited;
    if (receive(in_, kReadBytes) == 0) co_return Outcome::closed;
  }
}

// Waits until more of the body can be read.
asio::awaitable<Session::Outcome> Session::wait_for_body() {
  while (true) {
    const error_code failure = co_await wait_readable();
    if (aborted_) co_return Outcome::closed;
    if (upload_ended_) {
      co_return refuse(503, "upload_too_slow",
                       "Memory for uploads ran out, and this one was the slowest. Try again in a moment.");
    }
    if (!timed_out_) co_return failure ? Outcome::closed : Outcome::ok;
    const auto outcome = on_body_time();
    if (outcome != Outcome::ok) co_return outcome;
  }
}

void Session::arm_body() {
  window_bytes_ = body_.size();
  window_begin_ = system_clock().mono_now();
  const auto left = std::chrono::ceil<Millis>(body_deadline_ - window_begin_);
  arm(std::max(std::min(left, context_.options.body_rate_window), Millis(1)));
}

// A rate window or the time for the whole body is over.
Session::Outcome Session::on_body_time() {
  const MonoTime now = system_clock().mono_now();
  if (now >= body_deadline_) return on_silence("The body");
  const auto window = std::chrono::duration<double>(context_.options.body_rate_window);
  const auto arrived = static_cast<double>(body_.size() - window_bytes_);
  const bool was_slow = is_slow_;
  is_slow_ = arrived < static_cast<double>(body_.size()) * (window / context_.options.body_timeout);
  if (arrived < static_cast<double>(context_.options.body_rate_min) * window.count()) {
    return refuse(
        408, "body_too_slow",
        "The body arrived at less than " + std::to_string(context_.options.body_rate_min) + " bytes a second.");
  }
  if (is_slow_ && !was_slow) context_.upload_became_slow();
  arm_body();
  return Outcome::ok;
}

std::optional<std::uint64_t> Session::progress() const {
  if (!marked_bytes_ || waits_for_memory_ || upload_ended_) return std::nullopt;
  if (!reservation_ || reservation_->bytes() <= context_.options.body_bytes_floor) return std::nullopt;
  return body_.size() - *marked_bytes_;
}

void Session::end_upload() {
  upload_ended_ = true;
  error_code ignored;
  socket_.cancel(ignored);
}

Session::Outcome Session::refuse(int status, std::string code, std::string detail) {
  refusal_ = {status, std::move(code), std::move(detail)};
  return Outcome::refused;
}

// Nothing more came while `what` was being read: too late (answered), or the connection is at its end.
Session::Outcome Session::on_silence(const char* what) {
  if (!timed_out_) return Outcome::closed;
  return refuse(408, "request_timeout", std::string(what) + " did not arrive in time.");
}

}  // namespace imgrec::http
