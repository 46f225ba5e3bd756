// Our answers, read by the clients of the peers (tests/oracles/api_clients.py), and Triton's client's request, read by us. Runs where
// R1_ORACLE_PYTHON names a Python with openai, anthropic, ollama and tritonclient[http]; skipped without.
#include <gtest/gtest.h>

#include <cstdlib>

#include "r1/api/anthropic.h"
#include "r1/api/kserve.h"
#include "r1/api/ollama.h"
#include "r1/api/responses.h"
#include "r1/base/file.h"
#include "tests/api/played_answer.h"
#include "tests/api/recorder.h"
#include "tests/temporary_folder.h"

namespace r1::api {
namespace {

const std::vector<Delta> kPlayed = {
    thought("Hm"),        thought("m."), text("It is "), text("12."), call(0, "call_1", "add", ""), call(0, "", "", R"({"a":)"),
    call(0, "", "", "5}")};

std::string played(Generation generation, const std::shared_ptr<Recorder>& out) {
  play(*generation.writer, kPlayed, finished("tool_calls"));
  return out->response.body;
}

std::string anthropic(const char* rest) {
  const auto out = std::make_shared<Recorder>();
  return played(read_anthropic(std::string(R"({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}])") + rest, out), out);
}
std::string responses(const char* rest) {
  const auto out = std::make_shared<Recorder>();
  return played(read_responses(std::string(R"({"input": "hi")") + rest, out), out);
}
std::string ollama(const char* rest) {
  const auto out = std::make_shared<Recorder>();
  return played(*read_ollama_chat(std::string(R"({"model": "m", "messages": [{"role": "user", "content": "hi"}])") + rest, out), out);
}

void write_tensors(const std::string& folder, const std::string& name, const http::Response& response) {
  write_file_atomic(folder + "/" + name + ".bin", response.body);
  for (const auto& [key, value] : response.headers)
    if (key == "inference-header-content-length") write_file_atomic(folder + "/" + name + ".length", value);
}

TEST(Clients, OfThePeersReadOurAnswers) {
  const char* python = std::getenv("R1_ORACLE_PYTHON");
  if (!python) GTEST_SKIP() << "R1_ORACLE_PYTHON is not set";
  const TemporaryFolder temporary("clients");
  const std::string folder = temporary.path().string();
  const OllamaModel model = {.name = "tiny",
                             .format = "gguf",
                             .family = "llama",
                             .quantization = "Q4_0",
                             .chat_template = "T",
                             .license = "",
                             .digest = std::string(64, 'a'),
                             .bytes = 100,
                             .parameters = 1000};
  const std::vector<std::pair<const char*, std::string>> files = {{"anthropic.json", anthropic("}")},
                                                                  {"anthropic.sse", anthropic(R"(, "stream": true})")},
                                                                  {"responses.json", responses("}")},
                                                                  {"responses.sse", responses(R"(, "stream": true})")},
                                                                  {"ollama.json", ollama(R"(, "stream": false})")},
                                                                  {"ollama.ndjson", ollama("}")},
                                                                  {"tags.json", dump_json(ollama_tags(model))},
                                                                  {"ps.json", dump_json(ollama_ps(model))},
                                                                  {"show.json", dump_json(ollama_show(model))}};
  for (const auto& [name, body] : files) write_file_atomic(folder + "/" + name, body);
  const KserveModel triton = {.name = "tiny", .vocab_size = 2, .max_model_len = 8};
  KserveInfer infer{.id = {}, .rows = {{0, 1}}, .begins = {0}, .width = 2};
  write_tensors(folder, "triton_json", kserve_logits(infer, triton, {{0.5F, -1, 2, 3}}));
  infer.binary = true;
  write_tensors(folder, "triton_binary", kserve_logits(infer, triton, {{0.5F, -1, 2, 3}}));
  http::Request request;
  request.body =
      R"({"inputs": [{"name": "text_input", "datatype": "BYTES", "shape": [1], "data": ["hi"]}], "parameters": {"binary_data_output": true}})";
  const auto out = std::make_shared<Recorder>();
  play(*read_kserve_infer(request, triton, out).generation->writer, {text("It is "), text("12.")}, finished("stop"));
  write_tensors(folder, "triton_text", out->response);

  const std::string script = std::string(R1_SOURCE_DIR) + "/tests/oracles/api_clients.py";
  const int status =
      std::system(("'" + std::string(python) + "' '" + script + "' '" + folder + "' > '" + folder + "/understood.json'").c_str());
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "the clients are not installed";
  ASSERT_EQ(status, 0);
  EXPECT_EQ(parse_json_file(folder + "/understood.json"), parse_json(R"({
    "anthropic": [["thinking", "Hmm."], ["text", "It is 12."], ["tool_use", {"a": 5}], "tool_use", 7],
    "responses": [["Hmm."], "It is 12.", [["add", "{\"a\":5}"]], 18],
    "ollama": ["Hmm.", "It is 12.", [["add", {"a": 5}]], "stop", 7],
    "triton": [[[[0.5, -1.0], [2.0, 3.0]]], [[[0.5, -1.0], [2.0, 3.0]]], ["It is 12."]]})",
                                                                     "expected"));

  http::Request theirs;
  theirs.body = read_file(folder + "/triton_request.bin");
  theirs.headers = {{"inference-header-content-length", read_file(folder + "/triton_request.length")}};
  const KserveInfer read = read_kserve_infer(theirs, triton, out);
  EXPECT_EQ(read.rows, (std::vector<std::vector<TokenId>>{{0, 1}}));
  EXPECT_TRUE(read.binary);
}

}  // namespace
}  // namespace r1::api
