#include "r1/quant/calibration.h"

#include "r1/base/error.h"
#include "r1/data/find_files.h"
#include "r1/data/messages.h"
#include "r1/data/prompt.h"
#include "r1/data/text_stream.h"

namespace r1::quant {

namespace {

std::vector<int32_t> ids_of(const data::Text& text, const text::Tokenizer& tokenizer, const text::ChatTemplate* chat,
                            const data::PromptMaker& prompts) {
  const auto encode = [&](const std::string& plain) {
    return tokenizer.encode(plain, {.parse_special = false, .add_special_tokens = text.begins && tokenizer.add_bos()});
  };
  if (!text.row) return encode(text.text);
  const Json row = parse_json(text.text, text.where);
  if (row.is_object() && row.contains("text")) return encode(data::field_text(row["text"], "text", text.where));
  if (!chat)
    fail_usage("--data ", text.where, ": the row has no \"text\", and the model has no chat template for a conversation (keys: ",
               row.is_object() ? data::keys_of(row) : "none", ")");
  return prompts.conversation(data::conversation_from_json(row, text.where), text.where).ids;
}

}  // namespace

NextText texts_of(const std::vector<std::string>& data, const text::Tokenizer& tokenizer, const text::ChatTemplate* chat) {
  struct Texts {
    data::PromptMaker prompts;
    data::TextStream stream;
  };
  auto texts = std::make_shared<Texts>(Texts{{tokenizer, chat, {}}, data::TextStream(data::find_files(data, "--data"))});
  return [texts, &tokenizer, chat](std::vector<int32_t>& ids) {
    data::Text text;
    if (!texts->stream.next(text)) return false;
    ids = ids_of(text, tokenizer, chat, texts->prompts);
    return true;
  };
}

std::vector<int32_t> calibration_ids(const NextText& next, int64_t count, int64_t length) {
  const size_t wanted = size_t(count * length);
  std::vector<int32_t> ids, more;
  while (ids.size() < wanted && next(more)) ids.insert(ids.end(), more.begin(), more.end());
  if (ids.size() < wanted)
    fail_usage("the calibration text (--data) has ", ids.size(), " tokens, and ", count, " sequences of ", length, " are asked for (",
               wanted, "): give more text, or fewer or shorter sequences (--calibration_samples, --eval_samples, --calibration_length)");
  ids.resize(wanted);
  return ids;
}

}  // namespace r1::quant
