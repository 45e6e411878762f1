// An EC2 that makes images as EC2 does: what is begun goes on with each look, and it shows late what was launched.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "aws/deploy/image_service.hpp"

namespace imgrec::test {

class FakeImageService final : public aws::ImageService {
 public:
  struct Machine {
    aws::Builder builder;
    int looks = 0;  // that showed it
  };

  std::vector<aws::MachineImage> made;
  std::vector<Machine> machines;
  std::vector<std::string> stored;  // snapshots
  std::string console_text = "Linux\nimgrec-bake: ready\nPower down.\n";
  int console_late = 2;  // reads of a console that find nothing
  int shown_late = 1;    // looks that do not show a new machine
  int launches = 0, creations = 0;
  std::vector<std::string> tokens, names;
  std::string image_ends = "available";

  // After so many calls every other one fails; the last one that works may lose its answer.
  int calls_left = 1'000'000;
  bool loses_answer = false;

  int alive() const {
    return static_cast<int>(
        std::ranges::count_if(machines, [](const Machine& one) { return one.builder.state != "terminated"; }));
  }
  void add(const std::string& id, const std::string& state, const std::string& recipe, const std::string& holder) {
    machines.push_back({.builder = {.id = InstanceId(id),
                                    .state = state,
                                    .reason = {},
                                    .recipe = recipe,
                                    .holder = holder,
                                    .launched_at = WallTime(Seconds(machines.size()))},
                        .looks = 100});
  }

  Result<std::vector<aws::MachineImage>> images(const CallLimits&) override {
    if (!works()) return dead();
    for (aws::MachineImage& one : made) {
      if (one.state == "pending" && ++looks_[one.id] > 2) one.state = image_ends;
    }
    return made;
  }
  Result<std::vector<aws::Builder>> builders(const CallLimits&) override {
    if (!works()) return dead();
    std::vector<aws::Builder> out;
    for (Machine& one : machines) {
      if (++one.looks <= shown_late) continue;
      std::string& state = one.builder.state;
      out.push_back(one.builder);
      if (state == "stopping") state = "stopped";
      if (state == "running") state = "stopping";
      if (state == "pending") state = "running";
    }
    return out;
  }
  Result<InstanceId> launch(const aws::BuilderRequest& request, const CallLimits&) override {
    if (!works()) return dead();
    tokens.push_back(request.token);
    const InstanceId id("i-" + std::to_string(++launches));
    machines.push_back({.builder = {.id = id,
                                    .state = "pending",
                                    .reason = {},
                                    .recipe = request.recipe,
                                    .holder = request.holder,
                                    .launched_at = WallTime(Seconds(machines.size()))},
                        .looks = 0});
    if (lost()) return dead();
    return id;
  }
  Result<std::string> console(const InstanceId&, const CallLimits&) override {
    if (!works()) return dead();
    return console_late-- > 0 ? "" : console_text;
  }
  Result<void> terminate(std::span<const InstanceId> ids, const CallLimits&) override {
    if (!works()) return dead();
    for (Machine& one : machines) {
      if (std::ranges::find(ids, one.builder.id) != ids.end()) one.builder.state = "terminated";
    }
    if (lost()) return dead();
    return {};
  }
  Result<void> create_image(const aws::ImageRequest& request, const CallLimits&) override {
    if (!works()) return dead();
    if (std::ranges::find(names, request.name) != names.end()) {
      return fail(ErrorKind::invalid, "image_exists", "AMI name is in use.");
    }
    names.push_back(request.name);
    const std::string id = "ami-" + std::to_string(++creations);
    made.push_back({.id = id,
                    .state = "pending",
                    .reason = {},
                    .recipe = request.recipe,
                    .created_at = "2026-01-0" + std::to_string(creations),
                    .snapshots = {"snap-" + id}});
    stored.push_back("snap-" + id);
    if (lost()) return dead();
    return {};
  }
  Result<void> deregister(const std::string& image, const CallLimits&) override {
    if (!works()) return dead();
    std::erase_if(made, [&](const aws::MachineImage& one) { return one.id == image; });
    names.clear();
    if (lost()) return dead();
    return {};
  }
  Result<std::vector<std::string>> snapshots(const CallLimits&) override {
    if (!works()) return dead();
    return stored;
  }
  Result<void> delete_snapshot(const std::string& snapshot, const CallLimits&) override {
    if (!works()) return dead();
    std::erase(stored, snapshot);
    return {};
  }

 private:
  bool works() { return calls_left-- > 0; }
  bool lost() const { return loses_answer && calls_left == 0; }
  static std::unexpected<Error> dead() { return fail(ErrorKind::transient, "dead", "The process was killed."); }

  std::map<std::string, int> looks_;
};

}  // namespace imgrec::test
