// Dates in a message: "2026-03-04", "4/3/26", "4th of March", "yesterday", "last Friday", "3 days ago". Part of slot_values.h. A date without a
// year, and a weekday without "next", is the latest one that is not after today: people ask about what has happened.
#pragma once

#include "r1/api/slot_values.h"

namespace r1::api {

std::vector<SlotValue> find_dates(std::string_view message, std::span<const TextToken> tokens, bool month_first,
                                  std::chrono::year_month_day today);

}  // namespace r1::api
