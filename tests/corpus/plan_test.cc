// Large files in parts: the documents, places and counts are those of the file read as a whole, whatever the parts' size; and the same bytes come out of a
// run that many share, or that is killed.
#include "r1/corpus/plan.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/rng.h"
#include "r1/base/threads.h"
#include "r1/corpus/document_file.h"
#include "r1/corpus/pipeline.h"
#include "r1/data/table_file.h"
#include "tests/corpus/reader_support.h"
#include "tests/message_of.h"

namespace r1::corpus {
namespace {

// Words that pack badly, as many of them as of no other seed.
std::string words(uint64_t seed, int most = 60) {
  Rng rng(seed);
  std::string text;
  for (uint64_t n = 5 + rng.below(uint64_t(most)); n > 0; --n) {
    for (uint64_t c = 2 + rng.below(9); c > 0; --c) text += char('a' + rng.below(26));
    text += n % 9 == 0 ? "\n\n" : " ";
  }
  return text;
}

std::string record(const std::string& type, const std::string& block) {
  const std::string media = type == "conversion" ? "text/plain" : "application/http; msgtype=response";
  return "WARC/1.0\r\nWARC-Type: " + type + "\r\nWARC-Target-URI: https://a.example/" + std::to_string(block.size()) +
         "\r\nContent-Type: " + media + "\r\nContent-Length: " + std::to_string(block.size()) + "\r\n\r\n" + block + "\r\n\r\n";
}

// Pages, texts, a page that quotes a WARC file, and what is left out.
std::vector<std::string> records(int n) {
  std::vector<std::string> out = {record("warcinfo", "isPartOf: x\r\n")};
  for (int i = 0; i < n; ++i) {
    const std::string text = words(uint64_t(i)), page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html><title>" +
                                                        std::to_string(i) + "</title><p>" + text + "</p></html>";
    if (i % 5 == 1)
      out.push_back(record("conversion", text));
    else if (i % 7 == 2)
      out.push_back(record("request", "GET / HTTP/1.1\r\n\r\n"));
    else if (i % 11 == 3)
      out.push_back(record("conversion", "How a record looks:\r\n\r\n" + record("conversion", text) + text));
    else
      out.push_back(record("response", page));
  }
  return out;
}

std::string joined(const std::vector<std::string>& parts, bool packed) {
  std::string out;
  for (const std::string& part : parts) out += packed ? gzip(part) : part;
  return out;
}

Read read_parts(const std::vector<InputShard>& shards, const ReadOptions& options = {}) {
  Read parts;
  for (const InputShard& shard : shards) {
    const auto reader = open_shard(shard, options);
    Document d;
    while (reader->next(d, parts.counts)) parts.documents.push_back(d);
  }
  return parts;
}

void expect_same(const Read& got, const Read& want, const std::string& what) {
  ASSERT_EQ(got.documents.size(), want.documents.size()) << what << " " << got.reasons();
  for (size_t i = 0; i < got.documents.size(); ++i) ASSERT_EQ(to_json(got.documents[i]), to_json(want.documents[i])) << what << " " << i;
  EXPECT_EQ(got.counts.to_json(), want.counts.to_json()) << what;
}

TEST(Plan, StretchesOfJsonLinesAreTheFile) {
  const Files files("plan_lines");
  std::string lines;
  for (int i = 0; i < 300; ++i) lines += Json({{"text", words(uint64_t(i), 1 + i % 40)}}).dump() + (i % 7 ? "\n" : "\r\n");
  lines += "not json\n{\"text\":\"the last one has no line end\"}";
  const std::string file = files.write("a.jsonl", lines);
  const Read whole = read_file(file);
  for (const int64_t bytes : {1024, 5000, 65'536, 10'000'000}) {
    const std::vector<InputShard> shards = plan_shards({file}, bytes);
    EXPECT_GE(int64_t(shards.size()), int64_t(lines.size()) / bytes / 3);
    expect_same(read_parts(shards), whole, std::to_string(bytes));
  }
}

TEST(Plan, JsonLinesThatAreToBeReadAsTextAreNotCut) {
  const Files files("plan_lines_as_text");
  std::string lines;
  for (int i = 0; i < 300; ++i) lines += Json({{"text", words(uint64_t(i))}}).dump() + "\n";
  const std::string file = files.write("a.jsonl", lines);
  EXPECT_GT(plan_shards({file}, 1024).size(), 10u);
  EXPECT_GT(plan_shards({file}, 1024, "chat").size(), 10u);
  EXPECT_EQ(plan_shards({file}, 1024, "text").size(), 1u);
}

// Rows with all that can stand in a table: line ends and quotes inside of quotes, empty lines, fields that only look quoted.
std::string odd_table(char separator, int rows) {
  const std::string s(1, separator);
  std::string out = "id" + s + "text\n";
  for (int i = 0; i < rows; ++i) {
    const std::string id = std::to_string(i), text = words(uint64_t(i), 5);
    switch (i % 9) {
      case 0:
        out += id + s + "\"" + text + "\n" + text + "\"\n";
        break;
      case 1:
        out += id + s + "\"a \"\"word\"\" at\r\n\r\n the \"\"\"\n";
        break;
      case 2:
        out += id + s + "5\" of it\r\n\n\n";
        break;
      case 3:
        out += "\"" + id + "\"" + s + "\"\"\"" + text + "\"\"\"\n";
        break;
      case 4:
        out += id + s + "\"" + text + "\" and more\n";  // broken
        break;
      case 5:
        out += id + s + "\"ends in a quote\"\"\n\"\n";
        break;
      case 6:
        out += id + "\n";  // a field is missing
        break;
      case 7:
        out += id + s + "caf\xE9 " + "gr\xFC\xDF\n";  // Windows-1252
        break;
      default:
        out += id + s + std::string(text.begin(), text.begin() + 5) + "\n";
    }
  }
  return out;
}

// Borders at every byte that a part's size can bring them to.
TEST(Plan, PartsOfTablesAreTheFile) {
  const Files files("plan_tables");
  for (const auto& [name, separator] : {std::pair{"a.csv", ','}, {"b.csv", ';'}, {"c.tsv", '\t'}}) {
    const std::string table = odd_table(separator, 27);
    for (const std::string& end : {std::string(), "99" + std::string(1, separator) + "\"never\nclosed\n7" + separator + "x\n"}) {
      const std::string file = files.write(name, "\xEF\xBB\xBF" + table + end);
      const Read whole = read_file(file);
      EXPECT_GT(whole.documents.size(), 15u) << whole.reasons();
      size_t most = 0;
      for (int64_t bytes = 1; bytes < 300; bytes += end.empty() && bytes < 50 ? 1 : 31) {
        const std::vector<InputShard> shards = plan_shards({file}, bytes);
        most = std::max(most, shards.size());
        expect_same(read_parts(shards), whole, file + " " + std::to_string(bytes));
        if (HasFatalFailure()) return;
      }
      EXPECT_GT(most, separator == '\t' ? 12u : 20u) << name << end;
    }
  }
}

// The offset is the row's place in the file, in whatever encoding it is; and a part may be a table of its own, asked for by name.
TEST(Plan, ATableOfAnotherEncodingIsCutToo) {
  const Files files("plan_latin1");
  std::string table = "text\n";
  std::vector<int64_t> begins;
  for (int i = 0; i < 50; ++i) {
    begins.push_back(int64_t(table.size()));
    table += i % 3 ? "caf\xE9 cr\xE8me " + std::to_string(i) + "\n" : "plain " + std::to_string(i) + "\n";
  }
  const std::string file = files.write("a.csv", table);
  const Read whole = read_file(file);
  ASSERT_EQ(whole.documents.size(), 50u);
  for (size_t i = 1; i < 50; ++i) EXPECT_EQ(whole.documents[i].offset, begins[i]);
  EXPECT_EQ(whole.documents[1].text, "caf\xC3\xA9 cr\xC3\xA8me 1");
  const std::vector<InputShard> shards = plan_shards({file}, 60);
  EXPECT_GT(shards.size(), 8u);
  expect_same(read_parts(shards), whole, file);
  const std::string other = files.write("table.data", table);
  EXPECT_GT(plan_shards({other}, 60, "csv").size(), 8u);
}

TEST(Plan, AQuoteThatNeverClosesCostsItsRecordAlone) {
  const Files files("plan_open_quote");
  const Read read = files.read("a.csv", "id,text\n1,one\n2,\"two\n3,three\n4,\"fo\"\"ur\"\n5,five\n");
  ASSERT_EQ(read.documents.size(), 4u) << "that of 2 closes before ur, in the middle of another record: " << read.reasons();
  EXPECT_EQ(read.documents[2].text, "fo\"ur");
  const Read open = files.read("b.csv", "id,text\n1,one\n2,\"two\n3,three\n4,four\n");
  ASSERT_EQ(open.documents.size(), 3u) << open.reasons();
  EXPECT_EQ(open.documents[1].text, "three");
  EXPECT_EQ(open.dropped("broken_row"), 1);
}

// Members and frames of every size, whose borders are at every byte of a line, with empty ones between.
TEST(Plan, PartsOfPackedRowsAreTheFile) {
  const Files files("plan_packed");
  std::string lines = "\xEF\xBB\xBF";
  for (int i = 0; i < 60; ++i) {
    lines += Json({{"text", words(uint64_t(i), 1 + i % 12)}}).dump() + (i % 7 ? "\n" : "\r\n");
    if (i % 11 == 4) lines += "\n \n\xEF\xBB\xBF";
    if (i % 13 == 5) lines += "no json\n";
  }
  lines += "{\"text\":\"the last one has no line end\"}";
  const std::string table = odd_table(',', 45), skipped = std::string("\x50\x2A\x4D\x18\x04\0\0\0", 8) + "skip";
  for (const auto& [name, text] : {std::pair<std::string, std::string>{"a.jsonl", lines}, {"b.csv", table}}) {
    const Read plain = read_file(files.write(name, text));
    for (const bool frames : {false, true})
      for (const size_t step : {1, 7, 50, 333}) {
        std::string packed;
        for (size_t at = 0; at < text.size(); at += step) {
          const std::string piece = text.substr(at, step);
          packed += frames ? (at % 3 ? "" : skipped) + zstd(piece) : gzip(piece);
          if (at % 5 == 0) packed += frames ? zstd("") : gzip("");
        }
        const std::string file = files.write(name + (frames ? ".zst" : ".gz"), packed);
        const Read whole = read_file(file);
        ASSERT_EQ(whole.documents.size(), plain.documents.size());
        for (size_t i = 0; i < whole.documents.size(); ++i) ASSERT_EQ(whole.documents[i].offset, plain.documents[i].offset);
        for (const int64_t bytes : {1, 200, 1000, 3000}) {
          const std::vector<InputShard> shards = plan_shards({file}, bytes);
          const std::string what = file + " " + std::to_string(step) + " " + std::to_string(bytes);
          expect_same(read_parts(shards), whole, what);
          if (bytes == 1 && step > 7 && name == "b.csv") {
            EXPECT_GT(shards.size(), text.size() / step / 2) << what;
          }
        }
      }
  }
}

// As they are when a disk is full, a download breaks, or a bit flips.
TEST(Plan, DamageOfPackedRowsIsTheSameInParts) {
  const Files files("plan_packed_damage");
  std::string lines;
  for (int i = 0; i < 600; ++i) lines += Json({{"text", words(uint64_t(i), 40)}}).dump() + "\n";
  for (const bool frames : {false, true}) {
    std::string good;
    for (size_t at = 0; at < lines.size(); at += 4'000) good += frames ? zstd(lines.substr(at, 4'000)) : gzip(lines.substr(at, 4'000));
    Rng rng(5);
    for (int i = 0; i < 12; ++i) {
      std::string bad = good;
      const size_t at = 200 + rng.below(good.size() - 400);
      if (i % 3 == 0)
        bad.resize(at);
      else if (i % 3 == 1)
        for (int k = 0; k < 3; ++k) bad[at + size_t(k)] ^= char(0x55);
      else
        bad.insert(at, "bytes of elsewhere");
      if (i == 11) bad = good + "a signature behind the end";
      const std::string file = files.write(frames ? "bad.jsonl.zst" : "bad.jsonl.gz", bad);
      const std::vector<InputShard> shards = plan_shards({file}, 12'000);
      EXPECT_GT(int64_t(shards.size()), int64_t(at) / 30'000) << at;
      expect_same(read_parts(shards), read_file(file), file + " " + std::to_string(at));
    }
  }
}

TEST(Plan, RowsPackedAsOneStreamAreOneShard) {
  const Files files("plan_one_stream");
  std::string lines;
  for (int i = 0; i < 300; ++i) lines += Json({{"text", words(uint64_t(i))}}).dump() + "\n";
  // a member that is only quoted: what looks like its header stands in a stored block of the one around it
  const std::string quoted = gzip(lines + "{\"text\":\"" + gzip("{}") + "\"}\n" + lines, 0);
  for (const auto& [name, bytes] : {std::pair<std::string, std::string>{"a.jsonl.gz", gzip(lines)},
                                    {"b.jsonl.zst", zstd(lines)},
                                    {"c.jsonl.bz2", bzip2(lines)},
                                    {"d.jsonl.xz", xz(lines)},
                                    {"e.jsonl.gz", quoted},
                                    {"f.jsonl", "\xFF\xFE" + std::string(5000, 'a')}})
    EXPECT_EQ(plan_shards({files.write(name, bytes)}, 1000).size(), 1u) << name;
}

// Only a file's first row says whether it has the column that is asked for.
TEST(Plan, ARowWithoutTheColumnIsCountedInWhateverPart) {
  const Files files("plan_column");
  std::string lines;
  for (int i = 0; i < 40; ++i) lines += Json({{i % 4 == 3 ? "other" : "body", words(uint64_t(i))}}).dump() + "\n";
  const std::string file = files.write("a.jsonl", lines);
  const ReadOptions options = {.text_column = "body"};
  const Read whole = read_file(file, options);
  EXPECT_EQ(whole.dropped("no_text"), 10);
  const std::vector<InputShard> shards = plan_shards({file}, 300);
  EXPECT_GT(shards.size(), 10u);
  expect_same(read_parts(shards, options), whole, file);
}

// What a line begins with says nothing of the file that it is in the middle of.
TEST(Plan, APartThatBeginsLikeAnotherKindIsStillOfItsFile) {
  const Files files("plan_beginnings");
  std::string lines = "{\"text\":\"first\"}\n";
  for (const std::string begin :
       {"\x1F\x8B\x08", "\x28\xB5\x2F\xFD", "PK\x03\x04", "WARC/1.0", "\xFF\xFE", "\xFE\xFF", "\xEF\xBB\xBF", "PAR1", "[", "<html>"}) {
    lines += begin + "{\"text\":\"behind " + std::to_string(lines.size()) + "\"}\n";
    lines += "{\"text\":\"" + std::to_string(lines.size()) + "\"}\n";
  }
  const std::string file = files.write("a.jsonl", lines);
  const Read whole = read_file(file);
  EXPECT_EQ(whole.documents.size(), 12u) << whole.reasons();
  for (const int64_t bytes : {1, 10, 30, 100})
    for (const std::string kind : {"auto", "chat"}) {
      const ReadOptions options = {.kind = kind};
      expect_same(read_parts(plan_shards({file}, bytes, kind), options), read_file(file, options), kind + std::to_string(bytes));
    }
}

TEST(Plan, PartsOfAWarcAreTheFile) {
  const Files files("plan_warc");
  const std::vector<std::string> all = records(150);
  for (const bool packed : {false, true}) {
    const std::string bytes = joined(all, packed), file = files.write(packed ? "a.warc.gz" : "a.warc", bytes);
    const Read whole = read_file(file);
    EXPECT_GT(whole.documents.size(), 100u);
    // Where indexes of crawls say that they are.
    std::vector<int64_t> begins;
    int64_t at = 0;
    for (const std::string& r : all) begins.push_back(at), at += int64_t(packed ? gzip(r).size() : r.size());
    for (const Document& d : whole.documents) ASSERT_TRUE(std::ranges::binary_search(begins, d.offset)) << d.offset;
    for (const int64_t part : {1, 700, 5000, 20'000, 1'000'000}) {
      const std::vector<InputShard> shards = plan_shards({file}, part);
      const std::string what = file + " " + std::to_string(part);
      EXPECT_EQ(shards.size() == all.size(), part == 1) << what;
      EXPECT_EQ(shards.size() == 1, part == 1'000'000) << what;
      for (const InputShard& shard : shards) ASSERT_TRUE(std::ranges::binary_search(begins, shard.begin)) << what;
      expect_same(read_parts(shards), whole, what);
    }
  }
}

// What is broken inside is counted under the same reason and place, and what lies behind it is read, in whatever parts.
TEST(Plan, DamageOfAWarcIsTheSameInParts) {
  const Files files("plan_warc_damage");
  const std::vector<std::string> all = records(60);
  for (const bool packed : {false, true}) {
    const std::string good = joined(all, packed);
    Rng rng(3);
    for (int i = 0; i < 40; ++i) {
      std::string bad = good;
      const size_t at = size_t(packed ? gzip(all[0]).size() : all[0].size()) + 30 + rng.below(good.size() - 400);
      if (i % 4 == 0)
        bad.resize(at);
      else
        for (int k = 0; k < 3; ++k) bad[std::min(at + size_t(k), bad.size() - 1)] ^= char(0x55);
      const std::string file = files.write(packed ? "bad.warc.gz" : "bad.warc", bad);
      expect_same(read_parts(plan_shards({file}, 3000)), read_file(file), file + " " + std::to_string(at));
    }
  }
}

TEST(Plan, WhatHasNoPlacesToCutIsOneShard) {
  const Files files("plan_whole");
  const std::string all = joined(records(80), false);
  const auto shards = [&](const std::string& name, const std::string& bytes, const std::string& kind = "auto") {
    return plan_shards({files.write(name, bytes)}, 2000, kind).size();
  };
  EXPECT_EQ(shards("one_member.warc.gz", gzip(all)), 1u);
  std::string blocks;  // as bgzip packs: members that know nothing of records
  for (size_t at = 0; at < all.size(); at += 4096) blocks += gzip(all.substr(at, 4096));
  EXPECT_EQ(shards("blocks.warc.gz", blocks), 1u);
  EXPECT_EQ(shards("a.warc.zst", zstd(all)), 1u);
  EXPECT_EQ(shards("a.txt", all.substr(5)), 1u);
  EXPECT_GT(shards("a.warc", all), 10u);
  EXPECT_EQ(shards("a.warc", all, "text"), 1u) << "it is not to be read as WARC";
  // Nothing is cut behind a length that lies.
  std::vector<std::string> some = records(80);
  some[40].replace(some[40].find("Content-Length: ") + 16, 1, "9");
  const std::string file = files.write("lies.warc", joined(some, false));
  const std::vector<InputShard> cut = plan_shards({file}, 2000);
  EXPECT_GT(cut.size(), 3u);
  expect_same(read_parts(cut), read_file(file), file);
}

// A record that is a crawl's file itself, stored without packing: its members look like records of the file around it.
TEST(Plan, ACutInsideOfARecordIsNeverTakenForOne) {
  const Files files("plan_inner");
  const std::string inner = gzip(record("conversion", words(1))) + gzip(record("conversion", words(2)));
  const std::string outer = gzip(record("conversion", words(3))) +
                            gzip(record("resource", std::string(2000, 'x') + inner + std::string(3000, 'y')), 0) +
                            gzip(record("conversion", words(4)));
  const std::string file = files.write("a.warc.gz", outer);
  const std::vector<InputShard> shards = plan_shards({file}, 1500);
  ASSERT_GT(shards.size(), 2u) << "or the test tests nothing";
  const std::string message = message_of([&] { read_parts(shards); });
  EXPECT_NE(message.find("a.warc.gz: byte "), std::string::npos) << message;
  EXPECT_NE(message.find("give --shard_bytes above the file's size"), std::string::npos) << message;
  EXPECT_EQ(read_parts(plan_shards({file}, 100'000)).documents.size(), 2u);
}

TEST(Plan, RowGroupsOfParquetAreTheFile) {
  if (const std::string why = data::why_no_tables("a.parquet", data::TableForm::kParquet); !why.empty()) GTEST_SKIP() << why;
  const std::string tables = std::string(R1_SOURCE_DIR) + "/tests/golden/tables/";
  // As tests/oracles/parquet_golden.py writes them: 40 rows in groups of 40, 7, 1, 16 and 13.
  for (const auto& [name, groups] :
       {std::pair{"groups_none", 1u}, {"groups_snappy", 6u}, {"groups_gzip", 40u}, {"groups_brotli", 3u}, {"groups_zstd", 4u}}) {
    const std::string file = tables + name + ".parquet";
    const Read whole = read_file(file);
    EXPECT_EQ(whole.documents.size() + size_t(whole.counts.dropped().begin()->second.documents), 40u) << whole.reasons();
    for (const int64_t bytes : {1, 300, 1000}) {
      const std::vector<InputShard> shards = plan_shards({file}, bytes);
      if (bytes == 1) {
        EXPECT_EQ(shards.size(), groups) << name;
      }
      expect_same(read_parts(shards), whole, name);
    }
  }
  EXPECT_EQ(plan_shards({tables + "types_arrow.feather"}, 1).size(), 1u);
  EXPECT_EQ(plan_shards({tables + "batches_stream.arrow"}, 1).size(), 1u) << "a stream has no table of its batches";
  for (const std::string name : {"batches_plain", "batches_zstd"}) {
    const std::string file = tables + name + ".arrow";
    const Read whole = read_file(file);
    EXPECT_EQ(whole.documents.size(), 40u) << whole.reasons();
    const std::vector<InputShard> shards = plan_shards({file}, 1);
    EXPECT_EQ(shards.size(), 5u) << name;
    expect_same(read_parts(shards), whole, name);
  }
}

std::map<std::string, std::string> hashes(const std::string& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = fs::relative(entry.path(), folder).string();
    if (entry.is_regular_file() && !name.starts_with(".lock")) out[name] = sha256_file(entry.path());
  }
  return out;
}

// One file, many workers.
TEST(Plan, ARunOverOneFileIsTheSameHoweverItIsShared) {
  const Files files("plan_run");
  const std::string crawl = files.write("crawl.warc.gz", joined(records(200), true));
  const auto config = [&](const std::string& name) {
    PipelineConfig c;
    c.input = {crawl};
    c.output = files.path() + "/" + name;
    c.stages = {"html", "clean", "length", "exact", "window"};
    c.near.ngram = 3;
    c.shard_bytes = 4000;
    return c;
  };
  set_num_threads(1);
  run_pipeline(config("one"));
  const auto one = hashes(config("one").output);
  EXPECT_GT(parse_json_file(config("one").output + "/plan.json").at("shards").size(), 8u);
  EXPECT_GT(read_counts(config("one").output).stages.back().second.documents_out(), 100);
  set_num_threads(3);
  run_pipeline(config("threads"));
  set_num_threads(0);
  EXPECT_EQ(hashes(config("threads").output), one);
  PipelineConfig c = config("shared");
  c.of = 3;
  for (c.worker = 2; c.worker >= 0; --c.worker) run_pipeline(c);
  merge_pipeline(c.output);
  EXPECT_EQ(hashes(c.output), one);
  for (int attempt = 0; attempt < 40; ++attempt) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      int status = 1;
      try {
        status = run_pipeline(config("killed")) ? 0 : 1;
      } catch (...) {
      }
      ::_exit(status);
    }
    if (attempt < 30) {
      ::usleep(useconds_t(1000 * (2 + 3 * attempt)));
      ::kill(child, SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) {
      ASSERT_EQ(WEXITSTATUS(status), 0);
      EXPECT_GT(attempt, 0) << "was never killed";
      break;
    }
  }
  EXPECT_EQ(hashes(config("killed").output), one);
}

// The window looks back over the borders of files and shards, wherever these are.
TEST(Plan, TheWindowGoesOnBehindAShard) {
  const Files files("plan_window");
  std::string lines;
  std::vector<bool> stays;
  for (int i = 0; i < 60; ++i) {
    // A text comes again after 4 others, and after 30.
    const int which = i % 10 == 9 ? i - 4 : i >= 40 && i % 10 == 0 ? i - 40 : i;
    lines += Json({{"text", words(uint64_t(which) + 1000)}}).dump() + "\n";
    stays.push_back(i % 10 != 9);
  }
  const std::string file = files.write("a.jsonl", lines);
  std::map<std::string, std::string> kept;
  for (const int64_t bytes : {1024, 3000, 1'000'000}) {
    PipelineConfig c;
    c.input = {file};
    c.output = files.path() + "/out" + std::to_string(bytes);
    c.stages = {"window"};
    c.window = 20;
    c.shard_bytes = bytes;
    run_pipeline(c);
    std::string out;
    for (const std::string& part : input_files({c.output + "/data"})) {
      DocumentReader reader(part);
      for (Document d; reader.next(d);) out += std::to_string(d.offset) + " ";
    }
    kept[std::to_string(bytes)] = out;
    const RunCounts counts = read_counts(c.output);
    EXPECT_EQ(counts.stages.back().second.dropped().at("window").documents, 6) << bytes << ": those of before the window are forgotten";
    EXPECT_GE(counts.examples.size(), 1u);
  }
  EXPECT_EQ(kept["1024"], kept["1000000"]);
  EXPECT_EQ(kept["3000"], kept["1000000"]);
}

}  // namespace
}  // namespace r1::corpus
