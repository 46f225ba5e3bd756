// Somebody else's names for what a row holds: --columns.prompt=question says that "prompt" stands under "question".
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "r1/base/json.h"

namespace r1::data {

using Columns = std::map<std::string, std::string>;  // the name that is known here -> the row's key

// Puts row[key] under each name; the key stays. A key with dots that the row does not have is a path: "reward_model.ground_truth". A key
// that is missing is an error that names `where` and the keys found.
void apply_columns(Json& row, const Columns& columns, std::string_view where);

}  // namespace r1::data
