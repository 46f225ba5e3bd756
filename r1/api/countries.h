// Countries as people name them, with ISO 3166-1's two letters. Names in lower case; several may have one code. "us" is only a country in
// capitals (slot_values.cc), so it is not in here.
#pragma once

#include <span>

namespace r1::api {

struct CountryName {
  const char *name, *code;
};
std::span<const CountryName> country_names();

}  // namespace r1::api
