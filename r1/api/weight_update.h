// The interface of weights that are replaced while the server answers: Triton's POST /v2/repository/models/{model}/load and SGLang's
// POST /update_weights_from_disk. Both name a model by `model_path`, in the folder that the server was given for that; without it the served
// path is read once more.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "r1/api/body.h"
#include "r1/api/openapi.h"

namespace r1::api {

struct WeightUpdateBody {
  std::string model_path;

  void visit(Body& v);
};
struct RepositoryLoadBody {
  std::optional<WeightUpdateBody> parameters;

  void visit(Body& v);
};

// The path that a body names, "" if none; no body at all is as good. Throws http::ApiError.
std::string read_weight_update(const std::string& body);
std::string read_repository_load(const std::string& body);

Json weight_update_json(int64_t version, const std::string& path, double seconds);
std::vector<Operation> weight_update_operations();

}  // namespace r1::api
