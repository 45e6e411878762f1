#include "roles/simulate/tuning.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

namespace imgrec::simulate {
namespace {

constexpr double kLeast = 1e-9;  // so that nothing is infinitely good

constexpr std::uint64_t kTuningJobsMax = 50'000;
constexpr std::uint64_t kSeed = 1;

double score_of(const Peer& peer, const KnobValues& knobs, const std::vector<Course>& courses,
                const std::vector<Workload>& workloads) {
  const Contender one = contender(peer, knobs, peer.name);
  std::vector<Summary> all(courses.size());
  for (std::size_t i = 0; i < courses.size(); ++i) all[i].add(run_once(courses[i], one, workloads[i], kSeed));
  return score(all);
}

}  // namespace

double score(const std::vector<Summary>& summaries) {
  if (summaries.empty()) return 0;
  double logarithms = 0;
  for (const Summary& summary : summaries) {
    logarithms += std::log(std::max(kLeast, summary.cost_usd() * summary.all.wait.quantile(0.95)));
  }
  return std::exp(logarithms / static_cast<double>(summaries.size()));
}

KnobValues tune(const Peer& peer, const std::vector<Course>& courses, int passes_max) {
  std::vector<Workload> workloads;
  for (const Course& one : courses) workloads.push_back(one.workload(kSeed, kTuningJobsMax));
  KnobValues best = peer.documented();
  double best_score = score_of(peer, best, courses, workloads);
  for (int pass = 0; pass < passes_max; ++pass) {
    const KnobValues before = best;
    for (std::size_t knob = 0; knob < peer.knobs.size(); ++knob) {
      const double held = best[knob];
      for (const double value : peer.knobs[knob].tried) {
        if (value == held) continue;
        KnobValues candidate = best;
        candidate[knob] = value;
        const double candidate_score = score_of(peer, candidate, courses, workloads);
        if (candidate_score >= best_score) continue;
        best_score = candidate_score;
        best = candidate;
      }
    }
    if (best == before) break;
  }
  return best;
}

std::string to_toml(const Tuned& tuned) {
  std::ostringstream out;
  out << "# The best configuration of each peer over all scenarios, found by `imgrec simulate --tune FILE`.\n";
  for (const Peer& peer : peers()) {
    const auto found = tuned.find(peer.name);
    if (found == tuned.end()) continue;
    out << "\n[" << peer.name << "]\n";
    for (std::size_t i = 0; i < peer.knobs.size(); ++i) {
      out << '"' << peer.knobs[i].name << "\" = " << found->second[i] << "  # documented: " << peer.knobs[i].otherwise
          << "\n";
    }
  }
  return out.str();
}

Result<Tuned> parse_tuned(const std::string& text, const std::string& shown) {
  const auto bad = [&](std::string what) { return fail(ErrorKind::invalid, "bad_tuning", shown + ": " + what); };
  toml::table document;
  try {
    document = toml::parse(text, shown);
  } catch (const toml::parse_error& error) {
    return bad(std::string(error.description()) + ".");
  }
  Tuned tuned;
  for (const auto& [name, node] : document) {
    const auto peer = find_peer(std::string(name.str()));
    if (!peer) return fail(peer.error());
    KnobValues values;
    for (const PeerKnob& knob : peer->knobs) {
      const auto value = node.is_table() ? (*node.as_table())[knob.name].value<double>() : std::nullopt;
      if (!value) return bad(std::string("[") + peer->name + "] lacks a number \"" + knob.name + "\".");
      values.push_back(*value);
    }
    tuned[peer->name] = values;
  }
  return tuned;
}

}  // namespace imgrec::simulate
