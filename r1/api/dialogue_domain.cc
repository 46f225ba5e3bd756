#include "r1/api/dialogue_domain.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/base/file.h"

namespace r1::api {
namespace {

constexpr size_t kMaxText = 2000, kMaxIntents = 2000, kMaxSlots = 200, kMaxChoices = 200, kMaxName = 64;
constexpr int64_t kMaxWindow = 64;

const std::map<std::string, std::string>& default_replies() {
  static const std::map<std::string, std::string> kReplies = {
      {"greet", "Hello! How can I help you?"},
      {"thanks", "You're welcome. Is there anything else?"},
      {"goodbye", "Goodbye, and take care."},
      {"cancel", "All right, I've dropped that. What else can I do for you?"},
      {"handover", "I'll pass you to a colleague, who sees what we have talked about."},
      {"out_of_scope", "I'm not sure I can help with that. Could you put it in other words?"},
      {"offer", "Did you mean one of these? {options}"},
      {"offer_one", "Is this about: {options}?"},
      {"rephrase", "Sorry about that. Could you tell me in other words what you need?"},
      {"again", "I didn't get that. {question}"},
      {"nothing_yet", "Tell me what it is about, and I'll see what I can do."},
  };
  return kReplies;
}

// An object of the file: every key is read once, what is left over is unknown.
class Reader {
 public:
  Reader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) fail_usage(where_, ": expected keys and values, got ", object.type_name());
  }

  const Json* take(const char* key) {
    known_.push_back(key);
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }
  std::string text(const char* key, size_t most = kMaxText) {
    const Json* value = take(key);
    return value ? as_text(*value, at(key), most) : "";
  }
  double number(const char* key, double fallback, double lo, double hi) {
    const Json* value = take(key);
    if (!value) return fallback;
    double number = NAN;
    if (value->is_number()) number = value->get<double>();
    if (value->is_string()) {  // YAML's scalars are texts
      const std::string& s = value->get_ref<const std::string&>();
      const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), number);
      if (error != std::errc() || end != s.data() + s.size()) number = NAN;
    }
    if (!(number >= lo && number <= hi))
      fail_usage(at(key), ": expected a number from ", lo, " to ", hi, ", got ", printable(dump_json(*value)));
    return number;
  }
  int64_t whole(const char* key, int64_t fallback, int64_t lo, int64_t hi) {
    const double value = number(key, double(fallback), double(lo), double(hi));
    if (value != std::floor(value)) fail_usage(at(key), ": expected a whole number, got ", value);
    return int64_t(value);
  }
  bool flag(const char* key) {
    const Json* value = take(key);
    if (!value) return false;
    if (value->is_boolean()) return value->get<bool>();
    if (*value == "true" || *value == "yes") return true;
    if (*value == "false" || *value == "no") return false;
    fail_usage(at(key), ": expected true or false, got ", printable(dump_json(*value)));
  }
  std::vector<std::string> texts(const char* key, size_t most) {
    const Json* value = take(key);
    std::vector<std::string> list;
    if (!value) return list;
    if (!value->is_array() || value->size() > most) fail_usage(at(key), ": expected a list of at most ", most, " texts");
    for (const Json& item : *value) list.push_back(as_text(item, at(key), kMaxText));
    return list;
  }
  void finish() const {
    for (const auto& [key, value] : object_.items()) {
      if (std::find(known_.begin(), known_.end(), key) == known_.end())
        fail_usage(where_, ": unknown key '", printable(key), "'", did_you_mean(key, known_));
    }
  }
  std::string at(const std::string& key) const { return str(where_, ": ", key); }
  const std::string& where() const { return where_; }

  static std::string as_text(const Json& value, const std::string& where, size_t most) {
    if (!value.is_string()) fail_usage(where, ": expected a text, got ", value.type_name());
    std::string text = value.get<std::string>();
    if (text.size() > most) fail_usage(where, ": expected at most ", most, " bytes, got ", text.size());
    if (text.find('\0') != std::string::npos) fail_usage(where, ": expected a text without zero bytes");
    return text;
  }

 private:
  const Json& object_;
  std::string where_;
  std::vector<std::string> known_;
};

void check_name(const std::string& name, const std::string& where) {
  const bool ok = !name.empty() && name.size() <= kMaxName && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '?';
  });
  if (!ok) fail_usage(where, ": expected a name of letters, digits, _ and - (at most ", kMaxName, "), got '", printable(name), "'");
}

std::string with_blanks(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

// Each entry of a map of things, by name.
template <class Read>
void each(Reader& reader, const char* key, size_t most, Read read) {
  const Json* map = reader.take(key);
  if (!map) return;
  if (!map->is_object() || map->size() > most) fail_usage(reader.at(key), ": expected a map of at most ", most, " entries");
  for (const auto& [name, value] : map->items()) {
    check_name(name, reader.at(key));
    read(name, value, str(reader.at(key), ".", name));
  }
}

// - debit            or  debit: [debit card, bank card]
std::vector<SlotChoice> read_choices(const Json& list, const std::string& where) {
  std::vector<SlotChoice> choices;
  if (!(list.is_array() || list.is_object()) || list.empty() || list.size() > kMaxChoices)
    fail_usage(where, ": expected 1 to ", kMaxChoices, " choices, as a list or as a map to other words for them");
  if (list.is_array()) {
    for (const Json& item : list) choices.push_back({Reader::as_text(item, where, 100), {}});
  } else {
    for (const auto& [name, also] : list.items()) {
      SlotChoice choice{name, {}};
      if (name.size() > 100 || !(also.is_array() || also.is_null()) || also.size() > kMaxChoices)
        fail_usage(where, ".", printable(name), ": expected a list of at most ", kMaxChoices, " other words");
      for (const Json& word : also) choice.also.push_back(Reader::as_text(word, where, 100));
      choices.push_back(std::move(choice));
    }
  }
  for (const SlotChoice& choice : choices) {
    if (text_tokens(choice.name).empty()) fail_usage(where, ": a choice without a word");
  }
  return choices;
}

DialogueSlot read_slot(const std::string& name, const Json& value, const std::string& where) {
  Reader r(value, where);
  DialogueSlot slot;
  const std::string type = r.text("type", 32);
  if (type.empty()) fail_usage(where, ": type is missing");
  try {
    slot.type = parse_slot_type(type);
  } catch (const Error& error) {
    fail_usage(where, ": ", error.what());
  }
  slot.title = r.text("title", 100);
  if (slot.title.empty()) slot.title = with_blanks(name);
  slot.ask = r.text("ask");
  if (slot.ask.empty()) slot.ask = str("What is the ", slot.title, "?");
  slot.session = r.flag("session");
  slot.model = r.flag("model");
  slot.month_first = r.flag("month_first");
  if (const Json* list = r.take("choices")) slot.choices = read_choices(*list, r.at("choices"));
  if ((slot.type == SlotType::kChoice) != !slot.choices.empty())
    fail_usage(where, ": choices belong to a slot of type choice, and it needs them");
  r.finish();
  return slot;
}

DialogueIntent read_intent(const std::string& name, const Json& value, const std::string& where) {
  Reader r(value, where);
  DialogueIntent intent;
  intent.title = r.text("title", 200);
  if (intent.title.empty()) intent.title = with_blanks(name);
  intent.needs = r.texts("needs", 20);
  intent.takes = r.texts("takes", 20);
  intent.confirm = r.text("confirm");
  intent.answer = r.text("answer");
  intent.handover = r.flag("handover");
  if (intent.answer.empty()) fail_usage(where, ": answer is missing");
  r.finish();
  return intent;
}

void check_template(const std::string& text, const std::string& where, const std::vector<std::string>& known) {
  for (const std::string& name : template_names(text, where)) {
    if (std::find(known.begin(), known.end(), name) == known.end())
      fail_usage(where, ": {", printable(name), "} is no slot of it", did_you_mean(name, known));
  }
}

void check_intent(const DialogueDomain& domain, const DialogueIntent& intent, const std::string& where) {
  std::vector<std::string> known, all;
  for (const auto& [slot, spec] : domain.slots) all.push_back(slot);
  for (const auto* list : {&intent.needs, &intent.takes}) {
    for (const std::string& slot : *list) {
      if (!domain.slots.count(slot)) fail_usage(where, ": no slot '", printable(slot), "'", did_you_mean(slot, all));
      if (std::find(known.begin(), known.end(), slot) != known.end()) fail_usage(where, ": slot '", slot, "' stands twice");
      known.push_back(slot);
    }
  }
  for (const auto& [slot, spec] : domain.slots) {
    if (spec.session && std::find(known.begin(), known.end(), slot) == known.end()) known.push_back(slot);
  }
  check_template(intent.confirm, str(where, ".confirm"), known);
  check_template(intent.answer, str(where, ".answer"), known);
}

void read_replies(Reader& r, DialogueDomain& domain) {
  domain.replies = default_replies();
  const Json* map = r.take("replies");
  if (!map) return;
  Reader replies(*map, r.at("replies"));
  for (auto& [name, text] : domain.replies) {
    const std::string own = replies.text(name.c_str());
    if (own.empty()) continue;
    const std::vector<std::string> known = name == "offer" || name == "offer_one" ? std::vector<std::string>{"options"}
                                           : name == "again"                      ? std::vector<std::string>{"question"}
                                                                                  : std::vector<std::string>{};
    check_template(own, str(replies.where(), ".", name), known);
    text = own;
  }
  replies.finish();
}

void read_thresholds(Reader& r, DialogueDomain& domain) {
  const Json* map = r.take("confidence");
  if (!map) return;
  Reader confidence(*map, r.at("confidence"));
  domain.accept = confidence.number("accept", domain.accept, 0, 1);
  domain.guess = confidence.number("guess", domain.guess, 0, 1);
  domain.change = confidence.number("change", domain.change, 0, 1);
  confidence.finish();
  if (domain.guess > domain.accept) fail_usage(confidence.where(), ": guess ", domain.guess, " is above accept ", domain.accept);
}

void read_model(Reader& r, DialogueDomain& domain) {
  const Json* map = r.take("model");
  if (!map) return;
  Reader model(*map, r.at("model"));
  domain.model_instructions = model.text("instructions");
  domain.model_max_tokens = model.whole("max_tokens", domain.model_max_tokens, 1, 4096);
  model.finish();
}

}  // namespace

const std::string& DialogueDomain::reply(const std::string& name) const {
  const auto it = replies.find(name);
  check(it != replies.end(), "[dialogue] no reply is named ", name);
  return it->second;
}

DialogueDomain parse_dialogue_domain(const Json& document, std::string_view where) {
  Reader r(document, std::string(where));
  DialogueDomain domain;
  domain.name = r.text("name", kMaxName);
  domain.window = r.whole("window", domain.window, 1, kMaxWindow);
  domain.patience = r.whole("patience", domain.patience, 1, 10);
  read_thresholds(r, domain);
  read_replies(r, domain);
  read_model(r, domain);
  each(r, "slots", kMaxSlots,
       [&](const std::string& name, const Json& value, const std::string& at) { domain.slots[name] = read_slot(name, value, at); });
  each(r, "intents", kMaxIntents,
       [&](const std::string& name, const Json& value, const std::string& at) { domain.intents[name] = read_intent(name, value, at); });
  r.finish();
  if (domain.intents.empty()) fail_usage(where, ": intents are missing");
  for (const auto& [name, intent] : domain.intents) check_intent(domain, intent, str(where, ": intents.", name));
  return domain;
}

DialogueDomain read_dialogue_domain(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  const std::string where = path.string();
  return parse_dialogue_domain(path.extension() == ".json" ? parse_json(text, where, true) : parse_yaml_document(text, where), where);
}

std::vector<std::string> template_names(const std::string& text, const std::string& where) {
  std::vector<std::string> names;
  for (size_t i = text.find_first_of("{}"); i != std::string::npos; i = text.find_first_of("{}", i + 1)) {
    const size_t end = text.find_first_of("{}", i + 1);
    if (text[i] == '}' || end == std::string::npos || text[end] != '}')
      fail_usage(where, ": a brace without its other half; placeholders are {slot} or {slot|other words}");
    const std::string inside = text.substr(i + 1, end - i - 1);
    names.push_back(inside.substr(0, inside.find('|')));
    i = end;
  }
  return names;
}

std::string fill_template(const std::string& text, const std::map<std::string, std::string>& values) {
  std::string out;
  size_t done = 0;
  for (size_t i = text.find('{'); i != std::string::npos; i = text.find('{', done)) {
    const size_t end = text.find('}', i);
    if (end == std::string::npos) break;
    out.append(text, done, i - done);
    const std::string inside = text.substr(i + 1, end - i - 1);
    const size_t bar = inside.find('|');
    const auto it = values.find(inside.substr(0, bar));
    if (it != values.end() && !it->second.empty())
      out += it->second;
    else if (bar != std::string::npos)
      out += inside.substr(bar + 1);
    done = end + 1;
  }
  return out.append(text, done, std::string::npos);
}

}  // namespace r1::api
