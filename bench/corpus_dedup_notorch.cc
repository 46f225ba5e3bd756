// How fast are duplicates found, against datatrove (MinHash), rensa (MinHash) and pydivsufsort (substrings)? One JSON object a line. What comes out is
// compared first: the same clusters as datatrove of all documents, the same repeats as pydivsufsort's suffix array gives. Then rounds, in which each
// takes its turn; `ratio` is the median over rounds of theirs to ours and `spread` the least and the most. One thread each, processor time.
//   bench_corpus_dedup_notorch --documents=FILE.jsonl --text=FILE [--python=python3] [--rounds=3] [--datatrove_round=1000] [--length=100] [--only=minhash|substring]
#include <numeric>

#include "bench/bench.h"
#include "r1/base/file.h"
#include "r1/base/threads.h"
#include "r1/corpus/minhash.h"
#include "r1/corpus/substring_dedup.h"
#include "r1/data/jsonl.h"

namespace {

using namespace r1;
using namespace r1::corpus;

std::string python, peers;

Json peer(const std::string& arguments) {
  const std::string command = "RAYON_NUM_THREADS=1 OMP_NUM_THREADS=1 '" + python + "' '" + peers + "' " + arguments;
  FILE* const pipe = popen(command.c_str(), "r");
  check(pipe != nullptr, "cannot run ", command);
  std::string out;
  char part[4096];
  for (size_t n; (n = fread(part, 1, sizeof part, pipe)) > 0;) out.append(part, n);
  check(pclose(pipe) == 0, "failed: ", command);
  return parse_json(out, "the peer's answer");
}

struct Ratios {
  std::vector<double> values;
  Json json() const {
    return {{"ratio", bench::median(values)},
            {"spread", {*std::min_element(values.begin(), values.end()), *std::max_element(values.begin(), values.end())}},
            {"rounds", values.size()}};
  }
};

struct Folder {
  fs::path path = fs::temp_directory_path() / ("r1_bench_dedup_" + std::to_string(getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

fs::path find_near(const std::vector<std::string>& documents, const MinhashOptions& options, const fs::path& folder) {
  fs::remove_all(folder);
  MinhashShard shard(options, folder, 0, 1);
  for (size_t i = 0; i < documents.size(); ++i) shard.add(i, documents[i]);
  shard.finish();
  return merge_minhash(options, folder, 1);
}

void minhash(const bench::Arguments& a, const fs::path& folder) {
  const std::string file = a.text("documents");
  std::vector<std::string> documents;
  data::JsonlReader reader(file);
  while (const auto row = reader.next()) documents.push_back((*row)["text"].get<std::string>());
  MinhashOptions options;
  options.similarity = 0;  // as datatrove: all of a cluster but one
  options.keep = "first";
  options.characters = false;

  const fs::path out = folder / "datatrove.json";
  const Json all = peer("datatrove '" + file + "' 0 '" + out.string() + "'");
  const Json theirs = parse_json_file(out);
  const MinhashRows rows(find_near(documents, options, folder / "near"));
  size_t different = 0, dropped = 0;
  for (size_t i = 0; i < documents.size(); ++i) {
    different += rows[i].stays != theirs[i].get<uint64_t>();
    dropped += rows[i].dropped;
  }
  bench::print({{"bench", "minhash_clusters"},
                {"documents", documents.size()},
                {"near_duplicates", dropped},
                {"different_from_datatrove", different},
                {"datatrove_documents_s", double(documents.size()) / all["cpu_seconds"].get<double>()}});
  check(different == 0, "the clusters differ from datatrove's");

  Ratios datatrove, rensa, signing, signing_hashes;
  double ours_s = 0, sign_s = 0, hashes_s = 0, rensa_s = 0, rensa_sign_s = 0, rensa_hashes_s = 0, shingle_count = 0;
  const MinhashText text(options);
  for (int64_t round = 0; round < a.number("rounds"); ++round) {
    double start = bench::cpu_ms();
    find_near(documents, options, folder / "near");
    const double ours = double(documents.size()) / (bench::cpu_ms() - start) * 1e3;

    // Signing alone: from words, which is what rensa gets as Python's texts; and from hashes.
    std::vector<Words> words(documents.size());
    std::vector<std::vector<uint64_t>> shingles(documents.size());
    for (size_t i = 0; i < documents.size(); ++i) words[i].assign(documents[i], {.characters = false});
    std::vector<uint64_t> signature(size_t(text.signer().permutations()));
    start = bench::cpu_ms();
    for (size_t i = 0; i < documents.size(); ++i) {
      text.hash(words[i], shingles[i]);
      if (!shingles[i].empty()) text.signer().sign(shingles[i], signature.data());
    }
    const double sign = double(documents.size()) / (bench::cpu_ms() - start) * 1e3;
    start = bench::cpu_ms();
    for (const auto& s : shingles)
      if (!s.empty()) text.signer().sign(s, signature.data());
    const double hashes = double(documents.size()) / (bench::cpu_ms() - start) * 1e3;
    shingle_count = 0;
    for (const auto& s : shingles) shingle_count += double(s.size());

    const Json d = peer("datatrove '" + file + "' " + a.text("datatrove_round") + " '" + out.string() + "'");
    const Json r = peer("rensa '" + file + "' 0");
    datatrove.values.push_back(ours / (d["documents"].get<double>() / d["cpu_seconds"].get<double>()));
    const double r_whole = r["documents"].get<double>() / r["cpu_seconds"].get<double>(),
                 r_sign = r["documents"].get<double>() / r["sign_cpu_seconds"].get<double>();
    rensa.values.push_back(ours / r_whole);
    const double r_hashes = r["documents"].get<double>() / r["sign_hashes_cpu_seconds"].get<double>();
    signing.values.push_back(sign / r_sign);
    signing_hashes.values.push_back(hashes / r_hashes);
    hashes_s = std::max(hashes_s, hashes);
    rensa_hashes_s = std::max(rensa_hashes_s, r_hashes);
    ours_s = std::max(ours_s, ours);
    sign_s = std::max(sign_s, sign);
    rensa_s = std::max(rensa_s, r_whole);
    rensa_sign_s = std::max(rensa_sign_s, r_sign);
  }
  Json line{{"bench", "minhash_whole"}, {"against", "datatrove"}, {"documents_s", ours_s}};
  line.update(datatrove.json());
  bench::print(line);
  line = {{"bench", "minhash_whole"}, {"against", "rensa"}, {"documents_s", ours_s}, {"their_documents_s", rensa_s}};
  line.update(rensa.json());
  bench::print(line);
  line = {{"bench", "minhash_sign"},
          {"against", "rensa"},
          {"documents_s", sign_s},
          {"their_documents_s", rensa_sign_s},
          {"shingles_a_document", shingle_count / double(documents.size())}};
  line.update(signing.json());
  bench::print(line);
  line = {{"bench", "minhash_sign_hashes"}, {"against", "rensa"}, {"documents_s", hashes_s}, {"their_documents_s", rensa_hashes_s}};
  line.update(signing_hashes.json());
  bench::print(line);
}

Json find_repeats(const std::string& file, int64_t length, const fs::path& out) {
  const MappedFile text(file);
  const std::vector<uint64_t> ends{text.size()};
  timespec a{}, b{};
  clock_gettime(CLOCK_MONOTONIC, &a);
  const double cpu = bench::cpu_ms();
  const std::vector<Stretch> found =
      repeats({reinterpret_cast<const uint8_t*>(text.bytes().data()), text.size()}, ends, {.length = length, .folder = out.parent_path()});
  clock_gettime(CLOCK_MONOTONIC, &b);
  uint64_t bytes = 0;
  for (const Stretch& s : found) bytes += s.end - s.begin;
  write_file_atomic(out, {reinterpret_cast<const char*>(found.data()), found.size() * sizeof(Stretch)});
  return {{"seconds", double(b.tv_sec - a.tv_sec) + 1e-9 * double(b.tv_nsec - a.tv_nsec)},
          {"cpu_seconds", (bench::cpu_ms() - cpu) / 1e3},
          {"stretches", found.size()},
          {"bytes", bytes},
          {"peak_mb", bench::peak_mb()}};
}

void substring(const bench::Arguments& a, const fs::path& folder) {
  const std::string file = a.text("text"), length = a.text("length");
  const fs::path ours_out = folder / "ours.bin", their_out = folder / "theirs.bin";
  const auto ours = [&] { return bench::in_child([&] { return find_repeats(file, a.number("length"), ours_out); }); };
  Json line{{"bench", "substring_ranges"}, {"against", "pydivsufsort"}};
  line.update(ours());
  peer("divsufsort '" + file + "' " + length + " '" + their_out.string() + "'");
  const bool same = read_file(ours_out) == read_file(their_out);
  line["same"] = same;
  bench::print(line);
  check(same, "the repeats differ from those of the suffix array");
  Ratios time, memory;
  double seconds = 1e30, their_seconds = 1e30;
  for (int64_t round = 0; round < a.number("rounds"); ++round) {
    const Json o = ours(), t = peer("divsufsort '" + file + "' " + length);
    time.values.push_back(t["cpu_seconds"].get<double>() / o["cpu_seconds"].get<double>());
    memory.values.push_back(t["peak_mb"].get<double>() / o["peak_mb"].get<double>());
    seconds = std::min(seconds, o["cpu_seconds"].get<double>());
    their_seconds = std::min(their_seconds, t["cpu_seconds"].get<double>());
    line = {{"peak_mb", o["peak_mb"]}, {"their_peak_mb", t["peak_mb"]}};
  }
  Json time_line{{"bench", "substring_time"},
                 {"against", "pydivsufsort"},
                 {"mb", double(fs::file_size(file)) / (1 << 20)},
                 {"cpu_seconds", seconds},
                 {"their_cpu_seconds", their_seconds}};
  time_line.update(time.json());
  bench::print(time_line);
  Json memory_line{{"bench", "substring_memory"}, {"against", "pydivsufsort"}};
  memory_line.update(line);
  memory_line.update(memory.json());
  bench::print(memory_line);
}

void run(const bench::Arguments& a) {
  python = a.text("python");
  peers = a.text("peers");
  set_num_threads(1);
  const Folder folder;
  if (a.text("only") != "substring" && !a.text("documents").empty()) minhash(a, folder.path);
  if (a.text("only") != "minhash" && !a.text("text").empty()) substring(a, folder.path);
}

}  // namespace

int main(int argc, char** argv) {
  return bench::exit_code_of([&] {
    run({argc,
         argv,
         {{"documents", ""},
          {"text", ""},
          {"python", "python3"},
          {"peers", "bench/peers/corpus_dedup.py"},
          {"rounds", "3"},
          {"datatrove_round", "1000"},
          {"length", "100"},
          {"only", ""}}});
  });
}
