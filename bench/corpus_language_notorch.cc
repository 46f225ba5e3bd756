// How well, and how fast, is a text's language told? One JSON object a line:
//   - accuracy of the published model on NTREX's 24 languages, by language and by length (one line, three lines, a document);
//   - the same with a second opinion, CLD2 (language.h): how many are kept, and how many of those are right;
//   - predictions compared with fastText's own, then documents a second of both, one thread each, in rounds that take turns.
//   bench_corpus_language_notorch MODEL DATA [--python=python3] [--rounds=7]      DATA: the folder with ntrex/
#include <cmath>
#include <ctime>
#include <fstream>
#include <map>
#include <optional>

#include "bench/bench.h"
#include "bench/python_peer.h"
#include "r1/base/file.h"
#include "r1/corpus/cld2.h"
#include "r1/corpus/fasttext.h"
#include "r1/corpus/language.h"
#include "r1/data/jsonl.h"

namespace {

using namespace r1;

// NTREX's names and the model's.
const std::map<std::string, std::string> kLabels = {
    {"arb", "ar"}, {"ben", "bn"}, {"deu", "de"}, {"ell", "el"}, {"eng-US", "en"}, {"fas", "fa"}, {"fin", "fi"}, {"fra", "fr"},
    {"heb", "he"}, {"hin", "hi"}, {"ita", "it"}, {"jpn", "ja"}, {"kor", "ko"},    {"pol", "pl"}, {"por", "pt"}, {"rus", "ru"},
    {"spa", "es"}, {"swa", "sw"}, {"tam", "ta"}, {"tha", "th"}, {"tur", "tr"},    {"ukr", "uk"}, {"vie", "vi"}, {"zho-CN", "zh"}};

std::vector<std::string> lines_of(const fs::path& path) {
  std::vector<std::string> lines;
  std::string line;
  for (data::LineReader reader(path); reader.next(line);) lines.push_back(line);
  return lines;
}

double cpu_now() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

std::vector<std::string> joined(const std::vector<std::string>& lines, size_t n) {
  std::vector<std::string> texts;
  for (size_t i = 0; i + n <= lines.size(); i += n) {
    std::string text = lines[i];
    for (size_t k = 1; k < n; ++k) text += " " + lines[i + k];
    texts.push_back(std::move(text));
  }
  return texts;
}

double accuracy(const corpus::FastText& model, const std::vector<std::string>& texts, const std::string& label) {
  int64_t right = 0;
  for (const std::string& text : texts) {
    const auto best = model.predict(text);
    right += !best.empty() && model.labels()[size_t(best[0].label)] == label;
  }
  return double(right) / double(texts.size());
}

void compare(const corpus::FastText& model, const std::string& path, const std::string& what, const std::vector<std::string>& texts,
             const bench::Arguments& a) {
  const fs::path file = fs::temp_directory_path() / ("r1_bench_language_" + std::to_string(getpid()) + ".jsonl");
  std::string rows;
  int64_t bytes = 0;
  for (const std::string& text : texts) rows += dump_json(text) + "\n", bytes += int64_t(text.size());
  write_file_atomic(file, rows);
  bench::PythonPeer peer(a.text("python"), {"bench/peers/language.py", path, file.string()});
  const Json theirs = peer.ask("predict");
  fs::remove(file);
  int64_t same = 0, close = 0;
  double worst = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto best = model.predict(texts[i]);
    const std::string label = best.empty() ? "" : model.labels()[size_t(best[0].label)];
    const double off = std::abs((best.empty() ? 0 : double(best[0].probability)) - theirs[i][1].get<double>());
    same += label == theirs[i][0].get<std::string>();
    close += off < 1e-3;
    worst = std::max(worst, off);
  }
  Json line = {{"bench", "corpus_language"}, {"peer", "fasttext"}, {"texts", what},        {"count", texts.size()},
               {"mb", double(bytes) / 1e6},  {"same_label", same}, {"within_1e-3", close}, {"worst_difference", worst}};
  check(same == int64_t(texts.size()) && close == same, "the predictions are not fastText's: ", dump_json(line));
  bench::Rounds rounds;
  for (int64_t round = 0; round < a.number("rounds"); ++round) {
    const double start = cpu_now();
    float sum = 0;
    for (const std::string& text : texts) sum += model.predict(text)[0].probability;
    check(sum > 0, "no predictions");
    rounds.ours.push_back(cpu_now() - start);
    rounds.theirs.push_back(peer.ask("round").get<double>());
  }
  const Json summary = rounds.summary();
  for (const auto& [key, value] : summary.items()) line[key] = value;
  line["docs_per_s"] = double(texts.size()) / summary["ours_s"].get<double>();
  line["peer_docs_per_s"] = double(texts.size()) / summary["peer_s"].get<double>();
  line["mb_per_s"] = double(bytes) / 1e6 / summary["ours_s"].get<double>();
  bench::print(line);
}

// What each keeps of the texts, and what of that is right: fastText at its threshold, CLD2 where it is sure, and both as the filter has them.
struct Kept {
  int64_t kept = 0, right = 0;
  void add(bool is_kept, bool is_right) { kept += is_kept, right += is_kept && is_right; }
};
struct Opinions {
  Kept fasttext, cld2, both;
  int64_t texts = 0;

  void add(const corpus::LanguageIdentifier& identifier, const corpus::Cld2& second, const std::string& text, const std::string& label) {
    const corpus::LanguageGuess guess = identifier.identify(text);
    const auto other = second.language(text);
    const bool sure = double(guess.probability) >= corpus::LanguageConfig{}.threshold;
    const bool right = guess.language == label;
    ++texts;
    fasttext.add(sure, right);
    cld2.add(other.has_value(), other && corpus::same_language(*other, label));
    both.add(sure && (!other || !second.knows(guess.language) || corpus::same_language(*other, guess.language)), right);
  }
  void print(const std::string& language, const std::string& length) const {
    Json line = {{"bench", "corpus_language"}, {"second_opinion", "cld2"}, {"language", language}, {"length", length}, {"texts", texts}};
    const std::pair<const char*, Kept> all[] = {{"fasttext", fasttext}, {"cld2", cld2}, {"both", both}};
    for (const auto& [name, k] : all)
      line[name] = {{"kept", double(k.kept) / double(texts)},
                    {"right", double(k.right) / double(std::max<int64_t>(k.kept, 1))},
                    {"wrong", k.kept - k.right}};
    bench::print(line);
  }
};

void second_opinion(const std::string& model, const fs::path& folder) {
  const corpus::LanguageIdentifier identifier({.model = model});
  std::optional<corpus::Cld2> second;
  try {
    second.emplace();
  } catch (const Error& error) {
    bench::print({{"bench", "corpus_language"}, {"skipped", error.what()}});
    return;
  }
  for (const size_t n : {1, 3}) {
    Opinions all;
    for (const auto& [name, label] : kLabels) {
      Opinions one;
      for (const std::string& text : joined(lines_of(folder / ("newstest2019-ref." + name + ".first1000.txt.gz")), n)) {
        one.add(identifier, *second, text, label);
        all.add(identifier, *second, text, label);
      }
      one.print(label, n == 1 ? "one_line" : "three_lines");
    }
    all.print("all", n == 1 ? "one_line" : "three_lines");
  }
}

void run(const bench::Arguments& a) {
  if (a.words().size() != 2) fail_usage("usage: bench_corpus_language_notorch MODEL DATA [--python=python3] [--rounds=7]");
  const corpus::FastText model = corpus::FastText::load(a.words()[0]);
  const fs::path folder = fs::path(a.words()[1]) / "ntrex";
  const std::vector<std::string> ids = lines_of(folder / "DOCUMENT_IDS.tsv");
  std::vector<std::string> all_lines, all_documents;
  std::map<std::string, double> sums;
  for (const auto& [name, label] : kLabels) {
    const auto lines = lines_of(folder / ("newstest2019-ref." + name + ".first1000.txt.gz"));
    std::vector<std::string> documents;
    for (size_t i = 0; i < lines.size(); ++i) {
      if (i == 0 || ids.at(i) != ids[i - 1])
        documents.push_back(lines[i]);
      else
        documents.back() += " " + lines[i];
    }
    Json line = {{"bench", "corpus_language"}, {"language", label}};
    const std::pair<const char*, const std::vector<std::string>> lengths[] = {
        {"one_line", lines}, {"three_lines", joined(lines, 3)}, {"document", documents}};
    for (const auto& [what, texts] : lengths) {
      const double right = accuracy(model, texts, label);
      line[what] = right;
      sums[what] += right;
    }
    bench::print(line);
    all_lines.insert(all_lines.end(), lines.begin(), lines.end());
    all_documents.insert(all_documents.end(), documents.begin(), documents.end());
  }
  Json mean = {{"bench", "corpus_language"}, {"language", "all"}};
  for (const auto& [what, sum] : sums) mean[what] = sum / double(kLabels.size());
  bench::print(mean);
  second_opinion(a.words()[0], folder);
  compare(model, a.words()[0], "lines", all_lines, a);
  compare(model, a.words()[0], "documents", all_documents, a);
}

}  // namespace

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] { run({argc, argv, {{"python", "python3"}, {"rounds", "7"}}, 2}); });
}
