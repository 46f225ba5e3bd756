// What a trained intent model is: n-grams with a linear classifier, and, where one was given, an encoder (intent_encoder.h) with a linear head;
// the two probabilities are blended. Saved as a folder:
//   intent.json          labels, settings, what it was trained with; the SHA-256 of the other files, and the model's version made of them
//   intent.safetensors   n-grams, linear classifier, head
//   encoder/             config.json, model.safetensors, tokenizer files: a model folder like any other
// Loading checks all of it; nothing that does not fit together is used.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "r1/api/dialogue.h"
#include "r1/api/intent_features.h"
#include "r1/api/intent_linear.h"
#include "r1/base/json.h"
#include "r1/serve/intent_encoder.h"
#include "r1/text/tokenizer.h"

namespace r1::serve {

struct IntentSettings {
  std::vector<std::string> labels;
  int64_t max_tokens = 64;       // of a message that the encoder reads; of a longer one the first
  double ngram_share = 1;        // of the blend; 1 where there is no encoder
  double ngram_temperature = 1;  // the logits are divided by it
};

class IntentModel {
 public:
  struct Encoder {
    std::unique_ptr<IntentEncoder> body;
    std::unique_ptr<text::Tokenizer> tokenizer;
    Tensor head_CD, bias_C;  // fp32, on the body's device
  };
  // `encoder.body` null: n-grams alone. `training`: what is told of how it was made.
  IntentModel(IntentSettings settings, api::NgramFeatures ngrams, api::LinearClassifier linear, Encoder encoder, Json training);

  // `device`: where the encoder runs; fp32.
  static std::unique_ptr<IntentModel> load(const std::filesystem::path& folder, tensor::Device device);
  // `dtype` of the encoder's weights in the file. The folder may hold an older model: its files are replaced, intent.json last.
  void save(const std::filesystem::path& folder, tensor::DType dtype);

  // Probability of each label; rows sum to 1. Any thread.
  std::vector<std::vector<float>> probabilities(std::span<const std::string> messages) const;
  // Best first.
  api::IntentRanking rank(const std::string& message) const;

  const IntentSettings& settings() const { return settings_; }
  const std::vector<std::string>& labels() const { return settings_.labels; }
  bool has_encoder() const { return encoder_.body != nullptr; }
  // A hash of all files; "" until it is saved or loaded.
  const std::string& version() const { return version_; }
  const Json& training() const { return training_; }

  // The encoder's part and the n-grams' part alone.
  std::vector<std::vector<float>> encoder_probabilities(std::span<const std::string> messages) const;
  std::vector<float> ngram_probabilities(const std::string& message) const;

 private:
  IntentSettings settings_;
  api::NgramFeatures ngrams_;
  api::LinearClassifier linear_;
  Encoder encoder_;
  Json training_;
  std::string version_;
};

// At most `most` tokens of a message as the encoder is given them; a message without any gets one.
std::vector<text::TokenId> message_ids(const text::Tokenizer& tokenizer, const std::string& message, int64_t most);

}  // namespace r1::serve
