// How results are laid out for people who come from the reference systems: an object beside each result document, named
// after the image. The document (results/JOB.json) stays what the service itself reads.
//
//   results.layout   pair             an object {"test_0": "bathtub"}
//                    labelled-image   a copy of the image whose name has the label: test_0##bathtub.JPEG
//   results.key      job              JOB/test_0 and JOB/test_0##bathtub.JPEG: every image has its own
//                    timestamp-name   1615581640.838089_03-12-2021_test_3.JPG: when it was sent, in UTC
//                    name             test_0 and test_0##bathtub.JPEG: the last image of a name stays
//
// A file name may be any text, so it is encoded: see key_part(). The exact name is in the result document.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "lib/base/ids.hpp"
#include "lib/config/config.hpp"
#include "lib/job/job.hpp"

namespace imgrec {

/// Text as a part of an object's key: control characters, "/", "\", "%" and what is in `also` appear as %XX, bytes that
/// are no valid UTF-8 as U+FFFD. What is longer than bytes_max (at least 32) is cut and ends with "~" and eight hex
/// digits of the whole text's SHA-256, so that long texts stay different.
std::string key_part(std::string_view text, std::size_t bytes_max, std::string_view also = {});

/// False when the settings ask for nothing beside the document.
bool has_named_results(const ResultsConfig& results);
/// True when the object is a copy of the image.
bool copies_image(const ResultsConfig& results);
/// True when two images can have the same key although neither should take the other's place.
bool keys_may_meet(const ResultsConfig& results);

/// The key of a result with labels, for a layout other than json. `later`: microseconds to add to the time in it.
/// The same request and result give the same key at every delivery.
ObjectKey named_result_key(const ResultsConfig& results, const JobRequest& request, const JobResult& result,
                           int later = 0);

/// {"test_0": "bathtub"}
std::string pair_json(const JobResult& result);

}  // namespace imgrec
