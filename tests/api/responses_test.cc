#include "r1/api/responses.h"

#include <gtest/gtest.h>

#include "tests/api/field_sweep.h"
#include "tests/api/played_answer.h"
#include "tests/api/recorder.h"

namespace r1::api {
namespace {

std::shared_ptr<Recorder> recorder() {
  return std::make_shared<Recorder>();
}

GenerationRequest request_of(const std::string& body) {
  return read_responses(body, recorder()).request;
}

Json messages_of(const std::string& input) {
  return data::to_json(request_of(R"({"input": )" + input + "}").chat->messages);
}

std::string param_of(const std::string& body) {
  bool refused = false;
  return refused_param([](const std::string& text) { read_responses(text, recorder()); }, body, &refused);
}

TEST(Responses, ReadsEveryFieldOfARequest) {
  const GenerationRequest r =
      request_of(R"({"model": "tiny", "input": "hi", "instructions": "Be brief.", "max_output_tokens": 64, "temperature": 0.5,
    "top_p": 0.9, "top_k": 40, "min_p": 0.1, "seed": 7, "presence_penalty": 0.5, "frequency_penalty": -0.5, "repetition_penalty": 1.1, "stream": true,
    "store": true, "truncation": "auto", "user": "u1", "parallel_tool_calls": false, "metadata": {"a": "b"}, "top_logprobs": 3, "priority": -1,
    "cache_salt": "s", "reasoning": {"effort": "low"}, "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"},
      "strict": true}},
    "tools": [{"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true}],
    "tool_choice": {"type": "function", "name": "f"}, "chat_template_kwargs": {"enable_thinking": true}, "prompt_cache_key": "k",
      "safety_identifier": "x"})");
  EXPECT_EQ(r.model, "tiny");
  EXPECT_EQ(data::to_json(r.chat->messages),
            parse_json(R"([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}])", "messages"));
  EXPECT_EQ(r.max_tokens, 64);
  EXPECT_EQ(r.sampling.temperature, 0.5);
  EXPECT_EQ(r.sampling.top_p, 0.9);
  EXPECT_EQ(r.sampling.top_k, 40);
  EXPECT_EQ(r.sampling.min_p, 0.1);
  EXPECT_EQ(r.sampling.seed, 7U);
  EXPECT_EQ(r.sampling.presence_penalty, 0.5);
  EXPECT_EQ(r.sampling.frequency_penalty, -0.5);
  EXPECT_EQ(r.sampling.repetition_penalty, 1.1);
  EXPECT_TRUE(r.stream && r.truncate_prompt && r.logprobs);
  EXPECT_EQ(r.top_logprobs, 3);
  EXPECT_EQ(r.user, "u1");
  EXPECT_EQ(r.priority, -1);
  EXPECT_EQ(r.cache_salt, "s");
  EXPECT_FALSE(r.parallel_tool_calls);
  EXPECT_EQ(r.thinking.enabled, true);
  EXPECT_EQ(r.chat->variables["enable_thinking"], true);
  EXPECT_EQ(r.chat->variables["reasoning_effort"], "low");
  EXPECT_EQ(r.chat->variables["tools"][0], r.tools.at(0).whole);
  EXPECT_EQ(r.format.kind, AnswerFormat::Kind::kJsonSchema);
  ASSERT_EQ(r.tools.size(), 1U);
  EXPECT_EQ(r.tool_choice, ToolChoice::kNamed);
  EXPECT_EQ(r.tool_name, "f");
  EXPECT_EQ(request_of(R"({"input": "hi", "reasoning": {"effort": "none"}})").thinking.enabled, false);
  EXPECT_TRUE(request_of(R"({"input": "hi", "include": ["message.output_text.logprobs", "reasoning.encrypted_content"]})").logprobs);
  EXPECT_EQ(request_of(R"({"input": "hi", "text": {"format": {"type": "json_object"}}})").format.kind, AnswerFormat::Kind::kJsonObject);
}

TEST(Responses, ItemsBecomeMessagesForTheTemplate) {
  EXPECT_EQ(messages_of(R"([
      {"role": "developer", "content": "D"}, {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"},
      {"type": "input_text", "text": "b"}]},
      {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "short"}], "content": [{"type": "reasoning_text",
      "text": "long"}]},
      {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "c",
      "annotations": []}]},
      {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{\"x\": 1}"},
      {"type": "custom_tool_call", "call_id": "call_2", "name": "patch", "input": "*** Begin"},
      {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "one"}]},
      {"type": "custom_tool_call_output", "call_id": "call_2", "output": "two"},
      {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "xyz"},
      {"role": "user", "content": "d"}])"),
            parse_json(R"([
      {"role": "system", "content": "D"}, {"role": "user", "content": "a\nb"},
      {"role": "assistant", "content": "c", "reasoning_content": "long", "reasoning": "long", "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}},
        {"id": "call_2", "type": "function", "function": {"name": "patch", "arguments": {"input": "*** Begin"}}}]},
      {"role": "tool", "content": "one", "tool_call_id": "call_1", "name": "f"},
      {"role": "tool", "content": "two", "tool_call_id": "call_2", "name": "patch"},
      {"role": "user", "content": "d"}])",
                       "messages"));
}

TEST(Responses, NothingIsStoredAndThatIsSaid) {
  for (const char* field :
       {R"("previous_response_id": "resp_1")", R"("conversation": "conv_1")", R"("prompt": {"id": "pmpt_1"})", R"("background": true)"}) {
    const std::string body = std::string(R"({"input": "hi", )") + field + "}";
    EXPECT_EQ(param_of(body), std::string(field).substr(1, std::string(field).find('"', 1) - 1));
  }
  EXPECT_EQ(param_of(R"({"input": [{"type": "item_reference", "id": "msg_1"}]})"), "input[0]");
  EXPECT_EQ(param_of(R"({"input": "hi", "previous_response_id": null, "store": true, "background": false})"), "");
}

TEST(Responses, RefusesByNameAndPlace) {
  EXPECT_EQ(param_of(R"({"model": "m"})"), "input");
  EXPECT_EQ(param_of(R"({"input": []})"), "input");
  EXPECT_EQ(param_of(R"({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:"}]}]})"),
            "input[0].content[0].type");
  EXPECT_EQ(param_of(R"({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]})"), "input[0].arguments");
  EXPECT_EQ(param_of(R"({"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]})"), "input");
  EXPECT_EQ(param_of(R"({"input": [{"type": "computer_call", "id": "x"}]})"), "input[0].type");
  EXPECT_EQ(param_of(R"({"input": [{"type": "reasoning", "summary": []}]})"), "input");
  EXPECT_EQ(param_of(R"({"input": "hi", "tool_choice": "required"})"), "tool_choice");
  EXPECT_EQ(param_of(R"({"input": "hi", "tool_choice": {"type": "function", "name": "g"}})"), "tool_choice.name");
  EXPECT_EQ(param_of(R"({"input": "hi", "tool_choice": {"type": "mcp"}})"), "tool_choice.type");
  EXPECT_EQ(param_of(R"({"input": "hi", "text": {"format": {"type": "json_schema", "name": "n"}}})"), "text.format.schema");
  EXPECT_EQ(param_of(R"({"input": "hi", "max_output_token": 5})"), "max_output_token");
}

TEST(Responses, ToolsThatOpenAIRunsAreLeftOutVisibly) {
  const auto out = recorder();
  Generation g = read_responses(R"({"input": "hi", "tools": [{"type": "web_search"}, {"type": "function", "name": "f", "parameters": null},
    {"type": "custom", "name": "apply_patch", "format": {"type": "grammar"}}, {"type": "namespace", "tools": []}]})",
                                out);
  ASSERT_EQ(g.request.tools.size(), 1U);
  EXPECT_EQ(g.request.tools[0].parameters, parse_json(R"({"type": "object", "properties": {}})", "parameters"));
  play(*g.writer, {text("ok")}, finished("stop"));
  EXPECT_EQ(out->header("x-r1-ignored"), "tools[0], tools[2], tools[3]");
  EXPECT_EQ(out->json()["tools"].size(), 1U);
  // Allowed tools are what is left.
  const GenerationRequest r = request_of(R"({"input": "hi", "tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}],
    "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]}})");
  ASSERT_EQ(r.tools.size(), 1U);
  EXPECT_EQ(r.tools[0].name, "g");
  EXPECT_EQ(r.tool_choice, ToolChoice::kRequired);
}

const std::vector<Delta> kPlayed = {
    thought("Hm"),        thought("m."), text("It is "), text("12."), call(0, "call_1", "add", ""), call(0, "", "", R"({"a":)"),
    call(0, "", "", "5}")};

Json response_json(const std::string& status, const std::string& output, const std::string& usage) {
  Json out =
      parse_json(R"({"id": "resp_abcdefghijklmnopqrstuvwx", "object": "response", "created_at": 1764426000, "status": ")" + status + R"(",
    "model": "tiny", "output": )" +
                     output + R"(, "error": null, "incomplete_details": null, "usage": )" + usage + R"(,
    "background": false, "instructions": "Be brief.", "max_output_tokens": 64, "metadata": {"a": "b"}, "parallel_tool_calls": true,
      "previous_response_id": null,
    "reasoning": {"effort": null, "summary": null}, "service_tier": "default", "store": false, "temperature": 0.5,
      "text": {"format": {"type": "text"}},
    "tool_choice": "auto", "tools": [{"type": "function", "name": "add", "description": "adds", "parameters": {"type": "object"}, "strict": false}],
    "top_logprobs": 0, "top_p": null, "truncation": "disabled", "user": null})",
                 "expected");
  if (status == "completed") out["completed_at"] = 1764426000;
  return out;
}

const char kOutput[] = R"([
  {"id": "rs_abcdefghijklmnopqrstuvwx_0", "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hmm."}],
      "encrypted_content": null,
   "status": "completed"},
  {"id": "msg_abcdefghijklmnopqrstuvwx_1", "type": "message", "role": "assistant", "status": "completed",
   "content": [{"type": "output_text", "text": "It is 12.", "annotations": [], "logprobs": []}]},
  {"id": "fc_abcdefghijklmnopqrstuvwx_2", "type": "function_call", "call_id": "call_1", "name": "add", "arguments": "{\"a\":5}",
      "status": "completed"}])";
const char kUsage[] = R"({"input_tokens": 11, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0}, "output_tokens": 7,
  "output_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 18})";
const char kRequest[] =
    R"({"model": "tiny", "input": "hi", "instructions": "Be brief.", "max_output_tokens": 64, "metadata": {"a": "b"}, "temperature": 0.5,
  "tools": [{"type": "function", "name": "add", "description": "adds", "parameters": {"type": "object"}}])";

TEST(Responses, WholeAnswer) {
  const auto out = recorder();
  play(*read_responses(std::string(kRequest) + "}", out).writer, kPlayed, finished("tool_calls"));
  EXPECT_TRUE(out->complete());
  EXPECT_EQ(nlohmann::json(out->json()), nlohmann::json(response_json("completed", kOutput, kUsage)));
}

TEST(Responses, StreamedAnswer) {
  const auto out = recorder();
  play(*read_responses(std::string(kRequest) + R"(, "stream": true})", out).writer, kPlayed, finished("tool_calls"));
  EXPECT_TRUE(out->complete());
  Json expected = parse_json(R"([
    {"type": "response.created"}, {"type": "response.in_progress"},
    {"type": "response.output_item.added", "output_index": 0, "item": {"id": "RS", "type": "reasoning", "summary": [], "content": [],
      "encrypted_content": null, "status": "in_progress"}},
    {"type": "response.content_part.added", "item_id": "RS", "output_index": 0, "content_index": 0, "part": {"type": "reasoning_text", "text": ""}},
    {"type": "response.reasoning_text.delta", "item_id": "RS", "output_index": 0, "content_index": 0, "delta": "Hm"},
    {"type": "response.reasoning_text.delta", "item_id": "RS", "output_index": 0, "content_index": 0, "delta": "m."},
    {"type": "response.reasoning_text.done", "item_id": "RS", "output_index": 0, "content_index": 0, "text": "Hmm."},
    {"type": "response.content_part.done", "item_id": "RS", "output_index": 0, "content_index": 0, "part": {"type": "reasoning_text",
      "text": "Hmm."}},
    {"type": "response.output_item.done", "output_index": 0},
    {"type": "response.output_item.added", "output_index": 1, "item": {"id": "MSG", "type": "message", "role": "assistant", "status": "in_progress",
      "content": []}},
    {"type": "response.content_part.added", "item_id": "MSG", "output_index": 1, "content_index": 0, "part": {"type": "output_text", "text": "",
      "annotations": [], "logprobs": []}},
    {"type": "response.output_text.delta", "item_id": "MSG", "output_index": 1, "content_index": 0, "delta": "It is ", "logprobs": []},
    {"type": "response.output_text.delta", "item_id": "MSG", "output_index": 1, "content_index": 0, "delta": "12.", "logprobs": []},
    {"type": "response.output_text.done", "item_id": "MSG", "output_index": 1, "content_index": 0, "text": "It is 12.", "logprobs": []},
    {"type": "response.content_part.done", "item_id": "MSG", "output_index": 1, "content_index": 0, "part": {"type": "output_text",
      "text": "It is 12.", "annotations": [], "logprobs": []}},
    {"type": "response.output_item.done", "output_index": 1},
    {"type": "response.output_item.added", "output_index": 2, "item": {"id": "FC", "type": "function_call", "call_id": "call_1", "name": "add",
      "arguments": "", "status": "in_progress"}},
    {"type": "response.function_call_arguments.delta", "item_id": "FC", "output_index": 2, "delta": "{\"a\":"},
    {"type": "response.function_call_arguments.delta", "item_id": "FC", "output_index": 2, "delta": "5}"},
    {"type": "response.function_call_arguments.done", "item_id": "FC", "output_index": 2, "name": "add", "arguments": "{\"a\":5}"},
    {"type": "response.output_item.done", "output_index": 2},
    {"type": "response.completed"}])",
                             "expected");
  // What the table abbreviates.
  const Json output = parse_json(kOutput, "output");
  for (size_t i = 0; i < expected.size(); ++i) {
    Json& event = expected[i];
    event["sequence_number"] = i;
    if (event["type"] == "response.output_item.done") event["item"] = output[event["output_index"].get<size_t>()];
    if (i < 2) event["response"] = response_json("in_progress", "[]", "null");
    const std::vector<std::pair<std::string, size_t>> ids = {{"RS", 0}, {"MSG", 1}, {"FC", 2}};
    for (const auto& [name, at] : ids) {
      if (event.value("item_id", "") == name) event["item_id"] = output[at]["id"];
      if (event.contains("item") && event["item"]["id"] == name) event["item"]["id"] = output[at]["id"];
    }
  }
  expected.back()["response"] = response_json("completed", kOutput, kUsage);

  const auto events = events_of(out->response.body);
  ASSERT_EQ(events.size(), expected.size());
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].first, events[i].second["type"]) << i;
    // Key order is nobody's: compared as sorted objects.
    EXPECT_EQ(nlohmann::json(events[i].second), nlohmann::json(expected[i])) << i;
  }
}

TEST(Responses, ThoughtsComeAsSummariesWhereTheyAreAskedFor) {
  const auto out = recorder();
  play(*read_responses(R"({"input": "hi", "stream": true, "reasoning": {"summary": "auto"}})", out).writer, {thought("Hm"), text("x")},
       finished("stop"));
  std::vector<std::string> types;
  for (const auto& [name, event] : events_of(out->response.body)) types.push_back(name);
  EXPECT_EQ(std::vector<std::string>(types.begin() + 2, types.begin() + 8),
            (std::vector<std::string>{"response.output_item.added", "response.reasoning_summary_part.added",
                                      "response.reasoning_summary_text.delta", "response.reasoning_summary_text.done",
                                      "response.reasoning_summary_part.done", "response.output_item.done"}));
  const Json last = events_of(out->response.body).back().second["response"];
  EXPECT_EQ(last["output"][0]["summary"], parse_json(R"([{"type": "summary_text", "text": "Hm"}])", "expected"));
  EXPECT_FALSE(last["output"][0].contains("content"));
}

TEST(Responses, AnAnswerThatWasCutIsIncomplete) {
  for (const bool stream : {false, true}) {
    const auto out = recorder();
    play(*read_responses(stream ? R"({"input": "hi", "stream": true})" : R"({"input": "hi"})", out).writer, {thought("Hm"), text("x")},
         finished("length"));
    const Json response = stream ? events_of(out->response.body).back().second["response"] : out->json();
    EXPECT_EQ(response["status"], "incomplete");
    EXPECT_EQ(response["incomplete_details"]["reason"], "max_output_tokens");
    EXPECT_EQ(response["output"][0]["status"], "completed");
    EXPECT_EQ(response["output"][1]["status"], "incomplete");
    if (stream) {
      EXPECT_EQ(events_of(out->response.body).back().first, "response.incomplete");
    }
  }
}

TEST(Responses, LogprobsStandWithTheirText) {
  const auto out = recorder();
  TokenInfo token;
  token.bytes = "Hi";
  token.logprob = -0.5F;
  token.top = {{3, "Hi", -0.5F}, {4, "\xc3", -std::numeric_limits<float>::infinity()}};
  Delta delta = text("Hi");
  delta.tokens = {token};
  play(*read_responses(R"({"input": "hi", "top_logprobs": 2, "stream": true})", out).writer, {delta}, finished("stop"));
  const Json expected = parse_json(R"([{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": [
    {"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}, {"token": "bytes:\\xc3", "logprob": -9999.0, "bytes": [195]}]}])",
                                   "expected");
  const auto events = events_of(out->response.body);
  EXPECT_EQ(events[4].second["logprobs"], expected);
  EXPECT_EQ(events.back().second["response"]["output"][0]["content"][0]["logprobs"], expected);
}

TEST(Responses, ErrorsBeforeAndInAStream) {
  auto out = recorder();
  read_responses(R"({"input": "hi", "stream": true})", out)
      .writer->fail(http::ApiError(400, "too long", "input", "context_length_exceeded"));
  EXPECT_EQ(out->response.status, 400);
  EXPECT_EQ(
      out->json(),
      parse_json(
          R"({"error": {"message": "too long", "type": "invalid_request_error", "param": "input", "code": "context_length_exceeded"}})",
          "expected"));

  out = recorder();
  Generation g = read_responses(R"({"input": "hi", "stream": true})", out);
  g.writer->start(played_head());
  g.writer->delta(0, text("a"));
  g.writer->fail(http::ApiError(503, "the server ends"));
  EXPECT_TRUE(out->complete());
  const auto last = events_of(out->response.body).back();
  EXPECT_EQ(last.first, "response.failed");
  EXPECT_EQ(last.second["sequence_number"], 5);
  EXPECT_EQ(last.second["response"]["status"], "failed");
  EXPECT_EQ(last.second["response"]["error"], parse_json(R"({"code": "server_error", "message": "the server ends"})", "expected"));
}

const char kFull[] = R"({"model": "tiny", "instructions": "I", "input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]},
    {"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "t"}]},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}, {"type": "function_call_output", "call_id": "c", "output": "o"}],
  "max_output_tokens": 64, "temperature": 0.5, "top_p": 0.9, "top_k": 4, "min_p": 0.1, "seed": 7, "repetition_penalty": 1.1, "presence_penalty": 0.5,
  "frequency_penalty": 0.5, "tools": [{"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true}],
  "tool_choice": "auto", "parallel_tool_calls": true, "text": {"format": {"type": "json_schema", "name": "n", "description": "d", "schema": {},
      "strict": true}, "verbosity": "low"},
  "reasoning": {"effort": "low", "summary": "auto", "generate_summary": "auto"}, "include": ["message.output_text.logprobs"], "top_logprobs": 2,
      "stream": false,
  "store": false, "background": false, "truncation": "auto", "metadata": {"a": "b"}, "user": "u", "priority": 1, "cache_salt": "s",
  "chat_template_kwargs": {"enable_thinking": false}})";

TEST(Responses, EveryFieldWithEveryValue) {
  const auto read = [](const std::string& body) { read_responses(body, recorder()); };
  const Sweep sweep = sweep_fields(body_schema<ResponsesBody>(), parse_json(kFull, "full"), read);
  EXPECT_GT(sweep.cases, 900);
  EXPECT_GT(sweep.refused, 400);
  const Sweep mutations = mutate_bodies({kFull}, 4000, read);
  EXPECT_GT(mutations.refused, 1000);
  EXPECT_LT(mutations.refused, 4000);
}

}  // namespace
}  // namespace r1::api
