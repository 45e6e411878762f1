#include "roles/web/api/unpack.hpp"

#include <utility>

#include "lib/base/text.hpp"
#include "lib/http/syntax/gzip.hpp"

namespace imgrec {

std::optional<std::string> content_coding(const Request& request) {
  std::string coding = to_lower(trim(request.header("content-encoding").value_or("")));
  if (coding.empty() || coding == "identity") return std::nullopt;
  return coding;
}

bool is_known_coding(std::string_view coding) {
  return coding == "gzip" || coding == "x-gzip";
}

std::shared_ptr<void> BodyUnpacker::reserve(std::uint64_t bytes) {
  if (total_bytes_->fetch_add(bytes) + bytes <= total_bytes_max_) {
    return {nullptr, [total = total_bytes_, bytes](void*) { total->fetch_sub(bytes); }};
  }
  total_bytes_->fetch_sub(bytes);
  return {};
}

Result<void> BodyUnpacker::unpack(Request& request) {
  if (!content_coding(request)) return {};
  // The size that the body says, which gunzip() holds it to.
  const std::uint64_t size = gunzipped_size(request.body);
  std::shared_ptr<void> memory;
  if (size <= bytes_max_) {
    memory = reserve(size);
    if (memory.use_count() == 0) {
      return fail(ErrorKind::throttled, "memory_full", "Too many large bodies are in progress; try again in a moment.");
    }
  }
  auto body = gunzip(request.body, bytes_max_);
  if (!body) return fail(body.error());
  request.body = *std::move(body);
  request.memory = std::move(memory);
  std::erase_if(request.headers, [](const auto& header) { return header.first == "content-encoding"; });
  return {};
}

}  // namespace imgrec
