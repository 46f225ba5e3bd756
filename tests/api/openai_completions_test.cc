#include "r1/api/openai_completions.h"

#include <gtest/gtest.h>

#include "field_sweep.h"
#include "openai_support.h"

namespace r1::api {
namespace {

using Ids = std::vector<TokenId>;

GenerationRequest read(const std::string& body) {
  return completion_generation(body, std::make_shared<Recorder>()).request;
}
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

TEST(OpenaiCompletions, Prompts) {
  const auto prompts = [](const std::string& prompt) { return read("{\"prompt\": " + prompt + "}").prompts; };
  using Prompts = std::vector<GenerationRequest::Prompt>;
  EXPECT_EQ(prompts("\"once\""), Prompts{"once"});
  EXPECT_EQ(prompts("\"\""), Prompts{""});
  EXPECT_EQ(prompts("[\"a\", \"b\"]"), (Prompts{"a", "b"}));
  EXPECT_EQ(prompts("[1, 2, 3]"), (Prompts{Ids{1, 2, 3}}));
  EXPECT_EQ(prompts("[[1, 2], [3]]"), (Prompts{Ids{1, 2}, Ids{3}}));
  EXPECT_EQ(prompts("[\"a\", [3]]"), (Prompts{"a", Ids{3}}));

  for (const auto& [prompt, param] : std::vector<std::pair<std::string, std::string>>{{"null", "prompt"},
                                                                                      {"5", "prompt"},
                                                                                      {"{}", "prompt"},
                                                                                      {"[]", "prompt"},
                                                                                      {"[[]]", "prompt[0]"},
                                                                                      {"[1, \"a\"]", "prompt[1]"},
                                                                                      {"[\"a\", 1]", "prompt[1]"},
                                                                                      {"[1.5]", "prompt[0]"},
                                                                                      {"[-1]", "prompt[0]"},
                                                                                      {"[[1], [2147483648]]", "prompt[1][0]"},
                                                                                      {"[null]", "prompt[0]"},
                                                                                      {"[{}]", "prompt[0]"},
                                                                                      {"[[[1]]]", "prompt[0][0]"}})
    EXPECT_EQ(refused("{\"prompt\": " + prompt + "}"), param) << prompt;
  EXPECT_EQ(refused("{}"), "prompt");
  std::string many = "\"a\"";
  for (int i = 0; i < 1024; ++i) many += ",\"a\"";
  EXPECT_EQ(refused("{\"prompt\": [" + many + "]}"), "prompt");
  EXPECT_EQ(refused("{\"prompt\": [" + many.substr(0, 4 * 100 - 1) + "], \"n\": 41}"), "n") << "4100 answers";
}

TEST(OpenaiCompletions, Fields) {
  const GenerationRequest plain = read(R"({"prompt": "a"})");
  EXPECT_EQ(plain.max_tokens, 16) << "OpenAI's default";
  EXPECT_FALSE(plain.chat);
  EXPECT_FALSE(plain.logprobs);
  const GenerationRequest r =
      read(R"({"prompt": "a", "suffix": "b", "max_tokens": 0, "logprobs": 0, "n": 2, "best_of": 2, "seed": 3, "temperature": 0,
    "stop": "x", "stream": true, "stream_options": {"include_usage": true}, "response_format": {"type": "json_object"}, "logit_bias": null, "user": "u"})");
  EXPECT_EQ(r.suffix, "b");
  EXPECT_EQ(r.max_tokens, 0);
  EXPECT_TRUE(r.logprobs);
  EXPECT_EQ(r.top_logprobs, 0);
  EXPECT_EQ(r.n, 2);
  EXPECT_EQ(r.sampling.temperature, 0);
  EXPECT_EQ(r.format.kind, AnswerFormat::Kind::kJsonObject);
  EXPECT_TRUE(r.include_usage);
  EXPECT_FALSE(read(R"({"prompt": "a", "max_tokens": -1})").max_tokens);
  EXPECT_EQ(read(R"({"prompt": "a", "min_tokens": 20})").sampling.min_tokens, 16) << "no more than the answer may have";
  for (const auto& [more, param] : std::vector<std::pair<std::string, std::string>>{{R"("logprobs": 21)", "logprobs"},
                                                                                    {R"("logprobs": true)", "logprobs"},
                                                                                    {R"("best_of": 2)", "best_of"},
                                                                                    {R"("suffix": 1)", "suffix"},
                                                                                    {R"("suffix": "b", "echo": true)", "echo"},
                                                                                    {R"("echo": "yes")", "echo"},
                                                                                    {R"("prompt_embeds": "AAAA")", "prompt_embeds"},
                                                                                    {R"("prompts": ["a"])", "prompts"},
                                                                                    {R"("logit_bias": {"1": 2})", "logit_bias"}})
    EXPECT_EQ(refused("{\"prompt\": \"a\", " + more + "}"), param) << more;
}

TEST(OpenaiCompletions, WholeAnswer) {
  const Json json = whole_answer(completion_writer, CompletionAnswerOptions{}, {text("upon "), text("a time")}, finished("length"));
  EXPECT_EQ(json,
            Json::parse(R"({"id": "cmpl-abcdefghijklmnopqrstuvwx", "object": "text_completion", "created": 1764426000, "model": "tiny",
    "choices": [{"index": 0, "text": "upon a time", "logprobs": null, "finish_reason": "length", "stop_reason": null}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18, "prompt_tokens_details": {"cached_tokens": 4},
              "completion_tokens_details": {"reasoning_tokens": 3}}})"));
}

TEST(OpenaiCompletions, Stream) {
  EXPECT_EQ(stream_lines(completion_writer, CompletionAnswerOptions{.stream = true}, {text("upon "), text("a time")},
                         finished("stop", "\n"), "cmpl", "text_completion"),
            (std::vector<std::string>{
                R"("choices":[{"index":0,"text":"upon ","logprobs":null,"finish_reason":null}]})",
                R"("choices":[{"index":0,"text":"a time","logprobs":null,"finish_reason":null}]})",
                R"("choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"stop","stop_reason":"\n"}],"timings":{..}})"}));
  EXPECT_EQ(
      stream_lines(completion_writer, CompletionAnswerOptions{.stream = true, .include_usage = true}, {}, finished("stop"), "cmpl",
                   "text_completion"),
      (std::vector<std::string>{
          R"("choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"stop","stop_reason":null}],"usage":null,"timings":{..}})",
          R"("choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":3}},"timings":{..}})"}));
}

// How lm-eval scores: the prompt and its continuation are echoed, one more token is made, and the log-probabilities of [length of context, -1) add
// up; the continuation is greedy if each of its tokens has the highest one at its place.
TEST(OpenaiCompletions, EchoHasThePromptsLogprobs) {
  const auto recorder = std::make_shared<Recorder>();
  const auto writer = completion_writer({.logprobs = true, .top_logprobs = 1}, recorder);
  AnswerWriter::Head head = played_head();
  head.choices = 2;
  writer->start(head);
  writer->prompt(0, "né oui",
                 {token(1, "n", NAN), token(2, "\xc3", -1.5f, {{9, "o", -0.25f}}), token(3, "\xa9", -0.1f, {{3, "\xa9", -0.1f}}),
                  token(4, " oui", -0.3f, {{4, " oui", -0.3f}})});
  Delta made = text("!");
  made.tokens = {token(5, "!", -2.0f, {{6, "?", -0.5f}})};
  writer->prompt(1, "b", {token(7, "b", NAN)});
  writer->delta(1, text("c"));
  writer->delta(0, made);
  writer->finish(1, finished("length"));
  writer->finish(0, finished("length"));
  writer->end({}, {});
  const Json json = recorder->json();
  const Json& choice = json["choices"][0];
  EXPECT_EQ(choice["text"], "né oui!");
  const Json& logprobs = choice["logprobs"];
  EXPECT_EQ(logprobs["tokens"], Json::parse(R"(["n", "bytes:\\xc3", "bytes:\\xa9", " oui", "!"])"));
  EXPECT_EQ(logprobs["text_offset"], Json::parse("[0, 1, 2, 2, 6]")) << "in characters";
  ASSERT_EQ(logprobs["token_logprobs"].size(), 5u);
  EXPECT_EQ(logprobs["token_logprobs"][0], nullptr);
  EXPECT_EQ(logprobs["top_logprobs"][0], nullptr);
  EXPECT_EQ(logprobs["token_logprobs"][1], double(-1.5f));
  EXPECT_EQ(logprobs["top_logprobs"][1], (Json{{"o", double(-0.25f)}, {"bytes:\\xc3", -1.5}})) << "the chosen token is among them";
  const auto greedy = [&](size_t i) {
    double best = -1e9;
    for (const auto& [name, value] : logprobs["top_logprobs"][i].items()) best = std::max(best, value.get<double>());
    return best == logprobs["token_logprobs"][i].get<double>();
  };
  EXPECT_FALSE(greedy(1));
  EXPECT_TRUE(greedy(2)) << "the very same number";
  EXPECT_TRUE(greedy(3));
  EXPECT_EQ(json["choices"][1]["text"], "bc");
}

TEST(OpenaiCompletions, TokensWithTheSameText) {
  Delta delta = text("a");
  delta.tokens = {token(1, "a", -1.0f, {{2, "a", -0.5f}, {3, "a", -2.0f}})};
  const Json json =
      whole_answer(completion_writer, CompletionAnswerOptions{.logprobs = true, .top_logprobs = 2}, {delta}, finished("stop"));
  EXPECT_EQ(json["choices"][0]["logprobs"]["top_logprobs"][0], (Json{{"a", -0.5}})) << "the likelier one counts";
  const Json none = whole_answer(completion_writer, CompletionAnswerOptions{.logprobs = true}, {delta}, finished("stop"));
  EXPECT_EQ(none["choices"][0]["logprobs"]["token_logprobs"], Json::array({-1.0}));
  EXPECT_EQ(none["choices"][0]["logprobs"]["top_logprobs"], Json::array({nullptr}));
}

TEST(OpenaiCompletions, StreamedLogprobsGoOn) {
  Delta one = text("é"), two = text("b");
  one.tokens = {token(1, "é", -1)};
  two.tokens = {token(2, "b", -1)};
  const auto lines = stream_lines(completion_writer, CompletionAnswerOptions{.stream = true, .logprobs = true, .return_token_ids = true},
                                  {one, two}, finished("stop"), "cmpl", "text_completion");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(
      lines[1],
      R"("choices":[{"index":0,"text":"b","logprobs":{"tokens":["b"],"token_logprobs":[-1.0],"top_logprobs":[null],"text_offset":[1]},"finish_reason":null,"token_ids":[2]}]})");
}

TEST(OpenaiCompletions, Failures) {
  const auto before = std::make_shared<Recorder>(), after = std::make_shared<Recorder>();
  completion_writer({.stream = true}, before)->fail(http::ApiError(400, "prompt: too long", "prompt", "context_length_exceeded"));
  EXPECT_EQ(before->response.status, 400);
  EXPECT_EQ(before->json()["error"]["code"], "context_length_exceeded");
  const auto writer = completion_writer({.stream = true}, after);
  writer->start(played_head());
  writer->fail(http::ApiError(503, "the server ends"));
  EXPECT_EQ(events_of(after->response.body).back().second["error"]["type"], "overloaded_error");
  EXPECT_TRUE(after->complete());
}

TEST(OpenaiCompletions, EveryFieldWithEveryValue) {
  const ReadBody reader = [](const std::string& body) { read(body); };
  const Json valid = Json::parse(R"({"prompt": ["a"], "stop_token_ids": [1], "stream_options": {}, "structured_outputs": {}})");
  const Sweep sweep = sweep_fields(body_schema<CompletionBody>(), valid, reader);
  Sweep inner;
  for (const char* place : {"/prompt/0", "/stop", "/response_format"})
    sweep_detail::visit(Json::object(), valid, Json::json_pointer(place), place, reader, inner);
  EXPECT_GT(sweep.cases + inner.cases, 1'000);
  EXPECT_GT(sweep.refused, 400);
}

TEST(OpenaiCompletions, ChangedBytesAreTakenOrRefused) {
  const Sweep sweep = mutate_bodies({R"({"prompt": ["a", [1, 2]], "max_tokens": 5, "logprobs": 3, "echo": true, "stop": ["\n"], "n": 2})",
                                     R"({"prompt": [1, 2, 3], "suffix": "x", "stream": true, "guided_choice": ["a", "b"], "seed": 1})"},
                                    5'000, [](const std::string& body) { read(body); });
  EXPECT_GT(sweep.refused, 1'500);
  EXPECT_LT(sweep.refused, 5'000);
}

}  // namespace
}  // namespace r1::api
