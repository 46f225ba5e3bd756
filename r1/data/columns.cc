#include "r1/data/columns.h"

#include "r1/base/error.h"
#include "r1/data/rows.h"

namespace r1::data {
namespace {

const Json* find(const Json& row, std::string_view key) {
  if (!row.is_object()) return nullptr;
  if (const auto at = row.find(std::string(key)); at != row.end()) return &*at;
  for (size_t dot = key.find('.'); dot != std::string_view::npos; dot = key.find('.', dot + 1)) {
    const auto at = row.find(std::string(key.substr(0, dot)));
    if (at == row.end()) continue;
    if (const Json* found = find(*at, key.substr(dot + 1))) return found;
  }
  return nullptr;
}

}  // namespace

void apply_columns(Json& row, const Columns& columns, std::string_view where) {
  Json named = Json::object();
  for (const auto& [name, key] : columns) {
    const Json* value = find(row, key);
    if (!value) fail(where, ": key '", printable(key), "' (columns.", name, ") is missing; found: ", keys_of(row));
    named[name] = *value;
  }
  row.update(named);
}

}  // namespace r1::data
