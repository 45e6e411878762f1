#include "lib/http/server/responder.hpp"

#include <utility>

namespace imgrec {
namespace {

template <class Pairs>
std::optional<std::string_view> first_value(const Pairs& pairs, std::string_view name) {
  for (const auto& [key, value] : pairs) {
    if (key == name) return value;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string_view> Request::header(std::string_view name) const {
  return first_value(headers, name);
}
std::optional<std::string_view> Request::query_value(std::string_view name) const {
  return first_value(query, name);
}

ResponseStream::ResponseStream(std::shared_ptr<Sink> sink) : sink_(std::move(sink)) {}
ResponseStream& ResponseStream::operator=(ResponseStream&& other) noexcept {
  if (this == &other) return *this;
  if (sink_) sink_->end(false);
  sink_ = std::move(other.sink_);
  return *this;
}
ResponseStream::~ResponseStream() {
  if (sink_) sink_->end(false);
}
ResponseStream::Write ResponseStream::write(std::string_view piece) {
  return sink_ ? sink_->write(piece) : Write::closed;
}
void ResponseStream::end() {
  if (sink_) sink_->end(true);
}

Responder::Responder(std::shared_ptr<Sink> sink) : sink_(std::move(sink)) {}
Responder::Responder(Responder&&) noexcept = default;
Responder& Responder::operator=(Responder&& other) noexcept {
  if (this == &other) return *this;
  if (sink_) sink_->abandon();
  sink_ = std::move(other.sink_);
  return *this;
}
Responder::~Responder() {
  if (sink_) sink_->abandon();
}
bool Responder::send(Response response) {
  return sink_ && sink_->send(std::move(response));
}
ResponseStream Responder::open_stream(Response head, StreamCallbacks callbacks) {
  return sink_ ? sink_->open_stream(std::move(head), std::move(callbacks)) : ResponseStream();
}
void Responder::on_client_gone(IoCallback callback, ClientEof eof) {
  if (sink_) sink_->on_client_gone(std::move(callback), eof);
}

}  // namespace imgrec
