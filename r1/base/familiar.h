// What options are called elsewhere: TRL and transformers, axolotl, llama.cpp, vLLM, lm-evaluation-harness. Who types such a name is told
// what r1 calls it, or that there is no such thing here yet, in the place of the nearest spelling. docs/from_trl.md is the same for reading.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace r1 {

struct FamiliarOption {
  const char* name;               // with '*' at its end: all names that begin so
  std::vector<const char*> ours;  // keys of r1, the likeliest first; of those that a command has, the first is named
  const char* note;               // what else there is to say; "" nothing
};

const std::vector<FamiliarOption>& familiar_options();

// A clause on an unknown `key` of a config with the keys `known`; "" if nobody else has such a name either.
std::string familiar_option(std::string_view key, const std::vector<std::string>& known);

// The same on a value that is none of the field's, such as optim=adamw_8bit.
std::string familiar_value(std::string_view key, std::string_view value);

// "-ngl", "-fa": words with one dash that are options elsewhere, though they are longer than a letter.
bool familiar_short_option(std::string_view argument);

}  // namespace r1
