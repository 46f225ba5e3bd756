// A tokenizer's vocabulary from training files of any form that is read here (text_stream.h): what r1 tokenizer train and a recipe's stage do.
#pragma once

#include <string>
#include <vector>

#include "r1/text/bpe_train.h"

namespace r1::data {

// Of text, each line is a text; of rows, each of options.jsonl_keys. Plain files are mapped and counted at their bytes, others are streamed.
// `files`: as find_files() gives them. options.progress gets "files read" for those that are streamed.
text::TrainResult train_vocabulary(const std::vector<std::string>& files, const text::BpeTrainOptions& options);

}  // namespace r1::data
