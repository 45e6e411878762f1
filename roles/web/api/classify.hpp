// Requests with images: taken apart, each image sent on its way, and the client held until all are answered.
#pragma once

#include <memory>
#include <vector>

#include "roles/web/api/exchange.hpp"
#include "roles/web/api/intake.hpp"
#include "roles/web/results/result_router.hpp"
#include "roles/web/upload/upload.hpp"
#include "roles/web/api/context.hpp"

namespace imgrec {

/// Thread-safe.
class ClassifyHandler {
 public:
  ClassifyHandler(const WebSettings& settings, WebPorts& ports, ResultRouter& router, Uploader& uploader)
      : settings_(settings), ports_(ports), router_(router), uploader_(uploader) {}

  /// Blocks for as long as one image takes to store.
  void handle(Exchange exchange);

 private:
  struct Images {
    std::vector<ImageSlot> slots;
    std::vector<ImageUpload> uploads;  // of those that were not refused
  };
  Images prepare(const Intake& intake, const JobRequest& common);
  PendingRequest::Options wait_options(const Request& request, bool held) const;
  JobRequest common_request(const Exchange& exchange, const SessionId& session, int top_k) const;
  std::shared_ptr<PendingRequest> hold(Exchange exchange, std::vector<ImageSlot> slots, std::string cookie_to_set);
  void abandon_unanswered(WaitEnd how, const std::vector<ImageSlot>& slots);
  void count_answers(WaitEnd how, const std::vector<ImageSlot>& slots);

  const WebSettings& settings_;
  WebPorts& ports_;
  ResultRouter& router_;
  Uploader& uploader_;
};

}  // namespace imgrec
