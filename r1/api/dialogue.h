// A support dialogue, turn by turn: what the customer wants (intent), what is known (slots), what was done last, and the last turns; and the
// policy that picks what to do next: ask for what is missing, confirm, answer, offer what may be meant, call a person.
//
// A turn has three steps, as the classifier and a model that looks for slots may be anywhere:
//   Understanding u = dialogue.understand(state, message, ranking, today);   // masks secrets, reads slots by rules
//   ... the served model reads u.wanted from u.message, if there are any ...
//   Decision d = dialogue.decide(state, u, found);                            // moves the state, says what to do and to say
//   ... it may read u.wanted_later while the reply is made ...
//   dialogue.learn(state, u, found_later);
//   dialogue.close(state, u, d, reply);                                       // the turn enters the window
//
// The window bounds what is kept of the turns, not what is known: slots and intent outlive it. A state holds no secret: messages are masked
// before anything else (slot_values.h). No libtorch, no clock, no random numbers: the same calls give the same states.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "r1/api/dialogue_domain.h"

namespace r1::api {

struct IntentScore {
  std::string name;
  double confidence = 0;  // 0..1
};
using IntentRanking = std::vector<IntentScore>;  // best first

struct FilledSlot {
  std::string value;   // normal form
  std::string said;    // as the customer put it
  std::string source;  // "rule" or "model"
  int64_t turn = 0;    // that it was said in
};

struct DialogueTurn {
  int64_t number = 0;  // from 1
  std::string user, reply, intent, action;
  double confidence = 0;
  std::string told;  // the domain's words, where `reply` is a model's
};

// What was asked, so that the next message can be its answer.
enum class Awaiting { kNothing, kSlot, kConfirmation, kChoice };

struct DialogueState {
  int64_t turns = 0;
  std::string intent;     // "" until there is one
  double confidence = 0;  // of it, when it was taken
  IntentRanking ranking;  // of the last message that was classified, the best five
  std::map<std::string, FilledSlot> slots;
  std::string last_action;  // "ask_slot(amount)"
  Awaiting awaiting = Awaiting::kNothing;
  std::string awaited_slot;
  std::vector<std::string> options;  // intents that were offered
  int64_t misses = 0;                // messages in a row that brought nothing
  bool handed_over = false;
  std::deque<DialogueTurn> window;
};

Json to_json(const DialogueState& state, const DialogueDomain& domain);

struct Understanding {
  std::string message;  // masked, at most kMaxMessageBytes
  IntentRanking ranking;
  std::map<std::string, std::vector<SlotValue>> values;  // by slot, of every slot of the domain that may be read here
  // Slots for which a model should be asked: those that decide what is done or said, and those that it is enough to know at the turn's end.
  std::vector<std::string> wanted, wanted_later;
};

struct Action {
  std::string name;      // greet, thanks, goodbye, cancel, ask_slot, confirm, answer, offer, rephrase, out_of_scope, handover, wait
  std::string argument;  // ask_slot: the slot; answer, confirm: the intent
  std::string text() const { return argument.empty() ? name : name + "(" + argument + ")"; }
};

struct Decision {
  Action action;
  std::string reply;  // from the domain's texts
};

class Dialogue {
 public:
  explicit Dialogue(DialogueDomain domain);

  // Scores of all intents for a text, best first. Names that the domain does not have are passed over.
  using Classifier = std::function<IntentRanking(const std::string& text)>;
  // A short message that goes on from the last one ("and in euros?") and says little by itself is classified together with it as well.
  Understanding understand(const DialogueState& state, std::string_view message, const Classifier& classify,
                           std::chrono::year_month_day today) const;
  // `found`: what a model read for the slots wanted; values that the message does not contain are refused.
  Decision decide(DialogueState& state, const Understanding& understanding, const std::map<std::string, std::string>& found = {}) const;
  // What was found after that, of the slots that could wait; as decide() takes them.
  void learn(DialogueState& state, const Understanding& understanding, const std::map<std::string, std::string>& found) const;
  void close(DialogueState& state, const Understanding& understanding, const Decision& decision, const std::string& reply) const;

  const DialogueDomain& domain() const { return domain_; }

 private:
  struct Turn;
  bool small_talk(Turn& turn) const;
  bool answers_confirmation(Turn& turn) const;
  bool answers_choice(Turn& turn) const;
  bool answers_slot(Turn& turn) const;
  bool corrects_slot(Turn& turn) const;
  void new_request(Turn& turn) const;
  void take_intent(Turn& turn, const std::string& name, double confidence) const;
  void fill(Turn& turn) const;
  void go_on(Turn& turn) const;
  void miss(Turn& turn, const Action& action, const std::string& reply) const;
  void hand_over(Turn& turn) const;
  void offer(Turn& turn, std::vector<std::string> options) const;
  std::string question(const DialogueState& state) const;
  std::map<std::string, std::string> values(const DialogueState& state) const;
  bool may_change(const Turn& turn) const;

  DialogueDomain domain_;
};

// The last turns as text for a model, oldest first: "Customer: ...\nAgent: ...\n".
std::string window_text(const DialogueState& state, size_t turns);

}  // namespace r1::api
