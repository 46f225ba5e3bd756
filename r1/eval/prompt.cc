#include "r1/eval/prompt.h"

#include "r1/base/error.h"

namespace r1::eval {

namespace {

// Stands inside the text of a special token that a person wrote, so that template and user text can be told apart after rendering.
// A private-use character: no template writes it, and it is taken out before encoding.
constexpr std::string_view kBreak = "\xEE\x80\x80";

std::string break_special_tokens(std::string content, const std::vector<text::AddedToken>& added) {
  for (const auto& token : added) {
    if (!token.special || token.content.size() < 2) continue;
    for (size_t at = content.find(token.content); at != std::string::npos;
         at = content.find(token.content, at + token.content.size() + kBreak.size())) {
      size_t middle = at + token.content.size() / 2;
      while (middle > at + 1 && (static_cast<unsigned char>(content[middle]) & 0xC0) == 0x80) --middle;
      content.insert(middle, kBreak);
    }
  }
  return content;
}

}  // namespace

PromptMaker::PromptMaker(const text::Tokenizer& tokenizer, const text::ChatTemplate* chat, PromptArgs args)
    : tokenizer_(&tokenizer), chat_(chat), args_(std::move(args)) {
  if (args_.prompt_format == "chat" && !chat_)
    fail_usage("prompt_format=chat, but the model has no chat template; use prompt_format=plain or a tokenizer with chat_template");
  use_chat_ = chat_ && args_.prompt_format != "plain";
  if (tokenizer.eos_id()) stop_ids_.push_back(*tokenizer.eos_id());
}

Json PromptMaker::variables(const data::Messages& messages, bool add_generation_prompt) const {
  data::Messages safe = messages;
  for (auto& message : safe) message.content = break_special_tokens(message.content, tokenizer_->added_tokens());
  Json out;
  out["messages"] = data::to_json(safe);
  out["add_generation_prompt"] = add_generation_prompt;
  const auto content = [&](std::optional<text::TokenId> id) { return id ? tokenizer_->token_bytes(*id) : std::string(); };
  out["bos_token"] = content(tokenizer_->bos_id());
  out["eos_token"] = content(tokenizer_->eos_id());
  out["pad_token"] = content(tokenizer_->pad_id());
  return out;
}

std::string PromptMaker::render(const data::Messages& messages, bool add_generation_prompt) const {
  return chat_->render(variables(messages, add_generation_prompt)).text;
}

std::vector<text::TokenId> PromptMaker::encode_rendered(const std::string& rendered) const {
  std::vector<text::TokenId> ids;
  size_t begin = 0;
  while (begin <= rendered.size()) {
    const size_t end = std::min(rendered.find(kBreak, begin), rendered.size());
    const auto piece = tokenizer_->encode(std::string_view(rendered).substr(begin, end - begin), {.parse_special = true});
    ids.insert(ids.end(), piece.begin(), piece.end());
    begin = end + kBreak.size();
  }
  return ids;
}

std::vector<text::TokenId> PromptMaker::chat_prompt(data::Messages messages) const {
  check(chat_ != nullptr, "[prompt] the model has no chat template");
  if (!args_.system_prompt.empty() && (messages.empty() || messages.front().role != "system"))
    messages.insert(messages.begin(), {"system", args_.system_prompt});
  return encode_rendered(render(messages, true) + args_.prompt_suffix);
}

std::vector<text::TokenId> PromptMaker::prompt(const tasks::Problem& problem) const {
  if (use_chat_) return chat_prompt(problem.messages);
  return tokenizer_->encode(problem.prompt + args_.prompt_suffix, {.parse_special = false, .add_special_tokens = tokenizer_->add_bos()});
}

data::Document PromptMaker::supervised(const tasks::Problem& problem, const std::string& completion) const {
  data::Document out;
  out.ids = prompt(problem);
  out.learned.assign(out.ids.size(), 0);
  auto answer = tokenizer_->encode(completion);
  if (tokenizer_->eos_id()) answer.push_back(*tokenizer_->eos_id());
  out.ids.insert(out.ids.end(), answer.begin(), answer.end());
  out.learned.insert(out.learned.end(), answer.size(), 1);
  return out;
}

data::Document PromptMaker::conversation(const data::Messages& messages, const std::string& where) const {
  data::Document out;
  if (!chat_) {  // plain: contents one behind the other, the assistant's are learned
    for (const auto& message : messages) {
      auto ids = tokenizer_->encode(message.content);
      const bool learn = message.role == "assistant";
      if (learn && tokenizer_->eos_id()) ids.push_back(*tokenizer_->eos_id());
      out.ids.insert(out.ids.end(), ids.begin(), ids.end());
      out.learned.insert(out.learned.end(), ids.size(), learn);
    }
    return out;
  }
  const auto rendered = chat_->render(variables(messages, false));
  const auto append = [&](const std::string& piece, bool learn) {
    const auto ids = encode_rendered(piece);
    out.ids.insert(out.ids.end(), ids.begin(), ids.end());
    out.learned.insert(out.learned.end(), ids.size(), learn);
  };
  std::vector<std::pair<size_t, size_t>> spans = rendered.generation_spans;
  if (spans.empty()) {
    // No {% generation %}: an assistant turn is what rendering it adds to the prompt that asks for it.
    for (size_t i = 0; i < messages.size(); ++i) {
      if (messages[i].role != "assistant") continue;
      const std::string before = render({messages.begin(), messages.begin() + i}, true);
      const std::string after = render({messages.begin(), messages.begin() + i + 1}, false);
      const bool grows = after.size() > before.size() && after.compare(0, before.size(), before) == 0;
      if (!grows || rendered.text.compare(0, after.size(), after) != 0)
        fail(where, ": the chat template rewrites earlier turns, so the assistant's words of message ", i,
             " can't be found; use a template with {% generation %}");
      spans.emplace_back(before.size(), after.size());
    }
  }
  size_t at = 0;
  for (const auto& [begin, end] : spans) {
    append(rendered.text.substr(at, begin - at), false);
    append(rendered.text.substr(begin, end - begin), true);
    at = end;
  }
  append(rendered.text.substr(at), false);
  return out;
}

void PromptArgs::visit(Fields& v) {
  v("prompt_format", prompt_format, "plain text of the task, or the model's chat template (auto: chat if the model has one)",
    OneOf{"auto", "plain", "chat"});
  v("system_prompt", system_prompt, "system message in front of a chat prompt");
  v("prompt_suffix", prompt_suffix, "text behind the rendered prompt, where the answer begins, e.g. <think>");
}

}  // namespace r1::eval
