#include "r1/base/config_io.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <set>

#include "r1/base/error.h"
#include "r1/base/familiar.h"
#include "r1/base/strings.h"

namespace r1 {
namespace {

template <class T>
inline constexpr bool kIsList = false;
template <class T>
inline constexpr bool kIsList<std::vector<T>> = true;

template <class T>
const char* type_name() {
  if constexpr (std::is_same_v<T, bool>) return "bool";
  if constexpr (std::is_same_v<T, int64_t>) return "int";
  if constexpr (std::is_same_v<T, uint64_t>) return "uint";
  if constexpr (std::is_same_v<T, double>) return "float";
  if constexpr (std::is_same_v<T, std::string>) return "string";
  if constexpr (std::is_same_v<T, std::vector<bool>>) return "list of bool";
  if constexpr (std::is_same_v<T, std::vector<int64_t>>) return "list of int";
  if constexpr (std::is_same_v<T, std::vector<uint64_t>>) return "list of uint";
  if constexpr (std::is_same_v<T, std::vector<double>>) return "list of float";
  if constexpr (std::is_same_v<T, std::vector<std::string>>) return "list of string";
  if constexpr (std::is_same_v<T, FreeForm>) return "options";
  return "?";
}

std::string field_type(const Field& field) {
  return std::visit([](auto* p) { return std::string(type_name<std::remove_pointer_t<decltype(p)>>()); }, field.value);
}

std::string normal_key(std::string_view key) {
  std::string out(key);
  std::replace(out.begin(), out.end(), '-', '_');
  return out;
}

template <class T>
std::optional<T> whole_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Beside what from_chars reads: +1, .inf and .nan as YAML spells them.
std::optional<double> parse_double(std::string_view text) {
  std::string word = lower_ascii(text);
  if (word.starts_with('+')) word.erase(0, 1);
  if (word == ".inf" || word == "-.inf" || word == ".nan") word.erase(word.find('.'), 1);
  return whole_number<double>(word);
}

std::optional<bool> parse_bool(std::string_view text) {
  const std::string word = lower_ascii(text);
  if (word == "true" || word == "yes" || word == "on" || word == "1") return true;
  if (word == "false" || word == "no" || word == "off" || word == "0") return false;
  return std::nullopt;
}

// 1000, 1_000 and 1e3 are the same integer; 1.5 is none.
template <class T>
std::optional<T> parse_integer(std::string_view text) {
  std::string digits(text);
  if (digits.starts_with('+')) digits.erase(0, 1);
  std::erase(digits, '_');
  if (const auto exact = whole_number<T>(digits)) return exact;
  const auto real = parse_double(digits);
  // Beyond 2^53 the notation no longer names one integer.
  if (!real || *real != std::floor(*real) || std::fabs(*real) > 0x1p53 || (std::is_unsigned_v<T> && *real < 0)) return std::nullopt;
  return T(*real);
}

template <class T>
std::optional<T> parse_text(const std::string& text) {
  if constexpr (std::is_same_v<T, std::string>) {
    return text;
  } else if constexpr (std::is_same_v<T, bool>) {
    return parse_bool(trim(text));
  } else if constexpr (std::is_same_v<T, double>) {
    return parse_double(trim(text));
  } else {
    return parse_integer<T>(trim(text));
  }
}

template <class T>
std::optional<T> parse_number(const Json& value) {
  if constexpr (std::is_same_v<T, double>) {
    return value.get<double>();
  } else if constexpr (std::is_same_v<T, int64_t> || std::is_same_v<T, uint64_t>) {
    return parse_integer<T>(value.dump());  // keeps all 64 bits and refuses fractions
  } else {
    return std::nullopt;
  }
}

template <class T>
T scalar(const Json& value, const std::string& where, const std::string& key) {
  std::optional<T> parsed;
  if (value.is_string()) parsed = parse_text<T>(value.get_ref<const std::string&>());
  if (value.is_number()) parsed = parse_number<T>(value);
  if constexpr (std::is_same_v<T, bool>) {
    if (value.is_boolean()) parsed = value.get<bool>();
  } else {
    if (value == true && where.starts_with("--")) fail_usage(where, ": needs a value (", type_name<T>(), ")");
  }
  if (!parsed)
    fail_usage(where, ": '", key, "' expects ", type_name<T>(), ", got ", value.is_string() ? "'" : "",
               printable(value.is_string() ? value.get<std::string>() : dump_json(value)), value.is_string() ? "'" : "");
  return *parsed;
}

// "a, b" or "[a, b]" as the items' texts: lists of numbers and flags, whose items hold no comma.
Json split_numbers(std::string_view text) {
  text = trim(text);
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') text = text.substr(1, text.size() - 2);
  Json items = Json::array();
  if (trim(text).empty()) return items;
  for (size_t from = 0; from <= text.size();) {
    const size_t comma = std::min(text.find(',', from), text.size());
    items.push_back(std::string(trim(text.substr(from, comma - from))));
    from = comma + 1;
  }
  return items;
}

// Where a setting comes from a place that knows text only, a list must be spelled as text.
bool is_command_line(const std::string& where) {
  return where.starts_with("--");
}
bool is_environment(const std::string& where) {
  return where.starts_with("R1_") && where.find(':') == std::string::npos;
}

// '["a", "b"]' as its items; a text that is no JSON list of strings as the one item that it is.
Json spelled_items(const std::string& text) {
  Json items = Json::array();
  if (text.starts_with('[')) {
    try {
      items = parse_json(text, "list");
      if (std::all_of(items.begin(), items.end(), [](const Json& item) { return item.is_string(); })) return items;
    } catch (const Error&) {
    }
  }
  items = Json::array();
  items.push_back(text);
  return items;
}

template <class T>
Json list_items(const Setting& setting) {
  const Json& value = setting.value;
  if constexpr (std::is_same_v<T, std::string>) {
    return string_items(setting);
  } else {
    return value.is_string() ? split_numbers(value.get_ref<const std::string&>()) : value.is_array() ? value : Json::array({value});
  }
}

// `adds`: the option stands on the command line once more, so its items come after those that are there.
template <class T>
void assign(T& target, const Setting& setting, bool adds) {
  const Json& value = setting.value;
  if constexpr (kIsList<T>) {
    T list = adds ? target : T();
    for (const Json& item : list_items<typename T::value_type>(setting))
      list.push_back(scalar<typename T::value_type>(item, setting.where, setting.key));
    target = std::move(list);
  } else {
    if (value.is_array()) fail_usage(setting.where, ": '", setting.key, "' takes one value, got ", printable(dump_json(value)));
    target = scalar<T>(value, setting.where, setting.key);
  }
}

std::string number_text(double x) {
  if (std::isnan(x)) return ".nan";
  if (std::isinf(x)) return x > 0 ? ".inf" : "-.inf";
  char buffer[40];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, x).ptr};
}

// "in [0, 10]", "one of a, b"
std::string limits_text(const Field& field) {
  if (!field.one_of.empty()) {
    std::string text = "one of ";
    for (const auto& word : field.one_of) text += (&word == &field.one_of.front() ? "" : ", ") + (word.empty() ? "''" : word);
    return text;
  }
  if (!field.range) return "";
  const auto [lo, hi] = *field.range;
  if (std::isinf(hi)) return ">= " + number_text(lo);
  if (std::isinf(lo)) return "<= " + number_text(hi);
  return number_text(lo) + " to " + number_text(hi);
}

template <class T>
void check_one(const Field& field, const T& value, const std::string& where) {
  if constexpr (std::is_same_v<T, std::string>) {
    if (field.one_of.empty() || std::find(field.one_of.begin(), field.one_of.end(), value) != field.one_of.end()) return;
    const std::string familiar = familiar_value(field.key, value);
    fail_usage(where, ": '", field.key, "' must be ", limits_text(field), "; got '", printable(value), "'",
               familiar.empty() ? did_you_mean(value, field.one_of) : ": " + familiar);
  } else if constexpr (!std::is_same_v<T, bool>) {
    if (!field.range || (double(value) >= field.range->lo && double(value) <= field.range->hi)) return;  // NaN is in no range
    fail_usage(where, ": '", field.key, "' must be ", limits_text(field), "; got ", value);
  }
}

void check_limits(const Field& field, const std::string& where) {
  std::visit(
      [&](auto* p) {
        using T = std::remove_pointer_t<decltype(p)>;
        if constexpr (kIsList<T>) {
          for (const auto& item : *p) check_one<typename T::value_type>(field, item, where);
        } else if constexpr (!std::is_same_v<T, FreeForm>) {
          check_one<T>(field, *p, where);
        }
      },
      field.value);
}

bool is_empty(const Field& field) {
  return std::visit(
      [](auto* p) {
        if constexpr (requires { p->empty(); }) return p->empty();
        return false;
      },
      field.value);
}

Json value_json(const Field& field) {
  return std::visit(
      [](auto* p) -> Json {
        using T = std::remove_pointer_t<decltype(p)>;
        const auto one = [](const auto& x) -> Json {
          if constexpr (std::is_same_v<std::decay_t<decltype(x)>, double>) {
            if (!std::isfinite(x)) return number_text(x);
          }
          return x;
        };
        if constexpr (kIsList<T>) {
          Json list = Json::array();
          for (typename T::const_reference item : *p) list.push_back(one(item));
          return list;
        } else if constexpr (std::is_same_v<T, FreeForm>) {
          return Json(*p);
        } else {
          return one(*p);
        }
      },
      field.value);
}

// True when `text` unquoted would not come back as the same string.
bool needs_quotes(const std::string& text) {
  if (text.empty() || text != trim(text)) return true;
  const std::string word = lower_ascii(text);
  if (word == "null" || word == "~" || parse_bool(word) || parse_double(word)) return true;
  if (std::string_view("-?:,[]{}#&*!|>'\"%@`").find(text[0]) != std::string_view::npos) return true;
  return std::any_of(text.begin(), text.end(), [](unsigned char c) {
    return c < 32 || c == 127 || std::string_view(":#,[]{}\"").find(char(c)) != std::string_view::npos;
  });
}

std::string yaml_scalar(const Json& value, bool is_string) {
  if (!is_string) return value.is_string() ? value.get<std::string>() : value.dump();
  const auto& text = value.get_ref<const std::string&>();
  return needs_quotes(text) ? dump_json(value) : text;  // a JSON string is a YAML double-quoted one
}

std::string yaml_value(const Field& field) {
  const bool strings = std::holds_alternative<std::string*>(field.value) || std::holds_alternative<std::vector<std::string>*>(field.value);
  const Json value = value_json(field);
  if (value.is_object()) return "{}";
  if (!value.is_array()) return yaml_scalar(value, strings);
  std::string text = "[";
  for (const Json& item : value) text += (text.size() > 1 ? ", " : "") + yaml_scalar(item, strings);
  return text + "]";
}

std::vector<std::string> split_key(const std::string& key) {
  std::vector<std::string> parts;
  for (size_t from = 0; from <= key.size();) {
    const size_t dot = std::min(key.find('.', from), key.size());
    parts.push_back(key.substr(from, dot - from));
    from = dot + 1;
  }
  return parts;
}

std::string source_file(const std::string& where) {
  const size_t colon = where.rfind(':');
  const bool line =
      colon != std::string::npos && colon + 1 < where.size() && where.find_first_not_of("0123456789", colon + 1) == std::string::npos;
  return line ? where.substr(0, colon) : "";
}

// Optimal string alignment distance.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

// The field a setting means, and whether the key said no-flag. nullptr: unknown.
std::pair<const Field*, bool> resolve(const Fields& fields, const Setting& setting) {
  const std::string key = normal_key(setting.key);
  if (const Field* field = fields.find(key)) return {field, false};
  if (setting.where.starts_with("--")) {
    const size_t leaf = key.rfind('.') + 1;  // npos + 1 == 0
    for (const size_t at : {size_t(0), leaf}) {
      if (key.compare(at, 3, "no_") != 0) continue;
      const Field* field = fields.find(key.substr(0, at) + key.substr(at + 3));
      if (field && std::holds_alternative<bool*>(field->value)) return {field, true};
    }
  }
  return {nullptr, false};
}

// task_options.digits, where task_options is a FreeForm field: sets its entry.
bool apply_free_form(const Fields& fields, const Setting& setting) {
  const std::string key = normal_key(setting.key);
  for (const Field& field : fields.list()) {
    if (!std::holds_alternative<FreeForm*>(field.value) || !key.starts_with(field.key + ".")) continue;
    const Json& value = setting.value;
    (*std::get<FreeForm*>(field.value))[key.substr(field.key.size() + 1)] = value.is_string() ? value.get<std::string>() : dump_json(value);
    return true;
  }
  return false;
}

[[noreturn]] void fail_unknown(const Setting& setting, const std::vector<std::string>& known) {
  const std::string key = normal_key(setting.key), familiar = familiar_option(key, known);
  fail_usage(setting.where, ": unknown key '", printable(setting.key), "'", familiar.empty() ? did_you_mean(key, known) : ": " + familiar);
}

void apply_one(const Fields& fields, const Setting& setting, std::map<const Field*, std::string>& given) {
  if (apply_free_form(fields, setting)) return;
  const auto [field, negated] = resolve(fields, setting);
  if (!field) fail_unknown(setting, fields.names(true));
  if (setting.value.is_null()) return;
  if (setting.value.is_object()) fail_usage(setting.where, ": '", field->key, "' expects ", field_type(*field), ", got a group of keys");
  const std::string file = source_file(setting.where);
  if (const auto it = given.find(field); it != given.end() && !file.empty() && source_file(it->second) == file) {
    fail_usage(setting.where, ": '", field->key, "' is set twice (first at ", it->second, ")");
  }
  const Setting named{field->key, setting.where, setting.value};
  if (std::holds_alternative<FreeForm*>(field->value))
    fail_usage(setting.where, ": '", field->key, "' is a group: write ", field->key, ".<option>=<value>");
  const auto before = given.find(field);
  const bool adds = before != given.end() && is_command_line(before->second) && is_command_line(setting.where);
  std::visit(
      [&](auto* p) {
        if constexpr (!std::is_same_v<decltype(p), FreeForm*>) assign(*p, named, adds);
      },
      field->value);
  if (negated) {
    bool& flag = *std::get<bool*>(field->value);
    flag = !flag;
  }
  given[field] = setting.where;
}

void flatten_json(const Json& object, const std::string& prefix, std::string_view where, std::vector<Setting>& out) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) {
      flatten_json(value, prefix + key + ".", where, out);
    } else {
      out.push_back({prefix + key, std::string(where), value});
    }
  }
}

bool looks_like_option(const std::string& argument) {
  if (argument.size() < 2 || argument[0] != '-') return false;
  if (argument[1] == '-') return true;
  return (std::isalpha(static_cast<unsigned char>(argument[1])) && argument.size() == 2) || familiar_short_option(argument);
}

}  // namespace

void Fields::add(const char* key, FieldPointer pointer, const char* help, Limit first, Limit second) {
  Field field{prefix_ + key, help, pointer, {}, {}, false};
  check(!find(field.key), "config lists the key '", field.key, "' twice");
  for (const Limit& limit : {first, second}) {
    if (const auto* range = std::get_if<Range>(&limit)) field.range = *range;
    if (const auto* list = std::get_if<OneOf>(&limit)) field.one_of = list->values;
    if (std::holds_alternative<Required>(limit)) field.required = true;
  }
  list_.push_back(std::move(field));
}

std::string Fields::enter(const char* name, const char* help) {
  std::string outer = prefix_;
  if (*name) prefix_ += str(name, ".");
  if (*help) group_help_[prefix_] = help;
  return outer;
}

const Field* Fields::find(std::string_view key) const {
  for (const Field& field : list_) {
    if (field.key == key) return &field;
  }
  for (const auto& [name, real] : aliases_) {
    if (name == key) return find(real);
  }
  return nullptr;
}

std::vector<std::string> Fields::names(bool with_aliases) const {
  std::vector<std::string> all;
  for (const Field& field : list_) all.push_back(field.key);
  if (with_aliases) {
    for (const auto& [name, real] : aliases_) all.push_back(name);
  }
  return all;
}

std::vector<std::string> Fields::aliases_of(std::string_view key) const {
  std::vector<std::string> found;
  for (const auto& [name, real] : aliases_) {
    if (real == key) found.push_back(name);
  }
  return found;
}

std::string Fields::group_help(const std::string& prefix) const {
  const auto it = group_help_.find(prefix);
  return it == group_help_.end() ? "" : it->second;
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& known) {
  std::string best;
  size_t distance = std::max<size_t>(1, (name.size() + 1) / 3) + 1;
  if (name.size() > 200) return best;
  for (const auto& word : known) {
    // One letter off says nothing about a word of two letters.
    const size_t d = edit_distance(lower_ascii(name), lower_ascii(word));
    if (d < distance && d < std::max(name.size(), word.size()) - (word.size() > 2 ? 1 : 0)) best = word, distance = d;
  }
  if (!best.empty()) return best;
  const auto leaf = [](std::string_view key) { return key.substr(key.rfind('.') + 1); };
  for (const auto& word : known) {
    if (word.find('.') + name.find('.') != 2 * std::string::npos && leaf(word) == leaf(name))
      return word;  // the right key in the wrong group
  }
  return best;
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& known) {
  const std::string nearest = nearest_name(name, known);
  return nearest.empty() ? "" : str(", did you mean '", nearest, "'?");
}

std::vector<Setting> json_settings(const Json& object, std::string_view where) {
  if (!object.is_object()) fail_usage(where, ": expected an object of keys and values");
  std::vector<Setting> settings;
  flatten_json(object, "", where, settings);
  return settings;
}

std::vector<Setting> parse_overrides(const std::vector<std::string>& arguments) {
  std::vector<Setting> settings;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (!looks_like_option(argument) || argument == "--")
      fail_usage("unexpected argument '", printable(argument), "': options are --key=value or --key value");
    const size_t dashes = argument[1] == '-' ? 2 : 1, equals = argument.find('=');
    const std::string key = normal_key(std::string_view(argument).substr(dashes, equals == std::string::npos ? equals : equals - dashes));
    if (key.empty()) fail_usage("'", printable(argument), "': an option needs a name");
    // Elsewhere it is the length of the answer, here it would be the number of answers.
    if (dashes == 1 && key == "n") fail_usage("-n: write --max_new_tokens for the length of an answer, --n for the number of samples");
    Setting setting{key, str("--", key), true};
    if (equals != std::string::npos) {
      setting.value = argument.substr(equals + 1);
    } else {
      Json values = Json::array();
      while (i + 1 < arguments.size() && !looks_like_option(arguments[i + 1])) values.push_back(arguments[++i]);
      if (values.size() == 1) setting.value = values[0];
      if (values.size() > 1) setting.value = values;
    }
    settings.push_back(std::move(setting));
  }
  return settings;
}

std::vector<FieldInfo> fields_info(const Fields& fields) {
  std::vector<FieldInfo> infos;
  for (const Field& f : fields.list()) infos.push_back({f.key, field_type(f), f.help, limits_text(f), value_json(f), f.required});
  return infos;
}

namespace {

void apply_checked(const Fields& fields, const std::vector<Setting>& settings, bool all_known) {
  std::map<const Field*, std::string> given;
  for (const Setting& setting : settings) apply_one(fields, setting, given);
  for (const Field& field : fields.list()) {
    const auto it = given.find(&field);
    const bool is_text = std::holds_alternative<std::string*>(field.value) || field_type(field).starts_with("list");
    if (all_known && field.required && (is_text ? is_empty(field) : it == given.end()))
      fail_usage("missing: --", field.key, " (", field.help, ")");
    check_limits(field, it == given.end() ? "config" : it->second);
  }
}

}  // namespace

void apply_to_fields(const Fields& fields, const std::vector<Setting>& settings) {
  apply_checked(fields, settings, true);
}

void check_against_fields(const Fields& fields, const std::vector<Setting>& settings) {
  apply_checked(fields, settings, false);
}

Json string_items(const Setting& setting) {
  const Json given = setting.value.is_array() ? setting.value : Json::array({setting.value});
  // After "--" stand another program's words, which are not read.
  const bool spelled = setting.where != "--" && (is_command_line(setting.where) || is_environment(setting.where));
  Json items = Json::array();
  for (const Json& item : given) {
    if (spelled && item.is_string()) {
      for (const Json& one : spelled_items(item.get_ref<const std::string&>())) items.push_back(one);
    } else {
      items.push_back(item);
    }
  }
  for (const Json& item : items) {
    if (item == "" && setting.where != "--") fail_usage(setting.where, ": '", setting.key, "' holds an empty string; the empty list is []");
  }
  return items;
}

std::vector<Setting> fields_environment(const Fields& fields) {
  static const std::set<std::string> kReserved = {"R1_DEPS", "R1_MODELS", "R1_DATA", "R1_NUM_THREADS", "R1_ORACLE_PYTHON"};
  std::vector<Setting> settings;
  for (const Field& field : fields.list()) {
    std::string name = "R1_";
    for (const char c : field.key) name += c == '.' ? "__" : std::string(1, char(std::toupper(static_cast<unsigned char>(c))));
    const char* value = kReserved.count(name) ? nullptr : std::getenv(name.c_str());
    if (value) settings.push_back({field.key, name, std::string(value)});
  }
  return settings;
}

Json fields_to_json(const Fields& fields) {
  Json object = Json::object();
  for (const Field& field : fields.list()) {
    Json* at = &object;
    for (const auto& part : split_key(field.key)) at = &(*at)[part];
    *at = value_json(field);
  }
  return object;
}

std::string fields_to_yaml(const Fields& fields) {
  // Fields of one group need not stand together; print by walking the nested JSON, values by key.
  std::string text;
  const auto walk = [&](const auto& self, const Json& object, const std::string& prefix, int depth) -> void {
    for (const auto& [key, value] : object.items()) {
      text += std::string(size_t(depth) * 2, ' ') + key + ":";
      if (value.is_object()) {
        text += "\n";
        self(self, value, prefix + key + ".", depth + 1);
      } else {
        const Field* field = fields.find(prefix + key);  // none: an entry of a FreeForm field
        text += " " + (field ? yaml_value(*field) : yaml_scalar(value, true)) + "\n";
      }
    }
  };
  walk(walk, fields_to_json(fields), "", 0);
  return text;
}

std::string fields_help(const Fields& fields) {
  std::string text, group;
  bool strings = false;
  for (const Field& field : fields.list()) {
    const size_t leaf = field.key.rfind('.') + 1;
    const std::string prefix = field.key.substr(0, leaf);
    if (prefix != group) {
      const std::string help = fields.group_help(prefix);
      if (!prefix.empty()) text += str("\n ", prefix.substr(0, prefix.size() - 1), help.empty() ? "" : ": ", help, "\n");
      group = prefix;
    }
    std::string left = "  --" + field.key;
    for (const auto& other : fields.aliases_of(field.key)) left += str(", ", other.size() == 1 ? "-" : "--", other);
    left += std::holds_alternative<bool*>(field.value) ? "" : " <" + field_type(field) + ">";
    left.resize(std::max<size_t>(left.size() + 2, 46), ' ');
    const std::string limits = limits_text(field), value = yaml_value(field);
    const std::string state = field.required && is_empty(field) ? "required" : "default " + value;
    text += str(left, field.help, " (", limits, limits.empty() ? "" : "; ", state, ")\n");
    strings = strings || std::holds_alternative<std::vector<std::string>*>(field.value);
  }
  if (strings)
    text +=
        "\n<list of string>: each word is one string, taken as it is (spaces, commas and newlines too): --key A --key B, --key A B, or a\n"
        "JSON list: --key '[\"A\", \"B\"]'; '[]' is the empty list.\n";
  return text;
}

std::string json_diff(const Json& before, const Json& after) {
  std::map<std::string, Json> old;
  std::string text;
  for (const auto& s : json_settings(before, "config")) old[s.key] = s.value;
  for (const auto& s : json_settings(after, "config")) {
    const auto it = old.find(s.key);
    if (it == old.end()) {
      text += str(s.key, ": (none) -> ", dump_json(s.value), "\n");
    } else {
      if (it->second != s.value) text += str(s.key, ": ", dump_json(it->second), " -> ", dump_json(s.value), "\n");
      old.erase(it);
    }
  }
  for (const auto& [key, value] : old) text += str(key, ": ", dump_json(value), " -> (none)\n");
  return text;
}

}  // namespace r1
