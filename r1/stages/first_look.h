// What a person should see of the data before hours go into them: how much is there, how much of it is lost to max_length, and one example as
// the model gets it.
#pragma once

#include <string>

#include "r1/data/packing.h"
#include "r1/data/source.h"
#include "r1/text/tokenizer.h"

namespace r1::stages {

// Of all documents, or of `looked` of them, evenly spread, where there are more.
struct FirstLook {
  int64_t documents = 0, looked = 0;
  int64_t tokens = 0, learned = 0, longest = 0;              // before anything is cut
  int64_t cut = 0, split = 0, dropped = 0, lost_tokens = 0;  // longer than max_tokens
  int64_t nothing_to_learn = 0;                              // left out: no token to learn in what is left of them
};
FirstLook look_at(const data::DocumentSource& source, const data::PackOptions& options, int64_t most = 5000);
// "7473 documents, 143 tokens on average (longest 512), 62 % of them learned"; further sentences for what is lost.
std::string to_words(const FirstLook& look, const data::PackOptions& options);

// The text of `ids` with control tokens as they are spelled, line ends as \n, and what is learned as {+..+}, as word differences are written;
// about `columns` characters from its middle are left out if it is longer. `learned` may be empty: nothing is.
std::string rendered(const text::Tokenizer& tokenizer, const std::vector<int32_t>& ids, const std::vector<uint8_t>& learned,
                     size_t columns = 1200);

}  // namespace r1::stages
