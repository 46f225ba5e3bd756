// From a conversation to ids, once, for evaluation, rollout, chat and supervised data: plain text, or the model's own chat template.
//
// A user's text never becomes a control token, and never loses a character. Control tokens are the special ones and, whatever the file
// calls them, those of the form <|name|> and those that the chat template writes. Where the words of a user or a tool spell one, they are
// encoded as ordinary text. In what the system and the assistant say, that goes for special tokens and those that mark turns: an
// assistant's <think> and <tool_call> are tokens.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "r1/base/config.h"
#include "r1/data/messages.h"
#include "r1/text/chat_template.h"
#include "r1/text/tokenizer.h"

namespace r1::data {

struct PromptArgs {
  std::string prompt_format = "auto";
  std::string system_prompt, prompt_suffix;

  void visit(Fields& v);
};

// With a system message in front, if one is given and the messages have none.
Messages with_system_prompt(Messages messages, const std::string& system_prompt);

class PromptMaker {
 public:
  // `chat` may be null: then only plain prompts can be made. `stop_ids` end an answer.
  PromptMaker(const text::Tokenizer& tokenizer, const text::ChatTemplate* chat, PromptArgs args, std::vector<text::TokenId> stop_ids = {});

  // Whether questions go through the chat template.
  bool uses_chat() const { return use_chat_; }
  // `messages` through the chat template, or `plain` where there is none or plain text is asked for.
  std::vector<text::TokenId> prompt(const std::string& plain, const Messages& messages) const;
  // With the system prompt in front, if there is one and the conversation has none, and open for the assistant's answer.
  std::vector<text::TokenId> chat_prompt(Conversation conversation) const;
  // Prompt and completion as one training document; only the completion (and the end token) is learned.
  Document supervised(const std::string& plain, const Messages& messages, const std::string& completion) const;
  // A whole conversation, encoded as one text. Learned is every token with a byte in a {% generation %} span or, where the template marks
  // none, in what rendering an assistant's turn adds to the prompt that asks for it. Errors name `where`.
  Document conversation(const Conversation& conversation, const std::string& where) const;

  // The ids that end an answer, as given.
  const std::vector<text::TokenId>& stop_ids() const { return stop_ids_; }

 private:
  using Spans = std::vector<std::pair<size_t, size_t>>;
  struct Text {
    std::string text;
    Spans generation;
    std::vector<size_t> plain_at;  // where a control token is spelled that is none
  };
  struct Control {
    std::string content;
    bool turn;  // special, or marks a turn: nobody can say it
  };

  void find_control_tokens();
  void probe_content_parts();
  Json variables(const Conversation& conversation, bool add_generation_prompt) const;
  Json content_of(const Message& message) const;
  Text render(const Conversation& conversation, bool add_generation_prompt) const;
  Text render_row(const Conversation& conversation, bool add_generation_prompt, const std::string& where) const;
  std::vector<size_t> spelled_in(std::string_view text, bool turns_only) const;
  bool marked(Json& value, bool turns_only, const std::string& mark) const;
  bool marked_variables(Json& variables, const std::string& mark) const;
  Spans assistant_spans(const Conversation& conversation, const Text& whole, const std::string& where) const;
  Document plain_conversation(const Conversation& conversation, const std::string& where) const;

  const text::Tokenizer* tokenizer_;
  const text::ChatTemplate* chat_;
  PromptArgs args_;
  bool use_chat_;
  std::vector<text::TokenId> stop_ids_;
  std::array<std::vector<Control>, 256> control_;  // by first byte
  bool takes_strings_ = true, takes_parts_ = false, knows_developer_ = false;
};

}  // namespace r1::data
