// Bodies of the templates of json.h.
#pragma once

#include "r1/base/error.h"

namespace r1 {

template <class T>
T json_get(const Json& object, const char* key, std::string_view where) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) fail(where, ": key '", key, "' is missing");
  try {
    return it->template get<T>();
  } catch (const nlohmann::json::exception&) {
    fail(where, ": key '", key, "' has the wrong type (", it->type_name(), ")");
  }
}

template <class T>
T json_get_or(const Json& object, const char* key, T fallback, std::string_view where) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return fallback;
  return json_get<T>(object, key, where);
}

}  // namespace r1
