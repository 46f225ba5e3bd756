// The KServe v2 protocol (Open Inference Protocol) as Triton speaks it: server and model metadata, readiness, infer with JSON or binary
// tensors, and Triton's generate extension. One model, version "1", with
//   input_ids INT64 [B, T], attention_mask INT64 [B, T] if rows are padded  ->  logits FP32 [B, T, vocab]
//   text_input BYTES [B] (or [B, 1])                                        ->  text_output BYTES, of that shape
// Rows of different lengths are padded and masked, on the left or on the right; the logits of padding are zero. Left out: shared memory,
// classification, sequences, loading and unloading. Sizes are checked, against each other and against what the body holds, before anything
// is taken from it. deploy/triton/config.pbtxt says the same as kserve_model_config().
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "r1/api/body.h"
#include "r1/api/generation.h"
#include "r1/http/message.h"

namespace r1::api {

struct KserveModel {
  std::string name;
  int64_t vocab_size = 0, max_model_len = 0;
  int64_t max_logits_bytes = 512 << 20;  // of one answer; as JSON a third of the values
};

inline constexpr char kKserveVersion[] = "1";

struct KserveTensor {
  std::string name, datatype;
  std::vector<int64_t> shape;
  Json data, parameters;
  void visit(Body& v);
};
struct KserveOutput {
  std::string name;
  Json parameters;
  void visit(Body& v);
};
struct KserveInferBody {
  std::string id;
  std::vector<KserveTensor> inputs;
  std::vector<KserveOutput> outputs;
  Json parameters;
  void visit(Body& v);
};

// Sampling of texts, in a request's parameters; of generate also beside text_input.
struct KserveSampling {
  std::optional<int64_t> max_tokens, min_tokens, top_k, priority, seed;
  std::optional<double> temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty;
  std::optional<bool> ignore_eos, stream, exclude_input_in_output;
  Json stop;
  void visit(Body& v);
};
struct KserveGenerateBody : KserveSampling {
  std::string text_input, id;
  std::optional<KserveSampling> parameters;
  void visit(Body& v);
};

// What to run: the logits of `rows`, or `generation`.
struct KserveInfer {
  std::string id;
  std::vector<std::vector<TokenId>> rows = {};  // without padding, each of one token at least
  std::vector<int64_t> begins = {};             // where a row begins among its `width` places
  int64_t width = 0;
  bool binary = false;
  std::optional<Generation> generation = {};
};
KserveInfer read_kserve_infer(const http::Request& request, const KserveModel& model, const http::ResponderPtr& responder);
// logits[i]: fp32 [rows[i].size() * vocab_size].
http::Response kserve_logits(const KserveInfer& infer, const KserveModel& model, const std::vector<std::vector<float>>& logits);

// /generate (one object) and /generate_stream (server-sent events; one of them, whole, if "stream": false).
Generation read_kserve_generate(const std::string& body, const KserveModel& model, bool stream_route, const http::ResponderPtr& responder);

// ApiError 404 if another model or version is asked for; `version` may be empty.
void check_kserve_model(const KserveModel& model, const std::string& name, const std::string& version);
Json kserve_server(const std::string& version);      // GET /v2
Json kserve_model(const KserveModel& model);         // GET /v2/models/{m}
Json kserve_model_config(const KserveModel& model);  // GET /v2/models/{m}/config
Json kserve_repository(const KserveModel& model);    // POST /v2/repository/index

}  // namespace r1::api
