// Texts to shards and back: the same documents as in memory, whatever the threads, after a kill, and damage that is named.
#include "r1/data/token_shards.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <numeric>

#include "r1/base/error.h"
#include "r1/base/interrupt.h"
#include "r1/base/json.h"
#include "r1/base/rng.h"
#include "r1/data/loader.h"
#include "r1/data/text_stream.h"
#include "tests/message_of.h"

namespace r1::data {
namespace {

fs::path fresh_folder(const std::string& name) {
  const fs::path folder = fs::path(testing::TempDir()) / str("r1_shards_", getpid(), "_", name);
  fs::remove_all(folder);
  make_folder(folder);
  return folder;
}

std::vector<int32_t> bytes_as_ids(std::string_view text) {
  std::vector<int32_t> ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

// 300 rows and a file of its own, some texts empty.
CorpusSpec small_corpus(const fs::path& folder) {
  Rng rng(1);
  std::string rows;
  for (int i = 0; i < 300; ++i) rows += dump_json({{"text", std::string(rng.below(40), char('a' + i % 26))}}) + "\n";
  write_file_atomic(folder / "a.jsonl", rows);
  write_file_atomic(folder / "b.txt", "\xEF\xBB\xBFone\r\ntwo\n\n");
  return {.files = {(folder / "a.jsonl").string(), (folder / "b.txt").string()},
          .make = text_maker("text", bytes_as_ids, 256, 257),
          .maker = "bytes",
          .vocab_size = 258,
          .shard_tokens = 1000};
}

std::vector<std::vector<int32_t>> all_ids(const DocumentSource& source) {
  std::vector<std::vector<int32_t>> all;
  for (int64_t i = 0; i < source.size(); ++i) all.push_back(source.document(i).ids);
  return all;
}

std::vector<std::vector<int32_t>> in_memory(const CorpusSpec& spec) {
  std::vector<std::vector<int32_t>> all;
  for (const Document& d : corpus_documents(spec)) all.push_back(d.ids);
  return all;
}

Document all_learned(std::vector<int32_t> ids) {
  Document d;
  d.learned.assign(ids.size(), 1);
  d.ids = std::move(ids);
  return d;
}

TEST(Shard, HoldsWhatWasWritten) {
  const fs::path folder = fresh_folder("one");
  for (const bool masked : {false, true}) {
    for (const int64_t vocab : {32'768, 32'769, 65'536, 65'537, 2'147'483'647}) {
      std::vector<Document> documents;
      documents.push_back(all_learned({1, 2, int32_t(vocab - 1)}));
      documents.push_back(all_learned({}));
      documents.push_back(all_learned({0}));
      documents.push_back(all_learned(std::vector<int32_t>(1000, 7)));
      if (masked) documents[0].learned = {0, 1, 0}, documents[2].learned = {0};
      ShardWriter writer(folder / "s.bin", vocab, masked);
      for (const Document& d : documents) writer.add(d);
      if (vocab < 2'147'483'647) {
        EXPECT_NE(message_of([&] { writer.add(all_learned({int32_t(vocab)})); }).find(str(vocab)), std::string::npos);
      }
      EXPECT_THROW(writer.add(all_learned({-1})), Error);
      EXPECT_THROW(writer.add(Document{{1}, {}}), Error);
      if (!masked) {
        EXPECT_THROW(writer.add(Document{{1}, {0}}), Error);
      }
      writer.commit();
      const Shard shard(folder / "s.bin");
      ASSERT_EQ(shard.documents(), 4);
      EXPECT_EQ(shard.tokens(), 1004);
      for (int64_t i = 0; i < 4; ++i) {
        EXPECT_EQ(shard.document(i).ids, documents[size_t(i)].ids);
        EXPECT_EQ(shard.document(i).learned, documents[size_t(i)].learned);
      }
      EXPECT_THROW(shard.document(4), Error);
      const size_t width = vocab <= (masked ? 32'768 : 65'536) ? 2 : 4;
      EXPECT_EQ(fs::file_size(folder / "s.bin"), (1004 * width + 15) / 16 * 16 + 4 * 16 + 40);
    }
  }
}

// Any changed, missing or added byte is an error that names the file, or hits zeros that nobody reads.
TEST(Shard, DamageIsNamed) {
  const fs::path folder = fresh_folder("damage"), path = folder / "s.bin";
  ShardWriter writer(path, 300);
  for (int i = 0; i < 9; ++i) writer.add(all_learned(std::vector<int32_t>(size_t(i), i)));
  writer.commit();
  const std::string good = read_file(path);
  const auto read_all = [&] {
    const Shard shard(path);
    for (int64_t i = 0; i < shard.documents(); ++i) ASSERT_EQ(shard.document(i).ids, std::vector<int32_t>(size_t(i), int32_t(i)));
  };
  const size_t ids = 36 * 2, padded = (ids + 15) / 16 * 16;
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = char(bad[at] ^ 0x41);
    { std::ofstream(path, std::ios::binary | std::ios::trunc) << bad; }
    const std::string message = message_of(read_all);
    if (at >= ids && at < padded) continue;
    ASSERT_NE(message.find(path.string()), std::string::npos) << "byte " << at << ": " << message;
  }
  for (size_t n = 0; n < good.size(); n += 7) {
    { std::ofstream(path, std::ios::binary | std::ios::trunc) << good.substr(0, n); }
    ASSERT_NE(message_of(read_all).find(path.string()), std::string::npos) << n << " bytes";
  }
  { std::ofstream(path, std::ios::binary | std::ios::trunc) << good << good; }
  EXPECT_NE(message_of(read_all).find("do not make"), std::string::npos);
}

TEST(TokenShards, AreTheDocumentsInMemory) {
  const fs::path folder = fresh_folder("corpus");
  const CorpusSpec spec = small_corpus(folder);
  const auto want = in_memory(spec);
  ASSERT_EQ(want.size(), 301u);
  EXPECT_EQ(want[300], (std::vector<int32_t>{257, 0xEF, 0xBB, 0xBF, 'o', 'n', 'e', '\r', '\n', 't', 'w', 'o', '\n', '\n', 256}));
  for (const int threads : {1, 3}) {
    const auto source = token_shards(folder / str("t", threads), spec, threads);
    EXPECT_EQ(all_ids(*source), want);
    EXPECT_EQ(source->document(5).learned, std::vector<uint8_t>(want[5].size(), 1));
    EXPECT_THROW(source->document(301), Error);
    EXPECT_FALSE(source->fingerprint().empty());
  }
}

TEST(TokenShards, AreMadeOnceAndAgainWhenSomethingChanged) {
  const fs::path folder = fresh_folder("reuse"), shards = folder / "shards";
  CorpusSpec spec = small_corpus(folder);
  std::atomic<int> calls{0};
  const DocumentMaker plain = spec.make;
  spec.make = [&](const Text& text) {
    ++calls;
    return plain(text);
  };
  const auto made = [&] {
    calls = 0;
    token_shards(shards, spec);
    return calls.load();
  };
  EXPECT_EQ(made(), 301);
  EXPECT_EQ(made(), 0);
  fs::last_write_time(spec.files[0], fs::last_write_time(spec.files[0]) + std::chrono::hours(1));
  EXPECT_EQ(made(), 0) << "the same bytes with a new time";
  spec.maker = "others";
  EXPECT_EQ(made(), 301);
  spec.vocab_size = 70'000;
  EXPECT_EQ(made(), 301);
  write_file_atomic(spec.files[1], "one\n");
  EXPECT_EQ(made(), 301);
  EXPECT_EQ(all_ids(*token_shards(shards, spec)), in_memory(spec));
  std::swap(spec.files[0], spec.files[1]);
  EXPECT_EQ(made(), 301);
  EXPECT_EQ(all_ids(*token_shards(shards, spec)), in_memory(spec));
}

// Several rounds, and a shard of each.
CorpusSpec long_corpus(const fs::path& folder) {
  std::string rows;
  for (int i = 0; i < 400; ++i) rows += dump_json({{"text", std::string(500, char('a' + i % 26))}}) + "\n";
  gzFile out = gzopen((folder / "long.jsonl.gz").c_str(), "wb1");
  gzwrite(out, rows.data(), unsigned(rows.size()));
  gzclose(out);
  return {.files = {(folder / "long.jsonl.gz").string()},
          .make = text_maker("text", bytes_as_ids),
          .maker = "bytes",
          .vocab_size = 256,
          .shard_tokens = 1000,
          .round_bytes = 50'000};
}

TEST(TokenShards, GoOnAfterAKill) {
  const fs::path folder = fresh_folder("kill");
  const CorpusSpec spec = long_corpus(folder);
  const auto whole = token_shards(folder / "whole", spec);
  const auto want = all_ids(*whole);
  const auto shards_in = [](const fs::path& f) { return std::distance(fs::directory_iterator(f), fs::directory_iterator()); };
  ASSERT_GE(shards_in(folder / "whole"), 5);
  // Whatever call of the system fails first: what is there afterwards is taken, the rest made.
  for (const int failing : {1, 3, 7, 11, 14, 18}) {
    const fs::path shards = folder / str("killed", failing);
    int call = 0;
    set_file_fault([&](const char* name) { return std::string_view(name) != "write" && ++call == failing ? ENOSPC : 0; });
    EXPECT_THROW(token_shards(shards, spec), Error) << failing;
    set_file_fault({});
    make_folder(shards);
    write_file_atomic(shards / ".tokens-00001.bin.1.1.tmp", "left by a kill");
    std::atomic<int> calls{0};
    CorpusSpec counting = spec;
    counting.make = [&](const Text& text) {
      ++calls;
      return spec.make(text);
    };
    const auto rest = token_shards(shards, counting);
    EXPECT_EQ(all_ids(*rest), want) << failing;
    EXPECT_EQ(rest->fingerprint(), whole->fingerprint());
    EXPECT_FALSE(fs::exists(shards / ".tokens-00001.bin.1.1.tmp"));
    if (failing >= 14) {
      EXPECT_LT(calls.load(), 400) << "shards that were whole are not made again";
    }
  }
}

TEST(TokenShards, AnInterruptEndsTheWork) {
  const fs::path folder = fresh_folder("interrupt");
  const CorpusSpec spec = long_corpus(folder);
  request_interrupt();
  try {
    token_shards(folder / "shards", spec);
    ADD_FAILURE() << "went on";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kInterrupted);
  }
  clear_interrupt();
  EXPECT_EQ(token_shards(folder / "shards", spec)->size(), 400);
}

TEST(TokenShards, ADamagedFolderIsMadeAgain) {
  const fs::path folder = fresh_folder("repair"), shards = folder / "shards";
  const CorpusSpec spec = small_corpus(folder);
  const auto want = in_memory(spec);
  token_shards(shards, spec);
  const auto remade = [&](const fs::path& file, const std::string& bytes) {
    write_file_atomic(shards / file, bytes);
    testing::internal::CaptureStderr();
    EXPECT_EQ(all_ids(*token_shards(shards, spec)), want) << file;
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find(file.string()), std::string::npos) << said;
  };
  const std::string shard = read_file(shards / "tokens-00000.bin");
  remade("tokens-00000.bin", shard.substr(0, shard.size() - 1));
  remade("tokens-00000.bin", "");
  remade("manifest.json", "{");
  remade("manifest.json", "{\"format\": \"r1 token shards\", \"version\": 1}");
  remade("manifest.json", "[]");
}

TEST(TokenShards, ErrorsOfTextsNameTheirPlace) {
  const fs::path folder = fresh_folder("errors");
  write_file_atomic(folder / "bad.jsonl", "{\"text\": \"a\"}\n{\"words\": \"b\"}\n");
  write_file_atomic(folder / "none.jsonl", "\n");
  CorpusSpec spec{.files = {(folder / "bad.jsonl").string()}, .make = text_maker("text", bytes_as_ids), .vocab_size = 256};
  EXPECT_EQ(message_of([&] { token_shards(folder / "s", spec); }),
            (folder / "bad.jsonl").string() + ":2: key 'text' is missing; found: words (--text_field names the one to train on)");
  spec.files = {(folder / "none.jsonl").string()};
  EXPECT_EQ(message_of([&] { token_shards(folder / "s", spec); }), spec.files[0] + ": holds no text to train on");
  spec.files = {"/nowhere.txt"};
  EXPECT_NE(message_of([&] { token_shards(folder / "s", spec); }).find("/nowhere.txt: cannot open"), std::string::npos);
  spec.files = {(folder / "bad.jsonl").string()};
  // Of many bad rows the first is named, whichever thread comes first.
  std::string rows;
  for (int i = 0; i < 200; ++i) rows += i < 7 ? "{\"text\": \"a\"}\n" : "{\"text\": 1}\n";
  write_file_atomic(folder / "many.jsonl", rows);
  spec.files = {(folder / "many.jsonl").string()};
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(message_of([&] { token_shards(folder / "s", spec, 4); }), spec.files[0] + ":8: key 'text' has the wrong type (number)");
}

TEST(TokenShards, ALoaderHoldsItsStateAgainstThem) {
  const fs::path folder = fresh_folder("loader");
  CorpusSpec spec = small_corpus(folder);
  const auto before = token_shards(folder / "s", spec);
  const LoaderOptions options{.pack = {.max_tokens = 50, .strategy = "wrapped", .long_documents = "split"}, .epochs = 0, .seed = 4};
  Loader first(*before, options);
  for (int i = 0; i < 30; ++i) first.next();
  const auto again = token_shards(folder / "s", spec);
  Loader second(*again, options);
  second.load_state(first.state());
  for (int i = 0; i < 30; ++i) EXPECT_EQ(second.next()[0].ids, first.next()[0].ids);
  spec.maker = "another";
  const auto changed = token_shards(folder / "s2", spec);
  Loader third(*changed, options);
  EXPECT_NE(message_of([&] {
              third.load_state(first.state(), "checkpoint-3/trainer.json");
            }).find("checkpoint-3/trainer.json: the data or the tokenizer has changed"),
            std::string::npos);
}

std::vector<std::string> texts_of(TextStream& stream, std::string* marks = nullptr) {
  std::vector<std::string> all;
  for (Text text; stream.next(text);) {
    all.push_back(text.text);
    if (marks) *marks += str(text.begins ? "<" : "-", text.ends ? ">" : "-");
  }
  return all;
}

TEST(TextStream, LargeFilesComeInParts) {
  const fs::path folder = fresh_folder("parts");
  write_file_atomic(folder / "a.txt", "one\ntwo\nthree three three\n\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9 end");
  write_file_atomic(folder / "b.txt", "short\n");
  const std::vector<std::string> files = {(folder / "a.txt").string(), (folder / "b.txt").string()};
  std::string marks;
  TextStream parts(files, 10, 9);
  EXPECT_EQ(texts_of(parts, &marks), (std::vector<std::string>{"one\ntwo\n", "three thr", "ee three\n", "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9",
                                                               "\xC3\xA9\xC3\xA9 end", "short\n"}));
  EXPECT_EQ(marks,
            "<-------->"
            "<>");
  TextStream whole(files);
  EXPECT_EQ(texts_of(whole), (std::vector<std::string>{read_file(files[0]), "short\n"}));
}

TEST(TextStream, GoesOnAtEveryPosition) {
  const fs::path folder = fresh_folder("positions");
  write_file_atomic(folder / "a.txt", "one\ntwo\nthree\nfour\n");
  write_file_atomic(folder / "b.jsonl", "{\"t\": \"x\"}\n\n{\"t\": \"y\"}\n");
  write_file_atomic(folder / "c.txt", "end");
  write_file_atomic(folder / "d.csv", "t\n\"x\ny\"\nz\n");
  write_file_atomic(folder / "e.json", "[{\"t\": 1}, {\"t\": 2}]");
  std::vector<std::string> files;
  for (const char* name : {"a.txt", "b.jsonl", "c.txt", "d.csv", "e.json"}) files.push_back((folder / name).string());
  TextStream stream(files, 6, 5);
  const auto all = texts_of(stream);
  ASSERT_EQ(all.size(), 12u);
  EXPECT_EQ(all[8], "{\"t\":\"x\\ny\"}");
  for (size_t k = 0; k <= all.size(); ++k) {
    TextStream first(files, 6, 5), second(files, 6, 5);
    Text text;
    for (size_t i = 0; i < k; ++i) first.next(text);
    second.seek(first.position());
    EXPECT_EQ(texts_of(second), std::vector<std::string>(all.begin() + std::ptrdiff_t(k), all.end())) << k;
  }
}

TEST(Permutation, IsAnOrderOfEverything) {
  for (const int64_t n : {1, 2, 3, 5, 64, 65, 1000}) {
    for (const int64_t listed : {int64_t{0}, Permutation::kListed}) {
      std::vector<bool> seen(size_t(n), false);
      const Permutation order(n, Rng(3, 4), listed);
      for (int64_t i = 0; i < n; ++i) {
        ASSERT_TRUE(order[i] >= 0 && order[i] < n && !seen[size_t(order[i])]) << n;
        seen[size_t(order[i])] = true;
      }
    }
  }
}

// Neither listed nor computed orders keep neighbours together, and seeds differ.
TEST(Permutation, LooksDrawn) {
  constexpr int64_t n = 10'000;
  for (const int64_t listed : {int64_t{0}, Permutation::kListed}) {
    const Permutation a(n, Rng(1, 7), listed), b(n, Rng(2, 7), listed);
    int64_t equal = 0, rising = 0;
    double distance = 0;
    for (int64_t i = 0; i + 1 < n; ++i) {
      equal += a[i] == b[i];
      rising += a[i] < a[i + 1];
      distance += std::abs(double(a[i] - a[i + 1])) / n;
    }
    EXPECT_LT(equal, 12);
    EXPECT_NEAR(double(rising) / n, 0.5, 0.03);
    EXPECT_NEAR(distance / n, 1.0 / 3, 0.02);  // of two numbers drawn from [0, 1)
  }
  EXPECT_EQ(Permutation(int64_t{1} << 40, Rng(1), 10)[5], Permutation(int64_t{1} << 40, Rng(1), 10)[5]);
}

// The listed order is the plain shuffle of 0..n-1.
TEST(Permutation, ListedIsTheShuffle) {
  std::vector<int64_t> list(100);
  std::iota(list.begin(), list.end(), 0);
  Rng rng(5, 6);
  rng.shuffle(list);
  const Permutation order(100, Rng(5, 6));
  for (int64_t i = 0; i < 100; ++i) EXPECT_EQ(order[i], list[size_t(i)]);
}

}  // namespace
}  // namespace r1::data
