// Data as people have it: every form of rows, compressed or not, resumed at any row, damaged in any way; which files a name stands for.
#include "r1/data/rows.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <fstream>
#include <functional>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/rng.h"
#include "r1/data/csv.h"
#include "r1/data/find_files.h"
#include "r1/data/messages.h"
#include "r1/data/unpack.h"
#include "tests/environment_variable.h"
#include "tests/message_of.h"
#include "tests/packed_text.h"
#include "tests/temporary_folder.h"

namespace r1::data {
namespace {

struct Rows : testing::Test {
  TemporaryFolder folder{"rows"};
  std::string write(const std::string& name, std::string_view bytes) const {
    make_folder((folder.path() / name).parent_path());
    std::ofstream(folder.path() / name, std::ios::binary) << bytes;  // thousands of them: no fsync
    return (folder.path() / name).string();
  }
  std::string gzip(const std::string& name, const std::string& text) const { return write(name, r1::gzip(text, 1)); }
  static std::vector<Json> all(const std::string& path, size_t most = kMaxLineBytes) {
    std::vector<Json> rows;
    RowReader reader(path, most);
    while (auto row = reader.next()) rows.push_back(std::move(*row));
    return rows;
  }
  std::vector<Json> rows_of(const std::string& name, std::string_view bytes) const { return all(write(name, bytes)); }
  std::string error_of(const std::string& name, std::string_view bytes, size_t most = kMaxLineBytes) const {
    const std::string path = write(name, bytes), error = message_of([&] { all(path, most); });
    return error.starts_with(path) ? error.substr(path.size()) : error;
  }
};

const std::vector<Json> kTwo = {{{"q", "one, \"two\"\nthree"}, {"a", "1"}}, {{"q", "caf\xC3\xA9"}, {"a", ""}}};

TEST_F(Rows, TheSameInEveryForm) {
  const std::string lines = dump_json(kTwo[0]) + "\n\n" + dump_json(kTwo[1]);
  const std::string csv = "q,a\n\"one, \"\"two\"\"\nthree\",1\ncaf\xC3\xA9,\n";
  EXPECT_EQ(rows_of("a.jsonl", lines), kTwo);
  EXPECT_EQ(rows_of("b.ndjson", lines), kTwo);
  EXPECT_EQ(rows_of("c.json", lines), kTwo) << "JSON lines that call themselves .json";
  EXPECT_EQ(rows_of("d.json", dump_json(Json(kTwo))), kTwo);
  EXPECT_EQ(rows_of("e.json", "\xEF\xBB\xBF \n" + dump_json(Json(kTwo), 2) + "\n"), kTwo) << "over many lines, with a byte order mark";
  EXPECT_EQ(rows_of("f.json", dump_json(Json{{"version", {1, "]"}}, {"data", kTwo}, {"more", 1}}, 2)), kTwo);
  EXPECT_EQ(rows_of("f.json", dump_json(Json{{"canary", "x"}, {"examples", kTwo}})), kTwo);
  EXPECT_EQ(rows_of("g.json", dump_json(kTwo[0], 2)), (std::vector<Json>{kTwo[0]})) << "one object is one row";
  EXPECT_EQ(rows_of("h.csv", csv), kTwo);
  EXPECT_EQ(rows_of("i.CSV", "\xEF\xBB\xBFq,a\r\n\"one, \"\"two\"\"\r\nthree\",1\r\ncaf\xC3\xA9,"), kTwo) << "as Excel writes it";
  EXPECT_EQ(rows_of("j.csv", "q;a\n\"one, \"\"two\"\"\nthree\";1\ncaf\xC3\xA9;\n"), kTwo) << "as Excel writes it in half of Europe";
  EXPECT_EQ(rows_of("k.tsv", "q\ta\n\"one, \"\"two\"\"\nthree\"\t1\ncaf\xC3\xA9\t\n"), kTwo);
  EXPECT_EQ(all(gzip("l.csv.gz", csv)), kTwo);
  EXPECT_EQ(rows_of("m.csv.zst", zstd(csv)), kTwo);
  EXPECT_EQ(rows_of("n.jsonl.zst", zstd(lines.substr(0, 9)) + zstd(lines.substr(9))), kTwo) << "two frames";
  EXPECT_EQ(rows_of("o.csv.bz2", bzip2(csv)), kTwo);
  EXPECT_EQ(rows_of("p.jsonl.bz2", bzip2(lines.substr(0, 9)) + bzip2(lines.substr(9))), kTwo) << "two streams";
  EXPECT_EQ(rows_of("q.json.xz", xz(dump_json(Json(kTwo)))), kTwo);
  EXPECT_EQ(rows_of("r.jsonl.xz", xz(lines.substr(0, 9)) + xz(lines.substr(9)) + std::string(4, '\0')), kTwo) << "two streams, padded";
  EXPECT_EQ(rows_of("o.txt", lines), kTwo) << "a name that says nothing";
  EXPECT_EQ(rows_of("p", dump_json(Json(kTwo))), kTwo);
  for (const char* name : {"q.jsonl", "q.json", "q.csv", "q.tsv"}) EXPECT_TRUE(rows_of(name, "").empty()) << name;
  EXPECT_TRUE(rows_of("r.json", "[ ]").empty());
  EXPECT_TRUE(rows_of("s.csv", "q,a\n").empty());
}

TEST_F(Rows, FieldsOfATable) {
  const auto fields = [&](const char* name, const std::string& text) {
    CsvReader reader(write(name, text), std::string(name).ends_with(".tsv") ? CsvReader::Kind::kTsv : CsvReader::Kind::kCsv);
    std::vector<std::vector<std::string>> out;
    for (std::vector<std::string> row; reader.next(row);) out.push_back(row);
    return out;
  };
  using Table = std::vector<std::vector<std::string>>;
  EXPECT_EQ(fields("a.csv", "a,b\n,\n\"\",\" x \"\n1\"2,3\n\n"), (Table{{"", ""}, {"", " x "}, {"1\"2", "3"}}));
  EXPECT_EQ(fields("a.csv", "a\n\"\n\n\"\n"), (Table{{"\n\n"}}));
  EXPECT_EQ(CsvReader(write("b.csv", ", name ,\n")).header(), (std::vector<std::string>{"column 1", "name", "column 3"}));
  // Quotes of TSV files are mostly characters (torchtext's and GLUE's readers tripped over these).
  EXPECT_EQ(fields("a.tsv", "a\tb\nFirst\tfirst\n\"Second\tsecond\n'Third \"s\"\tthird\nFourth\tfourth\n"),
            (Table{{"First", "first"}, {"\"Second", "second"}, {"'Third \"s\"", "third"}, {"Fourth", "fourth"}}));
  EXPECT_EQ(fields("a.tsv", "a\tb\n\"x\"\t\"y \"\"z\"\"\"\n\"x\" said\t\"\n"), (Table{{"x", "y \"z\""}, {"\"x\" said", "\""}}));
  EXPECT_EQ(fields("a.tsv", "a\tb\nx\t\"two\nlines\"\ny\tz\n"), (Table{{"x", "two\nlines"}, {"y", "z"}}));
}

TEST_F(Rows, WhatIsWrongIsNamedWithItsPlace) {
  EXPECT_EQ(error_of("a.csv", "a,b\n1,2\n3\n"),
            ":3: 1 fields, the header has 2; a field that holds the separator or a line end stands in quotes");
  EXPECT_EQ(error_of("a.csv", "a,b\n1,\"2\n3,4\n"), ":2: field 2 of the record that begins here opens a quote that never closes");
  EXPECT_EQ(error_of("a.csv", "a,b\n\"1\"2,3\n"), ":2: field 1 goes on after its closing quote; a quote inside of quotes is written twice");
  EXPECT_EQ(error_of("a.csv", "a,a\n1,2\n"), ":1: two columns are called 'a'; the first line should be the names of the columns");
  EXPECT_NE(error_of("a.csv", "a,b\n1,caf\xE9\n").find(":2: is not UTF-8"), std::string::npos);
  EXPECT_NE(error_of("a.csv", "a\n\"" + std::string(900, 'x') + "\n" + std::string(200, 'y') + "\"\n", 1000)
                .find(":2: record longer than 1000 bytes"),
            std::string::npos);
  EXPECT_EQ(error_of("a.tsv", "a\tb\n1\t2\t3\n"), ":2: 3 fields, the header has 2 (separated by tabs)");
  EXPECT_EQ(error_of("a.json", "[{\"a\": 1}, 7]"), ", row 2: expected a JSON object, got number");
  EXPECT_EQ(error_of("a.json", "[{\"a\": 1} {}]"), ", row 2: expected a comma or the end of the list");
  EXPECT_EQ(error_of("a.json", "[{\"a\": 1},]"), ", row 2: expected a JSON object");
  EXPECT_EQ(error_of("a.json", "[{\"a\": 1}"), ", row 2: expected a comma or the end of the list, but the file ends");
  EXPECT_EQ(error_of("a.json", "[{\"a\": 1"), ", row 1: the file ends inside of it");
  EXPECT_EQ(error_of("a.json", "[{\"a\": \"" + std::string(100, 'x') + "\"}]", 50), ", row 1: longer than 50 bytes");
  EXPECT_EQ(error_of("a.json", "[{\"a\": 1}] x"), ": something follows the list that it begins with");
  EXPECT_NE(error_of("a.jsonl.zst", zstd(std::string(5000, 'x')).substr(0, 12)).find(": cannot read: "), std::string::npos);
  EXPECT_EQ(error_of("b.jsonl.zst", ""), ": is empty, not even a zstd header; was its download or its writer cut off?");
  EXPECT_EQ(error_of("b.jsonl.bz2", ""), ": is empty, not even a bzip2 header; was its download or its writer cut off?");
  EXPECT_EQ(error_of("c.jsonl.bz2", bzip2(std::string(5000, 'x')).substr(0, 30)), ":1: cannot read: unexpected end of file");
  EXPECT_EQ(error_of("c.jsonl.xz", xz(std::string(5000, 'x')).substr(0, 40)), ":1: cannot read: unexpected end of file");
  std::string flipped = xz("{\"a\": \"" + std::string(5000, 'x') + "\"}");
  flipped[flipped.size() / 2] ^= 1;
  EXPECT_EQ(error_of("d.jsonl.xz", flipped), ":1: cannot read: incorrect data check");
}

// Brotli has no mark: a file is taken for it by its name, if it is not text.
TEST_F(Rows, BrotliByName) {
  if (!has_brotli()) GTEST_SKIP() << "no Brotli";
  const Json golden = parse_json_file(fs::path(R1_SOURCE_DIR) / "tests/golden/brotli.json");
  const auto bytes_of = [](const std::string& hex) {
    std::string out;
    for (size_t i = 0; i < hex.size(); i += 2) out += char(std::stoi(hex.substr(i, 2), nullptr, 16));
    return out;
  };
  const auto lines_of = [&](const std::string& name, const std::string& bytes) {
    std::string out, line;
    for (LineReader lines(write(name, bytes)); lines.next(line);) out += line + "\n";
    return out;
  };
  for (const Json& pair : golden.at("streams")) {
    const std::string packed = bytes_of(pair[0]), text = pair[1];
    if (text.size() < 4) continue;  // of a few bytes nothing can be said
    EXPECT_EQ(lines_of("a.txt.br", packed), text + "\n") << text.size();
    EXPECT_EQ(packing_of_name(".br", text), Packing::kNone) << text;
    EXPECT_EQ(packing_of_name(".gz", packed), Packing::kNone);
  }
  const std::string last = bytes_of(golden.at("streams").back()[0]);
  EXPECT_EQ(form_of("rows.csv.br"), FileForm::kCsv);
  EXPECT_EQ(error_of("b.jsonl.br", last.substr(0, last.size() / 2)), ":1: cannot read: unexpected end of file");
  EXPECT_NE(error_of("c.jsonl.br", last + "more").find(":1: cannot read: something follows its end"), std::string::npos);
  std::string damaged = last;
  damaged[damaged.size() / 3] ^= 16;
  EXPECT_NE(message_of([&] { lines_of("d.txt.br", damaged); }), "");
  EXPECT_EQ(error_of("e.jsonl.br", ""), ": is empty, not even a Brotli header; was its download or its writer cut off?");
  // Breton, in the encodings it had
  EXPECT_EQ(lines_of("corpus.br", "Demat d'an holl\xC3\xB1\n"), "Demat d'an holl\xC3\xB1\n");
  EXPECT_EQ(packing_of_name(".br", "Dema\xF1t d'an holl, ha kenavo ar wech all er bloaz a zeu.\n"), Packing::kNone);
  LineReader first(write("f.txt.br", last));
  std::string text, again;
  first.next(text);
  first.seek({});
  first.next(again);
  EXPECT_EQ(again, text);
}

TEST_F(Rows, FilesOfOtherKindsAreRefusedWithAWayOut) {
  EXPECT_NE(error_of("t.xlsx", "PK\x03\x04....").find("save the table as CSV"), std::string::npos);
  EXPECT_NE(error_of("t.csv", std::string("\xFF\xFE"
                                          "a\0",
                                          4))
                .find("UTF-16"),
            std::string::npos);
}

TEST_F(Rows, GoesOnAtEveryRow) {
  const std::vector<std::string> paths = {write("a.json", "[{\"i\":0}, {\"i\":1},{\"i\":2}\n,{\"i\":3}]"),
                                          write("b.json", "{\"data\": [{\"i\":0},{\"i\":1},{\"i\":2},{\"i\":3}]}"),
                                          write("c.csv", "i,t\n0,\"x\ny\"\n\n1,x\n2,x\n3,\"\n\"\n"),
                                          write("d.tsv", "i\tt\n0\t\"x\ny\"\n1\t\"x\n2\tx\n3\t\"\"\n"),
                                          gzip("e.csv.gz", "i,t\n0,\"x\ny\"\n1,x\n2,x\n3,x\n"),
                                          write("f.csv.zst", zstd("i,t\n0,\"x\ny\"\n1,x\n2,x\n3,x\n")),
                                          write("g.csv.bz2", bzip2("i,t\n0,\"x\ny\"\n1,x\n2,x\n3,x\n")),
                                          write("h.csv.xz", xz("i,t\n0,\"x\ny\"\n1,x\n2,x\n3,x\n"))};
  for (const std::string& path : paths) {
    const std::vector<Json> whole = all(path);
    ASSERT_EQ(whole.size(), 4u) << path;
    for (size_t k = 0; k <= 4; ++k) {
      RowReader first(path), second(path);
      for (size_t i = 0; i < k; ++i) first.next();
      second.seek(first.position());
      for (size_t i = k; i < 4; ++i) {
        EXPECT_EQ(second.next(), whole[i]) << path << " " << k << " " << i;
        first.next();
        EXPECT_EQ(second.where(), first.where());
      }
      EXPECT_FALSE(second.next()) << path;
    }
  }
  RowReader csv(paths[2]);
  csv.next(), csv.next();
  EXPECT_EQ(csv.where(), paths[2] + ":5");
}

TEST_F(Rows, AfterALineThatIsTooLongComesTheNext) {
  LineReader lines(write("long.txt", "one\n" + std::string(700'000, 'x') + "\ntwo\n" + std::string(2'000, 'y')), 1'000);
  std::string line;
  ASSERT_TRUE(lines.next(line));
  EXPECT_NE(message_of([&] { lines.next(line); }).find(":2: line longer than 1000 bytes"), std::string::npos);
  ASSERT_TRUE(lines.next(line));
  EXPECT_EQ(line, "two");
  EXPECT_EQ(lines.position().byte, 700'009);
  EXPECT_NE(message_of([&] { lines.next(line); }).find(":4: line longer than 1000 bytes"), std::string::npos);
  EXPECT_FALSE(lines.next(line));
}

long peak_kilobytes() {
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// Files far larger than the memory that reading them takes.
TEST_F(Rows, MemoryIsARow) {
  const std::string pad(20'000, 'p');
  std::string csv = "i,t\n", list = "[";
  for (int i = 0; i < 1'500; ++i) {
    csv += std::to_string(i) + ",\"" + pad + "\"\n";
    list += str(i ? "," : "", "{\"i\":\"", i, "\",\"t\":\"", pad, "\"}");
  }
  const std::string paths[] = {gzip("big.csv.gz", csv), gzip("big.json.gz", list + "]"), write("big.csv.zst", zstd(csv))};
  csv = list = "";
  const long before = peak_kilobytes();
  for (const std::string& path : paths) {
    RowReader reader(path);
    int64_t rows = 0;
    for (std::string row; reader.next(row);) ++rows;
    EXPECT_EQ(rows, 1'500) << path;
  }
#if !defined(__SANITIZE_ADDRESS__)                              // freed memory stays in quarantine
  EXPECT_LT(peak_kilobytes() - before, 20'000) << "kilobytes";  // each file holds 30,000
#endif
}

// Mutated files: rows, or an error that names the file. Never anything else.
TEST_F(Rows, MutationsAreErrorsOrRows) {
  const std::pair<const char*, std::string> good[] = {
      {"m.csv", "q,a,b\r\n\"one, \"\"two\"\"\nthree\",1,x\ncaf\xC3\xA9,,\"\"\n\n1,2,3\n"},
      {"m.tsv", "q\ta\n\"one\ttwo\"\t1\n\"x\ny\"\t\"\n\"z\t3\n"},
      {"m.json", "[{\"a\": [1, {\"b\": \"]\\\"}\"}]}, {\"c\": null}, {}]"},
      {"m2.json", "{\"x\": [1], \"data\": [{\"a\": 1}, {\"b\": \"\\u00e9\"}], \"y\": 2}"},
      {"m.csv.zst", zstd("q,a\n\"x\ny\",1\n2,3\n")},
  };
  Rng rng(7);
  for (const auto& [name, text] : good) {
    int errors = 0;
    for (int i = 0; i < 200; ++i) {
      std::string bytes = text;
      for (int64_t n = rng.between(1, 4); n > 0 && !bytes.empty(); --n) {
        const size_t at = rng.below(bytes.size());
        switch (rng.below(4)) {
          case 0:
            bytes.erase(at, 1);
            break;
          case 1:
            bytes.insert(at, 1, "\",\n\t[]{}:\\;\r"[rng.below(12)]);
            break;
          case 2:
            bytes.resize(at);
            break;
          default:
            bytes[at] = char(rng.below(256));
        }
      }
      const std::string path = write(name, bytes);
      try {
        all(path, 1000);
      } catch (const Error& e) {
        ++errors;
        ASSERT_TRUE(std::string(e.what()).starts_with(path)) << e.what();
      }
    }
    EXPECT_GT(errors, 25) << name;
  }
}

// ---- which files ----

TEST_F(Rows, ANameStandsForFiles) {
  for (const char* name : {"d/train-00000.jsonl", "d/train-00001.jsonl", "d/test.csv", "d/dev.csv", "d/sub/more_train.json", "d/README.md",
                           "d/dataset_info.json", "d/.hidden/train.jsonl", "one/SVAMP.json", "empty/x.bin"})
    write(name, "[]");
  const std::string root = folder.path().string() + "/";
  const auto found = [&](const std::string& name, Split split = Split::kAny) {
    std::string names;
    for (const std::string& file : find_files({root + name}, "train_files", split))
      names += (names.empty() ? "" : " ") + file.substr(root.size());
    return names;
  };
  EXPECT_EQ(found("d/test.csv"), "d/test.csv");
  fs::create_directory_symlink(".", folder.path() / "d/itself");
  fs::create_directory_symlink("../d/sub", folder.path() / "one/other");
  EXPECT_EQ(found("one"), "one/SVAMP.json one/other/more_train.json");
  fs::remove(folder.path() / "one/other");
  EXPECT_EQ(found("d"), "d/dev.csv d/sub/more_train.json d/test.csv d/train-00000.jsonl d/train-00001.jsonl");
  EXPECT_EQ(found("d", Split::kTrain), "d/sub/more_train.json d/train-00000.jsonl d/train-00001.jsonl");
  EXPECT_EQ(found("d", Split::kValidation), "d/dev.csv");
  EXPECT_EQ(found("d", Split::kTest), "d/test.csv");
  EXPECT_EQ(found("one", Split::kTrain), "one/SVAMP.json") << "no name says train: those that say nothing";
  // Parts in folders of their own, as r1 data run and others write them; a folder above the one that was named says nothing.
  for (const char* name : {"test/mine/train/000.jsonl", "test/mine/validation/000.jsonl", "test/mine/test/000.jsonl"}) write(name, "{}");
  EXPECT_EQ(found("test/mine", Split::kTrain), "test/mine/train/000.jsonl");
  EXPECT_EQ(found("test/mine", Split::kValidation), "test/mine/validation/000.jsonl");
  EXPECT_EQ(found("test/mine", Split::kTest), "test/mine/test/000.jsonl");
  EXPECT_EQ(found("test/mine/train", Split::kTrain), "test/mine/train/000.jsonl");
  EXPECT_EQ(found("d/train-*.jsonl"), "d/train-00000.jsonl d/train-00001.jsonl");
  EXPECT_EQ(found("d/{dev,test}.csv"), "d/dev.csv d/test.csv");
  write("odd[1].jsonl", "");
  EXPECT_EQ(found("odd[1].jsonl"), "odd[1].jsonl") << "a file's own name comes before a pattern";
  EXPECT_NE(message_of([&] { found("d/*.xml"); }).find("train_files: no file matches '"), std::string::npos);
  EXPECT_NE(message_of([&] { found("none.jsonl"); }).find("train_files: no file '"), std::string::npos);
  EXPECT_NE(message_of([&] { found("empty"); }).find("no data files in folder"), std::string::npos);
  EXPECT_NE(message_of([&] { found("one", Split::kTest); }).find("has SVAMP.json, by their names all of another split"), std::string::npos);

  const EnvironmentVariable data("R1_DATA", folder.path().string());
  EXPECT_EQ(find_data("d/test.csv"), root + "d/test.csv");
  EXPECT_EQ(find_files({"d/t*.csv"}, "data"), (std::vector<std::string>{root + "d/test.csv"}));
  EXPECT_EQ(find_data("d/none.csv"), "");
  EXPECT_NE(message_of([] { find_files({"none.csv"}, "data"); }).find("nor below R1_DATA"), std::string::npos);
}

// ---- conversations ----

TEST(Conversations, EveryShape) {
  const auto messages = [](const char* row, const Columns& columns = {}) {
    return to_json(conversation_from_json(Json::parse(row), "f:1", TemplateKeys::kKnown, columns).messages);
  };
  const Json plain = Json::parse(R"([{"role":"user","content":"q"},{"role":"assistant","content":"a"}])");
  Json system = plain;
  system.insert(system.begin(), Json{{"role", "system"}, {"content", "s"}});
  EXPECT_EQ(messages(R"({"messages":[{"from":"human","value":"q"},{"from":"chatgpt","value":"a"}]})"), plain);
  EXPECT_EQ(messages(R"({"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}],"system":"s"})"), system);
  EXPECT_EQ(messages(R"({"conversations":[{"from":"system","value":"s"},{"from":"human","value":"q"},{"from":"gpt","value":"a"}]})"),
            system);
  EXPECT_EQ(messages(R"({"instruction":"q","input":"","output":"a","text":"all of it"})"), plain);
  EXPECT_EQ(messages(R"({"instruction":"q","output":"a","input":null,"system":"s"})"), system);
  EXPECT_EQ(messages(R"({"instruction":"do","input":"this","output":"a"})")[0]["content"], "do\nthis");
  const Json turns = messages(R"({"instruction":"q","output":"a","history":[["h","i"]]})");
  ASSERT_EQ(turns.size(), 4u);
  EXPECT_EQ(turns[1], (Json{{"role", "assistant"}, {"content", "i"}}));
  EXPECT_EQ(messages(R"({"question":"q","answer":"a"})"), plain);
  EXPECT_EQ(messages(R"({"question":"q","answer":12345678901234567})")[1]["content"], "12345678901234567");
  EXPECT_EQ(messages(R"({"prompt":[{"role":"system","content":"s"},{"role":"user","content":"q"}],"completion":"a"})"), system);
  // Renamed, and then a shape that uses every name given.
  EXPECT_EQ(messages(R"({"Q":"q","A":"a"})", {{"prompt", "Q"}, {"completion", "A"}}), plain);
  EXPECT_EQ(messages(R"({"messages":[{"role":"user","content":"x"}],"x":{"y.z":"q"},"response":"a"})",
                     {{"prompt", "x.y.z"}, {"completion", "response"}}),
            plain);
  EXPECT_EQ(messages(R"({"chat":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]})", {{"messages", "chat"}}), plain);
}

TEST(Conversations, WhatFitsNothingSaysWhatWasFound) {
  const auto error = [](const char* row, const Columns& columns = {}) {
    return message_of([&] { conversation_from_json(Json::parse(row), "f:3", TemplateKeys::kKnown, columns); });
  };
  EXPECT_EQ(
      error(R"({"query":"q","response":"a"})"),
      "f:3: no conversation in it; found: query, response; known: messages | conversations | prompt, completion | instruction, output "
      "(input, history) | question, answer. Name yours: --columns.prompt=KEY --columns.completion=KEY");
  EXPECT_NE(error(R"({"prompt":"q","completion":null})").find("found: prompt, completion"), std::string::npos);
  EXPECT_NE(error(R"({"from":"human","value":"q"})").find("the row is one message (found: from, value)"), std::string::npos);
  EXPECT_EQ(error(R"({"a":1})", {{"prompt", "q"}}), "f:3: key 'q' (columns.prompt) is missing; found: a");
  EXPECT_NE(
      error(R"({"q":"x","answer":"y"})", {{"prompt", "q"}}).find("no conversation in it (with columns.prompt); found: q, answer, prompt"),
      std::string::npos);
  EXPECT_NE(error(R"({"conversations":[{"from":"bing","value":"q"}]})").find("unknown role 'bing'; known: "), std::string::npos);
  EXPECT_NE(message_of([] { check_conversation_columns({{"promt", "q"}}); }).find("did you mean 'prompt'?"), std::string::npos);
}

// Wherever a reader's buffer ends, also just after the magic with which a member begins.
TEST(Unpacker, MembersSplitAnywhere) {
  const std::string first = "the first\n", second = "and the second\n";
  for (const auto& [packing, pack] : std::vector<std::pair<Packing, std::function<std::string(const std::string&)>>>{
           {Packing::kGzip, [](const std::string& t) { return gzip(t); }},
           {Packing::kBzip2, [](const std::string& t) { return bzip2(t); }},
           {Packing::kXz, [](const std::string& t) { return xz(t); }},
           {Packing::kZstd, [](const std::string& t) { return zstd(t); }}}) {
    const std::string packed = pack(first) + pack(second);
    for (size_t split = 0; split <= packed.size(); ++split) {
      const auto unpacker = Unpacker::make(packing);
      std::string out, fault;
      for (std::string_view in : {std::string_view(packed).substr(0, split), std::string_view(packed).substr(split)}) {
        char buffer[64];
        while (true) {
          const size_t before = in.size(), got = unpacker->unpack(in, buffer, sizeof buffer, fault);
          out.append(buffer, got);
          if (!fault.empty() || (got == 0 && in.size() == before)) break;
        }
      }
      ASSERT_EQ(fault, "") << int(packing) << " split at " << split;
      ASSERT_EQ(out, first + second) << int(packing) << " split at " << split;
    }
  }
}

}  // namespace
}  // namespace r1::data
