// How fast are n-gram models trained and asked? One JSON object a line: training (words a second, memory), loading, and scoring against KenLM,
// one thread each, log10 of every sentence compared first, in rounds that take turns.
//   bench_corpus_ngram_notorch TEXT... --asked=FILE [--order=5] [--python=python3] [--rounds=7] [--lmplz=PROGRAM]
// TEXT and FILE: a sentence a line (.gz too). --lmplz: KenLM's trainer, to time it on the same text and to compare its model.
#include <cmath>
#include <cstdlib>
#include <ctime>

#include "bench/bench.h"
#include "bench/python_peer.h"
#include "r1/base/file.h"
#include "r1/corpus/ngram_arpa.h"
#include "r1/corpus/ngram_lm.h"
#include "r1/corpus/ngram_train.h"
#include "r1/data/jsonl.h"

namespace {

using namespace r1;

double cpu_now() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

std::vector<std::string> lines_of(const fs::path& path) {
  std::vector<std::string> lines;
  std::string line;
  for (data::LineReader reader(path); reader.next(line);)
    if (line.find_first_not_of(" \t\r") != std::string::npos) lines.push_back(line);
  return lines;
}

std::string as_text(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text.append(line).append("\n");
  return text;
}

// The largest difference of a log10 between two models of the same n-grams; -1 if they have not the same.
double worst_difference(const corpus::NgramModel& ours, const corpus::NgramTable& theirs) {
  double worst = 0;
  for (int n = 1; n <= theirs.order(); ++n) {
    const auto& order = theirs.orders[size_t(n - 1)];
    if (ours.ngrams(n) != int64_t(order.size())) return -1;
    for (size_t row = 0; row < order.size(); ++row) {
      corpus::NgramModel::State state;
      corpus::NgramModel::Score score;
      for (int i = 0; i < n; ++i) score = ours.score(state, ours.id(theirs.words[order.ids[row * size_t(n) + size_t(i)]]), state);
      if (score.length != n) return -1;
      worst = std::max(worst, std::abs(double(score.log10) - double(order.probabilities[row])));
    }
  }
  return worst;
}

void run(const bench::Arguments& a) {
  if (a.words().empty() || a.text("asked").empty())
    fail_usage("usage: bench_corpus_ngram_notorch TEXT... --asked=FILE [--order=5] [--python=python3] [--rounds=7] [--lmplz=PROGRAM]");
  const fs::path folder = fs::temp_directory_path() / ("r1_bench_ngram_" + std::to_string(getpid()));
  make_folder(folder);
  std::vector<std::string> lines;
  for (const std::string& file : a.words())
    for (std::string& line : lines_of(file)) lines.push_back(std::move(line));

  double start = cpu_now();
  corpus::NgramTrainer trainer({.order = a.number("order")});
  for (const std::string& line : lines) trainer.add_sentence(line);
  const corpus::NgramTable table = trainer.finish();
  const double train_s = cpu_now() - start;
  start = cpu_now();
  const corpus::NgramModel built(table);
  built.write(folder / "model.bin");
  const double build_s = cpu_now() - start;
  corpus::write_arpa(table, folder / "model.arpa");
  Json train = {{"bench", "corpus_ngram_train"},
                {"order", a.number("order")},
                {"words", trainer.statistics().words},
                {"ngrams", trainer.statistics().kept},
                {"train_cpu_s", train_s},
                {"build_cpu_s", build_s},
                {"peak_mb", bench::peak_mb()},
                {"model_mb", double(fs::file_size(folder / "model.bin")) / 1e6}};
  if (!a.text("lmplz").empty()) {
    write_file_atomic(folder / "text", as_text(lines));
    const std::string command = a.text("lmplz") + " -o " + a.text("order") + " -S 1G --skip_symbols -T " + folder.string() + "/ < " +
                                (folder / "text").string() + " > " + (folder / "peer.arpa").string() + " 2> /dev/null";
    rusage before{}, after{};
    getrusage(RUSAGE_CHILDREN, &before);
    check(std::system(command.c_str()) == 0, "failed: ", command);
    getrusage(RUSAGE_CHILDREN, &after);
    const auto seconds = [](const rusage& u) {
      return double(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * double(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
    };
    train["lmplz_cpu_s"] = seconds(after) - seconds(before);
    train["ratio"] = train["lmplz_cpu_s"].get<double>() / train_s;
    train["worst_difference_log10"] = worst_difference(built, corpus::read_arpa(folder / "peer.arpa"));
  }
  bench::print(train);

  start = cpu_now();
  const corpus::NgramModel model = corpus::NgramModel::load(folder / "model.bin");
  const double load_ms = 1e3 * (cpu_now() - start);
  const std::vector<std::string> asked = lines_of(a.text("asked"));
  write_file_atomic(folder / "asked", as_text(asked));
  bench::PythonPeer peer(a.text("python"), {"bench/peers/ngram.py", (folder / "model.arpa").string(), (folder / "asked").string()});
  const Json theirs = peer.ask("scores");
  int64_t words = 0, unknown = 0;
  double worst = 0;
  for (size_t i = 0; i < asked.size(); ++i) {
    const auto total = model.sentence(asked[i]);
    worst = std::max(worst, std::abs(total.log10 - theirs[i].get<double>()) / double(total.words));
    words += total.words;
    unknown += total.unknown;
  }
  Json line = {
      {"bench", "corpus_ngram_score"},          {"peer", "kenlm"},   {"sentences", asked.size()}, {"words", words}, {"unknown", unknown},
      {"worst_difference_log10_a_word", worst}, {"load_ms", load_ms}};
  check(worst < 1e-4, "the scores are not KenLM's: ", dump_json(line));
  bench::Rounds rounds;
  for (int64_t round = 0; round < a.number("rounds"); ++round) {
    start = cpu_now();
    double sum = 0;
    for (const std::string& sentence : asked) sum += model.sentence(sentence).log10;
    check(sum < 0, "no scores");
    rounds.ours.push_back(cpu_now() - start);
    rounds.theirs.push_back(peer.ask("round").get<double>());
  }
  const Json summary = rounds.summary();
  for (const auto& [key, value] : summary.items()) line[key] = value;
  line["words_per_s"] = double(words) / summary["ours_s"].get<double>();
  line["peer_words_per_s"] = double(words) / summary["peer_s"].get<double>();
  bench::print(line);
  fs::remove_all(folder);
}

}  // namespace

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] {
    run({argc, argv, {{"asked", ""}, {"order", "5"}, {"python", "python3"}, {"rounds", "7"}, {"lmplz", ""}}, 1000});
  });
}
