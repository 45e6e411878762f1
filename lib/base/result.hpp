// Errors as values. Every function that can fail returns Result<T>; callers switch on Error::kind, never on code.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace imgrec {

enum class ErrorKind {
  transient,  // may succeed if tried again: lost connection, time-out, busy disk
  throttled,  // the other side asks for patience
  not_found,  // the thing named is not there
  invalid,    // the input is wrong and stays wrong: never retried
  denied,     // not allowed; a person must change something
  cancelled,  // stopped on request
  bug,        // a state that must not happen
};

struct Error {
  ErrorKind kind = ErrorKind::bug;
  std::string code;     // stable snake_case name for logs, metrics and problem+json ("image_truncated")
  std::string message;  // one sentence for a person: what happened, and what to do about it
};

template <class T>
using Result = std::expected<T, Error>;

/// The error case of any Result: `return fail(ErrorKind::invalid, "image_truncated", "The JPEG ends early.");`
inline std::unexpected<Error> fail(ErrorKind kind, std::string code, std::string message) {
  return std::unexpected(Error{kind, std::move(code), std::move(message)});
}

/// Passes an error on: `if (!bytes) return fail(bytes.error());`
inline std::unexpected<Error> fail(Error error) {
  return std::unexpected(std::move(error));
}

/// True for the kinds that another attempt may fix.
constexpr bool is_retryable(ErrorKind kind) {
  return kind == ErrorKind::transient || kind == ErrorKind::throttled;
}

/// "transient", "throttled", …: the enumerator's name.
std::string_view to_string(ErrorKind kind);

/// "image_truncated: The JPEG ends early."
std::string describe(const Error& error);

}  // namespace imgrec
