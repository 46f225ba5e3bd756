// Rewards for the wording of a completion (text_measures.h).
//
//   repetition_penalty    Demystifying Long CoT (arXiv 2502.03373) as open-r1 has it: -max_penalty * (1 - distinct n-grams /
//                         n-grams), at most 0; 0 for fewer than n words. Words, and characters for Chinese and Japanese, by script: open-r1
//                         splits at blanks unless told the language, so that a Chinese text is one word and is never punished. Options:
//                         n (3), max_penalty (1).
//   language_consistency  R1 (arXiv 2501.12948, 2.3.2): words of the target language / words, in the thought (in all the text without tags
//                         if no thought is closed). Formulas are no words: counted as such they would reward a Chinese thought for having
//                         none, and an English one for nothing else. Does not apply to a thought without words. open-r1 has none;
//                         detectors of a whole text's language give all or nothing. Option: language (en | zh).
#pragma once

#include "r1/tasks/options.h"
#include "r1/tasks/reward.h"

namespace r1::tasks {

std::unique_ptr<Reward> make_repetition_reward(OptionReader& options);
std::unique_ptr<Reward> make_language_reward(OptionReader& options);

}  // namespace r1::tasks
