// MD5 (RFC 1321) of several texts at once: what SQS tells of the messages of a batch. No protection against anybody.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "lib/base/units.hpp"

namespace imgrec::aws {

/// 32 lower-case hex digits for each text, in order. MD5's steps wait for each other, so that one text leaves most of a
/// processor idle: up to 16 are hashed side by side, in about the time that one takes.
std::vector<std::string> md5_hex_each(std::span<const ByteView> texts);

/// Of one.
inline std::string md5_hex(ByteView text) {
  return md5_hex_each({&text, 1}).front();
}

}  // namespace imgrec::aws
