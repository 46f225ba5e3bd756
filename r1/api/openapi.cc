#include "r1/api/openapi.h"

#include <algorithm>
#include <map>
#include <set>

#include "r1/base/error.h"
#include "r1/base/strings.h"

namespace r1::api {
namespace {

const char* status_text(int status) {
  static const std::map<int, const char*> kTexts = {{400, "the request is at fault; param names the field"},
                                                    {401, "no API key, or a wrong one"},
                                                    {403, "not allowed"},
                                                    {404, "there is no such thing"},
                                                    {405, "not with this method"},
                                                    {408, "the request came too slowly"},
                                                    {409, "in conflict with what is there"},
                                                    {413, "the body is too large"},
                                                    {415, "not a content type that is taken"},
                                                    {422, "understood, but can't be done"},
                                                    {429, "too many requests wait; Retry-After says when to try again"},
                                                    {500, "the server is at fault"},
                                                    {501, "not supported by what is served"},
                                                    {503, "not now; Retry-After says when to try again"}};
  const auto at = kTexts.find(status);
  return at == kTexts.end() ? "an error" : at->second;
}

struct Path {
  std::string text;
  std::vector<std::string> captures;
};

// "/v1/models/{id...}" as OpenAPI writes it.
Path path_of(const std::string& pattern) {
  Path out;
  for (size_t at = 0; at < pattern.size(); ++at) {
    const size_t end = pattern[at] == '{' ? pattern.find('}', at) : pattern.npos;
    if (end == pattern.npos) {
      out.text += pattern[at];
      continue;
    }
    std::string name = pattern.substr(at + 1, end - at - 1);
    if (name.ends_with("...")) name.resize(name.size() - 3);
    out.captures.push_back(name);
    out.text += "{" + name + "}";
    at = end;
  }
  return out;
}

// A name for the operation that generated clients call it by: "post_v1_chat_completions".
std::string operation_id(const std::string& method, const std::string& path) {
  std::string out = method;
  for (const char c : path) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter)
      out += c;
    else if (out.back() != '_' && c != '}')
      out += '_';
  }
  return out;
}

Json content_of(const std::string& type, Json schema) {
  return {{type, {{"schema", schema.is_object() ? std::move(schema) : Json::object()}}}};
}

Json parameters_of(const Operation& operation, const Path& path) {
  Json out = Json::array();
  const auto add = [&](const Parameter& p) {
    Json entry = {{"name", p.name}, {"in", p.in}, {"required", p.in == std::string("path")}, {"schema", p.schema}};
    if (!p.help.empty()) entry["description"] = p.help;
    out.push_back(std::move(entry));
  };
  for (const std::string& name : path.captures) {
    const auto described = std::ranges::find(operation.parameters, name, &Parameter::name);
    add(described == operation.parameters.end() ? Parameter{.name = name, .help = ""} : *described);
  }
  for (const Parameter& p : operation.parameters)
    if (std::ranges::find(path.captures, p.name) == path.captures.end()) add(p);
  return out;
}

Json responses_of(const Operation& operation, bool captures) {
  Json good = content_of(operation.content_type, operation.response);
  if (operation.streams) good["text/event-stream"] = {{"schema", {{"type", "string"}}}};
  Json out = {{"200", {{"description", "the answer"}, {"content", std::move(good)}}}};
  std::set<int> statuses = {400, 413, 429, 500, 503};
  if (!operation.open) statuses.insert({401, 403});
  if (captures) statuses.insert(404);
  statuses.insert(operation.statuses.begin(), operation.statuses.end());
  for (const int status : statuses) {
    const Json error = operation.error.is_object() ? operation.error : Json{{"$ref", "#/components/schemas/Error"}};
    out[std::to_string(status)] = {{"description", status_text(status)}, {"content", content_of("application/json", error)}};
  }
  return out;
}

Json operation_json(const Operation& operation, const std::string& method, const Path& path) {
  Json out = {{"operationId", operation_id(method, path.text)}, {"summary", operation.summary}, {"tags", Json::array({operation.tag})}};
  if (Json parameters = parameters_of(operation, path); !parameters.empty()) out["parameters"] = std::move(parameters);
  if (operation.request.is_object())
    out["requestBody"] = {{"required", true}, {"content", content_of("application/json", operation.request)}};
  out["responses"] = responses_of(operation, !path.captures.empty());
  if (operation.open) out["security"] = Json::array();
  return out;
}

}  // namespace

Json error_schema() {
  const Json text_or_null = {{"type", {"string", "null"}}};
  return {{"type", "object"},
          {"properties",
           {{"error",
             {{"type", "object"},
              {"properties",
               {{"message", {{"type", "string"}}}, {"type", {{"type", "string"}}}, {"param", text_or_null}, {"code", text_or_null}}},
              {"required", {"message", "type", "param", "code"}}}}}},
          {"required", Json::array({"error"})}};
}

Json openapi_json(const std::vector<Operation>& operations, const std::string& version, const std::string& server) {
  Json paths = Json::object(), tags = Json::array();
  std::set<std::string> known_tags;
  for (const Operation& operation : operations) {
    const Path path = path_of(operation.pattern);
    const std::string method = lower_ascii(operation.method);
    Json& methods = paths[path.text];
    check(!methods.contains(method), "[openapi] ", operation.method, " ", operation.pattern, " is there twice");
    methods[method] = operation_json(operation, method, path);
    if (known_tags.insert(operation.tag).second) tags.push_back({{"name", operation.tag}});
  }
  Json key = {{"type", "http"}, {"scheme", "bearer"}};
  return {{"openapi", "3.1.0"},
          {"info", {{"title", "r1"}, {"version", version}, {"description", "Text generation: OpenAI's API and others over one model."}}},
          {"servers", Json::array({Json{{"url", server}}})},
          {"tags", std::move(tags)},
          {"security", Json::array({Json::object(), Json{{"key", Json::array()}}})},
          {"paths", std::move(paths)},
          {"components", {{"securitySchemes", {{"key", std::move(key)}}}, {"schemas", {{"Error", error_schema()}}}}}};
}

}  // namespace r1::api
