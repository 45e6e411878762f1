// A handler's Response as the message that is sent. Private to lib/http.
#pragma once

#include "lib/http/server/asio.hpp"
// Asio first (see there).
#include "lib/http/server/server.hpp"

namespace imgrec::http {

using ResponseMessage = boost::beast::http::response<boost::beast::http::string_body>;

/// True when the handler asked for "Connection: close".
bool wants_close(const Response& response);

/// With the headers of every answer but Connection; without those that are malformed or the server's own. is_head: the
/// length of the body, but no body.
ResponseMessage to_message(Response response, bool is_head, const RequestId& id);

/// The status line, the headers and the empty line.
std::string head_text(const ResponseMessage& message);

}  // namespace imgrec::http
