// The bytes of each request, in the dialect that the service is spoken to in.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "lib/http/load/engine.hpp"
#include "roles/load/plan.hpp"

namespace imgrec::load {

class RequestMaker {
 public:
  /// Plan and images live as long as this does.
  RequestMaker(const LoadPlan& plan, std::span<const LoadImage> images);

  /// A request with `count` images from `first` on, in a circle. It has views into this object.
  Exchange make(std::uint64_t tag, std::size_t first, std::size_t count) const;
  /// Asks for a job's result. location: a path, as the service gave it.
  Exchange poll(std::uint64_t tag, std::string_view location) const;

 private:
  Exchange make_plain(std::size_t image) const;
  Exchange make_form(std::size_t first, std::size_t count) const;

  const LoadPlan& plan_;
  const std::span<const LoadImage> images_;
  std::string common_;                 // header lines that every request has
  std::vector<std::string> prepared_;  // per image: the head of its request, or its part's head in a form
  std::string form_end_, form_headers_;
};

/// Everything but letters, digits and "-._~" as %XX.
std::string percent_encoded(std::string_view text);

/// A file name within quotes of Content-Disposition, escaped as browsers do (WHATWG HTML, multipart/form-data).
std::string form_quoted(std::string_view name);

}  // namespace imgrec::load
