#include "r1/api/openai_completions.h"

#include <algorithm>
#include <map>

#include "r1/api/openai_json.h"
#include "r1/api/openai_writer.h"
#include "r1/base/error.h"
#include "r1/http/error.h"

namespace r1::api {
namespace {

using http::ApiError;

constexpr int64_t kMaxTokensDefault = 16;  // OpenAI's
constexpr size_t kMaxText = size_t{8} << 20;

std::vector<TokenId> read_ids(const Json& list, const std::string& path) {
  std::vector<int64_t> read;
  Body::read(list, read, path, {.min = 0, .max = kMaxTokensLimit, .min_items = 1, .max_items = kMaxPromptTokens});
  return {read.begin(), read.end()};
}

GenerationRequest::Prompt read_prompt(const Json& prompt, const std::string& path) {
  if (prompt.is_array()) return read_ids(prompt, path);
  std::string text;
  Body::read(prompt, text, path, {.max_length = kMaxText});
  return text;
}

// Log-probabilities in the form of the first completions API.
struct OldLogprobs {
  Json tokens = Json::array(), token_logprobs = Json::array(), top_logprobs = Json::array(), text_offset = Json::array();

  // `offset`: characters of the text so far; moves on.
  void add(const TokenInfo& token, int64_t top, int64_t& offset) {
    const bool none = token.logprob != token.logprob;
    tokens.push_back(token_text(token.bytes));
    token_logprobs.push_back(none ? Json() : Json(finite_logprob(token.logprob)));
    text_offset.push_back(offset);
    // Characters begin with a byte that is no continuation.
    for (const char c : token.bytes) offset += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    if (none || top == 0) {
      top_logprobs.push_back(nullptr);
      return;
    }
    // Two tokens may have the same text: the likelier one counts. The chosen one is there too.
    Json all = Json::object();
    const auto put = [&](const Alternative& one) {
      const std::string text = token_text(one.bytes);
      if (!all.contains(text) || all[text].get<double>() < finite_logprob(one.logprob)) all[text] = finite_logprob(one.logprob);
    };
    for (const Alternative& other : token.top) put(other);
    put(token);
    top_logprobs.push_back(std::move(all));
  }
  Json json() const {
    return {{"tokens", tokens}, {"token_logprobs", token_logprobs}, {"top_logprobs", top_logprobs}, {"text_offset", text_offset}};
  }
};

class CompletionWriter : public OpenaiWriter {
 public:
  CompletionWriter(const CompletionAnswerOptions& options, http::ResponderPtr responder)
      : OpenaiWriter(std::move(responder), {"cmpl-", "text_completion", "text_completion"}, options.stream, options.include_usage),
        options_(options) {}

  void start(const Head& head) override {
    begin(head);
    choices_.resize(size_t(head.choices));
  }

  void prompt(int64_t choice, const std::string& text, const std::vector<TokenInfo>& tokens) override { add(choice, text, tokens); }

  void delta(int64_t choice, const Delta& delta) override {
    const std::string text = delta.reasoning + delta.content;
    if (!text.empty() || (!delta.tokens.empty() && (options_.logprobs || options_.return_token_ids))) add(choice, text, delta.tokens);
  }

  void finish(int64_t choice, const Finish& finish) override {
    Choice& own = choices_.at(size_t(choice));
    own.finish = openai_finish(finish.reason);
    own.stop_reason = stop_reason(finish);
    if (stream_) write_last(choice_json(choice, "", {}, own));
  }

 private:
  struct Choice {
    std::string text, finish;
    std::vector<TokenInfo> tokens;
    Json stop_reason;
    int64_t offset = 0;
  };

  void add(int64_t choice, const std::string& text, const std::vector<TokenInfo>& tokens) {
    Choice& own = choices_.at(size_t(choice));
    if (stream_) return write_choice(choice_json(choice, text, tokens, own));
    own.text += text;
    if (options_.logprobs || options_.return_token_ids) own.tokens.insert(own.tokens.end(), tokens.begin(), tokens.end());
  }

  Json choice_json(int64_t index, const std::string& text, const std::vector<TokenInfo>& tokens, Choice& own) const {
    Json out = {{"index", index}, {"text", text}, {"logprobs", nullptr}, {"finish_reason", nullptr}};
    if (options_.logprobs && (!tokens.empty() || !stream_)) {
      OldLogprobs logprobs;
      for (const TokenInfo& token : tokens) logprobs.add(token, options_.top_logprobs, own.offset);
      out["logprobs"] = logprobs.json();
    }
    if (options_.return_token_ids && !tokens.empty()) out["token_ids"] = token_ids(tokens);
    if (own.finish.empty()) return out;
    out["finish_reason"] = own.finish;
    out["stop_reason"] = own.stop_reason;
    return out;
  }

  Json choices() override {
    Json list = Json::array();
    for (size_t i = 0; i < choices_.size(); ++i) list.push_back(choice_json(int64_t(i), choices_[i].text, choices_[i].tokens, choices_[i]));
    return list;
  }

  const CompletionAnswerOptions options_;
  std::vector<Choice> choices_;
};

}  // namespace

std::vector<GenerationRequest::Prompt> read_prompts(const Json& prompt, const std::string& path, size_t most) {
  if (prompt.is_string()) return {read_prompt(prompt, path)};
  if (!prompt.is_array())
    throw ApiError(400, str(path, ": expected a text, token ids, or a list of these, got ", prompt.type_name()), path, "invalid_type");
  if (prompt.empty()) throw ApiError(400, str(path, ": is empty"), path, "invalid_value");
  if (prompt[0].is_number()) return {read_ids(prompt, path)};
  if (prompt.size() > most)
    throw ApiError(400, str(path, ": expected at most ", most, " prompts, got ", prompt.size()), path, "invalid_value");
  std::vector<GenerationRequest::Prompt> out;
  for (size_t i = 0; i < prompt.size(); ++i) out.push_back(read_prompt(prompt[i], str(path, "[", i, "]")));
  return out;
}

Json prompts_schema(size_t most) {
  const Json text = {{"type", "string"}, {"maxLength", kMaxText}};
  const Json ids = {{"type", "array"},
                    {"items", {{"type", "integer"}, {"minimum", 0}, {"maximum", int64_t(kMaxTokensLimit)}}},
                    {"minItems", 1},
                    {"maxItems", kMaxPromptTokens}};
  const auto list = [&](const Json& item) { return Json{{"type", "array"}, {"items", item}, {"minItems", 1}, {"maxItems", most}}; };
  return {{"anyOf", Json::array({text, list(text), ids, list(ids)})}};
}

void CompletionBody::visit(Body& v) {
  static const Limits kPrompts = {.required = true, .schema = prompts_schema()}, kNone = {.schema = {{"type", "null"}}};
  v("prompt", prompt, "what the answer goes on from: a text, a list of texts, token ids, or a list of these", kPrompts);
  v("prompt_embeds", prompt_embeds, "not supported", kNone);
  v("suffix", suffix, "what stands behind the answer: the model fills in between, if it can");
  sampling.visit(v);
  format.visit(v);
  delivery.visit(v);
  v("echo", echo, "the prompt is part of the answer");
  v("logprobs", logprobs, "log-probabilities of the tokens, and of this many others at each place",
    {.min = 0, .max = double(kMaxTopLogprobs)});
  v("best_of", best_of, "no more than n", {.min = 1, .max = double(kMaxSamples)});
}

GenerationRequest CompletionBody::request() const {
  GenerationRequest out;
  if (!prompt_embeds.is_null()) refuse_field("prompt_embeds", "is not supported; give prompt");
  out.prompts = read_prompts(prompt, "prompt");
  sampling.apply(out);
  delivery.apply(out);
  out.format = format.format();
  out.suffix = suffix;
  out.echo = echo;
  out.logprobs = logprobs.has_value();
  out.top_logprobs = logprobs.value_or(0);
  if (!sampling.max_tokens) {
    out.max_tokens = kMaxTokensDefault;
    out.sampling.min_tokens = std::min(out.sampling.min_tokens, kMaxTokensDefault);
  }
  if (best_of && *best_of != out.n)
    throw ApiError(400, str("best_of: expected n (", out.n, "), got ", *best_of, "; answers are not chosen from here"), "best_of",
                   "invalid_value");
  if (!suffix.empty() && echo) throw ApiError(400, "echo: can't be had with suffix", "echo", "invalid_value");
  if (out.prompts.size() * size_t(out.n) > kMaxChoices)
    throw ApiError(400,
                   str("n: expected at most ", kMaxChoices, " answers in all, got ", out.prompts.size(), " prompts with ", out.n, " each"),
                   "n", "invalid_value");
  return out;
}

Generation completion_generation(std::string_view text, http::ResponderPtr responder) {
  CompletionBody body;
  read_body(parse_body(text), body);
  Generation out{.request = body.request(), .writer = nullptr};
  const GenerationRequest& request = out.request;
  out.writer = completion_writer({.stream = request.stream,
                                  .include_usage = request.include_usage,
                                  .logprobs = request.logprobs,
                                  .return_token_ids = request.return_token_ids,
                                  .top_logprobs = request.top_logprobs},
                                 std::move(responder));
  return out;
}

std::unique_ptr<AnswerWriter> completion_writer(const CompletionAnswerOptions& options, http::ResponderPtr responder) {
  return std::make_unique<CompletionWriter>(options, std::move(responder));
}

}  // namespace r1::api
