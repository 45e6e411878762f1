// Metrics as text (Prometheus' exposition format 0.0.4): labels added, and the texts of several processes made one.
// Pure. Lines that are no comment and no sample are left out; so is a last line without its end (a text cut off).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace imgrec {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

/// The text with these labels before those that each sample has. Label names are constants of the code.
std::string add_labels(std::string_view text, const MetricLabels& labels);

/// One text, in which each metric's help and type come once and all its samples follow them, as the format demands.
/// Help and type are those of the first text that has the metric.
std::string merge_expositions(std::span<const std::string> texts);

}  // namespace imgrec
