// The small routes: /v1/embeddings, /tokenize, /detokenize, /apply-template (llama.cpp's and vLLM's names for their fields) and /v1/models.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "r1/api/body.h"
#include "r1/api/generation.h"
#include "r1/api/openai_chat.h"

namespace r1::api {

inline constexpr size_t kMaxEmbeddingInputs = 2048;

struct EmbeddingsBody {
  std::string model, encoding_format, user;
  Json input;
  std::optional<int64_t> dimensions;
  bool normalize = true;
  void visit(Body& v);

  std::vector<GenerationRequest::Prompt> prompts() const;
  bool base64() const { return encoding_format == "base64"; }
};
// OpenAI's list: numbers, or, as its client asks for them, little-endian floats in base64. `normalize`: of length 1.
Json embeddings_json(std::vector<std::vector<float>> rows, const EmbeddingsBody& body, const std::string& model, int64_t prompt_tokens);

// A text (content, prompt) or a conversation (messages).
struct TokenizeBody {
  std::string model;
  std::optional<std::string> content, prompt;
  std::optional<bool> add_special_tokens;
  bool parse_special = true, with_pieces = false, return_token_strs = false;
  ConversationFields conversation;
  void visit(Body& v);

  // The text, unless it is a conversation.
  const std::string* text() const { return content ? &*content : prompt ? &*prompt : nullptr; }
  // Whether the vocabulary's own first token goes before it: llama.cpp does not put it there by itself, vLLM does before a text.
  bool add_special() const { return add_special_tokens.value_or(prompt.has_value() && !content); }
  // The conversation; 400 if there is neither it nor a text, or both.
  GenerationRequest chat() const;
  void check() const;
};
// {"tokens", "count", "max_model_len"}; tokens with pieces: [{"id", "piece"}], a piece that is no whole text as a list of its bytes.
Json tokenize_json(const std::vector<TokenId>& ids, const std::vector<std::string>& pieces, const TokenizeBody& body,
                   int64_t max_model_len);

struct DetokenizeBody {
  std::string model;
  std::vector<int64_t> tokens;
  void visit(Body& v);
  std::vector<TokenId> ids() const { return {tokens.begin(), tokens.end()}; }
};
Json detokenize_json(const std::string& text);  // {"content", "prompt"}

struct ApplyTemplateBody {
  std::string model;
  ConversationFields conversation;
  void visit(Body& v);
  GenerationRequest chat() const;
};
Json apply_template_json(const std::string& prompt);

struct ModelCard {
  std::string id;
  std::string root;     // where it was loaded from, as clients may know it
  int64_t created = 0;  // Unix seconds
  int64_t max_model_len = 0, parameters = 0, vocabulary = 0, context_trained = 0, embedding = 0;
};
Json model_json(const ModelCard& card);
Json models_json(const std::vector<ModelCard>& cards);  // {"object": "list", "data": [..]}

std::string base64(std::string_view bytes);

}  // namespace r1::api
