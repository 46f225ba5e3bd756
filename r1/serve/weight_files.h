// Other weights from disk for a model that is served: where they may lie, whether they mean the same by a token, and whether there is room.
// Everything wrong is told before the served ones notice anything.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>

#include "r1/model/transformer.h"
#include "r1/serve/service.h"

namespace r1::serve {

// The model that `name` calls in or below `folder`: a path from there, or an absolute one that leads there; no link leads out. Throws
// http::ApiError 404 if there is none, 403 if it lies elsewhere.
std::filesystem::path find_weights(const std::filesystem::path& folder, const std::string& name);

// Loads them onto the served model's device, in its dtype and, on a CPU, quantized as the file has them, on one thread, so that those who
// are being answered keep the cores. Throws http::ApiError: 400 (not a model, another vocabulary), 503 (no room); and what reading a model
// throws. Ends with an error soon after `stop` is set. `cache_bytes`: what the new engine will take besides.
std::shared_ptr<model::Transformer> load_weights(const std::filesystem::path& path, const ServedModel& served, int64_t cache_bytes,
                                                 const std::atomic<bool>& stop);

}  // namespace r1::serve
