// What `r1 serve` answers at which path: every protocol over one Service. The lists of clients' fields and answers are api/'s.
#pragma once

#include <ctime>
#include <string>
#include <vector>

#include "r1/api/ollama.h"
#include "r1/api/openapi.h"
#include "r1/http/router.h"
#include "r1/http/server.h"
#include "r1/serve/service.h"

namespace r1::serve {

struct RouteOptions {
  api::OllamaModel facts;  // of the served model, as lists tell them
  std::string version;     // the program's
  int64_t created = std::time(nullptr);
  std::vector<std::string> aliases;       // other names that the model answers to
  std::vector<api::Operation> more = {};  // rows of /openapi.json for routes beside these
};

// Runs a request of any protocol for the client behind `responder`; it ends when that one leaves.
void run(Service& service, api::Generation generation, const http::RequestPtr& request, const http::ResponderPtr& responder);

// The service outlives the router.
void add_routes(http::Router& router, Service& service, const RouteOptions& options);
// Their rows of /openapi.json.
std::vector<api::Operation> operations();
// /metrics as text.
std::string metrics(const Numbers& numbers, const std::string& model, int64_t max_queue);
// What answers while the model is loaded: /health 503, anything else 503 with Retry-After.
void add_loading_routes(http::Router& router);

}  // namespace r1::serve
