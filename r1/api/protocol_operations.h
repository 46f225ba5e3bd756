// The rows of /openapi.json for the protocols beside OpenAI's chat: Responses, Anthropic, Ollama, KServe and Triton.
#pragma once

#include <vector>

#include "r1/api/openapi.h"

namespace r1::api {

std::vector<Operation> protocol_operations();

}  // namespace r1::api
