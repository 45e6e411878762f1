#include "aws/client/protocols.hpp"

namespace imgrec::aws {
namespace {

// Forms have "+" where URLs have "%20"; AWS reads both, and what re-encodes a form before it checks the signature (as
// moto does) gets the same bytes again.
std::string as_form(std::string query) {
  for (auto at = query.find("%20"); at != std::string::npos; at = query.find("%20", at)) query.replace(at, 3, "+");
  return query;
}

}  // namespace

CallRequest json_call(CallName name, Endpoint endpoint, std::string_view target_prefix, std::string body) {
  CallRequest out;
  out.name = std::move(name);
  out.endpoint = std::move(endpoint);
  // "x-amzn-query-mode: true": errors also carry the code of the older query protocol, which names more cases.
  out.headers = {{"Content-Type", "application/x-amz-json-1.0"},
                 {"X-Amz-Target", std::string(target_prefix) + "." + out.name.operation},
                 {"x-amzn-query-mode", "true"}};
  out.body = std::move(body);
  return out;
}

CallRequest query_call(CallName name, Endpoint endpoint, std::string_view version, const QueryPairs& parameters) {
  CallRequest out;
  out.name = std::move(name);
  out.endpoint = std::move(endpoint);
  out.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
  QueryPairs form = {{"Action", out.name.operation}, {"Version", std::string(version)}};
  form.insert(form.end(), parameters.begin(), parameters.end());
  out.body = as_form(to_query_string(form));
  return out;
}

void append_list(QueryPairs& form, const std::string& name, const std::vector<std::string>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) form.emplace_back(name + "." + std::to_string(i + 1), values[i]);
}

std::string_view query_version(std::string_view service) {
  if (service == "ec2") return "2016-11-15";
  if (service == "sts") return "2011-06-15";
  if (service == "iam") return "2010-05-08";
  if (service == "autoscaling") return "2011-01-01";
  if (service == "monitoring") return "2010-08-01";
  if (service == "cloudformation") return "2010-05-15";
  return "";
}

}  // namespace imgrec::aws
