// r1 data classifier train: good texts against texts of the open web, for score.classifier of r1 data run. docs/data.md, "Beside it".
#include "r1/app/command.h"
#include "r1/base/error.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/rng.h"
#include "r1/corpus/quality_model.h"
#include "r1/corpus/reader.h"

namespace r1::app {
namespace {

struct ClassifierCommand {
  std::vector<std::string> good, bad;
  std::string output;
  int64_t documents = 100'000;
  double held_out = 0.1;
  corpus::ClassifierOptions train;
  void visit(Fields& v) {
    v("good", good, "files, folders or patterns, of any kind that r1 data reads, of texts as they should be (references, books)",
      Required{});
    v("bad", bad, "the same of texts as they come (a crawl)", Required{});
    v("output", output, "file of the classifier, for score.classifier", Required{});
    v("documents", documents, "of good and of bad ones at most so many, drawn at random; 0: all of them", Range{0, 1e9});
    v("held_out", held_out, "share of the texts that is not learned from, but asked about at the end", Range{0, 0.9});
    v.group("", train);
  }
};

// At most `most` texts of what the files hold, each as likely as another (reservoir sampling: Vitter, 1985, algorithm R).
std::vector<std::string> drawn_texts(const std::vector<std::string>& files, int64_t most, Rng rng) {
  std::vector<std::string> texts;
  const auto reader = corpus::open_readers(files);
  corpus::Counts counts;
  uint64_t seen = 0;
  for (corpus::Document d; reader->next(d, counts);) {
    throw_if_interrupted();
    ++seen;
    if (most == 0 || int64_t(texts.size()) < most)
      texts.push_back(std::move(d.text));
    else if (const uint64_t at = rng.below(seen); at < texts.size())
      texts[at] = std::move(d.text);
  }
  for (const auto& [reason, r] : counts.dropped()) log_warning(r.documents, " left out: ", reason, ", the first ", r.examples[0]);
  return texts;
}

// Which of the texts the classifier does not see; never all of a kind.
bool is_held_out(const ClassifierCommand& c, bool good, size_t i) {
  return i > 0 && random_uniform(c.train.seed, good ? 2 : 3, i) < c.held_out;
}

int run_classifier(const ClassifierCommand& config, const CommonOptions& common) {
  install_interrupt_handler();
  const std::vector<std::string> texts[2] = {drawn_texts(config.bad, config.documents, Rng(config.train.seed, 0)),
                                             drawn_texts(config.good, config.documents, Rng(config.train.seed, 1))};
  std::vector<corpus::QualityClassifier::Example> learned, asked;
  for (const bool good : {false, true})
    for (size_t i = 0; i < texts[good].size(); ++i) (is_held_out(config, good, i) ? asked : learned).push_back({texts[good][i], good});
  const auto classifier = corpus::QualityClassifier::train(learned, config.train);
  classifier.save(config.output);
  int64_t right[2] = {0, 0}, all[2] = {0, 0};
  for (const auto& example : asked) {
    ++all[example.good];
    right[example.good] += (classifier.probability(example.text) >= 0.5) == example.good;
  }
  const auto share = [&](bool good) { return all[good] ? Json(double(right[good]) / double(all[good])) : Json(); };
  const Json told = {{"good", texts[1].size()},
                     {"bad", texts[0].size()},
                     {"held_out", asked.size()},
                     {"right_of_good", share(true)},
                     {"right_of_bad", share(false)}};
  if (common.json) return print_text(dump_json(told) + "\n"), 0;
  log_info(texts[1].size(), " good and ", texts[0].size(), " bad texts -> ", config.output);
  if (!asked.empty())
    log_info("of ", asked.size(), " held out it knows ", right[1], " of ", all[1], " good and ", right[0], " of ", all[0], " bad ones");
  return 0;
}

}  // namespace

Command cmd_data_classifier_train() {
  return make_command<ClassifierCommand>("data classifier train", "a classifier of good and bad texts, for quality scores", run_classifier);
}

}  // namespace r1::app
