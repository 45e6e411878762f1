// /docs/errors/CODE: what an error means and what to do about it, for people.
#pragma once

#include "lib/http/server/server.hpp"
#include "roles/web/api/errors.hpp"

namespace imgrec {

Response error_page(const ErrorCode& error);

}  // namespace imgrec
