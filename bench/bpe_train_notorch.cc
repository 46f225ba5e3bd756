// How fast is a byte-level vocabulary learned? One JSON object a line: HF's BpeTrainer, rustbpe and gigatoken learn from the same documents in
// turn with us, each round in processes of their own; the merges are compared each time. `same`: how many merges from the start on are the
// same ones. `ratio` is the median over rounds of their time to ours. One thread: processor time; several: the clock's.
//   bench_bpe_train_notorch --documents=FILE.jsonl [--vocab_size=32768] [--peers=hf,rustbpe,gigatoken] [--threads=1] [--rounds=3] [--python=python3]
//     [--save=FOLDER]    keeps the vocabulary
#include "bench/bench.h"
#include "bench/python_peer.h"
#include "r1/base/file.h"
#include "r1/base/utf8.h"
#include "r1/data/jsonl.h"
#include "r1/text/bpe.h"
#include "r1/text/bpe_train.h"

namespace {

using namespace r1;

std::vector<std::string> documents_of(const fs::path& path) {
  std::vector<std::string> documents;
  data::JsonlReader reader(path);
  while (const auto row = reader.next()) documents.push_back((*row)["text"].get<std::string>());
  return documents;
}

// The pairs of a saved tokenizer.json, their bytes as Latin-1, as the peers write them.
Json merges_of(const fs::path& folder) {
  Json out = Json::array();
  const Json file = parse_json_file(folder / "tokenizer.json");
  for (const Json& merge : file["model"]["merges"]) {
    std::vector<std::string> parts;
    if (merge.is_array()) {
      parts = merge.get<std::vector<std::string>>();
    } else {
      const std::string pair = merge.get<std::string>();
      const size_t space = pair.find(' ');
      parts = {pair.substr(0, space), pair.substr(space + 1)};
    }
    Json row = Json::array();
    for (const std::string& part : parts) {
      std::string bytes, latin;
      check(text::from_byte_letters(part, &bytes), "a merge is not in byte letters: ", part);
      for (const char b : bytes) append_utf8(latin, uint8_t(b));
      row.push_back(latin);
    }
    out.push_back(row);
  }
  return out;
}

struct Peer {
  std::string name;
  bench::Rounds rounds;
  double peak_mb = 0;
  size_t same = 0, merges = 0;
};

Json train(const std::vector<std::string>& documents, const text::BpeTrainOptions& options, const fs::path& folder) {
  timespec a{}, b{};
  clock_gettime(CLOCK_MONOTONIC, &a);
  const double cpu = bench::cpu_ms();
  const text::TrainResult result = text::train_bpe_texts(documents, options);
  clock_gettime(CLOCK_MONOTONIC, &b);
  const double cpu_s = (bench::cpu_ms() - cpu) / 1e3;
  make_folder(folder);
  result.tokenizer.save(folder);
  return {{"wall_s", double(b.tv_sec - a.tv_sec) + 1e-9 * double(b.tv_nsec - a.tv_nsec)},
          {"cpu_s", cpu_s},
          {"peak_mb", bench::peak_mb()},
          {"bytes", result.bytes},
          {"pieces", result.pieces},
          {"unique_pieces", result.unique_pieces},
          {"merges", result.merges}};
}

Json ask(const std::string& command) {
  FILE* const pipe = popen(command.c_str(), "r");
  check(pipe != nullptr, "cannot run ", command);
  std::string out;
  char part[4096];
  for (size_t n; (n = fread(part, 1, sizeof part, pipe)) > 0;) out.append(part, n);
  check(pclose(pipe) == 0, "failed: ", command, "; give --python one that has the peer library");
  return parse_json(out, "the peer's answer");
}

void run(const bench::Arguments& a) {
  if (a.text("documents").empty()) fail_usage("--documents=FILE.jsonl says what to learn from");
  const std::vector<std::string> documents = documents_of(a.text("documents"));
  const fs::path folder = fs::temp_directory_path() / ("r1_bench_bpe_train_" + std::to_string(getpid()));
  make_folder(folder);
  const fs::path saved = a.text("save").empty() ? folder / "ours" : fs::path(a.text("save"));
  const int64_t threads = a.number("threads");
  const text::BpeTrainOptions options{.vocab_size = a.number("vocab_size"), .threads = int(threads)};
  const std::string clock = threads > 1 ? "wall_s" : "cpu_s";
  std::vector<Peer> peers;
  for (const std::string& name : bench::split(a.text("peers"))) peers.push_back({.name = name, .rounds = {}});
  Json line;
  for (int64_t round = 0; round < a.number("rounds"); ++round) {
    line = bench::in_child([&] { return train(documents, options, saved); });
    const Json merges = merges_of(saved);
    for (Peer& peer : peers) {
      const fs::path out = folder / (peer.name + ".json");
      const Json theirs = ask("'" + a.text("python") + "' bench/peers/bpe_train.py " + peer.name + " '" + a.text("documents") + "' " +
                              a.text("vocab_size") + " " + a.text("threads") + " '" + out.string() + "'");
      peer.rounds.ours.push_back(line[clock].get<double>());
      peer.rounds.theirs.push_back(theirs[clock].get<double>());
      peer.peak_mb = theirs["peak_mb"].get<double>();
      const Json their_merges = parse_json_file(out);
      peer.merges = their_merges.size();
      for (peer.same = 0; peer.same < std::min(merges.size(), peer.merges) && merges[peer.same] == their_merges[peer.same];) ++peer.same;
    }
  }
  for (const Peer& peer : peers) {
    Json out{{"bench", "bpe_train"}, {"peer", peer.name}, {"threads", threads}, {"same", peer.same}, {"peer_merges", peer.merges}};
    out.update(line);
    out.erase("wall_s");
    out.erase("cpu_s");
    out["peer_peak_mb"] = peer.peak_mb;
    out.update(peer.rounds.summary());
    bench::print(out);
  }
  fs::remove_all(folder);
}

}  // namespace

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] {
    run({argc,
         argv,
         {{"documents", ""},
          {"vocab_size", "32768"},
          {"peers", "hf,rustbpe,gigatoken"},
          {"threads", "1"},
          {"rounds", "3"},
          {"save", ""},
          {"python", "python3"}}});
  });
}
