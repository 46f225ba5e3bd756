#include "r1/corpus/split.h"

#include <cmath>

#include "r1/base/error.h"
#include "r1/base/rng.h"

namespace r1::corpus {

const char* name_of(Part part) {
  return part == Part::kTrain ? "train" : part == Part::kValidation ? "validation" : "test";
}

void SplitOptions::visit(Fields& v) {
  v("preset", preset_name, "shares by name: small (70/15/15) for data sets, large (99.9/0.05/0.05) for corpora", OneOf{"small", "large"});
  v("train", train, "share of the training part", Range{0.0, 1.0});
  v("validation", validation, "share of the validation part", Range{0.0, 1.0});
  v("test", test, "share of the test part", Range{0.0, 1.0});
  v("seed", seed, "another seed, another split");
}

SplitOptions SplitOptions::preset(const std::string& name) {
  if (name == "small") return {};
  if (name == "large") return {.preset_name = name, .train = 0.999, .validation = 0.0005, .test = 0.0005};
  fail_usage("[split] no preset ", printable(name), "; there are small (70/15/15) and large (99.9/0.05/0.05)");
}

void SplitOptions::resolve() {
  const SplitOptions given = *this, named = preset(preset_name), none;
  const auto shares_are = [&](const SplitOptions& of) {
    return given.train == of.train && given.validation == of.validation && given.test == of.test;
  };
  if (shares_are(none)) {
    train = named.train;
    validation = named.validation;
    test = named.test;
  } else if (preset_name != none.preset_name && !shares_are(named)) {
    fail_usage("[split] the preset ", preset_name, " and shares of your own (", train, ", ", validation, ", ", test,
               "): leave one of the two out");
  }
  const double sum = train + validation + test;
  if (!(train >= 0 && validation >= 0 && test >= 0) || std::abs(sum - 1) > 1e-9)
    fail_usage("[split] shares of train, validation and test are ", train, ", ", validation, ", ", test,
               ": they must be 0 or more and add up to 1, not ", sum);
}

Part part_of(uint64_t cluster, const SplitOptions& options) {
  const double u = random_uniform(options.seed, 0x73706C6974, cluster);
  return u < options.train ? Part::kTrain : u < options.train + options.validation ? Part::kValidation : Part::kTest;
}

}  // namespace r1::corpus
