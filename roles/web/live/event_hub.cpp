#include "roles/web/live/event_hub.hpp"

#include <charconv>
#include <utility>

namespace imgrec {

EventHub::EventHub(Clock& clock, Rng& rng, const Options& options)
    : clock_(clock), options_(options), life_(random_hex(rng, 4)) {}

std::string EventHub::id_of(std::uint64_t number) const {
  return life_ + "-" + std::to_string(number);
}

std::optional<std::uint64_t> EventHub::number_of(std::string_view id) const {
  if (!id.starts_with(life_) || id.size() <= life_.size() || id[life_.size()] != '-') return std::nullopt;
  id.remove_prefix(life_.size() + 1);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
  if (error != std::errc() || end != id.data() + id.size()) return std::nullopt;
  return number;
}

// With mutex_ held.
std::string EventHub::first_piece(const EventReader& reader, const std::function<std::string()>& snapshot) const {
  std::string piece = "retry: " + std::to_string(options_.retry.count()) + "\n\n";
  const auto has = number_of(reader.last_event_id);
  const std::uint64_t oldest = events_.empty() ? last_number_ + 1 : events_.front().number;
  if (has && *has <= last_number_ && *has + 1 >= oldest) {
    for (const Event& event : events_) {
      if (event.number > *has && reader.may_see(event.owner)) piece += event.text;
    }
    return piece;
  }
  return piece + "event: snapshot\nid: " + id_of(last_number_) + "\ndata: " + snapshot() + "\n\n";
}

bool EventHub::subscribe(EventReader reader, const OpenStream& open, const std::function<std::string()>& snapshot) {
  std::uint64_t key = 0;
  {
    std::lock_guard lock(mutex_);
    if (readers_.size() >= options_.readers_max) return false;
    key = ++last_key_;
    readers_.emplace(key, Reader{.reader = std::move(reader)});
  }
  // The callbacks may run at once; those of a reader that is gone find nothing.
  ResponseStream stream = open({.on_drain = [this, key] { end(key); }, .on_client_gone = [this, key] { remove(key); }});
  std::lock_guard lock(mutex_);
  const auto found = readers_.find(key);
  if (found == readers_.end()) {
    stream.end();
    return true;
  }
  found->second.stream = std::move(stream);
  const std::string piece = first_piece(found->second.reader, snapshot);
  if (ended_ || !write(found->second, piece)) {
    found->second.stream.end();
    readers_.erase(found);
  }
  return true;
}

// With mutex_ held. Returns false when the reader has to go.
bool EventHub::write(Reader& reader, std::string_view piece) {
  reader.written_at = clock_.mono_now();
  switch (reader.stream.write(piece)) {
    case ResponseStream::Write::taken: return true;
    case ResponseStream::Write::full: ++dropped_; return false;
    case ResponseStream::Write::closed: return false;
  }
  return false;
}

// With mutex_ held. A stream that goes without its end breaks the connection.
void EventHub::send_to_all(const std::function<bool(const Reader&)>& wanted, std::string_view piece) {
  for (auto reader = readers_.begin(); reader != readers_.end();) {
    const bool stays = !wanted(reader->second) || write(reader->second, piece);
    reader = stays ? std::next(reader) : readers_.erase(reader);
  }
}

void EventHub::publish(const std::optional<SessionId>& owner, std::string_view type, std::string_view data) {
  std::lock_guard lock(mutex_);
  std::string text;
  text.append("event: ").append(type).append("\nid: ").append(id_of(++last_number_));
  text.append("\ndata: ").append(data).append("\n\n");
  send_to_all([&](const Reader& reader) { return reader.reader.may_see(owner); }, text);
  bytes_ += text.size();
  events_.push_back({.number = last_number_, .owner = owner, .text = std::move(text)});
  while (events_.size() > options_.events_max || (bytes_ > options_.bytes_max && !events_.empty())) {
    bytes_ -= events_.front().text.size();
    events_.pop_front();
  }
}

void EventHub::tick() {
  std::lock_guard lock(mutex_);
  const MonoTime now = clock_.mono_now();
  send_to_all([&](const Reader& reader) { return now - reader.written_at >= options_.heartbeat; }, ":\n\n");
}

std::size_t EventHub::readers() const {
  std::lock_guard lock(mutex_);
  return readers_.size();
}

std::uint64_t EventHub::dropped() const {
  std::lock_guard lock(mutex_);
  return dropped_;
}

void EventHub::remove(std::uint64_t key) {
  std::lock_guard lock(mutex_);
  readers_.erase(key);
}

void EventHub::end(std::uint64_t key) {
  std::lock_guard lock(mutex_);
  const auto found = readers_.find(key);
  if (found == readers_.end()) return;
  found->second.stream.end();
  readers_.erase(found);
}

void EventHub::end_all() {
  std::lock_guard lock(mutex_);
  ended_ = true;
  for (auto& [key, reader] : readers_) reader.stream.end();
  readers_.clear();
}

}  // namespace imgrec
