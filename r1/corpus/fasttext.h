// Linear text classifiers in fastText's model files (.bin, and .ftz: product quantization, pruned vocabulary), read and predicted with here.
// The published language identifiers (lid.176.ftz and the like) and quality classifiers are such files.
//
// A text is words between blanks; a word is its row (if the vocabulary has it) and the rows of its hashed character n-grams; the mean of all
// rows, and of hashed word n-grams, times the output matrix, through a softmax, a Huffman tree of the labels, or a sigmoid a label
// (Joulin et al., "Bag of Tricks for Efficient Text Classification", 2016; "FastText.zip", 2016). Labels and probabilities are those of
// fastText 0.9.2's predict (tests/oracles/fasttext_golden.py), what is odd about them too: a probability is up to 1e-5 too high.
//
// Leaves out: training, word vectors (a model without labels is refused).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace r1::corpus {

class FastText {
 public:
  // kUsage if the file is no fastText model or is one without labels; what is broken inside is named with its place. A dense model is
  // mapped, so that its size on disk is not its size in memory.
  static FastText load(const std::filesystem::path& path);
  // The same from memory; `bytes` must outlive the model.
  static FastText parse(std::span<const std::byte> bytes, const std::string& where);
  FastText(FastText&&) noexcept;
  FastText& operator=(FastText&&) noexcept;
  ~FastText();

  struct Prediction {
    int32_t label;      // index into labels()
    float probability;  // of a softmax or a tree; of this label alone with one-vs-all
  };
  // The `k` labels that are likeliest, the likeliest first, none below `threshold`. A line feed is a blank like others. Empty if nothing in
  // the text has a row. Calls from several threads at once are fine.
  std::vector<Prediction> predict(std::string_view text, size_t k = 1, float threshold = 0) const;

  // Without the prefix "__label__".
  const std::vector<std::string>& labels() const;
  int32_t dim() const;
  int64_t words() const;
  bool quantized() const;

  struct Model;

 private:
  explicit FastText(std::unique_ptr<Model> model);
  std::unique_ptr<Model> model_;
};

}  // namespace r1::corpus
