#include "r1/corpus/mixture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "r1/base/file.h"
#include "r1/corpus/curriculum.h"
#include "r1/corpus/document_file.h"
#include "r1/corpus/ordered_lines.h"
#include "r1/corpus/reader.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace r1::corpus {
namespace {

class Mixture : public testing::Test {
 protected:
  Mixture() : folder_("mixture") {
    make("big", 3, 400, 60);
    make("small", 2, 50, 60);
  }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  void make(const std::string& name, int files, int documents, size_t length) const {
    make_folder(path(name));
    for (int f = 0; f < files; ++f) {
      DocumentWriter writer(fs::path(path(name)) / (std::to_string(f) + ".jsonl.zst"));
      for (int i = 0; i < documents; ++i)
        writer.add({.text = std::string(length, char('a' + i % 26)), .source = name, .offset = f * 1000 + i});
      writer.commit();
    }
  }
  MixConfig config(const std::string& output) const {
    MixConfig c;
    c.sources = {path("big"), path("small")};
    c.output = path(output);
    c.shard_bytes = 20'000;
    c.shuffle = 40;
    return c;
  }
  std::vector<Document> documents(const std::string& output) const {
    std::vector<Document> out;
    for (int i = 0;; ++i) {
      char name[32];
      std::snprintf(name, sizeof name, "/%05d.jsonl.zst", i);
      if (!fs::exists(path(output) + name)) return out;
      DocumentReader reader(path(output) + name);
      for (Document d; reader.next(d);) out.push_back(d);
    }
  }
  std::map<std::string, std::string> hashes(const std::string& output) const {
    std::map<std::string, std::string> out;
    for (const auto& entry : fs::directory_iterator(path(output))) out[entry.path().filename().string()] = sha256_file(entry.path());
    return out;
  }
  TemporaryFolder folder_;
};

TEST_F(Mixture, OnePassHasEveryDocumentOnceInAnotherOrder) {
  mix(config("out"));
  const std::vector<Document> all = documents("out");
  std::set<std::string> ids;
  bool sorted = true;
  for (size_t i = 0; i < all.size(); ++i) {
    ids.insert(all[i].id());
    sorted &= i == 0 || all[i - 1].id() <= all[i].id();
  }
  EXPECT_EQ(all.size(), 1300u);
  EXPECT_EQ(ids.size(), 1300u);
  EXPECT_FALSE(sorted);
}

TEST_F(Mixture, EmptyLinesAreNoDocuments) {
  write_file_atomic(path("blank.jsonl"), "\n\n{\"text\":\"a\"}\n\n{\"text\":\"b\"}\n");
  MixConfig c = config("out");
  c.sources = {path("blank.jsonl")};
  c.max_epochs = 1;
  c.bytes = 10'000;
  const fs::path left = fs::path(c.output) / ".00000.jsonl.zst.7.0.tmp";
  make_folder(c.output);
  write_file_atomic(left, "of a mixture that was killed");
  const Json told = mix(c);
  EXPECT_FALSE(fs::exists(left));
  EXPECT_EQ(told["documents"], 2);
  EXPECT_EQ(told["sources"][0]["epochs"], 1.0);
}

TEST_F(Mixture, EveryStretchHasTheWeights) {
  MixConfig c = config("out");
  c.weights = {3, 1};
  c.max_epochs = 0;
  const Json told = mix(c);
  EXPECT_NEAR(told["sources"][1]["share"].get<double>(), 0.25, 0.01);
  const std::vector<Document> all = documents("out");
  for (size_t begin = 0; begin + 100 <= all.size(); begin += 100) {
    int small = 0;
    for (size_t i = begin; i < begin + 100; ++i) small += all[i].source == "small";
    EXPECT_NEAR(small, 25, 2) << begin;
  }
}

TEST_F(Mixture, ACappedSourceStopsAndTemperatureEvensOut) {
  MixConfig c = config("capped");
  c.weights = {1, 1};
  c.max_epochs = 2;
  std::map<std::string, int> times;
  mix(c);
  for (const Document& d : documents("capped"))
    if (d.source == "small") ++times[d.id()];
  EXPECT_EQ(times.size(), 100u);
  for (const auto& [id, n] : times) EXPECT_EQ(n, 2) << id;
  c = config("even");
  c.temperature = 1000;
  c.max_epochs = 0;
  EXPECT_NEAR(mix(c)["sources"][0]["share"].get<double>(), 0.5, 0.01);
}

TEST_F(Mixture, WorkersAndResumeGiveTheSameBytesAndSeedsOthers) {
  mix(config("one"));
  MixConfig c = config("shared");
  c.of = 3;
  for (c.worker = 2; c.worker >= 0; --c.worker) mix(c);
  EXPECT_EQ(hashes("one"), hashes("shared"));
  fs::remove(path("one") + "/00002.jsonl.zst");
  mix(config("one"));
  EXPECT_EQ(hashes("one"), hashes("shared"));
  c = config("other");
  c.seed = 5;
  mix(c);
  EXPECT_NE(hashes("one")["00000.jsonl.zst"], hashes("other")["00000.jsonl.zst"]);
  c.output = path("one");
  EXPECT_NE(message_of([&] { mix(c); }).find("seed: 0 -> 5"), std::string::npos);
}

constexpr const char* kStages = R"(
stages:
  - until: 0.5
    weights: [1, 0]
  - until: 0.75
    weights: [1, 1]
  - until: 1
    weights: [1, 3]
)";

TEST(Curriculum, SharesAreThoseOfTheFile) {
  Curriculum c = Curriculum::parse(kStages, "c.yaml", 2);
  EXPECT_EQ(c.shares_at(0), (std::vector{1.0, 0.0}));
  EXPECT_EQ(c.shares_at(0.4999), (std::vector{1.0, 0.0}));
  EXPECT_EQ(c.shares_at(0.5), (std::vector{0.5, 0.5}));
  EXPECT_EQ(c.shares_at(0.75), (std::vector{0.25, 0.75}));
  EXPECT_EQ(c.shares_at(1), (std::vector{0.25, 0.75}));
  // In a line from the middle of a stage (0.25, 0.625, 0.875) to that of the next one.
  c.interpolate = true;
  EXPECT_EQ(c.shares_at(0.1), (std::vector{1.0, 0.0}));
  EXPECT_NEAR(c.shares_at(0.4375)[1], 0.25, 1e-12);
  EXPECT_NEAR(c.shares_at(0.625)[1], 0.5, 1e-12);
  EXPECT_NEAR(c.shares_at(0.75)[1], 0.625, 1e-12);
  EXPECT_NEAR(c.shares_at(0.99)[1], 0.75, 1e-12);
  for (double p = 0; p <= 1; p += 0.01) EXPECT_NEAR(c.shares_at(p)[0] + c.shares_at(p)[1], 1, 1e-12);
  const Curriculum steps =
      Curriculum::parse("steps: 200\ninterpolate: false\nstages: [{until: 50, weights: [1, 2]}, {until: 200, weights: [2, 1]}]", "c", 2);
  EXPECT_EQ(steps.stage_at(0.24), 0u);
  EXPECT_EQ(steps.stage_at(0.25), 1u);
}

TEST(Curriculum, MistakesAreNamed) {
  const auto wrong = [](const std::string& yaml) { return message_of([&] { Curriculum::parse(yaml, "c.yaml", 2); }); };
  EXPECT_NE(wrong("weights: [1, 2]").find("no stages"), std::string::npos);
  EXPECT_NE(wrong("stages: [{until: 1, weights: [1]}]").find("stage 1: 1 weights, but 2 sources"), std::string::npos);
  EXPECT_NE(wrong("stages: [{until: 0.5, weights: [1, 1]}]").find("the last stage ends at 0.5"), std::string::npos);
  EXPECT_NE(wrong("stages: [{until: 0.5, weights: [1, 1]}, {until: 0.4, weights: [1, 1]}]").find("stage 2"), std::string::npos);
  EXPECT_NE(wrong("stages: [{until: 1, weights: [0, 0]}]").find("all weights are 0"), std::string::npos);
  EXPECT_NE(wrong("stages: [{until: 1, weights: [-1, 2]}]").find("no weight"), std::string::npos);
  EXPECT_NE(wrong("stages: [{until: 1, weight: [1, 2], weights: [1, 2]}]").find("unknown key 'weight'"), std::string::npos);
  EXPECT_NE(wrong("stages: [{until: x, weights: [1, 2]}]").find("'x' is no number"), std::string::npos);
  EXPECT_NE(wrong("stages: [{until: nan, weights: [1, 2]}]").find("no number"), std::string::npos);
}

TEST_F(Mixture, AnyStretchHasItsStagesWeights) {
  write_file_atomic(path("c.yaml"), kStages);
  MixConfig c = config("out");
  c.curriculum = path("c.yaml");
  c.max_epochs = 0;
  const Json told = mix(c);
  ASSERT_EQ(told["stages"].size(), 3u);
  EXPECT_NEAR(told["stages"][1]["shares"][1].get<double>(), 0.5, 0.01);
  const std::vector<Document> all = documents("out");
  int64_t bytes = 0, total = 0;
  for (const Document& d : all) total += int64_t(dump_json(to_json(d)).size()) + 1;
  EXPECT_EQ(total, told["bytes"].get<int64_t>());
  const Curriculum curriculum = Curriculum::load(c.curriculum, 2);
  // Of every 40 documents in a row within one stage.
  std::vector<std::pair<size_t, bool>> seen;
  for (const Document& d : all) {
    seen.emplace_back(curriculum.stage_at(double(bytes) / double(total)), d.source == "small");
    bytes += int64_t(dump_json(to_json(d)).size()) + 1;
  }
  const double expected[] = {0, 20, 30};
  int stretches[3] = {};
  for (size_t i = 0; i + 40 <= seen.size(); ++i) {
    if (seen[i].first != seen[i + 39].first) continue;
    int small = 0;
    for (size_t k = i; k < i + 40; ++k) small += seen[k].second;
    EXPECT_NEAR(small, expected[seen[i].first], seen[i].first == 0 ? 0 : 2) << i;
    ++stretches[seen[i].first];
  }
  for (const int n : stretches) EXPECT_GT(n, 100);
}

TEST_F(Mixture, ACurriculumIsTheSameForAnyWorkersAndKnownAgain) {
  write_file_atomic(path("c.yaml"), "interpolate: true\n" + std::string(kStages));
  const auto with = [&](const std::string& output) {
    MixConfig c = config(output);
    c.curriculum = path("c.yaml");
    c.max_epochs = 0;
    c.order_by = "length";
    return c;
  };
  mix(with("one"));
  MixConfig c = with("shared");
  c.of = 3;
  for (c.worker = 2; c.worker >= 0; --c.worker) mix(c);
  EXPECT_EQ(hashes("one"), hashes("shared"));
  write_file_atomic(path("c.yaml"), kStages);
  EXPECT_NE(message_of([&] { mix(with("one")); }).find("begun otherwise"), std::string::npos);
  c = with("weights");
  c.weights = {1, 1};
  EXPECT_NE(message_of([&] { mix(c); }).find("leave one"), std::string::npos);
  c = with("used_up");
  c.max_epochs = 0.1;
  EXPECT_NE(message_of([&] { mix(c); }).find("in stage 1"), std::string::npos);
}

TEST_F(Mixture, DocumentsComeInTheOrderOfTheirKey) {
  make_folder(path("mixed"));
  DocumentWriter writer(fs::path(path("mixed")) / "a.jsonl.zst");
  for (int i = 0; i < 300; ++i) {
    char mark[16];
    std::snprintf(mark, sizeof mark, "score=%.2f", (i * 37 % 100) / 100.0);
    writer.add({.text = std::string(size_t(1 + i * 7 % 50), 'x') + "é", .source = "mixed", .offset = i, .marks = {mark}});
  }
  writer.commit();
  MixConfig c = config("length");
  c.sources = {path("mixed")};
  c.order_by = "length";
  mix(c);
  std::vector<Document> all = documents("length");
  ASSERT_EQ(all.size(), 300u);
  EXPECT_TRUE(std::ranges::is_sorted(all, {}, [](const Document& d) { return d.text.size(); }));
  EXPECT_FALSE(
      std::ranges::is_sorted(all, {}, [](const Document& d) { return std::pair(d.text.size(), d.offset); }));  // those alike are shuffled
  c.output = path("score");
  c.order_by = "score";
  c.descending = true;
  mix(c);
  all = documents("score");
  ASSERT_EQ(all.size(), 300u);
  EXPECT_TRUE(std::ranges::is_sorted(all, std::greater<>(), [](const Document& d) { return d.marks[0]; }));
  c = config("none");
  c.order_by = "score";
  EXPECT_NE(message_of([&] { mix(c); }).find("order_by score needs"), std::string::npos);
}

TEST_F(Mixture, OrderedLinesNeedNoMemoryForThemAll) {
  OrderedLines spilled(path("runs"), "lines", 1000), whole(path("runs"), "whole");
  for (uint64_t i = 0; i < 500; ++i) {
    const double key = double(int64_t(i * 7919 % 101)) - 50.5;
    spilled.add(key, i % 3, str("line ", i));
    whole.add(key, i % 3, str("line ", i));
  }
  for (int pass = 0; pass < 2; ++pass) {
    spilled.rewind();
    whole.rewind();
    std::string a, b;
    int n = 0;
    for (; whole.next(b); ++n) {
      ASSERT_TRUE(spilled.next(a));
      EXPECT_EQ(a, b);
    }
    EXPECT_FALSE(spilled.next(a));
    EXPECT_EQ(n, 500);
  }
  EXPECT_GT(std::distance(fs::directory_iterator(path("runs")), {}), 5);
}

TEST_F(Mixture, MistakesAreNamed) {
  MixConfig c = config("out");
  c.weights = {1};
  EXPECT_NE(message_of([&] { mix(c); }).find("2 sources"), std::string::npos);
  c.weights = {1, 0};
  EXPECT_NE(message_of([&] { mix(c); }).find("above 0"), std::string::npos);
  write_file_atomic(path("empty.jsonl"), "");
  c = config("out");
  c.sources.push_back(path("empty.jsonl"));
  EXPECT_NE(message_of([&] { mix(c); }).find("no documents"), std::string::npos);
  write_file_atomic(path("empty.jsonl"), "\n\n\n");
  EXPECT_NE(message_of([&] { mix(c); }).find("no documents"), std::string::npos);
  write_file_atomic(path("empty.jsonl"), "a text\n");
  EXPECT_NE(message_of([&] { mix(c); }).find("empty.jsonl:1: no object of JSON lines"), std::string::npos);
  // A run's folder has plans and counts in JSON beside its documents.
  for (const char* name : {"plan.json", "config.json"}) write_file_atomic(fs::path(path("big")) / name, "{}");
  EXPECT_NE(message_of([&] { mix(config("out")); }).find("name those: " + path("big") + "/data"), std::string::npos);
}

}  // namespace
}  // namespace r1::corpus
