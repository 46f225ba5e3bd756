#include "r1/api/anthropic.h"

#include <gtest/gtest.h>

#include "r1/api/block_writer.h"
#include "tests/api/field_sweep.h"
#include "tests/api/played_answer.h"
#include "tests/api/recorder.h"
#include "tests/message_of.h"

namespace r1::api {
namespace {

std::shared_ptr<Recorder> recorder() {
  return std::make_shared<Recorder>();
}

GenerationRequest request_of(const std::string& body) {
  return read_anthropic(body, recorder()).request;
}

// A body with `rest` beside the fields that every request has.
std::string body_with(const std::string& rest) {
  return R"({"model": "tiny", "max_tokens": 64, )" +
         (rest.find("\"messages\"") == rest.npos ? R"("messages": [{"role": "user", "content": "hi"}], )" : std::string()) + rest + "}";
}

Json messages_of(const std::string& rest) {
  return data::to_json(request_of(body_with(rest)).chat->messages);
}

std::string param_of(const std::string& body) {
  bool refused = false;
  return refused_param([](const std::string& text) { read_anthropic(text, recorder()); }, body, &refused);
}

TEST(Anthropic, ReadsEveryFieldOfARequest) {
  const GenerationRequest r = request_of(R"({
    "model": "tiny", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}], "system": "Be brief.", "temperature": 0.5,
    "top_p": 0.9, "top_k": 40, "stop_sequences": ["END", "\n\nHuman:"], "metadata": {"user_id": "u1"}, "stream": true,
    "thinking": {"type": "enabled", "budget_tokens": 2048}, "output_config": {"effort": "high", "format": {"type": "json_schema",
      "schema": {"type": "object"}}},
    "tools": [{"name": "get_weather", "description": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}],
    "tool_choice": {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": true}, "service_tier": "auto"})");
  EXPECT_EQ(r.model, "tiny");
  EXPECT_EQ(r.max_tokens, 64);
  EXPECT_EQ(r.sampling.temperature, 0.5);
  EXPECT_EQ(r.sampling.top_p, 0.9);
  EXPECT_EQ(r.sampling.top_k, 40);
  EXPECT_EQ(r.sampling.stop, (std::vector<std::string>{"END", "\n\nHuman:"}));
  EXPECT_EQ(r.user, "u1");
  EXPECT_TRUE(r.stream);
  EXPECT_EQ(r.thinking.enabled, true);
  EXPECT_EQ(r.thinking.budget, 2048);
  EXPECT_EQ(r.chat->variables["reasoning_effort"], "high");
  EXPECT_EQ(r.format.kind, AnswerFormat::Kind::kJsonSchema);
  EXPECT_EQ(r.tool_choice, ToolChoice::kNamed);
  EXPECT_EQ(r.tool_name, "get_weather");
  EXPECT_FALSE(r.parallel_tool_calls);
  ASSERT_EQ(r.tools.size(), 1U);
  EXPECT_EQ(r.tools[0].whole, parse_json(R"({"type": "function", "function": {"name": "get_weather", "description": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}})",
                                         "tool"));
  EXPECT_EQ(data::to_json(r.chat->messages),
            parse_json(R"([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}])", "messages"));
  EXPECT_FALSE(r.continue_final_message);
}

TEST(Anthropic, BlocksBecomeMessagesForTheTemplate) {
  EXPECT_EQ(
      messages_of(
          R"("system": [{"type": "text", "text": "One.", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "Two."}], "messages": [
      {"role": "user", "content": [{"type": "text", "text": "weather?"}, {"type": "document", "source": {"type": "text", "media_type": "text/plain",
      "data": "a file"}}]},
      {"role": "assistant", "content": [{"type": "thinking", "thinking": "I look.", "signature": "x"}, {"type": "redacted_thinking", "data": "zz"},
        {"type": "text", "text": "Let me see."}, {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"city": "Paris"}}]},
      {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "sunny"}],
      "is_error": false},
        {"type": "text", "text": "and?"}]}])"),
      parse_json(R"([
      {"role": "system", "content": "One.\nTwo."},
      {"role": "user", "content": "weather?\na file"},
      {"role": "assistant", "content": "Let me see.", "reasoning_content": "I look.", "reasoning": "I look.",
       "tool_calls": [{"id": "toolu_1", "type": "function", "function": {"name": "look", "arguments": {"city": "Paris"}}}]},
      {"role": "tool", "content": "sunny", "tool_call_id": "toolu_1", "name": "look"},
      {"role": "user", "content": "and?"}])",
                 "messages"));
}

TEST(Anthropic, TakesWhatAgentsSend) {
  // System messages within the conversation, neighbours of one role, thoughts without a signature, a call alone, an empty result.
  EXPECT_EQ(
      messages_of(
          R"("system": "A", "messages": [{"role": "system", "content": "B"}, {"role": "user", "content": "1"}, {"role": "user", "content": "2"},
      {"role": "system", "content": [{"type": "text", "text": "C"}]}, {"role": "user", "content": "3"},
      {"role": "assistant", "content": [{"type": "thinking", "thinking": "t"}, {"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
      {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]}])"),
      parse_json(R"([{"role": "system", "content": "A\nB"}, {"role": "user", "content": "1\n2"}, {"role": "system", "content": "C"},
      {"role": "user", "content": "3"},
      {"role": "assistant", "content": null, "reasoning_content": "t", "reasoning": "t", "tool_calls": [{"id": "a", "type": "function",
      "function": {"name": "f", "arguments": {}}}]},
      {"role": "tool", "content": "", "tool_call_id": "a", "name": "f"}])",
                 "messages"));
  EXPECT_EQ(request_of(body_with(R"("thinking": {"type": "enabled"})")).thinking.enabled, true);
  EXPECT_EQ(request_of(body_with(R"("thinking": {"type": "adaptive"})")).thinking.budget, std::nullopt);
  EXPECT_EQ(request_of(body_with(R"("thinking": {"type": "disabled"})")).thinking.enabled, false);
  EXPECT_EQ(request_of(body_with(R"("output_config": {"effort": "low"})")).thinking.enabled, std::nullopt);
  EXPECT_EQ(request_of(body_with(R"("max_tokens": 5)")).thinking.enabled, std::nullopt);
  // The assistant's last message is gone on with.
  EXPECT_TRUE(request_of(body_with(R"("messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "{\"a\":"}])"))
                  .continue_final_message);
}

TEST(Anthropic, ToolsOfAnthropicsOwnAreLeftOutVisibly) {
  const auto out = recorder();
  Generation g = read_anthropic(body_with(R"("tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
      {"type": "custom", "name": "f", "input_schema": {"type": "object"}}, {"type": "bash_20250124", "name": "bash"}])"),
                                out);
  ASSERT_EQ(g.request.tools.size(), 1U);
  EXPECT_EQ(g.request.tools[0].name, "f");
  play(*g.writer, {text("ok")}, finished("stop"));
  EXPECT_EQ(out->header("x-r1-ignored"), "tools[0], tools[2]");
}

TEST(Anthropic, RefusesByNameAndPlace) {
  EXPECT_EQ(param_of(R"({"model": "m", "messages": [{"role": "user", "content": "hi"}]})"), "max_tokens");
  EXPECT_EQ(param_of(R"({"model": "m", "max_tokens": 5})"), "messages");
  EXPECT_EQ(param_of(R"({"max_tokens": 5, "message": [], "messages": [{"role": "user", "content": "hi"}]})"), "message");
  EXPECT_EQ(param_of(body_with(
                R"("messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "http://x"}}]}])")),
            "messages[0].content[0].type");
  EXPECT_EQ(param_of(body_with(R"("messages": [{"role": "user", "content": [{"type": "text"}]}])")), "messages[0].content[0].text");
  EXPECT_EQ(param_of(body_with(R"("messages": [{"role": "user", "content": []}])")), "messages[0].content");
  EXPECT_EQ(param_of(body_with(R"("messages": [{"role": "user", "content": [{"type": "tool_result"}]}])")),
            "messages[0].content[0].tool_use_id");
  EXPECT_EQ(param_of(body_with(
                R"("messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": "x"}]}])")),
            "messages[0].content[0].input");
  EXPECT_EQ(
      param_of(body_with(R"("messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]}])")),
      "messages[0]");
  EXPECT_EQ(param_of(body_with(R"("tools": [{"name": "f"}])")), "tools[0].input_schema");
  EXPECT_EQ(param_of(body_with(R"("tools": [{"name": "a b", "input_schema": {}}])")), "tools[0].name");
  EXPECT_EQ(param_of(body_with(R"("tool_choice": {"type": "tool", "name": "f"})")), "tool_choice.name");
  EXPECT_EQ(param_of(body_with(R"("tool_choice": {"type": "any"})")), "tool_choice");
  EXPECT_EQ(param_of(body_with(R"("stop_sequences": ["a", ""])")), "stop_sequences[1]");
  EXPECT_EQ(param_of(body_with(R"("output_config": {"format": {"type": "json_schema", "schema": "x"}})")), "output_config.format.schema");
}

const std::vector<Delta> kPlayed = {thought("Hm"),
                                    thought("m."),
                                    text("It is "),
                                    text("12."),
                                    call(0, "call_1", "add", ""),
                                    call(0, "", "", R"({"a": 5,)"),
                                    call(0, "", "", R"( "b": 7})"),
                                    call(1, "call_2", "stop", "{}")};

TEST(Anthropic, WholeAnswer) {
  const auto out = recorder();
  play(*read_anthropic(body_with(R"("top_k": 1)"), out).writer, kPlayed, finished("tool_calls"));
  EXPECT_TRUE(out->complete());
  EXPECT_EQ(out->response.status, 200);
  EXPECT_EQ(out->response.content_type, "application/json");
  EXPECT_EQ(out->json(), parse_json(R"({"id": "msg_abcdefghijklmnopqrstuvwx", "type": "message", "role": "assistant", "model": "tiny",
    "content": [{"type": "thinking", "thinking": "Hmm.", "signature": "r1-abcdefghijklmnopqrstuvwx-0"}, {"type": "text", "text": "It is 12."},
      {"type": "tool_use", "id": "call_1", "name": "add", "input": {"a": 5, "b": 7}}, {"type": "tool_use", "id": "call_2", "name": "stop",
      "input": {}}],
    "stop_reason": "tool_use", "stop_sequence": null,
    "usage": {"input_tokens": 7, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4, "output_tokens": 7,
              "output_tokens_details": {"thinking_tokens": 3}}})",
                                    "expected"));
}

TEST(Anthropic, StreamedAnswer) {
  const auto out = recorder();
  play(*read_anthropic(body_with(R"("stream": true)"), out).writer, kPlayed, finished("tool_calls"));
  EXPECT_TRUE(out->complete());
  EXPECT_EQ(out->response.content_type, "text/event-stream");
  const Json expected = parse_json(R"([
    {"type": "message_start", "message": {"id": "msg_abcdefghijklmnopqrstuvwx", "type": "message", "role": "assistant", "model": "tiny",
      "content": [],
      "stop_reason": null, "stop_sequence": null,
      "usage": {"input_tokens": 11, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0}}},
    {"type": "ping"},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "m."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "r1-abcdefghijklmnopqrstuvwx-0"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "It is "}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "12."}},
    {"type": "content_block_stop", "index": 1},
    {"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "call_1", "name": "add", "input": {}}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{\"a\": 5,"}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": " \"b\": 7}"}},
    {"type": "content_block_stop", "index": 2},
    {"type": "content_block_start", "index": 3, "content_block": {"type": "tool_use", "id": "call_2", "name": "stop", "input": {}}},
    {"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "content_block_stop", "index": 3},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null},
     "usage": {"input_tokens": 7, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4, "output_tokens": 7,
               "output_tokens_details": {"thinking_tokens": 3}}},
    {"type": "message_stop"}])",
                                   "expected");
  const auto events = events_of(out->response.body);
  ASSERT_EQ(events.size(), expected.size());
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].first, events[i].second["type"]) << i;
    EXPECT_EQ(events[i].second, expected[i]) << i;
  }
}

TEST(Anthropic, WhyAnAnswerEnded) {
  const auto reason = [](const AnswerWriter::Finish& finish) {
    const auto out = recorder();
    play(*read_anthropic(body_with(R"("stop_sequences": ["END"])"), out).writer, {text("x")}, finish);
    return std::pair(out->json()["stop_reason"].get<std::string>(), out->json()["stop_sequence"]);
  };
  EXPECT_EQ(reason(finished("stop")), std::pair(std::string("end_turn"), Json()));
  EXPECT_EQ(reason(finished("stop", "END")), std::pair(std::string("stop_sequence"), Json("END")));
  EXPECT_EQ(reason(finished("length")), std::pair(std::string("max_tokens"), Json()));
  EXPECT_EQ(reason(finished("abort")), std::pair(std::string("max_tokens"), Json()));
}

TEST(Anthropic, OddAnswers) {
  // Nothing at all; a call that was cut off; thoughts after text are blocks of their own; thoughts that are not to be shown.
  const auto whole = [](const std::string& rest, const std::vector<Delta>& deltas, const char* reason) {
    const auto out = recorder();
    play(*read_anthropic(body_with(rest), out).writer, deltas, finished(reason));
    return out->json()["content"];
  };
  EXPECT_EQ(whole(R"("top_k": 1)", {}, "stop"), Json::array());
  EXPECT_EQ(whole(R"("top_k": 1)", {call(0, "c", "f", R"({"a": )")}, "length")[0]["input"], (Json{{"INVALID_JSON", R"({"a": )"}}));
  const Json interleaved = whole(R"("top_k": 1)", {text("a"), thought("b"), text("c")}, "stop");
  ASSERT_EQ(interleaved.size(), 3U);
  EXPECT_EQ(interleaved[1]["thinking"], "b");
  EXPECT_EQ(whole(R"("thinking": {"type": "adaptive", "display": "omitted"})", {thought("b"), text("c")}, "stop")[0]["thinking"], "");
  const auto out = recorder();
  play(*read_anthropic(body_with(R"("stream": true, "thinking": {"type": "adaptive", "display": "omitted"})"), out).writer,
       {thought("secret"), text("c")}, finished("stop"));
  EXPECT_EQ(out->response.body.find("secret"), std::string::npos);
}

TEST(Anthropic, ErrorsHaveItsShapeBeforeAndInAStream) {
  http::ApiError busy(429, "the queue is full");
  busy.retry_after = 3;
  auto out = recorder();
  read_anthropic(body_with(R"("stream": true)"), out).writer->fail(busy);
  EXPECT_TRUE(out->complete());
  EXPECT_EQ(out->response.status, 429);
  EXPECT_EQ(out->header("retry-after"), "3");
  EXPECT_EQ(out->json(),
            parse_json(R"({"type": "error", "error": {"type": "rate_limit_error", "message": "the queue is full"}})", "expected"));

  out = recorder();
  Generation g = read_anthropic(body_with(R"("stream": true)"), out);
  g.writer->start(played_head());
  g.writer->delta(0, text("a"));
  g.writer->fail(http::ApiError(503, "the server ends"));
  EXPECT_TRUE(out->complete());
  EXPECT_EQ(events_of(out->response.body).back(),
            std::pair(std::string("error"),
                      parse_json(R"({"type": "error", "error": {"type": "overloaded_error", "message": "the server ends"}})", "expected")));

  const std::vector<std::pair<int, std::string>> types = {
      {400, "invalid_request_error"}, {401, "authentication_error"},  {403, "permission_error"}, {404, "not_found_error"},
      {413, "request_too_large"},     {422, "invalid_request_error"}, {500, "api_error"},        {503, "overloaded_error"},
      {504, "timeout_error"}};
  for (const auto& [status, type] : types) {
    const http::Response response = anthropic_error(http::ApiError(status, "x"));
    EXPECT_EQ(response.status, status);
    EXPECT_EQ(parse_json(response.body, "error")["error"]["type"], type) << status;
  }
  // What a handler throws, in the same shape.
  out = recorder();
  const http::Handler handler =
      with_error_shape([](const http::RequestPtr& r, const http::ResponderPtr& to) { read_anthropic(r->body, to); }, anthropic_error);
  handler(std::make_shared<http::Request>(), out);
  EXPECT_EQ(out->response.status, 400);
  EXPECT_EQ(out->json()["type"], "error");
}

TEST(Anthropic, CountsTokensOfTheSamePrompt) {
  const std::string body =
      R"({"model": "tiny", "system": "S", "messages": [{"role": "user", "content": "hi"}], "tools": [{"name": "f", "input_schema": {}}]})";
  const GenerationRequest r = read_anthropic_count(body);
  EXPECT_EQ(r.chat->messages.size(), 2U);
  EXPECT_EQ(r.tools.size(), 1U);
  EXPECT_EQ(anthropic_count(14), parse_json(R"({"input_tokens": 14})", "expected"));
}

const char kFull[] =
    R"({"model": "tiny", "max_tokens": 64, "system": [{"type": "text", "text": "s"}], "temperature": 0.5, "top_p": 0.9, "top_k": 40,
  "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]},
    {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": ""}, {"type": "tool_use", "id": "a", "name": "f",
      "input": {"x": 1}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "r"}]}]}],
  "stop_sequences": ["END"], "metadata": {"user_id": "u"}, "stream": false, "thinking": {"type": "enabled", "budget_tokens": 5,
      "display": "summarized"},
  "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}}, "output_format": {"type": "json_schema",
      "schema": {}},
  "tools": [{"name": "f", "description": "d", "type": "custom", "input_schema": {"type": "object"}}],
  "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": false}})";

TEST(Anthropic, EveryFieldWithEveryValue) {
  const auto read = [](const std::string& body) { read_anthropic(body, recorder()); };
  const Sweep sweep = sweep_fields(body_schema<AnthropicBody>(), parse_json(kFull, "full"), read);
  EXPECT_GT(sweep.cases, 500);
  EXPECT_GT(sweep.refused, 200);
  const Sweep mutations = mutate_bodies({kFull}, 4000, read);
  EXPECT_GT(mutations.refused, 1000);
  EXPECT_LT(mutations.refused, 4000);
}

}  // namespace
}  // namespace r1::api
