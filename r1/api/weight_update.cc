#include "r1/api/weight_update.h"

#include "r1/base/error.h"

namespace r1::api {

void WeightUpdateBody::visit(Body& v) {
  v("model_path", model_path, "a model of the server's folder of weight updates; absent: the served path once more", {.max_length = 4096});
}

void RepositoryLoadBody::visit(Body& v) {
  v("parameters", parameters, "what to load");
}

std::string read_weight_update(const std::string& text) {
  WeightUpdateBody body;
  if (!text.empty()) read_body(text, body);
  return body.model_path;
}

std::string read_repository_load(const std::string& text) {
  RepositoryLoadBody body;
  if (!text.empty()) read_body(text, body);
  return body.parameters ? body.parameters->model_path : "";
}

Json weight_update_json(int64_t version, const std::string& path, double seconds) {
  return {{"success", true},
          {"message", str("version ", version, " answers from here on")},
          {"weights_version", version},
          {"model_path", path},
          {"seconds", seconds}};
}

std::vector<Operation> weight_update_operations() {
  const Json response = {{"type", "object"},
                         {"properties",
                          {{"success", {{"type", "boolean"}}},
                           {"message", {{"type", "string"}}},
                           {"weights_version", {{"type", "integer"}}},
                           {"model_path", {{"type", "string"}}},
                           {"seconds", {{"type", "number"}}}}},
                         {"required", {"success", "message", "weights_version", "model_path", "seconds"}}};
  const Json plain_error = {{"type", "object"}, {"properties", {{"error", {{"type", "string"}}}}}, {"required", {"error"}}};
  return {{.method = "POST",
           .pattern = "/update_weights_from_disk",
           .summary = "Other weights for requests to come; answers under way end by the old ones",
           .tag = "Server",
           .request = body_schema<WeightUpdateBody>(),
           .response = response,
           .statuses = {403, 404, 409}},
          {.method = "POST",
           .pattern = "/v2/repository/models/{model}/load",
           .summary = "The same, as Triton spells it",
           .tag = "KServe",
           .request = body_schema<RepositoryLoadBody>(),
           .response = response,
           .statuses = {403, 404, 409},
           .error = plain_error}};
}

}  // namespace r1::api
