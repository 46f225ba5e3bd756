#include "r1/api/protocol_operations.h"
#include "r1/api/weight_update.h"
#include "r1/serve/routes.h"

namespace r1::serve {

std::vector<api::Operation> operations() {
  std::vector<api::Operation> out = api::openai_operations();
  const auto append = [&](std::vector<api::Operation> more) {
    out.insert(out.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  };
  append(api::protocol_operations());
  append(api::weight_update_operations());
  const Json object = {{"type", "object"}};
  const auto get = [&](const char* pattern, const char* summary, const Json& response, const char* content_type = "application/json",
                       bool open = false) {
    out.push_back({.method = "GET",
                   .pattern = pattern,
                   .summary = summary,
                   .tag = "Server",
                   .response = response,
                   .content_type = content_type,
                   .open = open});
  };
  for (const char* path : {"/health", "/v1/health", "/healthz"})
    get(path, "200 when the model can be asked, 503 while it is loaded", object, "application/json", true);
  get("/metrics", "Prometheus' text", {{"type", "string"}}, "text/plain");
  get("/props", "What is served and how it samples", object);
  get("/slots", "The samples that are being made", {{"type", "array"}});
  get("/version", "The program's version", object);
  get("/openapi.json", "This document", object);
  return out;
}

}  // namespace r1::serve
