// What every protocol's request for an answer comes down to, checked: serve/ runs it and knows no protocol; a protocol's file
// (openai_chat, anthropic, ..) makes it from a body, and makes an AnswerWriter for what comes back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "r1/data/messages.h"
#include "r1/text/tokenizer.h"

namespace r1::api {

using text::TokenId;

// Sampling as the request says it: absent is the server's default (its options, then the model's generation_config.json).
struct SamplingWish {
  std::optional<double> temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty;
  std::optional<int64_t> top_k;
  std::optional<uint64_t> seed;  // absent: a fresh one
  std::vector<std::string> stop;
  std::vector<int64_t> stop_token_ids;
  int64_t min_tokens = 0;
  bool ignore_eos = false;
};

// The shape that an answer must have.
struct AnswerFormat {
  enum class Kind { kText, kJsonObject, kJsonSchema, kRegex, kGrammar } kind = Kind::kText;
  Json schema;          // kJsonSchema
  std::string pattern;  // kRegex; the grammar's text for kGrammar
};

struct Tool {
  std::string name, description;
  Json parameters;  // JSON schema, an object schema without properties if absent
  Json whole;       // as the template wants it: {"type": "function", "function": {..}}
};

enum class ToolChoice { kAuto, kNone, kRequired, kNamed };

struct ThinkingWish {
  std::optional<bool> enabled;    // enable_thinking; absent: as the template and the model do
  std::optional<int64_t> budget;  // tokens of thought; then it is ended for the model
};

struct GenerationRequest {
  std::string model;  // as the client named it, "" if it did not

  // Either a conversation through the chat template, or prompts as they are.
  std::optional<data::Conversation> chat;
  bool continue_final_message = false;  // chat: the last message is the assistant's and is gone on with
  bool add_generation_prompt = true;    // chat: the template opens the assistant's turn
  using Prompt = std::variant<std::string, std::vector<TokenId>>;
  std::vector<Prompt> prompts;
  std::string suffix;  // completions: fill in between prompt and this

  SamplingWish sampling;
  std::optional<int64_t> max_tokens;  // absent: as many as the context holds (chat), 16 (completions: its reader says so)
  int64_t n = 1;
  bool echo = false;      // completions: the prompt is part of the answer
  bool logprobs = false;  // of the tokens of the answer (with echo: of the prompt's too)
  int64_t top_logprobs = 0;
  AnswerFormat format;
  std::vector<Tool> tools;
  ToolChoice tool_choice = ToolChoice::kAuto;
  std::string tool_name;  // kNamed
  bool parallel_tool_calls = true;
  ThinkingWish thinking;

  bool stream = false, include_usage = false;
  int64_t priority = 0;    // lower is sooner (vLLM's)
  std::string cache_salt;  // requests share cached prefixes only under the same key and salt
  std::string user;
  bool truncate_prompt = false;  // asked for by name: drop the prompt's front to make it fit; the answer says so
  bool return_token_ids = false;
};

struct ToolCallDelta {
  int64_t index = 0;
  std::string id, name;   // in a call's first delta
  std::string arguments;  // the next piece of its JSON
};

struct Alternative {
  TokenId id = 0;
  std::string bytes;
  float logprob = 0;
};
struct TokenInfo : Alternative {  // logprob NaN: none (the first token of a prompt)
  std::vector<Alternative> top;
};

// What one or several tokens add to a choice. `tokens` is filled if log-probabilities or ids were asked for; its text may be ahead of
// `content` (a character not complete, a possible stop string).
struct Delta {
  std::string content, reasoning;
  std::vector<ToolCallDelta> tool_calls;
  std::vector<TokenInfo> tokens;
  bool empty() const { return content.empty() && reasoning.empty() && tool_calls.empty() && tokens.empty(); }
};

struct Usage {
  int64_t prompt_tokens = 0, completion_tokens = 0, reasoning_tokens = 0, cached_tokens = 0;
};

struct Timings {  // seconds
  double queued = 0, prompt = 0, first_token = 0, total = 0;
};

// Takes one request's answer, in order, on whatever thread makes it; calls never overlap. Choice c is sample c % n of prompt c / n.
class AnswerWriter {
 public:
  struct Head {
    std::string id;       // 24 random letters and digits; a protocol puts its "chatcmpl-" before it
    std::string model;    // as served
    int64_t created = 0;  // Unix seconds
    int64_t choices = 1;
    int64_t prompt_tokens = 0;
    bool truncated = false;
    int64_t model_version = 0;
  };
  struct Finish {
    std::string reason;        // "stop", "length", "tool_calls", "abort"
    std::string stop_string;   // the one that ended it, if one did
    TokenId stop_id = -1;      // or the token
    bool thought_cut = false;  // the thought's budget ended it
  };
  virtual ~AnswerWriter() = default;
  virtual void start(const Head& head) = 0;  // once, before anything else, when the first token is there
  virtual void prompt(int64_t choice, const std::string& text, const std::vector<TokenInfo>& tokens) = 0;  // with echo, before its deltas
  virtual void delta(int64_t choice, const Delta& delta) = 0;
  virtual void finish(int64_t choice, const Finish& finish) = 0;
  virtual void end(const Usage& usage, const Timings& timings) = 0;  // after all choices
  // Instead of what is still to come: as the whole answer if nothing was sent, else as an event in the stream.
  virtual void fail(const std::exception& error) = 0;
};

// A protocol's reading of a body: what to run and who writes. The writer holds the responder.
struct Generation {
  GenerationRequest request;
  std::unique_ptr<AnswerWriter> writer;
};

}  // namespace r1::api
