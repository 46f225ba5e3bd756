#include "r1/api/openai_chat.h"

#include <algorithm>

#include "r1/api/openai_messages.h"
#include "r1/api/turns.h"
#include "r1/base/error.h"
#include "r1/http/error.h"

namespace r1::api {
namespace {

using http::ApiError;

constexpr size_t kMaxDocuments = 256, kMaxVariables = 64;

const std::vector<std::string>& efforts() {
  static const std::vector<std::string> all = {"none", "minimal", "low", "medium", "high", "xhigh", "max"};
  return all;
}

// Variables for the template that a request may not set: they are the server's or have a field of their own.
bool reserved(std::string_view name) {
  static constexpr std::string_view kReserved[] = {
      "messages",  "tools",     "documents", "add_generation_prompt", "continue_final_message", "chat_template", "bos_token", "eos_token",
      "pad_token", "unk_token", "tokenize"};
  return std::ranges::find(kReserved, name) != std::end(kReserved);
}

}  // namespace

void ThinkingField::visit(Body& v) {
  v("type", type, "whether it thinks", {.one_of = {"enabled", "disabled", "adaptive"}});
  v("budget_tokens", budget_tokens, "tokens of thought at most", {.min = 0, .max = kMaxTokensLimit});
}

void ReasoningField::visit(Body& v) {
  v("effort", effort, "none: no thought", {.one_of = efforts()});
  v("enabled", enabled, "whether it thinks");
  v("max_tokens", max_tokens, "tokens of thought at most", {.min = 0, .max = kMaxTokensLimit});
  v("exclude", exclude, "thoughts are not shown");
}

void ConversationFields::visit(Body& v, bool messages_needed) {
  // Made once: a body is read more often than it is described.
  static const Limits kMessages = {.schema = messages_schema()}, kNeededMessages = {.required = true, .schema = messages_schema()};
  static const Limits kTools = {.schema = tools_schema()}, kToolChoice = {.schema = tool_choice_schema()};
  static const Limits kNone = {.schema = {{"type", "null"}}}, kEmptyList = {.schema = {{"type", "array"}, {"maxItems", 0}}};
  static const Limits kVariables = {.schema = {{"type", "object"}, {"maxProperties", kMaxVariables}}};
  static const Limits kDocuments = {.schema = {{"type", "array"}, {"items", {{"type", "object"}}}, {"maxItems", kMaxDocuments}}};
  static const Limits kEfforts = {.one_of = efforts()};
  v("messages", messages, "the conversation", messages_needed ? kNeededMessages : kMessages);
  v("tools", tools, "functions that the model may call", kTools);
  v("tool_choice", tool_choice, "whether it calls one", kToolChoice);
  v("parallel_tool_calls", parallel_tool_calls, "whether it may call several");
  v("functions", functions, "the old form of tools: not supported", kEmptyList);
  v("function_call", function_call, "the old form of tool_choice: not supported", kNone);
  v("chat_template", chat_template, "not taken from requests", kNone);
  v("chat_template_kwargs", chat_template_kwargs, "variables for the model's chat template, e.g. {\"enable_thinking\": false}", kVariables);
  v("documents", documents, "texts for templates that know documents", kDocuments);
  v("add_generation_prompt", add_generation_prompt,
    "the prompt ends where the assistant's turn begins; true unless the last message is continued");
  v("continue_final_message", continue_final_message, "the answer goes on from the last message, which is the assistant's");
  v("reasoning_effort", reasoning_effort, "none: no thought; told to the template", kEfforts);
  v("reasoning", reasoning, "the same, and more, in one object");
  v("thinking", thinking, "whether and how much it thinks");
  v("enable_thinking", enable_thinking, "whether it thinks");
  v.alias("reasoning_budget", "thinking_token_budget");
  v.alias("thinking_budget", "thinking_token_budget");
  v.alias("thinking_budget_tokens", "thinking_token_budget");
  v("thinking_token_budget", thinking_token_budget, "tokens of thought at most; -1: any number", {.min = -1, .max = kMaxTokensLimit});
}

void ConversationFields::apply_tools(GenerationRequest& request) const {
  if (!functions.is_null() && !(functions.is_array() && functions.empty())) refuse_field("functions", "is the old form; give tools");
  if (!function_call.is_null()) refuse_field("function_call", "is the old form; give tool_choice");
  if (!tools.is_null()) request.tools = read_tools(tools, "tools");
  if (!tool_choice.is_null()) read_tool_choice(tool_choice, "tool_choice", request);
  request.parallel_tool_calls = parallel_tool_calls;
  tell_tools(request);
}

// What a request says of thinking, the plainest word last, so that it counts.
void ConversationFields::apply_thinking(GenerationRequest& request) const {
  ThinkingWish& wish = request.thinking;
  Json& variables = request.chat->variables;
  const std::string& effort = !reasoning_effort.empty() || !reasoning ? reasoning_effort : reasoning->effort;
  if (!effort.empty()) {
    wish.enabled = effort != "none";
    variables["reasoning_effort"] = effort;
  }
  if (reasoning && reasoning->enabled) wish.enabled = reasoning->enabled;
  if (reasoning) wish.budget = reasoning->max_tokens;
  if (thinking && !thinking->type.empty() && thinking->type != "adaptive") wish.enabled = thinking->type == "enabled";
  if (thinking && thinking->budget_tokens) wish.budget = thinking->budget_tokens;
  if (thinking_token_budget) wish.budget = thinking_token_budget;
  if (wish.budget == -1) wish.budget.reset();
  if (enable_thinking) wish.enabled = enable_thinking;
  for (const char* name : {"enable_thinking", "thinking"}) {
    const auto at = variables.find(name);
    if (at != variables.end() && at->is_boolean()) {
      wish.enabled = at->get<bool>();
      return;
    }
  }
  if (wish.enabled) variables["enable_thinking"] = *wish.enabled;
}

void ConversationFields::apply(GenerationRequest& request) const {
  if (!chat_template.is_null()) refuse_field("chat_template", "templates are not taken from requests; the model's own is used");
  request.chat.emplace();
  request.chat->messages = read_messages(messages, "messages");
  Json& variables = request.chat->variables;
  variables = Json::object();
  if (!chat_template_kwargs.is_null()) {
    const std::string path = "chat_template_kwargs";
    if (!chat_template_kwargs.is_object())
      throw ApiError(400, str(path, ": expected an object, got ", chat_template_kwargs.type_name()), path, "invalid_type");
    if (chat_template_kwargs.size() > kMaxVariables) refuse(path, str("expected at most ", kMaxVariables, " variables"));
    for (const auto& item : chat_template_kwargs.items()) {
      if (reserved(item.key())) refuse(str(path, ".", item.key()), "is not the template's to be told so");
      variables[item.key()] = item.value();
    }
  }
  if (!documents.is_null()) {
    if (!documents.is_array())
      throw ApiError(400, str("documents: expected a list, got ", documents.type_name()), "documents", "invalid_type");
    if (documents.size() > kMaxDocuments) refuse("documents", str("expected at most ", kMaxDocuments, " items, got ", documents.size()));
    for (size_t i = 0; i < documents.size(); ++i)
      if (!documents[i].is_object()) refuse(str("documents[", i, "]"), str("expected an object, got ", documents[i].type_name()));
    variables["documents"] = documents;
  }
  apply_tools(request);
  apply_thinking(request);

  request.continue_final_message = continue_final_message;
  request.add_generation_prompt = add_generation_prompt.value_or(!continue_final_message);
  if (!continue_final_message) return;
  if (request.add_generation_prompt) refuse("add_generation_prompt", "must not be true where continue_final_message is");
  if (request.chat->messages.back().role != "assistant")
    refuse(str("messages[", request.chat->messages.size() - 1, "].role"), "continue_final_message needs a last message of the assistant's");
}

void ChatBody::visit(Body& v) {
  static const Limits kText = {.schema = {{"type", "array"}, {"items", {{"type", "string"}, {"enum", {"text"}}}}, {"maxItems", 1}}};
  static const Limits kNone = {.schema = {{"type", "null"}}};
  conversation.visit(v, true);
  sampling.visit(v);
  format.visit(v);
  delivery.visit(v);
  v("logprobs", logprobs, "log-probabilities of the answer's tokens");
  v("top_logprobs", top_logprobs, "and of this many others at each place; needs logprobs", {.min = 0, .max = double(kMaxTopLogprobs)});
  v("echo", echo, "with continue_final_message: the answer begins with that message");
  v("include_reasoning", include_reasoning, "thoughts are shown");
  v("best_of", best_of, "no more than n", {.min = 1, .max = double(kMaxSamples)});
  v("modalities", modalities, "[\"text\"]", kText);
  v("audio", audio, "not supported", kNone);
  v("web_search_options", web_search_options, "not supported", kNone);
}

GenerationRequest ChatBody::request() const {
  GenerationRequest out;
  if (!audio.is_null()) refuse_field("audio", "is not supported; the model makes text");
  if (!web_search_options.is_null()) refuse_field("web_search_options", "is not supported");
  if (!modalities.is_null() && modalities != Json::array({"text"}) && modalities != Json::array())
    refuse_field("modalities", "only [\"text\"] is supported");
  conversation.apply(out);
  sampling.apply(out);
  delivery.apply(out);
  out.format = format.format();
  if (best_of && *best_of != out.n) refuse("best_of", str("expected n (", out.n, "), got ", *best_of));
  if (out.max_tokens == 0) refuse("max_tokens", "expected at least 1, or -1 for as many as the context holds, got 0");
  if (top_logprobs.value_or(0) > 0 && !logprobs) refuse("top_logprobs", "needs logprobs to be true");
  out.logprobs = logprobs;
  out.top_logprobs = top_logprobs.value_or(0);
  return out;
}

Generation chat_generation(std::string_view text, http::ResponderPtr responder) {
  ChatBody body;
  read_body(parse_body(text), body);
  Generation out{.request = body.request(), .writer = nullptr};
  const GenerationRequest& request = out.request;
  const bool hidden = !body.include_reasoning || (body.conversation.reasoning && body.conversation.reasoning->exclude);
  out.writer = chat_writer({.stream = request.stream,
                            .include_usage = request.include_usage,
                            .logprobs = request.logprobs,
                            .return_token_ids = request.return_token_ids,
                            .reasoning = !hidden,
                            .parallel_tool_calls = request.parallel_tool_calls,
                            .prefix = body.echo && request.continue_final_message ? request.chat->messages.back().content : ""},
                           std::move(responder));
  return out;
}

}  // namespace r1::api
