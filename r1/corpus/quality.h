// Rules of thumb that tell prose from what else the web holds, and a score of several opinions.
//
//   gopher      Rae et al., "Scaling Language Models: Methods, Analysis & Insights from Training Gopher", 2021, A1.1: quality and repetition
//   c4          Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", 2020, 2.2
//   fineweb     Penedo et al., "The FineWeb Datasets: Decanting the Web for the Finest Text Data at Scale", 2024, 3.6
//
// Where a paper leaves something open (what a word is, what counts as a line), it is as datatrove has it, whose filters made FineWeb: the same
// decisions and reasons for the same words (tests/oracles/quality_golden.py). Words are words.h's, which differ from spaCy's in few places.
// The rules are for English; for other languages take other stop words, and mind that those without blanks between words fail most of them.
//
// The first rule that a document breaks is its reason, in the order below. A threshold of -1 turns its rule off.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "r1/base/config.h"
#include "r1/corpus/stage.h"

namespace r1::corpus {

// What several rules ask of a text, found once. Views are into the text.
struct QualityText {
  explicit QualityText(std::string_view text);
  std::string_view text;
  int64_t chars;
  std::vector<std::string_view> words;
};

struct GopherConfig {
  bool enabled = true;
  int64_t min_words = 50, max_words = 100'000;       // gopher:too_few_words, gopher:too_many_words; those of punctuation alone do not count
  double min_word_length = 3, max_word_length = 10;  // gopher:short_words, gopher:long_words: the mean, in characters
  double max_symbol_ratio = 0.1;                     // gopher:symbol_ratio: "#", then "..." and "…", to words
  double max_bullet_lines = 0.9;                     // gopher:bullet_lines: begin with "•" or "-"
  double max_ellipsis_lines = 0.3;                   // gopher:ellipsis_lines: end with an ellipsis
  double min_words_with_letters = 0.8;               // gopher:words_without_letters
  int64_t min_stop_words = 2;                        // gopher:stop_words: how many different ones of
  std::vector<std::string> stop_words = {"the", "be", "to", "of", "and", "that", "have", "with"};
  void visit(Fields& v);
};

struct RepetitionConfig {
  bool enabled = true;
  double max_duplicate_paragraphs = 0.3;                                            // gopher:duplicate_paragraphs
  double max_duplicate_paragraph_chars = 0.2;                                       // gopher:duplicate_paragraph_chars
  double max_duplicate_lines = 0.3;                                                 // gopher:duplicate_lines
  double max_duplicate_line_chars = 0.2;                                            // gopher:duplicate_line_chars
  std::vector<double> max_top_ngram = {0.2, 0.18, 0.16};                            // gopher:top_2_gram .. top_4_gram: characters in it
  std::vector<double> max_duplicate_ngrams = {0.15, 0.14, 0.13, 0.12, 0.11, 0.10};  // gopher:duplicate_5_grams .. duplicate_10_grams
  void visit(Fields& v);
};

// Rules of lines: what is kept of a text, and what for the text as a whole.
struct C4Config {
  bool enabled = true;
  bool remove_citations = true;    // "[1]", "[edit]", "[citation needed]"
  bool end_punctuation = true;     // lines that do not end in . ? ! " ' or that end in "..." go
  int64_t min_sentences = 5;       // c4:too_few_sentences, of the lines that stay
  int64_t min_line_words = 3;      // lines of fewer go
  int64_t max_word_length = 1000;  // lines with a longer word go
  bool lorem_ipsum = true;         // c4:lorem_ipsum
  bool javascript = true;          // lines that name it go
  bool curly_bracket = true;       // c4:curly_bracket
  bool policy = true;              // lines about cookies and terms of use go
  void visit(Fields& v);
};

struct FineWebConfig {
  bool enabled = true;
  double min_line_punctuation = 0.12;      // fineweb:line_punctuation: lines that end in a sentence's end
  double max_short_lines = 0.67;           // fineweb:short_lines: of at most
  int64_t short_line = 30;                 //   characters
  double max_duplicate_line_chars = 0.01;  // fineweb:duplicate_line_chars
  double max_line_word_ratio = 0.3;        // fineweb:list_ratio: line feeds to words
  void visit(Fields& v);
};

struct QualityConfig {
  GopherConfig gopher;
  RepetitionConfig repetition;
  C4Config c4;
  FineWebConfig fineweb;
  void visit(Fields& v);
};

// "" or the reason.
std::string gopher_reason(const QualityText& text, const GopherConfig& config);
std::string repetition_reason(const QualityText& text, const RepetitionConfig& config);
std::string fineweb_reason(const QualityText& text, const FineWebConfig& config);
// C4's changes the text: `kept` gets the lines that stay.
struct C4Lines {
  std::string text;
  int64_t lines = 0, kept = 0;
};
std::string c4_reason(std::string_view text, const C4Config& config, C4Lines& kept);

// All enabled rules, in FineWeb's order: gopher (repetition, then quality), c4, fineweb. Marks a text that C4's rules shortened with
// "c4:lines=<kept>/<all>".
class QualityFilter : public Filter {
 public:
  explicit QualityFilter(const QualityConfig& config);
  std::string_view name() const override { return "quality"; }
  std::string apply(Document& document) const override;

 private:
  QualityConfig config_;
};

}  // namespace r1::corpus
