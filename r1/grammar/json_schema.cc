#include "r1/grammar/json_schema.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "r1/base/error.h"
#include "r1/base/utf8.h"
#include "r1/grammar/json_formats.h"
#include "r1/grammar/json_number.h"
#include "r1/grammar/regex.h"

namespace r1::grammar {

namespace {

enum Type : unsigned { kNull = 1, kBoolean = 2, kInteger = 4, kFraction = 8, kString = 16, kArray = 32, kObject = 64, kAllTypes = 127 };
constexpr unsigned kNumber = kInteger | kFraction;

// A schema and where it stands ("#/properties/a").
struct At {
  const Json* schema;
  std::string path;
};
// All of them hold. Empty: anything.
using All = std::vector<At>;

struct Text {
  std::string text, path;
};

// A schema without choices and references: every keyword holds.
struct Flat {
  unsigned types = kAllTypes, never = 0;
  std::optional<std::vector<Json>> values;
  int64_t min_length = 0, max_length = kNoLimit;
  std::vector<Text> patterns, formats;
  std::vector<Bound> lower, upper;
  std::vector<All> prefix;
  All items;
  bool says_items = false;
  int64_t min_items = 0, max_items = kNoLimit;
  struct Property {
    std::string name;
    All value;
  };
  std::vector<Property> properties;
  std::vector<std::string> required;
  std::optional<All> additional;  // nothing: not said
  bool says_properties = false;
  int64_t min_properties = 0, max_properties = kNoLimit;
  std::string counted_at;  // the path of these

  const Property* find(const std::string& name) const {
    for (const Property& p : properties)
      if (p.name == name) return &p;
    return nullptr;
  }
  bool requires_property(const std::string& name) const { return std::find(required.begin(), required.end(), name) != required.end(); }
};
using Flats = std::vector<Flat>;

bool closed(const All& all) {
  return std::any_of(all.begin(), all.end(), [](const At& a) { return a.schema->is_boolean() && !a.schema->get<bool>(); });
}
bool closed(const std::optional<All>& additional) {
  return additional && closed(*additional);
}
// Whether a grammar of it makes properties that it does not name.
bool makes_others(const Flat& f) {
  return f.additional ? !closed(f.additional) : !f.says_properties;
}

void append(All& to, const All& more) {
  for (const At& a : more)
    if (std::none_of(to.begin(), to.end(), [&](const At& b) { return a.schema == b.schema; })) to.push_back(a);
}

int64_t code_points(const std::string& text) {
  return int64_t(std::count_if(text.begin(), text.end(), [](char c) { return (uint8_t(c) & 0xC0) != 0x80; }));
}

class SchemaCompiler {
 public:
  SchemaCompiler(Expressions& x, const Json& root) : x_(x), root_(root), json_(x) {}

  int32_t compile() {
    if (!root_.is_object() && !root_.is_boolean()) fail_usage("[json_schema] expected an object or a boolean, got ", root_.type_name());
    const int32_t rule = rule_of({{&root_, "#"}});
    for (; !pending_.empty(); pending_.pop_front()) {
      const auto [id, all] = pending_.front();
      bool composite = false;
      const Node body = expression(expand(all), &composite);
      x_.set_rule(id, body);
      x_.rules()[size_t(id)].keep = composite;
    }
    return rule;
  }

 private:
  static constexpr size_t kMostFlats = 512;
  static constexpr int64_t kMostPatternLength = 500;  // characters: each is a state of the pattern's product with the length

  template <class... Args>
  [[noreturn]] void refuse(const std::string& path, const Args&... args) const {
    fail_usage("[json_schema] ", args..., " at ", printable(path));
  }
  void spend(int64_t steps = 20) { x_.budget().spend_steps(steps); }
  static std::string under(const std::string& path, const std::string& key) {
    std::string out = path + "/";
    for (char c : key) out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
    return out;
  }

  // --- rules ---

  int32_t rule_of(const All& all) {
    spend();
    std::vector<const Json*> key;
    for (const At& a : all) key.push_back(a.schema);
    std::sort(key.begin(), key.end());
    const auto [it, fresh] = rules_.try_emplace(std::move(key), -1);
    if (!fresh) return it->second;
    const int32_t rule = x_.new_rule(all.empty() ? "value" : all[0].path, false);
    it->second = rule;
    pending_.emplace_back(rule, all);
    return rule;
  }
  Node value(const All& all) {
    if (anything(all)) return json_.any_value();
    return x_.rule(rule_of(all));
  }
  static bool anything(const All& all) {
    return std::all_of(all.begin(), all.end(), [](const At& a) {
      return (a.schema->is_boolean() && a.schema->get<bool>()) || (a.schema->is_object() && a.schema->empty());
    });
  }

  // --- schemas to flat ones ---

  Flats expand(const All& all) {
    Flats flats(1);
    for (const At& a : all) flats = cross(flats, expand(a), a.path);
    return flats;
  }

  Flats expand(const At& at) {
    spend();
    const Json& schema = *at.schema;
    if (schema.is_boolean()) return Flats(schema.get<bool>() ? 1 : 0);
    if (!schema.is_object()) refuse(at.path, "expected a schema (an object or a boolean), got ", schema.type_name());
    if (std::find(open_.begin(), open_.end(), &schema) != open_.end())
      refuse(at.path, "a schema refers to itself with nothing in between ($ref)");
    if (int(open_.size()) > x_.budget().limits().depth)
      refuse(at.path, "schemas nest deeper than the allowed ", x_.budget().limits().depth);
    open_.push_back(&schema);
    Flats flats{keywords(at)};
    if (const auto ref = schema.find("$ref"); ref != schema.end())
      flats = cross(flats, expand(target(*ref, under(at.path, "$ref"))), at.path);
    if (const auto all = schema.find("allOf"); all != schema.end())
      for (const At& a : list(*all, under(at.path, "allOf"))) flats = cross(flats, expand(a), a.path);
    for (const char* keyword : {"anyOf", "oneOf"}) {
      const auto any = schema.find(keyword);
      if (any == schema.end()) continue;
      const std::string path = under(at.path, keyword);
      std::vector<Flats> alternatives;
      Flats joined;
      for (const At& a : list(*any, path)) {
        alternatives.push_back(cross(flats, expand(a), a.path));
        joined.insert(joined.end(), alternatives.back().begin(), alternatives.back().end());
        limit(joined, path);
      }
      if (*keyword == 'o') check_one_of(alternatives, path);
      flats = std::move(joined);
    }
    open_.pop_back();
    return flats;
  }

  void limit(const Flats& flats, const std::string& path) {
    if (flats.size() > kMostFlats) refuse(path, "combining alternatives gives more than the allowed ", kMostFlats);
  }

  std::vector<At> list(const Json& schemas, const std::string& path) {
    if (!schemas.is_array() || schemas.empty()) refuse(path, "expected a list of schemas");
    std::vector<At> out;
    for (size_t i = 0; i < schemas.size(); ++i) out.push_back({&schemas[i], path + "/" + std::to_string(i)});
    return out;
  }

  At target(const Json& ref, const std::string& path) {
    if (!ref.is_string()) refuse(path, "expected a text");
    std::string to = ref.get<std::string>();
    if (const auto id = root_.find("$id"); id != root_.end() && id->is_string() && !id->get<std::string>().empty()) {
      const std::string base = id->get<std::string>();
      if (to.starts_with(base) && (to.size() == base.size() || to[base.size()] == '#')) to.erase(0, base.size());
      if (to.empty()) to = "#";
    }
    if (to != "#" && !to.starts_with("#/"))
      refuse(path, "only references inside the schema (#/..) are supported, got '", printable(to), "'");
    const Json* at = &root_;
    for (size_t begin = 2; begin <= to.size() && to != "#";) {
      const size_t end = std::min(to.find('/', begin), to.size());
      const std::string key = unescaped(to.substr(begin, end - begin));
      spend();
      const Json* next = nullptr;
      if (at->is_object()) {
        if (const auto it = at->find(key); it != at->end()) next = &*it;
      } else if (at->is_array() && !key.empty() && key.size() < 7 && key.find_first_not_of("0123456789") == key.npos) {
        if (const size_t i = size_t(std::stoul(key)); i < at->size()) next = &(*at)[i];
      }
      if (!next) refuse(path, "there is nothing at '", printable(to), "'");
      at = next;
      begin = end + 1;
    }
    return {at, to};
  }
  static std::string unescaped(const std::string& key) {
    std::string out;
    for (size_t i = 0; i < key.size(); ++i) {
      if (key[i] == '%' && i + 2 < key.size() && std::isxdigit(uint8_t(key[i + 1])) && std::isxdigit(uint8_t(key[i + 2]))) {
        out += char(std::stoi(key.substr(i + 1, 2), nullptr, 16));
        i += 2;
      } else if (key[i] == '~' && i + 1 < key.size() && (key[i + 1] == '0' || key[i + 1] == '1')) {
        out += key[++i] == '0' ? '~' : '/';
      } else {
        out += key[i];
      }
    }
    return out;
  }

  // --- keywords ---

  Flat keywords(const At& at) {
    Flat f;
    unsigned named = 0, implied = 0;
    bool nullable = false;
    for (const auto& item : at.schema->items()) {
      spend(5);
      const std::string& key = item.key();
      const Json& v = item.value();
      const std::string path = under(at.path, key);
      if (key == "type") {
        named = types(v, path);
      } else if (key == "nullable") {
        nullable = v.is_boolean() && v.get<bool>();
      } else if (key == "enum") {
        if (!v.is_array() || v.empty()) refuse(path, "expected a list of values");
        spend(int64_t(v.size()));
        f.values = std::vector<Json>(v.begin(), v.end());
      } else if (key == "const") {
        f.values = f.values ? common(*f.values, {v}) : std::vector<Json>{v};
      } else if (string_keyword(key, v, path, f)) {
        implied |= kString;
      } else if (number_keyword(key, v, path, f)) {
        implied |= kNumber;
      } else if (array_keyword(key, v, path, at, f)) {
        implied |= kArray;
      } else if (object_keyword(key, v, path, f)) {
        implied |= kObject;
      } else {
        check_unsupported(key, v, path, at);
      }
    }
    if (named)
      f.types = named;
    else if (implied && !f.values)
      f.types = implied;
    if (nullable) f.types |= kNull;
    f.types &= ~f.never;
    return f;
  }

  unsigned types(const Json& v, const std::string& path) {
    static const std::map<std::string, unsigned> kNames = {{"null", kNull},     {"boolean", kBoolean}, {"integer", kInteger},
                                                           {"number", kNumber}, {"string", kString},   {"array", kArray},
                                                           {"object", kObject}};
    unsigned out = 0;
    const auto add = [&](const Json& name) {
      const auto it = name.is_string() ? kNames.find(name.get<std::string>()) : kNames.end();
      if (it == kNames.end()) refuse(path, "unknown type ", printable(dump_json(name)));
      out |= it->second;
    };
    if (!v.is_array())
      add(v);
    else
      for (const Json& name : v) add(name);
    if (!out) refuse(path, "expected at least one type");
    return out;
  }

  int64_t count(const Json& v, const std::string& path) {
    const bool whole = v.is_number_integer() || (v.is_number_float() && v.get<double>() == std::floor(v.get<double>()));
    if (!whole || v.get<double>() < 0 || v.get<double>() > 1e15) refuse(path, "expected a count, got ", printable(dump_json(v)));
    return int64_t(v.get<double>());
  }

  bool string_keyword(const std::string& key, const Json& v, const std::string& path, Flat& f) {
    if (key == "minLength") return f.min_length = count(v, path), true;
    if (key == "maxLength") return f.max_length = count(v, path), true;
    if (key != "pattern" && key != "format") return false;
    if (!v.is_string()) refuse(path, "expected a text");
    const std::string text = v.get<std::string>();
    if (key == "pattern") return f.patterns.push_back({text, path}), true;
    if (!is_known_format(text)) return false;
    if (!format_pattern(text)) refuse(path, "the format '", printable(text), "' is not supported");
    f.formats.push_back({text, path});
    return true;
  }

  bool number_keyword(const std::string& key, const Json& v, const std::string& path, Flat& f) {
    if (key == "multipleOf") {
      if (!v.is_number()) refuse(path, "expected a number");
      if (v.get<double>() == 1) return f.never |= kFraction, true;
      refuse(path, "'multipleOf' is not supported but for 1");
    }
    const bool exclusive = key == "exclusiveMinimum" || key == "exclusiveMaximum";
    if (!exclusive && key != "minimum" && key != "maximum") return false;
    if (!v.is_number())
      refuse(path, exclusive && v.is_boolean() ? "a boolean (draft 4) is not supported; write the number here" : "expected a number");
    (key.ends_with("inimum") ? f.lower : f.upper).push_back({v, exclusive});
    return true;
  }

  bool array_keyword(const std::string& key, const Json& v, const std::string& path, const At& at, Flat& f) {
    if (key == "minItems") return f.min_items = count(v, path), true;
    if (key == "maxItems") return f.max_items = count(v, path), true;
    if (key == "prefixItems" || (key == "items" && v.is_array())) {
      if (!v.is_array()) refuse(path, "expected a list of schemas");
      for (size_t i = 0; i < v.size(); ++i) f.prefix.push_back({{&v[i], path + "/" + std::to_string(i)}});
      return true;
    }
    const auto items = at.schema->find("items");
    if (key == "items" || (key == "additionalItems" && items != at.schema->end() && items->is_array()))
      return f.says_items = true, f.items = {{&v, path}}, true;
    return false;
  }

  bool object_keyword(const std::string& key, const Json& v, const std::string& path, Flat& f) {
    if (key == "minProperties") return f.min_properties = count(v, f.counted_at = path), true;
    if (key == "maxProperties") return f.max_properties = count(v, f.counted_at = path), true;
    if (key == "properties") {
      if (!v.is_object()) refuse(path, "expected an object of schemas");
      f.says_properties = true;
      for (const auto& item : v.items()) f.properties.push_back({item.key(), {{&item.value(), under(path, item.key())}}});
      return true;
    }
    if (key == "required") {
      if (!v.is_array()) refuse(path, "expected a list of names");
      std::set<std::string> seen(f.required.begin(), f.required.end());
      for (const Json& name : v) {
        spend(5);
        if (!name.is_string()) refuse(path, "expected a list of names");
        if (seen.insert(name.get<std::string>()).second) f.required.push_back(name.get<std::string>());
      }
      return true;
    }
    if (key == "additionalProperties") return f.additional = All{{&v, path}}, true;
    return false;
  }

  void check_unsupported(const std::string& key, const Json& v, const std::string& path, const At& at) {
    static const std::set<std::string> kNever = {"not",
                                                 "contains",
                                                 "patternProperties",
                                                 "propertyNames",
                                                 "dependentRequired",
                                                 "dependencies",
                                                 "dependentSchemas",
                                                 "unevaluatedProperties",
                                                 "minContains",
                                                 "unevaluatedItems",
                                                 "$dynamicRef",
                                                 "$recursiveRef",
                                                 "extends",
                                                 "disallow",
                                                 "divisibleBy"};
    if (key == "uniqueItems" && v.is_boolean() && !v.get<bool>()) return;
    if (key == "if" && !at.schema->contains("then") && !at.schema->contains("else")) return;
    if (key == "minContains" && !at.schema->contains("contains")) return;
    if ((key == "patternProperties" || key.starts_with("depend")) && v.is_object() && v.empty()) return;
    if (key == "propertyNames" && v == Json{{"type", "string"}}) return;
    if (key.starts_with("unevaluated") && v.is_boolean() && v.get<bool>()) return;
    if (kNever.contains(key) || key == "if" || key == "uniqueItems") refuse(path, "'", key, "' is not supported");
  }

  // --- both of two ---

  static std::vector<Json> common(const std::vector<Json>& a, const std::vector<Json>& b) {
    std::vector<Json> out;
    for (const Json& v : a)
      if (std::find(b.begin(), b.end(), v) != b.end()) out.push_back(v);
    return out;
  }

  Flats cross(const Flats& a, const Flats& b, const std::string& path) {
    Flats out;
    for (const Flat& f : a)
      for (const Flat& g : b) {
        spend();
        Flat m = merge(f, g);
        if (m.types == 0 || (m.values && m.values->empty())) continue;
        out.push_back(std::move(m));
        limit(out, path);
      }
    return out;
  }

  Flat merge(const Flat& a, const Flat& b) {
    Flat m = a;
    m.types &= b.types;
    if (b.values) {
      if (a.values) spend(int64_t(a.values->size() * b.values->size()));
      m.values = a.values ? common(*a.values, *b.values) : b.values;
    }
    m.min_length = std::max(a.min_length, b.min_length), m.max_length = std::min(a.max_length, b.max_length);
    m.min_items = std::max(a.min_items, b.min_items), m.max_items = std::min(a.max_items, b.max_items);
    m.min_properties = std::max(a.min_properties, b.min_properties), m.max_properties = std::min(a.max_properties, b.max_properties);
    if (m.counted_at.empty()) m.counted_at = b.counted_at;
    m.patterns.insert(m.patterns.end(), b.patterns.begin(), b.patterns.end());
    m.formats.insert(m.formats.end(), b.formats.begin(), b.formats.end());
    m.lower.insert(m.lower.end(), b.lower.begin(), b.lower.end());
    m.upper.insert(m.upper.end(), b.upper.begin(), b.upper.end());
    for (size_t i = 0; i < std::max(a.prefix.size(), b.prefix.size()); ++i) {
      All item = i < a.prefix.size() ? a.prefix[i] : a.items;
      append(item, i < b.prefix.size() ? b.prefix[i] : b.items);
      i < m.prefix.size() ? m.prefix[i] = item : m.prefix.emplace_back(item);
    }
    append(m.items, b.items);
    m.says_items |= b.says_items;
    merge_properties(a, b, m);
    return m;
  }

  void merge_properties(const Flat& a, const Flat& b, Flat& m) {
    for (auto& p : m.properties) {
      spend(2 + int64_t(b.properties.size()) / 4);
      if (const auto* other = b.find(p.name))
        append(p.value, other->value);
      else if (b.additional)
        append(p.value, *b.additional);
    }
    for (const auto& p : b.properties) {
      spend(2 + int64_t(a.properties.size()) / 4);
      if (a.find(p.name)) continue;
      m.properties.push_back(p);
      if (a.additional) append(m.properties.back().value, *a.additional);
    }
    spend(int64_t(b.required.size() * (m.required.size() + 1)) / 4);
    for (const std::string& name : b.required)
      if (!m.requires_property(name)) m.required.push_back(name);
    if (b.additional) {
      if (m.additional)
        append(*m.additional, *b.additional);
      else
        m.additional = b.additional;
    }
    m.says_properties |= b.says_properties;
  }

  // --- oneOf ---

  void check_one_of(const std::vector<Flats>& alternatives, const std::string& path) {
    if (checking_) return;  // on the way to something else: it is checked when its own turn comes
    const auto was_open = std::exchange(open_, {});
    checking_ = true;
    compare_alternatives(alternatives, path);
    checking_ = false;
    open_ = was_open;
  }

  void compare_alternatives(const std::vector<Flats>& alternatives, const std::string& path) {
    for (size_t i = 0; i < alternatives.size(); ++i)
      for (size_t j = i + 1; j < alternatives.size(); ++j)
        for (const Flat& a : alternatives[i])
          for (const Flat& b : alternatives[j]) {
            spend();
            if (!apart(a, b, 0))
              refuse(path, "'oneOf': a value may match both alternative ", i, " and ", j,
                     "; give them a required property with different const values, or write anyOf");
          }
  }

  // No value that is made from one matches the other.
  bool apart(const Flat& a, const Flat& b, int depth) {
    spend();
    const unsigned shared = a.types & b.types;
    if (!shared) return true;
    for (const auto* p : {&a, &b})
      if (p->values) {
        const Flat& other = p == &a ? b : a;
        return std::none_of(p->values->begin(), p->values->end(), [&](const Json& v) { return fits(*p, v) && fits(other, v); });
      }
    if (shared & ~(kNumber | kObject)) return false;
    if ((shared & kNumber) && !ranges_apart(a, b) && !ranges_apart(b, a)) return false;
    return !(shared & kObject) || objects_apart(a, b, depth);
  }
  static bool ranges_apart(const Flat& low, const Flat& high) {
    for (const Bound& u : low.upper)
      for (const Bound& l : high.lower) {
        const double most = u.value.get<double>(), least = l.value.get<double>();
        if (most < least || (most == least && (u.strict || l.strict))) return true;
      }
    return false;
  }
  bool objects_apart(const Flat& a, const Flat& b, int depth) {
    const auto never_has_what_it_wants = [&](const Flat& made, const Flat& wants) {
      return std::any_of(wants.required.begin(), wants.required.end(),
                         [&](const std::string& name) { return !made.find(name) && !makes_others(made); });
    };
    const auto forbids_what_it_has = [&](const Flat& has, const Flat& forbids) {
      return closed(forbids.additional) &&
             std::any_of(has.required.begin(), has.required.end(), [&](const std::string& name) { return !forbids.find(name); });
    };
    if ((never_has_what_it_wants(a, b) || forbids_what_it_has(a, b)) && (never_has_what_it_wants(b, a) || forbids_what_it_has(b, a)))
      return true;
    if (depth > 2) return false;
    for (const std::string& name : a.required) {
      if (!b.requires_property(name) || !a.find(name) || !b.find(name)) continue;
      const Flats x = expand(a.find(name)->value), y = expand(b.find(name)->value);
      bool all_apart = true;
      for (const Flat& f : x)
        for (const Flat& g : y) all_apart = all_apart && apart(f, g, depth + 1);
      if (all_apart) return true;
    }
    return false;
  }

  // --- is a given value right? ---

  bool fits(const All& all, const Json& value) {
    const Flats flats = expand(all);
    return std::any_of(flats.begin(), flats.end(), [&](const Flat& f) { return fits(f, value); });
  }
  bool fits(const Flat& f, const Json& v) {
    spend();
    const bool fraction = v.is_number_float() && v.get<double>() != std::floor(v.get<double>());
    const unsigned type = v.is_null()      ? kNull
                          : v.is_boolean() ? kBoolean
                          : v.is_string()  ? kString
                          : v.is_array()   ? kArray
                          : v.is_object()  ? kObject
                          : fraction       ? kFraction
                                           : kInteger;
    if (!(f.types & type)) return false;
    if (f.values && std::find(f.values->begin(), f.values->end(), v) == f.values->end()) return false;
    if (v.is_number()) {
      const auto over = [&](const Bound& b) { return b.strict ? v > b.value : v >= b.value; };
      const auto below = [&](const Bound& b) { return b.strict ? v < b.value : v <= b.value; };
      return std::all_of(f.lower.begin(), f.lower.end(), over) && std::all_of(f.upper.begin(), f.upper.end(), below);
    }
    if (v.is_string()) {
      const std::string text = v.get<std::string>();
      const int64_t length = code_points(text);
      if (length < f.min_length || length > f.max_length) return false;
      for (const Text& p : f.patterns)
        if (!pattern(p)->matches(text)) return false;
      for (const Text& p : f.formats)
        if (!format(p)->matches(text)) return false;
    }
    if (v.is_array()) {
      if (int64_t(v.size()) < f.min_items || int64_t(v.size()) > f.max_items) return false;
      for (size_t i = 0; i < v.size(); ++i)
        if (!fits(i < f.prefix.size() ? f.prefix[i] : f.items, v[i])) return false;
    }
    if (v.is_object()) {
      if (int64_t(v.size()) < f.min_properties || int64_t(v.size()) > f.max_properties) return false;
      for (const std::string& name : f.required)
        if (!v.contains(name)) return false;
      for (const auto& item : v.items()) {
        const auto* p = f.find(item.key());
        if (p ? !fits(p->value, item.value()) : f.additional && !fits(*f.additional, item.value())) return false;
      }
    }
    return true;
  }

  // --- flat schemas to expressions ---

  Node expression(const Flats& flats, bool* composite) {
    std::vector<Node> out;
    for (const Flat& f : flats) {
      if (f.values) {
        for (const Json& v : *f.values)
          if (fits(f, v)) out.push_back(json_.literal(v)), *composite |= v.is_structured();
        continue;
      }
      if (f.types & kNull) out.push_back(x_.literal("null"));
      if (f.types & kBoolean) out.insert(out.end(), {x_.literal("false"), x_.literal("true")});
      if (f.types & kNumber) out.push_back(number(f));
      if (f.types & kString) out.push_back(string(f));
      if (f.types & kArray) out.push_back(array(f)), *composite = true;
      if (f.types & kObject) out.push_back(object(f)), *composite = true;
    }
    return x_.choice(std::move(out));
  }

  Node number(const Flat& f) {
    const bool integer = !(f.types & kFraction);
    if (!(f.types & kInteger)) return x_.nothing();
    if (f.lower.empty() && f.upper.empty()) return integer ? json_.integer() : json_.number();
    const int32_t rule = x_.new_rule("number", true);
    x_.set_rule(rule, x_.dfa(bounded_number(x_, integer, f.lower, f.upper, "json_schema")));
    return x_.rule(rule);
  }

  const Dfa* pattern(const Text& p) {
    return regular_of(p, 'p', [&] { return regex_search(x_, p.text, "json_schema: pattern at " + p.path); });
  }
  const Dfa* format(const Text& p) {
    return regular_of(p, 'f', [&] { return regex_whole(x_, format_pattern(p.text), "json_schema"); });
  }
  template <class Make>
  const Dfa* regular_of(const Text& p, char kind, Make make) {
    auto& known = regular_[kind + p.text];
    if (!known) known = make();
    return known.get();
  }

  Node string(const Flat& f) {
    const bool any_length = f.min_length == 0 && f.max_length == kNoLimit;
    if (f.patterns.empty() && f.formats.empty()) {
      if (any_length) return json_.string();
      const Node quote = x_.literal("\"");
      return x_.concat({quote, x_.counted(json_.string_char(), f.min_length, f.max_length), quote});
    }
    Dfa dfa = regular(x_, x_.star(x_.any_char()));
    for (const Text& p : f.patterns) dfa = intersect(dfa, *pattern(p), x_.budget());
    for (const Text& p : f.formats) dfa = intersect(dfa, *format(p), x_.budget());
    if (!any_length) {
      const int64_t most = f.max_length == kNoLimit ? kNoLimit : std::min(f.max_length, std::max(f.min_length, kMostPatternLength));
      dfa = intersect(dfa, regular(x_, x_.repeat(x_.any_char(), f.min_length, most)), x_.budget());
    }
    const int32_t rule = x_.new_rule("string", true);
    x_.set_rule(rule, x_.concat({x_.literal("\""), x_.dfa(escaped(dfa)), x_.literal("\"")}));
    return x_.rule(rule);
  }

  // The same texts inside a JSON string.
  std::shared_ptr<const Dfa> escaped(const Dfa& plain) {
    auto out = std::make_shared<Dfa>();
    out->states.resize(plain.states.size());
    for (size_t s = 0; s < plain.states.size(); ++s) {
      out->states[s].final = plain.states[s].final;
      std::vector<std::pair<std::string, int32_t>> escapes;
      for (const Edge& e : plain.states[s].edges)
        for (int first = e.first; first <= e.last;) {
          const bool special = first < 0x20 || first == '"' || first == '\\';
          if (special) {
            const std::string quoted = dump_json(Json(std::string(1, char(first))));
            escapes.emplace_back(quoted.substr(1, quoted.size() - 2), e.to);
            ++first;
            continue;
          }
          const int last = first < '"' ? std::min<int>(e.last, '"' - 1) : first < '\\' ? std::min<int>(e.last, '\\' - 1) : int(e.last);
          out->states[s].edges.push_back({uint8_t(first), uint8_t(last), e.to});
          first = last + 1;
        }
      for (const auto& [text, to] : escapes) {
        auto at = int32_t(s);
        for (size_t i = 0; i < text.size(); ++i) {
          const int32_t next = i + 1 < text.size() ? way(*out, at, text[i]) : to;
          if (i + 1 == text.size()) out->states[size_t(at)].edges.push_back({uint8_t(text[i]), uint8_t(text[i]), next});
          at = next;
        }
        x_.budget().spend_steps(10);
      }
    }
    x_.budget().check_states(int64_t(out->states.size()));
    return out;
  }
  static int32_t way(Dfa& dfa, int32_t from, char c) {
    for (const Edge& e : dfa.states[size_t(from)].edges)
      if (e.first == uint8_t(c) && e.last == uint8_t(c)) return e.to;
    dfa.states.push_back({});
    dfa.states[size_t(from)].edges.push_back({uint8_t(c), uint8_t(c), int32_t(dfa.states.size() - 1)});
    return int32_t(dfa.states.size() - 1);
  }

  Node separator() { return x_.concat({x_.literal(","), json_.blanks()}); }

  Node array(const Flat& f) {
    const int64_t prefix = std::min<int64_t>(int64_t(f.prefix.size()), f.max_items);
    Node rest = more_items(f, prefix);
    for (int64_t i = prefix; i-- > 0;) {
      std::vector<Node> parts;
      if (i > 0) parts.push_back(separator());
      parts.insert(parts.end(), {value(f.prefix[size_t(i)]), rest});
      rest = x_.concat(std::move(parts));
      if (i >= f.min_items) rest = x_.optional(rest);
    }
    if (f.min_items > f.max_items) return x_.nothing();
    const Node begin = x_.concat({x_.literal("["), json_.blanks()}), end = x_.literal("]");
    return x_.concat({begin, rest, json_.blanks(), end});
  }

  // Items behind the first `done`.
  Node more_items(const Flat& f, int64_t done) {
    const int64_t min = std::max<int64_t>(0, f.min_items - done), max = f.max_items == kNoLimit ? kNoLimit : f.max_items - done;
    // Behind a list of items of which nothing more is said there are no others, unless there must be.
    const bool none = closed(f.items) || (!f.says_items && !f.prefix.empty() && min == 0);
    if (max == 0 || none) return min == 0 ? x_.empty() : x_.nothing();
    const Node item = value(f.items);
    const auto further = [&](int64_t least, int64_t most) {
      const Node one = x_.concat({separator(), item});
      if (most == kNoLimit && least <= 4) return x_.repeat(one, least, most);
      if (most <= 4) return x_.repeat(one, least, most);
      const int32_t rule = x_.new_rule("item", true);
      x_.set_rule(rule, one);
      return x_.counted(rule, least, most);
    };
    if (done > 0) return further(min, max);
    const Node some = x_.concat({item, further(std::max<int64_t>(0, min - 1), max == kNoLimit ? kNoLimit : max - 1)});
    return min == 0 ? x_.optional(some) : some;
  }

  Node object(const Flat& f) {
    std::vector<Flat::Property> properties = f.properties;
    std::set<std::string> names;
    const std::set<std::string> wanted_names(f.required.begin(), f.required.end());
    for (const auto& p : properties) names.insert(p.name);
    for (const std::string& name : f.required)
      if (names.insert(name).second) properties.push_back({name, f.additional ? *f.additional : All{}});
    std::vector<Node> parts;
    std::vector<bool> required;
    for (const auto& p : properties) {
      parts.push_back(json_.member(x_.literal(dump_json(Json(p.name))), value(p.value)));
      required.push_back(wanted_names.contains(p.name));
    }
    const Node extra = makes_others(f) ? json_.member(other_key(properties), value(f.additional ? *f.additional : All{})) : -1;
    const auto wanted = int64_t(f.required.size());
    if (f.min_properties > std::max<int64_t>(1, wanted))
      refuse(f.counted_at, "'minProperties' above 1 and the number of required properties is not supported");
    if (f.max_properties < int64_t(properties.size()) || (extra >= 0 && f.max_properties != kNoLimit)) {
      if (f.max_properties < wanted) return x_.nothing();
      if (f.max_properties > 0) refuse(f.counted_at, "'maxProperties' below the number of properties is not supported");
      return x_.concat({x_.literal("{"), json_.blanks(), x_.literal("}")});
    }
    if (parts.empty() && extra < 0)
      return f.min_properties > 0 ? x_.nothing() : x_.concat({x_.literal("{"), json_.blanks(), x_.literal("}")});
    const bool may_be_empty = f.min_properties == 0 && wanted == 0;
    const Node members = x_.concat({x_.members(std::move(parts), std::move(required), separator(), extra, false), json_.blanks()});
    return x_.concat({x_.literal("{"), json_.blanks(), may_be_empty ? x_.optional(members) : members, x_.literal("}")});
  }

  // Names without escapes that are none of those given: two spellings of one name would be two values for it.
  Node other_key(const std::vector<Flat::Property>& properties) {
    if (properties.empty()) return json_.string();
    std::vector<Node> names;
    for (const auto& p : properties) names.push_back(x_.literal(p.name));
    const Node plain = x_.star(x_.chars(text::complement({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}})));
    const Dfa keys = intersect(regular(x_, plain), excluding(x_, regular(x_, x_.choice(std::move(names)))), x_.budget());
    const int32_t rule = x_.new_rule("other key", true);
    x_.set_rule(rule, x_.concat({x_.literal("\""), x_.dfa(std::make_shared<const Dfa>(keys)), x_.literal("\"")}));
    return x_.rule(rule);
  }

  Expressions& x_;
  const Json& root_;
  JsonRules json_;
  std::map<std::vector<const Json*>, int32_t> rules_;
  std::deque<std::pair<int32_t, All>> pending_;
  std::vector<const Json*> open_;  // being expanded
  bool checking_ = false;          // oneOf
  std::map<std::string, std::shared_ptr<const Dfa>> regular_;
};

}  // namespace

int32_t json_schema_rule(Expressions& x, const Json& schema) {
  return SchemaCompiler(x, schema).compile();
}

}  // namespace r1::grammar
