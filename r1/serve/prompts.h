// From a request to what the engine takes: the prompt's ids, how to sample, what ends an answer, and how its text is read. Thread-safe: done on
// the threads of the requests, not on the engine's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "r1/api/answer_parser.h"
#include "r1/api/code_prompt.h"
#include "r1/api/generation.h"
#include "r1/data/prompt.h"
#include "r1/serve/constraints.h"
#include "r1/serve/service.h"

namespace r1::serve {

struct Prepared {
  struct Prompt {
    std::vector<text::TokenId> ids;
    std::string text = {};       // where it is echoed
    int64_t max_new_tokens = 1;  // what the request asks for, as far as the context holds it
  };
  std::vector<Prompt> prompts;
  engine::SamplingParams sampling;  // of all prompts, but for max_new_tokens
  std::vector<std::string> stop;
  std::vector<text::TokenId> shown;                            // special tokens that the parser reads
  std::shared_ptr<const grammar::TokenConstraint> constraint;  // null: none
  bool parsed = false;                                         // a chat's answer: thoughts and tool calls are taken apart
  api::AnswerParserOptions parser;
  bool truncated = false;
};

class Prompts {
 public:
  // `longest`: tokens that prompt and answer may have together, by the context and the cache. The config and the model, but for its weights,
  // outlive it.
  Prompts(const ServedModel& model, const ServiceConfig& config, int64_t longest);

  // Throws http::ApiError (400), with the field at fault.
  Prepared prepare(const api::GenerationRequest& request) const;
  std::vector<text::TokenId> ids(const api::GenerationRequest& request, size_t prompt) const;
  std::vector<text::TokenId> encode(const std::string& text, bool add_special, bool parse_special) const;

 private:
  std::vector<text::TokenId> fill_in_ids(const std::string& prefix, const std::string& suffix) const;
  std::vector<text::TokenId> chat_ids(const api::GenerationRequest& request) const;
  engine::SamplingParams sampling_of(const api::GenerationRequest& request) const;
  std::string end_of(const std::vector<text::TokenId>& ids) const;
  void fit(Prepared& out, const api::GenerationRequest& request) const;

  const ServedModel& model_;
  const ServiceConfig& config_;
  int64_t longest_;
  int64_t vocab_;  // of the weights that are served, whichever they are
  data::PromptMaker maker_;
  Constraints constraints_;
  std::optional<api::FimTokens> fim_;
  std::vector<text::TokenId> shown_;
};

}  // namespace r1::serve
