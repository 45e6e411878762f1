// What is going to happen, earliest first; of what happens at the same instant, what was scheduled first.
#pragma once

#include <cstdint>
#include <queue>
#include <vector>

#include "roles/simulate/sim_time.hpp"

namespace imgrec::simulate {

enum class EventKind : std::uint8_t {
  machine_runs,   // the cloud calls it running
  machine_ready,  // its worker takes work
  job_done,       // in one slot of a machine
  machine_lost,   // Spot takes it back, or it crashes
  machine_gone,   // the cloud does not show it any more
  job_visible,    // a message whose worker is gone can be received again
  request_taken,  // some idle worker looks for a request to stop
  look,           // of the controller
  sample,         // of the recording
};

struct Event {
  MonoTime at;
  std::uint64_t sequence = 0;
  EventKind kind = EventKind::look;
  std::uint32_t machine = 0;
  std::uint32_t job = 0;
};

class EventQueue {
 public:
  void schedule(MonoTime at, EventKind kind, std::uint32_t machine = 0, std::uint32_t job = 0) {
    events_.push({at, sequence_++, kind, machine, job});
  }
  bool empty() const { return events_.empty(); }
  const Event& next() const { return events_.top(); }
  Event take() {
    Event event = events_.top();
    events_.pop();
    return event;
  }

 private:
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.at != b.at ? a.at > b.at : a.sequence > b.sequence;
    }
  };
  std::priority_queue<Event, std::vector<Event>, Later> events_;
  std::uint64_t sequence_ = 0;
};

}  // namespace imgrec::simulate
