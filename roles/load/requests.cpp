#include "roles/load/requests.hpp"

#include "lib/base/rng.hpp"

namespace imgrec::load {
namespace {

std::string hex(std::uint64_t value) {
  std::string out;
  for (int shift = 60; shift >= 0; shift -= 4) out += "0123456789abcdef"[(value >> shift) & 15];
  return out;
}

const char* field_of(Dialect dialect) {
  switch (dialect) {
    case Dialect::v1: return "images";
    case Dialect::y2021: return "myfile";
    case Dialect::y2026: return "inputFile";
  }
  return "";
}

std::string path_of(const LoadPlan& plan) {
  return plan.dialect == Dialect::v1 && plan.target.path == "/" ? "/v1/classify" : plan.target.path;
}

bool is_form(const LoadPlan& plan) {
  return plan.dialect != Dialect::v1 || plan.batch > 1;
}

}  // namespace

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool is_safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                         c == '.' || c == '_' || c == '~';
    if (is_safe) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', "0123456789ABCDEF"[byte >> 4], "0123456789ABCDEF"[byte & 15]};
    }
  }
  return out;
}

std::string form_quoted(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '"')
      out += "%22";
    else if (c == '\r')
      out += "%0D";
    else if (c == '\n')
      out += "%0A";
    else
      out += c;
  }
  return out;
}

RequestMaker::RequestMaker(const LoadPlan& plan, std::span<const LoadImage> images) : plan_(plan), images_(images) {
  common_ = "Host: " + plan.target.authority + "\r\nUser-Agent: imgrec-load\r\n";
  if (!plan.api_key.empty()) common_ += "Authorization: Bearer " + plan.api_key.reveal() + "\r\n";
  const std::string path = path_of(plan);
  const std::string prefer = plan.async ? "Prefer: respond-async\r\n" : "";
  // 128 random bits, so that no image holds it.
  SplitMix64 rng(plan.seed);
  const std::string boundary = "imgrec-load-" + hex(rng.next()) + hex(rng.next());
  form_end_ = "--" + boundary + "--\r\n";
  form_headers_ = "POST " + path + " HTTP/1.1\r\n" + common_ + prefer +
                  "Content-Type: multipart/form-data; boundary=" + boundary + "\r\nContent-Length: ";
  for (const LoadImage& image : images) {
    if (is_form(plan)) {
      prepared_.push_back("--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + field_of(plan.dialect) +
                          "\"; filename=\"" + form_quoted(image.name) +
                          "\"\r\nContent-Type: application/octet-stream\r\n\r\n");
    } else {
      prepared_.push_back("POST " + path + (path.contains('?') ? "&" : "?") + "name=" + percent_encoded(image.name) +
                          " HTTP/1.1\r\n" + common_ + prefer +
                          "Content-Type: application/octet-stream\r\nContent-Length: " +
                          std::to_string(image.bytes.size()) + "\r\n\r\n");
    }
  }
}

Exchange RequestMaker::make(std::uint64_t tag, std::size_t first, std::size_t count) const {
  Exchange exchange = is_form(plan_) ? make_form(first, count) : make_plain(first % images_.size());
  exchange.tag = tag;
  return exchange;
}

Exchange RequestMaker::make_plain(std::size_t image) const {
  return {.head = prepared_[image], .body = {images_[image].bytes}};
}

Exchange RequestMaker::make_form(std::size_t first, std::size_t count) const {
  static constexpr ByteView kLineEnd = "\r\n";
  Exchange exchange;
  exchange.body.reserve(3 * count + 1);
  std::size_t bytes = form_end_.size();
  for (std::size_t i = first; i < first + count; ++i) {
    const std::size_t image = i % images_.size();
    for (const ByteView piece : {ByteView(prepared_[image]), ByteView(images_[image].bytes), kLineEnd}) {
      exchange.body.push_back(piece);
      bytes += piece.size();
    }
  }
  exchange.body.emplace_back(form_end_);
  exchange.head = form_headers_ + std::to_string(bytes) + "\r\n\r\n";
  return exchange;
}

Exchange RequestMaker::poll(std::uint64_t tag, std::string_view location) const {
  return {.tag = tag, .head = "GET " + std::string(location) + " HTTP/1.1\r\n" + common_ + "\r\n"};
}

}  // namespace imgrec::load
