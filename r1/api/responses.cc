#include "r1/api/responses.h"

#include <algorithm>

#include "r1/api/block_writer.h"
#include "r1/api/openai_chat.h"
#include "r1/api/openai_json.h"
#include "r1/api/turns.h"
#include "r1/base/error.h"
#include "r1/http/error.h"

namespace r1::api {
namespace {

using http::ApiError;
using Kind = BlockWriter::Block::Kind;

constexpr size_t kMaxText = 8 << 20, kMaxItems = 100'000, kMaxParts = 10'000;

[[noreturn]] void refuse_stored(const char* field) {
  throw ApiError(400, str(field, ": responses are not stored here; send the whole conversation as input"), field, "unsupported_parameter");
}

struct Part {
  std::string type, text, refusal;
  void visit(Body& v) {
    v("type", type, "", {.required = true});
    v("text", text, "", {.max_length = kMaxText});
    v("refusal", refusal, "", {.max_length = kMaxText});
  }
};

// The text of a string or of a list of parts.
std::string text_of(const Json& content, const std::string& path) {
  std::string text;
  if (content.is_string()) {
    Body::read(content, text, path, {.max_length = kMaxText});
    return text;
  }
  if (!content.is_array() || content.size() > kMaxParts)
    throw ApiError(400, str(path, ": expected a string or a list of at most ", kMaxParts, " parts"), path, "invalid_type");
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string place = str(path, "[", i, "]");
    Body reader(content[i], place + ".");
    Part part;
    part.visit(reader);
    const bool readable = part.type == "input_text" || part.type == "output_text" || part.type == "text" || part.type == "summary_text" ||
                          part.type == "reasoning_text" || part.type == "refusal";
    if (!readable)
      throw ApiError(400, str(place, ".type: content of type '", printable(part.type), "' can't be read; the model reads text"),
                     place + ".type", "unsupported_content");
    text += (i ? "\n" : "") + (part.type == "refusal" ? part.refusal : part.text);
  }
  return text;
}

// An item of the input: only the fields of its type are read.
struct Item {
  std::string type, role, call_id, name, arguments, input;
  Json content, output, summary;
  void visit(Body& v) {
    v("type", type, "", {.max_length = 128});
    if (type.empty() || type == "message") {
      v("role", role, "", {.one_of = {"user", "assistant", "system", "developer"}, .required = true});
      v("content", content, "", {.required = true});
    } else if (type == "reasoning") {
      v("content", content, "");
      v("summary", summary, "");
    } else if (type == "function_call" || type == "custom_tool_call") {
      v("call_id", call_id, "", {.max_length = 256, .required = true});
      v("name", name, "", {.max_length = 128, .required = true});
      const bool function = type == "function_call";
      v(function ? "arguments" : "input", function ? arguments : input, "", {.max_length = kMaxText, .required = true});
    } else if (type == "function_call_output" || type == "custom_tool_call_output") {
      v("call_id", call_id, "", {.max_length = 256, .required = true});
      v("name", name, "", {.max_length = 128});
      v("output", output, "", {.required = true});
    }
  }
};

void read_item(Turns& turns, const Json& value, const std::string& path) {
  Body reader(value, path + ".");
  Item item;
  item.visit(reader);
  if (item.type.empty() || item.type == "message") {
    const std::string text = text_of(item.content, path + ".content");
    if (item.role == "assistant")
      turns.answer(text);
    else
      turns.say(item.role, text);
  } else if (item.type == "function_call") {
    turns.call(item.call_id, item.name, arguments_object(item.arguments));
  } else if (item.type == "custom_tool_call") {
    turns.call(item.call_id, item.name, {{"input", item.input}});
  } else if (item.type == "function_call_output" || item.type == "custom_tool_call_output") {
    turns.result(item.call_id, item.name, text_of(item.output, path + ".output"));
  } else if (item.type == "reasoning") {
    // The thought as it was, or what was shown of it; an encrypted one is nobody's here.
    const bool whole = item.content.is_array() && !item.content.empty();
    if (whole || (item.summary.is_array() && !item.summary.empty()))
      turns.think(text_of(whole ? item.content : item.summary, path + (whole ? ".content" : ".summary")));
  } else if (item.type == "item_reference") {
    throw ApiError(400, path + ": responses are not stored here, so no item can be referred to; send it whole", path,
                   "unsupported_parameter");
  } else {
    throw ApiError(400, str(path, ".type: items of type '", printable(item.type), "' are not known here"), path + ".type",
                   "unsupported_content");
  }
}

void read_input(const ResponsesBody& body, GenerationRequest& request) {
  Turns turns;
  if (!body.instructions.empty()) turns.say("system", body.instructions);
  if (body.input.is_string()) {
    turns.say("user", text_of(body.input, "input"));
  } else {
    if (!body.input.is_array() || body.input.empty() || body.input.size() > kMaxItems)
      throw ApiError(400, str("input: expected a string or a list of 1 to ", kMaxItems, " items"), "input", "invalid_type");
    for (size_t i = 0; i < body.input.size(); ++i) read_item(turns, body.input[i], str("input[", i, "]"));
  }
  if (turns.ends_with_call()) throw ApiError(400, "input: ends with a tool's call; its output has to follow", "input", "invalid_value");
  if (turns.empty()) throw ApiError(400, "input: nothing in it for the model to read", "input", "invalid_value");
  turns.move_to(request);
}

void read_tools(const ResponsesBody& body, GenerationRequest& request, Ignored& ignored) {
  for (size_t i = 0; i < body.tools.size(); ++i) {
    const ResponsesTool& tool = body.tools[i];
    const std::string path = str("tools[", i, "]");
    if (tool.type != "function") {
      ignored.push_back(path);
      continue;
    }
    request.tools.push_back(make_tool(tool.name, tool.description, tool.parameters, path));
  }
}

struct Choice {
  std::string type, name, mode;
  Json tools;
  void visit(Body& v) {
    v("type", type, "", {.one_of = {"function", "allowed_tools"}, .required = true});
    v("name", name, "", {.max_length = 128, .required = type == "function"});
    v("mode", mode, "", {.one_of = {"auto", "required"}, .required = type == "allowed_tools"});
    v("tools", tools, "", {.required = type == "allowed_tools"});
  }
};

void allow_tools(GenerationRequest& request, const Json& list) {
  if (!list.is_array()) throw ApiError(400, "tool_choice.tools: expected a list", "tool_choice.tools", "invalid_type");
  const auto listed = [&](const Tool& tool) {
    return std::ranges::any_of(list, [&](const Json& one) {
      const auto name = one.is_object() ? one.find("name") : one.end();
      return one.is_object() && name != one.end() && name->is_string() && name->get_ref<const std::string&>() == tool.name;
    });
  };
  std::erase_if(request.tools, [&](const Tool& tool) { return !listed(tool); });
}

void read_tool_choice(const Json& choice, GenerationRequest& request) {
  std::string mode;
  if (choice.is_null()) return;
  if (choice.is_string()) {
    Body::read(choice, mode, "tool_choice", {.one_of = {"none", "auto", "required"}});
  } else {
    Choice read;
    Body::read(choice, read, "tool_choice", {});
    if (read.type == "function") return choose_tool(request, read.name, "tool_choice.name");
    allow_tools(request, read.tools);
    mode = read.mode;
  }
  if (mode == "none") request.tool_choice = ToolChoice::kNone;
  if (mode != "required") return;
  if (request.tools.empty()) throw ApiError(400, "tool_choice: 'required' needs tools, and there are none", "tool_choice", "invalid_value");
  request.tool_choice = ToolChoice::kRequired;
}

void read_format(const ResponsesFormat& format, GenerationRequest& request) {
  if (format.type == "json_object") request.format.kind = AnswerFormat::Kind::kJsonObject;
  if (format.type == "json_schema") request.format = schema_format(format.schema, "text.format.schema");
}

// As a chat's are read.
void read_thinking(const ResponsesBody& body, GenerationRequest& request) {
  ConversationFields fields;
  fields.messages = Json::array({{{"role", "user"}, {"content", ""}}});
  fields.chat_template_kwargs = body.chat_template_kwargs;
  if (body.reasoning) fields.reasoning_effort = body.reasoning->effort;
  GenerationRequest read;
  fields.apply(read);
  request.thinking = read.thinking;
  request.chat->variables = read.chat->variables;
}

// What every response repeats of its request.
Json echo_of(const ResponsesBody& body) {
  const auto or_null = [](const auto& value) { return value ? Json(*value) : Json(); };
  const auto text_or_null = [](const std::string& value) { return value.empty() ? Json() : Json(value); };
  Json tools = Json::array();
  for (const ResponsesTool& tool : body.tools) {
    if (tool.type != "function") continue;
    tools.push_back({{"type", "function"},
                     {"name", tool.name},
                     {"description", text_or_null(tool.description)},
                     {"parameters", tool.parameters},
                     {"strict", tool.strict.value_or(false)}});
  }
  Json format = {{"type", "text"}};
  if (body.text && body.text->format) {
    const ResponsesFormat& f = *body.text->format;
    format = {{"type", f.type}};
    if (f.type == "json_schema") {
      format["name"] = f.name;
      format["schema"] = f.schema;
      format["strict"] = f.strict.value_or(true);
    }
  }
  const ResponsesReasoning reasoning = body.reasoning.value_or(ResponsesReasoning{});
  return {{"background", false},
          {"instructions", text_or_null(body.instructions)},
          {"max_output_tokens", or_null(body.max_output_tokens)},
          {"metadata", body.metadata.is_object() ? body.metadata : Json::object()},
          {"parallel_tool_calls", body.parallel_tool_calls},
          {"previous_response_id", nullptr},
          {"reasoning", {{"effort", text_or_null(reasoning.effort)}, {"summary", text_or_null(reasoning.summary)}}},
          {"service_tier", "default"},
          {"store", false},
          {"temperature", or_null(body.temperature)},
          {"text", {{"format", std::move(format)}}},
          {"tool_choice", body.tool_choice.is_null() ? Json("auto") : body.tool_choice},
          {"tools", std::move(tools)},
          {"top_logprobs", body.top_logprobs},
          {"top_p", or_null(body.top_p)},
          {"truncation", body.truncation.empty() ? "disabled" : body.truncation},
          {"user", text_or_null(body.user)}};
}

class Writer : public BlockWriter {
 public:
  Writer(const http::ResponderPtr& responder, const ResponsesBody& body, const Ignored& ignored)
      : BlockWriter(responder, body.stream, "text/event-stream", ignored),
        echo_(echo_of(body)),
        summaries_(body.reasoning && !(body.reasoning->summary + body.reasoning->generate_summary).empty()) {}

 private:
  void event(const char* type, Json rest) {
    Json whole = {{"type", type}, {"sequence_number", sequence_++}};
    whole.update(rest);
    write(http::sse(dump_json(whole), type));
  }

  std::string item_id(const Block& block, size_t index) const {
    const char* kind = block.kind == Kind::kThought ? "rs_" : block.kind == Kind::kText ? "msg_" : "fc_";
    return str(kind, head_.id, "_", index);
  }

  static Json part_json(const Block& block, bool whole) {
    if (block.kind == Kind::kThought) return {{"type", "reasoning_text"}, {"text", whole ? block.text : ""}};
    return {{"type", "output_text"},
            {"text", whole ? block.text : ""},
            {"annotations", Json::array()},
            {"logprobs", whole ? logprobs_content(block.tokens) : Json::array()}};
  }
  static Json summary_json(const Block& block, bool whole) { return {{"type", "summary_text"}, {"text", whole ? block.text : ""}}; }

  // status: in_progress (then nothing is in it yet), completed, incomplete.
  Json item_json(const Block& block, size_t index, const char* status) const {
    const bool whole = std::string_view(status) != "in_progress";
    Json parts = Json::array();
    if (whole) parts.push_back(block.kind == Kind::kThought && summaries_ ? summary_json(block, true) : part_json(block, true));
    switch (block.kind) {
      case Kind::kThought: {
        Json item = {{"id", item_id(block, index)}, {"type", "reasoning"}, {"summary", Json::array()}};
        item[summaries_ ? "summary" : "content"] = std::move(parts);
        item["encrypted_content"] = nullptr;
        item["status"] = status;
        return item;
      }
      case Kind::kText:
        return {
            {"id", item_id(block, index)}, {"type", "message"}, {"role", "assistant"}, {"status", status}, {"content", std::move(parts)}};
      default:
        return {{"id", item_id(block, index)},          {"type", "function_call"}, {"call_id", block.id}, {"name", block.name},
                {"arguments", whole ? block.text : ""}, {"status", status}};
    }
  }

  Json response_json(const char* status, const ApiError* error = nullptr) const {
    Json output = Json::array();
    const bool done = std::string_view(status) != "in_progress";
    for (size_t i = 0; done && i < blocks_.size(); ++i)
      output.push_back(item_json(blocks_[i], i, i + 1 == blocks_.size() && (cut() || error) ? "incomplete" : "completed"));
    Json out = {{"id", "resp_" + head_.id}, {"object", "response"}, {"created_at", head_.created}, {"status", status}};
    if (std::string_view(status) == "completed") out["completed_at"] = head_.created + int64_t(timings_.total);
    out["model"] = head_.model;
    out["output"] = std::move(output);
    out["error"] =
        error ? Json{{"code", error->status == 429 ? "rate_limit_exceeded" : "server_error"}, {"message", error->what()}} : Json();
    out["incomplete_details"] = std::string_view(status) == "incomplete" ? Json{{"reason", "max_output_tokens"}} : Json();
    out["usage"] = done && !error ? usage_json() : Json();
    out.update(echo_);
    return out;
  }

  Json usage_json() const {
    return {{"input_tokens", usage_.prompt_tokens},
            {"input_tokens_details", {{"cached_tokens", usage_.cached_tokens}, {"cache_write_tokens", 0}}},
            {"output_tokens", usage_.completion_tokens},
            {"output_tokens_details", {{"reasoning_tokens", usage_.reasoning_tokens}}},
            {"total_tokens", usage_.prompt_tokens + usage_.completion_tokens}};
  }

  // The place that an event is about. A summary's parts are counted by themselves.
  Json at(const Block& block, size_t index, Json rest) const {
    Json out = {{"item_id", item_id(block, index)}, {"output_index", index}};
    if (block.kind == Kind::kText || (block.kind == Kind::kThought && !summaries_)) out["content_index"] = 0;
    if (block.kind == Kind::kThought && summaries_) out["summary_index"] = 0;
    out.update(rest);
    return out;
  }

  void begun() override {
    event("response.created", {{"response", response_json("in_progress")}});
    event("response.in_progress", {{"response", response_json("in_progress")}});
  }
  void opened(const Block& block, size_t index) override {
    event("response.output_item.added", {{"output_index", index}, {"item", item_json(block, index, "in_progress")}});
    if (block.kind == Kind::kToolCall) return;
    if (block.kind == Kind::kThought && summaries_)
      event("response.reasoning_summary_part.added", at(block, index, {{"part", summary_json(block, false)}}));
    else
      event("response.content_part.added", at(block, index, {{"part", part_json(block, false)}}));
  }
  void grew(const Block& block, size_t index, const std::string& piece, std::span<const TokenInfo> fresh) override {
    Json rest = {{"delta", piece}};
    if (block.kind == Kind::kText) rest["logprobs"] = logprobs_content({fresh.begin(), fresh.end()});
    event(delta_type(block), at(block, index, std::move(rest)));
  }
  const char* delta_type(const Block& block) const {
    if (block.kind == Kind::kText) return "response.output_text.delta";
    if (block.kind == Kind::kToolCall) return "response.function_call_arguments.delta";
    return summaries_ ? "response.reasoning_summary_text.delta" : "response.reasoning_text.delta";
  }
  void closed(const Block& block, size_t index, bool cut) override {
    if (block.kind == Kind::kToolCall) {
      event("response.function_call_arguments.done", at(block, index, {{"name", block.name}, {"arguments", block.text}}));
    } else if (block.kind == Kind::kText) {
      event("response.output_text.done", at(block, index, {{"text", block.text}, {"logprobs", logprobs_content(block.tokens)}}));
      event("response.content_part.done", at(block, index, {{"part", part_json(block, true)}}));
    } else if (summaries_) {
      event("response.reasoning_summary_text.done", at(block, index, {{"text", block.text}}));
      event("response.reasoning_summary_part.done", at(block, index, {{"part", summary_json(block, true)}}));
    } else {
      event("response.reasoning_text.done", at(block, index, {{"text", block.text}}));
      event("response.content_part.done", at(block, index, {{"part", part_json(block, true)}}));
    }
    event("response.output_item.done", {{"output_index", index}, {"item", item_json(block, index, cut ? "incomplete" : "completed")}});
  }
  void ended() override {
    const char* status = cut() ? "incomplete" : "completed";
    event(cut() ? "response.incomplete" : "response.completed", {{"response", response_json(status)}});
  }
  std::string error_event(const std::exception& error) override {
    const ApiError api = http::as_api_error(error);
    const Json whole = {{"type", "response.failed"}, {"sequence_number", sequence_++}, {"response", response_json("failed", &api)}};
    return http::sse(dump_json(whole), "response.failed");
  }

  Json whole() override { return response_json(cut() ? "incomplete" : "completed"); }
  http::Response error_response(const std::exception& error) override { return http::error_response(error); }

  Json echo_;
  bool summaries_;
  int64_t sequence_ = 0;
};

Json or_object(Json other) {
  return {{"anyOf", Json::array({std::move(other), Json{{"type", "object"}}})}};
}

}  // namespace

void ResponsesReasoning::visit(Body& v) {
  v("effort", effort, "none: no thinking; others turn it on, for templates that know reasoning_effort",
    {.one_of = {"none", "minimal", "low", "medium", "high", "xhigh", "max"}});
  v("summary", summary, "given: thoughts come as summaries, whole", {.one_of = {"auto", "concise", "detailed"}});
  v("generate_summary", generate_summary, "an older name of summary", {.one_of = {"auto", "concise", "detailed"}});
}

void ResponsesFormat::visit(Body& v) {
  v("type", type, "", {.one_of = {"text", "json_object", "json_schema"}, .required = true});
  v("name", name, "", {.max_length = 256});
  v("description", description, "");
  v("schema", schema, "JSON schema of the answer", {.required = type == "json_schema", .schema = {{"type", "object"}}});
  v("strict", strict, "the answer always keeps to the schema here");
}

void ResponsesText::visit(Body& v) {
  v("format", format, "the shape of the answer");
  v("verbosity", verbosity, "", {.one_of = {"low", "medium", "high"}});
}

void ResponsesTool::visit(Body& v) {
  v("type", type, "function; others are not offered here", {.max_length = 128, .required = true});
  v("name", name, "letters, digits and _ - . : /", {.max_length = 1024, .required = type == "function"});
  v("description", description, "what it does, for the model");
  v("parameters", parameters, "JSON schema of its arguments", {.schema = {{"type", "object"}}});
  v("strict", strict, "");
}

void ResponsesBody::visit(Body& v) {
  v("model", model, "name of the served model, or absent", {.max_length = 256});
  v("input", input, "text, or a list of items: messages, function_call, function_call_output, reasoning",
    {.required = true,
     .schema = {{"anyOf",
                 {{{"type", "string"}, {"maxLength", kMaxText}},
                  {{"type", "array"}, {"minItems", 1}, {"maxItems", kMaxItems}, {"items", {{"type", "object"}}}}}}}});
  v("instructions", instructions, "the system message", {.max_length = kMaxText});
  v("max_output_tokens", max_output_tokens, "tokens of the answer at most, thoughts among them", {.min = 1, .max = 1 << 30});
  v("temperature", temperature, "", {.min = 0, .max = 2});
  v("top_p", top_p, "", {.min = 0, .max = 1});
  v("top_k", top_k, "0 or -1: all", {.min = -1, .max = 1 << 30});
  v("min_p", min_p, "", {.min = 0, .max = 1});
  v("seed", seed, "-1: a fresh one");
  v("repetition_penalty", repetition_penalty, "", {.min = 1e-3, .max = 1e3});
  v("presence_penalty", presence_penalty, "", {.min = -2, .max = 2});
  v("frequency_penalty", frequency_penalty, "", {.min = -2, .max = 2});
  v("tools", tools, "functions that the model may call", {.max_items = 1024});
  v("tool_choice", tool_choice, "none, auto, required, {type: function, name} or {type: allowed_tools, mode, tools}",
    {.schema = or_object({{"type", "string"}, {"enum", {"none", "auto", "required"}}})});
  v("parallel_tool_calls", parallel_tool_calls, "more than one call in an answer");
  v("text", text, "the shape of the answer");
  v("reasoning", reasoning, "thinking");
  v("include", include, "message.output_text.logprobs: log-probabilities", {.max_length = 256, .max_items = 64});
  v("top_logprobs", top_logprobs, "likely tokens at each place", {.min = 0, .max = 20});
  v("stream", stream, "server-sent events instead of one object");
  v("store", store, "taken; nothing is stored");
  v("previous_response_id", previous_response_id, "refused: nothing is stored", {.max_length = 256});
  v("conversation", conversation, "refused: nothing is stored", {.schema = or_object({{"type", "string"}})});
  v("prompt", prompt, "refused: nothing is stored", {.schema = {{"type", "object"}}});
  v("background", background, "only false");
  v("truncation", truncation, "auto: a prompt that does not fit loses its front, and the answer says so; else it is refused",
    {.one_of = {"auto", "disabled"}});
  v("metadata", metadata, "given back", {.schema = {{"type", "object"}}});
  v("user", user, "an opaque name of the user", {.max_length = 512});
  v("priority", priority, "lower is sooner", {.min = -(1 << 30), .max = 1 << 30});
  v("cache_salt", cache_salt, "prefixes are shared only under the same salt", {.max_length = 256});
  v("chat_template_kwargs", chat_template_kwargs, "variables for the chat template", {.schema = {{"type", "object"}}});
}

Generation read_responses(const std::string& text, const http::ResponderPtr& responder) {
  ResponsesBody body;
  read_body(text, body);
  if (!body.previous_response_id.empty()) refuse_stored("previous_response_id");
  if (!body.conversation.is_null()) refuse_stored("conversation");
  if (!body.prompt.is_null()) refuse_stored("prompt");
  if (body.background)
    throw ApiError(400, "background: answers are given at once here; ask for a stream", "background", "unsupported_parameter");
  if (!body.metadata.is_null() && !body.metadata.is_object())
    throw ApiError(400, str("metadata: expected an object, got ", body.metadata.type_name()), "metadata", "invalid_type");

  Generation out;
  Ignored ignored;
  GenerationRequest& r = out.request;
  r.model = body.model;
  read_input(body, r);
  read_tools(body, r, ignored);
  read_tool_choice(body.tool_choice, r);
  if (body.text && body.text->format) read_format(*body.text->format, r);
  read_thinking(body, r);
  tell_template(r);
  SamplingFields sampling;
  sampling.temperature = body.temperature;
  sampling.top_p = body.top_p;
  sampling.min_p = body.min_p;
  sampling.top_k = body.top_k;
  sampling.seed = body.seed;
  sampling.repetition_penalty = body.repetition_penalty;
  sampling.presence_penalty = body.presence_penalty;
  sampling.frequency_penalty = body.frequency_penalty;
  sampling.max_tokens = body.max_output_tokens;
  sampling.apply(r);
  r.parallel_tool_calls = body.parallel_tool_calls;
  r.top_logprobs = body.top_logprobs;
  r.logprobs = body.top_logprobs > 0 || std::ranges::count(body.include, "message.output_text.logprobs") > 0;
  r.stream = body.stream;
  r.truncate_prompt = body.truncation == "auto";
  r.user = body.user;
  r.priority = body.priority;
  r.cache_salt = body.cache_salt;
  out.writer = std::make_unique<Writer>(responder, body, ignored);
  return out;
}

}  // namespace r1::api
