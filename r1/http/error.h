// An error that a client is told: an HTTP status and OpenAI's error object around it. Handlers throw it; the server's request boundary (or a
// protocol with an error shape of its own) makes the response. r1::Error that reaches the boundary is 400 if it is kUsage, else 500, in the
// same shape; anything else is a 500 that says nothing of its inside.
#pragma once

#include <string>

#include "r1/base/error.h"
#include "r1/base/json.h"

namespace r1::http {

struct ApiError : Error {
  // `param`: the field of the request that is at fault ("messages[2].content"), "" if none; `code`: what programs compare
  // ("context_length_exceeded"), "" if none.
  ApiError(int status, const std::string& message, std::string param = "", std::string code = "");

  int status;
  std::string param, code;
  int retry_after = 0;  // seconds, for 429 and 503; 0: no such header

  // "invalid_request_error" (400, 404, 413, 422, ..), "authentication_error" (401), "permission_error" (403), "rate_limit_error" (429),
  // "overloaded_error" (503), "server_error" (other 5xx).
  const char* type() const;
  // {"error": {"message", "type", "param", "code"}}; param and code are null where they are empty.
  Json to_json() const;
};

// What to answer to any exception.
ApiError as_api_error(const std::exception& error);

}  // namespace r1::http
