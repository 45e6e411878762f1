// Requests with images: taken apart, each image sent on its way, and the client held until all are answered.
#pragma once

#include <memory>
#include <stop_token>
#include <vector>

#include "roles/web/access/access_control.hpp"
#include "roles/web/api/context.hpp"
#include "roles/web/api/exchange.hpp"
#include "roles/web/api/intake.hpp"
#include "roles/web/jobs/jobs.hpp"
#include "roles/web/results/result_router.hpp"
#include "roles/web/upload/upload.hpp"

namespace imgrec {

/// Thread-safe.
class ClassifyHandler {
 public:
  struct Parts {
    ResultRouter& router;
    Uploader& uploader;
    AccessControl& access;
    Jobs& jobs;
    std::stop_token abort{};  // requested: calls under way end
  };
  ClassifyHandler(const WebSettings& settings, WebPorts& ports, const Parts& parts)
      : settings_(settings),
        ports_(ports),
        router_(parts.router),
        uploader_(parts.uploader),
        access_(parts.access),
        jobs_(parts.jobs),
        abort_(parts.abort) {}

  /// Blocks for as long as one image takes to store, and to count it where its key is limited.
  void handle(Exchange exchange);

 private:
  void handle_shaped(Exchange exchange);
  Result<ShapedRequest> take_shaped(Exchange& exchange) const;
  void start(Exchange exchange, const Intake& intake);
  struct Images {
    std::vector<ImageSlot> slots;
    std::vector<ImageUpload> uploads;  // of those that were not refused
  };
  bool charge(Exchange& exchange, const Intake& intake);
  Images prepare(const Intake& intake, const JobRequest& common);
  PendingRequest::Options wait_options(const Request& request, bool held) const;
  struct Client {
    SessionId session;
    OwnerId owner;
    std::string cookie_to_set;  // empty: none
    bool may_return = false;    // its jobs go on when it leaves: it can ask again with the same Idempotency-Key
  };
  Client client_of(const Exchange& exchange) const;
  /// Nothing: the request has no Idempotency-Key, or its route takes none. Else whether an earlier request has made the
  /// jobs, which `images` then has in place of its own.
  Result<std::optional<Idempotency::Claim>> claim_key(const Exchange& exchange, const OwnerId& owner, Images& images);
  void rejoin(const Idempotency::Claim& claim, const std::shared_ptr<PendingRequest>& pending,
              std::vector<ImageUpload>& uploads);
  JobRequest common_request(const Exchange& exchange, const Client& client, const ClassifyOptions& options) const;
  std::shared_ptr<PendingRequest> hold(Exchange exchange, std::vector<ImageSlot> slots, Client of);
  void abandon_unanswered(const std::vector<ImageSlot>& slots, const OwnerId& owner);
  void count_answers(WaitEnd how, const std::vector<ImageSlot>& slots);

  const WebSettings& settings_;
  WebPorts& ports_;
  ResultRouter& router_;
  Uploader& uploader_;
  AccessControl& access_;
  Jobs& jobs_;
  const std::stop_token abort_;
};

}  // namespace imgrec
