#include "r1/api/anthropic.h"

#include "r1/api/block_writer.h"
#include "r1/api/openai_fields.h"
#include "r1/api/turns.h"
#include "r1/base/error.h"
#include "r1/http/error.h"

namespace r1::api {
namespace {

using http::ApiError;
using Kind = BlockWriter::Block::Kind;

constexpr size_t kMaxText = 8 << 20, kMaxMessages = 100'000, kMaxBlocks = 10'000;

const char kContentHelp[] = "text, or a list of blocks: text, thinking, redacted_thinking, tool_use, tool_result, document of plain text";

Json text_or_blocks() {
  return {
      {"anyOf",
       {{{"type", "string"}, {"maxLength", kMaxText}}, {{"type", "array"}, {"maxItems", kMaxBlocks}, {"items", {{"type", "object"}}}}}}};
}

struct Source {
  std::string type, media_type, data;
  void visit(Body& v) {
    v("type", type, "", {.required = true});
    v("media_type", media_type, "");
    v("data", data, "", {.max_length = kMaxText});
  }
};

// A content block of any type. Its other fields (cache_control, citations, ..) mean nothing here.
struct ContentBlock {
  std::string type, text, thinking, id, name, tool_use_id;
  Json input, content, source;
  void visit(Body& v) {
    v("type", type, "", {.required = true});
    v("text", text, "", {.max_length = kMaxText, .required = type == "text"});
    v("thinking", thinking, "", {.max_length = kMaxText, .required = type == "thinking"});
    v("id", id, "", {.max_length = 256, .required = type == "tool_use"});
    v("name", name, "", {.max_length = 128, .required = type == "tool_use"});
    v("tool_use_id", tool_use_id, "", {.max_length = 256, .required = type == "tool_result"});
    v("input", input, "");
    v("content", content, "");
    v("source", source, "");
  }
};

ContentBlock read_block(const Json& value, const std::string& path) {
  Body reader(value, path + ".");
  ContentBlock block;
  block.visit(reader);
  return block;
}

[[noreturn]] void refuse_block(const ContentBlock& block, const std::string& path, const char* where) {
  throw ApiError(400, str(path, ".type: '", printable(block.type), "' blocks can't be read in ", where, "; the model reads text"),
                 path + ".type", "unsupported_content");
}

// The text of a string or of a list of text blocks (and documents of plain text).
std::string text_of(const Json& content, const std::string& path, const char* where) {
  std::string text;
  if (content.is_null()) return text;
  if (content.is_string()) {
    Body::read(content, text, path, {.max_length = kMaxText});
    return text;
  }
  if (!content.is_array() || content.size() > kMaxBlocks)
    throw ApiError(400, str(path, ": expected a string or a list of at most ", kMaxBlocks, " blocks"), path, "invalid_type");
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string place = str(path, "[", i, "]");
    const ContentBlock block = read_block(content[i], place);
    std::string piece = block.text;
    if (block.type == "document") {
      Source source;
      Body::read(block.source, source, place + ".source", {});
      if (source.type != "text") refuse_block(block, place, where);
      piece = source.data;
    } else if (block.type != "text") {
      refuse_block(block, place, where);
    }
    text += (i ? "\n" : "") + piece;
  }
  return text;
}

void read_user(Turns& turns, const Json& content, const std::string& path) {
  if (content.is_string()) return turns.say("user", text_of(content, path, "a user message"));
  if (!content.is_array() || content.empty() || content.size() > kMaxBlocks)
    throw ApiError(400, str(path, ": expected a string or a list of 1 to ", kMaxBlocks, " blocks"), path, "invalid_type");
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string place = str(path, "[", i, "]");
    const ContentBlock block = read_block(content[i], place);
    if (block.type == "tool_result")
      turns.result(block.tool_use_id, "", text_of(block.content, place + ".content", "a tool's result"));
    else
      turns.say("user", text_of(Json::array({content[i]}), path, "a user message"));
  }
}

void read_assistant(Turns& turns, const Json& content, const std::string& path) {
  if (content.is_string()) return turns.answer(text_of(content, path, "an assistant message"));
  if (!content.is_array() || content.size() > kMaxBlocks)
    throw ApiError(400, str(path, ": expected a string or a list of at most ", kMaxBlocks, " blocks"), path, "invalid_type");
  if (content.empty()) return turns.answer("");
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string place = str(path, "[", i, "]");
    const ContentBlock block = read_block(content[i], place);
    if (block.type == "text") {
      turns.answer(block.text);
    } else if (block.type == "thinking") {
      turns.think(block.thinking);
    } else if (block.type == "tool_use") {
      if (!block.input.is_object() && !block.input.is_null())
        throw ApiError(400, str(place, ".input: expected an object, got ", block.input.type_name()), place + ".input", "invalid_type");
      turns.call(block.id, block.name, block.input.is_null() ? Json::object() : block.input);
    } else if (block.type != "redacted_thinking") {  // whose thought nobody can read
      refuse_block(block, place, "an assistant message");
    }
  }
}

void read_messages(const AnthropicCountBody& body, GenerationRequest& request) {
  Turns turns;
  if (const std::string system = text_of(body.system, "system", "the system prompt"); !system.empty()) turns.say("system", system);
  for (size_t i = 0; i < body.messages.size(); ++i) {
    const AnthropicMessage& message = body.messages[i];
    const std::string path = str("messages[", i, "].content");
    if (message.role == "user")
      read_user(turns, message.content, path);
    else if (message.role == "assistant")
      read_assistant(turns, message.content, path);
    else
      turns.say("system", text_of(message.content, path, "a system message"));
  }
  if (turns.ends_with_call()) {
    const std::string last = str("messages[", body.messages.size() - 1, "]");
    throw ApiError(400, last + ": the conversation ends with a tool's call; its tool_result has to follow", last, "invalid_value");
  }
  turns.move_to(request);
}

void read_tools(const AnthropicCountBody& body, GenerationRequest& request, Ignored& ignored) {
  for (size_t i = 0; i < body.tools.size(); ++i) {
    const AnthropicTool& tool = body.tools[i];
    const std::string path = str("tools[", i, "]");
    if (!tool.type.empty() && tool.type != "custom") {  // one that its maker runs, or has trained its models for
      ignored.push_back(path);
      continue;
    }
    if (!tool.input_schema.is_object())
      throw ApiError(400, str(path, ".input_schema: expected a JSON schema, an object, got ", tool.input_schema.type_name()),
                     path + ".input_schema", "invalid_type");
    request.tools.push_back(make_tool(tool.name, tool.description, tool.input_schema, path));
  }
  if (!body.tool_choice) return;
  const AnthropicToolChoice& choice = *body.tool_choice;
  request.parallel_tool_calls = !choice.disable_parallel_tool_use;
  if (choice.type == "none") request.tool_choice = ToolChoice::kNone;
  if (choice.type == "tool") choose_tool(request, choice.name, "tool_choice.name");
  if (choice.type != "any") return;
  if (request.tools.empty()) throw ApiError(400, "tool_choice: 'any' needs tools, and there are none", "tool_choice", "invalid_value");
  request.tool_choice = ToolChoice::kRequired;
}

void read_thinking(const AnthropicCountBody& body, GenerationRequest& request) {
  if (body.output_config) set_effort(request, body.output_config->effort);
  request.thinking.enabled.reset();  // effort alone does not ask for thoughts
  if (!body.thinking) return;
  request.thinking.enabled = body.thinking->type != "disabled";
  if (*request.thinking.enabled) request.thinking.budget = body.thinking->budget_tokens;
}

void read_prompt(const AnthropicCountBody& body, GenerationRequest& request, Ignored& ignored) {
  request.model = body.model;
  read_messages(body, request);
  read_tools(body, request, ignored);
  read_thinking(body, request);
  if (body.output_format) request.format = schema_format(body.output_format->schema, "output_format.schema");
  if (body.output_config && body.output_config->format)
    request.format = schema_format(body.output_config->format->schema, "output_config.format.schema");
  tell_template(request);
}

const char* error_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 408:
    case 504:
      return "timeout_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
    case 529:
      return "overloaded_error";
    default:
      return status < 500 ? "invalid_request_error" : "api_error";
  }
}

Json error_json(const ApiError& error) {
  return {{"type", "error"}, {"error", {{"type", error_type(error.status)}, {"message", error.what()}}}};
}

class Writer : public BlockWriter {
 public:
  Writer(const http::ResponderPtr& responder, bool stream, const Ignored& ignored, bool hide_thoughts)
      : BlockWriter(responder, stream, "text/event-stream", ignored), hide_thoughts_(hide_thoughts) {}

 private:
  void event(const char* type, Json rest) {
    Json whole = {{"type", type}};
    whole.update(rest);
    write(http::sse(dump_json(whole), type));
  }

  // Anthropic's input_tokens are those that no cache held. What the cache held is known at the end only.
  Json usage(bool at_end) const {
    const int64_t prompt = at_end ? usage_.prompt_tokens : head_.prompt_tokens, cached = at_end ? usage_.cached_tokens : 0;
    Json out = {{"input_tokens", prompt - cached},
                {"cache_creation_input_tokens", 0},
                {"cache_read_input_tokens", cached},
                {"output_tokens", at_end ? usage_.completion_tokens : 0}};
    if (at_end) out["output_tokens_details"] = {{"thinking_tokens", usage_.reasoning_tokens}};
    return out;
  }

  Json message(Json content, bool at_end) const {
    return {{"id", "msg_" + head_.id},
            {"type", "message"},
            {"role", "assistant"},
            {"model", head_.model},
            {"content", std::move(content)},
            {"stop_reason", at_end ? Json(stop_reason()) : Json()},
            {"stop_sequence", at_end ? stop_sequence() : Json()},
            {"usage", usage(at_end)}};
  }

  const char* stop_reason() const {
    if (finish_.reason == "tool_calls") return "tool_use";
    if (finish_.reason != "stop") return "max_tokens";
    return finish_.stop_string.empty() ? "end_turn" : "stop_sequence";
  }
  Json stop_sequence() const { return finish_.stop_string.empty() ? Json() : Json(finish_.stop_string); }
  std::string signature(size_t index) const { return str("r1-", head_.id, "-", index); }

  // At its start a block is empty in a stream.
  Json block_json(const Block& block, size_t index, bool whole) const {
    switch (block.kind) {
      case Kind::kThought:
        return {
            {"type", "thinking"}, {"thinking", whole && !hide_thoughts_ ? block.text : ""}, {"signature", whole ? signature(index) : ""}};
      case Kind::kText:
        return {{"type", "text"}, {"text", whole ? block.text : ""}};
      default:
        return {
            {"type", "tool_use"}, {"id", block.id}, {"name", block.name}, {"input", whole ? arguments_object(block.text) : Json::object()}};
    }
  }

  void begun() override {
    event("message_start", {{"message", message(Json::array(), false)}});
    event("ping", Json::object());
  }
  void opened(const Block& block, size_t index) override {
    event("content_block_start", {{"index", index}, {"content_block", block_json(block, index, false)}});
  }
  void delta_event(size_t index, Json delta) { event("content_block_delta", {{"index", index}, {"delta", std::move(delta)}}); }
  void grew(const Block& block, size_t index, const std::string& piece, std::span<const TokenInfo>) override {
    if (block.kind == Kind::kText) return delta_event(index, {{"type", "text_delta"}, {"text", piece}});
    if (block.kind == Kind::kToolCall) return delta_event(index, {{"type", "input_json_delta"}, {"partial_json", piece}});
    if (!hide_thoughts_) delta_event(index, {{"type", "thinking_delta"}, {"thinking", piece}});
  }
  void closed(const Block& block, size_t index, bool) override {
    if (block.kind == Kind::kThought) delta_event(index, {{"type", "signature_delta"}, {"signature", signature(index)}});
    event("content_block_stop", {{"index", index}});
  }
  void ended() override {
    event("message_delta", {{"delta", {{"stop_reason", stop_reason()}, {"stop_sequence", stop_sequence()}}}, {"usage", usage(true)}});
    event("message_stop", Json::object());
  }
  std::string error_event(const std::exception& error) override {
    return http::sse(dump_json(error_json(http::as_api_error(error))), "error");
  }

  Json whole() override {
    Json content = Json::array();
    for (size_t i = 0; i < blocks_.size(); ++i) content.push_back(block_json(blocks_[i], i, true));
    return message(std::move(content), true);
  }
  http::Response error_response(const std::exception& error) override { return anthropic_error(error); }

  bool hide_thoughts_;
};

}  // namespace

void AnthropicMessage::visit(Body& v) {
  v("role", role, "who speaks", {.one_of = {"user", "assistant", "system"}, .required = true});
  v("content", content, kContentHelp, {.required = true, .schema = text_or_blocks()});
}

void AnthropicTool::visit(Body& v) {
  v("name", name, "letters, digits and _ - . : /", {.max_length = 128, .required = true});
  v("description", description, "what it does, for the model");
  v("input_schema", input_schema,
    "JSON schema of its arguments; left out for tools of another type than custom, which are not offered here",
    {.schema = {{"type", "object"}}});
  v("type", type, "custom, or a tool of Anthropic's", {.max_length = 128});
}

void AnthropicToolChoice::visit(Body& v) {
  v("type", type, "whether a tool is called, and which", {.one_of = {"auto", "any", "tool", "none"}, .required = true});
  v("name", name, "the tool, for type tool", {.max_length = 128, .required = type == "tool"});
  v("disable_parallel_tool_use", disable_parallel_tool_use, "one call at most");
}

void AnthropicThinking::visit(Body& v) {
  v("type", type, "thinking on or off", {.one_of = {"enabled", "disabled", "adaptive", "between_tools"}, .required = true});
  v("budget_tokens", budget_tokens, "tokens of thought after which it is ended", {.min = 1, .max = 1 << 30});
  v("display", display, "omitted: thoughts are made and not shown", {.one_of = {"summarized", "omitted"}});
}

void AnthropicFormat::visit(Body& v) {
  v("type", type, "", {.one_of = {"json_schema"}, .required = true});
  v("schema", schema, "JSON schema of the answer", {.required = true, .schema = {{"type", "object"}}});
}

void AnthropicOutput::visit(Body& v) {
  v("effort", effort, "how hard to think; for templates that know reasoning_effort", {.one_of = {"low", "medium", "high", "xhigh", "max"}});
  v("format", format, "the shape of the answer");
}

void AnthropicMetadata::visit(Body& v) {
  v("user_id", user_id, "an opaque name of the user", {.max_length = 512});
}

void AnthropicCountBody::visit(Body& v) {
  v("model", model, "name of the served model, or absent", {.max_length = 256});
  v("messages", messages, "the conversation", {.min_items = 1, .max_items = kMaxMessages, .required = true});
  v("system", system, "the system prompt: text, or a list of text blocks", {.schema = text_or_blocks()});
  v("tools", tools, "functions that the model may call", {.max_items = 1024});
  v("tool_choice", tool_choice, "whether a tool is called, and which");
  v("thinking", thinking, "absent: as the template and the model do");
  v("output_config", output_config, "effort and shape of the answer");
  v("output_format", output_format, "the shape of the answer, as output_config.format");
}

void AnthropicBody::visit(Body& v) {
  AnthropicCountBody::visit(v);
  v("max_tokens", max_tokens, "tokens of the answer at most, thoughts among them", {.min = 1, .max = 1 << 30, .required = true});
  v("stop_sequences", stop_sequences, "texts that end the answer", {.max_length = 1024, .max_items = 64});
  v("temperature", temperature, "", {.min = 0, .max = 2});
  v("top_p", top_p, "", {.min = 0, .max = 1});
  v("top_k", top_k, "0: all", {.min = 0, .max = 1 << 30});
  v("metadata", metadata, "");
  v("stream", stream, "server-sent events instead of one object");
}

Generation read_anthropic(const std::string& text, const http::ResponderPtr& responder) {
  AnthropicBody body;
  read_body(text, body);
  Generation out;
  Ignored ignored;
  GenerationRequest& r = out.request;
  read_prompt(body, r, ignored);
  SamplingFields sampling;
  sampling.max_tokens = body.max_tokens;
  sampling.temperature = body.temperature;
  sampling.top_p = body.top_p;
  sampling.top_k = body.top_k;
  sampling.apply(r);
  for (size_t i = 0; i < body.stop_sequences.size(); ++i) {
    if (body.stop_sequences[i].empty())
      throw ApiError(400, str("stop_sequences[", i, "]: is empty"), str("stop_sequences[", i, "]"), "invalid_value");
    r.sampling.stop.push_back(body.stop_sequences[i]);
  }
  if (body.metadata) r.user = body.metadata->user_id;
  r.stream = body.stream;
  out.writer = std::make_unique<Writer>(responder, body.stream, ignored, body.thinking && body.thinking->display == "omitted");
  return out;
}

GenerationRequest read_anthropic_count(const std::string& text) {
  AnthropicCountBody body;
  read_body(text, body);
  GenerationRequest request;
  Ignored ignored;
  read_prompt(body, request, ignored);
  return request;
}

Json anthropic_count(int64_t prompt_tokens) {
  return {{"input_tokens", prompt_tokens}};
}

http::Response anthropic_error(const std::exception& error) {
  const ApiError api = http::as_api_error(error);
  return error_with(api, error_json(api));
}

}  // namespace r1::api
