// What the handlers of the API work with: the ports, and the settings of the role.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/clock.hpp"
#include "lib/base/rng.hpp"
#include "lib/config/config.hpp"
#include "lib/ports/message_queue.hpp"
#include "lib/ports/object_store.hpp"
#include "lib/telemetry/metrics.hpp"
#include "roles/web/access/key_place.hpp"

namespace imgrec {

struct WebPorts {
  MessageQueue& requests;
  MessageQueue& responses;     // this node's own
  std::string responses_name;  // what requests carry as reply_to
  MessageQueue& dead_letters;
  ObjectStore& inputs;
  ObjectStore& outputs;
  Clock& clock;
  Rng& rng;
  Metrics& metrics;
  std::function<void(int port)> on_listening = [](int) {};
  std::unique_ptr<KeyPlace> keys = {};  // null: no key is needed
};

struct WebSettings {
  WebConfig web;
  ImageConfig image;
  int top_k = 5;
  std::string model = "resnet18";  // that the workers have: model.name
  std::string version;             // of imgrec
  std::string input_bucket = "inputs";
  /// Other hosts than these, localhost and addresses are refused (is_known_host); nothing: any is taken.
  std::optional<std::vector<std::string>> known_hosts;
  bool fifo_queues = false;  // FIFO queues: group = session, deduplication = job
};

}  // namespace imgrec
