// Parquet and Arrow files against pyarrow's own rows (tests/oracles/parquet_golden.py), resumed at any row, damaged in any way. Skipped where
// the plug-in was not built.
#include "r1/data/table_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <fstream>

#include "r1/base/file.h"
#include "r1/base/rng.h"
#include "r1/data/find_files.h"
#include "r1/data/messages.h"
#include "r1/data/rows.h"
#include "r1/data/token_shards.h"
#include "r1/data/train_vocabulary.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace r1::data {
namespace {

const fs::path kTables = fs::path(R1_SOURCE_DIR) / "tests/golden/tables";

std::string table(const std::string& name) {
  return (kTables / name).string();
}

std::vector<Json> rows_of(const std::string& path, const std::vector<std::string>& wanted = {}) {
  std::vector<Json> rows;
  RowReader reader(path);
  if (!wanted.empty()) reader.want(wanted);
  while (auto row = reader.next()) rows.push_back(std::move(*row));
  return rows;
}

void expect_same(const std::string& path, const std::string& jsonl) {
  const auto got = rows_of(path), want = rows_of(jsonl);
  ASSERT_EQ(got.size(), want.size()) << path;
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_EQ(got[i].size(), want[i].size()) << path << " " << i;
    for (const auto& [key, value] : want[i].items()) {
      EXPECT_EQ(got[i].value(key, Json("missing")), value) << path << ", row " << i + 1 << ", " << key;
    }
  }
}

struct Tables : testing::Test {
  TemporaryFolder folder{"tables"};
  void SetUp() override {
    if (const std::string why = why_no_tables("a.parquet", TableForm::kParquet); !why.empty()) GTEST_SKIP() << why;
  }
  std::string write(const std::string& name, std::string_view bytes) const {
    const fs::path path = folder.path() / name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path.string();
  }
};

TEST_F(Tables, RowsAreThoseOfPyarrow) {
  for (const char* name : {"types", "int96", "nested", "chat"}) expect_same(table(str(name, ".parquet")), table(str(name, ".jsonl")));
  for (const char* name : {"types_arrow", "nested_arrow"})
    for (const char* ending : {".arrow", ".feather"}) expect_same(table(str(name, ending)), table(str(name, ".jsonl")));
  for (const char* codec : {"none", "snappy", "gzip", "zstd", "brotli", "lz4"})
    expect_same(table(str("groups_", codec, ".parquet")), table("groups_none.jsonl"));
}

// 2^53 + 1 and its like are numbers, not doubles.
TEST_F(Tables, NumbersKeepTheirDigits) {
  RowReader reader(table("types.parquet"));
  std::string row;
  reader.next(row);
  EXPECT_NE(row.find("\"int64\":-9223372036854775808,\"uint64\":18446744073709551615,"), std::string::npos) << row;
  reader.next(row);
  EXPECT_NE(row.find("\"int64\":9007199254740993,\"uint64\":9223372036854775808,\"float\":-0.0,\"double\":1e+300,"), std::string::npos)
      << row;
  EXPECT_EQ(parse_json(row, "").at("int64").get<int64_t>(), 9007199254740993);
}

// Random types in one another, written and read by pyarrow on the spot.
TEST_F(Tables, RandomTablesAreThoseOfPyarrow) {
  const char* python = std::getenv("R1_ORACLE_PYTHON");
  if (!python) GTEST_SKIP() << "R1_ORACLE_PYTHON is not set";
  const std::string out = folder.path().string();
  const std::string command = str("'", python, "' '", R1_SOURCE_DIR, "/tests/oracles/parquet_golden.py' '", out, "' 20261129");
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  int64_t tables = 0;
  for (const auto& file : fs::directory_iterator(out)) {
    if (file.path().extension() == ".jsonl") continue;
    expect_same(file.path().string(), fs::path(file.path()).replace_extension(".jsonl").string());
    ++tables;
  }
  EXPECT_EQ(tables, 40);
}

TEST_F(Tables, GoesOnAtEveryRow) {
  for (const char* name : {"groups_none.parquet", "groups_snappy.parquet", "groups_zstd.parquet", "nested.parquet", "types_arrow.arrow",
                           "types_arrow.feather", "nested_arrow.arrow"}) {
    const std::string path = table(name);
    const auto whole = rows_of(path);
    for (size_t k = 0; k <= whole.size(); ++k) {
      RowReader first(path), second(path);
      for (size_t i = 0; i < k; ++i) first.next();
      EXPECT_EQ(first.position().line, int64_t(k));
      second.seek(first.position());
      for (size_t i = k; i < whole.size(); ++i) {
        ASSERT_EQ(second.next(), whole[i]) << name << " " << k;
        first.next();
        EXPECT_EQ(second.where(), first.where());
      }
      EXPECT_FALSE(second.next());
    }
  }
  RowReader reader(table("chat.parquet"));
  reader.next(), reader.next();
  EXPECT_EQ(reader.where(), table("chat.parquet") + ", row 2");
  EXPECT_NE(message_of([&] { reader.seek({31, 31}); }).find("chat.parquet: cannot go to row 31: it has 30 rows only"), std::string::npos);
}

TEST_F(Tables, WantedColumnsAlone) {
  for (const char* name : {"groups_gzip.parquet", "nested.parquet", "nested_arrow.feather", "nested_arrow.arrow"}) {
    const auto whole = rows_of(table(name));
    const std::vector<std::string> wanted =
        whole[0].contains("text") ? std::vector<std::string>{"w", "i"} : std::vector<std::string>{"tags", "deep"};
    const auto some = rows_of(table(name), wanted);
    ASSERT_EQ(some.size(), whole.size());
    for (size_t i = 0; i < some.size(); ++i) {
      ASSERT_EQ(some[i].size(), 2u) << name;
      for (const std::string& key : wanted) EXPECT_EQ(some[i].at(key), whole[i].at(key)) << name << " " << i;
    }
    EXPECT_EQ(rows_of(table(name), {"nothing"}), whole);
  }
  RowReader reader(table("groups_gzip.parquet"));
  for (int i = 0; i < 5; ++i) reader.next();
  reader.want({"i"});
  EXPECT_EQ(*reader.next(), Json({{"i", 5}}));
}

TEST_F(Tables, AfterARowThatCannotBeHadComesTheNext) {
  RowReader bytes(table("bytes.parquet"));
  EXPECT_EQ(*bytes.next(), Json({{"i", 0}, {"image", {{"bytes", "ok"}}}}));
  const std::string error = message_of([&] { bytes.next(); });
  EXPECT_NE(error.find("bytes.parquet, row 2: column 'image.bytes' holds bytes that are no text (UTF-8); leave the column out"),
            std::string::npos)
      << error;
  EXPECT_EQ(*bytes.next(), Json({{"i", 2}, {"image", nullptr}}));
  EXPECT_FALSE(bytes.next());

  TableReader kept(table("bytes.parquet"), TableForm::kParquet, kMaxLineBytes, TableReader::Bytes::kLeftOut);
  std::string row;
  kept.next(row), kept.next(row);
  EXPECT_EQ(row, R"({"i":1,"image":{"bytes":null}})");

  RowReader longer(table("groups_none.parquet"), 60);
  int64_t rows = 0, errors = 0;
  for (int i = 0; i < 40; ++i) message_of([&] { ++rows, longer.next(); }) == "no error" ? 0 : ++errors;
  EXPECT_EQ(rows, 40);
  EXPECT_GT(errors, 5);
  EXPECT_LT(errors, 35);
  EXPECT_FALSE(longer.next());
}

TEST_F(Tables, WhatIsNoTableSaysSo) {
  const auto error_of = [&](const std::string& name, std::string_view bytes) {
    const std::string path = write(name, bytes), error = message_of([&] { rows_of(path); });
    return error.starts_with(path) ? error.substr(path.size()) : error;
  };
  EXPECT_EQ(error_of("a.parquet", "<!DOCTYPE html>\n"), ": is no Parquet file, whatever its name: it begins with '<!DOCTYPE html>\\x0a'");
  EXPECT_EQ(error_of("b.parquet", "version https://git-lfs.github.com/spec/v1\noid sha256:00"),
            ": is Git LFS's pointer to the file, not the file; fetch it: git lfs pull");
  EXPECT_EQ(error_of("c.parquet", ""), ": is empty, no Parquet file; was its download or its writer cut off?");
  EXPECT_EQ(error_of("d.feather", "FEA1xxxxxxxx"), ": is no Arrow file, whatever its name: it begins with 'FEA1xxxxxxxx'");
  EXPECT_NE(error_of("e.parquet", "PAR1....PAR1").find(": cannot read: "), std::string::npos);
  EXPECT_NE(error_of("f.parquet", "PARE........PARE").find(": cannot read: "), std::string::npos);
  // by what they begin with where the name says nothing, refused where it says something else
  const std::string chat = read_file(table("chat.parquet"));
  EXPECT_EQ(rows_of(write("chat", chat)).size(), 30u);
  EXPECT_EQ(error_of("g.jsonl", chat), ": is a Parquet file; give it a name that says so, .parquet, and its rows are read");
  EXPECT_NE(message_of([] { rows_of(table("twice.parquet")); }).find("two of its columns are called 'i'"), std::string::npos);
}

long peak_kilobytes() {
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// 2 GB of rows in 500 bytes.
TEST_F(Tables, MemoryIsABatch) {
  EXPECT_LT(fs::file_size(table("bomb.parquet")), 1'000u);
  RowReader reader(table("bomb.parquet"));
  std::string row;
  reader.next(row);
  const long before = peak_kilobytes();
  for (int i = 0; i < 400; ++i) ASSERT_TRUE(reader.next(row));
  EXPECT_EQ(row.size(), 1'000'000 + std::string_view(R"({"text":""})").size());
  EXPECT_LT(peak_kilobytes() - before, 100'000) << "kilobytes";
}

// Flipped, cut and doubled bytes: rows, or an error that names the file. A crash ends the test.
TEST_F(Tables, MutationsAreErrorsOrRows) {
  Rng rng(7, uint64_t(testing::UnitTest::GetInstance()->random_seed()));  // --gtest_random_seed=2 for others
  int64_t errors = 0, whole = 0;
  for (const char* name :
       {"groups_none.parquet", "groups_snappy.parquet", "nested.parquet", "types.parquet", "chat.parquet", "groups_zstd.parquet",
        "nested_arrow.arrow", "nested_arrow.feather", "types_arrow.arrow", "types_arrow.feather"}) {
    const std::string good = read_file(table(name)), ending = fs::path(name).extension();
    for (int i = 0; i < 50; ++i) {
      std::string bad = good;
      const int flips = 1 + int(rng.below(4));
      for (int k = 0; k < flips; ++k) {
        // half of them where the footer lies
        const size_t from = rng.below(2) ? bad.size() - bad.size() / 4 : 0;
        bad[from + rng.below(bad.size() - from)] ^= char(1 << rng.below(8));
      }
      if (rng.below(8) == 0) bad.resize(rng.below(bad.size()));
      if (rng.below(8) == 0) bad.insert(rng.below(bad.size() + 1), bad.substr(bad.size() / 2));
      const std::string path = write("bad" + ending, bad);
      const std::string error = message_of([&] { rows_of(path); });
      error == "no error" ? ++whole : ++errors;
      EXPECT_TRUE(error == "no error" || error.starts_with(path)) << error;
    }
  }
  EXPECT_GT(errors, 150);
  EXPECT_GT(whole, 5);
}

// The same conversations give the same documents, in whatever form they lie; a build that was stopped goes on.
TEST_F(Tables, TheSameDocumentsAsJsonLines) {
  const auto documents = [](const std::string& path) {
    const CorpusSpec spec{.files = {path},
                          .make =
                              [](const Text& text) {
                                Document d;
                                for (const Message& m : conversation_from_json(parse_row(text.text, text.where), text.where).messages)
                                  for (const char c : m.role + ":" + m.content + "\n") d.ids.push_back(static_cast<unsigned char>(c));
                                d.learned.assign(d.ids.size(), 1);
                                return d;
                              },
                          .maker = "bytes",
                          .vocab_size = 256};
    std::vector<std::vector<int32_t>> ids;
    for (const Document& d : corpus_documents(spec, 2)) ids.push_back(d.ids);
    return ids;
  };
  const auto want = documents(table("chat.jsonl"));
  EXPECT_EQ(want.size(), 30u);
  EXPECT_EQ(documents(table("chat.parquet")), want);

  TextStream first({table("chat.parquet"), table("groups_none.parquet")}), second({table("chat.parquet"), table("groups_none.parquet")});
  Text a, b;
  for (int i = 0; i < 45; ++i) ASSERT_TRUE(first.next(a));
  EXPECT_EQ(a.where, table("groups_none.parquet") + ", row 15");
  second.seek(first.position());
  while (first.next(a)) {
    ASSERT_TRUE(second.next(b));
    EXPECT_EQ(a.text, b.text);
    EXPECT_EQ(a.where, b.where);
  }
  EXPECT_FALSE(second.next(b));
}

// Where control tokens stand is in another column than the text, and is not lost with the columns that nobody reads.
TEST_F(Tables, ControlTokensOfFillingInAreKept) {
  const auto documents = [](const std::string& path) {
    const CorpusSpec spec{.files = {path},
                          .keys = {"text"},
                          .also = {"extra"},
                          .make = text_maker(
                              "text",
                              [](std::string_view text) {
                                std::vector<int32_t> ids;
                                for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
                                return ids;
                              },
                              -1, -1, [](std::string_view name) { return std::optional<int32_t>(256 + int32_t(name.size())); }),
                          .maker = "bytes",
                          .vocab_size = 300};
    std::vector<std::vector<int32_t>> ids;
    for (const Document& d : corpus_documents(spec, 2)) ids.push_back(d.ids);
    return ids;
  };
  const auto want = documents(table("fim.jsonl"));
  ASSERT_EQ(want.size(), 7u);
  // <|fim_prefix|>a0 <|fim_suffix|>c0<|fim_middle|>b0; the spelling in a text that names no control stays text.
  EXPECT_EQ(want[0], (std::vector<int32_t>{256 + 14, 'a', '0', ' ', 256 + 14, 'c', '0', 256 + 14, 'b', '0', ' '}));
  EXPECT_EQ(want[1].size(), 6u + 14);
  EXPECT_EQ(documents(table("fim.parquet")), want);
  EXPECT_EQ(documents(table("fim.arrow")), want);
  // A table of texts, as CSV is, has the object as its JSON.
  std::string csv = "text,extra\n";
  RowReader rows(table("fim.jsonl"));
  const auto quoted = [](const std::string& text) {
    std::string out = "\"";
    for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
    return out + "\"";
  };
  while (auto row = rows.next())
    csv += quoted(row->at("text").get<std::string>()) + "," + (row->at("extra").is_null() ? "" : quoted(row->at("extra").dump())) + "\n";
  EXPECT_EQ(documents(write("fim.csv", csv)), want);
}

// A vocabulary learned of a table, of packed rows and of plain ones is the same.
TEST_F(Tables, ATokenizerIsLearnedOfThem) {
  const auto learned = [](const std::vector<std::string>& files) {
    const text::TrainResult result = train_vocabulary(files, {.vocab_size = 300, .threads = 2});
    return std::pair(result.tokenizer.hash(), result.bytes);
  };
  const auto want = learned({table("groups_none.jsonl")});
  EXPECT_GT(want.second, 800);
  EXPECT_EQ(learned({table("groups_none.parquet")}), want);
  EXPECT_EQ(learned({table("groups_brotli.parquet")}), want);
  const auto twice = learned({table("groups_none.parquet"), table("groups_none.jsonl")});
  EXPECT_EQ(twice.second, 2 * want.second);
  EXPECT_NE(message_of([&] { learned({table("chat.parquet")}); }).find("chat.parquet, row 1: no string under 'text'; found: messages, id"),
            std::string::npos);
}

// As published data sets are laid out.
TEST_F(Tables, SplitsByName) {
  for (const char* name : {"train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "test-00000-of-00001.parquet", "README.md"})
    write(name, "");
  const auto names = [&](Split split) {
    std::string out;
    for (const std::string& file : find_files({folder.path().string()}, "files", split)) out += fs::path(file).filename().string() + " ";
    return out;
  };
  EXPECT_EQ(names(Split::kTrain), "train-00000-of-00002.parquet train-00001-of-00002.parquet ");
  EXPECT_EQ(names(Split::kTest), "test-00000-of-00001.parquet ");
}

// A copy of this program where there is no plug-in beside it.
TEST_F(Tables, WithoutThePluginTheWaysOutAreSaid) {
  if (std::getenv("R1_TABLES_ALONE")) GTEST_SKIP() << "is the copy";
  fs::copy_file("/proc/self/exe", folder.path() / "alone");
  const fs::path said = folder.path() / "said";
  const std::string command = str("R1_TABLES_ALONE=1 R1_PLUGINS=/nowhere '", (folder.path() / "alone").string(),
                                  "' --gtest_filter='TablesAlone.*' > '", said.string(), "' 2>&1");
  EXPECT_EQ(std::system(command.c_str()), 0) << read_file(said);
  EXPECT_NE(read_file(said).find("[  PASSED  ] 1 test."), std::string::npos) << read_file(said);
}
TEST(TablesAlone, SaysWhatIsMissing) {
  if (!std::getenv("R1_TABLES_ALONE")) GTEST_SKIP() << "runs in a copy of this program";
  try {
    rows_of(table("chat.parquet"));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    const std::string said = error.what();
    for (const char* part : {"chat.parquet: is a Parquet file, for which r1 needs its plug-in libr1_parquet.so", "scripts/setup.sh parquet",
                             "$R1_PLUGINS", "read_parquet('chat.parquet').to_json('chat.jsonl', orient='records', lines=True)"})
      EXPECT_NE(said.find(part), std::string::npos) << part << " is not in: " << said;
  }
}

}  // namespace
}  // namespace r1::data
