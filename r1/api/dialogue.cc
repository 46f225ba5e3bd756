#include "r1/api/dialogue.h"

#include <algorithm>
#include <array>

#include "r1/api/characters.h"
#include "r1/api/intent_features.h"
#include "r1/base/error.h"

namespace r1::api {
namespace {

constexpr size_t kRanked = 5, kOffered = 3, kShortWords = 4, kMaxSaid = 200, kMaxKept = 2000;

const char* awaiting_name(Awaiting a) {
  constexpr std::array<const char*, 4> kNames = {"nothing", "slot", "confirmation", "choice"};
  return kNames[size_t(a)];
}

size_t count_words(const std::vector<TextToken>& tokens) {
  return size_t(std::count_if(tokens.begin(), tokens.end(), [](const TextToken& t) { return t.word; }));
}

// Every word of the message belongs to `words`, and there is one.
bool only(const std::vector<TextToken>& tokens, std::initializer_list<const char*> words) {
  bool any = false;
  for (const TextToken& t : tokens) {
    if (!t.word && t.lower != "'") continue;
    if (std::find(words.begin(), words.end(), t.lower) == words.end()) return false;
    any = true;
  }
  return any;
}

bool says(const std::vector<TextToken>& tokens, std::initializer_list<const char*> phrases) {
  return std::any_of(phrases.begin(), phrases.end(), [&](const char* p) { return find_phrase(tokens, p) != std::string::npos; });
}

bool is_greeting(const std::vector<TextToken>& t) {
  return only(t, {"hi", "hello", "hey", "hiya", "good", "morning", "afternoon", "evening", "there", "greetings"}) &&
         !only(t, {"good", "there"});
}
bool is_thanks(const std::vector<TextToken>& t) {
  return says(t, {"thanks", "thank", "cheers", "thx"}) &&
         only(t, {"thanks", "thank", "thx", "you",  "cheers", "very", "much", "so",      "a",         "lot", "many", "great", "ok", "okay",
                  "that",   "helps", "for", "your", "help",   "the",  "all",  "perfect", "brilliant", "is",  "s",    "'",     "it", "no"});
}
bool is_goodbye(const std::vector<TextToken>& t) {
  return says(t, {"bye", "goodbye", "see you", "that is all", "that's all", "thats all"}) &&
         only(t, {"bye", "goodbye", "see", "you", "later", "that", "that's", "thats", "is", "all", "thanks", "thank", "ok", "for", "now",
                  "s", "'", "no"});
}
bool is_cancel(const std::vector<TextToken>& t) {
  return only(t, {"cancel", "stop", "never", "mind", "nevermind", "forget", "it", "this", "that", "start", "over", "again", "reset",
                  "please", "quit"}) &&
         says(t, {"cancel", "stop", "never mind", "nevermind", "forget it", "forget this", "forget that", "start over", "start again",
                  "reset", "quit"});
}
bool wants_person(const std::vector<TextToken>& t) {
  return count_words(t) <= 14 &&
         says(t, {"human", "real person", "an agent", "a person", "an operator", "a representative", "someone real", "an advisor",
                  "live chat", "customer service agent", "speak to someone", "talk to someone", "a colleague"});
}

// "and in euros?", "what about the other card": goes on from the message before.
bool goes_on(const std::vector<TextToken>& t) {
  constexpr std::array<const char*, 8> kOpenings = {"and", "or", "also", "but", "what about", "how about", "same", "even"};
  return count_words(t) <= kShortWords + 1 &&
         std::any_of(kOpenings.begin(), kOpenings.end(), [&](const char* o) { return find_phrase(t, o) == 0; });
}

// The option that a message picks: by number, by place, or by the words of its title. npos: none, or several.
size_t picked(const std::vector<TextToken>& tokens, const std::vector<std::string>& titles) {
  constexpr std::array<std::array<const char*, 3>, kOffered> kPlaces = {
      {{"1", "first", "one"}, {"2", "second", "two"}, {"3", "third", "three"}}};
  std::vector<size_t> found;
  for (size_t i = 0; i < titles.size(); ++i) {
    const bool place =
        count_words(tokens) <= 4 && i < kPlaces.size() && std::any_of(kPlaces[i].begin(), kPlaces[i].end(), [&](const char* w) {
          return (std::string_view(w) != "one" || count_words(tokens) == 1) && find_phrase(tokens, w) != std::string::npos;
        });
    if (place || find_phrase(tokens, titles[i]) != std::string::npos) found.push_back(i);
  }
  return found.size() == 1 ? found[0] : std::string::npos;
}

void wait_for_nothing(DialogueState& s) {
  s.awaiting = Awaiting::kNothing;
  s.awaited_slot.clear();
  s.options.clear();
}

bool contains_words(const std::string& message, const std::string& value) {
  return !text_tokens(value).empty() && find_phrase(text_tokens(message), value) != std::string::npos;
}

// Whether the slot's value stands in what is said with this intent.
bool is_said(const DialogueIntent& intent, const std::string& slot) {
  for (const std::string* text : {&intent.answer, &intent.confirm})
    for (const char* end : {"}", "|"})
      if (text->find("{" + slot + end) != std::string::npos) return true;
  return false;
}

}  // namespace

// A turn under way.
struct Dialogue::Turn {
  DialogueState& state;
  const Understanding& said;
  const std::map<std::string, std::string>& found;
  std::vector<TextToken> tokens;
  Decision decision;

  // The best intent of the domain.
  IntentScore best() const { return said.ranking.empty() ? IntentScore{} : said.ranking.front(); }
};

Dialogue::Dialogue(DialogueDomain domain) : domain_(std::move(domain)) {}

Understanding Dialogue::understand(const DialogueState& state, std::string_view message, const Classifier& classify,
                                   std::chrono::year_month_day today) const {
  Understanding u;
  u.message = first_bytes(mask_secrets(message), kMaxMessageBytes);
  const auto ranked = [&](const std::string& text) {
    IntentRanking ranking = classify(text);
    std::erase_if(ranking, [&](const IntentScore& s) { return !domain_.intents.count(s.name); });
    return ranking;
  };
  u.ranking = ranked(u.message);
  const double alone = u.ranking.empty() ? 0 : u.ranking.front().confidence;
  if (alone < domain_.accept && !state.window.empty() && !state.intent.empty() && goes_on(text_tokens(u.message))) {
    IntentRanking together = ranked(state.window.back().user + " " + u.message);
    if (!together.empty() && together.front().confidence > alone) u.ranking = std::move(together);
  }
  for (const auto& [name, slot] : domain_.slots) {
    const bool asked = state.awaiting == Awaiting::kSlot && state.awaited_slot == name;
    auto values = find_slot_values(u.message, {slot.type, slot.choices, asked, slot.month_first}, today);
    if (!values.empty()) u.values[name] = std::move(values);
  }
  const std::string& intent = !u.ranking.empty() && u.ranking.front().confidence >= domain_.accept ? u.ranking.front().name : state.intent;
  const auto it = domain_.intents.find(intent);
  if (it == domain_.intents.end()) return u;
  const auto unknown = [&](const std::string& slot) {
    return domain_.slots.at(slot).model && !u.values.count(slot) && !state.slots.count(slot);
  };
  for (const std::string& slot : it->second.needs)
    if (unknown(slot)) u.wanted.push_back(slot);
  for (const std::string& slot : it->second.takes)
    if (unknown(slot)) (is_said(it->second, slot) ? u.wanted : u.wanted_later).push_back(slot);
  return u;
}

Decision Dialogue::decide(DialogueState& state, const Understanding& said, const std::map<std::string, std::string>& found) const {
  Turn turn{state, said, found, text_tokens(said.message), {}};
  ++state.turns;
  state.ranking.assign(said.ranking.begin(), said.ranking.begin() + std::ptrdiff_t(std::min(said.ranking.size(), kRanked)));
  if (small_talk(turn) || answers_confirmation(turn) || answers_choice(turn) || answers_slot(turn) || corrects_slot(turn)) {
    // done
  } else {
    new_request(turn);
  }
  state.last_action = turn.decision.action.text();
  return turn.decision;
}

void Dialogue::learn(DialogueState& state, const Understanding& said, const std::map<std::string, std::string>& found) const {
  const Understanding message_only{.message = said.message, .ranking = {}, .values = {}, .wanted = {}, .wanted_later = {}};
  Turn turn{state, message_only, found, {}, {}};
  fill(turn);
}

void Dialogue::close(DialogueState& state, const Understanding& said, const Decision& decision, const std::string& reply) const {
  state.window.push_back({.number = state.turns,
                          .user = std::string(first_bytes(said.message, kMaxKept)),
                          .reply = std::string(first_bytes(reply, kMaxKept)),
                          .intent = state.intent,
                          .action = decision.action.text(),
                          .confidence = state.confidence,
                          .told = std::string(first_bytes(decision.reply, kMaxKept))});
  while (int64_t(state.window.size()) > domain_.window) state.window.pop_front();
}

// Greetings and the like, when nothing else is said; a wish for a person; "cancel".
bool Dialogue::small_talk(Turn& turn) const {
  DialogueState& s = turn.state;
  const auto say = [&](const char* name) {
    turn.decision = {{name, ""}, domain_.reply(name)};
    if (s.awaiting != Awaiting::kNothing) turn.decision.reply += " " + question(s);
    return true;
  };
  if (wants_person(turn.tokens)) return hand_over(turn), true;
  if (is_cancel(turn.tokens)) {
    wait_for_nothing(s);
    s.intent.clear(), s.confidence = 0, s.misses = 0;
    std::erase_if(s.slots, [&](const auto& slot) { return !domain_.slots.at(slot.first).session; });
    return say("cancel");
  }
  if (is_greeting(turn.tokens)) return say("greet");
  if (is_goodbye(turn.tokens)) return wait_for_nothing(s), say("goodbye");
  if (is_thanks(turn.tokens) && s.awaiting != Awaiting::kConfirmation) return say("thanks");
  return false;
}

bool Dialogue::answers_confirmation(Turn& turn) const {
  DialogueState& s = turn.state;
  if (s.awaiting != Awaiting::kConfirmation) return false;
  const YesNo answer = yes_or_no(turn.said.message);
  const DialogueIntent& intent = domain_.intents.at(s.intent);
  if (answer == YesNo::kYes) {
    wait_for_nothing(s);
    s.misses = 0;
    turn.decision = {{"answer", s.intent}, fill_template(intent.answer, values(s))};
    s.handed_over |= intent.handover;
    return true;
  }
  if (answer == YesNo::kNo) {
    wait_for_nothing(s);
    s.intent.clear(), s.confidence = 0;
    miss(turn, {"rephrase", ""}, domain_.reply("rephrase"));
    return true;
  }
  if (corrects_slot(turn)) return true;
  if (turn.best().confidence >= domain_.accept) return false;
  miss(turn, {"confirm", s.intent}, fill_template(domain_.reply("again"), {{"question", question(s)}}));
  return true;
}

bool Dialogue::answers_choice(Turn& turn) const {
  DialogueState& s = turn.state;
  if (s.awaiting != Awaiting::kChoice) return false;
  std::vector<std::string> titles;
  for (const std::string& option : s.options) titles.push_back(domain_.intents.at(option).title);
  const YesNo answer = yes_or_no(turn.said.message);
  size_t choice = picked(turn.tokens, titles);
  if (choice == std::string::npos && answer == YesNo::kYes && titles.size() == 1) choice = 0;
  const std::vector<std::string> options = s.options;
  wait_for_nothing(s);
  if (choice != std::string::npos) {
    take_intent(turn, options[choice], 1);
    go_on(turn);
    return true;
  }
  if (answer == YesNo::kNo || says(turn.tokens, {"neither", "none of", "none", "something else"})) {
    miss(turn, {"rephrase", ""}, domain_.reply("rephrase"));
    return true;
  }
  return false;  // a new request
}

// A message of its own, not an answer: the classifier is sure of another intent, and more is said than a value.
bool Dialogue::may_change(const Turn& turn) const {
  const IntentScore best = turn.best();
  return best.confidence >= domain_.change && best.name != turn.state.intent && count_words(turn.tokens) > kShortWords;
}

bool Dialogue::answers_slot(Turn& turn) const {
  DialogueState& s = turn.state;
  if (s.awaiting != Awaiting::kSlot || may_change(turn)) return false;
  fill(turn);
  if (s.slots.count(s.awaited_slot) && s.slots.at(s.awaited_slot).turn == s.turns) {
    s.misses = 0;
    go_on(turn);
    return true;
  }
  const bool other = turn.best().confidence >= domain_.accept && turn.best().name != s.intent && count_words(turn.tokens) > kShortWords;
  if (other) return false;
  miss(turn, {"ask_slot", s.awaited_slot}, fill_template(domain_.reply("again"), {{"question", question(s)}}));
  return true;
}

// "No, it was 30 euros": nothing new is wanted, but a slot of the intent is said anew.
bool Dialogue::corrects_slot(Turn& turn) const {
  DialogueState& s = turn.state;
  const auto it = domain_.intents.find(s.intent);
  if (it == domain_.intents.end()) return false;
  const IntentScore best = turn.best();
  if (best.confidence >= domain_.accept && best.name != s.intent && s.awaiting != Awaiting::kConfirmation) return false;
  if (may_change(turn)) return false;
  bool any = false;
  for (const auto* list : {&it->second.needs, &it->second.takes}) {
    for (const std::string& slot : *list) {
      const auto value = turn.said.values.find(slot);
      any |= value != turn.said.values.end() && !value->second.empty();
    }
  }
  if (!any) return false;
  fill(turn);
  s.misses = 0;
  go_on(turn);
  return true;
}

void Dialogue::new_request(Turn& turn) const {
  DialogueState& s = turn.state;
  const IntentScore best = turn.best();
  if (best.confidence >= domain_.accept) {
    take_intent(turn, best.name, best.confidence);
    go_on(turn);
    return;
  }
  if (best.confidence >= domain_.guess) {
    std::vector<std::string> options;
    for (const IntentScore& score : turn.said.ranking) {
      if (options.size() < kOffered && score.confidence >= best.confidence / 4) options.push_back(score.name);
    }
    offer(turn, std::move(options));
    return;
  }
  wait_for_nothing(s);
  if (turn.tokens.empty()) {
    turn.decision = {{"wait", ""}, domain_.reply("nothing_yet")};
    return;
  }
  miss(turn, {"out_of_scope", ""}, domain_.reply("out_of_scope"));
}

void Dialogue::offer(Turn& turn, std::vector<std::string> options) const {
  DialogueState& s = turn.state;
  std::string list;
  for (size_t i = 0; i < options.size(); ++i) {
    const std::string& title = domain_.intents.at(options[i]).title;
    list += options.size() == 1 ? title : str(i ? "; " : "", i + 1, ") ", title);
  }
  const std::string& text = domain_.reply(options.size() == 1 ? "offer_one" : "offer");
  wait_for_nothing(s);
  s.awaiting = Awaiting::kChoice;
  s.options = std::move(options);
  miss(turn, {"offer", ""}, fill_template(text, {{"options", list}}));
}

void Dialogue::take_intent(Turn& turn, const std::string& name, double confidence) const {
  DialogueState& s = turn.state;
  const DialogueIntent& intent = domain_.intents.at(name);
  if (s.intent != name) {
    const auto belongs = [&](const std::string& slot) {
      return domain_.slots.at(slot).session || std::find(intent.needs.begin(), intent.needs.end(), slot) != intent.needs.end() ||
             std::find(intent.takes.begin(), intent.takes.end(), slot) != intent.takes.end();
    };
    std::erase_if(s.slots, [&](const auto& slot) { return !belongs(slot.first); });
  }
  s.intent = name;
  s.confidence = confidence;
  s.misses = 0;
  wait_for_nothing(s);
  fill(turn);
}

// The slots that this intent reads from the message. Two different values for one slot are none, unless it was just asked for: then the first.
void Dialogue::fill(Turn& turn) const {
  DialogueState& s = turn.state;
  const auto it = domain_.intents.find(s.intent);
  if (it == domain_.intents.end()) return;
  const auto put = [&](const std::string& slot, const std::string& value, const std::string& said, const char* source) {
    s.slots[slot] = {std::string(first_bytes(value, kMaxSaid)), std::string(first_bytes(said, kMaxSaid)), source, s.turns};
  };
  for (const auto* list : {&it->second.needs, &it->second.takes}) {
    for (const std::string& slot : *list) {
      const auto values = turn.said.values.find(slot);
      if (values != turn.said.values.end()) {
        const SlotValue& first = values->second.front();
        const bool clear =
            std::all_of(values->second.begin(), values->second.end(), [&](const SlotValue& v) { return v.value == first.value; });
        if (clear || s.awaited_slot == slot) put(slot, first.value, first.text, "rule");
        continue;
      }
      const auto model = turn.found.find(slot);
      if (model == turn.found.end() || s.slots.count(slot) || !contains_words(turn.said.message, model->second)) continue;
      put(slot, model->second, model->second, "model");
    }
  }
}

// With an intent: ask for what is missing, else confirm, else answer.
void Dialogue::go_on(Turn& turn) const {
  DialogueState& s = turn.state;
  const DialogueIntent& intent = domain_.intents.at(s.intent);
  wait_for_nothing(s);
  for (const std::string& slot : intent.needs) {
    if (s.slots.count(slot)) continue;
    s.awaiting = Awaiting::kSlot;
    s.awaited_slot = slot;
    turn.decision = {{"ask_slot", slot}, domain_.slots.at(slot).ask};
    return;
  }
  if (!intent.confirm.empty()) {
    s.awaiting = Awaiting::kConfirmation;
    turn.decision = {{"confirm", s.intent}, fill_template(intent.confirm, values(s))};
    return;
  }
  turn.decision = {{"answer", s.intent}, fill_template(intent.answer, values(s))};
  s.handed_over |= intent.handover;
}

void Dialogue::miss(Turn& turn, const Action& action, const std::string& reply) const {
  if (++turn.state.misses > domain_.patience) return hand_over(turn);
  turn.decision = {action, reply};
}

void Dialogue::hand_over(Turn& turn) const {
  DialogueState& s = turn.state;
  s.handed_over = true;
  s.misses = 0;
  wait_for_nothing(s);
  turn.decision = {{"handover", ""}, domain_.reply("handover")};
}

std::string Dialogue::question(const DialogueState& s) const {
  switch (s.awaiting) {
    case Awaiting::kSlot:
      return domain_.slots.at(s.awaited_slot).ask;
    case Awaiting::kConfirmation:
      return fill_template(domain_.intents.at(s.intent).confirm, values(s));
    default:
      return "";
  }
}

std::map<std::string, std::string> Dialogue::values(const DialogueState& s) const {
  std::map<std::string, std::string> values;
  for (const auto& [name, slot] : s.slots) values[name] = slot.value;
  return values;
}

Json to_json(const DialogueState& state, const DialogueDomain& domain) {
  const auto title = [&](const std::string& name) {
    const auto it = domain.intents.find(name);
    return it == domain.intents.end() ? Json(nullptr) : Json(it->second.title);
  };
  Json ranking = Json::array(), slots = Json::object(), window = Json::array();
  for (const IntentScore& s : state.ranking) ranking.push_back({{"name", s.name}, {"title", title(s.name)}, {"confidence", s.confidence}});
  for (const auto& [name, s] : state.slots)
    slots[name] = {{"value", s.value}, {"said", s.said}, {"source", s.source}, {"turn", s.turn}, {"title", domain.slots.at(name).title}};
  for (const DialogueTurn& t : state.window)
    window.push_back({{"number", t.number},
                      {"user", t.user},
                      {"reply", t.reply},
                      {"intent", t.intent},
                      {"action", t.action},
                      {"confidence", t.confidence}});
  Json missing = Json::array();
  if (const auto it = domain.intents.find(state.intent); it != domain.intents.end()) {
    for (const std::string& slot : it->second.needs) {
      if (!state.slots.count(slot)) missing.push_back(slot);
    }
  }
  return {{"turns", state.turns},
          {"intent", state.intent.empty() ? Json(nullptr)
                                          : Json{{"name", state.intent}, {"title", title(state.intent)}, {"confidence", state.confidence}}},
          {"ranking", ranking},
          {"slots", slots},
          {"missing", missing},
          {"last_action", state.last_action},
          {"awaiting", awaiting_name(state.awaiting)},
          {"awaited_slot", state.awaited_slot.empty() ? Json(nullptr) : Json(state.awaited_slot)},
          {"options", state.options},
          {"misses", state.misses},
          {"handed_over", state.handed_over},
          {"window_size", domain.window},
          {"window", window}};
}

std::string window_text(const DialogueState& state, size_t turns) {
  std::string text;
  const size_t first = state.window.size() > turns ? state.window.size() - turns : 0;
  for (size_t i = first; i < state.window.size(); ++i)
    text += str("Customer: ", state.window[i].user, "\nAgent: ", state.window[i].reply, "\n");
  return text;
}

}  // namespace r1::api
