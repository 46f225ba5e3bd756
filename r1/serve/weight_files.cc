#include "r1/serve/weight_files.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "r1/base/memory_left.h"
#include "r1/http/error.h"
#include "r1/model/weights_io.h"

namespace r1::serve {

namespace {

namespace fs = std::filesystem;
using http::ApiError;

bool lies_below(const fs::path& path, const fs::path& root) {
  const auto [at, other] = std::mismatch(root.begin(), root.end(), path.begin(), path.end());
  return at == root.end();
}

// What the files of weights hold: no model of them is smaller in memory by much.
int64_t stored_bytes(const fs::path& path) {
  if (!fs::is_directory(path)) return int64_t(fs::file_size(path));
  int64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(path))
    if (entry.is_regular_file() && (entry.path().extension() == ".safetensors" || entry.path().extension() == ".gguf"))
      bytes += int64_t(entry.file_size());
  return bytes;
}

void check_room(const fs::path& path, tensor::Device device, int64_t cache_bytes) {
  if (!device.is_cpu()) return;  // a GPU says so itself, and nobody is killed for it
  const int64_t needed = stored_bytes(path) + cache_bytes, left = memory_left();
  if (needed > left)
    throw ApiError(503,
                   str("no room: the new weights and their cache take ", needed >> 20, " MiB beside those that are served, ", left >> 20,
                       " MiB are left; lower --engine.kv_cache_memory, or start the server anew"),
                   "model", "no_room");
}

// The prompts' ids must mean to the new weights what they mean to the old.
void check_tokens(const fs::path& path, const text::Tokenizer& served) {
  if (fs::is_directory(path) && !fs::exists(path / "tokenizer.json")) return;  // weights alone
  const text::Tokenizer other = text::Tokenizer::load(path);
  const int64_t both = std::min(served.vocab_size(), other.vocab_size());
  for (text::TokenId id = 0; id < both; ++id)
    if (served.known(id) && other.known(id) && served.token_bytes(id) != other.token_bytes(id))
      throw ApiError(400,
                     str(path.string(), ": token ", id, " is '", printable(other.token_bytes(id)), "' there and '",
                         printable(served.token_bytes(id)), "' here: weights of another vocabulary need a server of their own"),
                     "model", "other_vocabulary");
}

}  // namespace

fs::path find_weights(const fs::path& folder, const std::string& name) {
  std::error_code ec;
  const fs::path root = fs::canonical(folder, ec);
  if (ec) throw ApiError(404, str("the folder of --weight_updates, ", folder.string(), ", is not there: ", ec.message()), "model");
  const fs::path found = name.find('\0') == std::string::npos ? fs::canonical(root / name, ec) : fs::path();
  if (found.empty() || ec)
    throw ApiError(404, str("there is no model ", printable(name), " in ", root.string()), "model", "model_not_found");
  if (!lies_below(found, root))
    throw ApiError(403, str(printable(name), " lies outside of the folder of --weight_updates, ", root.string()), "model",
                   "model_not_allowed");
  return found;
}

std::shared_ptr<model::Transformer> load_weights(const fs::path& path, const ServedModel& served, int64_t cache_bytes,
                                                 const std::atomic<bool>& stop) {
  at::set_num_threads(1);  // of this thread
  const model::Transformer& now = *served.model;
  const model::ModelConfig config = model::read_model_config(path);
  if (config.vocab_size != now.config().vocab_size)
    throw ApiError(400,
                   str(path.string(), ": a vocabulary of ", config.vocab_size, " tokens, the served model has ", now.config().vocab_size,
                       ": it needs a server of its own"),
                   "model", "other_vocabulary");
  check_tokens(path, *served.tokenizer);
  check_room(path, now.device(), cache_bytes);
  const auto go_on = [&stop](int64_t, int64_t) {
    if (stop) throw ApiError(503, "the server is stopping", "", "stopping");
  };
  return model::load_model(path, now.device(), now.dtype(), go_on, {.keep_packed = now.device().is_cpu(), .products_only = true});
}

}  // namespace r1::serve
