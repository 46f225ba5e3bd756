#include "r1/corpus/mixture.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "r1/base/file.h"
#include "r1/corpus/document_file.h"
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
}

}  // namespace
}  // namespace r1::corpus
