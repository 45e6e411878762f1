// What every test of the server includes and names.
#pragma once

#include <gmock/gmock.h>

#include <memory>
#include <vector>

#include "lib/http/server/problem.hpp"
#include "tests/lib/http/raw_client.hpp"
#include "tests/lib/http/running_server.hpp"

namespace imgrec {

using test::body_of;
using test::chunked_head;
using test::echo;
using test::eventually;
using test::get;
using test::header_of;
using test::Held;
using test::post;
using test::post_head;
using test::RawClient;
using test::Running;
using test::status_of;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

using Clients = std::vector<std::unique_ptr<RawClient>>;

}  // namespace imgrec
