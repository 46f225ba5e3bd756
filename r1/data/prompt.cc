#include "r1/data/prompt.h"

#include <algorithm>

#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/base/utf8.h"

namespace r1::data {

PromptMaker::PromptMaker(const text::Tokenizer& tokenizer, const text::ChatTemplate* chat, PromptArgs args,
                         std::vector<text::TokenId> stop_ids)
    : tokenizer_(&tokenizer), chat_(chat), args_(std::move(args)), stop_ids_(std::move(stop_ids)) {
  if (args_.prompt_format == "chat" && !chat_)
    fail_usage("prompt_format=chat, but the model has no chat template; use prompt_format=plain or a tokenizer with chat_template");
  use_chat_ = chat_ && args_.prompt_format != "plain";
  find_control_tokens();
  if (chat_) probe_content_parts();
}

namespace {

// What the template makes of a small conversation; "" if it refuses that.
std::string probe(const text::ChatTemplate& chat, Json variables) {
  try {
    return chat.render(variables).text;
  } catch (const Error&) {
    return "";
  }
}

Json chat_json(std::initializer_list<std::pair<const char*, Json>> turns, bool add_generation_prompt) {
  Json out = {{"messages", Json::array()}, {"add_generation_prompt", add_generation_prompt}, {"bos_token", ""}, {"eos_token", ""}};
  for (const auto& [role, content] : turns) out["messages"].push_back({{"role", role}, {"content", content}});
  return out;
}

bool is_blank(std::string_view text) {
  return trim(text).empty();
}

// <|name|> or <｜name｜>: nothing else is written like that.
bool looks_like_control(std::string_view token) {
  const auto within = [&](std::string_view open, std::string_view close) {
    return token.size() > open.size() + close.size() && token.starts_with(open) && token.ends_with(close);
  };
  return within("<|", "|>") || within("<｜", "｜>");
}

}  // namespace

// An added token that no file calls special is a control token if it is written like one, or if the template writes it: spelled in its
// source, or seen in what it makes.
// A token that stands around the turns of a plain conversation marks turns.
void PromptMaker::find_control_tokens() {
  std::string turns, prompt;
  if (chat_) {
    turns = probe(*chat_, chat_json({{"user", "x"}, {"assistant", "y"}, {"user", "z"}}, false));
    prompt = probe(*chat_, chat_json({{"user", "x"}}, true));
  }
  for (const auto& token : tokenizer_->added_tokens()) {
    if (token.content.size() < 2) continue;
    const auto in = [&](const std::string& text) { return text.find(token.content) != std::string::npos; };
    const bool turn = token.special || in(turns), written = chat_ && (in(prompt) || in(chat_->source())),
               looks = looks_like_control(token.content);
    // Runs of blanks are tokens in some vocabularies, and indent every template.
    if (token.special || (!is_blank(token.content) && (turn || written || looks)))
      control_[uint8_t(token.content[0])].push_back({token.content, turn});
  }
}

// Templates take a content as a string, as a list of parts, or either way.
void PromptMaker::probe_content_parts() {
  const std::string kWord = "r1 probe";
  const Json parts = Json::array({{{"type", "text"}, {"text", kWord}}});
  const std::string from_string = probe(*chat_, chat_json({{"user", kWord}}, false)),
                    from_parts = probe(*chat_, chat_json({{"user", parts}}, false));
  takes_strings_ = from_string.find(kWord) != std::string::npos || from_parts.find(kWord) == std::string::npos;
  takes_parts_ = !takes_strings_ || (!from_parts.empty() && from_parts == from_string);
  knows_developer_ = chat_->source().find("developer") != std::string::npos;
}

Json PromptMaker::content_of(const Message& message) const {
  if (message.fields.is_object() && message.fields.contains("content")) {
    const Json& content = message.fields["content"];
    if (content.is_null() || takes_parts_) return content;
  }
  if (takes_strings_) return message.content;
  return Json::array({{{"type", "text"}, {"text", message.content}}});
}

Json PromptMaker::variables(const Conversation& conversation, bool add_generation_prompt) const {
  Json out = conversation.variables.is_object() ? conversation.variables : Json::object();
  Json messages = to_json(conversation.messages);
  for (size_t i = 0; i < messages.size(); ++i) {
    messages[i]["content"] = content_of(conversation.messages[i]);
    // Most templates pass over a role that they don't know; what a developer says, a system said before there were developers.
    if (conversation.messages[i].role == "developer" && !knows_developer_) messages[i]["role"] = "system";
  }
  out["messages"] = std::move(messages);
  out["add_generation_prompt"] = add_generation_prompt;
  // What the tokenizer does not name stays undefined, so that a template that needs it says so.
  const auto name = [&](const char* key, std::optional<text::TokenId> id) {
    if (id && !out.contains(key)) out[key] = tokenizer_->token_bytes(*id);
  };
  name("bos_token", tokenizer_->bos_id());
  name("eos_token", tokenizer_->eos_id());
  name("pad_token", tokenizer_->pad_id());
  return out;
}

// Where control tokens are spelled, also where they overlap.
std::vector<size_t> PromptMaker::spelled_in(std::string_view text, bool turns_only) const {
  std::vector<size_t> at;
  for (size_t i = 0; i < text.size(); ++i) {
    for (const Control& token : control_[uint8_t(text[i])]) {
      if ((turns_only && !token.turn) || !text.substr(i).starts_with(token.content)) continue;
      at.push_back(i);
      break;
    }
  }
  return at;
}

// Puts the mark before each control token that a string in `value` spells, keys of objects included; true if there is any.
bool PromptMaker::marked(Json& value, bool turns_only, const std::string& mark) const {
  bool any = false;
  if (value.is_string()) {
    std::string& text = value.get_ref<std::string&>();
    const std::vector<size_t> at = spelled_in(text, turns_only);
    for (auto it = at.rbegin(); it != at.rend(); ++it) text.insert(*it, mark);
    return !at.empty();
  }
  if (value.is_array())
    for (Json& item : value) any |= marked(item, turns_only, mark);
  if (value.is_object()) {
    Json copy = Json::object();
    for (auto& [name, item] : value.items()) {
      Json key = name;
      any |= marked(key, turns_only, mark);
      any |= marked(item, turns_only, mark);
      copy[key.get_ref<const std::string&>()] = std::move(item);
    }
    value = std::move(copy);
  }
  return any;
}

bool PromptMaker::marked_variables(Json& variables, const std::string& mark) const {
  bool any = false;
  for (auto& [key, value] : variables.items()) {
    if (key == "bos_token" || key == "eos_token" || key == "pad_token") continue;
    if (key != "messages") {
      any |= marked(value, false, mark);
      continue;
    }
    for (Json& message : value) {
      const std::string role = message["role"];
      any |= marked(message, role != "user" && role != "tool", mark);
    }
  }
  return any;
}

namespace {

// A character that none of the texts holds, from the far end of a large block of letters: a template can print and compare it like any
// other.
std::string unused_character(std::initializer_list<std::string_view> texts) {
  for (uint32_t c = 0x2A6D6; c >= 0x20000; --c) {
    std::string mark;
    append_utf8(mark, c);
    if (std::ranges::none_of(texts, [&](std::string_view text) { return text.find(mark) != std::string_view::npos; })) return mark;
  }
  fail("[prompt] a conversation that holds every character from U+20000 to U+2A6D6");
}

}  // namespace

// The template sees every text as it is. Only if one spells a control token it is rendered again, with a mark before each that nothing in
// the conversation or the rendered text holds; the marks are taken out and their places kept.
PromptMaker::Text PromptMaker::render(const Conversation& conversation, bool add_generation_prompt) const {
  Json given = variables(conversation, add_generation_prompt);
  text::Rendered rendered = chat_->render(given);
  if (!marked_variables(given, "")) return {std::move(rendered.text), std::move(rendered.generation_spans), {}};
  const std::string mark = unused_character({dump_json(given), rendered.text, chat_->source()});
  marked_variables(given, mark);
  rendered = chat_->render(given);

  Text out;
  std::vector<size_t> marks;  // in the text with marks
  size_t begin = 0;
  for (size_t at; (at = rendered.text.find(mark, begin)) != std::string::npos; begin = at + mark.size()) {
    out.text.append(rendered.text, begin, at - begin);
    out.plain_at.push_back(out.text.size());
    marks.push_back(at);
  }
  out.text.append(rendered.text, begin);
  const auto without_marks = [&](size_t at) { return at - mark.size() * size_t(std::ranges::lower_bound(marks, at) - marks.begin()); };
  for (const auto& [first, last] : rendered.generation_spans) out.generation.emplace_back(without_marks(first), without_marks(last));
  return out;
}

// Of a row of a data set: its place opens what the template complains about.
PromptMaker::Text PromptMaker::render_row(const Conversation& conversation, bool add_generation_prompt, const std::string& where) const {
  try {
    return render(conversation, add_generation_prompt);
  } catch (const Error& e) {
    fail(where, ": ", e.what());
  }
}

Messages with_system_prompt(Messages messages, const std::string& system_prompt) {
  const bool has_system = !messages.empty() && (messages.front().role == "system" || messages.front().role == "developer");
  if (!system_prompt.empty() && !has_system) messages.insert(messages.begin(), {"system", system_prompt});
  return messages;
}

std::vector<text::TokenId> PromptMaker::chat_prompt(Conversation conversation) const {
  check(chat_ != nullptr, "[prompt] the model has no chat template");
  conversation.messages = with_system_prompt(std::move(conversation.messages), args_.system_prompt);
  const Text prompt = render(conversation, true);
  return tokenizer_->encode(prompt.text + args_.prompt_suffix, {.parse_special = true, .plain_at = prompt.plain_at});
}

std::vector<text::TokenId> PromptMaker::prompt(const std::string& plain, const Messages& messages) const {
  if (use_chat_) return chat_prompt({messages});
  return tokenizer_->encode(plain + args_.prompt_suffix, {.parse_special = false, .add_special_tokens = tokenizer_->add_bos()});
}

Document PromptMaker::supervised(const std::string& plain, const Messages& messages, const std::string& completion) const {
  Document out;
  out.ids = prompt(plain, messages);
  out.learned.assign(out.ids.size(), 0);
  auto answer = tokenizer_->encode(completion, {.plain_at = spelled_in(completion, true)});
  if (tokenizer_->eos_id()) answer.push_back(*tokenizer_->eos_id());
  out.ids.insert(out.ids.end(), answer.begin(), answer.end());
  out.learned.insert(out.learned.end(), answer.size(), 1);
  return out;
}

// Without a template, or where plain text is asked for: contents one after the other, the assistant's are learned.
Document PromptMaker::plain_conversation(const Conversation& conversation, const std::string& where) const {
  Document out;
  for (size_t i = 0; i < conversation.messages.size(); ++i) {
    const Message& message = conversation.messages[i];
    for (const auto& [key, value] : message.fields.items())
      if (key != "content" && key != "name")
        fail(where, ": message ", i, " has ", key, ", which only a chat template can write; the model has none");
    auto ids = tokenizer_->encode(message.content, {.parse_special = false, .add_special_tokens = i == 0 && tokenizer_->add_bos()});
    const bool learn = message.role == "assistant";
    if (learn && tokenizer_->eos_id()) ids.push_back(*tokenizer_->eos_id());
    out.ids.insert(out.ids.end(), ids.begin(), ids.end());
    out.learned.insert(out.learned.end(), ids.size(), learn);
  }
  return out;
}

// An assistant turn is what rendering it adds to the prompt that asks for it.
PromptMaker::Spans PromptMaker::assistant_spans(const Conversation& conversation, const Text& whole, const std::string& where) const {
  const Messages& messages = conversation.messages;
  Spans spans;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != "assistant") continue;
    const auto first = [&](size_t n) {
      return Conversation{{messages.begin(), messages.begin() + std::ptrdiff_t(n)}, conversation.variables};
    };
    const std::string before = render_row(first(i), true, where).text, after = render_row(first(i + 1), false, where).text;
    if (after.size() <= before.size() || !after.starts_with(before) || !whole.text.starts_with(after))
      fail(where, ": the chat template rewrites earlier turns, so the assistant's words of message ", i,
           " can't be found; use a template with {% generation %}");
    spans.emplace_back(before.size(), after.size());
  }
  return spans;
}

Document PromptMaker::conversation(const Conversation& conversation, const std::string& where) const {
  if (!use_chat_) return plain_conversation(conversation, where);
  Text whole = render_row(conversation, false, where);
  Spans spans = std::move(whole.generation);
  if (spans.empty()) spans = assistant_spans(conversation, whole, where);
  auto encoding = tokenizer_->encode_with_offsets(whole.text, {.parse_special = true, .plain_at = whole.plain_at});
  Document out;
  size_t span = 0;
  for (const auto& [begin, end] : encoding.offsets) {
    while (span < spans.size() && spans[span].second <= begin) ++span;
    out.learned.push_back(span < spans.size() && std::max<size_t>(end, begin + 1) > spans[span].first);
  }
  out.ids = std::move(encoding.ids);
  return out;
}

void PromptArgs::visit(Fields& v) {
  v("prompt_format", prompt_format, "plain text of the task, or the model's chat template (auto: chat if the model has one)",
    OneOf{"auto", "plain", "chat"});
  v("system_prompt", system_prompt, "system message in front of a chat prompt");
  v("prompt_suffix", prompt_suffix, "text after the rendered prompt, where the answer begins, e.g. <think>");
}

}  // namespace r1::data
