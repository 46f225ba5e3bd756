// From a problem to prompt ids, once, for evaluation, rollout and supervised data: the plain prompt of the task, or the model's own chat
// template. User text never becomes a special token: where a message holds the text of one, it is encoded as ordinary text.
#pragma once

#include <string>
#include <vector>

#include "r1/base/config.h"
#include "r1/data/messages.h"
#include "r1/tasks/task.h"
#include "r1/text/chat_template.h"
#include "r1/text/tokenizer.h"

namespace r1::eval {

struct PromptArgs {
  std::string prompt_format = "auto";
  std::string system_prompt, prompt_suffix;

  void visit(Fields& v);
};

class PromptMaker {
 public:
  // `chat` may be null: then only plain prompts can be made.
  PromptMaker(const text::Tokenizer& tokenizer, const text::ChatTemplate* chat, PromptArgs args);

  std::vector<text::TokenId> prompt(const tasks::Problem& problem) const;
  std::vector<text::TokenId> chat_prompt(data::Messages messages) const;
  // Prompt and completion as one training document; only the completion (and the end token) is learned.
  data::Document supervised(const tasks::Problem& problem, const std::string& completion) const;
  // A whole conversation; learned: the {% generation %} spans if the template marks them, else the assistant turns found by rendering
  // prefixes.
  data::Document conversation(const data::Messages& messages, const std::string& where) const;

  bool uses_chat() const { return use_chat_; }
  // End-of-sequence ids: what stops a completion.
  const std::vector<text::TokenId>& stop_ids() const { return stop_ids_; }

 private:
  std::string render(const data::Messages& messages, bool add_generation_prompt) const;
  std::vector<text::TokenId> encode_rendered(const std::string& rendered) const;
  Json variables(const data::Messages& messages, bool add_generation_prompt) const;

  const text::Tokenizer* tokenizer_;
  const text::ChatTemplate* chat_;
  PromptArgs args_;
  bool use_chat_;
  std::vector<text::TokenId> stop_ids_;
};

}  // namespace r1::eval
