#include "roles/simulate/peers/peer.hpp"

namespace imgrec::simulate {

KnobValues Peer::documented() const {
  KnobValues values;
  for (const PeerKnob& knob : knobs) values.push_back(knob.otherwise);
  return values;
}

std::span<const Peer> peers() {
  static const std::vector<Peer> kPeers = {keda_peer(), sagemaker_peer(), asg_peer(), buildkite_peer()};
  return kPeers;
}

Result<Peer> find_peer(const std::string& name) {
  std::string names;
  for (const Peer& peer : peers()) {
    if (peer.name == name) return peer;
    names += (names.empty() ? "" : ", ") + std::string(peer.name);
  }
  return fail(ErrorKind::invalid, "no_such_peer", "There is no peer \"" + name + "\"; there are: " + names + ".");
}

}  // namespace imgrec::simulate
