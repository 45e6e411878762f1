// GET /v1/events: Server-Sent Events to many readers at once.
// https://html.spec.whatwg.org/multipage/server-sent-events.html
//
// Threads  safe; nothing blocks.
// Memory   bounded: the latest events_max events of at most bytes_max bytes, and for each reader what its stream holds
//          (stream_bytes_max). A reader that is slower than that is dropped: its connection breaks, it comes again with
//          the id of the last event that it has, and gets what it missed, or a new snapshot when that is too old.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/ids.hpp"
#include "lib/base/rng.hpp"
#include "lib/http/server/responder.hpp"

namespace imgrec {

/// What one reader may see.
struct EventReader {
  std::optional<SessionId> session;  // whose jobs; nothing: nobody's
  bool sees_service = false;         // queue, machines, decisions
  std::string last_event_id = {};    // of the last event that it has; empty: it is new

  bool may_see(const std::optional<SessionId>& owner) const { return owner ? owner == session : sees_service; }
};

class EventHub {
 public:
  struct Options {
    std::size_t events_max = 4'000;
    std::uint64_t bytes_max = 4 * kMiB;
    std::size_t readers_max = 2'000;
    Millis heartbeat{15'000};  // a comment after so long without an event
    Millis retry{2'000};       // told to readers: between two attempts to connect
  };
  EventHub(Clock& clock, Rng& rng, const Options& options);
  EventHub(Clock& clock, Rng& rng) : EventHub(clock, rng, {}) {}

  /// Opens the stream and sends what the reader missed, or `snapshot` (JSON) where that is not known. Returns false,
  /// without opening it, when there are too many readers.
  using OpenStream = std::function<ResponseStream(StreamCallbacks)>;
  bool subscribe(EventReader reader, const OpenStream& open, const std::function<std::string()>& snapshot);

  /// To everyone who sees the service, or to the session's readers. `data` is JSON in one line.
  void publish(const std::optional<SessionId>& owner, std::string_view type, std::string_view data);

  /// Call it every second: sends the heartbeats.
  void tick();

  std::size_t readers() const;
  /// Readers that were too slow.
  std::uint64_t dropped() const;

  /// Ends every stream in good order; new ones end at once.
  void end_all();

 private:
  struct Event {
    std::uint64_t number;
    std::optional<SessionId> owner;
    std::string text;  // as it is sent
  };
  struct Reader {
    EventReader reader;
    ResponseStream stream = {};
    MonoTime written_at{};
  };
  using Readers = std::unordered_map<std::uint64_t, Reader>;

  std::string id_of(std::uint64_t number) const;
  std::optional<std::uint64_t> number_of(std::string_view id) const;
  std::string first_piece(const EventReader& reader, const std::function<std::string()>& snapshot) const;
  bool write(Reader& reader, std::string_view piece);
  void send_to_all(const std::function<bool(const Reader&)>& wanted, std::string_view piece);
  void remove(std::uint64_t key);
  void end(std::uint64_t key);

  Clock& clock_;
  const Options options_;
  const std::string life_;  // ids of another life of the node mean nothing here
  mutable std::mutex mutex_;
  std::deque<Event> events_;  // oldest first
  std::uint64_t bytes_ = 0;
  std::uint64_t last_number_ = 0, last_key_ = 0;
  std::uint64_t dropped_ = 0;
  bool ended_ = false;
  Readers readers_;
};

}  // namespace imgrec
