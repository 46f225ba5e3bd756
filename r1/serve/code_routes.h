// The routes of code completion: POST /v1/code/completions (docs/code.md), and /infill, which takes and gives what llama.cpp's does, for the
// editor plug-ins that speak it.
#pragma once

#include <vector>

#include "r1/api/openapi.h"
#include "r1/http/router.h"
#include "r1/serve/service.h"

namespace r1::serve {

// The service outlives the router.
void add_code_routes(http::Router& router, Service& service);
// Their rows in /openapi.json.
std::vector<api::Operation> code_operations();

}  // namespace r1::serve
