// What a request's answer is held to, as the engine's token constraint: its response format or the tools it must call, and its thought's budget
// around that.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "r1/api/answer_parser.h"
#include "r1/api/generation.h"
#include "r1/grammar/token_constraint.h"
#include "r1/serve/service.h"

namespace r1::grammar {
class Matcher;
class TokenTable;
}  // namespace r1::grammar

namespace r1::serve {

// Whether the whole answer (after its thought) follows a grammar.
bool is_held(const api::GenerationRequest& request);

class Constraints {
 public:
  Constraints(const ServedModel& model, const ServiceConfig& config);
  ~Constraints();

  // Null if nothing is asked for. `in_thought`: the prompt ends inside of one. Throws http::ApiError 400 for what can't be compiled, with the
  // field ("response_format.json_schema") and the place in it.
  std::unique_ptr<grammar::TokenConstraint> make(const api::GenerationRequest& request, bool in_thought) const;

  // What the model's template and vocabulary say it writes.
  bool knows_thoughts() const { return knows_thoughts_; }
  api::AnswerParserOptions::ToolFormat tool_format() const { return tool_format_; }

 private:
  using Matcher = std::shared_ptr<grammar::Matcher>;
  std::unique_ptr<grammar::TokenConstraint> answer(const api::GenerationRequest& request) const;
  std::unique_ptr<grammar::TokenConstraint> calls_when_triggered(const api::GenerationRequest& request) const;
  template <class Compile>
  Matcher matcher(const std::string& key, const char* field, Compile compile) const;

  const ServedModel& model_;
  const ServiceConfig& config_;
  std::shared_ptr<const grammar::TokenTable> table_;
  const api::AnswerParserOptions::ToolFormat tool_format_;
  const bool knows_thoughts_;

  // The grammars used last, with the masks that they have learned; the newest first.
  mutable std::mutex mutex_;
  mutable std::list<std::pair<std::string, Matcher>> matchers_;
};

}  // namespace r1::serve
