#include "r1/data/train_vocabulary.h"

#include <algorithm>
#include <filesystem>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/strings.h"
#include "r1/data/rows.h"
#include "r1/data/text_stream.h"
#include "r1/data/unpack.h"

namespace r1::data {

namespace {

// Text or JSON lines as they stand, which need no copy.
bool is_plain(const std::string& file) {
  const FileForm form = form_of(file);
  if (form != FileForm::kText && !(form == FileForm::kJsonLines && file.ends_with(".jsonl"))) return false;
  const MappedFile map(file);
  const auto bytes = map.bytes();
  return packing_of({reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(bytes.size(), 16)}) == Packing::kNone;
}

}  // namespace

text::TrainResult train_vocabulary(const std::vector<std::string>& files, const text::BpeTrainOptions& options) {
  if (std::ranges::all_of(files, is_plain)) {
    const std::vector<fs::path> paths(files.begin(), files.end());
    return text::train_bpe(paths, options);
  }
  TextStream stream(files);
  stream.want(options.jsonl_keys);
  Text text;
  Json row;
  size_t key = options.jsonl_keys.size();  // of `row`, the one that is next
  return text::train_bpe_stream(
      [&](text::TrainText& out) {
        while (key == options.jsonl_keys.size()) {
          if (!stream.next(text)) return false;
          if (options.progress) options.progress("files read", stream.position().file, int64_t(files.size()));
          if (!text.row) {
            out = {std::move(text.text), true};
            return true;
          }
          row = parse_row(text.text, text.where);
          key = 0;
        }
        const std::string& name = options.jsonl_keys[key++];
        if (!row.contains(name) || !row[name].is_string())
          fail(text.where, ": no string under '", printable(name), "'; found: ", keys_of(row), " (jsonl_keys names those to learn from)");
        out = {row[name].get<std::string>(), false};
        return true;
      },
      options);
}

}  // namespace r1::data
