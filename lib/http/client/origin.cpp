#include "lib/http/client/origin.hpp"

#include <curl/curl.h>

#include <memory>

#include "lib/base/text.hpp"

namespace imgrec {
namespace {

struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

std::unexpected<Error> bad_url(std::string message) {
  return fail(ErrorKind::invalid, "bad_url", std::move(message));
}

}  // namespace

Result<Origin> origin_of(const std::string& url) {
  const std::unique_ptr<CURLU, UrlDeleter> parsed(curl_url());
  const auto part = [&](CURLUPart which) {
    char* text = nullptr;
    std::string value;
    if (curl_url_get(parsed.get(), which, &text, 0) == CURLUE_OK) value = text;
    curl_free(text);
    return value;
  };
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) {
    return bad_url("The address is not a URL of the form http://host:port/path or https://….");
  }
  const auto scheme = part(CURLUPART_SCHEME), host = part(CURLUPART_HOST), port = part(CURLUPART_PORT);
  if (scheme != "http" && scheme != "https") {
    return bad_url("The address begins with " + scheme + "://; only http:// and https:// are spoken here.");
  }
  return Origin{.text = scheme + "://" + host + (port.empty() ? "" : ":" + port), .is_local = is_local_host(host)};
}

bool is_local_host(std::string_view host) {
  const std::string name = to_lower(host);
  if (name == "localhost" || name.ends_with(".localhost")) return true;
  for (const std::string_view net : {"[::1]", "[fe80:", "[fd00:ec2:"}) {
    if (name.starts_with(net)) return true;
  }
  const bool is_v4 = name.find_first_not_of("0123456789.") == std::string::npos;
  return is_v4 && (name.starts_with("127.") || name.starts_with("169.254."));
}

}  // namespace imgrec
