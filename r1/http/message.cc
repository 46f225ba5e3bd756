#include "r1/http/message.h"

#include "r1/http/error.h"

namespace r1::http {

std::string_view Request::header(std::string_view lower_case_name) const {
  for (const auto& [name, value] : headers)
    if (name == lower_case_name) return value;
  return {};
}

Response error_response(const std::exception& error) {
  const ApiError api = as_api_error(error);
  Response response{.status = api.status, .body = dump_json(api.to_json())};
  if (api.retry_after > 0) response.headers.emplace_back("Retry-After", std::to_string(api.retry_after));
  return response;
}

std::string sse(std::string_view text, std::string_view event) {
  std::string out;
  out.reserve(text.size() + event.size() + 16);
  if (!event.empty()) out.append("event: ").append(event).append("\n");
  out.append("data: ").append(text).append("\n\n");
  return out;
}

}  // namespace r1::http
