#include "r1/http/error.h"

#include "r1/base/log.h"

namespace r1::http {

ApiError::ApiError(int status, const std::string& message, std::string param, std::string code)
    : Error(message, status < 500 ? ErrorKind::kUsage : ErrorKind::kFailed),
      status(status),
      param(std::move(param)),
      code(std::move(code)) {}

const char* ApiError::type() const {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    default:
      return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

Json ApiError::to_json() const {
  Json error = {{"message", what()}, {"type", type()}, {"param", nullptr}, {"code", nullptr}};
  if (!param.empty()) error["param"] = param;
  if (!code.empty()) error["code"] = code;
  return Json{{"error", std::move(error)}};
}

ApiError as_api_error(const std::exception& error) {
  if (const auto* api = dynamic_cast<const ApiError*>(&error)) return *api;
  if (const auto* own = dynamic_cast<const Error*>(&error)) return {own->kind() == ErrorKind::kUsage ? 400 : 500, own->what()};
  if (dynamic_cast<const std::bad_alloc*>(&error))
    return {503, "the server is out of memory for this request; try again with a smaller one"};
  log_error("[serve] internal error: ", printable(error.what()));
  return {500, "internal error; the server's log has more"};
}

}  // namespace r1::http
