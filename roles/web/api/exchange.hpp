// One request on its way through the web tier.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "lib/http/server/server.hpp"
#include "roles/web/access/caller.hpp"
#include "roles/web/api/answers.hpp"
#include "roles/web/api/reply.hpp"
#include "roles/web/api/routes.hpp"

namespace imgrec {

/// Whether the client is still there. Thread-safe.
class ClientLink {
 public:
  bool has_left() const {
    std::lock_guard lock(mutex_);
    return has_left_;
  }
  /// The client has left: the request that waits for it, if there is one, ends.
  void leave() {
    std::shared_ptr<PendingRequest> waiting;
    {
      std::lock_guard lock(mutex_);
      has_left_ = true;
      waiting = waiting_.lock();
    }
    if (waiting) waiting->leave();
  }
  /// From now on leave() ends this request; at once when the client has left already.
  void attach(const std::shared_ptr<PendingRequest>& waiting) {
    {
      std::lock_guard lock(mutex_);
      waiting_ = waiting;
      if (!has_left_) return;
    }
    waiting->leave();
  }

 private:
  mutable std::mutex mutex_;
  bool has_left_ = false;
  std::weak_ptr<PendingRequest> waiting_;
};

/// Moves from handler to handler; whoever answers ends it.
struct Exchange {
  Request request;
  Route route;
  AnswerForm form;
  Reply reply;
  std::shared_ptr<ClientLink> client;
  Caller caller = {};

  /// To whom the jobs of this request belong (owner_of); nothing when nobody said.
  std::optional<SessionId> owner() const { return owner_of(request, caller); }
  void send(Response response) { reply.send(std::move(response)); }
  void send_error(const Error& error) { reply.send(error_response(form, error, request.id)); }
};

}  // namespace imgrec
