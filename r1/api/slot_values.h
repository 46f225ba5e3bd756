// What a message says of amounts, dates, countries and so on, by rules: no model, no locale, no clock of its own. And what must not be kept:
// card numbers, account numbers and codes are masked before anything stores or sees the text.
//
// Rules are for English. They would rather miss a value than invent one; a value that was asked for ("How much was it?") is read more
// generously, as then "20" is an amount.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace r1::api {

enum class SlotType { kText, kAmount, kCurrency, kDate, kCardNumber, kCountry, kName, kChoice, kNumber, kEmail };
const char* slot_type_name(SlotType type);
// By name, or a usage error with the list.
SlotType parse_slot_type(std::string_view name);

// One of a slot's possible values, and what else people call it.
struct SlotChoice {
  std::string name;
  std::vector<std::string> also;
};

struct SlotQuestion {
  SlotType type = SlotType::kText;
  std::span<const SlotChoice> choices;  // kChoice
  bool asked = false;                   // the message answers a question for this slot
  bool month_first = false;             // 03/04/2026 is the 4th of March
};

// The normal form of a value and where it stands. amount "20.50 GBP" ("20.50" where no currency is named), currency "GBP", date "2026-03-04",
// card_number "**** 1234", country "GB", choice: its name, number "42", name, email and text as they were said.
struct SlotValue {
  std::string value, text;
  size_t begin = 0, end = 0;  // bytes of the message
};

// Values in the order of the message; of values that overlap, the longest. kText: the whole message if it was asked for, else none.
std::vector<SlotValue> find_slot_values(std::string_view message, const SlotQuestion& question, std::chrono::year_month_day today);

// The message with card numbers (13 and more digits, whatever stands between groups of them), IBANs, and the codes after "PIN", "CVV" or
// "password" replaced: "**** 1111" for numbers, "****" for codes. What is masked already stays.
std::string mask_secrets(std::string_view message);

// Whether the message as a whole agrees or refuses: "Yes, please", "no that's wrong".
enum class YesNo { kYes, kNo, kNeither };
YesNo yes_or_no(std::string_view message);

// A word or mark with its place: letters, digits and marks on letters together, all else one character each; blanks are left out.
struct TextToken {
  std::string lower;
  size_t begin = 0, end = 0;
  bool word = false;
};
std::vector<TextToken> text_tokens(std::string_view text);

// Where `phrase` ("real person") stands in `tokens` from `first` on, as whole words: index of its first token, or npos.
size_t find_phrase(std::span<const TextToken> tokens, std::string_view phrase, size_t first = 0);

}  // namespace r1::api
