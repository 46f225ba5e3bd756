// Amounts of money and currencies in a message: "£20", "1,200.50 EUR", "twenty five pounds", "20 quid". Part of slot_values.h.
#pragma once

#include "r1/api/slot_values.h"

namespace r1::api {

// "20.50 GBP". `asked`: a number without a currency is an amount as well.
std::vector<SlotValue> find_amounts(std::string_view message, std::span<const TextToken> tokens, bool asked);
std::vector<SlotValue> find_currencies(std::string_view message, std::span<const TextToken> tokens);

}  // namespace r1::api
