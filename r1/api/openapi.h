// /openapi.json (OpenAPI 3.1): the routes with what they take and give, from a table that each protocol adds its rows to.
#pragma once

#include <string>
#include <vector>

#include "r1/base/json.h"

namespace r1::api {

struct Parameter {
  std::string name;
  const char* in = "path";  // "path", "query" or "header"
  std::string help;
  Json schema = {{"type", "string"}};
};

struct Operation {
  std::string method;   // "GET"
  std::string pattern;  // as the router's: "/v1/models/{id}"; {name...} is written {name}
  std::string summary;
  std::string tag;                                // "OpenAI", "Anthropic", ..: how the routes are grouped
  Json request = {};                              // schema of the JSON body; null: none is taken
  Json response = {};                             // schema of the 200 answer; null: any JSON
  bool streams = false;                           // or, if the body says stream, text/event-stream
  std::string content_type = "application/json";  // of the 200 answer
  std::vector<Parameter> parameters = {};         // those of the pattern are there by themselves
  bool open = false;                              // needs no API key
  std::vector<int> statuses = {};                 // of errors beside 400, 401, 404 where there is a parameter, 413, 429, 500, 503
  Json error = {};                                // schema of an error's body; null: OpenAI's
};

// `server`: "http://127.0.0.1:8080", or "/" for the address that the document came from.
Json openapi_json(const std::vector<Operation>& operations, const std::string& version, const std::string& server = "/");

// The rows of openai_chat, openai_completions and openai_other (openai_operations.cc).
std::vector<Operation> openai_operations();

// {"error": {"message", "type", "param", "code"}}
Json error_schema();

}  // namespace r1::api
