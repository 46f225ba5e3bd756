#include "r1/api/random_id.h"

#include <cstdint>
#include <random>

namespace r1::api {

std::string random_id(size_t length) {
  static constexpr char kLetters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  thread_local std::random_device device;
  std::uniform_int_distribution<size_t> letter(0, sizeof kLetters - 2);
  std::string out;
  for (size_t i = 0; i < length; ++i) out += kLetters[letter(device)];
  return out;
}

}  // namespace r1::api
