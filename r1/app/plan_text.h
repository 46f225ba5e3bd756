// A plan and what to do about it, for people and as JSON.
#pragma once

#include <string>

#include "r1/app/plan_inputs.h"

namespace r1::app {

std::string plan_text(const PlanRequest& request, const train::Plan& plan);
// One stage: {"stage", "memory", "fits", the plan's own keys, "advice"}.
Json plan_json(const PlanRequest& request, const train::Plan& plan);

}  // namespace r1::app
