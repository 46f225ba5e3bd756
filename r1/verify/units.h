// Units of measurement as people write them after a number: SI with its prefixes, imperial, money, time, temperature, angle, data, and
// products, quotients and powers of these ("km/h", "km h^-1", "m s^{-2}", "square feet", "kilometers per hour", "cm^3"). A unit is a factor
// over base units and the exponents of these; a word that the table does not have is a base unit of its own, singular and plural alike, so
// 3 apples are 3 apples and neither 3 pears nor 3 kg.
//
// Months and years are counted, not measured in days; a currency is its own dimension.
#pragma once

#include <gmpxx.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace r1::verify {

struct Unit {
  std::map<std::string, int> dimension;  // base unit -> exponent, none of them 0; empty: a plain number ("ways", "million")
  mpq_class factor = 1;                  // of the base units
  mpq_class offset = 0;                  // temperature scales: value * factor + offset kelvin
  mpq_class multiplier = 1;              // "million" in "million dollars": counts without its unit too
};

// What the text may mean: "pound" is a mass and money. Never empty: an unknown word means itself.
std::vector<Unit> unit_meanings(std::string_view text);

// Is this word a unit of the table? As written ("kJ", "Pa"); words of three letters and more in any case.
bool known_unit(std::string_view word);

}  // namespace r1::verify
