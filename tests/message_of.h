// The words of the error that something ends with; "no error" if it ends well.
#pragma once

#include <functional>
#include <string>

#include "r1/base/error.h"

namespace r1 {

inline std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace r1
