// Calibration text: rows of data files (a "text", or a conversation through the chat template) and plain text files, one after another, cut into
// sequences of one length.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "r1/text/chat_template.h"
#include "r1/text/tokenizer.h"

namespace r1::quant {

// `count` sequences of `length` ids, [count * length] in one list. Usage error if the text is too short, which says what there is. `chat` may be
// null.
std::vector<int32_t> read_calibration(const std::vector<std::string>& data, const text::Tokenizer& tokenizer,
                                      const text::ChatTemplate* chat, int64_t count, int64_t length);

}  // namespace r1::quant
