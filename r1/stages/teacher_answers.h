// The teacher's answers to the prompts of a data set, as chat JSONL that fine-tuning takes: distillation by sequences (R1's own, section 2.4).
#pragma once

#include <filesystem>

#include "r1/stages/distill.h"

namespace r1::stages {

// <run folder>/teacher_answers.jsonl, made if it is not there. Of a task by r1 rejection (with its filters: right answers alone, if keep says
// so); of files of conversations by an answer in place of each one's last. Goes on where it was stopped.
std::filesystem::path teacher_answers(const DistillConfig& config, const std::vector<std::string>& files, tensor::Device device);

}  // namespace r1::stages
