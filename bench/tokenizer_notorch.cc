// How fast is the tokenizer? One JSON object a line: loading, decoding, and encoding of a file of documents against HF tokenizers, tiktoken and
// gigatoken on the same documents. The ids are compared first, document by document. Then rounds that take turns: a tokenizer that has seen
// nothing encodes all documents (`first`), and then all of them again (`later`); peers that remember nothing are measured once. `ratio` is the
// median over rounds of their time to ours. One thread: processor time; several: the clock's, so leave the machine alone.
//   bench_tokenizer_notorch TOKENIZER --documents=FILE.jsonl [--peers=hf,tiktoken,gigatoken] [--threads=1] [--rounds=5] [--python=python3]
#include <atomic>
#include <thread>

#include "bench/bench.h"
#include "bench/python_peer.h"
#include "r1/base/file.h"
#include "r1/data/jsonl.h"
#include "r1/text/tokenizer.h"

namespace {

using namespace r1;
using text::TokenId;
using text::Tokenizer;

std::vector<std::string> documents_of(const fs::path& path) {
  std::vector<std::string> documents;
  data::JsonlReader reader(path);
  while (const auto row = reader.next()) documents.push_back((*row)["text"].get<std::string>());
  return documents;
}

struct Seconds {
  double wall = 0, cpu = 0;
  double of(int64_t threads) const { return threads > 1 ? wall : cpu; }
};

template <class F>
Seconds seconds_of(F f) {
  timespec a{}, b{};
  clock_gettime(CLOCK_MONOTONIC, &a);
  const double cpu = bench::cpu_ms();
  f();
  clock_gettime(CLOCK_MONOTONIC, &b);
  return {double(b.tv_sec - a.tv_sec) + 1e-9 * double(b.tv_nsec - a.tv_nsec), (bench::cpu_ms() - cpu) / 1e3};
}

using Ids = std::vector<std::vector<TokenId>>;

void encode(const Tokenizer& tokenizer, const std::vector<std::string>& documents, int64_t threads, Ids& ids) {
  ids.assign(documents.size(), {});
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i; (i = next++) < documents.size();) ids[i] = tokenizer.encode(documents[i]);
  };
  std::vector<std::thread> others;
  for (int64_t t = 1; t < threads; ++t) others.emplace_back(work);
  work();
  for (std::thread& t : others) t.join();
}

// How many documents have other ids in `path`, as the peer wrote it.
size_t different(const Ids& ours, const fs::path& path) {
  const std::string bytes = read_file(path);
  check(bytes.size() >= 8 * ours.size(), "the peer wrote ", bytes.size(), " bytes for ", ours.size(), " documents");
  size_t count = 0, at = 8 * ours.size();
  for (size_t i = 0; i < ours.size(); ++i) {
    uint64_t n = 0;
    std::memcpy(&n, bytes.data() + 8 * i, 8);
    check(at + 4 * n <= bytes.size(), "the peer's ids end early");
    count += n != ours[i].size() || std::memcmp(bytes.data() + at, ours[i].data(), 4 * n) != 0;
    at += 4 * n;
  }
  return count;
}

void run(const bench::Arguments& a) {
  if (a.words().empty() || a.text("documents").empty())
    fail_usage(
        "usage: bench_tokenizer_notorch TOKENIZER --documents=FILE.jsonl [--peers=hf,tiktoken,gigatoken] [--threads=1] [--rounds=5]");
  const fs::path path = a.words()[0], folder = fs::temp_directory_path() / ("r1_bench_tokenizer_" + std::to_string(getpid()));
  const int64_t threads = a.number("threads");
  make_folder(folder);
  std::vector<double> load;
  for (int i = 0; i < 3; ++i) load.push_back(seconds_of([&] { Tokenizer::load(path); }).cpu);
  const auto load_tokenizer = [&] { return Tokenizer::load(path); };
  const Tokenizer tokenizer = load_tokenizer();
  tokenizer.save(folder);
  const fs::path json = path.extension() == ".gguf" ? folder / "tokenizer.json" : fs::is_directory(path) ? path / "tokenizer.json" : path;
  const std::vector<std::string> documents = documents_of(a.text("documents"));
  size_t bytes = 0, tokens = 0;
  for (const std::string& d : documents) bytes += d.size();
  const double mb = double(bytes) / 1e6;

  Ids ids;
  encode(tokenizer, documents, threads, ids);
  for (const auto& row : ids) tokens += row.size();
  const double decode = seconds_of([&] {
                          for (const auto& row : ids) tokenizer.decode_bytes(row);
                        }).cpu;
  bench::print({{"bench", "tokenizer"},
                {"file", path.string()},
                {"vocab_size", tokenizer.vocab_size()},
                {"load_s", bench::median(load)},
                {"decode_mb_s", mb / decode},
                {"documents", documents.size()},
                {"mb", mb},
                {"tokens", tokens}});

  for (const std::string& name : bench::split(a.text("peers"))) {
    bench::PythonPeer peer(a.text("python"), {"bench/peers/encode.py", name, json.string(), a.text("documents"), std::to_string(threads)});
    const fs::path out = folder / (name + ".bin");
    peer.ask("ids " + out.string());
    const size_t unlike = different(ids, out);
    fs::remove(out);
    bench::Rounds first, later;
    for (int64_t round = 0; round < a.number("rounds"); ++round) {
      const Tokenizer fresh = load_tokenizer();
      ids.clear();
      first.ours.push_back(seconds_of([&] { encode(fresh, documents, threads, ids); }).of(threads));
      ids.clear();
      later.ours.push_back(seconds_of([&] { encode(fresh, documents, threads, ids); }).of(threads));
      const Json theirs = peer.ask("round");
      const auto seconds = [&](const char* pass) { return theirs[pass][threads > 1 ? "wall_s" : "cpu_s"].get<double>(); };
      first.theirs.push_back(seconds("first"));
      later.theirs.push_back(seconds("later"));
    }
    for (const auto& [pass, rounds] : {std::pair{"first", &first}, {"later", &later}}) {
      Json line{{"bench", "encode"}, {"file", path.string()}, {"peer", name}, {"pass", pass}, {"threads", threads}, {"different", unlike}};
      const Json summary = rounds->summary();
      line.update(summary);
      line["mb_s"] = mb / summary["ours_s"].get<double>();
      line["peer_mb_s"] = mb / summary["peer_s"].get<double>();
      bench::print(line);
    }
  }
  fs::remove_all(folder);
}

}  // namespace

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] {
    run({argc, argv, {{"documents", ""}, {"peers", "hf,tiktoken,gigatoken"}, {"threads", "1"}, {"rounds", "5"}, {"python", "python3"}}, 1});
  });
}
