#include "r1/api/openai_other.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "field_sweep.h"

namespace r1::api {
namespace {

template <class T>
T read(const std::string& text) {
  T body;
  read_body(text, body);
  return body;
}
template <class F>
std::string refused(F run) {
  try {
    run();
  } catch (const http::ApiError& error) {
    EXPECT_EQ(error.status, 400);
    return error.param;
  }
  return "taken";
}

TEST(OpenaiOther, Base64) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64(std::string("\0\xff\xfe", 3)), "AP/+");
}

TEST(OpenaiOther, Embeddings) {
  EmbeddingsBody body = read<EmbeddingsBody>(R"({"input": ["a", "b"], "model": "m", "encoding_format": "float"})");
  EXPECT_EQ(body.prompts().size(), 2u);
  EXPECT_EQ(read<EmbeddingsBody>(R"({"input": [1, 2]})").prompts().size(), 1u);
  EXPECT_EQ(read<EmbeddingsBody>(R"({"content": "a"})").prompts().size(), 1u) << "llama.cpp's name";
  Json json = embeddings_json({{3, 4}, {0, 0}}, body, "tiny", 5);
  EXPECT_EQ(json["usage"], Json::parse(R"({"prompt_tokens": 5, "total_tokens": 5})"));
  EXPECT_EQ(json["data"][1], Json::parse(R"({"object": "embedding", "index": 1, "embedding": [0.0, 0.0]})"));
  EXPECT_FLOAT_EQ(json["data"][0]["embedding"][0].get<float>(), 0.6f);
  EXPECT_FLOAT_EQ(json["data"][0]["embedding"][1].get<float>(), 0.8f);
  body = read<EmbeddingsBody>(R"({"input": "a", "encoding_format": "base64", "normalize": false})");
  json = embeddings_json({{1, -2}}, body, "tiny", 1);
  EXPECT_EQ(json["data"][0]["embedding"], "AACAPwAAAMA=") << "0x3f800000 and 0xc0000000, low bytes first";
  EXPECT_EQ(refused([] { read<EmbeddingsBody>(R"({"input": "a", "dimensions": 64})").prompts(); }), "dimensions");
  EXPECT_EQ(refused([] { read<EmbeddingsBody>(R"({"input": "a", "encoding_format": "int8"})"); }), "encoding_format");
  EXPECT_EQ(refused([] { read<EmbeddingsBody>(R"({})"); }), "input");
  EXPECT_EQ(refused([] { read<EmbeddingsBody>(R"({"input": []})").prompts(); }), "input");
  EXPECT_EQ(refused([] { read<EmbeddingsBody>(R"({"input": ["a", {}]})").prompts(); }), "input[1]");
}

TEST(OpenaiOther, Tokenize) {
  TokenizeBody llama = read<TokenizeBody>(R"({"content": "a", "with_pieces": true})");
  llama.check();
  EXPECT_EQ(*llama.text(), "a");
  EXPECT_FALSE(llama.add_special());
  EXPECT_TRUE(read<TokenizeBody>(R"({"content": "a", "add_special": true})").add_special());
  const TokenizeBody vllm = read<TokenizeBody>(R"({"prompt": "a", "return_token_strs": true})");
  vllm.check();
  EXPECT_TRUE(vllm.add_special());
  EXPECT_FALSE(read<TokenizeBody>(R"({"prompt": "a", "add_special_tokens": false})").add_special());
  const TokenizeBody chat = read<TokenizeBody>(R"({"messages": [{"role": "user", "content": "a"}], "add_generation_prompt": false})");
  chat.check();
  EXPECT_EQ(chat.text(), nullptr);
  EXPECT_FALSE(chat.chat().add_generation_prompt);
  EXPECT_EQ(chat.chat().chat->messages[0].content, "a");
  EXPECT_EQ(refused([] { read<TokenizeBody>("{}").check(); }), "content");
  EXPECT_EQ(refused([] { read<TokenizeBody>(R"({"content": "a", "prompt": "b"})").check(); }), "content");
  EXPECT_EQ(refused([] { read<TokenizeBody>(R"({"messages": [7]})").chat(); }), "messages[0]");

  EXPECT_EQ(tokenize_json({5, 6}, {"a", "\xc3"}, llama, 512),
            Json::parse(R"({"tokens": [{"id": 5, "piece": "a"}, {"id": 6, "piece": [195]}], "count": 2, "max_model_len": 512})"));
  EXPECT_EQ(tokenize_json({5, 6}, {"a", "b"}, vllm, 512),
            Json::parse(R"({"tokens": [5, 6], "count": 2, "max_model_len": 512, "token_strs": ["a", "b"]})"));
  EXPECT_EQ(read<DetokenizeBody>(R"({"tokens": [5, 6]})").ids(), (std::vector<TokenId>{5, 6}));
  EXPECT_EQ(refused([] { read<DetokenizeBody>(R"({"tokens": [5, -6]})"); }), "tokens[1]");
  EXPECT_EQ(detokenize_json("ab"), Json::parse(R"({"content": "ab", "prompt": "ab"})"));
  EXPECT_EQ(refused([] { read<ApplyTemplateBody>("{}"); }), "messages");
  EXPECT_EQ(apply_template_json("x"), Json::parse(R"({"prompt": "x"})"));
}

TEST(OpenaiOther, Models) {
  const Json json = models_json({{.id = "tiny",
                                  .root = "tiny",
                                  .created = 7,
                                  .max_model_len = 512,
                                  .parameters = 9,
                                  .vocabulary = 10,
                                  .context_trained = 1024,
                                  .embedding = 4}});
  EXPECT_EQ(
      json,
      Json::parse(
          R"({"object": "list", "data": [{"id": "tiny", "object": "model", "created": 7, "owned_by": "r1", "root": "tiny", "parent": null,
    "max_model_len": 512, "meta": {"n_vocab": 10, "n_ctx_train": 1024, "n_embd": 4, "n_params": 9}}]})"));
}

TEST(OpenaiOther, EveryFieldWithEveryValue) {
  const Json conversation = Json::parse(R"({"messages": [{"role": "user", "content": "a"}], "thinking": {}, "reasoning": {}})");
  int cases = 0;
  const auto sweep = [&](const Json& schema, const Json& valid, const ReadBody& reader) {
    cases += sweep_fields(schema, valid, reader).cases;
  };
  sweep(body_schema<EmbeddingsBody>(), Json::parse(R"({"input": ["a"]})"),
        [](const std::string& text) { read<EmbeddingsBody>(text).prompts(); });
  sweep(body_schema<DetokenizeBody>(), Json::parse(R"({"tokens": [1]})"),
        [](const std::string& text) { read<DetokenizeBody>(text).ids(); });
  sweep(body_schema<ApplyTemplateBody>(), conversation, [](const std::string& text) { read<ApplyTemplateBody>(text).chat(); });
  sweep(body_schema<TokenizeBody>(), conversation, [](const std::string& text) {
    const auto body = read<TokenizeBody>(text);
    body.check();
    if (!body.text()) body.chat();
  });
  EXPECT_GT(cases, 1'000);
}

}  // namespace
}  // namespace r1::api
