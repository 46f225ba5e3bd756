#include "r1/api/openai_chat.h"

#include <gtest/gtest.h>

#include "field_sweep.h"
#include "openai_support.h"
#include "r1/api/openai_json.h"
#include "r1/api/openai_messages.h"

namespace r1::api {
namespace {

GenerationRequest read(const std::string& body) {
  return chat_generation(body, std::make_shared<Recorder>()).request;
}
// A body with one message and `more`.
GenerationRequest with(const std::string& more) {
  return read(R"({"messages": [{"role": "user", "content": "hi"}])" + (more.empty() ? "" : ", " + more) + "}");
}
// The place that is at fault.
std::string refused(const std::string& body) {
  try {
    read(body);
  } catch (const http::ApiError& error) {
    EXPECT_EQ(error.status, 400);
    EXPECT_TRUE(std::string(error.what()).starts_with(error.param)) << error.what();
    return error.param;
  }
  return "taken";
}
std::string refused_with(const std::string& more) {
  return refused(R"({"messages": [{"role": "user", "content": "hi"}], )" + more + "}");
}
std::string refused_message(const std::string& message) {
  return refused(R"({"messages": [{"role": "user", "content": "hi"}, )" + message + "]}");
}

constexpr const char* kWeather =
    R"("tools": [{"type": "function", "function": {"name": "weather", "description": "of a city", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}])";

TEST(OpenaiChat, PlainRequest) {
  const GenerationRequest r = with("");
  ASSERT_TRUE(r.chat);
  ASSERT_EQ(r.chat->messages.size(), 1u);
  EXPECT_EQ(r.chat->messages[0].role, "user");
  EXPECT_EQ(r.chat->messages[0].content, "hi");
  EXPECT_TRUE(r.chat->messages[0].fields.is_null());
  EXPECT_TRUE(r.chat->variables.empty());
  EXPECT_FALSE(r.max_tokens);
  EXPECT_EQ(r.n, 1);
  EXPECT_FALSE(r.stream);
  EXPECT_FALSE(r.logprobs);
  EXPECT_FALSE(r.sampling.temperature);
  EXPECT_FALSE(r.sampling.seed);
  EXPECT_TRUE(r.add_generation_prompt);
  EXPECT_FALSE(r.continue_final_message);
  EXPECT_FALSE(r.thinking.enabled);
  EXPECT_FALSE(r.thinking.budget);
  EXPECT_TRUE(r.parallel_tool_calls);
  EXPECT_FALSE(r.truncate_prompt);
}

TEST(OpenaiChat, EveryField) {
  const GenerationRequest r = with(
      R"("model": "m", "temperature": 0.5, "top_p": 0.25, "top_k": 40, "min_p": 0.125, "repetition_penalty": 1.5, "presence_penalty": -1, "frequency_penalty": 2,
         "seed": 9, "n": 3, "stop": ["a", "b"], "stop_token_ids": [5, 6], "min_tokens": 2, "ignore_eos": true, "max_completion_tokens": 77, "logprobs": true,
         "top_logprobs": 4, "stream": true, "stream_options": {"include_usage": true, "include_obfuscation": false}, "user": "u", "cache_salt": "s", "priority": -3,
         "truncate_prompt": true, "return_token_ids": true, "parallel_tool_calls": false, "store": true, "metadata": {"a": "b"}, "service_tier": "auto",
         "modalities": ["text"], "logit_bias": {}, "reasoning_effort": "high", "thinking_token_budget": 100, "verbosity": "low", "prompt_cache_key": "k")");
  EXPECT_EQ(r.model, "m");
  EXPECT_EQ(r.sampling.temperature, 0.5);
  EXPECT_EQ(r.sampling.top_p, 0.25);
  EXPECT_EQ(r.sampling.top_k, 40);
  EXPECT_EQ(r.sampling.min_p, 0.125);
  EXPECT_EQ(r.sampling.repetition_penalty, 1.5);
  EXPECT_EQ(r.sampling.presence_penalty, -1);
  EXPECT_EQ(r.sampling.frequency_penalty, 2);
  EXPECT_EQ(r.sampling.seed, 9u);
  EXPECT_EQ(r.n, 3);
  EXPECT_EQ(r.sampling.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(r.sampling.stop_token_ids, (std::vector<int64_t>{5, 6}));
  EXPECT_EQ(r.sampling.min_tokens, 2);
  EXPECT_TRUE(r.sampling.ignore_eos);
  EXPECT_EQ(r.max_tokens, 77);
  EXPECT_TRUE(r.logprobs);
  EXPECT_EQ(r.top_logprobs, 4);
  EXPECT_TRUE(r.stream);
  EXPECT_TRUE(r.include_usage);
  EXPECT_EQ(r.user, "u");
  EXPECT_EQ(r.cache_salt, "s");
  EXPECT_EQ(r.priority, -3);
  EXPECT_TRUE(r.truncate_prompt);
  EXPECT_TRUE(r.return_token_ids);
  EXPECT_FALSE(r.parallel_tool_calls);
  EXPECT_EQ(r.thinking.enabled, true);
  EXPECT_EQ(r.thinking.budget, 100);
}

TEST(OpenaiChat, OtherSpellings) {
  EXPECT_EQ(with(R"("max_tokens": 5)").max_tokens, 5);
  EXPECT_EQ(with(R"("max_tokens": 5, "max_completion_tokens": 7)").max_tokens, 5);
  EXPECT_FALSE(with(R"("max_tokens": -1)").max_tokens) << "as many as the context holds";
  EXPECT_FALSE(with(R"("max_tokens": null)").max_tokens);
  EXPECT_EQ(with(R"("stop": "x")").sampling.stop, std::vector<std::string>{"x"});
  EXPECT_TRUE(with(R"("stop": null)").sampling.stop.empty());
  EXPECT_EQ(with(R"("repeat_penalty": 1.25)").sampling.repetition_penalty, 1.25);
  EXPECT_FALSE(with(R"("seed": -1)").sampling.seed) << "a fresh one";
  EXPECT_EQ(with(R"("seed": -2)").sampling.seed, uint64_t(-2));
  EXPECT_EQ(with(R"("top_k": -1)").sampling.top_k, 0);
  EXPECT_GT(*with(R"("top_p": 0)").sampling.top_p, 0) << "the sampler takes no 0";
  EXPECT_TRUE(with(R"("truncate_prompt_tokens": -1)").truncate_prompt);
  EXPECT_FALSE(with(R"("stream": true)").include_usage);
  EXPECT_EQ(with(R"("best_of": 2, "n": 2)").n, 2);
}

TEST(OpenaiChat, Messages) {
  const GenerationRequest r = read(R"({"messages": [
    {"role": "system", "content": "Be brief."}, {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
    {"role": "user", "name": "ann", "content": [{"type": "text", "text": "Look:"}, {"type": "input_text", "text": "rain"}]},
    {"role": "assistant", "content": null, "reasoning_content": "a tool", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Oslo\"}"}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "dry"},
    {"role": "assistant", "tool_calls": [{"id": "c2", "function": {"name": "weather", "arguments": ""}}, {"function": {"name": "time", "arguments": {"x": 1}}}]},
    {"role": "function", "name": "weather", "content": "wet"},
    {"role": "assistant", "content": "It rains.", "reasoning": "so", "refusal": null, "audio": null, "annotations": []},
    {"role": "assistant", "function_call": {"name": "time", "arguments": "{}"}},
    {"role": "user", "content": ""}]})");
  const data::Messages& m = r.chat->messages;
  ASSERT_EQ(m.size(), 10u);
  EXPECT_EQ(m[1].content, "Be kind.");
  EXPECT_TRUE(m[1].fields.is_null()) << "one part of text is a text";
  EXPECT_EQ(m[2].content, "Look:\nrain");
  EXPECT_EQ(m[2].fields,
            Json::parse(R"({"name": "ann", "content": [{"type": "text", "text": "Look:"}, {"type": "text", "text": "rain"}]})"));
  EXPECT_EQ(m[3].content, "");
  EXPECT_EQ(m[3].fields["content"], nullptr) << "templates ask whether there is one";
  EXPECT_EQ(m[3].fields["reasoning"], "a tool");
  EXPECT_EQ(m[3].fields["reasoning_content"], "a tool");
  EXPECT_EQ(m[3].fields["tool_calls"],
            Json::parse(R"([{"type": "function", "id": "c1", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}])"));
  EXPECT_EQ(m[4].fields["tool_call_id"], "c1");
  EXPECT_EQ(m[5].fields["tool_calls"][0]["function"]["arguments"], Json::object());
  EXPECT_EQ(m[5].fields["tool_calls"][1]["function"]["arguments"], Json::parse(R"({"x": 1})"));
  EXPECT_EQ(m[6].role, "tool");
  EXPECT_EQ(m[7].fields["reasoning_content"], "so");
  EXPECT_FALSE(m[7].fields.contains("refusal"));
  EXPECT_EQ(m[8].fields["tool_calls"][0]["function"]["name"], "time");

  data::Messages text = m;
  arguments_as_text(text);
  EXPECT_EQ(text[3].fields["tool_calls"][0]["function"]["arguments"], R"({"city":"Oslo"})");
  EXPECT_TRUE(wants_text_arguments("'```json' + '\\n' + tool['function']['arguments'] + '\\n'"));
  EXPECT_FALSE(wants_text_arguments("{{- tool_call.arguments | tojson }}"));
}

TEST(OpenaiChat, MessagesAtFaultAreNamed) {
  EXPECT_EQ(refused("{}"), "messages");
  EXPECT_EQ(refused(R"({"messages": []})"), "messages");
  EXPECT_EQ(refused(R"({"messages": {}})"), "messages");
  EXPECT_EQ(refused(R"({"messages": "hi"})"), "messages");
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"(7)", "messages[1]"},
      {R"(null)", "messages[1]"},
      {R"({})", "messages[1].role"},
      {R"({"role": null, "content": "a"})", "messages[1].role"},
      {R"({"role": "wizard", "content": "a"})", "messages[1].role"},
      {R"({"role": ["user"], "content": "a"})", "messages[1].role"},
      {R"({"role": "user"})", "messages[1].content"},
      {R"({"role": "user", "content": null})", "messages[1].content"},
      {R"({"role": "user", "content": 5})", "messages[1].content"},
      {R"({"role": "user", "content": {"type": "text", "text": "a"}})", "messages[1].content"},
      {R"({"role": "user", "content": [5]})", "messages[1].content[0]"},
      {R"({"role": "user", "content": [{"type": "text", "text": "a"}, {"text": "a"}]})", "messages[1].content[1].type"},
      {R"({"role": "user", "content": [{"type": "text"}]})", "messages[1].content[0].text"},
      {R"({"role": "user", "content": [{"type": "text", "text": 5}]})", "messages[1].content[0].text"},
      {R"({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://a/b.png"}}]})", "messages[1].content[0].type"},
      {R"({"role": "user", "content": "a", "name": 5})", "messages[1].name"},
      {R"({"role": "tool", "tool_call_id": "c"})", "messages[1].content"},
      {R"({"role": "tool", "content": "a", "tool_call_id": {}})", "messages[1].tool_call_id"},
      {R"({"role": "assistant", "content": "a", "reasoning_content": {}})", "messages[1].reasoning_content"},
      {R"({"role": "assistant", "content": "a", "reasoning": 1})", "messages[1].reasoning"},
      {R"({"role": "assistant", "tool_calls": {}})", "messages[1].tool_calls"},
      {R"({"role": "assistant", "tool_calls": [5]})", "messages[1].tool_calls[0]"},
      {R"({"role": "assistant", "tool_calls": [{"id": "a"}]})", "messages[1].tool_calls[0].function"},
      {R"({"role": "assistant", "tool_calls": [{"function": {"arguments": "{}"}}]})", "messages[1].tool_calls[0].function.name"},
      {R"({"role": "assistant", "tool_calls": [{"function": {"name": ""}}]})", "messages[1].tool_calls[0].function.name"},
      {R"({"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": "{"}}]})",
       "messages[1].tool_calls[0].function.arguments"},
      {R"({"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": "[1]"}}]})",
       "messages[1].tool_calls[0].function.arguments"},
      {R"({"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": 1}}]})",
       "messages[1].tool_calls[0].function.arguments"},
      {R"({"role": "assistant", "tool_calls": [{"type": "custom", "function": {"name": "a"}}]})", "messages[1].tool_calls[0].type"},
      {R"({"role": "assistant", "tool_calls": [{"id": 3, "function": {"name": "a"}}]})", "messages[1].tool_calls[0].id"},
  };
  for (const auto& [message, param] : cases) EXPECT_EQ(refused_message(message), param) << message;
  EXPECT_EQ(refused_message(R"({"role": "assistant"})"), "taken") << "it said nothing";
  std::string many = R"({"role": "user", "content": "a"})";
  for (int i = 0; i < 4096; ++i) many += R"(, {"role": "user", "content": "a"})";
  EXPECT_EQ(refused("{\"messages\": [" + many + "]}"), "messages");
}

TEST(OpenaiChat, FieldsAtFaultAreNamed) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"("n": 129)", "n"},
      {R"("n": 0)", "n"},
      {R"("max_tokens": 0)", "max_tokens"},
      {R"("max_completion_tokens": 2147483648)", "max_completion_tokens"},
      {R"("temperature": -0.1)", "temperature"},
      {R"("temperature": 101)", "temperature"},
      {R"("top_p": 1.01)", "top_p"},
      {R"("stop": 5)", "stop"},
      {R"("stop": "")", "stop"},
      {R"("stop": ["a", ""])", "stop[1]"},
      {R"("stop": ["a", 5])", "stop[1]"},
      {R"("stop": ["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16","17"])", "stop"},
      {R"("stop_token_ids": [-1])", "stop_token_ids[0]"},
      {R"("logit_bias": {"50256": -100})", "logit_bias"},
      {R"("logit_bias": [])", "logit_bias"},
      {R"("top_logprobs": 21, "logprobs": true)", "top_logprobs"},
      {R"("top_logprobs": 2)", "top_logprobs"},
      {R"("logprobs": 2)", "logprobs"},
      {R"("stream": "yes")", "stream"},
      {R"("stream_options": {"include_usage": 1})", "stream_options.include_usage"},
      {R"("min_tokens": 6, "max_tokens": 5)", "min_tokens"},
      {R"("best_of": 2)", "best_of"},
      {R"("use_beam_search": true)", "use_beam_search"},
      {R"("include_stop_str_in_output": true)", "include_stop_str_in_output"},
      {R"("truncate_prompt_tokens": 100)", "truncate_prompt_tokens"},
      {R"("chat_template": "{{ 1 }}")", "chat_template"},
      {R"("chat_template_kwargs": [])", "chat_template_kwargs"},
      {R"("chat_template_kwargs": {"messages": []})", "chat_template_kwargs.messages"},
      {R"("chat_template_kwargs": {"chat_template": "x"})", "chat_template_kwargs.chat_template"},
      {R"("reasoning_effort": "extreme")", "reasoning_effort"},
      {R"("thinking": {"type": "maybe"})", "thinking.type"},
      {R"("thinking": {"type": "enabled", "budget_tokens": -1})", "thinking.budget_tokens"},
      {R"("reasoning_budget": -2)", "reasoning_budget"},
      {R"("audio": {"voice": "a"})", "audio"},
      {R"("modalities": ["text", "audio"])", "modalities"},
      {R"("web_search_options": {})", "web_search_options"},
      {R"("functions": [{"name": "a"}])", "functions"},
      {R"("function_call": "auto")", "function_call"},
      {R"("documents": ["a"])", "documents[0]"},
      {R"("continue_final_message": true)", "messages[0].role"},
      {R"("continue_final_message": true, "add_generation_prompt": true)", "add_generation_prompt"},
      {R"("max_token": 5)", "max_token"},
      {R"("temprature": 5)", "temprature"},
      // tools
      {R"("tools": {})", "tools"},
      {R"("tools": [5])", "tools[0]"},
      {R"("tools": [{"function": {"name": "a"}}])", "tools[0].type"},
      {R"("tools": [{"type": "custom", "custom": {"name": "a"}}])", "tools[0].type"},
      {R"("tools": [{"type": "function"}])", "tools[0].function"},
      {R"("tools": [{"type": "function", "function": {}}])", "tools[0].function.name"},
      {R"("tools": [{"type": "function", "function": {"name": "a b"}}])", "tools[0].function.name"},
      {R"("tools": [{"type": "function", "function": {"name": "a", "description": 1}}])", "tools[0].function.description"},
      {R"("tools": [{"type": "function", "function": {"name": "a", "parameters": []}}])", "tools[0].function.parameters"},
      {R"("tools": [{"type": "function", "function": {"name": "a"}}, {"type": "function", "function": {"name": "a"}}])",
       "tools[1].function.name"},
      {R"("tool_choice": "required")", "tool_choice"},
      {R"("tool_choice": "always")", "tool_choice"},
      {R"("tool_choice": 5)", "tool_choice"},
      {R"("tool_choice": {"type": "function", "function": {"name": "a"}})", "tool_choice.function.name"},
      {R"("tool_choice": {"type": "allowed_tools"})", "tool_choice.type"},
      {R"("tool_choice": {"type": "function"})", "tool_choice.name"},
      // shapes
      {R"("response_format": "json")", "response_format"},
      {R"("response_format": {})", "response_format.type"},
      {R"("response_format": {"type": "xml"})", "response_format.type"},
      {R"("response_format": {"type": "json_schema"})", "response_format.json_schema"},
      {R"("response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": 5}})", "response_format.json_schema.schema"},
      {R"("response_format": {"type": "regex"})", "response_format.pattern"},
      {R"("guided_json": "{")", "guided_json"},
      {R"("guided_json": [])", "guided_json"},
      {R"("guided_regex": "a", "guided_choice": ["b"])", "guided_choice"},
      {R"("guided_choice": [""])", "guided_choice[0]"},
      {R"("response_format": {"type": "json_object"}, "structured_outputs": {"regex": "a"})", "structured_outputs.regex"},
  };
  for (const auto& [more, param] : cases) EXPECT_EQ(refused_with(more), param) << more;
  // What clients send along and means nothing here.
  for (const std::string more :
       {R"("store": false)", R"("models": ["a"])", R"("top_a": 1)", R"("typical_p": 1)", R"("mirostat": 0)",
        R"("skip_special_tokens": true)", R"("function_call": null, "functions": [])", R"("prediction": {"type": "content"})",
        R"("tool_choice": "auto")", R"("stream_options": {"include_usage": true})",
        R"("response_format": {"type": "text"}, "guided_regex": "a")"})
    EXPECT_EQ(refused_with(more), "taken") << more;
}

TEST(OpenaiChat, Tools) {
  GenerationRequest r = with(kWeather);
  ASSERT_EQ(r.tools.size(), 1u);
  EXPECT_EQ(r.tools[0].name, "weather");
  EXPECT_EQ(r.tools[0].description, "of a city");
  EXPECT_EQ(r.tools[0].parameters["properties"]["city"]["type"], "string");
  EXPECT_EQ(r.tool_choice, ToolChoice::kAuto);
  EXPECT_EQ(r.chat->variables["tools"], Json::array({r.tools[0].whole}));
  EXPECT_EQ(r.tools[0].whole["function"]["name"], "weather");
  const std::string tools = kWeather;
  EXPECT_EQ(with(tools + R"(, "tool_choice": "required")").tool_choice, ToolChoice::kRequired);
  r = with(tools + R"(, "tool_choice": "none")");
  EXPECT_EQ(r.tool_choice, ToolChoice::kNone);
  EXPECT_FALSE(r.chat->variables.contains("tools")) << "what must not be called is not told";
  r = with(tools + R"(, "tool_choice": {"type": "function", "function": {"name": "weather"}})");
  EXPECT_EQ(r.tool_choice, ToolChoice::kNamed);
  EXPECT_EQ(r.tool_name, "weather");
  r = with(R"("tools": [{"type": "function", "function": {"name": "now"}}])");
  EXPECT_EQ(r.tools[0].parameters, Json::parse(R"({"type": "object", "properties": {}})"));
}

TEST(OpenaiChat, Shapes) {
  using Kind = AnswerFormat::Kind;
  const auto format = [](const std::string& more) { return with(more).format; };
  EXPECT_EQ(format(R"("response_format": {"type": "text"})").kind, Kind::kText);
  EXPECT_EQ(format(R"("response_format": {"type": "json_object"})").kind, Kind::kJsonObject);
  for (const std::string more :
       {R"("response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": true, "schema": {"type": "array"}}})",
        R"("response_format": {"type": "json_object", "schema": {"type": "array"}})", R"("guided_json": {"type": "array"})",
        R"("guided_json": "{\"type\": \"array\"}")", R"("json_schema": {"type": "array"})",
        R"("structured_outputs": {"json": {"type": "array"}})"}) {
    EXPECT_EQ(format(more).kind, Kind::kJsonSchema) << more;
    EXPECT_EQ(format(more).schema, Json::parse(R"({"type": "array"})")) << more;
  }
  for (const std::string more : {R"("guided_regex": "a+")", R"("structured_outputs": {"regex": "a+"})",
                                 R"("response_format": {"type": "regex", "pattern": "a+"})"}) {
    EXPECT_EQ(format(more).kind, Kind::kRegex) << more;
    EXPECT_EQ(format(more).pattern, "a+") << more;
  }
  for (const std::string more :
       {R"("grammar": "root ::= x")", R"("guided_grammar": "root ::= x")", R"("structured_outputs": {"grammar": "root ::= x"})",
        R"("response_format": {"type": "grammar", "grammar": "root ::= x"})"}) {
    EXPECT_EQ(format(more).kind, Kind::kGrammar) << more;
    EXPECT_EQ(format(more).pattern, "root ::= x") << more;
  }
  EXPECT_EQ(format(R"("guided_choice": ["yes", "no.*"])").pattern, "(yes|no\\.\\*)");
  EXPECT_EQ(format(R"("response_format": {"type": "json_schema", "json_schema": {"name": "a"}})").kind, Kind::kJsonObject);
}

TEST(OpenaiChat, Thinking) {
  const auto wish = [](const std::string& more) { return with(more).thinking; };
  for (const std::string more :
       {R"("reasoning_effort": "none")", R"("thinking": {"type": "disabled"})", R"("chat_template_kwargs": {"enable_thinking": false})",
        R"("enable_thinking": false)", R"("reasoning": {"effort": "none"})", R"("reasoning": {"enabled": false})",
        R"("reasoning_effort": "high", "chat_template_kwargs": {"enable_thinking": false})"}) {
    EXPECT_EQ(wish(more).enabled, false) << more;
    EXPECT_EQ(with(more).chat->variables["enable_thinking"], false) << more;
  }
  EXPECT_EQ(wish(R"("chat_template_kwargs": {"thinking": true})").enabled, true) << "as DeepSeek's templates call it";
  EXPECT_EQ(wish(R"("reasoning_effort": "low")").enabled, true);
  EXPECT_EQ(with(R"("reasoning_effort": "low")").chat->variables["reasoning_effort"], "low");
  EXPECT_FALSE(wish(R"("thinking": {"type": "adaptive"})").enabled);
  for (const std::string more : {R"("thinking_token_budget": 9)", R"("reasoning_budget": 9)", R"("thinking_budget": 9)",
                                 R"("thinking": {"type": "enabled", "budget_tokens": 9})", R"("reasoning": {"max_tokens": 9})"})
    EXPECT_EQ(wish(more).budget, 9) << more;
  EXPECT_FALSE(wish(R"("reasoning_budget": -1)").budget);
  EXPECT_EQ(wish(R"("thinking_token_budget": 0)").budget, 0);
  EXPECT_EQ(with(R"("chat_template_kwargs": {"style": {"a": [1]}}, "documents": [{"title": "a"}])").chat->variables,
            Json::parse(R"({"style": {"a": [1]}, "documents": [{"title": "a"}]})"));
}

TEST(OpenaiChat, LastMessageIsContinued) {
  const std::string head = R"({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Well"}])";
  const GenerationRequest r = read(head + R"(, "continue_final_message": true})");
  EXPECT_TRUE(r.continue_final_message);
  EXPECT_FALSE(r.add_generation_prompt);
  EXPECT_FALSE(read(head + R"(, "add_generation_prompt": false})").add_generation_prompt);
  const auto recorder = std::make_shared<Recorder>();
  Generation echoed = chat_generation(head + R"(, "continue_final_message": true, "echo": true})", recorder);
  play(*echoed.writer, {text(", hello.")}, finished("stop"));
  EXPECT_EQ(recorder->json()["choices"][0]["message"]["content"], "Well, hello.");
}

// ---- answers

TEST(OpenaiChat, WholeAnswer) {
  const Json json = whole_answer(chat_writer, ChatAnswerOptions{}, {thought("I add."), text("It is "), text("4.")}, finished("stop"));
  EXPECT_EQ(json,
            Json::parse(R"({"id": "chatcmpl-abcdefghijklmnopqrstuvwx", "object": "chat.completion", "created": 1764426000, "model": "tiny",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "It is 4.", "refusal": null, "reasoning_content": "I add.", "reasoning": "I add."},
                 "logprobs": null, "finish_reason": "stop", "stop_reason": null}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18, "prompt_tokens_details": {"cached_tokens": 4},
              "completion_tokens_details": {"reasoning_tokens": 3}}})"));
}

TEST(OpenaiChat, WholeAnswerWithCalls) {
  const Json json = whole_answer(
      chat_writer, ChatAnswerOptions{},
      {call(0, "call_1", "weather", "{\"ci"), call(0, "", "", "ty\":\"Oslo\"}"), call(1, "call_2", "time", "{}")}, finished("tool_calls"));
  const Json& choice = json["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  EXPECT_EQ(
      choice["message"],
      Json::parse(R"({"role": "assistant", "content": null, "refusal": null, "reasoning_content": null, "reasoning": null, "tool_calls": [
    {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Oslo\"}"}},
    {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": "{}"}}]})"));
  const Json one = whole_answer(chat_writer, ChatAnswerOptions{.parallel_tool_calls = false},
                                {call(0, "call_1", "weather", "{}"), call(1, "call_2", "time", "{}")}, finished("tool_calls"));
  EXPECT_EQ(one["choices"][0]["message"]["tool_calls"].size(), 1u);
}

TEST(OpenaiChat, Stream) {
  const auto lines = stream_lines(chat_writer, ChatAnswerOptions{.stream = true}, {thought("I add."), text("It is "), text("4.")},
                                  finished("stop"), "chatcmpl", "chat.completion.chunk");
  EXPECT_EQ(
      lines,
      (std::vector<std::string>{
          R"("choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]})",
          R"("choices":[{"index":0,"delta":{"reasoning_content":"I add.","reasoning":"I add."},"logprobs":null,"finish_reason":null}]})",
          R"("choices":[{"index":0,"delta":{"content":"It is "},"logprobs":null,"finish_reason":null}]})",
          R"("choices":[{"index":0,"delta":{"content":"4."},"logprobs":null,"finish_reason":null}]})",
          R"("choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop","stop_reason":null}],"timings":{..}})",
      }));
}

TEST(OpenaiChat, StreamWithUsage) {
  const auto lines = stream_lines(chat_writer, ChatAnswerOptions{.stream = true, .include_usage = true}, {text("4")}, finished("length"),
                                  "chatcmpl", "chat.completion.chunk");
  EXPECT_EQ(
      lines,
      (std::vector<std::string>{
          R"("choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null})",
          R"("choices":[{"index":0,"delta":{"content":"4"},"logprobs":null,"finish_reason":null}],"usage":null})",
          R"("choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"length","stop_reason":null}],"usage":null,"timings":{..}})",
          R"("choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":3}},"timings":{..}})",
      }));
}

TEST(OpenaiChat, StreamWithCalls) {
  const auto lines = stream_lines(chat_writer, ChatAnswerOptions{.stream = true},
                                  {call(0, "call_1", "weather", ""), call(0, "", "", "{}"), call(1, "call_2", "time", "{")},
                                  finished("length"), "chatcmpl", "chat.completion.chunk");
  EXPECT_EQ(
      lines,
      (std::vector<std::string>{
          R"("choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]})",
          R"("choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"weather","arguments":""}}]},"logprobs":null,"finish_reason":null}]})",
          R"("choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]},"logprobs":null,"finish_reason":null}]})",
          R"("choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_2","type":"function","function":{"name":"time","arguments":"{"}}]},"logprobs":null,"finish_reason":null}]})",
          // A call that the length cut off is not told as a call that is complete.
          R"("choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"length","stop_reason":null}],"timings":{..}})",
      }));
}

TEST(OpenaiChat, OneKindInEachChunk) {
  Delta both;
  both.reasoning = "so";
  both.content = "4";
  both.tool_calls = {{0, "call_1", "f", "{}"}};
  both.tokens = {token(1, "so4", -1)};
  const auto lines = stream_lines(chat_writer, ChatAnswerOptions{.stream = true, .logprobs = true}, {both}, finished("tool_calls"),
                                  "chatcmpl", "chat.completion.chunk");
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(
      lines[1],
      R"("choices":[{"index":0,"delta":{"reasoning_content":"so","reasoning":"so"},"logprobs":{"content":[{"token":"so4","logprob":-1.0,"bytes":[115,111,52],"top_logprobs":[]}],"refusal":null},"finish_reason":null}]})");
  EXPECT_EQ(lines[2], R"("choices":[{"index":0,"delta":{"content":"4"},"logprobs":null,"finish_reason":null}]})");
  EXPECT_NE(lines[3].find("tool_calls"), std::string::npos);
}

TEST(OpenaiChat, HiddenThoughts) {
  Delta delta = thought("secret");
  delta.tokens = {token(1, "secret", -1)};
  const Json json = whole_answer(chat_writer, ChatAnswerOptions{.reasoning = false}, {delta, text("4")}, finished("stop"));
  EXPECT_EQ(json["choices"][0]["message"]["reasoning"], nullptr);
  EXPECT_EQ(json.dump().find("secret"), std::string::npos);
  const auto recorder = std::make_shared<Recorder>();
  Generation generation =
      chat_generation(R"({"messages": [{"role": "user", "content": "a"}], "stream": true, "include_reasoning": false})", recorder);
  play(*generation.writer, {delta, text("4")}, finished("stop"));
  EXPECT_EQ(recorder->response.body.find("secret"), std::string::npos);
}

TEST(OpenaiChat, LogprobsHaveTheTokensBytes) {
  // The first three of the four bytes of an emoji, and its last.
  Delta delta = text("😀");
  delta.tokens = {token(5, "\xf0\x9f\x98", -0.5, {{5, "\xf0\x9f\x98", -0.5}, {6, "é", -1.5}}), token(7, "\x80", -0.25)};
  const Json json = whole_answer(chat_writer, ChatAnswerOptions{.logprobs = true}, {delta}, finished("stop"));
  EXPECT_EQ(json["choices"][0]["logprobs"], Json::parse(R"({"content": [
    {"token": "bytes:\\xf0\\x9f\\x98", "logprob": -0.5, "bytes": [240, 159, 152], "top_logprobs": [
      {"token": "bytes:\\xf0\\x9f\\x98", "logprob": -0.5, "bytes": [240, 159, 152]}, {"token": "é", "logprob": -1.5, "bytes": [195, 169]}]},
    {"token": "bytes:\\x80", "logprob": -0.25, "bytes": [128], "top_logprobs": []}], "refusal": null})"));
}

TEST(OpenaiChat, TokensWithoutTextAreNotLost) {
  Delta held;
  held.tokens = {token(5, "\xf0\x9f\x98", -0.5)};
  Delta rest = text("😀");
  rest.tokens = {token(7, "\x80", -0.25)};
  const auto lines = stream_lines(chat_writer, ChatAnswerOptions{.stream = true, .logprobs = true, .return_token_ids = true}, {held, rest},
                                  finished("stop"), "chatcmpl", "chat.completion.chunk");
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_NE(lines[1].find(R"("delta":{"content":""})"), std::string::npos);
  EXPECT_NE(lines[1].find(R"("token_ids":[5])"), std::string::npos);
  EXPECT_NE(lines[2].find("😀"), std::string::npos);
  EXPECT_NE(lines[2].find(R"("token_ids":[7])"), std::string::npos);
}

TEST(OpenaiChat, NothingThatJsonHasNot) {
  Delta delta = text(
      "a\xff\xfe"
      "b");  // no UTF-8
  delta.tokens = {token(5, "x", -INFINITY, {{5, "x", NAN}})};
  const Json json = whole_answer(chat_writer, ChatAnswerOptions{.logprobs = true}, {delta}, finished("stop"));
  EXPECT_EQ(json["choices"][0]["message"]["content"],
            "a\xEF\xBF\xBD\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(json["choices"][0]["logprobs"]["content"][0]["logprob"], -9999);
}

TEST(OpenaiChat, StopReasonAndTruncation) {
  Json json = whole_answer(chat_writer, ChatAnswerOptions{}, {text("a")}, finished("stop", "END"));
  EXPECT_EQ(json["choices"][0]["stop_reason"], "END");
  AnswerWriter::Finish by_token = finished("stop");
  by_token.stop_id = 151645;
  json = whole_answer(chat_writer, ChatAnswerOptions{}, {text("a")}, by_token);
  EXPECT_EQ(json["choices"][0]["stop_reason"], 151645);
  json = whole_answer(chat_writer, ChatAnswerOptions{}, {text("a")}, finished("abort"));
  EXPECT_EQ(json["choices"][0]["finish_reason"], "length") << "a word that clients know";
  for (const bool stream : {false, true}) {
    const auto recorder = std::make_shared<Recorder>();
    const auto writer = chat_writer({.stream = stream}, recorder);
    AnswerWriter::Head head = played_head();
    head.truncated = true;
    writer->start(head);
    writer->finish(0, finished("stop"));
    writer->end({}, {});
    EXPECT_NE(recorder->response.body.find("\"truncated\":true"), std::string::npos);
  }
}

TEST(OpenaiChat, ManyChoices) {
  for (const bool stream : {false, true}) {
    const auto recorder = std::make_shared<Recorder>();
    const auto writer = chat_writer({.stream = stream}, recorder);
    AnswerWriter::Head head = played_head();
    head.choices = 2;
    writer->start(head);
    writer->delta(1, text("b"));
    writer->finish(1, finished("stop"));
    writer->delta(0, text("a"));
    writer->finish(0, finished("length"));
    writer->end({}, {});
    EXPECT_TRUE(recorder->complete());
    if (stream) {
      const auto chunks = chunks_of(*recorder);
      ASSERT_EQ(chunks.size(), 6u);
      EXPECT_EQ(chunks[0]["choices"][0]["delta"]["role"], "assistant");
      EXPECT_EQ(chunks[1]["choices"][0]["index"], 1);
      EXPECT_EQ(chunks[1]["choices"][0]["delta"]["role"], "assistant");
      std::map<int, std::string> reasons;
      for (const Json& chunk : chunks)
        if (!chunk["choices"][0]["finish_reason"].is_null()) reasons[chunk["choices"][0]["index"]] = chunk["choices"][0]["finish_reason"];
      EXPECT_EQ(reasons, (std::map<int, std::string>{{0, "length"}, {1, "stop"}}));
    } else {
      const Json json = recorder->json();
      EXPECT_EQ(json["choices"][0]["message"]["content"], "a") << "in order, whatever was done first";
      EXPECT_EQ(json["choices"][1]["message"]["content"], "b");
      EXPECT_EQ(json["choices"][1]["finish_reason"], "stop");
    }
  }
}

TEST(OpenaiChat, FailuresHaveAStatusAsLongAsNothingWasSent) {
  http::ApiError busy(429, "too many requests wait", "", "queue_full");
  busy.retry_after = 3;
  for (const bool stream : {false, true}) {
    const auto recorder = std::make_shared<Recorder>();
    chat_writer({.stream = stream}, recorder)->fail(busy);
    EXPECT_TRUE(recorder->complete());
    EXPECT_EQ(recorder->response.status, 429);
    EXPECT_EQ(recorder->header("Retry-After"), "3");
    EXPECT_EQ(recorder->json(),
              Json::parse(
                  R"({"error": {"message": "too many requests wait", "type": "rate_limit_error", "param": null, "code": "queue_full"}})"));
  }
  // A whole answer that fails half made is an error; a stream ends with one.
  const auto whole = std::make_shared<Recorder>(), stream = std::make_shared<Recorder>();
  for (const auto& recorder : {whole, stream}) {
    const auto writer = chat_writer({.stream = recorder == stream}, recorder);
    writer->start(played_head());
    writer->delta(0, text("It"));
    writer->fail(std::runtime_error("cublas: secret detail"));
    EXPECT_TRUE(recorder->complete());
    EXPECT_EQ(recorder->response.body.find("secret"), std::string::npos);
  }
  EXPECT_EQ(whole->response.status, 500);
  EXPECT_EQ(whole->json()["error"]["type"], "server_error");
  EXPECT_EQ(stream->response.status, 200);
  const auto events = events_of(stream->response.body);
  EXPECT_EQ(events.back().second["error"]["type"], "server_error");
  EXPECT_EQ(stream->response.body.find("[DONE]"), std::string::npos) << "what failed is not done";
}

TEST(OpenaiChat, StreamsAreNotKeptByProxies) {
  const auto recorder = std::make_shared<Recorder>();
  const auto writer = chat_writer({.stream = true}, recorder);
  EXPECT_FALSE(recorder->streamed) << "nothing is sent before the first token, so that errors have a status";
  writer->start(played_head());
  EXPECT_EQ(recorder->response.content_type, "text/event-stream");
  EXPECT_EQ(recorder->header("Cache-Control"), "no-cache");
  EXPECT_EQ(recorder->header("X-Accel-Buffering"), "no");
}

TEST(OpenaiChat, TimingsAreLlamas) {
  const Json timings = timings_json({.prompt_tokens = 11, .completion_tokens = 8, .reasoning_tokens = 0, .cached_tokens = 1},
                                    {.queued = 0.001, .prompt = 0.01, .first_token = 0.02, .total = 0.1});
  EXPECT_EQ(timings["prompt_n"], 10);
  EXPECT_EQ(timings["cache_n"], 1);
  EXPECT_NEAR(timings["prompt_ms"], 10, 1e-9);
  EXPECT_NEAR(timings["prompt_per_second"], 1000, 1e-6);
  EXPECT_EQ(timings["predicted_n"], 8);
  EXPECT_NEAR(timings["predicted_ms"], 80, 1e-9);
  EXPECT_NEAR(timings["predicted_per_token_ms"], 10, 1e-9);
  EXPECT_NEAR(timings["predicted_per_second"], 100, 1e-6);
  EXPECT_EQ(timings_json({}, {})["predicted_per_second"], 0) << "no division by nothing";
}

// ---- every field, every value

TEST(OpenaiChat, EveryFieldWithEveryValue) {
  const Json valid = Json::parse(R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]},
    {"role": "assistant", "content": "b", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}],
    "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
    "stop_token_ids": [1], "guided_choice": [], "stream_options": {"include_usage": true}, "thinking": {"type": "enabled"}, "reasoning": {"effort": "low"},
    "structured_outputs": {"choice": ["a"]}, "logprobs": true})");
  const ReadBody reader = [](const std::string& body) { read(body); };
  const Sweep sweep = sweep_fields(body_schema<ChatBody>(), valid, reader);
  // Places that the list of fields does not reach.
  Sweep inner;
  for (const char* place : {"/messages/0",
                            "/messages/0/role",
                            "/messages/0/content",
                            "/messages/0/content/0",
                            "/messages/0/content/0/type",
                            "/messages/0/content/0/text",
                            "/messages/1/tool_calls",
                            "/messages/1/tool_calls/0",
                            "/messages/1/tool_calls/0/id",
                            "/messages/1/tool_calls/0/type",
                            "/messages/1/tool_calls/0/function",
                            "/messages/1/tool_calls/0/function/name",
                            "/messages/1/tool_calls/0/function/arguments",
                            "/messages/0/name",
                            "/messages/1/reasoning_content",
                            "/messages/1/reasoning",
                            "/tools/0",
                            "/tools/0/type",
                            "/tools/0/function",
                            "/tools/0/function/name",
                            "/tools/0/function/description",
                            "/tools/0/function/parameters",
                            "/tool_choice",
                            "/response_format",
                            "/guided_json",
                            "/json_schema",
                            "/stop",
                            "/chat_template_kwargs",
                            "/chat_template_kwargs/a",
                            "/documents",
                            "/modalities"}) {
    Json body = valid;
    if (std::string(place).find("kwargs/") != std::string::npos) body["chat_template_kwargs"] = Json::object();
    sweep_detail::visit(Json::object(), body, Json::json_pointer(place), place, reader, inner);
  }
  EXPECT_GT(sweep.cases + inner.cases, 2'000);
  EXPECT_GT(sweep.refused, 700);
  EXPECT_GT(inner.refused, 300);
}

TEST(OpenaiChat, ChangedBytesAreTakenOrRefused) {
  const Sweep sweep = mutate_bodies(
      {R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}, {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{\"a\": [1]}"}}]}], "stop": ["a"], "n": 2})",
       R"({"messages": [{"role": "user", "content": "a"}], "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}], "tool_choice": {"type": "function", "function": {"name": "f"}}})",
       R"({"messages": [{"role": "user", "content": "a"}], "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}, "chat_template_kwargs": {"enable_thinking": false}, "stream": true, "stream_options": {"include_usage": true}})"},
      6'000, [](const std::string& body) { read(body); });
  EXPECT_GT(sweep.refused, 2'000);
  EXPECT_LT(sweep.refused, 6'000);
}

}  // namespace
}  // namespace r1::api
