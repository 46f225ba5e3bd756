#include "r1/api/kserve.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "r1/api/block_writer.h"
#include "r1/base/file.h"
#include "tests/api/field_sweep.h"
#include "tests/api/played_answer.h"
#include "tests/api/recorder.h"
#include "tests/message_of.h"

namespace r1::api {
namespace {

const KserveModel kModel = {.name = "tiny", .vocab_size = 3, .max_model_len = 64, .max_logits_bytes = 1 << 20};

std::shared_ptr<Recorder> recorder() {
  return std::make_shared<Recorder>();
}

// The JSON, and tensors behind it.
http::Request framed(const std::string& json, const std::string& binary) {
  http::Request request;
  request.body = json + binary;
  request.headers = {{"inference-header-content-length", std::to_string(json.size())}};
  return request;
}

http::Request plain(const std::string& json) {
  http::Request request;
  request.body = json;
  return request;
}

KserveInfer infer_of(const http::Request& request, const KserveModel& model = kModel) {
  return read_kserve_infer(request, model, recorder());
}

std::string param_of(const http::Request& request, const KserveModel& model = kModel) {
  bool refused = false;
  return refused_param([&](const std::string&) { infer_of(request, model); }, "", &refused);
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

std::string ids_json(const std::string& shape, const std::string& data) {
  return R"({"id": "r1", "inputs": [{"name": "input_ids", "datatype": "INT64", "shape": )" + shape + R"(, "data": )" + data + "}]}";
}

using Rows = std::vector<std::vector<TokenId>>;

TEST(Kserve, ReadsIdsFlatNestedAndBinary) {
  const Rows expected = {{0, 1, 2}, {2, 1, 0}};
  EXPECT_EQ(infer_of(plain(ids_json("[2, 3]", "[0, 1, 2, 2, 1, 0]"))).rows, expected);
  EXPECT_EQ(infer_of(plain(ids_json("[2, 3]", "[[0, 1, 2], [2, 1, 0]]"))).rows, expected);
  const KserveInfer binary =
      infer_of(framed(R"({"inputs": [{"name": "input_ids", "datatype": "INT64", "shape": [2, 3], "parameters": {"binary_data_size": 48}}],
    "parameters": {"binary_data_output": true}})",
                      bytes_of<int64_t>({0, 1, 2, 2, 1, 0})));
  EXPECT_EQ(binary.rows, expected);
  EXPECT_TRUE(binary.binary);
  EXPECT_EQ(binary.width, 3);
  EXPECT_EQ(infer_of(plain(ids_json("[1, 2]", "[0, 1]"))).id, "r1");
}

TEST(Kserve, PaddingIsCutOffOnEitherSide) {
  const auto with_mask = [](const std::string& mask) {
    return plain(R"({"inputs": [{"name": "input_ids", "datatype": "INT64", "shape": [2, 3], "data": [0, 1, 2, 2, 1, 0]},
      {"name": "attention_mask", "datatype": "INT64", "shape": [2, 3], "data": )" +
                 mask + "}]}");
  };
  const KserveInfer infer = infer_of(with_mask("[1, 1, 0, 0, 0, 1]"));
  EXPECT_EQ(infer.rows, (Rows{{0, 1}, {0}}));
  EXPECT_EQ(infer.begins, (std::vector<int64_t>{0, 2}));
  EXPECT_EQ(infer.width, 3);
  for (const char* mask : {"[1, 0, 1, 1, 1, 1]", "[0, 1, 0, 1, 1, 1]", "[0, 0, 0, 1, 1, 1]", "[1, 1, 2, 1, 1, 1]"})
    EXPECT_EQ(param_of(with_mask(mask)), "inputs[1]") << mask;
  // Their logits: zeros where there is padding.
  const http::Response response = kserve_logits(infer, kModel, {{1, 2, 3, 4, 5, 6}, {7, 8, 9}});
  EXPECT_EQ(
      parse_json(response.body, "response"),
      parse_json(R"({"model_name": "tiny", "model_version": "1", "outputs": [{"name": "logits", "datatype": "FP32", "shape": [2, 3, 3],
              "data": [1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 8, 9]}]})",
                 "expected"));
}

TEST(Kserve, LogitsAsJsonAndBinary) {
  const std::vector<float> logits = {0.1F, -2.5F, 1e-20F, std::nanf(""), INFINITY, 3};
  KserveInfer infer = infer_of(plain(ids_json("[1, 2]", "[0, 1]")));
  const Json json = parse_json(kserve_logits(infer, kModel, {logits}).body, "response");
  EXPECT_EQ(json["id"], "r1");
  EXPECT_EQ(json["outputs"][0]["shape"], parse_json("[1, 2, 3]", "shape"));
  const Json& data = json["outputs"][0]["data"];
  for (const size_t i : {0, 1, 2, 5}) EXPECT_EQ(float(data[i].get<double>()), logits[i]) << i;
  EXPECT_TRUE(data[3].is_null() && data[4].is_null());

  infer.binary = true;
  const http::Response response = kserve_logits(infer, kModel, {logits});
  EXPECT_EQ(response.content_type, "application/octet-stream");
  ASSERT_EQ(response.headers.at(0).first, "inference-header-content-length");
  const size_t length = std::stoul(response.headers.at(0).second);
  const Json head = parse_json(response.body.substr(0, length), "head");
  EXPECT_EQ(head["outputs"][0]["parameters"]["binary_data_size"], 24);
  EXPECT_EQ(response.body.substr(length), bytes_of(logits));
  EXPECT_EQ(message_of([&] { kserve_logits(infer, kModel, {{1, 2, 3}}); }), "[kserve] row 0: expected 2 x 3 logits, got 3");
}

TEST(Kserve, SizesAreCheckedBeforeAnythingIsTaken) {
  EXPECT_EQ(param_of(plain(ids_json("[2, 3]", "[0, 1, 2, 2, 1]"))), "inputs[0].data");
  EXPECT_EQ(param_of(plain(ids_json("[2, 3]", "[[0, 1, 2], [2, 1]]"))), "inputs[0].data[1]");  // ragged
  EXPECT_EQ(param_of(plain(ids_json("[2, 3]", "[[0, 1, 2]]"))), "inputs[0].data");
  EXPECT_EQ(param_of(plain(ids_json("[2, 3]", "[[0, 1, 2], 3]"))), "inputs[0].data[1]");
  EXPECT_EQ(param_of(plain(ids_json("[3]", "[0, 1, 2]"))), "inputs[0].shape");
  EXPECT_EQ(param_of(plain(ids_json("\"-1\"", "[0]"))), "inputs[0].shape");
  EXPECT_EQ(param_of(plain(ids_json("[-1, 3]", "[0]"))), "inputs[0].shape[0]");
  EXPECT_EQ(param_of(plain(ids_json("[0, 3]", "[]"))), "inputs[0].shape[0]");
  EXPECT_EQ(param_of(plain(ids_json("[1073741824, 1073741824]", "[0]"))), "inputs[0].shape");
  EXPECT_EQ(param_of(plain(ids_json("[1, 65]", "[0]"))), "inputs[0].shape");  // over the context
  EXPECT_EQ(param_of(plain(ids_json("[1, 1]", "[3]"))), "inputs[0]");         // no such id
  EXPECT_EQ(param_of(plain(ids_json("[1, 1]", "[-1]"))), "inputs[0]");
  EXPECT_EQ(param_of(plain(ids_json("[1, 1]", "[0.5]"))), "inputs[0].data");
  // The answer's size, which is known before the model runs.
  KserveModel small = kModel;
  small.max_logits_bytes = 3 * 4 * 6;  // two tokens as JSON, six as binary
  EXPECT_EQ(param_of(plain(ids_json("[1, 2]", "[0, 1]")), small), "");
  EXPECT_EQ(param_of(plain(ids_json("[1, 3]", "[0, 1, 1]")), small), "inputs[0].shape");
  EXPECT_EQ(param_of(plain(R"({"inputs": [{"name": "input_ids", "datatype": "INT64", "shape": [2, 3], "data": [0, 1, 1, 0, 1, 1]}],
    "outputs": [{"name": "logits", "parameters": {"binary_data": true}}]})"),
                     small),
            "");
}

TEST(Kserve, BinaryFraming) {
  const auto ids = [](const std::string& size) {
    return R"({"inputs": [{"name": "input_ids", "datatype": "INT64", "shape": [1, 2], "parameters": {"binary_data_size": )" + size + "}}]}";
  };
  const std::string two = bytes_of<int64_t>({0, 1});
  EXPECT_EQ(param_of(framed(ids("16"), two)), "");
  EXPECT_EQ(param_of(framed(ids("17"), two)), "inputs[0].parameters.binary_data_size");
  EXPECT_EQ(param_of(framed(ids("15"), two)), "inputs");  // a byte that nobody claims
  EXPECT_EQ(param_of(framed(ids("8"), two.substr(8))), "inputs[0].parameters.binary_data_size");
  EXPECT_EQ(param_of(framed(ids("-1"), two)), "inputs[0].parameters.binary_data_size");
  EXPECT_EQ(param_of(framed(ids("9223372036854775807"), two)), "inputs[0].parameters.binary_data_size");
  EXPECT_EQ(param_of(framed(ids("\"16\""), two)), "inputs[0].parameters.binary_data_size");
  EXPECT_EQ(param_of(plain(ids("16"))), "inputs[0].parameters.binary_data_size");
  EXPECT_EQ(
      param_of(framed(
          R"({"inputs": [{"name": "input_ids", "datatype": "INT64", "shape": [1, 2], "data": [0, 1], "parameters": {"binary_data_size": 16}}]})",
          two)),
      "inputs[0]");
  EXPECT_EQ(param_of(framed(R"({"inputs": [{"name": "input_ids", "datatype": "INT64", "shape": [1, 2]}]})", "")), "inputs[0]");
  for (const char* length : {"0", "-2", "99999", "18446744073709551616", "12x", "0x10", " 5", "5 "}) {
    http::Request request = framed(ids("16"), two);
    request.headers[0].second = length;
    EXPECT_EQ(param_of(request), "inference-header-content-length") << length;
  }
}

TEST(Kserve, RefusesByNameAndPlace) {
  const auto inputs = [](const std::string& list) { return plain(R"({"inputs": [)" + list + "]}"); };
  const std::string ids = R"({"name": "input_ids", "datatype": "INT64", "shape": [1, 1], "data": [0]})",
                    text = R"({"name": "text_input", "datatype": "BYTES", "shape": [1], "data": ["a"]})";
  EXPECT_EQ(param_of(plain("{}")), "inputs");
  EXPECT_EQ(param_of(inputs(R"({"name": "pixels", "datatype": "FP32", "shape": [1], "data": [0]})")), "inputs[0].name");
  EXPECT_EQ(param_of(inputs(ids + "," + ids)), "inputs[1].name");
  EXPECT_EQ(param_of(inputs(ids + "," + text)), "inputs");
  EXPECT_EQ(param_of(inputs(R"({"name": "attention_mask", "datatype": "INT64", "shape": [1, 1], "data": [1]})")), "inputs");
  EXPECT_EQ(param_of(inputs(R"({"name": "input_ids", "datatype": "INT32", "shape": [1, 1], "data": [0]})")), "inputs[0].datatype");
  EXPECT_EQ(param_of(inputs(R"({"name": "input_ids", "datatype": "INT64", "shape": [1, 1], "parameters": {"shared_memory_region": "r"}})")),
            "inputs[0].parameters.shared_memory_region");
  EXPECT_EQ(param_of(plain(R"({"inputs": [)" + ids + R"(], "outputs": [{"name": "text_output"}]})")), "outputs[0].name");
  EXPECT_EQ(param_of(plain(R"({"inputs": [)" + ids + R"(], "outputs": [{"name": "logits", "parameters": {"classification": 2}}]})")),
            "outputs[0].parameters.classification");
  EXPECT_EQ(param_of(plain(R"({"inputs": [)" + ids + R"(], "parameters": {"a": {"b": {}}}})")), "parameters.a");
  EXPECT_EQ(param_of(plain(R"({"inputs": [)" + ids + R"(], "parameters": {"a": [[1]]}})")), "parameters.a");
  std::string many = R"({"x": 0)";
  for (int i = 0; i < 64; ++i) many += ", \"p" + std::to_string(i) + "\": 1";
  EXPECT_EQ(param_of(plain(R"({"inputs": [)" + ids + R"(], "parameters": )" + many + "}}")), "parameters");
}

std::string bytes_tensor(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += bytes_of<uint32_t>({uint32_t(text.size())}) + text;
  return out;
}

TEST(Kserve, TextsInAndOut) {
  const auto play_two = [](const KserveInfer& infer) {
    AnswerWriter& writer = *infer.generation->writer;
    AnswerWriter::Head head = played_head();
    head.choices = 2;
    writer.start(head);
    writer.delta(1, text("b"));
    writer.delta(0, thought("<a>"));
    writer.delta(0, text("A"));
    writer.delta(1, text("B"));
    for (const int64_t choice : {1, 0}) writer.finish(choice, finished("stop"));
    writer.end({}, {});
  };
  auto out = recorder();
  KserveInfer infer = read_kserve_infer(
      plain(R"({"id": "7", "inputs": [{"name": "text_input", "datatype": "BYTES", "shape": [2, 1], "data": [["one"], ["two"]]}],
    "parameters": {"max_tokens": 5, "temperature": 0.5, "stop_words": ["END"], "random_seed": 3, "priority": 2, "timeout": 100}})"),
      kModel, out);
  const GenerationRequest& r = infer.generation->request;
  EXPECT_EQ(r.prompts, (std::vector<GenerationRequest::Prompt>{"one", "two"}));
  EXPECT_EQ(r.max_tokens, 5);
  EXPECT_EQ(r.sampling.temperature, 0.5);
  EXPECT_EQ(r.sampling.stop, std::vector<std::string>{"END"});
  EXPECT_EQ(r.sampling.seed, 3U);
  EXPECT_EQ(r.priority, 2);
  play_two(infer);
  EXPECT_EQ(
      out->json(),
      parse_json(
          R"({"id": "7", "model_name": "tiny", "model_version": "1", "outputs": [{"name": "text_output", "datatype": "BYTES", "shape": [2, 1],
    "data": ["<a>A", "bB"]}]})",
          "expected"));

  out = recorder();
  const std::string tensor = bytes_tensor({"one", "zwölf"});
  infer = read_kserve_infer(
      framed(R"({"inputs": [{"name": "text_input", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": )" +
                 std::to_string(tensor.size()) + R"(}}], "outputs": [{"name": "text_output", "parameters": {"binary_data": true}}]})",
             tensor),
      kModel, out);
  EXPECT_EQ(infer.generation->request.prompts, (std::vector<GenerationRequest::Prompt>{"one", "zwölf"}));
  EXPECT_EQ(infer.generation->request.max_tokens, 16);
  play_two(infer);
  const size_t length = std::stoul(out->header("inference-header-content-length"));
  EXPECT_EQ(parse_json(out->response.body.substr(0, length), "head")["outputs"][0]["parameters"]["binary_data_size"], 14);
  EXPECT_EQ(out->response.body.substr(length), bytes_tensor({"<a>A", "bB"}));

  const auto refused = [](std::string binary, const std::string& shape) {
    return param_of(framed(R"({"inputs": [{"name": "text_input", "datatype": "BYTES", "shape": )" + shape +
                               R"(, "parameters": {"binary_data_size": )" + std::to_string(binary.size()) + "}}]}",
                           binary));
  };
  EXPECT_EQ(refused(bytes_tensor({"one"}), "[1]"), "");
  EXPECT_EQ(refused(bytes_tensor({"one"}), "[2]"), "inputs[0]");
  EXPECT_EQ(refused(bytes_tensor({"one"}) + "x", "[1]"), "inputs[0]");
  EXPECT_EQ(refused(std::string("\xff\xff\xff\xff") + "abc", "[1]"), "inputs[0]");
  EXPECT_EQ(refused("\x03", "[1]"), "inputs[0]");
  EXPECT_EQ(refused(bytes_tensor({"\xc3("}), "[1]"), "inputs[0]");  // no UTF-8
  EXPECT_EQ(refused(bytes_tensor({"one"}), "[1, 2]"), "inputs[0].shape");
  EXPECT_EQ(refused(bytes_tensor({"one"}), "[1000000000]"), "inputs[0].shape");
}

TEST(Kserve, Generate) {
  auto out = recorder();
  Generation g = read_kserve_generate(R"({"text_input": "p", "id": "9", "max_tokens": 20, "stop_words": [""], "bad_words": [""],
    "parameters": {"max_tokens": 5, "temperature": 0, "top_k": 3, "stream": false}})",
                                      kModel, false, out);
  EXPECT_EQ(std::get<std::string>(g.request.prompts.at(0)), "p");
  EXPECT_EQ(g.request.max_tokens, 20);  // what stands beside the text counts more
  EXPECT_EQ(g.request.sampling.temperature, 0);
  EXPECT_EQ(g.request.sampling.top_k, 3);
  EXPECT_TRUE(g.request.sampling.stop.empty());
  EXPECT_FALSE(g.request.stream || g.request.echo);
  play(*g.writer, {text("It is "), text("12.")}, finished("stop"));
  EXPECT_EQ(out->json(), parse_json(R"({"id": "9", "model_name": "tiny", "model_version": "1", "text_output": "It is 12."})", "expected"));

  out = recorder();
  g = read_kserve_generate(R"({"text_input": "p", "exclude_input_in_output": false})", kModel, true, out);
  EXPECT_TRUE(g.request.stream && g.request.echo);
  g.writer->start(played_head());
  g.writer->prompt(0, "p", {});
  g.writer->delta(0, text("a"));
  g.writer->delta(0, {});
  g.writer->delta(0, text("b"));
  g.writer->finish(0, finished("stop"));
  g.writer->end({}, {});
  EXPECT_TRUE(out->complete());
  EXPECT_EQ(out->response.body, R"(data: {"model_name":"tiny","model_version":"1","text_output":"p"}

data: {"model_name":"tiny","model_version":"1","text_output":"a"}

data: {"model_name":"tiny","model_version":"1","text_output":"b"}

)");

  out = recorder();
  g = read_kserve_generate(R"({"text_input": "p", "parameters": {"stream": false}})", kModel, true, out);
  play(*g.writer, {text("a"), text("b")}, finished("stop"));
  EXPECT_EQ(out->response.body, "data: {\"model_name\":\"tiny\",\"model_version\":\"1\",\"text_output\":\"ab\"}\n\n");

  out = recorder();
  g = read_kserve_generate(R"({"text_input": "p"})", kModel, true, out);
  g.writer->start(played_head());
  g.writer->fail(http::ApiError(503, "the server ends"));
  EXPECT_EQ(out->response.body, "data: {\"error\":\"the server ends\"}\n\n");
  out = recorder();
  read_kserve_generate(R"({"text_input": "p"})", kModel, true, out).writer->fail(http::ApiError(429, "full"));
  EXPECT_EQ(out->response.status, 429);
  EXPECT_EQ(out->json(), parse_json(R"({"error": "full"})", "expected"));

  bool refused = false;
  const auto generate = [](const std::string& body) { read_kserve_generate(body, kModel, false, recorder()); };
  EXPECT_EQ(refused_param(generate, R"({"text_input": "p", "stream": true})", &refused), "stream");
  EXPECT_EQ(refused_param(generate, R"({"text_input": "p", "parameters": {"temperature": -1}})", &refused), "parameters.temperature");
  EXPECT_EQ(refused_param(generate, R"({"text_input": "p", "parameters": {"a": {"b": 1}}})", &refused), "parameters.a");
}

TEST(Kserve, TellsOfServerAndModel) {
  EXPECT_EQ(kserve_model(kModel), parse_json(R"({"name": "tiny", "versions": ["1"], "platform": "r1",
    "inputs": [{"name": "input_ids", "datatype": "INT64", "shape": [-1, -1]}, {"name": "attention_mask", "datatype": "INT64", "shape": [-1, -1]},
               {"name": "text_input", "datatype": "BYTES", "shape": [-1]}],
    "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, -1, 3]}, {"name": "text_output", "datatype": "BYTES", "shape": [-1]}]})",
                                             "expected"));
  EXPECT_EQ(kserve_server("0.1.0")["name"], "r1");
  EXPECT_EQ(kserve_server("0.1.0")["extensions"][0], "binary_tensor_data");
  EXPECT_EQ(kserve_repository(kModel), parse_json(R"([{"name": "tiny", "version": "1", "state": "READY", "reason": ""}])", "expected"));
  EXPECT_EQ(message_of([] { check_kserve_model(kModel, "tiny", ""); }), "no error");
  EXPECT_EQ(message_of([] { check_kserve_model(kModel, "tiny", "1"); }), "no error");
  EXPECT_EQ(message_of([] { check_kserve_model(kModel, "other", ""); }), "model 'other' is not here; served is 'tiny'");
  EXPECT_EQ(message_of([] { check_kserve_model(kModel, "tiny", "2"); }), "model 'tiny' has version 1, not '2'");
}

const char kInferBody[] =
    R"({"id": "a", "inputs": [{"name": "input_ids", "datatype": "INT64", "shape": [1, 2], "data": [0, 1], "parameters": {}},
  {"name": "attention_mask", "datatype": "INT64", "shape": [1, 2], "data": [[1, 1]]}], "outputs": [{"name": "logits",
      "parameters": {"binary_data": false}}],
  "parameters": {"binary_data_output": false, "priority": 1}})";
const char kTextBody[] =
    R"({"inputs": [{"name": "text_input", "datatype": "BYTES", "shape": [1, 1], "data": [["a"]]}], "parameters": {"max_tokens": 3, "stop": "x"}})";
const char kGenerateBody[] =
    R"({"text_input": "p", "id": "a", "max_tokens": 3, "min_tokens": 1, "temperature": 1, "top_p": 0.5, "top_k": 3, "min_p": 0.1,
  "repetition_penalty": 1.1, "presence_penalty": 0.1, "frequency_penalty": 0.1, "seed": 3, "stop": ["x"], "ignore_eos": false, "priority": 1,
      "stream": false,
  "exclude_input_in_output": true, "parameters": {"max_tokens": 3, "temperature": 1}})";

TEST(Kserve, EveryFieldWithEveryValue) {
  const auto infer = [](const std::string& body) { infer_of(plain(body)); };
  const auto generate = [](const std::string& body) { read_kserve_generate(body, kModel, true, recorder()); };
  EXPECT_GT(sweep_fields(body_schema<KserveInferBody>(), parse_json(kInferBody, "infer"), infer).refused, 150);
  EXPECT_GT(sweep_fields(body_schema<KserveGenerateBody>(), parse_json(kGenerateBody, "generate"), generate).refused, 400);
  EXPECT_GT(mutate_bodies({kInferBody, kTextBody}, 4000, infer).refused, 1000);
  EXPECT_GT(mutate_bodies({kGenerateBody}, 2000, generate).refused, 500);
}

// The frame too: lengths, the JSON's end, tensors. What is taken has rows that fit the limits.
TEST(Kserve, MutatedBinaryBodies) {
  const std::string json =
      R"({"inputs": [{"name": "input_ids", "datatype": "INT64", "shape": [2, 2], "parameters": {"binary_data_size": 32}}]})";
  const std::string texts = bytes_tensor({"one", "two"});
  const std::string text_json =
      R"({"inputs": [{"name": "text_input", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 14}}]})";
  std::mt19937 random(5);
  int taken = 0;
  for (int i = 0; i < 6000; ++i) {
    const bool text = i % 2;
    http::Request request = text ? framed(text_json, texts) : framed(json, bytes_of<int64_t>({0, 1, 2, 0}));
    const size_t head = text ? text_json.size() : json.size();
    switch (random() % 4) {
      case 0:
        request.body = mutated(request.body, random);
        break;
      case 1:
        request.body = request.body.substr(0, head) + mutated(request.body.substr(head), random);
        break;
      case 2:
        request.headers[0].second = mutated(request.headers[0].second, random);
        break;
      default:
        request.body.resize(random() % (request.body.size() + 1));
        break;
    }
    bool refused = false;
    refused_param(
        [&](const std::string&) {
          const KserveInfer infer = infer_of(request);
          ++taken;
          for (const auto& row : infer.rows) {
            EXPECT_LE(int64_t(row.size()), kModel.max_model_len);
            for (const TokenId id : row) EXPECT_TRUE(id >= 0 && id < 3);
          }
        },
        "", &refused);
  }
  EXPECT_GT(taken, 20);
}

// config.pbtxt, as far as such a file goes: fields, messages and lists of them, as JSON in which a field that is there twice is a list.
class Pbtxt {
 public:
  explicit Pbtxt(const std::string& text) : text_(text) {}
  Json message(char end = 0) {
    Json out = Json::object();
    while (skip(), peek() != end) {
      const std::string name = word();
      skip();
      if (peek() == ':') ++at_, skip();
      out[name] = value();
    }
    if (end) ++at_;
    return out;
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : 0; }
  void skip() {
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == '#') at_ = std::min(text_.find('\n', at_), text_.size() - 1);
      if (!std::isspace(static_cast<unsigned char>(text_[at_])) && text_[at_] != ',') return;
    }
  }
  std::string word() {
    const size_t from = at_;
    while (std::isalnum(static_cast<unsigned char>(peek())) || peek() == '_' || peek() == '-') ++at_;
    if (at_ == from) throw Error("no word at " + text_.substr(from, 20));
    return text_.substr(from, at_ - from);
  }
  Json value() {
    if (peek() == '{') return ++at_, message('}');
    if (peek() == '[') {
      Json list = Json::array();
      for (++at_; skip(), peek() != ']';) list.push_back(value());
      return ++at_, list;
    }
    if (peek() == '"') {
      const size_t end = text_.find('"', at_ + 1);
      std::string text = text_.substr(at_ + 1, end - at_ - 1);
      at_ = end + 1;
      return text;
    }
    const std::string one = word();
    if (one == "true" || one == "false") return one == "true";
    return one[0] == '-' || std::isdigit(static_cast<unsigned char>(one[0])) ? Json(std::stoi(one)) : Json(one);
  }

  const std::string text_;
  size_t at_ = 0;
};

TEST(Kserve, DeployedConfigSaysTheSame) {
  const auto file = std::filesystem::path(R1_SOURCE_DIR) / "deploy" / "triton" / "config.pbtxt";
  const std::string text = read_file(file);
  Json config = Pbtxt(text).message();
  const KserveModel any = {.name = "r1", .vocab_size = -1, .max_model_len = 64};  // any vocabulary
  Json expected = kserve_model_config(any);
  expected.erase("platform");
  EXPECT_EQ(nlohmann::json(config), nlohmann::json(expected));
  // And so the metadata route does.
  const Json metadata = kserve_model(any);
  for (const auto& [list, infos] : {std::pair("inputs", &config["input"]), std::pair("outputs", &config["output"])}) {
    ASSERT_EQ(metadata[list].size(), infos->size());
    for (size_t i = 0; i < infos->size(); ++i) {
      EXPECT_EQ(metadata[list][i]["name"], (*infos)[i]["name"]);
      EXPECT_EQ(metadata[list][i]["shape"], (*infos)[i]["dims"]);
      const std::string type = metadata[list][i]["datatype"];
      EXPECT_EQ("TYPE_" + (type == "BYTES" ? "STRING" : type), (*infos)[i]["data_type"]);
    }
  }
}

}  // namespace
}  // namespace r1::api
