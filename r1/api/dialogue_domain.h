// What a support dialogue is about, read from a YAML or JSON file: the intents it knows, the slots each of them needs, what it asks and what it
// answers. docs/dialogue.md describes the file; recipes/dialogue/ has one for banking77.
//
// Everything is checked when it is read: unknown keys, slots and placeholders, sizes. Nothing in it is code.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "r1/api/slot_values.h"
#include "r1/base/json.h"

namespace r1::api {

struct DialogueSlot {
  SlotType type = SlotType::kText;
  std::string title;                // for people: "amount"; the slot's name with blanks if absent
  std::string ask;                  // the question
  std::vector<SlotChoice> choices;  // kChoice
  bool session = false;             // kept when the intent changes
  bool model = false;               // where rules find nothing, the served model is asked
  bool month_first = false;         // dates
};

struct DialogueIntent {
  std::string title;               // "Card arrival"
  std::vector<std::string> needs;  // slots that are asked for, in this order
  std::vector<std::string> takes;  // slots that are read if they are said
  std::string confirm;             // asked before the answer; "" is not
  std::string answer;
  bool handover = false;  // a person takes over with the answer
};

struct DialogueDomain {
  std::string name;
  int64_t window = 8;  // turns that are kept
  // Confidence of the best intent: at or above `accept` it is taken; at or above `guess` the best few are offered; below, the message is out
  // of scope. While something was asked for, another intent takes over only from `change` on.
  double accept = 0.5, guess = 0.2, change = 0.8;
  int64_t patience = 2;  // unanswered questions, and messages out of scope in a row, before a person is called
  std::map<std::string, DialogueSlot> slots;
  std::map<std::string, DialogueIntent> intents;
  // What is said of all intents alike, by name ("greet", "out_of_scope", ...); the defaults are English.
  std::map<std::string, std::string> replies;
  // For answers in the model's words: the system message, and the longest answer.
  std::string model_instructions;
  int64_t model_max_tokens = 120;

  const std::string& reply(const std::string& name) const;
};

// Usage errors name `where` and the key.
DialogueDomain parse_dialogue_domain(const Json& document, std::string_view where);
DialogueDomain read_dialogue_domain(const std::filesystem::path& path);

// {slot} and {slot|what is said where it is empty}; values as they are, never read again for placeholders.
std::string fill_template(const std::string& text, const std::map<std::string, std::string>& values);
// The names in a text's placeholders; a brace that is none is an error with `where`.
std::vector<std::string> template_names(const std::string& text, const std::string& where);

}  // namespace r1::api
