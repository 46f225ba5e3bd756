// `r1 serve` as a program: from a model on disk to every protocol's answer, its pages, and its end.
#include <gtest/gtest.h>

#include <thread>

#include "tests/app/program.h"
#include "tests/app/serving.h"
#include "tests/app/tiny_files.h"
#include "tests/temporary_folder.h"

namespace r1::app {
namespace {

using http::test::Client;
using testing::run_r1;

class Serve : public ::testing::Test {
 protected:
  void SetUp() override { testing::write_tiny_folder(folder_.path() / "tiny"); }

  testing::ProgramResult serve(std::function<void(int)> ask, Arguments more = {}) {
    Arguments arguments = {"serve", (folder_.path() / "tiny").string(), "--quiet",
                           "--conversations=" + (folder_.path() / "c.sqlite").string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const testing::WhileServing serving(std::move(ask));
    return run_r1(arguments);
  }

  TemporaryFolder folder_{"serve"};
};

Json answer_of(Client& client, const std::string& path, const Json& body) {
  const auto answer = client.post(path, dump_json(body), {{"Content-Type", "application/json"}});
  EXPECT_EQ(answer.status, 200) << path << ": " << answer.body;
  return parse_json(answer.body, path);
}

const Json kAsk = Json::array({{{"role", "user"}, {"content", "2+2?"}}});

}  // namespace

TEST_F(Serve, EveryProtocolGivesTheModelsAnswer) {
  const auto r = serve([](int port) {
    Client client(port);
    const Json chat = answer_of(client, "/v1/chat/completions", {{"messages", kAsk}, {"max_tokens", 8}, {"temperature", 0}});
    EXPECT_EQ(chat["choices"][0]["message"]["content"], "4");
    EXPECT_EQ(chat["choices"][0]["finish_reason"], "stop");
    EXPECT_EQ(chat["model"], "tiny");
    EXPECT_EQ(answer_of(client, "/v1/completions", {{"prompt", ">"}, {"max_tokens", 8}, {"temperature", 0}})["choices"][0]["text"], "4");
    EXPECT_EQ(answer_of(client, "/v1/messages",
                        {{"model", "x"}, {"max_tokens", 8}, {"temperature", 0}, {"messages", kAsk}})["content"][0]["text"],
              "4");
    EXPECT_EQ(
        answer_of(client, "/api/chat",
                  {{"model", "tiny"}, {"messages", kAsk}, {"stream", false}, {"options", {{"temperature", 0}}}})["message"]["content"],
        "4");
    EXPECT_EQ(answer_of(client, "/v1/responses", {{"input", "2+2?"}, {"temperature", 0}})["output"].back()["content"][0]["text"], "4");
    EXPECT_EQ(answer_of(client, "/v2/models/tiny/generate", {{"text_input", ">"}, {"temperature", 0}})["text_output"], "4");
    const Json logits = answer_of(client, "/v2/models/tiny/infer",
                                  {{"inputs", {{{"name", "input_ids"}, {"datatype", "INT64"}, {"shape", {1, 1}}, {"data", {int('>')}}}}}});
    const Json& row = logits["outputs"][0]["data"];
    EXPECT_EQ(logits["outputs"][0]["shape"], (Json{1, 1, 257}));
    EXPECT_EQ(std::max_element(row.begin(), row.end(), [](const Json& a, const Json& b) { return a.get<double>() < b.get<double>(); }) -
                  row.begin(),
              '4');
    EXPECT_EQ(answer_of(client, "/tokenize", {{"content", "ab"}})["tokens"], (Json{97, 98}));
    EXPECT_EQ(answer_of(client, "/detokenize", {{"tokens", {97, 98}}})["content"], "ab");
    EXPECT_EQ(answer_of(client, "/apply-template", {{"messages", kAsk}})["prompt"], "<|user|>2+2?<|end|><|assistant|>");
    EXPECT_EQ(answer_of(client, "/v1/embeddings", {{"input", {"a", "b"}}})["data"].size(), 2u);
    EXPECT_EQ(parse_json(client.get("/v1/models").body, "models")["data"][0]["id"], "tiny");
    EXPECT_EQ(parse_json(client.get("/api/tags").body, "tags")["models"].size(), 1u);
    EXPECT_NE(client.get("/metrics").body.find("r1_num_requests_running 0"), std::string::npos);
    EXPECT_EQ(client.get("/nothing/here").status, 404);

    client.send(
        Client::request_text("POST", "/v1/chat/completions", dump_json(Json{{"messages", kAsk}, {"stream", true}, {"temperature", 0}})));
    EXPECT_EQ(client.head().status, 200);
    std::string text, last;
    while (const auto event = client.event()) {
      last = event->data;
      if (last == "[DONE]") break;
      const Json chunk = parse_json(last, "chunk");
      if (!chunk["choices"].empty()) text += chunk["choices"][0]["delta"].value("content", "");
    }
    EXPECT_EQ(text, "4");
    EXPECT_EQ(last, "[DONE]");
  });
  EXPECT_EQ(r.code, 0) << r.err;
}

TEST_F(Serve, PagesAreThereAndRoutesAskForTheKey) {
  const auto r = serve(
      [](int port) {
        Client client(port);
        for (const char* page : {"/", "/runs", "/base.css"}) EXPECT_EQ(client.get(page).status, 200) << page;
        const auto page = client.get("/");
        EXPECT_NE(page.header("content-security-policy").find("default-src 'self'"), std::string::npos);
        for (const char* path :
             {"/v1/models", "/metrics", "/slots", "/props", "/api/tags", "/api/conversations", "/api/runs", "/openapi.json", "/v2"}) {
          EXPECT_EQ(client.get(path).status, 401) << path;
          EXPECT_EQ(client.get(path, {{"Authorization", "Bearer wrong"}}).status, 401) << path;
          EXPECT_EQ(client.get(path, {{"Authorization", "Bearer secret"}}).status, 200) << path;
        }
        EXPECT_EQ(client.get("/health").status, 200);
      },
      {"--api_key=secret"});
  EXPECT_EQ(r.code, 0) << r.err;
}

// Every row of the document is a route, and asks for a key unless it says otherwise.
TEST_F(Serve, TheDocumentIsTheTable) {
  const auto r = serve(
      [](int port) {
        Client client(port);
        const Json document = parse_json(client.get("/openapi.json", {{"x-api-key", "k"}}).body, "openapi");
        EXPECT_GT(document["paths"].size(), 35u);
        for (const auto& [path, methods] : document["paths"].items())
          for (const auto& [method, operation] : methods.items()) {
            std::string target = path;
            for (size_t open; (open = target.find('{')) != std::string::npos;) target.replace(open, target.find('}') - open + 1, "tiny");
            std::string upper = method;
            for (char& c : upper) c = char(std::toupper(c));
            const auto answer = client.request(upper, target, upper == "GET" || upper == "DELETE" ? "" : "{}");
            EXPECT_EQ(answer.status == 401, !operation.contains("security")) << upper << " " << target << ": " << answer.status;
            EXPECT_NE(answer.status, 405) << upper << " " << target;
          }
      },
      {"--api_key=k"});
  EXPECT_EQ(r.code, 0) << r.err;
}

TEST_F(Serve, WhatCantBeServedIsToldAtOnce) {
  const auto missing = run_r1({"serve", "no-such-model-anywhere"});
  EXPECT_NE(missing.code, 0);
  EXPECT_NE(missing.err.find("no-such-model-anywhere"), std::string::npos);
  const auto port = run_r1({"serve", (folder_.path() / "tiny").string(), "--port=99999"});
  EXPECT_EQ(port.code, 2);
  EXPECT_NE(port.err.find("port"), std::string::npos);
}

}  // namespace r1::app
