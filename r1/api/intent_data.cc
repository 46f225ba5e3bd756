#include "r1/api/intent_data.h"

#include <algorithm>
#include <numeric>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/base/strings.h"
#include "r1/data/csv.h"

namespace r1::api {
namespace {

size_t column_of(const std::vector<std::string>& header, std::initializer_list<const char*> names, const std::filesystem::path& path) {
  for (const char* name : names) {
    const auto it = std::find(header.begin(), header.end(), name);
    if (it != header.end()) return size_t(it - header.begin());
  }
  std::string wanted, there;
  for (const char* name : names) wanted += str(wanted.empty() ? "" : " or ", name);
  for (const std::string& name : header) there += str(there.empty() ? "" : ", ", printable(name));
  fail_usage(path.string(), ": expected a column ", wanted, ", got ", there);
}

struct Row {
  std::string text, label, where;
};

std::vector<Row> read_rows(const std::filesystem::path& path) {
  using Kind = data::CsvReader::Kind;
  data::CsvReader reader(path, path.extension() == ".tsv" ? Kind::kTsv : Kind::kCsv);
  const size_t text = column_of(reader.header(), {"text", "message", "utterance"}, path);
  const size_t label = column_of(reader.header(), {"category", "intent", "label"}, path);
  std::vector<Row> rows;
  std::vector<std::string> fields;
  while (reader.next(fields)) {
    Row row{single_blanks(fields[text]), std::string(trim(fields[label])), reader.where()};
    if (row.text.empty() || row.label.empty()) fail(row.where, ": expected a message and its intent, got an empty one");
    rows.push_back(std::move(row));
  }
  if (rows.empty()) fail(path.string(), ": no messages in it");
  return rows;
}

IntentExamples labelled(std::vector<Row> rows, std::vector<std::string> labels) {
  IntentExamples examples{.labels = std::move(labels), .text = {}, .label = {}};
  for (Row& row : rows) {
    const auto it = std::lower_bound(examples.labels.begin(), examples.labels.end(), row.label);
    if (it == examples.labels.end() || *it != row.label)
      fail(row.where, ": the model knows no intent '", printable(row.label), "'", did_you_mean(row.label, examples.labels));
    examples.label.push_back(int32_t(it - examples.labels.begin()));
    examples.text.push_back(std::move(row.text));
  }
  return examples;
}

}  // namespace

std::string single_blanks(std::string_view text) {
  std::string out;
  for (char c : trim(text)) {
    const bool blank = c == ' ' || (c >= '\t' && c <= '\r');
    if (!blank)
      out += c;
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  }
  return out;
}

IntentExamples read_intent_examples(const std::filesystem::path& path) {
  std::vector<Row> rows = read_rows(path);
  std::vector<std::string> labels;
  for (const Row& row : rows) labels.push_back(row.label);
  std::sort(labels.begin(), labels.end());
  labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
  check(labels.size() >= 2 && labels.size() <= kMaxIntents, path.string(), ": expected 2 to ", kMaxIntents, " intents, got ",
        labels.size());
  return labelled(std::move(rows), std::move(labels));
}

IntentExamples read_intent_examples(const std::filesystem::path& path, const std::vector<std::string>& labels) {
  return labelled(read_rows(path), labels);
}

Fold fold_of(size_t examples, int64_t fold, int64_t folds, uint64_t seed) {
  check(folds >= 2 && fold >= 0 && fold < folds && size_t(folds) <= examples, "[folds] expected fold 0 to ", folds - 1, " of ", examples,
        " examples, got ", fold);
  std::vector<size_t> order(examples);
  std::iota(order.begin(), order.end(), size_t(0));
  Rng(seed, 0xF01D).shuffle(order);
  Fold out;
  for (size_t i = 0; i < examples; ++i) (int64_t(i % size_t(folds)) == fold ? out.held : out.rest).push_back(order[i]);
  std::sort(out.held.begin(), out.held.end());
  std::sort(out.rest.begin(), out.rest.end());
  return out;
}

}  // namespace r1::api
