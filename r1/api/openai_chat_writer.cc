// The answers of /v1/chat/completions.
#include <algorithm>

#include "r1/api/openai_chat.h"
#include "r1/api/openai_json.h"
#include "r1/api/openai_writer.h"

namespace r1::api {
namespace {

class ChatWriter : public OpenaiWriter {
 public:
  ChatWriter(const ChatAnswerOptions& options, http::ResponderPtr responder)
      : OpenaiWriter(std::move(responder), {"chatcmpl-", "chat.completion", "chat.completion.chunk"}, options.stream,
                     options.include_usage),
        options_(options) {}

  void start(const Head& head) override {
    begin(head);
    choices_.resize(size_t(head.choices));
    if (stream_)
      for (int64_t i = 0; i < head.choices; ++i) write_delta(i, {{"role", "assistant"}, {"content", ""}}, {});
    if (!options_.prefix.empty())
      for (int64_t i = 0; i < head.choices; ++i) add_content(i, options_.prefix, {});
  }

  void prompt(int64_t, const std::string&, const std::vector<TokenInfo>&) override {}

  void delta(int64_t choice, const Delta& delta) override {
    std::vector<TokenInfo> tokens = options_.logprobs || options_.return_token_ids ? delta.tokens : std::vector<TokenInfo>();
    // A chunk has one kind of thing in it, as clients ask for one and pass over the others. Tokens go with the first.
    if (!delta.reasoning.empty() && options_.reasoning) add_reasoning(choice, delta.reasoning, std::exchange(tokens, {}));
    if (!delta.content.empty()) add_content(choice, delta.content, std::exchange(tokens, {}));
    std::vector<ToolCallDelta> calls = delta.tool_calls;
    if (!options_.parallel_tool_calls) std::erase_if(calls, [](const ToolCallDelta& call) { return call.index > 0; });
    if (!calls.empty()) add_calls(choice, calls, std::exchange(tokens, {}));
    if (!tokens.empty()) add_content(choice, "", tokens);
  }

  void finish(int64_t choice, const Finish& finish) override {
    Choice& own = choices_.at(size_t(choice));
    own.finish = openai_finish(finish.reason);
    own.stop_reason = stop_reason(finish);
    own.thought_cut = finish.thought_cut;
    if (stream_) write_last(choice_json(choice, Json::object(), {}));
  }

 private:
  struct Choice {
    std::string content, reasoning, finish;
    std::vector<ToolCallDelta> calls;
    std::vector<TokenInfo> tokens;
    Json stop_reason;
    bool thought_cut = false;
  };

  Json logprobs(const std::vector<TokenInfo>& tokens) const {
    if (!options_.logprobs || tokens.empty()) return nullptr;
    return {{"content", logprobs_content(tokens)}, {"refusal", nullptr}};
  }

  Json choice_json(int64_t choice, Json delta, const std::vector<TokenInfo>& tokens) const {
    const Choice& own = choices_.at(size_t(choice));
    Json out = {{"index", choice}, {"delta", std::move(delta)}, {"logprobs", logprobs(tokens)}, {"finish_reason", nullptr}};
    if (!own.finish.empty()) add_finish(out, own);
    if (options_.return_token_ids && !tokens.empty()) out["token_ids"] = token_ids(tokens);
    return out;
  }

  static void add_finish(Json& out, const Choice& choice) {
    out["finish_reason"] = choice.finish;
    out["stop_reason"] = choice.stop_reason;
    if (choice.thought_cut) out["thought_cut"] = true;
  }

  void write_delta(int64_t choice, Json delta, const std::vector<TokenInfo>& tokens) {
    write_choice(choice_json(choice, std::move(delta), tokens));
  }

  void keep(int64_t choice, const std::vector<TokenInfo>& tokens) {
    auto& kept = choices_.at(size_t(choice)).tokens;
    kept.insert(kept.end(), tokens.begin(), tokens.end());
  }

  void add_content(int64_t choice, const std::string& text, const std::vector<TokenInfo>& tokens) {
    if (stream_) return write_delta(choice, {{"content", text}}, tokens);
    choices_.at(size_t(choice)).content += text;
    keep(choice, tokens);
  }

  void add_reasoning(int64_t choice, const std::string& text, const std::vector<TokenInfo>& tokens) {
    if (stream_) return write_delta(choice, {{"reasoning_content", text}, {"reasoning", text}}, tokens);
    choices_.at(size_t(choice)).reasoning += text;
    keep(choice, tokens);
  }

  void add_calls(int64_t choice, const std::vector<ToolCallDelta>& calls, const std::vector<TokenInfo>& tokens) {
    if (stream_) {
      Json list = Json::array();
      for (const ToolCallDelta& call : calls) list.push_back(call_delta(call));
      return write_delta(choice, {{"tool_calls", std::move(list)}}, tokens);
    }
    auto& kept = choices_.at(size_t(choice)).calls;
    for (const ToolCallDelta& call : calls) {
      if (size_t(call.index) >= kept.size())
        kept.push_back(call);
      else
        kept[size_t(call.index)].arguments += call.arguments;
    }
    keep(choice, tokens);
  }

  static Json call_delta(const ToolCallDelta& call) {
    if (call.id.empty()) return {{"index", call.index}, {"function", {{"arguments", call.arguments}}}};
    return {
        {"index", call.index}, {"id", call.id}, {"type", "function"}, {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
  }

  Json message(const Choice& choice) const {
    const Json thought = choice.reasoning.empty() ? Json() : Json(choice.reasoning);
    const bool no_text = choice.content.empty() && !choice.calls.empty();
    Json out = {{"role", "assistant"}, {"content", no_text ? Json() : Json(choice.content)}, {"refusal", nullptr}};
    out["reasoning_content"] = thought;
    out["reasoning"] = thought;
    for (const ToolCallDelta& call : choice.calls)
      out["tool_calls"].push_back(
          {{"id", call.id}, {"type", "function"}, {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
    return out;
  }

  Json choices() override {
    Json list = Json::array();
    for (size_t i = 0; i < choices_.size(); ++i) {
      const Choice& choice = choices_[i];
      Json entry = {{"index", i}, {"message", message(choice)}, {"logprobs", logprobs(choice.tokens)}, {"finish_reason", nullptr}};
      add_finish(entry, choice);
      if (options_.return_token_ids) entry["token_ids"] = token_ids(choice.tokens);
      list.push_back(std::move(entry));
    }
    return list;
  }

  const ChatAnswerOptions options_;
  std::vector<Choice> choices_;
};

}  // namespace

std::unique_ptr<AnswerWriter> chat_writer(const ChatAnswerOptions& options, http::ResponderPtr responder) {
  return std::make_unique<ChatWriter>(options, std::move(responder));
}

}  // namespace r1::api
