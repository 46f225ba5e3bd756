#include "r1/api/ollama.h"

#include <gtest/gtest.h>

#include <cmath>

#include "r1/api/block_writer.h"
#include "tests/api/field_sweep.h"
#include "tests/api/played_answer.h"
#include "tests/api/recorder.h"

namespace r1::api {
namespace {

std::shared_ptr<Recorder> recorder() {
  return std::make_shared<Recorder>();
}

GenerationRequest chat_of(const std::string& rest) {
  return read_ollama_chat(R"({"model": "tiny:latest", "messages": [{"role": "user", "content": "hi"}])" + rest + "}", recorder())
      .value()
      .request;
}

std::string param_of(const std::string& body) {
  bool refused = false;
  return refused_param([](const std::string& text) { read_ollama_chat(text, recorder()); }, body, &refused);
}

std::vector<Json> lines_of(const std::string& body) {
  std::vector<Json> out;
  for (size_t at = 0; at < body.size();) {
    const size_t end = body.find('\n', at);
    if (end == body.npos) throw Error("a line without its end");
    out.push_back(parse_json(body.substr(at, end - at), "line"));
    at = end + 1;
  }
  return out;
}

TEST(Ollama, ReadsEveryFieldOfAChat) {
  const GenerationRequest r =
      chat_of(R"(, "options": {"temperature": 0.5, "top_p": 0.9, "min_p": 0.1, "top_k": 40, "seed": 7, "num_predict": 64,
    "repeat_penalty": 1.1, "presence_penalty": 0.5, "frequency_penalty": 0.25, "stop": ["END", ""]}, "format": {"type": "object"}, "think": true,
    "logprobs": true, "top_logprobs": 2, "keep_alive": "5m", "tools": [{"type": "function", "function": {"name": "f", "description": "d",
    "parameters": {"type": "object", "properties": {}}}}])");
  EXPECT_EQ(r.model, "tiny");
  EXPECT_TRUE(r.stream);
  EXPECT_EQ(r.sampling.temperature, 0.5);
  EXPECT_EQ(r.sampling.top_p, 0.9);
  EXPECT_EQ(r.sampling.min_p, 0.1);
  EXPECT_EQ(r.sampling.top_k, 40);
  EXPECT_EQ(r.sampling.seed, 7U);
  EXPECT_EQ(r.max_tokens, 64);
  EXPECT_EQ(r.sampling.repetition_penalty, 1.1);
  EXPECT_EQ(r.sampling.presence_penalty, 0.5);
  EXPECT_EQ(r.sampling.frequency_penalty, 0.25);
  EXPECT_EQ(r.sampling.stop, std::vector<std::string>{"END"});
  EXPECT_EQ(r.format.kind, AnswerFormat::Kind::kJsonSchema);
  EXPECT_EQ(r.thinking.enabled, true);
  EXPECT_TRUE(r.logprobs);
  EXPECT_EQ(r.top_logprobs, 2);
  ASSERT_EQ(r.tools.size(), 1U);
  EXPECT_EQ(r.tools[0].name, "f");
  // Ollama's words for "not given".
  const GenerationRequest none =
      chat_of(R"(, "stream": false, "format": "", "think": false, "options": {"seed": -1, "num_predict": -1, "stop": "a"})");
  EXPECT_FALSE(none.stream);
  EXPECT_EQ(none.sampling.seed, std::nullopt);
  EXPECT_EQ(none.max_tokens, std::nullopt);
  EXPECT_EQ(none.format.kind, AnswerFormat::Kind::kText);
  EXPECT_EQ(none.thinking.enabled, false);
  EXPECT_EQ(none.sampling.stop, std::vector<std::string>{"a"});
  EXPECT_EQ(chat_of(R"(, "format": "json")").format.kind, AnswerFormat::Kind::kJsonObject);
  EXPECT_EQ(chat_of(R"(, "think": "high")").chat->variables["reasoning_effort"], "high");
}

TEST(Ollama, MessagesAsItsClientsKeepThem) {
  // Calls without ids and types, arguments as an object or as OpenAI's text, results by name or by id.
  const Generation g = read_ollama_chat(R"({"model": "m", "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "a"},
    {"role": "assistant", "content": "", "thinking": "t", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}},
      {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{\"y\": 2}"}}]},
    {"role": "tool", "content": "one", "tool_name": "f"}, {"role": "tool", "content": "two", "tool_call_id": "c2"}]})",
                                        recorder())
                           .value();
  EXPECT_EQ(data::to_json(g.request.chat->messages), parse_json(R"([{"role": "system", "content": "S"}, {"role": "user", "content": "a"},
    {"role": "assistant", "content": null, "reasoning_content": "t", "reasoning": "t", "tool_calls": [
      {"id": "call00001", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}},
      {"id": "c2", "type": "function", "function": {"name": "g", "arguments": {"y": 2}}}]},
    {"role": "tool", "content": "one", "tool_call_id": "call00001", "name": "f"},
    {"role": "tool", "content": "two", "tool_call_id": "c2", "name": "g"}])",
                                                                "messages"));
}

TEST(Ollama, OptionsWithoutEffectAreToldOf) {
  const auto out = recorder();
  auto g = read_ollama_chat(
      R"({"model": "m", "messages": [{"role": "user", "content": "hi"}], "options": {"num_ctx": 4096, "mirostat": 0, "temperature": 1}})",
      out);
  play(*g->writer, {text("x")}, finished("stop"));
  EXPECT_EQ(out->header("x-r1-ignored"), "options.mirostat, options.num_ctx");
}

TEST(Ollama, RefusesByNameAndPlace) {
  EXPECT_EQ(param_of(R"({"messages": [{"role": "user", "content": "hi"}]})"), "model");
  EXPECT_EQ(param_of(R"({"model": "m", "message": [{"role": "user", "content": "hi"}]})"), "message");
  EXPECT_EQ(param_of(R"({"model": "m", "messages": [{"role": "user", "content": "hi", "images": ["aGk="]}]})"), "messages[0].images");
  EXPECT_EQ(param_of(R"({"model": "m", "messages": [{"role": "user", "content": "hi"}], "options": {"temprature": 1}})"),
            "options.temprature");
  EXPECT_EQ(param_of(R"({"model": "m", "messages": [{"role": "user", "content": "hi"}], "format": "xml"})"), "format");
  EXPECT_EQ(param_of(R"({"model": "m", "messages": [{"role": "user", "content": "hi"}], "think": 3})"), "think");
  EXPECT_EQ(param_of(R"({"model": "m", "messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": 3}}]}]})"),
            "messages[0].tool_calls[0].function.arguments");
  EXPECT_EQ(
      param_of(R"({"model": "m", "messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}]})"),
      "messages");
}

const std::vector<Delta> kPlayed = {
    thought("Hm"),        thought("m."), text("It is "), text("12."), call(0, "call_1", "add", ""), call(0, "", "", R"({"a":)"),
    call(0, "", "", "5}")};
const char kEnd[] =
    R"("done_reason": "stop", "total_duration": 100000000, "load_duration": 0, "prompt_eval_count": 11, "prompt_eval_duration": 10000000,
  "eval_count": 7, "eval_duration": 80000000})";

TEST(Ollama, StreamedChat) {
  const auto out = recorder();
  play(*read_ollama_chat(R"({"model": "tiny", "messages": [{"role": "user", "content": "hi"}]})", out)->writer, kPlayed,
       finished("tool_calls"));
  EXPECT_TRUE(out->complete());
  EXPECT_EQ(out->response.content_type, "application/x-ndjson");
  const std::vector<Json> lines = lines_of(out->response.body);
  const auto line = [](const std::string& message, const std::string& rest) {
    return parse_json(R"({"model": "tiny", "created_at": "2025-11-29T14:20:00Z", "message": )" + message + ", " + rest, "expected");
  };
  const std::vector<Json> expected = {
      line(R"({"role": "assistant", "content": "", "thinking": "Hm"})", R"("done": false})"),
      line(R"({"role": "assistant", "content": "", "thinking": "m."})", R"("done": false})"),
      line(R"({"role": "assistant", "content": "It is "})", R"("done": false})"),
      line(R"({"role": "assistant", "content": "12."})", R"("done": false})"),
      line(
          R"({"role": "assistant", "content": "", "tool_calls": [{"id": "call_1", "function": {"index": 0, "name": "add", "arguments": {"a": 5}}}]})",
          R"("done": false})"),
      line(R"({"role": "assistant", "content": ""})", R"("done": true, )" + std::string(kEnd)),
  };
  ASSERT_EQ(lines.size(), expected.size());
  for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i], expected[i]) << i;
}

TEST(Ollama, WholeChatAndGeneration) {
  auto out = recorder();
  play(*read_ollama_chat(R"({"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "stream": false})", out)->writer, kPlayed,
       finished("tool_calls"));
  EXPECT_EQ(out->response.content_type, "application/json");
  EXPECT_EQ(
      out->json(),
      parse_json(
          R"({"model": "tiny", "created_at": "2025-11-29T14:20:00Z", "message": {"role": "assistant", "content": "It is 12.", "thinking": "Hmm.",
    "tool_calls": [{"id": "call_1", "function": {"index": 0, "name": "add", "arguments": {"a": 5}}}]}, "done": true, )" +
              std::string(kEnd),
          "expected"));
  out = recorder();
  play(*read_ollama_generate(R"({"model": "tiny", "prompt": "hi", "stream": false})", true, out)->writer, {thought("Hm"), text("x")},
       finished("length"));
  Json expected = parse_json(
      R"({"model": "tiny", "created_at": "2025-11-29T14:20:00Z", "response": "x", "thinking": "Hm", "done": true, )" + std::string(kEnd),
      "expected");
  expected["done_reason"] = "length";
  EXPECT_EQ(out->json(), expected);
}

TEST(Ollama, GenerateWithAndWithoutTheTemplate) {
  const auto request = [](const std::string& rest, bool has_template) {
    return read_ollama_generate(R"({"model": "m", "prompt": "p")" + rest + "}", has_template, recorder())->request;
  };
  EXPECT_EQ(data::to_json(request(R"(, "system": "S")", true).chat->messages),
            parse_json(R"([{"role": "system", "content": "S"}, {"role": "user", "content": "p"}])", "messages"));
  for (const GenerationRequest& r : {request("", false), request(R"(, "raw": true)", true), request(R"(, "suffix": "s")", true)}) {
    EXPECT_FALSE(r.chat);
    EXPECT_EQ(std::get<std::string>(r.prompts.at(0)), "p");
  }
  EXPECT_EQ(request(R"(, "suffix": "s")", true).suffix, "s");
  for (const char* field : {"template", "context", "images"}) {
    bool refused = false;
    const std::string value = std::string(field) == "context"  ? "[1, 2]"
                              : std::string(field) == "images" ? R"(["aGk="])"
                                                               : R"("{{ .Prompt }}")";
    const std::string body = R"({"model": "m", "prompt": "p", ")" + std::string(field) + "\": " + value + "}";
    EXPECT_EQ(refused_param([](const std::string& text) { read_ollama_generate(text, true, recorder()); }, body, &refused), field);
  }
}

TEST(Ollama, ARequestWithNothingToSayLoadsTheModel) {
  auto out = recorder();
  EXPECT_FALSE(read_ollama_chat(R"({"model": "tiny", "messages": []})", out));
  EXPECT_TRUE(out->complete());
  EXPECT_EQ(lines_of(out->response.body).at(0)["done_reason"], "load");
  out = recorder();
  EXPECT_FALSE(read_ollama_generate(R"({"model": "tiny", "keep_alive": 0, "stream": false})", true, out));
  EXPECT_EQ(out->json()["done_reason"], "unload");
  EXPECT_EQ(out->header("x-r1-ignored"), "keep_alive");
}

TEST(Ollama, ErrorsHaveItsShapeBeforeAndInAStream) {
  auto out = recorder();
  const std::string body = R"({"model": "m", "messages": [{"role": "user", "content": "hi"}]})";
  read_ollama_chat(body, out)->writer->fail(http::ApiError(404, "model 'm' not found"));
  EXPECT_EQ(out->response.status, 404);
  EXPECT_EQ(out->json(), parse_json(R"({"error": "model 'm' not found"})", "expected"));
  out = recorder();
  auto g = read_ollama_chat(body, out);
  g->writer->start(played_head());
  g->writer->delta(0, text("a"));
  g->writer->fail(std::runtime_error("secret inside"));
  EXPECT_TRUE(out->complete());
  EXPECT_TRUE(lines_of(out->response.body).back()["error"].is_string());
  EXPECT_EQ(out->response.body.find("secret"), std::string::npos);
}

TEST(Ollama, Embeddings) {
  const OllamaEmbedRequest r = read_ollama_embed(R"({"model": "tiny:latest", "input": ["a", "b"], "dimensions": 2, "truncate": true})");
  EXPECT_EQ(r.model, "tiny");
  EXPECT_EQ(r.texts, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(r.truncate);
  EXPECT_EQ(read_ollama_embed(R"({"model": "m", "input": "a"})").texts, std::vector<std::string>{"a"});
  EXPECT_FALSE(read_ollama_embed(R"({"model": "m", "input": "a"})").truncate);
  const Json out = ollama_embed(r, "tiny", {{3, 4, 9}, {0, 0, 1}}, 5, 0.5);
  EXPECT_NEAR(out["embeddings"][0][0].get<double>(), 0.6, 1e-6);
  EXPECT_NEAR(out["embeddings"][0][1].get<double>(), 0.8, 1e-6);
  EXPECT_EQ(out["embeddings"][0].size(), 2U);
  EXPECT_EQ(out["embeddings"][1], parse_json("[0.0, 0.0]", "zeros"));  // nothing is left of it, and no NaN
  EXPECT_EQ(out["prompt_eval_count"], 5);
  EXPECT_EQ(out["total_duration"], 500000000);
  EXPECT_EQ(read_ollama_embeddings(R"({"model": "m", "prompt": "a"})").texts, std::vector<std::string>{"a"});
  EXPECT_EQ(ollama_embeddings({1, 2}), parse_json(R"({"embedding": [1.0, 2.0]})", "expected"));
}

TEST(Ollama, ListsTheServedModel) {
  const OllamaModel model = {.name = "tiny",
                             .format = "safetensors",
                             .family = "qwen2",
                             .quantization = "BF16",
                             .chat_template = "T",
                             .license = "",
                             .digest = std::string(64, 'a'),
                             .bytes = 988097824,
                             .parameters = 494032768,
                             .modified = 1764426000,
                             .context_length = 32768,
                             .hidden_size = 896,
                             .layers = 24,
                             .vocab_size = 151936,
                             .on_gpu = false,
                             .tools = true,
                             .thinking = false,
                             .fill_in = true};
  const Json details =
      parse_json(R"({"parent_model": "", "format": "safetensors", "family": "qwen2", "families": ["qwen2"], "parameter_size": "494.03M",
    "quantization_level": "BF16"})",
                 "details");
  Json listed = {{"name", "tiny"}, {"model", "tiny"}, {"size", 988097824}, {"digest", std::string(64, 'a')}, {"details", details}};
  Json tags = listed;
  tags["modified_at"] = "2025-11-29T14:20:00Z";
  EXPECT_EQ(ollama_tags(model), (Json{{"models", Json::array({tags})}}));
  const Json ps = ollama_ps(model)["models"][0];
  EXPECT_EQ(ps["size_vram"], 0);
  EXPECT_EQ(ps["context_length"], 32768);
  const Json show = ollama_show(model);
  EXPECT_EQ(show["details"], details);
  EXPECT_EQ(show["capabilities"], (Json{"completion", "tools", "insert"}));
  EXPECT_EQ(show["model_info"]["qwen2.context_length"], 32768);
  EXPECT_EQ(show["model_info"]["general.parameter_count"], 494032768);
  EXPECT_EQ(read_ollama_show(R"({"name": "tiny:latest"})"), "tiny");
  EXPECT_EQ(read_ollama_show(R"({"model": "tiny", "verbose": true})"), "tiny");
  EXPECT_TRUE(ollama_version()["version"].is_string());
}

const char kChat[] =
    R"({"model": "m", "messages": [{"role": "assistant", "content": "c", "thinking": "t", "tool_calls": [{"id": "1", "function": {"name": "f",
      "arguments": {"x": 1}}}]},
    {"role": "tool", "content": "r", "tool_name": "f", "tool_call_id": "1"}],
  "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {}}}], "format": "json", "think": true, "keep_alive": 1,
  "stream": false, "logprobs": true, "top_logprobs": 2, "options": {"temperature": 0.5, "top_p": 0.9, "min_p": 0.1, "top_k": 4, "seed": 1,
      "num_predict": 4,
  "repeat_penalty": 1.1, "presence_penalty": 0.1, "frequency_penalty": 0.1, "stop": ["a"], "num_ctx": 10}})";
const char kGenerate[] =
    R"({"model": "m", "prompt": "p", "system": "s", "raw": false, "stream": true, "options": {"stop": "x"}, "format": {"type": "object"}})";
const char kEmbed[] = R"({"model": "m", "input": ["a"], "truncate": false, "dimensions": 3, "options": {}, "keep_alive": "1m"})";

TEST(Ollama, EveryFieldWithEveryValue) {
  const auto chat = [](const std::string& body) { read_ollama_chat(body, recorder()); };
  const auto generate = [](const std::string& body) { read_ollama_generate(body, true, recorder()); };
  const auto embed = [](const std::string& body) { read_ollama_embed(body); };
  EXPECT_GT(sweep_fields(body_schema<OllamaChatBody>(), parse_json(kChat, "chat"), chat).cases, 800);
  EXPECT_GT(sweep_fields(body_schema<OllamaGenerateBody>(), parse_json(kGenerate, "generate"), generate).refused, 200);
  EXPECT_GT(sweep_fields(body_schema<OllamaEmbedBody>(), parse_json(kEmbed, "embed"), embed).refused, 40);
  EXPECT_GT(mutate_bodies({kChat}, 3000, chat).refused, 700);
  EXPECT_GT(mutate_bodies({kGenerate}, 1500, generate).refused, 400);
  EXPECT_GT(mutate_bodies({kEmbed}, 1500, embed).refused, 400);
}

}  // namespace
}  // namespace r1::api
