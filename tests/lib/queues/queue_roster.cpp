// Prints the roster of a web node named web-1 with the default settings, for tests in Python: an object for each queue,
// with its name, FIFO or not, and what each role does with it.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "lib/queues/queues.hpp"

namespace {

nlohmann::json words(unsigned uses) {
  auto out = nlohmann::json::array();
  if ((uses & imgrec::kSendsTo) != 0) out.push_back("sends");
  if ((uses & imgrec::kReceivesFrom) != 0) out.push_back("receives");
  if ((uses & imgrec::kWatches) != 0) out.push_back("watches");
  if ((uses & imgrec::kMakes) != 0) out.push_back("makes");
  return out;
}

}  // namespace

int main() {
  imgrec::Config config;
  config.web.node = "web-1";
  auto rows = nlohmann::json::array();
  for (const imgrec::QueueRow& row : imgrec::queue_roster(config)) {
    rows.push_back({{"name", row.name},
                    {"fifo", row.fifo},
                    {"per_node", row.owner == imgrec::QueueOwner::this_node},
                    {"uses",
                     {{"web", words(row.uses.web)},
                      {"worker", words(row.uses.worker)},
                      {"controller", words(row.uses.controller)},
                      {"deployer", words(row.uses.deployer)}}}});
  }
  std::printf("%s\n", rows.dump().c_str());
}
