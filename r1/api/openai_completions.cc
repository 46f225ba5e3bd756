#include "r1/api/openai_completions.h"

#include <algorithm>
#include <map>

#include "r1/api/openai_json.h"
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

class CompletionWriter : public AnswerWriter {
 public:
  CompletionWriter(const CompletionAnswerOptions& options, http::ResponderPtr responder)
      : options_(options), responder_(std::move(responder)) {}

  void start(const Head& head) override {
    head_ = head;
    choices_.resize(size_t(head.choices));
    if (!options_.stream) return;
    streaming_ = true;
    opening_ = dump_json(envelope());
    opening_.back() = ',';
    responder_->begin(200, "text/event-stream", event_headers());
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
    if (!options_.stream) return;
    if (!last_chunk_.empty()) responder_->write(http::sse(chunk(last_chunk_, "")));
    last_chunk_ = choice_json(choice, "", {});
  }

  void end(const Usage& usage, const Timings& timings) override {
    const Json times = timings_json(usage, timings);
    if (!options_.stream) {
      responder_->send({.body = dump_json(whole(usage, times))});
      return;
    }
    const std::string more = ",\"timings\":" + dump_json(times);
    if (!last_chunk_.empty()) responder_->write(http::sse(chunk(last_chunk_, more)));
    if (options_.include_usage)
      responder_->write(http::sse(opening_ + "\"choices\":[],\"usage\":" + dump_json(usage_json(usage)) + more + "}"));
    responder_->write(http::sse("[DONE]"));
    responder_->end();
  }

  void fail(const std::exception& error) override {
    if (!streaming_) {
      responder_->send(http::error_response(error));
      return;
    }
    responder_->write(http::sse(http::error_response(error).body));
    responder_->end();
  }

 private:
  struct Choice {
    std::string text, finish;
    std::vector<TokenInfo> tokens;
    Json stop_reason;
    int64_t offset = 0;
  };

  Json envelope() const {
    Json out = {{"id", "cmpl-" + head_.id},
                {"object", "text_completion"},
                {"created", head_.created},
                {"model", head_.model},
                {"system_fingerprint", system_fingerprint(head_.model_version)}};
    if (head_.truncated) out["truncated"] = true;
    return out;
  }

  std::string chunk(const std::string& choice, const std::string& more) const {
    return opening_ + "\"choices\":[" + choice + "]" + (options_.include_usage ? ",\"usage\":null" : "") + more + "}";
  }

  void add(int64_t choice, const std::string& text, const std::vector<TokenInfo>& tokens) {
    if (options_.stream) return responder_->write(http::sse(chunk(choice_json(choice, text, tokens), "")));
    Choice& own = choices_.at(size_t(choice));
    own.text += text;
    if (options_.logprobs || options_.return_token_ids) own.tokens.insert(own.tokens.end(), tokens.begin(), tokens.end());
  }

  std::string choice_json(int64_t choice, const std::string& text, const std::vector<TokenInfo>& tokens) {
    return dump_json(choice_json(choice, text, tokens, choices_.at(size_t(choice))));
  }

  Json choice_json(int64_t index, const std::string& text, const std::vector<TokenInfo>& tokens, Choice& own) const {
    Json out = {{"index", index}, {"text", text}, {"logprobs", nullptr}, {"finish_reason", nullptr}};
    if (options_.logprobs && (!tokens.empty() || !options_.stream)) {
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

  Json whole(const Usage& usage, const Json& times) {
    Json out = envelope();
    Json list = Json::array();
    for (size_t i = 0; i < choices_.size(); ++i) list.push_back(choice_json(int64_t(i), choices_[i].text, choices_[i].tokens, choices_[i]));
    out["choices"] = std::move(list);
    out["usage"] = usage_json(usage);
    out["timings"] = times;
    return out;
  }

  const CompletionAnswerOptions options_;
  const http::ResponderPtr responder_;
  Head head_;
  std::vector<Choice> choices_;
  bool streaming_ = false;
  std::string opening_, last_chunk_;
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
