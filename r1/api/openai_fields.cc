#include "r1/api/openai_fields.h"

#include <algorithm>

#include "r1/base/error.h"
#include "r1/http/error.h"

namespace r1::api {
namespace {

using http::ApiError;

Json any_of(std::initializer_list<Json> schemas) {
  Json list = Json::array();
  for (const Json& schema : schemas) list.push_back(schema);
  return {{"anyOf", std::move(list)}};
}

std::vector<std::string> read_stop(const Json& stop) {
  std::vector<std::string> out;
  if (stop.is_null()) return out;
  if (stop.is_string())
    Body::read(stop, out.emplace_back(), "stop", {.max_length = kMaxStopLength});
  else
    Body::read(stop, out, "stop", {.max_length = kMaxStopLength, .max_items = kMaxStops});
  for (size_t i = 0; i < out.size(); ++i)
    if (out[i].empty()) refuse(stop.is_string() ? "stop" : str("stop[", i, "]"), "a stop string must not be empty");
  return out;
}

// A schema in the body, or in a string, as vLLM takes both.
Json read_schema(const Json& schema, const std::string& path) {
  if (schema.is_object() || schema.is_boolean()) return schema;
  if (!schema.is_string()) throw ApiError(400, str(path, ": expected a JSON schema, got ", schema.type_name()), path, "invalid_type");
  try {
    return read_schema(parse_json(schema.get_ref<const std::string&>(), path), path);
  } catch (const ApiError&) {
    throw;
  } catch (const Error& e) {
    throw ApiError(400, e.what(), path, "invalid_json");
  }
}

AnswerFormat schema_format(const Json& schema, const std::string& path) {
  return {.kind = AnswerFormat::Kind::kJsonSchema, .schema = read_schema(schema, path), .pattern = {}};
}

AnswerFormat pattern_format(AnswerFormat::Kind kind, std::string pattern) {
  return {.kind = kind, .schema = {}, .pattern = std::move(pattern)};
}

// One of these texts and nothing else.
AnswerFormat choice_format(const std::vector<std::string>& choices, const std::string& path) {
  std::string pattern;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (choices[i].empty()) refuse(str(path, "[", i, "]"), "a choice must not be empty");
    if (i) pattern += '|';
    for (const char c : choices[i]) {
      if (std::string_view("\\^$.|?*+()[]{}/-").find(c) != std::string_view::npos) pattern += '\\';
      pattern += c;
    }
  }
  if (pattern.size() > kMaxPattern) refuse(path, str("expected choices of at most ", kMaxPattern, " bytes together"));
  return pattern_format(AnswerFormat::Kind::kRegex, "(" + pattern + ")");
}

// Of a JSON schema.
Json schema_schema() {
  return any_of({Json{{"type", "object"}}, Json{{"type", "boolean"}}});
}

Json response_format_schema() {
  const auto type = [](const char* name) { return Json{{"type", "string"}, {"enum", Json::array({name})}}; };
  const auto object = [](Json properties, Json required) {
    return Json{{"type", "object"}, {"properties", std::move(properties)}, {"required", std::move(required)}};
  };
  const Json named = object({{"name", {{"type", "string"}}}, {"schema", schema_schema()}}, Json::array({"name"}));
  const Json pattern = {{"type", "string"}, {"maxLength", kMaxPattern}};
  return any_of({object({{"type", type("text")}}, Json::array({"type"})), object({{"type", type("json_object")}}, Json::array({"type"})),
                 object({{"type", type("json_schema")}, {"json_schema", named}}, Json::array({"type", "json_schema"})),
                 object({{"type", type("regex")}, {"pattern", pattern}}, Json::array({"type", "pattern"})),
                 object({{"type", type("grammar")}, {"grammar", pattern}}, Json::array({"type", "grammar"}))});
}

const Limits kPatternLimits = {.max_length = kMaxPattern};
const Limits kChoiceLimits = {.max_length = 1024, .max_items = 1024};

}  // namespace

void refuse_field(const std::string& name, const std::string& why) {
  refuse(name, why, "unsupported_parameter");
}

void SamplingFields::visit(Body& v) {
  // Made once: a body is read more often than it is described.
  static const Json kStop = {{"type", "string"}, {"minLength", 1}, {"maxLength", kMaxStopLength}};
  static const Limits kStops = {.schema = any_of({kStop, Json{{"type", "array"}, {"items", kStop}, {"maxItems", kMaxStops}}})};
  static const Limits kEmpty = {.schema = {{"type", "object"}, {"maxProperties", 0}}};
  v("temperature", temperature, "0: the likeliest token each time", {.min = 0, .max = 100});
  v("top_p", top_p, "from the likeliest tokens that have this probability together", {.min = 0, .max = 1});
  v("top_k", top_k, "from this many likeliest tokens; 0 and -1: from all", {.min = -1, .max = 1e9});
  v("min_p", min_p, "from tokens with at least this share of the likeliest one's probability", {.min = 0, .max = 1});
  v.alias("repeat_penalty", "repetition_penalty");
  v("repetition_penalty", repetition_penalty, "divides the logits of tokens seen before; 1: off", {.min = 1e-3, .max = 1e3});
  v("presence_penalty", presence_penalty, "taken from the logits of tokens in the answer", {.min = -100, .max = 100});
  v("frequency_penalty", frequency_penalty, "the same, once for each time a token is in the answer", {.min = -100, .max = 100});
  v("seed", seed, "the same seed gives the same answer; -1: a fresh one");
  v.alias("max_completion_tokens", "max_tokens");
  v.alias("n_predict", "max_tokens");
  v("max_tokens", max_tokens, "of the answer, its thoughts included; -1: as many as the context holds",
    {.min = -1, .max = kMaxTokensLimit});
  v("min_tokens", min_tokens, "nothing ends the answer before", {.min = 0, .max = kMaxTokensLimit});
  v("n", n, "answers", {.min = 1, .max = double(kMaxSamples)});
  v("stop", stop, "texts that end the answer and are not part of it", kStops);
  v("stop_token_ids", stop_token_ids, "tokens that end the answer", {.min = 0, .max = kMaxTokensLimit, .max_items = kMaxStopIds});
  v("ignore_eos", ignore_eos, "the model's end of text does not end the answer");
  v("logit_bias", logit_bias, "not supported; may be empty", kEmpty);
  v("use_beam_search", use_beam_search, "not supported; may be false");
  v("include_stop_str_in_output", include_stop_str_in_output, "not supported; may be false");
}

void SamplingFields::apply(GenerationRequest& request) const {
  if (!logit_bias.is_null() && !logit_bias.is_object())
    throw ApiError(400, str("logit_bias: expected an object, got ", logit_bias.type_name()), "logit_bias", "invalid_type");
  if (!logit_bias.empty()) refuse_field("logit_bias", "is not supported; leave it out");
  if (use_beam_search) refuse_field("use_beam_search", "is not supported; leave it out");
  if (include_stop_str_in_output) refuse_field("include_stop_str_in_output", "is not supported; leave it out");
  SamplingWish& wish = request.sampling;
  wish.temperature = temperature;
  wish.top_p = top_p;
  if (top_p) wish.top_p = std::max(*top_p, 1e-6);  // 0 leaves the likeliest token, and so does this
  wish.min_p = min_p;
  if (top_k) wish.top_k = std::max<int64_t>(*top_k, 0);
  wish.repetition_penalty = repetition_penalty;
  wish.presence_penalty = presence_penalty;
  wish.frequency_penalty = frequency_penalty;
  if (seed && *seed != -1) wish.seed = uint64_t(*seed);
  wish.stop = read_stop(stop);
  wish.stop_token_ids = stop_token_ids;
  wish.min_tokens = min_tokens.value_or(0);
  wish.ignore_eos = ignore_eos;
  if (max_tokens && *max_tokens != -1) request.max_tokens = *max_tokens;
  if (request.max_tokens && wish.min_tokens > *request.max_tokens)
    refuse("min_tokens", str("expected at most max_tokens (", *request.max_tokens, "), got ", wish.min_tokens));
  request.n = n.value_or(1);
}

void StructuredOutputs::visit(Body& v) {
  static const Limits kSchema = {.schema = schema_schema()};
  v("json", json, "a JSON schema", kSchema);
  v("regex", regex, "a regular expression", kPatternLimits);
  v("choice", choice, "one of these texts", kChoiceLimits);
  v("grammar", grammar, "a grammar", kPatternLimits);
  v("json_object", json_object, "any JSON object");
}

void FormatFields::visit(Body& v) {
  static const Limits kResponseFormat = {.schema = response_format_schema()}, kSchema = {.schema = schema_schema()};
  v("response_format", response_format, "the shape that the answer must have", kResponseFormat);
  v("guided_json", guided_json, "a JSON schema for the answer (vLLM)", kSchema);
  v("guided_regex", guided_regex, "a regular expression for the answer (vLLM)", kPatternLimits);
  v("guided_grammar", guided_grammar, "a grammar for the answer (vLLM)", kPatternLimits);
  v("guided_choice", guided_choice, "the answer is one of these texts (vLLM)", kChoiceLimits);
  v("structured_outputs", structured_outputs, "the same in one object (vLLM)");
  v("json_schema", json_schema, "a JSON schema for the answer (llama.cpp)", kSchema);
  v("grammar", grammar, "a grammar for the answer (llama.cpp)", kPatternLimits);
}

AnswerFormat read_response_format(const Json& format, const std::string& path) {
  using Kind = AnswerFormat::Kind;
  if (!format.is_object()) throw ApiError(400, str(path, ": expected an object, got ", format.type_name()), path, "invalid_type");
  const auto member = [&](const char* name) {
    const auto at = format.find(name);
    return at == format.end() || at->is_null() ? nullptr : &*at;
  };
  const auto need = [&](const char* name) -> const Json& {
    if (const Json* found = member(name)) return *found;
    throw ApiError(400, str(path, ".", name, ": is missing"), str(path, ".", name), "missing_required_parameter");
  };
  std::string type, pattern;
  Body::read(need("type"), type, path + ".type", {.one_of = {"text", "json_object", "json_schema", "regex", "grammar"}});
  if (type == "json_object") {
    const Json* schema = member("schema");  // llama.cpp's
    return schema ? schema_format(*schema, path + ".schema") : AnswerFormat{.kind = Kind::kJsonObject, .schema = {}, .pattern = {}};
  }
  if (type == "json_schema") {
    const Json& named = need("json_schema");
    const std::string place = path + ".json_schema";
    if (!named.is_object()) throw ApiError(400, str(place, ": expected an object, got ", named.type_name()), place, "invalid_type");
    const auto schema = named.find("schema");
    if (schema == named.end() || schema->is_null()) return {.kind = Kind::kJsonObject, .schema = {}, .pattern = {}};
    return schema_format(*schema, place + ".schema");
  }
  if (type == "text") return {};
  const char* name = type == "regex" ? "pattern" : "grammar";
  Body::read(need(name), pattern, str(path, ".", name), kPatternLimits);
  return pattern_format(type == "regex" ? Kind::kRegex : Kind::kGrammar, std::move(pattern));
}

AnswerFormat FormatFields::format() const {
  using Kind = AnswerFormat::Kind;
  AnswerFormat out;
  std::string from;
  const auto take = [&](const char* name, AnswerFormat format) {
    if (!from.empty()) refuse(name, str("says the answer's shape, and so does ", from, "; give one of them"));
    from = name;
    out = std::move(format);
  };
  if (!response_format.is_null()) {
    AnswerFormat format = read_response_format(response_format, "response_format");
    if (format.kind != Kind::kText) take("response_format", std::move(format));
  }
  if (!guided_json.is_null()) take("guided_json", schema_format(guided_json, "guided_json"));
  if (!guided_regex.empty()) take("guided_regex", pattern_format(Kind::kRegex, guided_regex));
  if (!guided_grammar.empty()) take("guided_grammar", pattern_format(Kind::kGrammar, guided_grammar));
  if (!guided_choice.empty()) take("guided_choice", choice_format(guided_choice, "guided_choice"));
  if (!json_schema.is_null()) take("json_schema", schema_format(json_schema, "json_schema"));
  if (!grammar.empty()) take("grammar", pattern_format(Kind::kGrammar, grammar));
  if (structured_outputs) {
    const StructuredOutputs& s = *structured_outputs;
    if (!s.json.is_null()) take("structured_outputs.json", schema_format(s.json, "structured_outputs.json"));
    if (!s.regex.empty()) take("structured_outputs.regex", pattern_format(Kind::kRegex, s.regex));
    if (!s.grammar.empty()) take("structured_outputs.grammar", pattern_format(Kind::kGrammar, s.grammar));
    if (!s.choice.empty()) take("structured_outputs.choice", choice_format(s.choice, "structured_outputs.choice"));
    if (s.json_object) take("structured_outputs.json_object", {.kind = Kind::kJsonObject, .schema = {}, .pattern = {}});
  }
  return out;
}

void StreamOptions::visit(Body& v) {
  v("include_usage", include_usage, "a last chunk with the counts of tokens");
}

void DeliveryFields::visit(Body& v) {
  v("model", model, "the served model's name; may be left out", {.max_length = kMaxShortText});
  v("stream", stream, "the answer as server-sent events while it is made");
  v("stream_options", stream_options, "what a stream holds beside the answer");
  v("user", user, "the client's name for who asks", {.max_length = kMaxShortText});
  v("cache_salt", cache_salt, "only requests with the same salt share cached prompts", {.max_length = kMaxShortText});
  v("priority", priority, "lower is served sooner", {.min = -2147483648.0, .max = 2147483647});
  v("truncate_prompt", truncate_prompt, "a prompt that is too long loses its front, and the answer says so; else it is an error");
  v("truncate_prompt_tokens", truncate_prompt_tokens, "-1: as truncate_prompt (vLLM)", {.min = -1, .max = -1});
  v("return_token_ids", return_token_ids, "the answer's tokens as numbers too");
}

void DeliveryFields::apply(GenerationRequest& request) const {
  request.model = model;
  request.stream = stream;
  request.include_usage = stream_options && stream_options->include_usage;
  request.user = user;
  request.cache_salt = cache_salt;
  request.priority = priority.value_or(0);
  request.truncate_prompt = truncate_prompt || truncate_prompt_tokens.has_value();
  request.return_token_ids = return_token_ids;
}

}  // namespace r1::api
