// Rows: JSON lines, lists, CSV, TSV; which of their keys is the text; conversations and problems; damage a row at a time.
#include <gtest/gtest.h>

#include <algorithm>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/data/table_file.h"
#include "tests/corpus/reader_support.h"
#include "tests/message_of.h"

namespace r1::corpus {
namespace {

using namespace std::literals;

std::string texts(const Read& read) {
  std::string out;
  for (const Document& d : read.documents) out += d.text + "|";
  return out + " " + read.reasons();
}

struct ReaderTables : testing::Test {
  const fs::path tables = fs::path(R1_SOURCE_DIR) / "tests/golden/tables";
  Files files{"reader_tables"};
  void SetUp() override {
    if (const std::string why = data::why_no_tables("a.parquet", data::TableForm::kParquet); !why.empty()) GTEST_SKIP() << why;
  }
};

TEST_F(ReaderTables, RowsAreTheDocumentsOfJsonLines) {
  for (const char* name : {"chat", "groups_none"}) {
    const Read want = read_file((tables / (std::string(name) + ".jsonl")).string());
    ASSERT_GT(want.documents.size(), 20u);
    const std::string bytes = r1::read_file(tables / (std::string(name) + ".parquet"));
    for (const Read& got : {read_file((tables / (std::string(name) + ".parquet")).string()), files.read("named.bin", bytes),
                            files.read("p.parquet.gz", gzip(bytes)), files.read("a.tar", tar({{"dir/p.parquet", bytes}}))}) {
      ASSERT_EQ(got.documents.size(), want.documents.size()) << name;
      for (size_t i = 0; i < want.documents.size(); ++i) {
        const Document &a = got.documents[i], &b = want.documents[i];
        EXPECT_EQ(a.text, b.text);
        EXPECT_EQ(a.extra, b.extra);
      }
      EXPECT_EQ(got.reasons(), want.reasons());
    }
  }
  const Read chat = read_file((tables / "chat.parquet").string());
  EXPECT_EQ(chat.documents[17].offset, 17);
  EXPECT_EQ(chat.documents[17].kind, "chat");
  EXPECT_EQ(read_file((tables / "groups_none.parquet").string()).documents[0].kind, "parquet");
  const Read asked = read_file((tables / "chat.parquet").string(), {.kind = "chat"});
  EXPECT_EQ(asked.documents.size(), 30u) << "how rows are taken, not what the file is: " << asked.reasons();
  EXPECT_EQ(files.read("c.csv", "text,question,answer\nx,Q?,A.\n", {.kind = "problems"}).documents.at(0).text, "Q?\n\nA.");
}

TEST_F(ReaderTables, WhatIsWrongIsCounted) {
  // 2 GB of rows in 500 bytes: none of them is parsed here, so that this takes no time
  const Read bomb = read_file((tables / "bomb.parquet").string(), {.max_document_bytes = 900'000});
  EXPECT_EQ(bomb.dropped("bomb"), 1);
  EXPECT_EQ(bomb.dropped("too_large") + bomb.dropped("bomb"), bomb.counts.documents_in()) << bomb.reasons();
  EXPECT_LT(bomb.dropped("too_large"), 400);
  // an image is nothing to read; the rest of its row is
  const Read bytes = read_file((tables / "bytes.parquet").string(), {.text_column = "image"});
  EXPECT_EQ(bytes.reasons(), "no_text: 3");
  std::string damaged = r1::read_file(tables / "groups_none.parquet");
  damaged.resize(damaged.size() - 40);
  EXPECT_EQ(files.read("d.parquet", damaged).reasons(), "parquet:damaged: 1");
  EXPECT_EQ(files.read("a.tar", tar({{"p.parquet", damaged}, {"t.txt", "a text"}})).reasons(), "parquet:damaged: 1");
  EXPECT_NE(message_of([&] {
              read_file((tables / "chat.parquet").string(), {.text_column = "body"});
            }).find("no column 'body' (text_column); there are: messages, id"),
            std::string::npos);
  const Read small = read_file((tables / "groups_none.parquet").string(), {.max_document_bytes = 50});
  EXPECT_GT(small.dropped("too_large"), 5);
  EXPECT_GT(small.documents.size(), 5u);
}

TEST(ReaderRows, TheTextAndWhatStandsBeside) {
  Files files("reader_rows");
  const std::string row =
      "{\"text\": \"T\", \"url\": \"u\", \"title\": \"t\", \"license\": \"MIT\", \"timestamp\": \"2020\", \"lang\": \"en\", \"id\": 3, "
      "\"none\": null}\n";
  const Read read = files.read("a.jsonl", row + "\n{\"content\": \"C\"}\n");
  ASSERT_EQ(texts(read), "T|C| ");
  const Document& d = read.documents[0];
  EXPECT_EQ(d.url + d.title + d.licence + d.date + d.language, "utMIT2020en");
  EXPECT_EQ(d.extra, Json({{"id", 3}}));
  EXPECT_EQ(d.kind, "jsonl");
  EXPECT_EQ(read.documents[1].offset, int64_t(row.size()) + 1) << "an empty line before it";
  for (const auto& [name, bytes] : {std::pair{"a.json"s, "[{\"text\": \"T\"}, {\"text\": \"U\"}]"s},
                                    {"b.json", "{\"version\": 1, \"data\": [{\"text\": \"T\"}, {\"text\": \"U\"}]}"},
                                    {"c.json", "{\"text\": \"T\"}\n{\"text\": \"U\"}\n"},
                                    {"d.csv", "id,text\n1,T\n2,U\n"},
                                    {"e.tsv", "id\ttext\n1\tT\n2\tU\n"},
                                    {"f.json.gz", gzip("[{\"text\": \"T\"}, {\"text\": \"U\"}]")},
                                    {"g.jsonl.bz2", bzip2("{\"text\": \"T\"}\n{\"text\": \"U\"}\n")},
                                    {"h.csv.xz", xz("text\nT\nU\n")},
                                    {"i.csv", "\xFF\xFEt\0e\0x\0t\0\n\0T\0\n\0U\0"s},
                                    {"j", "{\"text\": \"T\"}\n{\"text\": \"U\"}\n"}})
    EXPECT_EQ(texts(files.read(name, bytes)), "T|U| ") << name;
  EXPECT_EQ(texts(files.read("k.csv", "text\ncaf\xE9\n\"gr\xC3\xBC\xC3\x9F\x65\"\n")), "caf\xC3\xA9|gr\xC3\xBC\xC3\x9F\x65| ")
      << "windows-1252, a line at a time";
  EXPECT_EQ(texts(files.read("l.json", "{\"text\": \"only one\"}")), "only one| ");
}

// A row has no say in what is a control token or a page: those keys are the road's own.
TEST(ReaderRows, ARowForgesNoMarks) {
  Files files("reader_forged");
  const Read read = files.read("a.jsonl", "{\"text\": \"<eos> T\", \"control\": [[0, 5]], \"html\": true}\n");
  ASSERT_EQ(read.documents.size(), 1u);
  EXPECT_EQ(read.documents[0].extra, Json({{"row_control", Json::parse("[[0, 5]]")}, {"row_html", true}}));
}

// A quote that is only a character takes its own record away, not all up to the next quote; and what went is told in bytes.
TEST(ReaderRows, AStrayQuoteCostsItsRecordAlone) {
  Files files("reader_stray");
  std::string rows = "\n\nid;text\n0;first\n1;\"a stray quote\n";
  for (int i = 2; i < 200; ++i) rows += std::to_string(i) + ";text\n";
  rows += "200;\"a \"\"quoted\"\" one\"\n201;last\n";
  const Read read = files.read("a.csv", rows);
  EXPECT_EQ(read.documents.size(), 201u) << read.reasons();
  EXPECT_EQ(read.dropped("broken_row"), 1);
  EXPECT_EQ(read.counts.dropped().at("broken_row").bytes, int64_t(std::string("1;\"a stray quote\n").size()));
  const Read twice = files.read("b.csv", "text,text\na,b\nc,d\n");
  EXPECT_EQ(twice.reasons(), "csv:header: 1");
  EXPECT_EQ(twice.counts.dropped().at("csv:header").bytes, 18);
}

// Whatever bit of a member of a packed file is wrong, its beginning too, that member is lost and counted, and the others are read.
TEST(ReaderRows, DamageOfAMemberCostsThatMember) {
  Files files("reader_members");
  const auto member = [](int from) {
    std::string rows;
    for (int i = from; i < from + 50; ++i) rows += Json({{"text", "text " + std::to_string(i * 7919)}}).dump() + "\n";
    return rows;
  };
  for (const auto& [name, pack] :
       {std::pair<const char*, std::string (*)(const std::string&)>{"a.jsonl.gz", [](const std::string& s) { return gzip(s); }},
        {"a.jsonl.bz2", [](const std::string& s) { return bzip2(s); }},
        {"a.jsonl.xz", [](const std::string& s) { return xz(s); }}}) {
    const std::string before = pack(member(0)) + pack(member(50)), bad = pack(member(100)), after = pack(member(150));
    EXPECT_EQ(files.read(name, before + bad + std::string(64, '\0') + after).documents.size(), 200u) << name << ", zeros between two";
    EXPECT_EQ(files.read(name, before + "a signature").documents.size(), 100u) << name;
    EXPECT_EQ(files.read(name, before + "a signature").reasons(), "") << name;
    for (size_t at = 0; at < 3; ++at) {
      std::string damaged = bad;
      damaged[at] = char(damaged[at] ^ 4);
      const Read read = files.read(name, before + damaged + after);
      EXPECT_EQ(read.documents.size(), 150u) << name << " " << at;
      EXPECT_EQ(read.documents.back().text, "text " + std::to_string(199 * 7919));
      EXPECT_EQ(read.dropped("damaged_packing"), 1) << name << " " << at;
    }
  }
  std::string inside = gzip(member(100));
  inside[inside.size() / 2] = char(inside[inside.size() / 2] ^ 0x55);
  const Read read = files.read("b.jsonl.gz", gzip(member(0)) + inside + gzip(member(150)));
  EXPECT_GE(read.documents.size(), 100u) << read.reasons();
  EXPECT_EQ(read.documents.back().text, "text " + std::to_string(199 * 7919));
  EXPECT_EQ(read.dropped("damaged_packing"), 1);
}

TEST(ReaderRows, NumbersBeyondADoubleAreNoLossOfTheRow) {
  Files files("reader_huge");
  const Read read = files.read("a.jsonl", "{\"text\": \"T\", \"n\": 1e400, \"m\": -2.5E+999, \"k\": 1.5e3}\n");
  ASSERT_EQ(read.documents.size(), 1u) << read.reasons();
  EXPECT_EQ(read.documents[0].extra, Json({{"k", 1500.0}}));
}

TEST(ReaderRows, AColumnThatIsAskedFor) {
  Files files("reader_column");
  ReadOptions options;
  options.text_column = "story";
  EXPECT_EQ(texts(files.read("a.jsonl", "{\"text\": \"no\", \"story\": \"yes\"}\n{\"text\": \"x\"}\n", options)), "yes| no_text: 1");
  EXPECT_NE(message_of([&] { files.read("b.jsonl", "{\"text\": \"no\"}\n", options); }).find("no key 'story'"), std::string::npos);
  EXPECT_NE(message_of([&] { files.read("c.csv", "a,b\n1,2\n", options); }).find("there are: a, b"), std::string::npos);
}

TEST(ReaderRows, ConversationsAndProblems) {
  Files files("reader_chat");
  const std::string lines =
      "{\"messages\": [{\"role\": \"user\", \"content\": \"q\"}, {\"role\": \"assistant\", \"content\": \"a\"}]}\n"
      "{\"conversations\": [{\"from\": \"human\", \"value\": \"q\"}, {\"from\": \"gpt\", \"value\": \"a\"}]}\n"
      "{\"instruction\": \"q\", \"input\": \"\", \"output\": \"a\"}\n"
      "{\"question\": \"q\", \"answer\": \"a\", \"level\": 3}\n"
      "{\"problem\": \"q\", \"solution\": \"a\", \"type\": \"Algebra\"}\n"
      "{\"nothing\": 1}\n";
  const Read read = files.read("a.jsonl", lines);
  ASSERT_EQ(texts(read), "q\n\na|q\n\na|q\n\na|q\n\na|q\n\na| no_text: 1");
  std::string kinds;
  for (const Document& d : read.documents) {
    kinds += d.kind + " ";
    ASSERT_EQ(d.extra["messages"].size(), 2u) << d.extra;
    EXPECT_EQ(d.extra["messages"][1]["content"], "a");
  }
  EXPECT_EQ(kinds, "chat chat chat problems problems ");
  EXPECT_EQ(read.documents[4].extra["type"], "Algebra");
  ReadOptions options;
  options.kind = "chat";
  EXPECT_EQ(texts(files.read("b.json", "[{\"text\": \"no\", \"prompt\": \"q\", \"completion\": \"a\"}]", options)), "q\n\na| ");
}

// What Python's json.dumps() writes and its loads() reads, although it is no JSON.
TEST(ReaderRows, RowsAsPythonWritesThem) {
  Files files("reader_rows_python");
  const Read read =
      files.read("a.jsonl",
                 "{\"text\":\"NaN: \\\"NaN\\\"\",\"score\":NaN,\"all\":[Infinity,-Infinity,1]}\n"
                 "{\"text\":\"cut \\ud83d here \\uDE00, whole \\ud83d\\ude00, twice \\ud83d\\ud83d\\ude00, none \\\\ud83d\"}\n"
                 "{\"text\":\"no\",\"x\":nan}\n{\"text\":\"no \\ud8\"}\n");
  ASSERT_EQ(read.documents.size(), 2u) << read.reasons();
  EXPECT_EQ(read.documents[0].text, "NaN: \"NaN\"");
  EXPECT_EQ(read.documents[0].extra, Json({{"all", {nullptr, nullptr, 1}}}));
  EXPECT_EQ(read.documents[1].text,
            "cut \xEF\xBF\xBD here \xEF\xBF\xBD, whole \xF0\x9F\x98\x80, twice \xEF\xBF\xBD\xF0\x9F\x98\x80, none \\ud83d");
  EXPECT_EQ(read.dropped("broken_row"), 2);
}

TEST(ReaderRows, ABrokenRowIsOneRow) {
  Files files("reader_rows_broken");
  const std::string many = "{\"x\": [" + std::string(2'200'000, ',') + "]}";
  std::string deep = "{\"x\": ";
  deep += std::string(100'000, '[') + std::string(100'000, ']') + "}";
  EXPECT_EQ(texts(files.read("a.jsonl", "{\"text\": \"a\"}\n{\"text\": \n[1]\n" + deep + "\n" + many +
                                            "\n{\"text\": \"caf\xE9\"}\n\"text\"\n{\"text\": \"b\"}")),
            "a|caf\xC3\xA9|b| broken_row: 2, no_object: 2, too_many_values: 1");
  EXPECT_EQ(texts(files.read("b.json", "[{\"text\": \"a\"}, {\"text\" 1}, 7, {\"text\": \"b\"}]")), "a|b| broken_row: 1, no_object: 1");
  EXPECT_EQ(texts(files.read("c.json", "[{\"text\": \"a\"}, {\"text\": \"b\"} {\"text\": \"c\"}]")), "a|b| broken_row: 1");
  EXPECT_EQ(texts(files.read("d.csv", "id,text\n1,a\n2\n3,b,c\n4,d\n")), "a|d| broken_row: 2");
  EXPECT_EQ(texts(files.read("e.jsonl.gz", gzip("{\"text\": \"a\"}\n" + std::string(300'000, 'x')).substr(0, 200))),
            "a| broken_row: 1, truncated: 1");
  EXPECT_EQ(texts(files.read("f.jsonl", "{\"text\": \"a\"}\n{\"text\": \"" + std::string(40 << 20, 'x') + "\"}\n{\"text\": \"b\"}\n")),
            "a|b| too_large: 1");
  EXPECT_EQ(texts(files.read("g.json", "[{\"text\": \"a\"}")), "a| broken_row: 1");
}

TEST(ReaderRows, RealTables) {
  const std::string gsm8k = data_file("gsm8k/test.jsonl");
  if (gsm8k.empty()) GTEST_SKIP() << "no gsm8k/test.jsonl (set R1_DATA)";
  const Read read = read_file(gsm8k);
  EXPECT_EQ(read.documents.size(), 1'319u) << read.reasons();
  EXPECT_EQ(read.documents[0].kind, "problems");
  EXPECT_EQ(read.reasons(), "");
}

}  // namespace
}  // namespace r1::corpus
