// Messages with their intents, from a CSV or TSV file: a column text and one of category, intent and label; others are passed over.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace r1::api {

struct IntentExamples {
  std::vector<std::string> labels;  // sorted, each once
  std::vector<std::string> text;    // runs of blanks are one blank
  std::vector<int32_t> label;       // index into labels
  size_t size() const { return text.size(); }
};

inline constexpr size_t kMaxIntents = 10'000;

// Empty messages and labels are errors that name the line.
IntentExamples read_intent_examples(const std::filesystem::path& path);
// The same with the labels of a model: a label that it does not know is an error with what is near.
IntentExamples read_intent_examples(const std::filesystem::path& path, const std::vector<std::string>& labels);

// Runs of blanks as one, none at the ends.
std::string single_blanks(std::string_view text);

// Fold f of k: a share of the examples in an order that hangs on the seed alone. `rest`: all the others.
struct Fold {
  std::vector<size_t> held, rest;
};
Fold fold_of(size_t examples, int64_t fold, int64_t folds, uint64_t seed);

}  // namespace r1::api
