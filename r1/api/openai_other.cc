#include "r1/api/openai_other.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "r1/api/characters.h"
#include "r1/api/openai_completions.h"
#include "r1/base/error.h"
#include "r1/http/error.h"

namespace r1::api {
namespace {

using http::ApiError;

constexpr size_t kMaxText = size_t{8} << 20, kMaxIds = 4 << 20;

Json piece_json(const std::string& piece) {
  if (is_utf8(piece)) return piece;
  Json bytes = Json::array();
  for (const char c : piece) bytes.push_back(unsigned(static_cast<unsigned char>(c)));
  return bytes;
}

void to_length_1(std::vector<float>& row) {
  double sum = 0;
  for (const float x : row) sum += double(x) * x;
  if (!(sum > 0)) return;
  for (float& x : row) x = float(x / std::sqrt(sum));
}

std::string little_endian(const std::vector<float>& row) {
  static_assert(std::endian::native == std::endian::little);
  std::string bytes(row.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), row.data(), bytes.size());
  return bytes;
}

}  // namespace

std::string base64(std::string_view bytes) {
  static constexpr char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](size_t k) { return i + k < bytes.size() ? uint32_t(static_cast<unsigned char>(bytes[i + k])) : 0; };
    const uint32_t three = byte(0) << 16 | byte(1) << 8 | byte(2);
    for (size_t k = 0; k < 4; ++k) out += i + k <= bytes.size() ? kLetters[three >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

void EmbeddingsBody::visit(Body& v) {
  static const Limits kInputs = {.required = true, .schema = prompts_schema(kMaxEmbeddingInputs)};
  v("model", model, "the served model's name; may be left out", {.max_length = kMaxShortText});
  v.alias("content", "input");
  v("input", input, "a text, a list of texts, token ids, or a list of these", kInputs);
  v("encoding_format", encoding_format, "numbers, or little-endian floats in base64", {.one_of = {"float", "base64"}});
  v("dimensions", dimensions, "not supported: the model's own");
  v("normalize", normalize, "vectors of length 1");
  v("user", user, "the client's name for who asks", {.max_length = kMaxShortText});
}

std::vector<GenerationRequest::Prompt> EmbeddingsBody::prompts() const {
  if (dimensions) refuse_field("dimensions", "is not supported; vectors have the model's own size");
  return read_prompts(input, "input", kMaxEmbeddingInputs);
}

Json embeddings_json(std::vector<std::vector<float>> rows, const EmbeddingsBody& body, const std::string& model, int64_t prompt_tokens) {
  Json data = Json::array();
  for (size_t i = 0; i < rows.size(); ++i) {
    if (body.normalize) to_length_1(rows[i]);
    Json vector = body.base64() ? Json(base64(little_endian(rows[i]))) : Json(rows[i]);
    data.push_back({{"object", "embedding"}, {"index", i}, {"embedding", std::move(vector)}});
  }
  return {{"object", "list"},
          {"data", std::move(data)},
          {"model", model},
          {"usage", {{"prompt_tokens", prompt_tokens}, {"total_tokens", prompt_tokens}}}};
}

void TokenizeBody::visit(Body& v) {
  v("model", model, "the served model's name; may be left out", {.max_length = kMaxShortText});
  v("content", content, "the text (llama.cpp's name)", {.max_length = kMaxText});
  v("prompt", prompt, "the text (vLLM's name)", {.max_length = kMaxText});
  conversation.visit(v, false);
  v.alias("add_special", "add_special_tokens");
  v("add_special_tokens", add_special_tokens, "the vocabulary's own first token goes before the text; by default only before a prompt");
  v("parse_special", parse_special, "special tokens that the text spells are read as such");
  v("with_pieces", with_pieces, "each token with its text");
  v("return_token_strs", return_token_strs, "the tokens' texts in a list of their own");
}

void TokenizeBody::check() const {
  const bool chat = !conversation.messages.is_null();
  if (int(content.has_value()) + int(prompt.has_value()) + int(chat) == 1) return;
  if (content || prompt || chat) throw ApiError(400, "content: give one of content, prompt and messages", "content", "invalid_value");
  throw ApiError(400, "content: is missing; give content, prompt or messages", "content", "missing_required_parameter");
}

GenerationRequest TokenizeBody::chat() const {
  GenerationRequest out;
  out.model = model;
  conversation.apply(out);
  return out;
}

Json tokenize_json(const std::vector<TokenId>& ids, const std::vector<std::string>& pieces, const TokenizeBody& body,
                   int64_t max_model_len) {
  Json tokens = Json::array(), texts = Json::array();
  for (size_t i = 0; i < ids.size(); ++i) {
    if (body.with_pieces)
      tokens.push_back({{"id", ids[i]}, {"piece", piece_json(pieces.at(i))}});
    else
      tokens.push_back(ids[i]);
    if (body.return_token_strs) texts.push_back(pieces.at(i));
  }
  Json out = {{"tokens", std::move(tokens)}, {"count", ids.size()}, {"max_model_len", max_model_len}};
  if (body.return_token_strs) out["token_strs"] = std::move(texts);
  return out;
}

void DetokenizeBody::visit(Body& v) {
  v("model", model, "the served model's name; may be left out", {.max_length = kMaxShortText});
  v("tokens", tokens, "token ids", {.min = 0, .max = kMaxTokensLimit, .max_items = kMaxIds, .required = true});
}

Json detokenize_json(const std::string& text) {
  return {{"content", text}, {"prompt", text}};
}

void ApplyTemplateBody::visit(Body& v) {
  v("model", model, "the served model's name; may be left out", {.max_length = kMaxShortText});
  conversation.visit(v, true);
}

GenerationRequest ApplyTemplateBody::chat() const {
  GenerationRequest out;
  out.model = model;
  conversation.apply(out);
  return out;
}

Json apply_template_json(const std::string& prompt) {
  return {{"prompt", prompt}};
}

Json model_json(const ModelCard& card) {
  return {
      {"id", card.id},
      {"object", "model"},
      {"created", card.created},
      {"owned_by", "r1"},
      {"root", card.root},
      {"parent", nullptr},
      {"max_model_len", card.max_model_len},
      {"meta",
       {{"n_vocab", card.vocabulary}, {"n_ctx_train", card.context_trained}, {"n_embd", card.embedding}, {"n_params", card.parameters}}}};
}

Json models_json(const std::vector<ModelCard>& cards) {
  Json data = Json::array();
  for (const ModelCard& card : cards) data.push_back(model_json(card));
  return {{"object", "list"}, {"data", std::move(data)}};
}

}  // namespace r1::api
