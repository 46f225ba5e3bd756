// WebDataset archives: the samples that the webdataset package reads (tests/oracles/webdataset_golden.py), resumed at any row, broken in any way.
#include "r1/data/webdataset.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/rng.h"
#include "r1/data/find_files.h"
#include "r1/data/rows.h"
#include "r1/data/text_stream.h"
#include "r1/data/token_shards.h"
#include "tests/message_of.h"
#include "tests/packed_text.h"
#include "tests/tar_archive.h"
#include "tests/temporary_folder.h"

namespace r1::data {
namespace {

const fs::path kGolden = fs::path(R1_SOURCE_DIR) / "tests/golden/webdataset";

std::vector<Json> rows_of(const std::string& path, size_t most = kMaxLineBytes) {
  std::vector<Json> rows;
  RowReader reader(path, most);
  while (auto row = reader.next()) rows.push_back(std::move(*row));
  return rows;
}

struct Archives : testing::Test {
  TemporaryFolder folder{"webdataset"};
  std::string write(const std::string& name, std::string_view bytes) const {
    std::ofstream(folder.path() / name, std::ios::binary) << bytes;
    return (folder.path() / name).string();
  }
  std::vector<Json> rows(const std::vector<TarFile>& files) const { return rows_of(write("x.tar", tar(files))); }
  // Without the folder.
  std::string error(std::string_view bytes, const std::string& name = "x.tar", size_t most = kMaxLineBytes) const {
    const std::string path = write(name, bytes), text = message_of([&] { rows_of(path, most); });
    return text.starts_with(path) ? name + text.substr(path.size()) : text;
  }
};

// Whatever the order of the keys.
std::map<std::string, std::string> values(const Json& row) {
  std::map<std::string, std::string> out;
  for (const auto& [key, value] : row.items()) out[key] = dump_json(value);
  return out;
}

TEST_F(Archives, SamplesAreThoseOfThePackage) {
  for (const char* name : {"ustar.tar", "folders.tar", "names.tar", "long.tgz"}) {
    const auto got = rows_of((kGolden / name).string());
    auto want = rows_of((kGolden / str(name, ".jsonl")).string());
    EXPECT_GE(std::erase_if(want, [](const Json& row) { return row.size() == 1; }), 1u) << "an image alone, which is no row of text";
    EXPECT_EQ(got.size(), want.size());
    for (size_t i = 0; i < std::min(got.size(), want.size()); ++i) EXPECT_EQ(values(got[i]), values(want[i])) << name << " " << i;
    EXPECT_GE(want.size(), 6u);
  }
}

TEST_F(Archives, PackedAndNamelessOnesAreTheSame) {
  const std::string plain = read_file(kGolden / "ustar.tar");
  const auto want = rows_of((kGolden / "ustar.tar").string());
  EXPECT_EQ(rows_of(write("a.tar.gz", gzip(plain))), want);
  EXPECT_EQ(rows_of(write("a.tgz", gzip(plain))), want);
  EXPECT_EQ(rows_of(write("a.tar.zst", zstd(plain))), want);
  EXPECT_EQ(rows_of(write("shard-000000", plain)), want) << "told by its first bytes";
  auto twice = rows_of(write("joined.tar", plain + tar({{"z.txt", "last"}})));
  ASSERT_EQ(twice.size(), want.size() + 1) << "archives one after another";
  EXPECT_EQ(twice.back(), (Json{{"text", "last"}, {"__key__", "z"}}));
  EXPECT_TRUE(rows_of(write("empty.tar", tar({}))).empty());
  EXPECT_TRUE(rows_of(write("nothing.tar", "")).empty());
  EXPECT_EQ(rows({{"a/._0.txt", "\x01\xFF"}, {"a/0.txt", "x"}}), (std::vector<Json>{{{"text", "x"}, {"__key__", "a/0"}}}))
      << "what macOS adds";
  EXPECT_EQ(rows({{"235342 Track 2.0 (Clean Version).txt", "x"}}),
            (std::vector<Json>{{{"0 (clean version)", "x"}, {"__key__", "235342 Track 2"}}}))
      << "the key ends at the first dot, in every reader of the format";
}

TEST_F(Archives, LinesAreRowsOfTheirOwn) {
  const std::string lines = "{\"text\": \"one\"}\n\n{\"text\": \"two\"}";
  const std::vector<Json> three = {{{"text", "one"}}, {{"text", "two"}}, {{"text", "own"}, {"__key__", "b"}}};
  EXPECT_EQ(rows({{"a.jsonl", lines}, {"b.txt", "own"}}), three);
  EXPECT_EQ(rows({{"a.jsonl.gz", gzip(lines)}, {"b.txt", "own"}}), three);
  EXPECT_EQ(rows({{"b.ndjson.zst", zstd(lines)}, {"b.txt", "own"}}), three) << "of a sample with more in it";
  RowReader reader(write("x.tar", tar({{"a.jsonl", lines}})));
  std::string row;
  ASSERT_TRUE(reader.next(row) && reader.next(row));
  EXPECT_EQ(reader.where(), (folder.path() / "x.tar!a.jsonl:3").string());
}

// A saved place is taken up again at every row, in plain and packed archives, with lines inside of members.
TEST_F(Archives, GoOnAtAnyRow) {
  std::vector<TarFile> files;
  for (int i = 0; i < 12; ++i) {
    const std::string key = "k" + std::to_string(i);
    files.push_back({std::string(100, 'p') + key, "", '5'});
    if (i % 3 == 0) files.push_back({key + ".jsonl", "{\"a\": 1}\n{\"a\": " + std::to_string(i) + "}\n{\"a\": 3}\n"});
    if (i % 3 != 0 || i % 2 == 0) files.push_back({key + ".txt", "text " + key});
    files.push_back({key + ".bin", std::string(700, 'b')});
  }
  const std::string bytes = tar(files);
  for (const std::string& path : {write("x.tar", bytes), write("x.tar.gz", gzip(bytes)), write("x.tar.zst", zstd(bytes)),
                                  (kGolden / "names.tar").string(), (kGolden / "long.tgz").string()}) {
    std::vector<std::string> all, where;
    std::vector<LineReader::Position> places;
    RowReader reader(path);
    places.push_back(reader.position());
    for (std::string row; reader.next(row); places.push_back(reader.position())) all.push_back(row), where.push_back(reader.where());
    ASSERT_GE(all.size(), 6u);
    for (size_t k = 0; k < places.size(); ++k) {
      RowReader again(path);
      again.seek(places[k]);
      std::string row;
      for (size_t i = k; i < all.size(); ++i) {
        ASSERT_TRUE(again.next(row)) << path << " row " << i << " from " << k;
        ASSERT_EQ(row, all[i]) << path << " from " << k;
        ASSERT_EQ(again.where(), where[i]);
        ASSERT_EQ(again.position().line, places[i + 1].line);
      }
      ASSERT_FALSE(again.next(row));
    }
    // Through the stream that training reads, behind another file.
    const std::string before = write("first.jsonl", "{\"a\": 0}\n");
    TextStream whole({before, path});
    std::vector<TextStream::Position> stops;
    Text text;
    while (whole.next(text)) stops.push_back(whole.position());
    for (size_t k = 0; k < stops.size(); ++k) {
      TextStream rest({before, path});
      rest.seek(stops[k]);
      size_t n = k;
      for (; rest.next(text); ++n) ASSERT_EQ(text.text, all[n]) << path << " from " << k;
      ASSERT_EQ(n, all.size());
    }
  }
}

TEST_F(Archives, WhatIsBrokenIsNamedWithMemberAndPlace) {
  const std::string good = tar({{"0.txt", "text"}, {"0.json", "{\"a\": 1}"}, {"1.txt", std::string(2000, 'x')}});
  // 0.txt: 0-1024, 0.json: 1024-2048, 1.txt: 2048-4608
  EXPECT_EQ(error(good.substr(0, 3000)),
            "x.tar: ends inside of 1.txt, 1560 bytes before its end, at byte 3000; was its download or its writer cut off?");
  EXPECT_EQ(error(good.substr(0, 2100)), "x.tar: ends inside of a header, at byte 2048; was its download or its writer cut off?");
  EXPECT_EQ(error(good.substr(0, 2048 + 512 + 2000)), "no error") << "only the zeros behind it are missing";
  EXPECT_EQ(error(tar({{"0.jpg", std::string(900, 'j')}}).substr(0, 1000)),
            "x.tar: ends inside of 0.jpg, at byte 1000; was its download or its writer cut off?")
      << "of what is passed over too";
  std::string header = good;
  header[2048] = 'X';
  EXPECT_EQ(error(header), "x.tar: byte 2048, after 0.json: no header of a tar archive is there; is it damaged, or no archive?");
  EXPECT_EQ(error("<html>404</html>" + std::string(600, ' ')),
            "x.tar: byte 0: no header of a tar archive is there; is it damaged, or no archive?");
  const std::string packed = gzip(good), cut = error(packed.substr(0, packed.size() - 30), "y.tar.gz");
  EXPECT_TRUE(cut.starts_with("y.tar.gz:") && cut.find(": cannot read: ") != std::string::npos) << cut;
  EXPECT_NE(cut.find(" of the archive"), std::string::npos) << cut;
  EXPECT_EQ(error(tar({{"0.txt", "a"}, {"0.json", "{"}, {"1.txt", ""}})).substr(0, 43), "x.tar!0.json: column 2: not valid JSON: syn");
  EXPECT_EQ(error(tar({{"0.txt", "caf\xE9"}})), "x.tar!0.txt: is no UTF-8 text");
  EXPECT_NE(error(tar({{"0.txt.gz", gzip("text of some length").substr(0, 20)}})).find("x.tar!0.txt.gz: cannot read: "), std::string::npos);
  EXPECT_EQ(error(tar({{"0.jsonl", "{\"a\": 1}\n[]\n"}})), "x.tar!0.jsonl:2: expected a JSON object, got array");
  EXPECT_EQ(error(tar({{"0.txt", std::string(900, 'x')}, {"0.md", std::string(900, 'y')}}), "x.tar", 1000),
            "x.tar, sample 0: is longer than 1000 bytes");
  EXPECT_EQ(error(tar({{"0.txt.gz", gzip(std::string(900'000, 'x'))}}), "x.tar", 1000), "x.tar, sample 0: is longer than 1000 bytes");
}

// What other readers take for two samples that each lack a half, or die of.
TEST_F(Archives, SamplesThatAreNoneAreNamed) {
  EXPECT_EQ(error(tar({{"0.txt", "a"}, {"1.txt", "b"}, {"0.json", "{}"}, {"1.json", "{}"}})),
            "x.tar, sample 0: its members do not stand together (0.json comes after others); pack the archive with its names sorted: tar "
            "--sort=name");
  EXPECT_EQ(error(tar({{"0.txt", "a"}, {"0.txt", "b"}})), "x.tar!0.txt: its sample has a member of that ending already");
  EXPECT_EQ(error(tar({{"0.txt", "a"}, {"0.TXT.gz", gzip("b")}})), "x.tar!0.TXT.gz: its sample has a member of that ending already");
  EXPECT_EQ(error(tar({{"0.txt", "a"}, {"0.text", "b"}})), "x.tar!0.text: its sample has a 'text' already");
  EXPECT_EQ(error(tar({{"a/0.txt", "a"}, {"b/0.txt", "b"}})), "no error") << "the folder is of the key";
  EXPECT_EQ(error(tar({{"0.txt", "a", 'S'}})),
            "x.tar!0.txt: is stored as a sparse file, which is not read here; pack the archive without --sparse");
  EXPECT_EQ(error(tar({{"0.txt", "", '2'}, {"0.json", "{\"text\": \"x\"}"}})), "no error") << "a link has nothing in it";
  // GNU tar's sparse files of pax: the bytes are a map, then what lies between the holes; the name in the header is one of its own.
  const auto pax = [](const std::string& key, const std::string& value) {
    const std::string rest = " " + key + "=" + value + "\n";
    return std::to_string(rest.size() + 2) + rest;
  };
  EXPECT_EQ(error(tar({{"PaxHeaders/0",
                        pax("GNU.sparse.major", "1") + pax("GNU.sparse.name", "a/0.txt") + pax("GNU.sparse.realsize", "9000"), 'x'},
                       {"a/GNUSparseFile.7/0.txt", "1\n0\n512\n"}})),
            "x.tar!a/0.txt: is stored as a sparse file, which is not read here; pack the archive without --sparse");
}

TEST_F(Archives, ASampleOfImagesAloneIsNoRow) {
  const std::vector<Json> want = {{{"text", "a"}, {"__key__", "0"}}, {{"text", "c"}, {"__key__", "2"}}};
  EXPECT_EQ(rows({{"0.txt", "a"}, {"0.jpg", "j"}, {"1.jpg", "j"}, {"1.npy", "n"}, {"2.txt", "c"}}), want);
  EXPECT_TRUE(rows({{"0.jpg", "j"}, {"1.jpg", "j"}}).empty());
}

// GNU's incremental archives (tar -g) have times where POSIX has a name's beginning.
TEST_F(Archives, TimesOfGnuHeadersAreNoNames) {
  std::string bytes = tar({{"0.txt", "a"}});
  bytes.replace(257, 8, std::string("ustar  \0", 8));
  bytes.replace(345, 24, "15103414405 15103414405 ");
  uint64_t sum = 0;
  for (size_t i = 0; i < 512; ++i) sum += i >= 148 && i < 156 ? ' ' : uint8_t(bytes[i]);
  char text[8];
  std::snprintf(text, sizeof text, "%06llo", static_cast<unsigned long long>(sum));
  bytes.replace(148, 8, std::string(text, 6) + std::string("\0 ", 2));
  EXPECT_EQ(rows_of(write("x.tar", bytes)), (std::vector<Json>{{{"text", "a"}, {"__key__", "0"}}}));
}

// Flipped and cut bytes: rows, or an error that names the archive. A crash ends the test.
TEST_F(Archives, MutationsAreErrorsOrRows) {
  Rng rng(7, uint64_t(testing::UnitTest::GetInstance()->random_seed()));
  int64_t errors = 0, whole = 0;
  for (const char* name : {"ustar.tar", "names.tar", "long.tgz"}) {
    std::string good = read_file(kGolden / name);
    for (int i = 0; i < 150; ++i) {
      std::string bad = good;
      for (uint64_t k = rng.below(4) + 1; k > 0; --k) bad[rng.below(bad.size())] ^= char(1 << rng.below(8));
      if (rng.below(4) == 0) bad.resize(rng.below(bad.size()));
      const std::string path = write("bad" + fs::path(name).extension().string(), bad);
      const std::string message = message_of([&] { rows_of(path); });
      message == "no error" ? ++whole : ++errors;
      EXPECT_TRUE(message == "no error" || message.starts_with(path)) << message;
    }
  }
  EXPECT_GT(errors, 30);
  EXPECT_GT(whole, 30);
}

// A folder's archives are among its files, and what is told to be of a split is.
TEST_F(Archives, FoldersHaveThemToo) {
  write("train-000.tar", tar({{"0.txt", "a"}}));
  write("train-001.tar.gz", gzip(tar({{"0.txt", "b"}})));
  write("test-000.tgz", gzip(tar({{"0.txt", "c"}})));
  write("photo.jpg", "");
  std::string names;
  for (const std::string& file : find_files({folder.path().string()}, "files", Split::kTrain))
    names += fs::path(file).filename().string() + " ";
  EXPECT_EQ(names, "train-000.tar train-001.tar.gz ");
}

// The same documents as of JSON lines, in as many shards as their tokens need.
TEST_F(Archives, AreTokenizedLikeLines) {
  std::vector<TarFile> files;
  std::string lines;
  for (int i = 0; i < 40; ++i) {
    const std::string text = "text " + std::to_string(i * i);
    files.push_back({std::to_string(i) + ".txt", text});
    lines += dump_json(Json{{"text", text}}) + "\n";
    if (i % 5 == 0) files.push_back({std::to_string(i) + ".more.jsonl", "{\"text\": \"m" + text + "\"}\n{\"text\": \"n\"}\n"});
    if (i % 5 == 0)
      lines.insert(lines.size() - dump_json(Json{{"text", text}}).size() - 1, "{\"text\": \"m" + text + "\"}\n{\"text\": \"n\"}\n");
  }
  CorpusSpec spec{.keys = {"text"},
                  .make = text_maker("text",
                                     [](std::string_view text) {
                                       std::vector<int32_t> ids;
                                       for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
                                       return ids;
                                     }),
                  .maker = "bytes",
                  .vocab_size = 256,
                  .shard_tokens = 60,
                  .round_bytes = 100};
  const auto ids = [](const DocumentSource& source) {
    std::vector<std::vector<int32_t>> all;
    for (int64_t i = 0; i < source.size(); ++i) all.push_back(source.document(i).ids);
    return all;
  };
  spec.files = {write("a.jsonl", lines)};
  const auto want = ids(*token_shards(folder.path() / "lines", spec, 2));
  ASSERT_EQ(want.size(), 56u);
  spec.files = {write("a.tar", tar(files))};
  const fs::path whole = folder.path() / "whole";
  EXPECT_EQ(ids(*token_shards(whole, spec, 2)), want);
  const Json manifest = parse_json_file(whole / "manifest.json");
  ASSERT_GT(manifest["shards"].size(), 4u);
  EXPECT_TRUE(manifest["complete"]);
}

}  // namespace
}  // namespace r1::data
