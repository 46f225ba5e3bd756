// What the tests that make their own pairs share: random choices, and a file of the pairs for the oracles (R1_PAIRS_OUT;
// tests/oracles/verify_adversary.py checks the truth that the generators claim).
#pragma once

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "r1/base/json.h"

namespace r1::verify {

using Rng = std::mt19937_64;

struct Pair {
  std::string gold, answer;
  bool right;
};

inline long between(Rng& r, long low, long high) {
  return low + long(r() % uint64_t(high - low + 1));
}
inline bool coin(Rng& r) {
  return r() % 2;
}
template <class T>
const T& one_of(Rng& r, const std::vector<T>& list) {
  return list[r() % list.size()];
}
inline std::string num(long n) {
  return std::to_string(n);
}
inline std::string signed_term(long n) {
  return n < 0 ? num(n) : "+" + num(n);
}

inline long number_from_environment(const char* name, long otherwise) {
  const char* text = std::getenv(name);
  return text ? std::atol(text) : otherwise;
}
// The day: every day tries others, and a failure can be repeated.
inline uint64_t seed_from_environment(const char* name) {
  return uint64_t(number_from_environment(name, long(std::time(nullptr) / 86'400)));
}

class PairFile {
 public:
  PairFile() {
    if (const char* path = std::getenv("R1_PAIRS_OUT")) out_.open(path, std::ios::app);
  }
  void add(const std::string& kind, const Pair& p) {
    if (out_.is_open()) out_ << dump_json({{"kind", kind}, {"gold", p.gold}, {"answer", p.answer}, {"right", p.right}}) << "\n";
  }

 private:
  std::ofstream out_;
};

}  // namespace r1::verify
