#include "r1/api/kserve.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

#include "r1/api/block_writer.h"
#include "r1/api/characters.h"
#include "r1/api/openai_fields.h"
#include "r1/api/openai_json.h"
#include "r1/base/error.h"
#include "r1/http/error.h"

namespace r1::api {
namespace {

using http::ApiError;

static_assert(std::endian::native == std::endian::little, "tensors are sent as they lie in memory");

constexpr size_t kMaxText = 8 << 20, kMaxRows = 1024, kMaxTexts = 128, kMaxParameters = 64;
constexpr int64_t kJsonPerBinary = 3;  // a float as text takes that much more

// Parameters are a flat object of few scalars.
void check_parameters(const Json& parameters, const std::string& path) {
  if (parameters.is_null()) return;
  if (!parameters.is_object()) refuse(path, str("expected an object, got ", parameters.type_name()), "invalid_type");
  if (parameters.size() > kMaxParameters) refuse(path, str("expected at most ", kMaxParameters, " parameters, got ", parameters.size()));
  for (const auto& [name, value] : parameters.items())
    if (value.is_object() || (value.is_array() && std::ranges::any_of(value, [](const Json& one) { return one.is_structured(); })))
      refuse(path + "." + printable(name), "expected a number, a text or true or false");
}

template <class T>
std::optional<T> parameter(const Json& parameters, const char* name, const std::string& path, const Limits& limits = {}) {
  std::optional<T> out;
  if (!parameters.is_object()) return out;
  const auto at = parameters.find(name);
  if (at != parameters.end() && !at->is_null()) Body::read(*at, out, path + "." + name, limits);
  return out;
}

// The JSON part of a body and what lies behind it.
struct Parts {
  std::string_view json, binary;
  bool framed = false;
};

Parts parts_of(const http::Request& request) {
  const std::string_view header = request.header("inference-header-content-length");
  if (header.empty()) return {request.body, {}, false};
  uint64_t length = 0;
  const auto [end, error] = std::from_chars(header.data(), header.data() + header.size(), length);
  if (error != std::errc() || end != header.data() + header.size() || length == 0 || length > request.body.size())
    throw ApiError(400,
                   str("inference-header-content-length: expected a number from 1 to the body's ", request.body.size(), " bytes, got '",
                       printable(header), "'"),
                   "inference-header-content-length", "invalid_value");
  const std::string_view body = request.body;
  return {body.substr(0, length), body.substr(length), true};
}

// Elements of a shape, all of it checked: no product overflows.
int64_t elements_of(const std::vector<int64_t>& shape, int64_t most, const std::string& path) {
  int64_t n = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < 1) refuse(str(path, ".shape[", i, "]"), str("expected at least 1, got ", shape[i]));
    if (shape[i] > most / n) refuse(path + ".shape", str("expected at most ", most, " elements"));
    n *= shape[i];
  }
  return n;
}

// The elements of "data", flat or nested as the shape is, in row-major order.
void flatten(const Json& data, const std::vector<int64_t>& shape, size_t axis, const std::string& path, std::vector<const Json*>& out) {
  if (!data.is_array()) refuse(path, str("expected a list, got ", data.type_name()), "invalid_type");
  if (axis + 1 == shape.size() || (axis == 0 && !data.empty() && !data[0].is_array())) {
    int64_t n = 1;
    for (size_t i = axis; i < shape.size(); ++i) n *= shape[i];
    if (int64_t(data.size()) != n)
      refuse(path, str("expected ", n, " elements, as the shape says, got ", data.size(),
                       axis ? "; rows of different lengths are padded and masked" : ""));
    for (const Json& one : data) out.push_back(&one);
    return;
  }
  if (int64_t(data.size()) != shape[axis]) refuse(path, str("expected ", shape[axis], " rows, as the shape says, got ", data.size()));
  for (size_t i = 0; i < data.size(); ++i) flatten(data[i], shape, axis + 1, str(path, "[", i, "]"), out);
}

// An input, with its place among the binary data if it has one.
struct Input {
  const KserveTensor* tensor = nullptr;
  std::string path;
  std::optional<std::string_view> binary;
};

std::vector<Input> inputs_of(const KserveInferBody& body, const Parts& parts) {
  std::vector<Input> out;
  std::string_view left = parts.binary;
  for (size_t i = 0; i < body.inputs.size(); ++i) {
    const KserveTensor& tensor = body.inputs[i];
    const std::string path = str("inputs[", i, "]");
    check_parameters(tensor.parameters, path + ".parameters");
    if (tensor.parameters.is_object() && tensor.parameters.contains("shared_memory_region"))
      refuse(path + ".parameters.shared_memory_region", "there is no shared memory here; send the data", "unsupported_parameter");
    const auto size = parameter<int64_t>(tensor.parameters, "binary_data_size", path + ".parameters", {.min = 0});
    if (size.has_value() == !tensor.data.is_null())
      refuse(path, size ? "has both data and binary_data_size" : "has neither data nor binary_data_size");
    if (size && !parts.framed)
      refuse(path + ".parameters.binary_data_size", "needs the header inference-header-content-length: where the JSON ends");
    Input input{&tensor, path, {}};
    if (size) {
      if (uint64_t(*size) > left.size())
        refuse(path + ".parameters.binary_data_size",
               str("expected at most the ", left.size(), " bytes that are left of the body, got ", *size));
      input.binary = left.substr(0, size_t(*size));
      left.remove_prefix(size_t(*size));
    }
    out.push_back(std::move(input));
  }
  if (!left.empty()) refuse("inputs", str("the body has ", left.size(), " bytes of binary data that no input claims"));
  return out;
}

const Input* find_input(const std::vector<Input>& inputs, std::string_view name) {
  const auto at = std::ranges::find_if(inputs, [&](const Input& input) { return input.tensor->name == name; });
  return at == inputs.end() ? nullptr : &*at;
}

void check_datatype(const Input& input, const char* datatype) {
  if (input.tensor->datatype != datatype)
    refuse(input.path + ".datatype", str("expected ", datatype, ", got '", printable(input.tensor->datatype), "'"));
}

std::vector<int64_t> read_int64(const Input& input, int64_t rows, int64_t columns) {
  check_datatype(input, "INT64");
  const std::vector<int64_t>& shape = input.tensor->shape;
  if (shape.size() != 2) refuse(input.path + ".shape", str("expected [batch, tokens], got ", shape.size(), " dimensions"));
  const int64_t n = elements_of(shape, rows * columns, input.path);
  if (shape[0] > rows || shape[1] > columns)
    refuse(input.path + ".shape", str("expected at most [", rows, ", ", columns, "], got [", shape[0], ", ", shape[1], "]"));
  std::vector<int64_t> out;
  if (input.binary) {
    if (input.binary->size() != size_t(n) * sizeof(int64_t))
      refuse(input.path + ".parameters.binary_data_size",
             str("expected ", size_t(n) * sizeof(int64_t), " bytes for this shape, got ", input.binary->size()));
    out.resize(size_t(n));
    std::memcpy(out.data(), input.binary->data(), input.binary->size());
    return out;
  }
  std::vector<const Json*> elements;
  flatten(input.tensor->data, shape, 0, input.path + ".data", elements);
  out.reserve(elements.size());
  for (const Json* element : elements) Body::read(*element, out.emplace_back(), input.path + ".data", {});
  return out;
}

std::vector<std::string> read_texts(const Input& input) {
  check_datatype(input, "BYTES");
  const std::vector<int64_t>& shape = input.tensor->shape;
  if (shape.size() != 1 && (shape.size() != 2 || shape[1] != 1)) refuse(input.path + ".shape", "expected [batch] or [batch, 1]");
  const int64_t n = elements_of(shape, int64_t(kMaxTexts), input.path);
  std::vector<std::string> out;
  if (input.binary) {
    std::string_view left = *input.binary;
    for (int64_t i = 0; i < n; ++i) {
      uint32_t length = 0;
      if (left.size() >= sizeof length) std::memcpy(&length, left.data(), sizeof length);
      if (left.size() < sizeof length || length > left.size() - sizeof length)
        refuse(input.path, str("element ", i, " does not fit into the binary data: a length of 4 bytes and as many bytes of text are due"));
      out.emplace_back(left.substr(sizeof length, length));
      left.remove_prefix(sizeof length + length);
    }
    if (!left.empty()) refuse(input.path, str(left.size(), " bytes are left behind the last of ", n, " elements"));
  } else {
    std::vector<const Json*> elements;
    flatten(input.tensor->data, shape, 0, input.path + ".data", elements);
    for (const Json* element : elements) Body::read(*element, out.emplace_back(), input.path + ".data", {.max_length = kMaxText});
  }
  if (!std::ranges::all_of(out, is_utf8)) refuse(input.path, "expected UTF-8");
  return out;
}

// Where the ones of a mask are: they stand in one piece, with the padding on one side of it.
std::pair<int64_t, int64_t> unmasked(std::span<const int64_t> mask, const std::string& path) {
  int64_t begin = -1, end = -1;
  for (int64_t i = 0; i < int64_t(mask.size()); ++i) {
    if (mask[size_t(i)] != 0 && mask[size_t(i)] != 1) refuse(path, str("expected 0 and 1, got ", mask[size_t(i)]));
    if (mask[size_t(i)] == 0) continue;
    if (end >= 0 && end != i) refuse(path, "expected the zeros of a row on one side of it: they are padding");
    if (begin < 0) begin = i;
    end = i + 1;
  }
  if (begin < 0) refuse(path, "a row has no ones");
  if (begin > 0 && end < int64_t(mask.size())) refuse(path, "expected the zeros of a row on one side of it: they are padding");
  return {begin, end};
}

void read_rows(KserveInfer& out, const Input& ids, const Input* mask, const KserveModel& model) {
  const std::vector<int64_t> values = read_int64(ids, int64_t(kMaxRows), model.max_model_len);
  const int64_t rows = ids.tensor->shape[0], width = ids.tensor->shape[1];
  const int64_t most = model.max_logits_bytes / int64_t(sizeof(float)) / (out.binary ? 1 : kJsonPerBinary);
  if (rows * width > most / model.vocab_size)
    refuse(ids.path + ".shape",
           str("the logits of ", rows, " x ", width, " tokens are more than the ", most,
               " values that an answer holds; ask for fewer tokens at a time", out.binary ? "" : ", or for binary_data"));
  std::vector<int64_t> ones;
  if (mask) {
    if (mask->tensor->shape != ids.tensor->shape) refuse(mask->path + ".shape", "expected that of input_ids");
    ones = read_int64(*mask, rows, width);
  }
  out.width = width;
  for (int64_t i = 0; i < rows; ++i) {
    const auto [begin, end] =
        mask ? unmasked(std::span(ones).subspan(size_t(i * width), size_t(width)), mask->path) : std::pair<int64_t, int64_t>(0, width);
    std::vector<TokenId>& row = out.rows.emplace_back();
    for (int64_t t = begin; t < end; ++t) {
      const int64_t id = values[size_t(i * width + t)];
      if (id < 0 || id >= model.vocab_size)
        refuse(ids.path, str("expected ids from 0 to ", model.vocab_size - 1, ", got ", id, " at [", i, ", ", t, "]"));
      row.push_back(TokenId(id));
    }
    out.begins.push_back(begin);
  }
}

// What stands beside text_input wins over what stands in the parameters.
KserveSampling combined(KserveSampling a, const KserveSampling& b) {
  const auto take = [](auto& mine, const auto& other) {
    if (!mine) mine = other;
  };
  take(a.max_tokens, b.max_tokens), take(a.min_tokens, b.min_tokens), take(a.top_k, b.top_k), take(a.priority, b.priority);
  take(a.temperature, b.temperature), take(a.top_p, b.top_p), take(a.min_p, b.min_p), take(a.seed, b.seed);
  take(a.repetition_penalty, b.repetition_penalty), take(a.presence_penalty, b.presence_penalty);
  take(a.frequency_penalty, b.frequency_penalty), take(a.ignore_eos, b.ignore_eos), take(a.stream, b.stream);
  take(a.exclude_input_in_output, b.exclude_input_in_output);
  if (a.stop.is_null()) a.stop = b.stop;
  return a;
}

void apply(const KserveSampling& s, GenerationRequest& r) {
  SamplingFields sampling;
  sampling.max_tokens = s.max_tokens.value_or(16);
  sampling.min_tokens = s.min_tokens;
  sampling.temperature = s.temperature;
  sampling.top_p = s.top_p;
  sampling.min_p = s.min_p;
  sampling.top_k = s.top_k;
  sampling.repetition_penalty = s.repetition_penalty;
  sampling.presence_penalty = s.presence_penalty;
  sampling.frequency_penalty = s.frequency_penalty;
  sampling.seed = s.seed;
  sampling.ignore_eos = s.ignore_eos.value_or(false);
  sampling.apply(r);
  r.priority = s.priority.value_or(0);
  r.echo = !s.exclude_input_in_output.value_or(true);
  const Limits limits = {.max_length = 1024, .max_items = 64};
  if (s.stop.is_string())
    Body::read(s.stop, r.sampling.stop.emplace_back(), "stop", limits);
  else if (!s.stop.is_null())
    Body::read(s.stop, r.sampling.stop, "stop", limits);
  std::erase(r.sampling.stop, "");  // as clients of Triton write that there is none
}

// What every answer begins with.
Json head_json(const std::string& id, const std::string& model) {
  Json out = Json::object();
  if (!id.empty()) out["id"] = id;
  out["model_name"] = model;
  out["model_version"] = kKserveVersion;
  return out;
}

// Texts of an answer: an infer response, one object, or server-sent events.
class TextWriter : public AnswerWriter {
 public:
  enum class Shape { kInfer, kObject, kEvents };
  struct Options {
    Shape shape = Shape::kObject;
    std::string model, id;
    std::vector<int64_t> dims;  // of an infer response
    bool pieces = false;        // events come as the text does, else one at the end
    bool binary = false;
  };
  TextWriter(http::ResponderPtr responder, Options options) : responder_(std::move(responder)), options_(std::move(options)) {}

  void start(const Head& head) override {
    texts_.resize(size_t(head.choices));
    headers_.push_back(weights_header(head.model_version));
    if (head.truncated) headers_.emplace_back("x-r1-truncated", "true");
    if (options_.shape != Shape::kEvents) return;
    const http::Headers streaming = event_headers();
    headers_.insert(headers_.end(), streaming.begin(), streaming.end());
    responder_->begin(200, "text/event-stream", headers_);
    begun_ = true;
  }
  void prompt(int64_t choice, const std::string& text, const std::vector<TokenInfo>&) override { add(choice, text); }
  void delta(int64_t choice, const Delta& delta) override { add(choice, delta.reasoning + delta.content); }
  void finish(int64_t, const Finish&) override {}

  void end(const Usage&, const Timings&) override {
    if (options_.shape == Shape::kInfer) return responder_->send(infer_response());
    if (options_.shape == Shape::kObject) return responder_->send({.body = dump_json(piece_json(texts_.at(0))), .headers = headers_});
    if (!options_.pieces) responder_->write(http::sse(dump_json(piece_json(texts_.at(0)))));
    responder_->end();
  }

  void fail(const std::exception& error) override {
    http::Response response = plain_error(error);
    if (!begun_) return responder_->send(std::move(response));
    responder_->write(http::sse(response.body));
    responder_->end();
  }

 private:
  void add(int64_t choice, const std::string& text) {
    if (text.empty()) return;
    if (options_.pieces)
      responder_->write(http::sse(dump_json(piece_json(text))));
    else
      texts_.at(size_t(choice)) += text;
  }

  Json piece_json(const std::string& text) const {
    Json out = head_json(options_.id, options_.model);
    out["text_output"] = text;
    return out;
  }

  http::Response infer_response() const {
    Json output = {{"name", "text_output"}, {"datatype", "BYTES"}, {"shape", options_.dims}};
    std::string binary;
    if (options_.binary) {
      for (const std::string& text : texts_) {
        const auto length = uint32_t(text.size());
        binary.append(reinterpret_cast<const char*>(&length), sizeof length).append(text);
      }
      output["parameters"] = {{"binary_data_size", binary.size()}};
    } else {
      output["data"] = texts_;
    }
    Json json = head_json(options_.id, options_.model);
    json["outputs"] = Json::array({std::move(output)});
    http::Response response{.body = dump_json(json), .headers = headers_};
    if (!options_.binary) return response;
    response.headers.emplace_back("inference-header-content-length", std::to_string(response.body.size()));
    response.content_type = "application/octet-stream";
    response.body += binary;
    return response;
  }

  http::ResponderPtr responder_;
  Options options_;
  http::Headers headers_;
  std::vector<std::string> texts_;
  bool begun_ = false;
};

// Whether the one output that there is for such an input goes out as binary data.
bool wants_binary(const KserveInferBody& body, const char* output) {
  bool binary = parameter<bool>(body.parameters, "binary_data_output", "parameters").value_or(false);
  for (size_t i = 0; i < body.outputs.size(); ++i) {
    const std::string path = str("outputs[", i, "]");
    check_parameters(body.outputs[i].parameters, path + ".parameters");
    if (body.outputs[i].name != output)
      refuse(path + ".name", str("there is no output '", printable(body.outputs[i].name), "' of this input, only '", output, "'"));
    for (const char* other : {"classification", "shared_memory_region"})
      if (body.outputs[i].parameters.is_object() && body.outputs[i].parameters.contains(other))
        refuse(path + ".parameters." + other, "is not known here", "unsupported_parameter");
    binary = parameter<bool>(body.outputs[i].parameters, "binary_data", path + ".parameters").value_or(binary);
  }
  return binary;
}

// Row i's logits at their places, zeros elsewhere.
void append_binary(std::string& out, const std::vector<float>& row, int64_t begin, int64_t width, int64_t vocab) {
  const size_t at = out.size();
  out.resize(at + size_t(width * vocab) * sizeof(float));
  std::memcpy(out.data() + at + size_t(begin * vocab) * sizeof(float), row.data(), row.size() * sizeof(float));
}

void append_text(std::string& out, const std::vector<float>& row, int64_t begin, int64_t width, int64_t vocab) {
  const size_t from = size_t(begin * vocab), total = size_t(width * vocab);
  char text[32];
  for (size_t i = 0; i < total; ++i) {
    if (out.back() != '[') out += ',';
    const float value = i >= from && i - from < row.size() ? row[i - from] : 0.0F;
    if (std::isfinite(value))
      out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
    else
      out += "null";  // JSON has no word for it
  }
}

// The tensors of the model, as metadata and configuration tell of them.
struct TensorInfo {
  const char *name, *datatype;
  std::vector<int64_t> dims;
};
std::vector<TensorInfo> input_infos() {
  return {{"input_ids", "INT64", {-1, -1}}, {"attention_mask", "INT64", {-1, -1}}, {"text_input", "BYTES", {-1}}};
}
std::vector<TensorInfo> output_infos(const KserveModel& model) {
  return {{"logits", "FP32", {-1, -1, model.vocab_size}}, {"text_output", "BYTES", {-1}}};
}

}  // namespace

void KserveTensor::visit(Body& v) {
  v("name", name, "input_ids, attention_mask or text_input", {.max_length = 256, .required = true});
  v("datatype", datatype, "INT64 of ids and mask, BYTES of text", {.max_length = 32, .required = true});
  v("shape", shape, "[batch, tokens]; of text [batch] or [batch, 1]",
    {.min = 1, .max = 1 << 30, .min_items = 1, .max_items = 8, .required = true});
  v("data", data, "the elements, flat or nested; left out where binary data follow the JSON", {.schema = {{"type", "array"}}});
  v("parameters", parameters, "binary_data_size", {.schema = {{"type", "object"}, {"maxProperties", kMaxParameters}}});
}

void KserveOutput::visit(Body& v) {
  v("name", name, "logits or text_output", {.max_length = 256, .required = true});
  v("parameters", parameters, "binary_data", {.schema = {{"type", "object"}, {"maxProperties", kMaxParameters}}});
}

void KserveInferBody::visit(Body& v) {
  v("id", id, "given back", {.max_length = 256});
  v("inputs", inputs, "input_ids with attention_mask if need be, or text_input", {.min_items = 1, .max_items = 8, .required = true});
  v("outputs", outputs, "absent: the one that belongs to the input", {.max_items = 8});
  v("parameters", parameters, "binary_data_output; of text: sampling", {.schema = {{"type", "object"}, {"maxProperties", kMaxParameters}}});
}

void KserveSampling::visit(Body& v) {
  v("max_tokens", max_tokens, "tokens of the answer at most; absent: 16", {.min = 1, .max = 1 << 30});
  v.alias("min_length", "min_tokens");
  v("min_tokens", min_tokens, "", {.min = 0, .max = 1 << 30});
  v("temperature", temperature, "", {.min = 0, .max = 100});
  v("top_p", top_p, "", {.min = 0, .max = 1});
  v("top_k", top_k, "0 or -1: all", {.min = -1, .max = 1 << 30});
  v("min_p", min_p, "", {.min = 0, .max = 1});
  v("repetition_penalty", repetition_penalty, "", {.min = 1e-3, .max = 1e3});
  v("presence_penalty", presence_penalty, "", {.min = -2, .max = 2});
  v("frequency_penalty", frequency_penalty, "", {.min = -2, .max = 2});
  v.alias("random_seed", "seed");
  v("seed", seed, "-1: a fresh one", {.min = -1});
  v.alias("stop_words", "stop");
  v("stop", stop, "a text that ends the answer, or a list of such",
    {.schema = {{"anyOf", {{{"type", "string"}}, {{"type", "array"}, {"maxItems", 64}, {"items", {{"type", "string"}}}}}}}});
  v("ignore_eos", ignore_eos, "go on behind the model's own end");
  v("priority", priority, "lower is sooner", {.min = -(1 << 30), .max = 1 << 30});
  v("stream", stream, "generate_stream: an event a piece");
  v("exclude_input_in_output", exclude_input_in_output, "false: the answer begins with the prompt");
}

void KserveGenerateBody::visit(Body& v) {
  v("text_input", text_input, "the prompt", {.max_length = kMaxText, .required = true});
  v("id", id, "given back", {.max_length = 256});
  v("parameters", parameters, "sampling; what stands beside text_input counts more");
  KserveSampling::visit(v);
}

KserveInfer read_kserve_infer(const http::Request& request, const KserveModel& model, const http::ResponderPtr& responder) {
  const Parts parts = parts_of(request);
  KserveInferBody body;
  read_body(parse_body(parts.json), body);
  check_parameters(body.parameters, "parameters");
  const std::vector<Input> inputs = inputs_of(body, parts);
  const Input *ids = find_input(inputs, "input_ids"), *mask = find_input(inputs, "attention_mask"),
              *text = find_input(inputs, "text_input");
  for (const Input& input : inputs)
    if (&input != ids && &input != mask && &input != text)
      refuse(input.path + ".name", str("'", printable(input.tensor->name),
                                       "' is no input of this model, or is there twice; known: input_ids, attention_mask, text_input"));
  if (!ids == !text) refuse("inputs", "expected input_ids or text_input, one of them");
  if (mask && !ids) refuse(mask->path, "a mask belongs to input_ids");
  KserveInfer out{.id = body.id, .binary = wants_binary(body, ids ? "logits" : "text_output")};
  if (ids) {
    read_rows(out, *ids, mask, model);
    return out;
  }
  KserveSampling sampling;
  if (body.parameters.is_object()) Body::read(body.parameters, sampling, "parameters", {});
  Generation& generation = out.generation.emplace();
  apply(sampling, generation.request);
  generation.request.model = model.name;
  for (std::string& prompt : read_texts(*text)) generation.request.prompts.emplace_back(std::move(prompt));
  generation.writer = std::make_unique<TextWriter>(
      responder,
      TextWriter::Options{
          .shape = TextWriter::Shape::kInfer, .model = model.name, .id = body.id, .dims = text->tensor->shape, .binary = out.binary});
  return out;
}

http::Response kserve_logits(const KserveInfer& infer, const KserveModel& model, const std::vector<std::vector<float>>& logits) {
  check(logits.size() == infer.rows.size(), "[kserve] expected the logits of ", infer.rows.size(), " rows, got ", logits.size());
  for (size_t i = 0; i < logits.size(); ++i)
    check(logits[i].size() == infer.rows[i].size() * size_t(model.vocab_size), "[kserve] row ", i, ": expected ", infer.rows[i].size(),
          " x ", model.vocab_size, " logits, got ", logits[i].size());
  const size_t total = infer.rows.size() * size_t(infer.width) * size_t(model.vocab_size);
  Json output = {{"name", "logits"}, {"datatype", "FP32"}, {"shape", {infer.rows.size(), infer.width, model.vocab_size}}};
  if (infer.binary)
    output["parameters"] = {{"binary_data_size", total * sizeof(float)}};
  else
    output["data"] = Json::array();
  Json json = head_json(infer.id, model.name);
  json["outputs"] = Json::array({std::move(output)});
  http::Response response{.body = dump_json(json)};
  const auto append = infer.binary ? append_binary : append_text;
  std::string tail;
  if (infer.binary) {
    response.headers.emplace_back("inference-header-content-length", std::to_string(response.body.size()));
    response.content_type = "application/octet-stream";
    response.body.reserve(response.body.size() + total * sizeof(float));
  } else {  // "data":[ stands last, but for what closes it
    tail = "]}]}";
    response.body.resize(response.body.size() - tail.size());
    response.body.reserve(response.body.size() + total * 12);
  }
  for (size_t i = 0; i < logits.size(); ++i) append(response.body, logits[i], infer.begins[i], infer.width, model.vocab_size);
  response.body += tail;
  return response;
}

Generation read_kserve_generate(const std::string& text, const KserveModel& model, bool stream_route, const http::ResponderPtr& responder) {
  const Json json = parse_body(text);
  if (const auto at = json.find("parameters"); at != json.end()) check_parameters(*at, "parameters");
  KserveGenerateBody body;
  read_body(json, body);
  const KserveSampling sampling = combined(body, body.parameters.value_or(KserveSampling{}));
  if (!stream_route && sampling.stream.value_or(false)) refuse("stream", "generate gives one object; ask generate_stream");
  Generation out;
  apply(sampling, out.request);
  out.request.model = model.name;
  out.request.prompts.emplace_back(body.text_input);
  out.request.stream = stream_route && sampling.stream.value_or(true);
  using Shape = TextWriter::Shape;
  out.writer = std::make_unique<TextWriter>(responder, TextWriter::Options{.shape = stream_route ? Shape::kEvents : Shape::kObject,
                                                                           .model = model.name,
                                                                           .id = body.id,
                                                                           .dims = {},
                                                                           .pieces = out.request.stream});
  return out;
}

void check_kserve_model(const KserveModel& model, const std::string& name, const std::string& version) {
  if (name != model.name)
    throw ApiError(404, str("model '", printable(name), "' is not here; served is '", printable(model.name), "'"), "model",
                   "model_not_found");
  if (!version.empty() && version != kKserveVersion)
    throw ApiError(404, str("model '", printable(name), "' has version ", kKserveVersion, ", not '", printable(version), "'"), "version",
                   "model_not_found");
}

Json kserve_server(const std::string& version) {
  return {{"name", "r1"},
          {"version", version},
          {"extensions", {"binary_tensor_data", "generate", "model_configuration", "model_repository", "parameters"}}};
}

Json kserve_model(const KserveModel& model) {
  const auto list = [](const std::vector<TensorInfo>& infos) {
    Json out = Json::array();
    for (const TensorInfo& info : infos) out.push_back({{"name", info.name}, {"datatype", info.datatype}, {"shape", info.dims}});
    return out;
  };
  return {{"name", model.name},
          {"versions", Json::array({kKserveVersion})},
          {"platform", "r1"},
          {"inputs", list(input_infos())},
          {"outputs", list(output_infos(model))}};
}

Json kserve_model_config(const KserveModel& model) {
  const auto list = [](const std::vector<TensorInfo>& infos, bool inputs) {
    Json out = Json::array();
    for (const TensorInfo& info : infos) {
      const std::string type = std::string_view(info.datatype) == "BYTES" ? "TYPE_STRING" : str("TYPE_", info.datatype);
      out.push_back({{"name", info.name}, {"data_type", type}, {"dims", info.dims}});
      if (inputs) out.back()["optional"] = true;
    }
    return out;
  };
  return {{"name", model.name},
          {"platform", ""},
          {"backend", "r1"},
          {"max_batch_size", 0},
          {"input", list(input_infos(), true)},
          {"output", list(output_infos(model), false)},
          {"model_transaction_policy", {{"decoupled", true}}}};
}

Json kserve_repository(const KserveModel& model) {
  return Json::array({{{"name", model.name}, {"version", kKserveVersion}, {"state", "READY"}, {"reason", ""}}});
}

}  // namespace r1::api
