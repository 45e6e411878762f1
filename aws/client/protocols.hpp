// Requests in the wire protocols of AWS's services; answers are read with aws/wire.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "aws/client/call.hpp"

namespace imgrec::aws {

/// awsJson 1.0 (SQS): the operation in X-Amz-Target, a JSON object as body.
/// https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
CallRequest json_call(CallName name, Endpoint endpoint, std::string_view target_prefix, std::string body);

/// awsQuery and ec2Query: a form with Action and Version first.
/// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
CallRequest query_call(CallName name, Endpoint endpoint, std::string_view version, const QueryPairs& parameters);

/// "NAME.1", "NAME.2", …: a flattened list, as EC2 takes all its lists.
void append_list(QueryPairs& form, const std::string& name, const std::vector<std::string>& values);

/// The version of the service's query protocol; empty for services that speak another one.
std::string_view query_version(std::string_view service);

}  // namespace imgrec::aws
