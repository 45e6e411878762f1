// The JSON form of a request with images:
//   {"images":[{"name":"a.jpg","content":"BASE64"},…],"top_k":5,"min_score":0.1,"model":"resnet18","thumbnail":96}
// or one image, {"name":"a.jpg","content":"BASE64"}, with the same options. Other members are ignored.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.hpp"
#include "lib/job/job.hpp"

namespace imgrec {

/// How a request wants its images classified; what is not there is left to the service.
struct ClassifyOptions {
  std::optional<int> top_k;
  std::optional<double> min_score;  // labels of a lower score are left out of the answer; 0 to 1
  std::optional<std::string> model;
  std::optional<int> thumbnail;  // pixels of the longer side; JobRequest's
};

constexpr int kTopKMax = 1000;

// Errors: invalid "bad_top_k", "bad_min_score", "bad_thumbnail".
Result<int> check_top_k(std::optional<int> top_k);
Result<int> check_thumbnail(std::optional<int> side);
Result<double> check_min_score(std::optional<double> min_score);

struct JsonImage {
  std::string name;
  std::size_t offset = 0, size = 0;       // of its bytes in JsonImages::bytes; of a reference, to_json() of it
  std::optional<ObjectReference> object;  // not checked yet
  std::optional<Error> error;             // "bad_base64"
};

struct JsonImages {
  std::string bytes;  // of all images, one after the other
  std::vector<JsonImage> images;
  bool is_list = false;  // {"images":[…]}
  ClassifyOptions options;
};

/// Errors (invalid): "bad_json", which says what is wrong; "bad_top_k", "bad_min_score", "bad_thumbnail";
/// "too_many_images".
Result<JsonImages> parse_json_images(std::string_view body, std::size_t images_max);

}  // namespace imgrec
