#include "r1/serve/constraints.h"

#include "r1/base/file.h"
#include "r1/grammar/compose.h"
#include "r1/grammar/grammar.h"
#include "r1/http/error.h"

namespace r1::serve {

namespace {

using grammar::GrammarConstraint;
using http::ApiError;
using Kind = api::AnswerFormat::Kind;
using ToolFormat = api::AnswerParserOptions::ToolFormat;

constexpr size_t kMostMatchers = 32;  // of at most 16 MB each

std::vector<grammar::ToolSignature> signatures(const api::GenerationRequest& r) {
  std::vector<grammar::ToolSignature> out;
  for (const api::Tool& tool : r.tools) out.push_back({tool.name, tool.parameters});
  return out;
}

std::string key_of(const api::GenerationRequest& r) {
  std::string key = r.parallel_tool_calls ? "calls " : "call ";
  for (const api::Tool& tool : r.tools) key += dump_json(Json::array({tool.name, tool.parameters}));
  return key;
}

}  // namespace

bool is_held(const api::GenerationRequest& r) {
  return r.format.kind != Kind::kText ||
         (!r.tools.empty() && (r.tool_choice == api::ToolChoice::kRequired || r.tool_choice == api::ToolChoice::kNamed));
}

Constraints::Constraints(const ServedModel& model, const ServiceConfig& config)
    : model_(model),
      config_(config),
      table_(std::make_shared<grammar::TokenTable>(*model.tokenizer)),
      tool_format_(model.chat ? api::tool_format_of(model.chat->source()) : ToolFormat::kNone),
      knows_thoughts_(model.tokenizer->token_id("<think>") || (model.chat && model.chat->source().find("think>") != std::string::npos)) {}
Constraints::~Constraints() = default;

// Compiled on the request's own thread, within its time; a grammar that was used before comes with its masks.
template <class Compile>
Constraints::Matcher Constraints::matcher(const std::string& key, const char* field, Compile compile) const {
  const std::string hash = sha256(key);
  {
    const std::lock_guard lock(mutex_);
    for (auto it = matchers_.begin(); it != matchers_.end(); ++it) {
      if (it->first != hash) continue;
      matchers_.splice(matchers_.begin(), matchers_, it);
      return it->second;
    }
  }
  Matcher made;
  try {
    made = std::make_shared<grammar::Matcher>(compile(grammar::Limits{.seconds = config_.grammar_compile_timeout}), table_);
  } catch (const Error& e) {
    throw ApiError(400, e.what(), field, "invalid_grammar");
  }
  const std::lock_guard lock(mutex_);
  matchers_.emplace_front(hash, made);
  if (matchers_.size() > kMostMatchers) matchers_.pop_back();
  return made;
}

std::unique_ptr<grammar::TokenConstraint> Constraints::answer(const api::GenerationRequest& r) const {
  const bool tools = !r.tools.empty();
  const auto whole = [&](Matcher m) { return std::make_unique<GrammarConstraint>(std::move(m), model_.stop_ids); };
  if (tools && r.tool_choice == api::ToolChoice::kNamed) {
    for (const api::Tool& tool : r.tools)
      if (tool.name == r.tool_name)
        return whole(matcher("arguments " + dump_json(tool.parameters), "tools", [&](const grammar::Limits& limits) {
          return grammar::compile_tool_arguments({tool.name, tool.parameters}, limits);
        }));
    throw ApiError(400, str("tool_choice names ", printable(r.tool_name), ", which is not among the tools"), "tool_choice");
  }
  if (tools && r.tool_choice == api::ToolChoice::kRequired)
    return whole(matcher(key_of(r), "tools", [&](const grammar::Limits& limits) {
      return grammar::compile_tool_calls(signatures(r), {.parallel = r.parallel_tool_calls}, limits);
    }));
  switch (r.format.kind) {
    case Kind::kText:
      break;
    case Kind::kJsonObject:
      return whole(matcher("object", "response_format", [](const auto& limits) { return grammar::compile_json_object(limits); }));
    case Kind::kJsonSchema:
      return whole(matcher("schema " + dump_json(r.format.schema), "response_format",
                           [&](const auto& limits) { return grammar::compile_json_schema(r.format.schema, limits); }));
    case Kind::kRegex:
      return whole(matcher("regex " + r.format.pattern, "regex",
                           [&](const auto& limits) { return grammar::compile_regex(r.format.pattern, limits); }));
    case Kind::kGrammar:
      return whole(matcher("gbnf " + r.format.pattern, "grammar",
                           [&](const auto& limits) { return grammar::compile_gbnf(r.format.pattern, limits); }));
  }
  return tools && r.tool_choice == api::ToolChoice::kAuto ? calls_when_triggered(r) : nullptr;
}

// A model that begins a call of its own accord is held to the tools' arguments from there on. A schema that can't be compiled does not stop a
// request whose model may call nothing.
std::unique_ptr<grammar::TokenConstraint> Constraints::calls_when_triggered(const api::GenerationRequest& r) const {
  if (tool_format_ != ToolFormat::kHermes || model_.stop_ids.empty()) return nullptr;
  Matcher m;
  try {
    m = matcher("opened " + key_of(r), "tools", [&](const grammar::Limits& limits) {
      return grammar::compile_tool_calls(signatures(r), {.parallel = false, .opened = true}, limits);
    });
  } catch (const ApiError&) {
    return nullptr;
  }
  return std::make_unique<grammar::TriggerConstraint>(table_, "<tool_call>",
                                                      std::make_unique<GrammarConstraint>(std::move(m), model_.stop_ids));
}

std::unique_ptr<grammar::TokenConstraint> Constraints::make(const api::GenerationRequest& r, bool in_thought) const {
  if (model_.stop_ids.empty() && is_held(r))
    throw ApiError(400, "this model names no token that ends an answer, so an answer's format can't be held", "response_format");
  std::unique_ptr<grammar::TokenConstraint> inner = answer(r);
  if (!r.chat) return inner;
  const int64_t budget = r.thinking.budget.value_or(config_.thinking_budget);
  if ((!in_thought && !knows_thoughts_) || (budget < 0 && !inner)) return inner;
  const auto forced = model_.tokenizer->encode("\n</think>\n\n", {.parse_special = true});
  return std::make_unique<grammar::ThoughtConstraint>(
      table_,
      grammar::ThoughtOptions{
          .in_thought = in_thought, .forced = {forced.begin(), forced.end()}, .budget = budget, .stop_ids = model_.stop_ids},
      std::move(inner));
}

}  // namespace r1::serve
