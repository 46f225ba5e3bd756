#include "r1/api/body.h"

#include <algorithm>
#include <cmath>

#include "r1/base/error.h"

namespace r1::api {
namespace {

using http::ApiError;

constexpr int kMaxDepth = 100;
constexpr size_t kMaxFields = 1000;  // of an object whose fields are listed
constexpr double kTwo53 = 9007199254740992.0, kTwo63 = 9223372036854775808.0, kTwo64 = 2 * kTwo63;

std::string shown(const Json& value) {
  if (value.is_string()) return str("'", printable(value.get_ref<const std::string&>()), "'");
  return value.is_number() || value.is_boolean() ? value.dump() : std::string(value.type_name());
}

[[noreturn]] void refuse(const std::string& path, const std::string& expected, const Json& value, const char* code) {
  throw ApiError(400, str(path.empty() ? "the body" : path, ": expected ", expected, ", got ", shown(value)), path, code);
}

// A bound of a schema or a message: an integer where it is one.
Json bound(double value) {
  if (value >= kTwo64) return std::numeric_limits<uint64_t>::max();
  if (value >= kTwo63) return value == kTwo63 ? Json(std::numeric_limits<int64_t>::max()) : Json(uint64_t(value));
  if (value == std::floor(value) && value >= -kTwo63) return int64_t(value);
  return value;
}

std::string range_of(const char* what, const Limits& limits) {
  const bool low = std::isfinite(limits.min), high = std::isfinite(limits.max);
  if (low && high) return str(what, " from ", bound(limits.min).dump(), " to ", bound(limits.max).dump());
  if (low) return str(what, " of at least ", bound(limits.min).dump());
  if (high) return str(what, " of at most ", bound(limits.max).dump());
  return what;
}

void check_range(double number, const Json& value, const char* what, const std::string& path, const Limits& limits) {
  if (!(number >= limits.min && number <= limits.max)) refuse(path, range_of(what, limits), value, "invalid_value");
}

// Integers may be written with an exponent or ".0", as some languages do, as long as a double holds them exactly.
template <class Int>
void read_integer(const Json& value, Int& field, const std::string& path, const Limits& limits) {
  const auto expected = [&] { return range_of("an integer", limits); };
  if (!value.is_number()) refuse(path, expected(), value, "invalid_type");
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (number != std::floor(number)) refuse(path, expected(), value, "invalid_type");
    if (std::abs(number) > kTwo53 || (number < 0 && std::is_unsigned_v<Int>)) refuse(path, expected(), value, "invalid_value");
    field = Int(number);
  } else if (value.is_number_unsigned()) {
    const uint64_t number = value.get<uint64_t>();
    if (number > uint64_t(std::numeric_limits<Int>::max())) refuse(path, expected(), value, "invalid_value");
    field = Int(number);
  } else {
    const int64_t number = value.get<int64_t>();
    if (number < 0 && std::is_unsigned_v<Int>) refuse(path, expected(), value, "invalid_value");
    field = Int(number);
  }
  check_range(double(field), value, "an integer", path, limits);
}

Json number_schema(const char* type, double min, double max) {
  Json schema = {{"type", type}};
  if (std::isfinite(min)) schema["minimum"] = bound(min);
  if (std::isfinite(max)) schema["maximum"] = bound(max);
  return schema;
}

// Null counts as absent, so a schema says that it may stand there.
Json or_null(Json schema) {
  if (schema.empty()) return schema;
  if (!schema.contains("type") || !schema["type"].is_string()) return {{"anyOf", Json::array({std::move(schema), Json{{"type", "null"}}})}};
  if (schema["type"] != "null") schema["type"] = Json::array({schema["type"], "null"});
  if (schema.contains("enum")) schema["enum"].push_back(nullptr);
  return schema;
}

// "maxTokens" and "max-tokens" are max_tokens.
std::string plain_letters(std::string_view name) {
  std::string out;
  for (const char c : name)
    if (c != '_' && c != '-') out += c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
  return out;
}

// One slip of the fingers apart: a letter too many, too few or wrong, or two swapped. Short names are near to each other by chance
// (top_a, top_k), so they don't count.
bool one_slip(std::string_view a, std::string_view b) {
  if (std::min(a.size(), b.size()) < 6) return false;
  while (!a.empty() && !b.empty() && a.front() == b.front()) a.remove_prefix(1), b.remove_prefix(1);
  while (!a.empty() && !b.empty() && a.back() == b.back()) a.remove_suffix(1), b.remove_suffix(1);
  if (a.size() <= 1 && b.size() <= 1) return true;
  return a.size() == 2 && b.size() == 2 && a[0] == b[1] && a[1] == b[0];
}

bool deeper_than(const Json& value, int levels) {
  if (!value.is_structured()) return false;
  return levels == 0 || std::ranges::any_of(value, [&](const Json& inner) { return deeper_than(inner, levels - 1); });
}

}  // namespace

Body::Body(const Json& object, std::string path) : object_(&object), path_(std::move(path)) {
  const std::string name = path_.substr(0, path_.size() - (path_.ends_with('.') ? 1 : 0));
  if (!object.is_object()) refuse(name, "an object", object, "invalid_type");
  if (object.size() > kMaxFields)
    throw ApiError(400, str(name.empty() ? "the body" : name, ": expected at most ", kMaxFields, " fields, got ", object.size()), name,
                   "invalid_value");
}

Body::Body() = default;

void Body::alias(const char* name, const char* field) {
  aliases_.emplace_back(field, name);
}

void Body::ignore(std::initializer_list<const char*> names) {
  names_.insert(names_.end(), names.begin(), names.end());
}

const Json* Body::find(const char* name, const Limits& limits) {
  std::vector<std::string> spellings = {name};
  for (const auto& [field, other] : aliases_)
    if (field == name) spellings.push_back(other);
  names_.insert(names_.end(), spellings.begin(), spellings.end());
  for (const std::string& spelling : spellings) {
    const auto at = object_->find(spelling);
    if (at == object_->end() || at->is_null()) continue;
    used_ = spelling;
    return &*at;
  }
  if (limits.required) throw ApiError(400, str(path_, name, ": is missing"), path_ + name, "missing_required_parameter");
  return nullptr;
}

void Body::add_schema(const char* name, const char* help, const Limits& limits, Json schema) {
  Json needed = Json::array({{{"required", {name}}}});
  bool other_names = false;
  for (const auto& [field, other] : aliases_) {
    if (field != name) continue;
    other_names = true;
    needed.push_back({{"required", {other}}});
    properties_[other] = or_null(schema);
    properties_[other]["description"] = str("another name of ", name);
  }
  const bool required = limits.required && !other_names;
  if (limits.required) (other_names ? one_needed_ : required_).push_back(other_names ? Json{{"anyOf", std::move(needed)}} : Json(name));
  schema = required ? std::move(schema) : or_null(std::move(schema));
  if (!schema.is_object()) schema = Json::object();
  schema["description"] = help;
  properties_[name] = std::move(schema);
}

void Body::finish() {
  if (!object_) return;
  for (const auto& item : object_->items()) {
    const std::string& key = item.key();
    if (std::ranges::find(names_, key) != names_.end()) continue;
    if (key.size() > 64) continue;
    const std::string letters = plain_letters(key);
    for (const std::string& name : names_)
      if (plain_letters(name) == letters || one_slip(name, key))
        throw ApiError(400, str(path_, printable(key), ": no such field, did you mean '", name, "'?"), path_ + key, "unknown_parameter");
  }
}

Json Body::schema() const {
  Json out = {{"type", "object"}, {"properties", properties_}};
  if (!required_.empty()) out["required"] = required_;
  if (!one_needed_.empty()) out["allOf"] = one_needed_;
  return out;
}

void Body::read(const Json& value, bool& field, const std::string& path, const Limits&) {
  if (!value.is_boolean()) refuse(path, "true or false", value, "invalid_type");
  field = value.get<bool>();
}

void Body::read(const Json& value, int64_t& field, const std::string& path, const Limits& limits) {
  read_integer(value, field, path, limits);
}

void Body::read(const Json& value, uint64_t& field, const std::string& path, const Limits& limits) {
  read_integer(value, field, path, limits);
}

void Body::read(const Json& value, double& field, const std::string& path, const Limits& limits) {
  if (!value.is_number()) refuse(path, range_of("a number", limits), value, "invalid_type");
  field = value.get<double>();
  if (!std::isfinite(field)) refuse(path, range_of("a finite number", limits), value, "invalid_value");
  check_range(field, value, "a number", path, limits);
}

void Body::read(const Json& value, std::string& field, const std::string& path, const Limits& limits) {
  if (!value.is_string()) refuse(path, "a string", value, "invalid_type");
  const std::string& text = value.get_ref<const std::string&>();
  if (text.size() > limits.max_length)
    throw ApiError(400, str(path, ": expected a string of at most ", limits.max_length, " bytes, got ", text.size()), path,
                   "string_above_max_length");
  if (!limits.one_of.empty() && std::ranges::find(limits.one_of, text) == limits.one_of.end()) {
    std::string names;
    for (const std::string& name : limits.one_of) names += str(names.empty() ? "" : ", ", "'", name, "'");
    refuse(path, limits.one_of.size() > 1 ? "one of " + names : names, value, "invalid_value");
  }
  field = text;
}

void Body::read(const Json& value, Json& field, const std::string&, const Limits&) {
  field = value;
}

void Body::read(const Json& value, std::map<std::string, double>& field, const std::string& path, const Limits& limits) {
  if (!value.is_object()) refuse(path, "an object of numbers", value, "invalid_type");
  if (value.size() < limits.min_items || value.size() > limits.max_items)
    throw ApiError(400, str(path, ": expected ", limits.min_items, " to ", limits.max_items, " entries, got ", value.size()), path,
                   "invalid_value");
  field.clear();
  for (const auto& item : value.items()) read(item.value(), field[item.key()], str(path, ".", printable(item.key())), limits);
}

void Body::check_list(const Json& value, const std::string& path, const Limits& limits) {
  if (!value.is_array()) refuse(path, "a list", value, "invalid_type");
  if (value.size() >= limits.min_items && value.size() <= limits.max_items) return;
  const std::string many = limits.min_items ? str(limits.min_items, " to ", limits.max_items) : str("at most ", limits.max_items);
  throw ApiError(400, str(path, ": expected a list of ", many, " items, got ", value.size()), path, "invalid_value");
}

Json Body::schema_of(const bool*, const Limits&) {
  return {{"type", "boolean"}};
}

Json Body::schema_of(const int64_t*, const Limits& limits) {
  return number_schema("integer", std::max(limits.min, -kTwo63), std::min(limits.max, kTwo63));
}

Json Body::schema_of(const uint64_t*, const Limits& limits) {
  return number_schema("integer", std::max(limits.min, 0.0), std::min(limits.max, kTwo64));
}

Json Body::schema_of(const double*, const Limits& limits) {
  return number_schema("number", limits.min, limits.max);
}

Json Body::schema_of(const std::string*, const Limits& limits) {
  Json schema = {{"type", "string"}};
  if (limits.one_of.empty())
    schema["maxLength"] = limits.max_length;
  else
    schema["enum"] = limits.one_of;
  return schema;
}

Json Body::schema_of(const Json*, const Limits& limits) {
  return limits.schema.is_object() ? limits.schema : Json::object();
}

Json Body::schema_of(const std::map<std::string, double>*, const Limits& limits) {
  return {{"type", "object"},
          {"additionalProperties", number_schema("number", limits.min, limits.max)},
          {"minProperties", limits.min_items},
          {"maxProperties", limits.max_items}};
}

Json Body::list_schema(Json item, const Limits& limits) {
  return {{"type", "array"}, {"items", std::move(item)}, {"minItems", limits.min_items}, {"maxItems", limits.max_items}};
}

void refuse(const std::string& path, const std::string& what, const char* code) {
  throw ApiError(400, str(path, ": ", what), path, code);
}

Json parse_body(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == text.npos) throw ApiError(400, "the body is empty; expected a JSON object");
  Json json;
  try {
    json = parse_json(text, "the body");
  } catch (const Error& e) {
    throw ApiError(400, e.what(), "", "invalid_json");
  }
  if (!json.is_object()) refuse("", "a JSON object", json, "invalid_type");
  if (deeper_than(json, kMaxDepth)) throw ApiError(400, str("the body: nested deeper than ", kMaxDepth, " levels"), "", "invalid_json");
  return json;
}

}  // namespace r1::api
