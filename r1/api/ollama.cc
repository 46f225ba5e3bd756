#include "r1/api/ollama.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "r1/api/block_writer.h"
#include "r1/api/openai_fields.h"
#include "r1/api/openai_json.h"
#include "r1/api/turns.h"
#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/http/error.h"

namespace r1::api {
namespace {

using http::ApiError;
using Kind = BlockWriter::Block::Kind;

constexpr size_t kMaxText = 8 << 20, kMaxMessages = 100'000, kMaxRows = 2048;

// Options of Ollama's loader and of samplers that are not here.
constexpr std::array kWithoutEffect = {"num_ctx",      "num_batch",      "num_gpu",         "main_gpu",   "num_thread",    "num_keep",
                                       "numa",         "low_vram",       "f16_kv",          "logits_all", "vocab_only",    "use_mmap",
                                       "use_mlock",    "embedding_only", "tfs_z",           "typical_p",  "repeat_last_n", "mirostat",
                                       "mirostat_tau", "mirostat_eta",   "penalize_newline"};

// What clients compare: the level of the protocol that is spoken here.
const char kVersion[] = "0.13.0";

std::string model_name(std::string name) {
  constexpr std::string_view kLatest = ":latest";
  if (name.ends_with(kLatest)) name.resize(name.size() - kLatest.size());
  return name;
}

void refuse_images(bool any, const std::string& path) {
  if (any) throw ApiError(400, path + ": images can't be read; the model reads text", path, "unsupported_content");
}

void read_stop(const Json& stop, std::vector<std::string>& out) {
  if (stop.is_null()) return;
  const Limits limits = {.max_length = 1024, .max_items = 64};
  if (stop.is_string())
    Body::read(stop, out.emplace_back(), "options.stop", limits);
  else
    Body::read(stop, out, "options.stop", limits);
  std::erase(out, "");  // as Ollama has it: no stop
}

void read_options(const OllamaOptions& o, GenerationRequest& r, Ignored& ignored) {
  SamplingFields sampling;
  sampling.temperature = o.temperature;
  sampling.top_p = o.top_p;
  sampling.min_p = o.min_p;
  sampling.top_k = o.top_k;
  sampling.repetition_penalty = o.repeat_penalty;
  sampling.presence_penalty = o.presence_penalty;
  sampling.frequency_penalty = o.frequency_penalty;
  if (o.seed && *o.seed >= 0) sampling.seed = o.seed;
  if (o.num_predict && *o.num_predict > 0) sampling.max_tokens = o.num_predict;  // else: as many as fit
  sampling.apply(r);
  read_stop(o.stop, r.sampling.stop);
  for (const auto& [name, value] : o.without_effect) ignored.push_back("options." + name);
}

void read_common(const OllamaBody& body, GenerationRequest& r, Ignored& ignored) {
  r.model = model_name(body.model);
  r.stream = body.stream;
  r.logprobs = body.logprobs || body.top_logprobs > 0;
  r.top_logprobs = body.top_logprobs;
  if (body.options) read_options(*body.options, r, ignored);
  if (body.format.is_string()) {
    std::string format;
    Body::read(body.format, format, "format", {.one_of = {"", "json"}});
    if (!format.empty()) r.format.kind = AnswerFormat::Kind::kJsonObject;
  } else if (!body.format.is_null()) {
    r.format = schema_format(body.format, "format");
  }
  if (body.think.is_boolean()) {
    r.thinking.enabled = body.think.get<bool>();
  } else if (!body.think.is_null()) {
    std::string effort;
    Body::read(body.think, effort, "think", {.one_of = {"", "low", "medium", "high", "max"}});
    set_effort(r, effort);
  }
  tell_template(r);
}

// One line of a chat or a generation, which differ in where a piece stands.
class Writer : public BlockWriter {
 public:
  Writer(const http::ResponderPtr& responder, bool stream, const Ignored& ignored, bool chat, bool logprobs)
      : BlockWriter(responder, stream, "application/x-ndjson", ignored), chat_(chat), logprobs_(logprobs) {}

 private:
  Json line(const std::string& content, const std::string& thinking, Json calls, bool done) const {
    Json out = {{"model", head_.model}, {"created_at", utc_time(head_.created)}};
    if (chat_) {
      Json message = {{"role", "assistant"}, {"content", content}};
      if (!thinking.empty()) message["thinking"] = thinking;
      if (!calls.empty()) message["tool_calls"] = std::move(calls);
      out["message"] = std::move(message);
    } else {
      out["response"] = content;
      if (!thinking.empty()) out["thinking"] = thinking;
    }
    out["done"] = done;
    return out;
  }
  void write_line(const Json& json) { write(dump_json(json) + "\n"); }

  void add_end(Json& out) const {
    const auto nanoseconds = [](double seconds) { return int64_t(std::max(0.0, seconds) * 1e9); };
    out["done_reason"] = cut() ? "length" : "stop";
    out["total_duration"] = nanoseconds(timings_.total);
    out["load_duration"] = 0;
    out["prompt_eval_count"] = usage_.prompt_tokens;
    out["prompt_eval_duration"] = nanoseconds(timings_.prompt);
    out["eval_count"] = usage_.completion_tokens;
    out["eval_duration"] = nanoseconds(timings_.total - timings_.first_token);
  }

  Json call_json(const Block& block, int64_t index) const {
    Json call = Json::object();
    if (!block.id.empty()) call["id"] = block.id;
    call["function"] = {{"index", index}, {"name", block.name}, {"arguments", arguments_object(block.text)}};
    return call;
  }

  void opened(const Block&, size_t) override {}
  void grew(const Block& block, size_t, const std::string& piece, std::span<const TokenInfo> fresh) override {
    if (block.kind == Kind::kToolCall) return;  // calls come whole
    const bool thought = block.kind == Kind::kThought;
    Json out = line(thought ? "" : piece, thought ? piece : "", {}, false);
    if (logprobs_ && !fresh.empty()) out["logprobs"] = logprobs_content({fresh.begin(), fresh.end()});
    write_line(out);
  }
  void closed(const Block& block, size_t, bool) override {
    if (block.kind == Kind::kToolCall) write_line(line("", "", Json::array({call_json(block, calls_++)}), false));
  }
  void ended() override {
    Json out = line("", "", {}, true);
    add_end(out);
    write_line(out);
  }
  std::string error_event(const std::exception& error) override { return plain_error(error).body + "\n"; }

  Json whole() override {
    std::string content, thinking;
    Json calls = Json::array();
    std::vector<TokenInfo> tokens;
    for (const Block& block : blocks_) {
      if (block.kind == Kind::kToolCall)
        calls.push_back(call_json(block, int64_t(calls.size())));
      else
        (block.kind == Kind::kThought ? thinking : content) += block.text;
      tokens.insert(tokens.end(), block.tokens.begin(), block.tokens.end());
    }
    Json out = line(content, thinking, std::move(calls), true);
    if (logprobs_) out["logprobs"] = logprobs_content(tokens);
    add_end(out);
    return out;
  }
  http::Response error_response(const std::exception& error) override { return plain_error(error); }

  bool chat_, logprobs_;
  int64_t calls_ = 0;
};

// A request without anything to say loads the model; with keep_alive 0 it unloads it. Here the model is always there.
void answer_load(const OllamaBody& body, bool chat, const http::ResponderPtr& responder) {
  const bool unload = body.keep_alive.is_number() && body.keep_alive.get<double>() == 0;
  Json out = {{"model", body.model}, {"created_at", utc_time()}};
  if (chat)
    out["message"] = {{"role", "assistant"}, {"content", ""}};
  else
    out["response"] = "";
  out["done"] = true;
  out["done_reason"] = unload ? "unload" : "load";
  responder->send({.body = dump_json(out) + (body.stream ? "\n" : ""),
                   .content_type = body.stream ? "application/x-ndjson" : "application/json",
                   .headers = unload ? ignored_headers({"keep_alive"}) : http::Headers{}});
}

void read_message(Turns& turns, const OllamaMessage& message, const std::string& path) {
  refuse_images(!message.images.empty(), path + ".images");
  if (message.role == "tool") return turns.result(message.tool_call_id, message.tool_name, message.content);
  if (message.role != "assistant") return turns.say(message.role, message.content);
  if (!message.thinking.empty()) turns.think(message.thinking);
  if (!message.content.empty() || message.tool_calls.empty()) turns.answer(message.content);
  for (size_t i = 0; i < message.tool_calls.size(); ++i) {
    const OllamaToolCall& call = message.tool_calls[i];
    Json arguments = call.function.arguments;
    if (arguments.is_string()) arguments = arguments_object(arguments.get_ref<const std::string&>());  // as OpenAI's clients keep them
    if (arguments.is_null()) arguments = Json::object();
    const std::string place = str(path, ".tool_calls[", i, "].function.arguments");
    if (!arguments.is_object()) throw ApiError(400, str(place, ": expected an object, got ", arguments.type_name()), place, "invalid_type");
    turns.call(call.id, call.function.name, std::move(arguments));
  }
}

Json details_json(const OllamaModel& model) {
  char size[32];
  const double n = double(model.parameters);
  if (n >= 1e9)
    std::snprintf(size, sizeof size, "%.1fB", n / 1e9);
  else
    std::snprintf(size, sizeof size, "%.2fM", n / 1e6);
  return {{"parent_model", ""},         {"format", model.format}, {"family", model.family},
          {"families", {model.family}}, {"parameter_size", size}, {"quantization_level", model.quantization}};
}

Json listed_json(const OllamaModel& model) {
  return {{"name", model.name}, {"model", model.name}, {"size", model.bytes}, {"digest", model.digest}, {"details", details_json(model)}};
}

}  // namespace

void OllamaFunctionCall::visit(Body& v) {
  v("name", name, "", {.max_length = 128, .required = true});
  v("arguments", arguments, "an object", {.schema = {{"anyOf", {{{"type", "object"}}, {{"type", "string"}, {"maxLength", kMaxText}}}}}});
}

void OllamaToolCall::visit(Body& v) {
  v("id", id, "", {.max_length = 256});
  v("function", function, "", {.required = true});
}

void OllamaMessage::visit(Body& v) {
  v("role", role, "who speaks", {.one_of = {"system", "developer", "user", "assistant", "tool"}, .required = true});
  v("content", content, "", {.max_length = kMaxText});
  v("thinking", thinking, "an assistant's thought", {.max_length = kMaxText});
  v("tool_calls", tool_calls, "what an assistant called", {.max_items = 1024});
  v("tool_name", tool_name, "which tool's result this is", {.max_length = 128});
  v("tool_call_id", tool_call_id, "which call's", {.max_length = 256});
  v("images", images, "refused: the model reads text", {.max_length = kMaxText, .max_items = 64});
}

void OllamaFunction::visit(Body& v) {
  v("name", name, "letters, digits and _ - . : /", {.max_length = 128, .required = true});
  v("description", description, "what it does, for the model");
  v("parameters", parameters, "JSON schema of its arguments", {.schema = {{"type", "object"}}});
}

void OllamaTool::visit(Body& v) {
  v("type", type, "", {.one_of = {"function"}});
  v("function", function, "", {.required = true});
}

void OllamaOptions::visit(Body& v) {
  v("temperature", temperature, "", {.min = 0, .max = 100});
  v("top_p", top_p, "", {.min = 0, .max = 1});
  v("min_p", min_p, "", {.min = 0, .max = 1});
  v("top_k", top_k, "0 or less: all", {.min = -1, .max = 1 << 30});
  v("seed", seed, "less than 0: a fresh one");
  v("num_predict", num_predict, "tokens of the answer at most; 0 or less: as many as fit", {.min = -2, .max = 1 << 30});
  v("repeat_penalty", repeat_penalty, "", {.min = 1e-3, .max = 1e3});
  v("presence_penalty", presence_penalty, "", {.min = -2, .max = 2});
  v("frequency_penalty", frequency_penalty, "", {.min = -2, .max = 2});
  v("stop", stop, "a text that ends the answer, or a list of such",
    {.schema = {{"anyOf", {{{"type", "string"}}, {{"type", "array"}, {"maxItems", 64}, {"items", {{"type", "string"}}}}}}}});
  for (const char* name : kWithoutEffect) {
    Json value;
    v(name, value, "taken, without effect");
    if (!value.is_null()) without_effect[name] = std::move(value);
  }
}

void OllamaBody::visit(Body& v) {
  v("model", model, "name of the served model", {.max_length = 256, .required = true});
  v("options", options, "sampling");
  v("format", format, "json, or a JSON schema of the answer",
    {.schema = {{"anyOf", {{{"type", "string"}, {"enum", {"", "json"}}}, {{"type", "object"}}}}}});
  v("think", think, "whether the model thinks, or how hard",
    {.schema = {{"anyOf", {{{"type", "boolean"}}, {{"type", "string"}, {"enum", {"", "low", "medium", "high", "max"}}}}}}});
  v("keep_alive", keep_alive, "taken; the model always stays loaded");
  v("stream", stream, "a line of JSON a piece, or one object");
  v("logprobs", logprobs, "log-probabilities of the tokens");
  v("top_logprobs", top_logprobs, "likely tokens at each place", {.min = 0, .max = 20});
}

void OllamaChatBody::visit(Body& v) {
  OllamaBody::visit(v);
  v("messages", messages, "the conversation; none: the model is loaded", {.max_items = kMaxMessages});
  v("tools", tools, "functions that the model may call", {.max_items = 1024});
}

void OllamaGenerateBody::visit(Body& v) {
  OllamaBody::visit(v);
  v("prompt", prompt, "none: the model is loaded", {.max_length = kMaxText});
  v("suffix", suffix, "text after the answer: it is filled in between", {.max_length = kMaxText});
  v("system", system, "the system message", {.max_length = kMaxText});
  v("template", prompt_template, "refused: the model's own is used", {.max_length = kMaxText});
  v("raw", raw, "the prompt as it is, without a template");
  v("context", context, "refused: send the conversation to /api/chat", {.max_items = 1 << 20});
  v("images", images, "refused: the model reads text", {.max_length = kMaxText, .max_items = 64});
}

void OllamaEmbedBody::visit(Body& v) {
  v("model", model, "name of the served model", {.max_length = 256, .required = true});
  v("input", input, "a text, or a list of texts",
    {.schema = {{"anyOf", {{{"type", "string"}}, {{"type", "array"}, {"maxItems", kMaxRows}, {"items", {{"type", "string"}}}}}}}});
  v("prompt", prompt, "a text, for /api/embeddings", {.max_length = kMaxText});
  v("truncate", truncate, "true: texts that don't fit lose their end; else they are refused");
  v("dimensions", dimensions, "the first so many numbers only", {.min = 0, .max = 1 << 20});
  v("options", options, "taken, without effect");
  v("keep_alive", keep_alive, "taken; the model always stays loaded");
}

void OllamaShowBody::visit(Body& v) {
  v.alias("name", "model");
  v("model", model, "name of the served model", {.max_length = 256, .required = true});
  v("verbose", verbose, "taken, without effect");
}

std::optional<Generation> read_ollama_chat(const std::string& text, const http::ResponderPtr& responder) {
  OllamaChatBody body;
  read_body(text, body);
  if (body.messages.empty()) return answer_load(body, true, responder), std::nullopt;
  Generation out;
  GenerationRequest& r = out.request;
  Turns turns;
  for (size_t i = 0; i < body.messages.size(); ++i) read_message(turns, body.messages[i], str("messages[", i, "]"));
  if (turns.ends_with_call())
    throw ApiError(400, "messages: ends with a tool's call; its result has to follow", "messages", "invalid_value");
  turns.move_to(r);
  for (size_t i = 0; i < body.tools.size(); ++i) {
    const OllamaFunction& function = body.tools[i].function;
    r.tools.push_back(make_tool(function.name, function.description, function.parameters, str("tools[", i, "].function")));
  }
  Ignored ignored;
  read_common(body, r, ignored);
  out.writer = std::make_unique<Writer>(responder, body.stream, ignored, true, r.logprobs);
  return out;
}

std::optional<Generation> read_ollama_generate(const std::string& text, bool has_template, const http::ResponderPtr& responder) {
  OllamaGenerateBody body;
  read_body(text, body);
  refuse_images(!body.images.empty(), "images");
  if (!body.prompt_template.empty())
    throw ApiError(400, "template: the model's own template is used here; for none send raw: true", "template", "unsupported_parameter");
  if (!body.context.empty())
    throw ApiError(400, "context: conversations are not kept as tokens here; send them to /api/chat", "context", "unsupported_parameter");
  if (body.prompt.empty() && body.suffix.empty()) return answer_load(body, false, responder), std::nullopt;
  Generation out;
  GenerationRequest& r = out.request;
  if (body.raw || !has_template || !body.suffix.empty()) {
    if (!body.system.empty() && !body.raw)
      throw ApiError(400, "system: needs a chat template, and this prompt goes without one", "system", "unsupported_parameter");
    r.prompts.emplace_back(body.prompt);
    r.suffix = body.suffix;
  } else {
    Turns turns;
    if (!body.system.empty()) turns.say("system", body.system);
    turns.say("user", body.prompt);
    turns.move_to(r);
  }
  Ignored ignored;
  read_common(body, r, ignored);
  out.writer = std::make_unique<Writer>(responder, body.stream, ignored, false, r.logprobs);
  return out;
}

OllamaEmbedRequest read_ollama_embed(const std::string& text) {
  OllamaEmbedBody body;
  read_body(text, body);
  OllamaEmbedRequest out{
      .model = model_name(body.model), .truncate = body.truncate.value_or(false), .dimensions = body.dimensions.value_or(0)};
  const Limits limits = {.max_length = kMaxText, .max_items = kMaxRows};
  if (body.input.is_string())
    Body::read(body.input, out.texts.emplace_back(), "input", limits);
  else if (body.input.is_null())
    throw ApiError(400, "input: is missing", "input", "missing_required_parameter");
  else
    Body::read(body.input, out.texts, "input", limits);
  return out;
}

OllamaEmbedRequest read_ollama_embeddings(const std::string& text) {
  OllamaEmbedBody body;
  read_body(text, body);
  if (body.prompt.empty()) throw ApiError(400, "prompt: is missing", "prompt", "missing_required_parameter");
  return {.model = model_name(body.model), .texts = {body.prompt}};
}

Json ollama_embed(const OllamaEmbedRequest& request, const std::string& model, const std::vector<std::vector<float>>& rows,
                  int64_t prompt_tokens, double seconds) {
  Json embeddings = Json::array();
  for (const std::vector<float>& row : rows) {
    const size_t n = request.dimensions > 0 ? std::min(row.size(), size_t(request.dimensions)) : row.size();
    double squares = 0;
    for (size_t i = 0; i < n; ++i) squares += double(row[i]) * row[i];
    const double scale = squares > 0 ? 1 / std::sqrt(squares) : 0;
    Json scaled = Json::array();
    for (size_t i = 0; i < n; ++i) scaled.push_back(float(row[i] * scale));
    embeddings.push_back(std::move(scaled));
  }
  return {{"model", model},
          {"embeddings", std::move(embeddings)},
          {"total_duration", int64_t(seconds * 1e9)},
          {"load_duration", 0},
          {"prompt_eval_count", prompt_tokens}};
}

Json ollama_embeddings(const std::vector<float>& row) {
  return {{"embedding", row}};
}

std::string read_ollama_show(const std::string& text) {
  OllamaShowBody body;
  read_body(text, body);
  return model_name(body.model);
}

Json ollama_tags(const OllamaModel& model) {
  Json entry = listed_json(model);
  entry["modified_at"] = utc_time(model.modified);
  return {{"models", Json::array({std::move(entry)})}};
}

Json ollama_show(const OllamaModel& model) {
  Json capabilities = {"completion"};
  if (model.tools) capabilities.push_back("tools");
  if (model.thinking) capabilities.push_back("thinking");
  if (model.fill_in) capabilities.push_back("insert");
  const std::string& family = model.family;
  return {{"license", model.license},
          {"modelfile", ""},
          {"parameters", ""},
          {"template", model.chat_template},
          {"details", details_json(model)},
          {"model_info",
           {{"general.architecture", family},
            {"general.parameter_count", model.parameters},
            {family + ".context_length", model.context_length},
            {family + ".embedding_length", model.hidden_size},
            {family + ".block_count", model.layers},
            {family + ".vocab_size", model.vocab_size}}},
          {"capabilities", std::move(capabilities)},
          {"modified_at", utc_time(model.modified)}};
}

Json ollama_ps(const OllamaModel& model) {
  Json entry = listed_json(model);
  entry["expires_at"] = "9999-12-31T23:59:59Z";  // it stays
  entry["size_vram"] = model.on_gpu ? model.bytes : 0;
  entry["context_length"] = model.context_length;
  return {{"models", Json::array({std::move(entry)})}};
}

Json ollama_version() {
  return {{"version", kVersion}};
}

}  // namespace r1::api
