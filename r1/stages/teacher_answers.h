// The teacher's answers to the prompts of a data set, as chat JSONL that fine-tuning takes: distillation by sequences (R1's own, section 2.4).
#pragma once

#include <filesystem>

#include "r1/stages/distill.h"

namespace r1::stages {

// <run folder>/teacher_answers.jsonl, made if it is not there. Of a task by r1 rejection (with its filters: right answers alone, if keep says
// so); of files of conversations by an answer in place of each one's last. Goes on where it was stopped. Answers that were cut off at
// max_completion_length are left out, with a count: they have no end to be learned.
//
// Beside it stands what the answers hang on: teacher_answers.json (teacher and files by content, sampling, prompts, seed), of a task
// teacher_answers.result.json. Usage error if those that are there were made of something else.
std::filesystem::path teacher_answers(const DistillConfig& config, const std::vector<std::string>& files, tensor::Device device);

}  // namespace r1::stages
