// Which language a text is in, by a fastText classifier, and a filter that keeps the wanted ones.
//
// A document is asked as a whole, its lines as blanks, as fastText's users do; no more than its first `max_bytes` count, cut at a blank.
// A text mostly of capitals is asked in small letters: the published models have hardly seen such ones and take them for any language.
// Numbers, markup and addresses are language to no one but move the answer, so a text with few letters is not asked at all ("language:none").
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "r1/base/config.h"
#include "r1/corpus/cld2.h"
#include "r1/corpus/fasttext.h"
#include "r1/corpus/stage.h"

namespace r1::corpus {

struct LanguageConfig {
  std::string model;                   // a fastText file whose labels are languages: lid.176.ftz
  std::vector<std::string> languages;  // kept, as the model's labels ("en", "de"); empty: all
  double threshold = 0.65;             // the least probability; FineWeb's (Penedo et al., 2024)
  FreeForm thresholds;                 // of a language of its own: thresholds.is=0.5
  int64_t max_bytes = int64_t{1} << 16;
  int64_t min_letters = 10;             // of a text of fewer nothing is said
  std::string second_opinion = "none";  // or "cld2": who else must not contradict
  void visit(Fields& v);
};

struct LanguageGuess {
  std::string language;  // empty: nothing in the text says
  float probability = 0;
};

class LanguageIdentifier {
 public:
  explicit LanguageIdentifier(const LanguageConfig& config);
  LanguageGuess identify(std::string_view text) const;
  const std::vector<std::string>& languages() const { return model_.labels(); }

 private:
  FastText model_;
  size_t max_bytes_;
  int64_t min_letters_;
};

// Keeps documents of the wanted languages that are sure enough; sets Document::language and the mark "language:en=0.98". Reasons:
//   "language:<code>"   sure, but not wanted
//   "language:unsure"   below the threshold of its language
//   "language:none"     too few letters to say
//   "language:disagree" the second opinion is another language. Where it is not sure, has too little text or does not know the language, it
//                       counts for nothing; where it agrees, the mark "second_opinion:en" says so
class LanguageFilter : public Filter {
 public:
  // kUsage for a language or threshold that the model has no label for, for thresholds that are none and for a second opinion that is not there.
  explicit LanguageFilter(const LanguageConfig& config);
  std::string_view name() const override { return "language"; }
  std::string apply(Document& document) const override;

 private:
  LanguageIdentifier identifier_;
  std::optional<Cld2> second_;
  size_t max_bytes_;
  std::vector<std::string> wanted_;  // sorted
  double threshold_;
  std::map<std::string, double, std::less<>> thresholds_;
};

}  // namespace r1::corpus
