#include "r1/serve/intent_model.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "r1/api/intent_data.h"
#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/safetensors_file.h"
#include "r1/model/weights_io.h"
#include "r1/ops/linear.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/safetensors.h"

namespace r1::serve {
namespace {

constexpr const char *kDescription = "intent.json", *kTensors = "intent.safetensors", *kEncoder = "encoder";
constexpr int64_t kFormatVersion = 1, kBatch = 64, kMostTokens = 512;

// ---- files

// Every file of the folder but the description, by its name in it.
std::map<std::string, std::string> hashes_of(const fs::path& folder) {
  std::map<std::string, std::string> hashes;
  hashes[kTensors] = sha256_file(folder / kTensors);
  if (fs::is_directory(folder / kEncoder)) {
    for (const auto& entry : fs::directory_iterator(folder / kEncoder)) {
      if (entry.is_regular_file()) hashes[str(kEncoder, "/", entry.path().filename().string())] = sha256_file(entry.path());
    }
  }
  return hashes;
}

std::string version_of(const Json& description) {
  Json own = description;
  own.erase("version_hash");
  return sha256(dump_json(own)).substr(0, 16);
}

Tensor tensor_of(const std::vector<float>& values, at::IntArrayRef shape) {
  return aten::tensor(values, at::kFloat).view(shape);
}

std::vector<float> floats_of(const Tensor& t) {
  const Tensor host = t.detach().to(at::kCPU, at::kFloat).contiguous();
  return {host.const_data_ptr<float>(), host.const_data_ptr<float>() + host.numel()};
}

// Tensors of intent.safetensors by name, with the shape that is due; -1 takes any size.
class Tensors {
 public:
  explicit Tensors(const fs::path& path) : file_(SafetensorsFile::open(path)) {}
  Tensor take(const std::string& name, std::vector<int64_t> shape, SafeType type = SafeType::kF32) {
    const SafeTensor* found = file_.find(name);
    check(found, file_.name(), ": tensor ", name, " is missing");
    bool fits = found->type == type && found->shape.size() == shape.size();
    for (size_t i = 0; fits && i < shape.size(); ++i) fits = shape[i] < 0 || shape[i] == found->shape[i];
    check(fits, file_.name(), ": tensor ", name, " has not the shape and type that intent.json asks for");
    taken_.insert(name);
    return tensor::read_safetensor(file_, *found);
  }
  void finish() const {
    for (const SafeTensor& t : file_.tensors())
      check(taken_.count(t.name), file_.name(), ": tensor ", printable(t.name), " belongs to nothing");
  }

 private:
  SafetensorsFile file_;
  std::set<std::string> taken_;
};

// ---- the description

Json description_of(const IntentSettings& s, const api::NgramOptions& n, bool encoder, const Json& training) {
  return {{"format", "r1-intent"},
          {"format_version", kFormatVersion},
          {"labels", s.labels},
          {"max_tokens", s.max_tokens},
          {"encoder", encoder},
          {"ngram_share", s.ngram_share},
          {"ngram_temperature", s.ngram_temperature},
          {"ngrams",
           {{"max_words", n.max_words},
            {"min_chars", n.min_chars},
            {"max_chars", n.max_chars},
            {"min_count", n.min_count},
            {"max_features", n.max_features}}},
          {"training", training}};
}

void check_settings(const IntentSettings& s, const std::string& where) {
  check(s.labels.size() >= 2 && s.labels.size() <= api::kMaxIntents, where, ": expected 2 to ", api::kMaxIntents, " labels, got ",
        s.labels.size());
  for (size_t i = 0; i < s.labels.size(); ++i) {
    check(!s.labels[i].empty() && s.labels[i].size() <= 200, where, ": expected labels of 1 to 200 bytes, got one of ", s.labels[i].size());
    check(i == 0 || s.labels[i - 1] < s.labels[i], where, ": expected labels in order, each once; label ", i, " is not");
  }
  check(s.max_tokens >= 1 && s.max_tokens <= kMostTokens, where, ": expected max_tokens 1 to ", kMostTokens, ", got ", s.max_tokens);
  check(s.ngram_share >= 0 && s.ngram_share <= 1, where, ": expected ngram_share in [0, 1], got ", s.ngram_share);
  check(s.ngram_temperature >= 0.01 && s.ngram_temperature <= 100, where, ": expected ngram_temperature in [0.01, 100], got ",
        s.ngram_temperature);
}

IntentSettings settings_of(const Json& d, const std::string& where) {
  check(json_get_or<std::string>(d, "format", "", where) == "r1-intent", where, ": is no intent model (format is not r1-intent)");
  const auto version = json_get<int64_t>(d, "format_version", where);
  check(version == kFormatVersion, where, ": has format version ", version, ", this program reads ", kFormatVersion);
  IntentSettings s;
  s.labels = json_get<std::vector<std::string>>(d, "labels", where);
  s.max_tokens = json_get<int64_t>(d, "max_tokens", where);
  s.ngram_share = json_get<double>(d, "ngram_share", where);
  s.ngram_temperature = json_get<double>(d, "ngram_temperature", where);
  check_settings(s, where);
  return s;
}

api::NgramOptions ngram_options_of(const Json& d, const std::string& where) {
  const Json n = json_get<Json>(d, "ngrams", where);
  api::NgramOptions o;
  o.max_words = json_get<int64_t>(n, "max_words", where);
  o.min_chars = json_get<int64_t>(n, "min_chars", where);
  o.max_chars = json_get<int64_t>(n, "max_chars", where);
  o.min_count = json_get<int64_t>(n, "min_count", where);
  o.max_features = json_get<int64_t>(n, "max_features", where);
  return o;
}

void check_files(const fs::path& folder, const Json& description, const std::string& where) {
  const auto wanted = json_get<std::map<std::string, std::string>>(description, "files", where);
  const auto found = hashes_of(folder);
  for (const auto& [name, hash] : wanted) {
    const auto it = found.find(name);
    check(it != found.end(), where, ": file ", printable(name), " is missing");
    check(it->second == hash, (folder / name).string(),
          ": is not the file that intent.json speaks of (its SHA-256 differs): copy the folder again");
  }
  for (const auto& [name, hash] : found) check(wanted.count(name), (folder / name).string(), ": intent.json does not speak of it");
  check(json_get<std::string>(description, "version_hash", where) == version_of(description), where, ": was changed after it was written");
}

api::NgramFeatures read_ngrams(Tensors& tensors, const Json& description, const std::string& where) {
  const Tensor hashes = tensors.take("ngrams.hashes", {-1}, SafeType::kI64);
  const std::vector<float> idf = floats_of(tensors.take("ngrams.idf", {hashes.size(0)}));
  const auto* data = reinterpret_cast<const uint64_t*>(hashes.const_data_ptr<int64_t>());
  return api::NgramFeatures::from_parts(ngram_options_of(description, where), {data, data + hashes.numel()}, idf);
}

IntentModel::Encoder read_encoder(Tensors& tensors, const fs::path& folder, int64_t classes, tensor::Device device) {
  IntentModel::Encoder e;
  e.body = std::make_unique<IntentEncoder>(model::load_model(folder, device, at::kFloat));
  e.tokenizer = std::make_unique<text::Tokenizer>(text::Tokenizer::load(folder));
  const model::ModelConfig& config = e.body->model().config();
  check(e.tokenizer->vocab_size() <= config.vocab_size, folder.string(), ": the tokenizer knows ", e.tokenizer->vocab_size(),
        " tokens, the embedding has ", config.vocab_size);
  e.head_CD = tensors.take("head.weight", {classes, config.hidden_size}).to(device);
  e.bias_C = tensors.take("head.bias", {classes}).to(device);
  check(aten::isfinite(e.head_CD).all().item<bool>() && aten::isfinite(e.bias_C).all().item<bool>(), "[intent] the head has NaN or Inf");
  return e;
}

void blend(std::vector<float>& into, const std::vector<float>& other, double share) {
  for (size_t i = 0; i < into.size(); ++i) into[i] = float((1 - share) * into[i] + share * other[i]);
}

}  // namespace

std::vector<text::TokenId> message_ids(const text::Tokenizer& tokenizer, const std::string& message, int64_t most) {
  // A token has at least a byte and hardly ever more than 16; what is cut off far behind the limit changes nothing before it.
  const std::string text = api::single_blanks(std::string_view(message).substr(0, api::kMaxMessageBytes));
  std::vector<text::TokenId> ids = tokenizer.encode(text);
  if (int64_t(ids.size()) > most) ids.resize(size_t(most));
  if (ids.empty()) ids.push_back(0);
  return ids;
}

IntentModel::IntentModel(IntentSettings settings, api::NgramFeatures ngrams, api::LinearClassifier linear, Encoder encoder, Json training)
    : settings_(std::move(settings)),
      ngrams_(std::move(ngrams)),
      linear_(std::move(linear)),
      encoder_(std::move(encoder)),
      training_(std::move(training)) {
  check_settings(settings_, "[intent]");
  const int64_t classes = int64_t(settings_.labels.size());
  check(linear_.classes() == classes && linear_.features() == int64_t(ngrams_.size()), "[intent] expected a linear classifier of ", classes,
        " classes and ", ngrams_.size(), " features, got ", linear_.classes(), " and ", linear_.features());
  if (!encoder_.body) settings_.ngram_share = 1;
}

std::unique_ptr<IntentModel> IntentModel::load(const fs::path& folder, tensor::Device device) {
  const fs::path path = folder / kDescription;
  if (!fs::exists(path)) fail_usage(folder.string(), ": is no intent model (no ", kDescription, " in it); r1 intent train makes one");
  const std::string where = path.string();
  const Json description = parse_json_file(path, true);
  check(description.is_object(), where, ": expected an object");
  IntentSettings settings = settings_of(description, where);
  check_files(folder, description, where);
  const int64_t classes = int64_t(settings.labels.size());
  Tensors tensors(folder / kTensors);
  api::NgramFeatures ngrams = read_ngrams(tensors, description, where);
  const Tensor weights = tensors.take("linear.weight", {int64_t(ngrams.size()), classes});
  const Tensor bias = tensors.take("linear.bias", {classes});
  api::LinearClassifier linear = api::LinearClassifier::from_parts(classes, floats_of(weights), floats_of(bias));
  Encoder encoder;
  if (json_get<bool>(description, "encoder", where)) encoder = read_encoder(tensors, folder / kEncoder, classes, device);
  tensors.finish();
  auto model = std::make_unique<IntentModel>(std::move(settings), std::move(ngrams), std::move(linear), std::move(encoder),
                                             json_get_or<Json>(description, "training", Json::object(), where));
  model->version_ = json_get<std::string>(description, "version_hash", where);
  return model;
}

void IntentModel::save(const fs::path& folder, tensor::DType dtype) {
  make_folder(folder);
  const int64_t classes = linear_.classes(), features = linear_.features();
  std::vector<int64_t> hashes(ngrams_.hashes().begin(), ngrams_.hashes().end());
  std::vector<SafeSource> sources = {tensor::safe_source("ngrams.hashes", aten::tensor(hashes, at::kLong)),
                                     tensor::safe_source("ngrams.idf", tensor_of(ngrams_.idf(), {features})),
                                     tensor::safe_source("linear.weight", tensor_of(linear_.weights(), {features, classes})),
                                     tensor::safe_source("linear.bias", tensor_of(linear_.bias(), {classes}))};
  fs::remove(folder / kDescription);  // until all is written there is no model here
  if (encoder_.body) {
    sources.push_back(tensor::safe_source("head.weight", encoder_.head_CD));
    sources.push_back(tensor::safe_source("head.bias", encoder_.bias_C));
    model::save_model(encoder_.body->model(), folder / kEncoder, dtype);
    encoder_.tokenizer->save(folder / kEncoder);
  } else {
    fs::remove_all(folder / kEncoder);
  }
  write_safetensors(folder / kTensors, sources);
  Json description = description_of(settings_, ngrams_.options(), encoder_.body != nullptr, training_);
  description["files"] = hashes_of(folder);
  description["version_hash"] = version_of(description);
  version_ = description["version_hash"].get<std::string>();
  write_file_atomic(folder / kDescription, dump_json(description, 2) + "\n");
}

std::vector<float> IntentModel::ngram_probabilities(const std::string& message) const {
  std::vector<float> p = linear_.logits(ngrams_(message));
  for (float& v : p) v /= float(settings_.ngram_temperature);
  api::softmax(p);
  return p;
}

std::vector<std::vector<float>> IntentModel::encoder_probabilities(std::span<const std::string> messages) const {
  check(encoder_.body != nullptr, "[intent] this model has no encoder");
  const at::NoGradGuard no_grad;
  std::vector<std::vector<text::TokenId>> ids;
  for (const std::string& message : messages) ids.push_back(message_ids(*encoder_.tokenizer, message, settings_.max_tokens));
  // Messages of like length together, so that little is padded.
  std::vector<size_t> order(messages.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return ids[a].size() < ids[b].size(); });
  std::vector<std::vector<float>> out(messages.size());
  for (size_t begin = 0; begin < order.size(); begin += kBatch) {
    const size_t end = std::min(order.size(), begin + kBatch);
    std::vector<std::vector<text::TokenId>> batch;
    for (size_t i = begin; i < end; ++i) batch.push_back(ids[order[i]]);
    const Tensor pooled_BD = (*encoder_.body)(message_batch(batch, encoder_.body->model().device()));
    const Tensor p_BC = aten::softmax(ops::linear(pooled_BD, encoder_.head_CD, encoder_.bias_C), -1).to(at::kCPU).contiguous();
    const int64_t classes = p_BC.size(1);
    for (size_t i = begin; i < end; ++i) {
      const float* row = p_BC.const_data_ptr<float>() + int64_t(i - begin) * classes;
      out[order[i]].assign(row, row + classes);
    }
  }
  return out;
}

std::vector<std::vector<float>> IntentModel::probabilities(std::span<const std::string> messages) const {
  std::vector<std::vector<float>> out;
  if (encoder_.body) {
    out = encoder_probabilities(messages);
    for (size_t i = 0; i < out.size(); ++i) {
      if (settings_.ngram_share > 0) blend(out[i], ngram_probabilities(messages[i]), settings_.ngram_share);
    }
  } else {
    for (const std::string& message : messages) out.push_back(ngram_probabilities(message));
  }
  return out;
}

api::IntentRanking IntentModel::rank(const std::string& message) const {
  const std::vector<float> p = probabilities({&message, 1})[0];
  api::IntentRanking ranking;
  for (size_t i = 0; i < p.size(); ++i) ranking.push_back({settings_.labels[i], p[i]});
  std::stable_sort(ranking.begin(), ranking.end(), [](const auto& a, const auto& b) { return a.confidence > b.confidence; });
  return ranking;
}

}  // namespace r1::serve
