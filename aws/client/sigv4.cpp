#include "aws/client/sigv4.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "lib/base/digest.hpp"
#include "lib/base/text.hpp"

namespace imgrec::aws {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

// RFC 2104, with SHA-256, whose blocks have 64 bytes. OpenSSL's HMAC() looks its algorithm up anew each time.
Sha256Digest hmac(ByteView key, ByteView data) {
  constexpr std::size_t kBlockBytes = 64;
  Sha256Digest short_key;
  if (key.size() > kBlockBytes) {
    short_key = sha256({key});
    key = view(short_key);
  }
  std::array<char, kBlockBytes> inner, outer;
  for (std::size_t i = 0; i < kBlockBytes; ++i) {
    const char byte = i < key.size() ? key[i] : '\0';
    inner[i] = static_cast<char>(byte ^ 0x36);
    outer[i] = static_cast<char>(byte ^ 0x5C);
  }
  const Sha256Digest digest = sha256({{inner.data(), inner.size()}, data});
  return sha256({{outer.data(), outer.size()}, view(digest)});
}

// "20150830T123600Z"; its first 8 characters are the scope's date.
std::string amz_date(WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(std::chrono::floor<Seconds>(time - day));
  char text[40];
  std::snprintf(text, sizeof text, "%04d%02u%02uT%02d%02d%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return text;
}

std::string scope_of(const SigningOptions& options, std::string_view date) {
  return std::string(date.substr(0, 8)) + "/" + options.region + "/" + options.service + "/aws4_request";
}

// "Normalize URI paths according to RFC 3986. Remove redundant and relative path components."
std::string normalized(std::string_view path) {
  std::vector<std::string_view> kept;
  const auto segments = split(path, '/');
  for (const std::string_view segment : segments) {
    if (segment == "..") {
      if (!kept.empty()) kept.pop_back();
    } else if (!segment.empty() && segment != ".") {
      kept.push_back(segment);
    }
  }
  std::string out;
  for (const std::string_view segment : kept) out += "/" + std::string(segment);
  const bool is_folder = segments.back().empty() || segments.back() == "." || segments.back() == "..";
  if (out.empty() || is_folder) out += "/";
  return out;
}

std::string canonical_path(const Signable& request, const SigningOptions& options) {
  std::string path = request.path.empty() ? "/" : request.path;
  if (options.normalize_path) path = normalized(path);
  return options.encode_path_twice ? uri_encode(path, Slash::keep) : path;
}

// "Sort the parameter names by character code point" after encoding; equal names by value.
std::string canonical_query(const QueryPairs& pairs) {
  QueryPairs encoded;
  for (const auto& [name, value] : pairs) {
    encoded.emplace_back(uri_encode(name, Slash::encode), uri_encode(value, Slash::encode));
  }
  std::sort(encoded.begin(), encoded.end());
  std::string out;
  for (const auto& [name, value] : encoded) {
    if (!out.empty()) out += '&';
    out += name + "=" + value;
  }
  return out;
}

// "Remove leading and trailing spaces, convert sequential spaces to a single space."
std::string canonical_value(std::string_view value) {
  std::string out;
  bool gap = false;
  for (const char c : trim(value)) {
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      gap = true;
      continue;
    }
    if (gap) out += ' ';
    gap = false;
    out += c;
  }
  return out;
}

// What HTTP libraries and proxies add or change on the way.
bool is_never_signed(std::string_view name) {
  constexpr std::array<std::string_view, 7> kNames = {"authorization", "connection",        "expect",         "te",
                                                      "user-agent",    "transfer-encoding", "x-amzn-trace-id"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

struct CanonicalHeaders {
  std::string lines;  // "host:example.com\n…"
  std::string names;  // "host;x-amz-date"
};

// Of both lists together.
CanonicalHeaders canonical_headers(const HttpHeaders& headers, const HttpHeaders& more) {
  HttpHeaders sorted;
  sorted.reserve(headers.size() + more.size());
  for (const HttpHeaders* list : {&headers, &more}) {
    for (const auto& [name, value] : *list) {
      std::string key = to_lower(trim(name));
      if (!is_never_signed(key)) sorted.emplace_back(std::move(key), canonical_value(value));
    }
  }
  std::ranges::stable_sort(sorted, {}, &HttpHeaders::value_type::first);
  CanonicalHeaders out;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const auto& [name, value] = sorted[i];
    if (i > 0 && name == sorted[i - 1].first) {  // the same name again: joined in the order sent
      out.lines.back() = ',';
    } else {
      if (i > 0) out.names += ';';
      out.names += name;
      out.lines += name;
      out.lines += ':';
    }
    out.lines += value;
    out.lines += '\n';
  }
  return out;
}

Sha256Digest make_signing_key(const Secret& secret, std::string_view day, const SigningOptions& options) {
  const Sha256Digest day_key = hmac("AWS4" + secret.reveal(), day);
  const Sha256Digest region_key = hmac(view(day_key), options.region);
  const Sha256Digest service_key = hmac(view(region_key), options.service);
  return hmac(view(service_key), "aws4_request");
}

// "CanonicalRequest = HTTPMethod \n CanonicalUri \n CanonicalQueryString \n CanonicalHeaders \n SignedHeaders \n
// HashedPayload"; then string to sign and signature. query: the whole.
void fill_stages(Signed& out, const Signable& request, const QueryPairs& query, const CanonicalHeaders& headers,
                 const Credentials& credentials, const SigningOptions& options) {
  out.canonical_request = request.method + "\n" + canonical_path(request, options) + "\n" + canonical_query(query) +
                          "\n" + headers.lines + "\n" + headers.names + "\n" + request.payload_sha256;
  const std::string date = amz_date(options.at);
  out.string_to_sign =
      std::string(kAlgorithm) + "\n" + date + "\n" + scope_of(options, date) + "\n" + sha256_hex(out.canonical_request);
  const auto day = std::string_view(date).substr(0, 8);
  const Sha256Digest key = options.keys != nullptr ? options.keys->get(credentials.secret_access_key, day, options)
                                                   : make_signing_key(credentials.secret_access_key, day, options);
  out.signature = hex_of(view(hmac(view(key), out.string_to_sign)));
}

}  // namespace

Sha256Digest SigningKeys::get(const Secret& secret, std::string_view day, const SigningOptions& options) {
  std::lock_guard lock(mutex_);
  if (day != day_ || secret.reveal() != secret_.reveal() || options.region != region_ || options.service != service_) {
    key_ = make_signing_key(secret, day, options);
    secret_ = secret;
    day_ = day;
    region_ = options.region;
    service_ = options.service;
  }
  return key_;
}

SigningOptions signing_options(std::string service, std::string region, WallTime at) {
  SigningOptions options;
  const bool is_s3 = service == "s3";
  options.region = std::move(region);
  options.service = std::move(service);
  options.at = at;
  // "Amazon S3 is an exception: you do not normalize URI paths, and you encode each path segment once."
  options.encode_path_twice = !is_s3;
  options.normalize_path = !is_s3;
  options.payload_hash_header = is_s3;
  return options;
}

Signed sign(const Signable& request, const Credentials& credentials, const SigningOptions& options) {
  Signed out;
  const std::string date = amz_date(options.at);
  const std::pair<std::string, std::string> token = {"X-Amz-Security-Token", credentials.session_token.reveal()};
  const bool has_token = !credentials.session_token.empty();
  out.headers.emplace_back("X-Amz-Date", date);
  if (options.payload_hash_header) out.headers.emplace_back("X-Amz-Content-Sha256", request.payload_sha256);
  if (has_token && options.sign_session_token) out.headers.push_back(token);

  const CanonicalHeaders headers = canonical_headers(request.headers, out.headers);
  fill_stages(out, request, request.query, headers, credentials, options);
  if (has_token && !options.sign_session_token) out.headers.push_back(token);
  out.headers.emplace_back("Authorization", std::string(kAlgorithm) + " Credential=" + credentials.access_key_id + "/" +
                                                scope_of(options, date) + ", SignedHeaders=" + headers.names +
                                                ", Signature=" + out.signature);
  return out;
}

Signed presign(const Signable& request, const Credentials& credentials, const SigningOptions& options) {
  Signed out;
  const std::string date = amz_date(options.at);
  const std::pair<std::string, std::string> token = {"X-Amz-Security-Token", credentials.session_token.reveal()};
  const bool has_token = !credentials.session_token.empty();
  const CanonicalHeaders headers = canonical_headers(request.headers, {});
  out.query = {{"X-Amz-Algorithm", std::string(kAlgorithm)},
               {"X-Amz-Credential", credentials.access_key_id + "/" + scope_of(options, date)},
               {"X-Amz-Date", date},
               {"X-Amz-SignedHeaders", headers.names},
               {"X-Amz-Expires", std::to_string(options.expires.count())}};
  if (has_token && options.sign_session_token) out.query.push_back(token);

  QueryPairs whole = request.query;
  whole.insert(whole.end(), out.query.begin(), out.query.end());
  fill_stages(out, request, whole, headers, credentials, options);
  if (has_token && !options.sign_session_token) out.query.push_back(token);
  out.query.emplace_back("X-Amz-Signature", out.signature);
  return out;
}

}  // namespace imgrec::aws
