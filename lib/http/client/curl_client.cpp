#include "lib/http/client/curl_client.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <mutex>
#include <optional>

#include "lib/base/text.hpp"
#include "lib/http/client/origin.hpp"
#include "lib/http/syntax/syntax.hpp"

namespace imgrec {
namespace {

constexpr std::size_t kIdleHandlesMax = 64;
constexpr std::size_t kHeaderBytesMax = 256 * kKiB;
constexpr long kRedirectsMax = 5;
// At a time, of an answer. libcurl allocates it for each transfer, and freeing 64 KiB makes glibc tidy its heap.
constexpr long kReadBytes = 32 * 1024;
constexpr Millis kPollMax{1'000};

template <class Value>
void set(CURL* easy, CURLoption option, Value value) {
  curl_easy_setopt(easy, option, value);
}

// A transfer's two handles. The multi handle owns the connections and can be woken from another thread, which the easy
// interface alone cannot: a stop ends a transfer at once.
struct Handles {
  CURL* easy = curl_easy_init();
  CURLM* multi = curl_multi_init();
  // Of the last request, whose connection is kept: "https://example.com:8443/" and what origin_of() says of it.
  std::string url_begin;
  Origin origin;

  explicit Handles(const std::string& ca_bundle) {
    if (easy != nullptr) set_constant_options(ca_bundle);
  }
  Handles(const Handles&) = delete;
  ~Handles() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
  }
  /// Forgets what points into a request that is over. All other options are constant or set by every request, which
  /// costs less than curl_easy_reset() and setting them all again.
  void forget_request();

 private:
  void set_constant_options(const std::string& ca_bundle);
};

void Handles::set_constant_options(const std::string& ca_bundle) {
  set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  set(easy, CURLOPT_MAXREDIRS, kRedirectsMax);
  // One connection per handle: HTTP/2 would add nothing but its flow control.
  set(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(easy, CURLOPT_NOSIGNAL, 1L);  // threads
  set(easy, CURLOPT_BUFFERSIZE, kReadBytes);
  set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  set(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  if (!ca_bundle.empty()) {
    set(easy, CURLOPT_CAINFO, ca_bundle.c_str());
    set(easy, CURLOPT_CAPATH, static_cast<const char*>(nullptr));  // the folder would be trusted beside the file
  }
}

void Handles::forget_request() {
  set(easy, CURLOPT_HTTPHEADER, static_cast<curl_slist*>(nullptr));
  set(easy, CURLOPT_POSTFIELDS, static_cast<const char*>(nullptr));
  set(easy, CURLOPT_ERRORBUFFER, static_cast<char*>(nullptr));
  set(easy, CURLOPT_HEADERDATA, static_cast<void*>(nullptr));
  set(easy, CURLOPT_WRITEDATA, static_cast<void*>(nullptr));
}

class HandlePool {
 public:
  explicit HandlePool(std::string ca_bundle) : ca_bundle_(std::move(ca_bundle)) {}
  std::unique_ptr<Handles> take() {
    std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<Handles>(ca_bundle_);
    auto handles = std::move(idle_.back());  // the last used: its connections are the warmest
    idle_.pop_back();
    return handles;
  }
  void release(std::unique_ptr<Handles> handles) {
    handles->forget_request();
    std::lock_guard lock(mutex_);
    if (idle_.size() < kIdleHandlesMax) idle_.push_back(std::move(handles));
  }

 private:
  const std::string ca_bundle_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Handles>> idle_;
};

// Header lines in the form in which libcurl takes them, in two allocations. libcurl reads the list and never frees it.
class HeaderLines {
 public:
  HeaderLines(std::size_t lines_max, std::size_t bytes_max) {
    nodes_.reserve(lines_max);
    text_.reserve(bytes_max);
  }
  /// One line of `pieces`; the sizes promised to the constructor hold.
  void append(std::initializer_list<std::string_view> pieces) {
    const std::size_t begin = text_.size();
    for (const std::string_view piece : pieces) text_ += piece;
    text_ += '\0';
    nodes_.push_back({.data = text_.data() + begin, .next = nullptr});
    if (nodes_.size() > 1) nodes_[nodes_.size() - 2].next = &nodes_.back();
  }
  const curl_slist* list() const { return nodes_.data(); }

 private:
  std::vector<curl_slist> nodes_;
  std::string text_;
};

std::unexpected<Error> bad_request(std::string message) {
  return fail(ErrorKind::invalid, "bad_url", std::move(message));
}

// As origin_of() says of the request's URL; the last answer is good for every URL that begins alike, up to its path.
Result<Origin> origin_for(Handles& handles, const std::string& url) {
  if (!handles.url_begin.empty() && url.starts_with(handles.url_begin)) return handles.origin;
  auto origin = origin_of(url);
  if (!origin) return origin;
  const std::size_t path = url.find('/', url.find("://") + 3);
  handles.url_begin = path == std::string::npos ? "" : url.substr(0, path + 1);
  handles.origin = *origin;
  return origin;
}

// One exchange: what libcurl's callbacks need.
class Transfer {
 public:
  Transfer(const HttpClientRequest& request, Handles& handles, Origin origin)
      : request_(request),
        easy_(handles.easy),
        multi_(handles.multi),
        origin_(std::move(origin.text)),
        is_direct_(request.direct || origin.is_local) {}
  Result<void> prepare(const std::string& user_agent);
  Result<HttpClientResponse> run(const std::stop_token& stop);

 private:
  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self);
  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self);
  bool take_header(std::string_view line);
  bool take_body(ByteView piece);
  Result<void> set_headers(const std::string& user_agent);
  void set_method();
  std::optional<CURLcode> perform(const std::stop_token& stop);
  curl_off_t bytes_moved() const;
  Error to_error(CURLcode code) const;
  Error too_large() const;

  const HttpClientRequest& request_;
  CURL* const easy_;
  CURLM* const multi_;
  const std::string origin_;
  const bool is_direct_;
  std::optional<HeaderLines> headers_;
  std::array<char, CURL_ERROR_SIZE> details_{};
  HttpClientResponse response_;
  std::size_t header_bytes_ = 0;
  bool has_head_ = false;  // the empty line after the headers was seen
  std::uint64_t body_bytes_ = 0;
  std::optional<Error> failure_;  // ours, rather than libcurl's
};

Result<void> Transfer::set_headers(const std::string& user_agent) {
  constexpr std::size_t kMore = 64;  // what is added to the request's own, beside the user agent
  std::size_t bytes = kMore + user_agent.size();
  bool has_type = false, has_agent = false;
  for (const auto& [name, value] : request_.headers) {
    if (!http::is_token(name) || !std::all_of(value.begin(), value.end(), http::is_field_char)) {
      return bad_request("A request header has forbidden characters (a line break?) in its name or value.");
    }
    has_type |= http::equals_ignoring_case(name, "content-type");
    has_agent |= http::equals_ignoring_case(name, "user-agent");
    bytes += name.size() + value.size() + 3;  // ": " and the line's end
  }
  headers_.emplace(request_.headers.size() + 3, bytes);
  for (const auto& [name, value] : request_.headers) {
    if (value.empty()) {
      headers_->append({name, ";"});  // libcurl's way to send an empty value
    } else {
      headers_->append({name, ": ", value});
    }
  }
  // What libcurl would add by itself: a form's type, and a round trip before a large body.
  if (!has_type) headers_->append({"Content-Type:"});
  headers_->append({"Expect:"});
  if (!has_agent) headers_->append({"User-Agent: ", user_agent});
  set(easy_, CURLOPT_HTTPHEADER, headers_->list());
  return {};
}

void Transfer::set_method() {
  set(easy_, CURLOPT_CUSTOMREQUEST, static_cast<const char*>(nullptr));
  set(easy_, CURLOPT_HTTPGET, 1L);  // undoes what the last request set
  if (request_.method == "HEAD") {
    set(easy_, CURLOPT_NOBODY, 1L);
    return;
  }
  const ByteView body = request_.borrowed_body.empty() ? ByteView(request_.body) : request_.borrowed_body;
  if (!body.empty() || request_.method == "POST" || request_.method == "PUT") {
    set(easy_, CURLOPT_POST, 1L);
    set(easy_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    set(easy_, CURLOPT_POSTFIELDS, body.data());  // not copied
    if (request_.method == "POST") return;
  } else if (request_.method == "GET") {
    return;
  }
  set(easy_, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
}

Result<void> Transfer::prepare(const std::string& user_agent) {
  if (!http::is_token(request_.method)) return bad_request("The request method is no HTTP method.");
  if (auto done = set_headers(user_agent); !done) return done;
  set_method();
  set(easy_, CURLOPT_URL, request_.url.c_str());
  set(easy_, CURLOPT_PROXY, is_direct_ ? "" : static_cast<const char*>(nullptr));  // null: as the environment says
  set(easy_, CURLOPT_FOLLOWLOCATION, request_.follow_redirects ? 1L : 0L);
  if (request_.follow_redirects) {
    set(easy_, CURLOPT_REDIR_PROTOCOLS_STR, origin_.starts_with("https:") ? "https" : "http,https");
  }
  set(easy_, CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<Millis::rep>(1, request_.timeout.count())));
  set(easy_, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::max<Millis::rep>(1, request_.connect_timeout.count())));
  set(easy_, CURLOPT_ERRORBUFFER, details_.data());
  set(easy_, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  set(easy_, CURLOPT_HEADERDATA, static_cast<void*>(this));
  set(easy_, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  set(easy_, CURLOPT_WRITEDATA, static_cast<void*>(this));
  return {};
}

std::size_t Transfer::on_header(char* data, std::size_t size, std::size_t count, void* self) {
  return static_cast<Transfer*>(self)->take_header({data, size * count}) ? size * count : 0;
}

std::size_t Transfer::on_body(char* data, std::size_t size, std::size_t count, void* self) {
  return static_cast<Transfer*>(self)->take_body({data, size * count}) ? size * count : 0;
}

bool Transfer::take_header(std::string_view line) {
  header_bytes_ += line.size();
  if (header_bytes_ > kHeaderBytesMax) {
    failure_ = too_large();
    return false;
  }
  line = trim(line);
  if (line.starts_with("HTTP/")) {  // of a new response, after a redirect or a 100
    response_.headers.clear();
    has_head_ = false;
    return true;
  }
  if (has_head_) return true;  // a trailer
  has_head_ = line.empty();
  if (const auto colon = line.find(':'); colon != std::string_view::npos) {
    response_.headers.emplace_back(to_lower(line.substr(0, colon)), trim(line.substr(colon + 1)));
  }
  return true;
}

bool Transfer::take_body(ByteView piece) {
  curl_off_t announced = -1;
  curl_easy_getinfo(easy_, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
  body_bytes_ += piece.size();
  if (body_bytes_ > request_.response_bytes_max ||
      (announced > 0 && static_cast<std::uint64_t>(announced) > request_.response_bytes_max)) {
    failure_ = too_large();
    return false;
  }
  long status = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  if (!request_.on_body || status < 200 || status > 299) {
    if (response_.body.empty() && announced > 0) response_.body.reserve(static_cast<std::size_t>(announced));
    response_.body += piece;
    return true;
  }
  auto taken = request_.on_body(piece, static_cast<int>(status), response_.headers);
  if (!taken) failure_ = taken.error();
  return taken.has_value();
}

curl_off_t Transfer::bytes_moved() const {
  curl_off_t down = 0, up = 0;
  curl_easy_getinfo(easy_, CURLINFO_SIZE_DOWNLOAD_T, &down);
  curl_easy_getinfo(easy_, CURLINFO_SIZE_UPLOAD_T, &up);
  long request = 0;  // nothing is sent before there is a connection
  curl_easy_getinfo(easy_, CURLINFO_REQUEST_SIZE, &request);
  return down + up + request + static_cast<curl_off_t>(header_bytes_);
}

// Nothing: ended by us, with failure_ saying why.
std::optional<CURLcode> Transfer::perform(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [multi = multi_] { curl_multi_wakeup(multi); });
  auto& clock = system_clock();
  curl_off_t moved = -1;
  auto moved_at = clock.mono_now();
  auto give_up_at = stop.stop_requested() ? MonoTime::min() : MonoTime::max();
  while (true) {
    int running = 0;
    if (stop.stop_requested()) give_up_at = std::min(give_up_at, clock.mono_now() + request_.stop_grace);
    if (clock.mono_now() >= give_up_at) {
      failure_ = Error{ErrorKind::cancelled, "cancelled", "The request to " + origin_ + " was stopped."};
      return std::nullopt;
    }
    if (const auto code = curl_multi_perform(multi_, &running); code != CURLM_OK) {
      failure_ = Error{ErrorKind::bug, "curl_failed", std::string("libcurl failed: ") + curl_multi_strerror(code)};
      return std::nullopt;
    }
    int left = 0;
    while (const auto* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg == CURLMSG_DONE) return message->data.result;
    }
    const auto now = clock.mono_now();
    if (const auto total = bytes_moved(); total != moved) {
      moved = total;
      moved_at = now;
    }
    // While connecting, connect_timeout counts.
    const auto stalled_at = moved_at + request_.stall_timeout;
    if (now >= stalled_at && moved > 0) {
      failure_ =
          Error{ErrorKind::transient, "timeout",
                origin_ + " sent and took nothing for " + std::to_string(request_.stall_timeout.count()) + " ms."};
      return std::nullopt;
    }
    const auto wait =
        std::clamp(std::chrono::ceil<Millis>(std::min(stalled_at, give_up_at) - now), Millis(1), kPollMax);
    curl_multi_poll(multi_, nullptr, 0, static_cast<int>(wait.count()), nullptr);
  }
}

Result<HttpClientResponse> Transfer::run(const std::stop_token& stop) {
  curl_multi_add_handle(multi_, easy_);
  const auto ended = perform(stop);
  curl_multi_remove_handle(multi_, easy_);
  if (failure_) return fail(std::move(*failure_));
  // libcurl is content with a connection that ends within the headers.
  if (*ended == CURLE_OK && !has_head_) return fail(to_error(CURLE_PARTIAL_FILE));
  if (*ended != CURLE_OK) return fail(to_error(*ended));
  long status = 0;
  curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  response_.status = static_cast<int>(status);
  return std::move(response_);
}

Error Transfer::too_large() const {
  return {ErrorKind::invalid, "response_too_large",
          origin_ + " answered with more than the " + std::to_string(request_.response_bytes_max) + " bytes allowed."};
}

Error Transfer::to_error(CURLcode code) const {
  const std::string reason = details_[0] != '\0' ? details_.data() : curl_easy_strerror(code);
  switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return {ErrorKind::invalid, "bad_url", "The address, or one redirected to, cannot be used: " + reason + "."};
    case CURLE_TOO_MANY_REDIRECTS:
      return {ErrorKind::invalid, "bad_url", origin_ + " redirects in circles: " + reason + "."};
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return {ErrorKind::transient, "connection_failed",
              "No address is known for " + origin_ + " (" + reason + "). Check the name, and this machine's DNS."};
    case CURLE_COULDNT_CONNECT:
      return {ErrorKind::transient, "connection_failed",
              "No connection to " + origin_ + " (" + reason + "). Is it running, and reachable from here?"};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return {
          ErrorKind::denied, "tls_not_trusted",
          "The certificate of " + origin_ + " is not trusted (" + reason +
              "). Check this machine's clock and CA certificates (Debian: package ca-certificates); for a private CA "
              "add its certificate there."};
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
      return {ErrorKind::transient, "connection_failed",
              "No TLS connection to " + origin_ + " (" + reason + "). Does that port speak https?"};
    case CURLE_OPERATION_TIMEDOUT:
      return {ErrorKind::transient, "timeout", origin_ + " did not answer in time (" + reason + ")."};
    default:
      return {ErrorKind::transient, "connection_lost", "The connection to " + origin_ + " broke (" + reason + ")."};
  }
}

class CurlClient final : public HttpClient {
 public:
  explicit CurlClient(CurlClientOptions options)
      : user_agent_(std::move(options.user_agent)), pool_(std::move(options.ca_bundle)) {
    static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
    (void)initialised;
  }

  Result<HttpClientResponse> send(const HttpClientRequest& request, std::stop_token stop) override {
    auto handles = pool_.take();
    if (handles->easy == nullptr || handles->multi == nullptr) {
      return fail(ErrorKind::transient, "connection_failed", "There is no memory for another connection.");
    }
    auto result = [&]() -> Result<HttpClientResponse> {
      auto origin = origin_for(*handles, request.url);
      if (!origin) return fail(origin.error());
      Transfer transfer(request, *handles, *std::move(origin));
      if (auto prepared = transfer.prepare(user_agent_); !prepared) return fail(prepared.error());
      return transfer.run(stop);
    }();
    pool_.release(std::move(handles));
    return result;
  }

 private:
  const std::string user_agent_;
  HandlePool pool_;
};

}  // namespace

std::unique_ptr<HttpClient> make_curl_client(CurlClientOptions options) {
  return std::make_unique<CurlClient>(std::move(options));
}

}  // namespace imgrec
