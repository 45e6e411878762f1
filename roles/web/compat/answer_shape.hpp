// How another service words its answers, for clients that were written for it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/http/server/server.hpp"
#include "lib/job/job.hpp"

namespace imgrec {

/// Of an image without labels, or of a request that was refused.
struct ShapedError {
  std::string code, detail;  // as in a problem document
  int status = 500;          // as a problem document would have; a shape may use another
  bool retryable = false;
};

/// Immutable.
class AnswerShape {
 public:
  virtual ~AnswerShape() = default;
  /// Every image of the request has labels; in the order in which they were sent.
  virtual Response labels(const std::vector<const JobResult*>& results, const RequestId& request) const = 0;
  virtual Response error(const ShapedError& error, const RequestId& request) const = 0;
};

/// The images of a request in another service's form, and how it is to be answered.
struct ShapedRequest {
  std::shared_ptr<const std::string> body;  // what the images are part of
  struct Image {
    std::string name;
    ByteView bytes;
    bool is_tensor = false;                   // lib/job/tensor.hpp; else an encoded image, which is not looked at yet
    std::optional<ObjectReference> object{};  // not checked yet; `bytes` is to_json() of it
  };
  std::vector<Image> images;  // at least one
  int top_k = 5;
  std::shared_ptr<const AnswerShape> shape;
};

}  // namespace imgrec
