// Calibration text: one text after another, cut into sequences of one length.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "r1/text/chat_template.h"
#include "r1/text/tokenizer.h"

namespace r1::quant {

// The ids of the next text; false: there is no more.
using NextText = std::function<bool(std::vector<int32_t>& ids)>;

// Rows of data files (a "text", or a conversation through the chat template, which may be null) and plain text files.
NextText texts_of(const std::vector<std::string>& data, const text::Tokenizer& tokenizer, const text::ChatTemplate* chat);
// `count` sequences of `length` ids, [count * length] in one list. Usage error if the text is too short, which says what there is.
std::vector<int32_t> calibration_ids(const NextText& next, int64_t count, int64_t length);

}  // namespace r1::quant
