// JSON lines, messages, packing, the loader and mixtures.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <zlib.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <set>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/rng.h"
#include "r1/data/jsonl.h"
#include "r1/data/loader.h"
#include "r1/data/messages.h"
#include "tests/message_of.h"

namespace r1::data {
namespace {

fs::path temporary(const std::string& name, std::string_view bytes) {
  const fs::path path = fs::path(testing::TempDir()) / ("r1_data_" + std::to_string(getpid()) + "_" + name);
  write_file_atomic(path, bytes);
  return path;
}

std::vector<std::string> lines_of(const fs::path& path) {
  LineReader reader(path);
  std::vector<std::string> out;
  std::string line;
  while (reader.next(line)) out.push_back(line);
  return out;
}

long peak_kilobytes() {
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

TEST(Lines, EndsAndMarks) {
  EXPECT_EQ(lines_of(temporary("a", "\xEF\xBB\xBFone\r\ntwo\n\nfour")), (std::vector<std::string>{"one", "two", "", "four"}));
  EXPECT_EQ(lines_of(temporary("b", "")), std::vector<std::string>{});
  EXPECT_EQ(lines_of(temporary("c", "\n")), std::vector<std::string>{""});
}

TEST(Lines, LongerThanTheBuffer) {
  const std::string big(700'000, 'x');
  EXPECT_EQ(lines_of(temporary("d", big + "\ny\n" + big)), (std::vector<std::string>{big, "y", big}));
}

TEST(Lines, CapOnALine) {
  const fs::path path = temporary("cap", "ok\n" + std::string(5000, 'x') + "\n");
  LineReader reader(path, 1000);
  std::string line;
  EXPECT_TRUE(reader.next(line));
  EXPECT_EQ(message_of([&] { reader.next(line); }), path.string() + ":2: line longer than 1000 bytes");
}

TEST(Jsonl, ErrorsNameTheLine) {
  const fs::path path = temporary("bad.jsonl", "{\"a\": 1}\n\n{\"a\": \n");
  JsonlReader reader(path);
  EXPECT_EQ((*reader.next())["a"], 1);
  EXPECT_NE(message_of([&] { reader.next(); }).find(path.string() + ":3"), std::string::npos);
  const fs::path list = temporary("list.jsonl", "[1]\n");
  EXPECT_NE(message_of([&] { JsonlReader(list).next(); }).find(":1: expected a JSON object, got array"), std::string::npos);
  EXPECT_NE(message_of([] { JsonlReader("/nowhere/x.jsonl"); }).find("/nowhere/x.jsonl: cannot open: No such file"), std::string::npos);
}

TEST(Jsonl, ResumesAtAnyRowAlsoGzipped) {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += str("{\"i\": ", i, ", \"pad\": \"", std::string(size_t(i % 300), 'p'), "\"}\n");
  const fs::path plain = temporary("r.jsonl", text), zipped = plain.string() + ".gz";
  gzFile out = gzopen(zipped.c_str(), "wb");
  gzwrite(out, text.data(), unsigned(text.size()));
  gzclose(out);
  for (const fs::path& path : {plain, zipped}) {
    JsonlReader first(path);
    for (int i = 0; i < 1234; ++i) {
      ASSERT_EQ((*first.next())["i"], i);
    }
    JsonlReader second(path);
    second.seek(first.position());
    EXPECT_EQ((*second.next())["i"], 1234);
    EXPECT_EQ(second.where(), path.string() + ":1235");
    int rest = 0;
    while (second.next()) ++rest;
    EXPECT_EQ(rest, 2000 - 1235);
  }
  const std::string bytes = read_file(zipped);
  const fs::path cut = temporary("cut.jsonl.gz", bytes.substr(0, bytes.size() / 2));
  EXPECT_NE(message_of([&] {
              for (JsonlReader r(cut); r.next();) {
              }
            }).find("cannot read"),
            std::string::npos);
}

// A few kilobytes that unpack to a huge line of zeros cost no more than the cap on a line.
TEST(Jsonl, AHugeLineCostsNoMoreThanItsCap) {
  const fs::path path = fs::path(testing::TempDir()) / str("r1_data_", getpid(), "_zeros.jsonl.gz");
  gzFile out = gzopen(path.c_str(), "wb1");
  const std::string zeros(1 << 20, '\0');
  for (int i = 0; i < 40; ++i) gzwrite(out, zeros.data(), unsigned(zeros.size()));
  gzclose(out);
  const long before = peak_kilobytes();
  EXPECT_EQ(message_of([&] { JsonlReader(path).next(); }), str(path.string(), ":1: line longer than ", kMaxLineBytes, " bytes"));
#if defined(__SANITIZE_ADDRESS__)
  constexpr size_t kTimes = 6;  // freed memory stays in quarantine
#else
  constexpr size_t kTimes = 3;
#endif
  EXPECT_LT(peak_kilobytes() - before, long(kTimes * kMaxLineBytes / 1024)) << "kilobytes";
}

TEST(Jsonl, AnEmptyGzipIsNamed) {
  const fs::path path = temporary("empty.jsonl.gz", "");
  EXPECT_EQ(message_of([&] { JsonlReader(path).next(); }).find(path.string() + ": is empty"), 0u);
  EXPECT_FALSE(JsonlReader(temporary("empty.jsonl", "")).next());
}

// Document i of n tokens: i*1000, i*1000+1, ...
Document numbered(int i, int64_t n, bool learned = true) {
  Document d;
  for (int64_t t = 0; t < n; ++t) d.ids.push_back(int32_t(i * 1000 + t));
  d.learned.assign(size_t(n), learned);
  return d;
}

std::vector<Document> numbered(const std::vector<int64_t>& lengths) {
  std::vector<Document> out;
  for (size_t i = 0; i < lengths.size(); ++i) out.push_back(numbered(int(i), lengths[i]));
  return out;
}

// What every row must satisfy, whatever the strategy.
void check_row(const Batch& b, int64_t max_tokens) {
  ASSERT_LE(b.tokens(), max_tokens);
  ASSERT_EQ(b.targets.size(), b.ids.size());
  ASSERT_EQ(b.loss_weight.size(), b.ids.size());
  ASSERT_EQ(b.positions.size(), b.ids.size());
  ASSERT_EQ(b.document.size() + 1, b.cu_seqlens.size());
  ASSERT_EQ(b.cu_seqlens.back(), b.tokens());
  for (int64_t s = 0; s < b.documents(); ++s) {
    for (int32_t t = b.cu_seqlens[size_t(s)]; t < b.cu_seqlens[size_t(s) + 1]; ++t) {
      ASSERT_EQ(b.positions[size_t(t)], t - b.cu_seqlens[size_t(s)]);
      if (b.loss_weight[size_t(t)] > 0) {
        ASSERT_EQ(b.targets[size_t(t)], b.ids[size_t(t)] + 1);
      }
    }
  }
}

TEST(Packing, BestFitDecreasingByHand) {
  // 10: [7 3] [6 4] [5 2 2]: 7 opens row 0, 6 row 1, 5 row 2, 4 into 6's row (room 4), 3 into 7's, 2 and 2 into 5's
  PackCounts counts;
  const auto rows = plan_rows({2, 7, 5, 3, 6, 2, 4}, {.max_tokens = 10}, &counts);
  std::vector<std::vector<size_t>> got;
  for (const auto& row : rows) {
    got.emplace_back();
    for (const Piece& p : row) got.back().push_back(p.index);
  }
  EXPECT_EQ(got, (std::vector<std::vector<size_t>>{{1, 3}, {4, 6}, {2, 0, 5}}));
  EXPECT_EQ(counts.tokens, 29);
  EXPECT_EQ(counts.row_tokens, 29);
}

TEST(Packing, TargetsAndWeights) {
  Document d = numbered(1, 4);
  d.learned = {0, 0, 1, 1};
  const auto rows = pack({d}, {.max_tokens = 6, .padding_free = false, .pad_id = 9});
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].ids, (std::vector<int32_t>{1000, 1001, 1002, 1003, 9, 9}));
  EXPECT_EQ(rows[0].targets, (std::vector<int32_t>{1001, 1002, 1003, 1003, 9, 9}));
  EXPECT_EQ(rows[0].loss_weight, (std::vector<float>{0, 1, 1, 0, 0, 0}));
  EXPECT_EQ(rows[0].positions, (std::vector<int32_t>{0, 1, 2, 3, 0, 1}));
  EXPECT_EQ(rows[0].cu_seqlens, (std::vector<int32_t>{0, 4, 6}));
  EXPECT_EQ(rows[0].document, (std::vector<int32_t>{0, -1}));
}

TEST(Packing, WrappedLearnsEveryTransition) {
  PackCounts counts;
  const auto rows = pack(numbered({3, 9, 0, 2}), {.max_tokens = 5, .strategy = "wrapped"}, &counts);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].ids, (std::vector<int32_t>{0, 1, 2, 1000, 1001}));
  EXPECT_EQ(rows[0].targets, (std::vector<int32_t>{1, 2, 2, 1001, 1002}));
  EXPECT_EQ(rows[0].loss_weight, (std::vector<float>{1, 1, 0, 1, 1}));
  EXPECT_EQ(rows[1].cu_seqlens, (std::vector<int32_t>{0, 5}));
  EXPECT_EQ(rows[2].cu_seqlens, (std::vector<int32_t>{0, 2, 4}));
  EXPECT_EQ(counts.split, 1);
  EXPECT_EQ(counts.empty, 1);
  EXPECT_EQ(counts.row_tokens, 14);
}

TEST(Packing, WithoutIsolation) {
  const auto rows = pack(numbered({3, 2}), {.max_tokens = 5, .strategy = "wrapped", .isolate = false});
  EXPECT_EQ(rows[0].cu_seqlens, (std::vector<int32_t>{0, 5}));
  EXPECT_EQ(rows[0].positions, (std::vector<int32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(rows[0].loss_weight, (std::vector<float>{1, 1, 0, 1, 0}));
}

TEST(Packing, LongDocuments) {
  PackCounts truncated, split, dropped;
  auto rows = pack(numbered({12}), {.max_tokens = 5}, &truncated);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].targets.back(), 5);  // the cut is learned
  EXPECT_EQ(truncated.truncated, 1);
  EXPECT_EQ(truncated.tokens_lost, 7);
  rows = pack(numbered({12}), {.max_tokens = 5, .long_documents = "split"}, &split);
  EXPECT_EQ(rows.size(), 3u);
  EXPECT_EQ(split.split, 1);
  EXPECT_EQ(split.row_tokens, 12);
  EXPECT_TRUE(pack(numbered({12}), {.max_tokens = 5, .long_documents = "drop"}, &dropped).empty());
  EXPECT_EQ(dropped.dropped, 1);
  EXPECT_EQ(dropped.tokens_lost, 12);
  EXPECT_NE(message_of([] { pack({}, {.strategy = "bdf"}); }).find("'bdf'"), std::string::npos);
}

// Conversations that are cut before their answer, or have none, must not take a row: a step of such rows has no loss.
TEST(Packing, WhatTeachesNothingIsLeftOutAndCounted) {
  Document answered = numbered(1, 6), cut = numbered(2, 8), silent = numbered(3, 4, false);
  answered.learned = {0, 0, 0, 1, 1, 1};
  cut.learned = {0, 0, 0, 0, 0, 0, 0, 1};
  for (const char* strategy : {"bfd", "none"}) {
    PackCounts counts;
    const auto rows = pack({cut, answered, silent, numbered(4, 1)}, {.max_tokens = 6, .strategy = strategy}, &counts);
    ASSERT_EQ(rows.size(), 1u) << strategy;
    EXPECT_EQ(rows[0].ids, answered.ids);
    EXPECT_EQ(counts.unlearned, 3);
    EXPECT_EQ(counts.tokens_lost, 2 + 6 + 4 + 1);
  }
  // Token 7 is predicted at 6, so six tokens of `cut` teach nothing, seven do.
  EXPECT_FALSE(has_learned(cut, 0, 6));
  EXPECT_TRUE(has_learned(cut, 0, 7));
  EXPECT_FALSE(has_learned(cut, 7, 8));
  PackCounts split;
  EXPECT_EQ(pack({cut}, {.max_tokens = 4, .long_documents = "split"}, &split).size(), 1u);
  EXPECT_EQ(split.unlearned, 1);
  PackCounts wrapped;
  const auto rows = pack({silent, cut, silent}, {.max_tokens = 5, .strategy = "wrapped"}, &wrapped);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].ids[0], 2000);
  EXPECT_EQ(wrapped.unlearned, 2);
}

TEST(Packing, EveryStrategyKeepsEveryTokenThatTeaches) {
  Rng rng(5);
  for (int round = 0; round < 60; ++round) {
    std::vector<int64_t> lengths;
    for (int i = 0; i < 40; ++i) lengths.push_back(rng.between(0, 30));
    for (const char* strategy : {"bfd", "wrapped", "none"}) {
      PackOptions o{.max_tokens = rng.between(1, 40), .strategy = strategy, .long_documents = "split"};
      std::multiset<int32_t> want, got;
      const auto documents = numbered(lengths);
      for (const Document& d : documents) want.insert(d.ids.begin(), d.ids.end());
      float learned = 0;
      PackCounts counts;
      for (const Batch& b : pack(documents, o, &counts)) {
        check_row(b, o.max_tokens);
        got.insert(b.ids.begin(), b.ids.end());
        learned += std::accumulate(b.loss_weight.begin(), b.loss_weight.end(), 0.0f);
      }
      // Left out are last tokens that stand alone: each is a piece of its own.
      ASSERT_TRUE(std::includes(want.begin(), want.end(), got.begin(), got.end())) << strategy;
      ASSERT_EQ(int64_t(want.size() - got.size()), counts.unlearned) << strategy;
      ASSERT_EQ(counts.tokens_lost, counts.unlearned) << strategy;
      int64_t transitions = 0;
      for (const int64_t n : lengths) transitions += std::max<int64_t>(0, n - 1);
      ASSERT_EQ(int64_t(learned), transitions) << strategy;
    }
  }
}

bool same(const Batch& a, const Batch& b) {
  return a.ids == b.ids && a.targets == b.targets && a.loss_weight == b.loss_weight && a.positions == b.positions &&
         a.cu_seqlens == b.cu_seqlens && a.document == b.document;
}

bool same(const std::vector<Batch>& a, const std::vector<Batch>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](const Batch& x, const Batch& y) { return same(x, y); });
}

// A document of one token teaches nothing and is left out of every row.
std::unique_ptr<DocumentSource> random_source(int n, uint64_t seed, int64_t shortest = 2) {
  std::vector<int64_t> lengths;
  Rng rng(seed);
  for (int i = 0; i < n; ++i) lengths.push_back(rng.between(shortest, 25));
  return memory_source(numbered(lengths));
}

TEST(Loader, ResumesBitForBitAnywhere) {
  const auto source = random_source(57, 3, 1);
  for (const char* strategy : {"bfd", "wrapped", "none"}) {
    for (const int64_t window : {1, 7, 1000}) {
      LoaderOptions o{.pack = {.max_tokens = 20, .strategy = strategy, .long_documents = "split"},
                      .rows_per_batch = 4,
                      .window = window,
                      .epochs = 3,
                      .seed = 11};
      Loader whole(*source, o);
      std::vector<std::vector<Batch>> batches;
      std::vector<Json> states;
      for (;;) {
        states.push_back(whole.state());
        auto rows = whole.next();
        if (rows.empty()) break;
        for (const Batch& b : rows) check_row(b, 20);
        batches.push_back(std::move(rows));
      }
      ASSERT_GT(batches.size(), 10u);
      for (size_t k = 0; k <= batches.size(); ++k) {
        Loader resumed(*source, o);
        resumed.load_state(Json::parse(states[k].dump()));
        for (size_t j = k; j < std::min(batches.size(), k + 5); ++j) {
          ASSERT_TRUE(same(resumed.next(), batches[j])) << strategy << " window " << window << " at " << k;
        }
        if (k == batches.size()) {
          ASSERT_TRUE(resumed.next().empty());
        }
      }
    }
  }
}

TEST(Loader, AnEpochIsEveryDocumentOnce) {
  const auto source = random_source(57, 4);
  for (const char* strategy : {"bfd", "wrapped", "none"}) {
    Loader loader(*source, {.pack = {.max_tokens = 30, .strategy = strategy}, .rows_per_batch = 3, .window = 10, .epochs = 2, .seed = 1});
    std::vector<std::vector<int32_t>> order(2);
    std::vector<std::map<int32_t, int>> seen(2);
    for (;;) {
      const size_t epoch = size_t(loader.epoch());
      const auto rows = loader.next();
      if (rows.empty()) break;
      for (const Batch& b : rows) {
        for (const int32_t id : b.ids) ++seen[epoch][id], order[epoch].push_back(id);
      }
    }
    EXPECT_EQ(seen[0], seen[1]);
    EXPECT_NE(order[0], order[1]) << "each epoch has its own order";
    int64_t total = 0;
    for (int64_t i = 0; i < source->size(); ++i) total += int64_t(source->document(i).ids.size());
    EXPECT_EQ(int64_t(order[0].size()), total);
    for (const auto& [id, n] : seen[0]) {
      ASSERT_EQ(n, 1) << id;
    }
    EXPECT_EQ(loader.counts().documents, 2 * 57) << strategy;
    EXPECT_EQ(loader.counts().row_tokens, 2 * total) << strategy;
  }
}

TEST(Loader, WhatTeachesNothingIsCountedOnce) {
  std::vector<Document> documents;
  Rng rng(9);
  for (int i = 0; i < 90; ++i) documents.push_back(numbered(i, rng.between(2, 25), i % 3 != 0));
  const auto source = memory_source(documents);
  for (const char* strategy : {"bfd", "wrapped", "none"}) {
    Loader loader(*source, {.pack = {.max_tokens = 30, .strategy = strategy}, .window = 7, .epochs = 1, .seed = 3});
    std::multiset<int32_t> firsts;
    for (auto rows = loader.next(); !rows.empty(); rows = loader.next())
      for (const int32_t id : rows[0].ids) firsts.insert(id - id % 1000);
    for (int i = 0; i < 90; ++i) {
      EXPECT_EQ(firsts.count(1000 * i), i % 3 ? documents[size_t(i)].ids.size() : 0) << strategy;
    }
    EXPECT_EQ(loader.counts().unlearned, 30) << strategy;
    EXPECT_EQ(loader.counts().documents, 90) << strategy;
  }
}

TEST(Loader, WrappedRowsAreFull) {
  const auto source = random_source(200, 5);
  Loader loader(*source, {.pack = {.max_tokens = 33, .strategy = "wrapped"}, .window = 2, .epochs = 1, .seed = 1});
  std::vector<int64_t> sizes;
  for (auto rows = loader.next(); !rows.empty(); rows = loader.next()) sizes.push_back(rows[0].tokens());
  for (size_t i = 0; i + 1 < sizes.size(); ++i) {
    ASSERT_EQ(sizes[i], 33);
  }
}

// A window is what is held in memory and shuffled; the rows are the same, whatever it holds.
TEST(Loader, WindowsDoNotChangeWrappedRows) {
  const auto source = random_source(200, 5, 1);
  const auto rows = [&](int64_t window, int64_t window_tokens) {
    Loader loader(*source, {.pack = {.max_tokens = 33, .strategy = "wrapped"},
                            .rows_per_batch = 3,
                            .window = window,
                            .window_tokens = window_tokens,
                            .epochs = 2,
                            .seed = 1});
    std::vector<Batch> all;
    for (auto batch = loader.next(); !batch.empty(); batch = loader.next()) all.insert(all.end(), batch.begin(), batch.end());
    EXPECT_EQ(loader.counts().documents, 400);
    std::ranges::sort(all, {}, &Batch::ids);
    return all;
  };
  const auto whole = rows(1000, 1 << 20);
  for (const int64_t window_tokens : {1, 40, 100, 500}) EXPECT_TRUE(same(rows(1000, window_tokens), whole)) << window_tokens;
  for (const int64_t window : {1, 7, 50}) EXPECT_TRUE(same(rows(window, 1 << 20), whole)) << window;
}

// A batch is not a stretch of one long document.
TEST(Loader, PackedRowsOfADocumentAreSpread) {
  std::vector<Document> documents;
  for (int i = 0; i < 8; ++i) documents.push_back(numbered(i, 900, true));
  const auto source = memory_source(documents);
  for (const bool shuffle : {true, false}) {
    Loader loader(*source, {.pack = {.max_tokens = 30, .strategy = "wrapped"}, .epochs = 1, .seed = 3, .shuffle = shuffle});
    int64_t neighbours = 0, n = 0;
    int32_t before = -1;
    for (auto rows = loader.next(); !rows.empty(); rows = loader.next(), ++n) {
      const int32_t document = rows[0].ids[0] / 1000;
      neighbours += document == before;
      before = document;
    }
    EXPECT_EQ(n, 240);
    EXPECT_TRUE(shuffle ? neighbours < 80 : neighbours > 220) << neighbours;
  }
}

TEST(Loader, RanksShareABatch) {
  const auto source = random_source(60, 6);
  LoaderOptions o{.pack = {.max_tokens = 25}, .rows_per_batch = 4, .epochs = 1, .seed = 2, .drop_last = true};
  Loader all(*source, o);
  o.world = 2;
  Loader zero(*source, o);
  o.rank = 1;
  Loader one(*source, o);
  int batches = 0;
  for (auto rows = all.next(); !rows.empty(); rows = all.next(), ++batches) {
    ASSERT_EQ(rows.size(), 4u);
    const auto a = zero.next(), b = one.next();
    ASSERT_TRUE(same(a[0], rows[0]) && same(b[0], rows[1]) && same(a[1], rows[2]) && same(b[1], rows[3]));
  }
  EXPECT_GT(batches, 3);
  EXPECT_TRUE(zero.next().empty());
}

TEST(Loader, RefusesWhatCannotBe) {
  const auto source = random_source(5, 7);
  Loader loader(*source, {.seed = 1});
  Json state = loader.state();
  state["seed"] = 2;
  EXPECT_NE(message_of([&] { loader.load_state(state); }).find("seed 2"), std::string::npos);
  state = loader.state();
  state["position"] = -1;
  EXPECT_EQ(message_of([&] { loader.load_state(state, "c/trainer.json"); }),
            "c/trainer.json: the state is out of range (epoch 0, document -1 of 5, row 0)");
  state.erase("position");
  EXPECT_EQ(message_of([&] { loader.load_state(state, "c/trainer.json"); }), "c/trainer.json: key 'position' is missing");
  const auto empty = memory_source({Document{}, Document{}});
  EXPECT_NE(message_of([&] { Loader(*empty, {.epochs = 0}).next(); }).find("gives no row"), std::string::npos);
  EXPECT_NE(message_of([&] { Loader(*source, {.rows_per_batch = 50, .epochs = 0, .drop_last = true}).next(); }).find("fewer rows"),
            std::string::npos);
}

// Sizes of the parts of a batch: rows and tokens of each.
std::vector<std::pair<int64_t, int64_t>> parts_of(const std::vector<Batch>& rows, const std::vector<size_t>& ends) {
  std::vector<std::pair<int64_t, int64_t>> parts;
  size_t begin = 0;
  for (const size_t end : ends) {
    parts.emplace_back(int64_t(end - begin), 0);
    for (; begin < end; ++begin) parts.back().second += rows[begin].tokens();
  }
  EXPECT_EQ(begin, rows.size());
  return parts;
}

// What a budget of tokens means elsewhere too: as many texts as fit, in their order, none left out for being alone in its part.
TEST(Loader, ATokenBudgetTakesWhatFits) {
  std::vector<Document> documents;
  for (const int64_t n : {5, 4, 3, 20, 1, 2, 2, 8, 8, 3}) documents.push_back(numbered(int(documents.size()), n));
  const auto source = memory_source(documents);
  Loader loader(*source,
                {.pack = {.max_tokens = 20, .strategy = "none"}, .parts = 2, .tokens_per_part = 20, .epochs = 1, .shuffle = false});
  std::vector<std::vector<std::pair<int64_t, int64_t>>> got;
  for (auto rows = loader.next(); !rows.empty(); rows = loader.next()) got.push_back(parts_of(rows, loader.part_ends()));
  // The document of one token teaches nothing and has no row; 2 + 2 + 8 + 8 is full to the token.
  const std::vector<std::vector<std::pair<int64_t, int64_t>>> expected = {{{3, 12}, {1, 20}}, {{4, 20}, {1, 3}}};
  EXPECT_EQ(got, expected);
}

TEST(Loader, BatchesByTokensAndByLengthKeepEveryRowAndResumeAnywhere) {
  const auto source = random_source(157, 3, 1);
  for (const char* strategy : {"bfd", "wrapped", "none"})
    for (const int64_t budget : {0, 20, 45})
      for (const bool grouped : {false, true})
        for (const int64_t window : {7, 1000}) {
          const std::string what = str(strategy, " budget ", budget, " grouped ", grouped, " window ", window);
          const LoaderOptions o{.pack = {.max_tokens = 20, .strategy = strategy, .long_documents = "split"},
                                .rows_per_batch = 6,
                                .parts = 3,
                                .tokens_per_part = budget,
                                .group_by_length = grouped,
                                .window = window,
                                .epochs = 2,
                                .seed = 11};
          Loader whole(*source, o);
          std::vector<std::vector<Batch>> batches;
          std::vector<std::vector<size_t>> ends;
          std::vector<Json> states;
          std::multiset<int32_t> got, want;
          for (;;) {
            states.push_back(whole.state());
            auto rows = whole.next();
            if (rows.empty()) break;
            const auto parts = parts_of(rows, whole.part_ends());
            ASSERT_LE(parts.size(), 3u) << what;
            for (const auto& [n, tokens] : parts) {
              ASSERT_LE(budget > 0 ? tokens : n, budget > 0 ? budget : 2) << what;
            }
            // A part ends only where the next row does not fit; grouped, also where the window does.
            for (size_t p = 0; p + 1 < parts.size() && !grouped; ++p) {
              const int64_t next = rows[whole.part_ends()[p]].tokens();
              ASSERT_TRUE(budget > 0 ? parts[p].second + next > budget : parts[p].first == 2) << what << " part " << p;
            }
            for (const Batch& b : rows) check_row(b, 20), got.insert(b.ids.begin(), b.ids.end());
            ends.push_back(whole.part_ends());
            batches.push_back(std::move(rows));
          }
          PackOptions alone = o.pack;
          alone.strategy = strategy == std::string("wrapped") ? "wrapped" : "none";
          std::vector<Document> documents;
          for (int64_t i = 0; i < source->size(); ++i) documents.push_back(source->document(i));
          for (const Batch& b : pack(documents, alone))
            for (int epoch = 0; epoch < 2; ++epoch) want.insert(b.ids.begin(), b.ids.end());
          ASSERT_EQ(got, want) << what;
          for (size_t k = 0; k <= batches.size(); k += 1 + batches.size() / 9) {
            Loader resumed(*source, o);
            resumed.load_state(Json::parse(states[k].dump()));
            for (size_t j = k; j < std::min(batches.size(), k + 4); ++j) {
              ASSERT_TRUE(same(resumed.next(), batches[j])) << what << " at " << k;
              ASSERT_EQ(resumed.part_ends(), ends[j]) << what << " at " << k;
            }
          }
        }
}

double padding_share(Loader& loader, std::vector<int64_t>* lengths = nullptr) {
  int64_t tokens = 0, padded = 0;
  for (auto rows = loader.next(); !rows.empty(); rows = loader.next()) {
    size_t begin = 0;
    for (const size_t end : loader.part_ends()) {
      int64_t longest = 0;
      for (size_t i = begin; i < end; ++i) longest = std::max(longest, rows[i].tokens()), tokens += rows[i].tokens();
      padded += longest * int64_t(end - begin);
      if (lengths) lengths->push_back(longest);
      begin = end;
    }
  }
  return 1 - double(tokens) / double(padded);
}

// Lengths as conversations have them: many short, few long.
TEST(Loader, GroupsByLengthWithoutASawtooth) {
  std::vector<Document> documents;
  Rng rng(4);
  for (int i = 0; i < 3000; ++i) documents.push_back(numbered(i, 2 + int64_t(8 * std::exp(1.2 * rng.normal())) % 500));
  const auto source = memory_source(std::move(documents));
  LoaderOptions o{.pack = {.max_tokens = 500, .strategy = "none"}, .rows_per_batch = 8, .parts = 1, .epochs = 1, .seed = 2};
  Loader mixed(*source, o);
  EXPECT_GT(padding_share(mixed), 0.5);
  o.group_by_length = true;
  Loader grouped(*source, o);
  std::vector<int64_t> longest;
  EXPECT_LT(padding_share(grouped, &longest), 0.1);
  EXPECT_EQ(longest[0], *std::max_element(longest.begin(), longest.begin() + 100)) << "what needs most memory comes first";
  // Sorted batches would fall from one to the next nearly always; shuffled ones do so half of the time.
  int64_t falls = 0;
  for (size_t i = 2; i < longest.size(); ++i) falls += longest[i] <= longest[i - 1];
  EXPECT_NEAR(double(falls) / double(longest.size()), 0.5, 0.08);
  o.rows_per_batch = 1, o.tokens_per_part = 1000;
  Loader by_tokens(*source, o);
  EXPECT_LT(padding_share(by_tokens), 0.08);
  // The seed orders the parts behind the first one, which has the longest rows whatever it is.
  const auto order = [&](uint64_t seed) {
    o.seed = seed;
    Loader loader(*source, o);
    std::vector<int32_t> first_ids;
    for (auto rows = loader.next(); !rows.empty(); rows = loader.next())
      for (const Batch& row : rows) first_ids.push_back(row.ids[0]);
    return first_ids;
  };
  const auto three = order(3), four = order(4);
  EXPECT_EQ(three, order(3));
  EXPECT_EQ(three.size(), four.size());
  EXPECT_NE(three, four);
}

TEST(Loader, RanksShareABatchByItsParts) {
  const auto source = random_source(200, 6);
  for (const bool grouped : {false, true}) {
    LoaderOptions o{.pack = {.max_tokens = 25, .strategy = "none"},
                    .parts = 4,
                    .tokens_per_part = 60,
                    .group_by_length = grouped,
                    .epochs = 1,
                    .seed = 2,
                    .drop_last = true};
    Loader all(*source, o);
    o.world = 2;
    Loader zero(*source, o);
    o.rank = 1;
    Loader one(*source, o);
    int batches = 0;
    for (auto rows = all.next(); !rows.empty(); rows = all.next(), ++batches) {
      const auto a = zero.next(), b = one.next();
      ASSERT_EQ(all.part_ends().size(), 4u);
      ASSERT_EQ(zero.part_ends().size(), 2u);
      ASSERT_EQ(one.part_ends().size(), 2u);
      std::vector<Batch> joined(a.begin(), a.begin() + int64_t(zero.part_ends()[0]));
      joined.insert(joined.end(), b.begin(), b.begin() + int64_t(one.part_ends()[0]));
      joined.insert(joined.end(), a.begin() + int64_t(zero.part_ends()[0]), a.end());
      joined.insert(joined.end(), b.begin() + int64_t(one.part_ends()[0]), b.end());
      ASSERT_TRUE(same(joined, rows));
    }
    EXPECT_GT(batches, 3);
    EXPECT_TRUE(zero.next().empty());
  }
}

TEST(Loader, RefusesOtherGroupsThanThoseOfItsState) {
  const auto source = random_source(50, 7);
  LoaderOptions o{.pack = {.max_tokens = 30, .strategy = "none"}, .rows_per_batch = 4, .group_by_length = true, .seed = 1};
  const Json state = Loader(*source, o).state();
  o.rows_per_batch = 2;
  Loader other(*source, o);
  EXPECT_NE(
      message_of([&] { other.load_state(state, "c/trainer.json"); }).find("c/trainer.json: documents were grouped by length into other"),
      std::string::npos);
  o.group_by_length = false;
  Loader none(*source, o);
  EXPECT_NE(message_of([&] { none.load_state(state); }).find("than now (not at all)"), std::string::npos);
  EXPECT_NE(message_of([&] { Loader(*source, {.pack = {.max_tokens = 30}, .tokens_per_part = 20}); }).find("has no room"),
            std::string::npos);
  EXPECT_NE(message_of([&] { Loader(*source, {.rows_per_batch = 4, .parts = 3}); }).find("no multiple"), std::string::npos);
}

TEST(Mixture, SharesAndPasses) {
  std::vector<std::unique_ptr<DocumentSource>> parts;
  parts.push_back(memory_source({numbered(1, 1), numbered(2, 1)}));
  parts.push_back(random_source(100, 8));
  const auto mix = mixture_source(std::move(parts), {1, 3}, 9, 40);
  ASSERT_EQ(mix->size(), 40);
  std::map<int32_t, int> seen;
  int small = 0;
  for (int64_t i = 0; i < 40; ++i) {
    const Document d = mix->document(i);
    if (d.ids == std::vector<int32_t>{1000} || d.ids == std::vector<int32_t>{2000}) ++small, ++seen[d.ids[0]];
    EXPECT_LE(std::abs(double(small) - 0.25 * double(i + 1)), 1.0) << i;
  }
  EXPECT_EQ(small, 10);
  EXPECT_EQ(seen[1000], 5);
  EXPECT_EQ(seen[2000], 5);
}

TEST(Texts, EndsAreControlTokens) {
  const Document d = text_document(
      "ab", [](std::string_view s) { return std::vector<int32_t>(s.begin(), s.end()); }, 0, 7);
  EXPECT_EQ(d.ids, (std::vector<int32_t>{7, 'a', 'b', 0}));
}

// Mutated JSON lines: an error that names the file or good rows, never anything else.
TEST(Jsonl, MutationsAreErrorsOrRows) {
  const std::string good = "{\"a\": [1, 2.5e3, \"x\\u00e9\\n\"], \"b\": {\"c\": null}}\n{\"d\": true}\r\n";
  Rng rng(1);
  const fs::path path = temporary("mutated.jsonl", good);
  int errors = 0;
  for (int i = 0; i < 400; ++i) {
    std::string bytes = good;
    for (int64_t n = rng.between(1, 4); n > 0; --n) {
      const size_t at = rng.below(bytes.size());
      if (rng.below(3) == 0)
        bytes.erase(at, 1);
      else
        bytes[at] = char(rng.below(256));
    }
    { std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes; }
    try {
      for (JsonlReader reader(path); reader.next();) {
      }
    } catch (const Error& e) {
      ++errors;
      ASSERT_NE(std::string(e.what()).find("mutated.jsonl:"), std::string::npos) << e.what();
    }
  }
  EXPECT_GT(errors, 100);
}

}  // namespace
}  // namespace r1::data
