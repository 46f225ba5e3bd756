// The whole road: what goes in comes out counted, and the same bytes come out however the work was cut, killed and taken up again.
#include "r1/corpus/pipeline.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <set>
#include <thread>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/log.h"
#include "r1/base/rng.h"
#include "r1/base/threads.h"
#include "r1/corpus/document_file.h"
#include "r1/corpus/length.h"
#include "r1/corpus/pipeline_report.h"
#include "r1/corpus/plan.h"
#include "r1/data/find_files.h"
#include "r1/data/rows.h"
#include "r1/data/token_shards.h"
#include "tests/corpus/reader_support.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace r1::corpus {
namespace {

constexpr const char* kWords[] = {"the",   "river",  "and",   "of",     "stone",  "to",    "that",   "bridge", "have",  "with",
                                  "water", "engine", "house", "letter", "winter", "paper", "garden", "sound",  "light", "train"};

// Prose enough for the rules of quality: sentences of words drawn by `seed`.
std::string prose(uint64_t seed, int sentences) {
  Rng rng(seed);
  std::string text;
  for (int s = 0; s < sentences; ++s) {
    const int words = 8 + int(rng.below(8));
    std::string sentence;
    for (int w = 0; w < words; ++w)
      sentence +=
          std::string(w ? " " : "") + kWords[rng.below(std::size(kWords))] + (rng.below(5) == 0 ? std::to_string(rng.below(900)) : "");
    sentence[0] = char(std::toupper(sentence[0]));
    text += sentence + (s % 4 == 3 ? ".\n\n" : ". ");
  }
  return text;
}

// A folder of what a crawl might bring: JSON lines with duplicates, near duplicates, mail addresses and short lines, pages, text.
class Raw {
 public:
  explicit Raw(const std::string& name) : folder_(name) {
    std::string lines;
    for (int i = 0; i < 120; ++i) {
      std::string text = prose(uint64_t(i % 97), 14 + i % 9);
      if (i % 10 == 3) text += "Write to john.smith@example.org about it and have the answer.";
      if (i % 17 == 5) text = "too short";
      if (i % 29 == 7) text = prose(2, 16) + "One sentence more stands at the end of this one, number " + std::to_string(i) + ".";
      lines += Json({{"text", text}, {"url", "https://www.site" + std::to_string(i % 5) + ".org/" + std::to_string(i)}}).dump() + "\n";
    }
    lines += "{\"text\": broken\n";
    write("a.jsonl", lines);
    write("page.html", "<html><head><title>A page</title></head><body><nav><a href=x>Home</a></nav><article><p>" + prose(500, 20) +
                           "</p></article></body></html>");
    write("text/b.txt", prose(600, 30));
    write("text/c.txt", prose(601, 30));
    write("unknown.bin", std::string("\0\1\2\3\377\376\0\0\5", 9));
  }
  std::string path() const { return (folder_.path() / "raw").string(); }
  std::string out(const std::string& name) const { return (folder_.path() / name).string(); }
  void write(const std::string& name, std::string_view bytes) const {
    const fs::path file = folder_.path() / "raw" / name;
    make_folder(file.parent_path());
    write_file_atomic(file, bytes);
  }

  PipelineConfig config(const std::string& name) const {
    PipelineConfig c;
    c.input = {path()};
    c.output = out(name);
    c.stages = {"html", "clean", "pii", "quality", "length", "exact", "lines", "near", "substring", "decontaminate", "split"};
    c.quality.fineweb.enabled = c.quality.repetition.enabled = c.quality.c4.enabled = false;
    c.shard_bytes = 16'384;
    c.length.max = 1200;
    c.decontaminate.files = {folder_.path() / "eval.jsonl"};
    c.formats = {"jsonl", "webdataset"};
    if (!fs::exists(folder_.path() / "eval.jsonl"))
      write_file_atomic(folder_.path() / "eval.jsonl", Json({{"question", prose(600, 2)}}).dump() + "\n");
    return c;
  }

 private:
  TemporaryFolder folder_;
};

// Every file of a run by its hash; `work`: those of the passes too.
std::map<std::string, std::string> hashes(const std::string& folder, bool work = true) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = fs::relative(entry.path(), folder).string();
    if (entry.is_regular_file() && !name.starts_with(".lock") && (work || !std::isdigit(uint8_t(name[0]))))
      out[name] = sha256_file(entry.path());
  }
  return out;
}

std::vector<Document> documents_of(const std::string& folder) {
  std::vector<Document> out;
  for (const std::string& file : input_files({folder})) {
    DocumentReader reader(file);
    for (Document d; reader.next(d);) out.push_back(d);
  }
  return out;
}

TEST(Pipeline, EveryDocumentIsAccountedFor) {
  const Raw raw("pipeline_counts");
  ASSERT_TRUE(run_pipeline(raw.config("out")));
  const RunCounts counts = read_counts(raw.out("out"));
  std::map<std::string, Counts> by_name(counts.stages.begin(), counts.stages.end());
  EXPECT_EQ(counts.stages.size(), 12u);
  EXPECT_EQ(by_name["read"].documents_out(), 123);  // 120 rows, a page, two texts
  EXPECT_EQ(by_name["read"].documents_in(), 125);   // and a broken row and a file of no kind
  EXPECT_EQ(by_name["read"].dropped().at("unknown_kind").documents, 1);
  EXPECT_EQ(by_name["quality"].dropped().at("gopher:too_few_words").documents, 7);
  // 23 texts come twice, of different lengths: of some the first parts are alike.
  PipelineConfig before = raw.config("before");
  before.stages = {"html", "clean", "pii", "quality", "length"};
  ASSERT_TRUE(run_pipeline(before));
  int64_t alike = 0;
  std::set<std::string> seen;
  for (const Document& d : documents_of(before.output + "/data")) alike += !seen.insert(d.text).second;
  EXPECT_GT(alike, 0);
  EXPECT_EQ(by_name["exact"].dropped().at("exact").documents, alike);
  EXPECT_GE(by_name["decontaminate"].dropped().at("decontaminate").documents, 1);
  const std::vector<Document> kept = documents_of(raw.out("out") + "/data");
  EXPECT_EQ(int64_t(kept.size()), counts.stages.back().second.documents_out());
  bool masked = false;
  for (const Document& d : kept) {
    EXPECT_EQ(d.text.find("john.smith"), std::string::npos);
    masked |= d.text.find("<EMAIL>") != std::string::npos;
    EXPECT_LE(d.text.size(), 1200u);
    for (const char* filter : {"quality", "length", "exact", "decontaminate"})
      EXPECT_EQ(std::ranges::count(d.marks, filter), 1) << filter << " of " << d.id();
  }
  EXPECT_TRUE(masked);
  EXPECT_TRUE(fs::exists(raw.out("out") + "/decontaminate.jsonl"));
  // And the other way round: the item, and who has its text.
  ASSERT_EQ(counts.items_found.size(), 1u);
  EXPECT_TRUE(counts.items_found[0]["item"].get<std::string>().ends_with("eval.jsonl:1 question")) << counts.items_found;
  EXPECT_EQ(counts.items_found[0]["count"], by_name["decontaminate"].dropped().at("decontaminate").documents);
  const std::string page = pipeline_report(raw.out("out"));
  EXPECT_NE(page.find("eval.jsonl:1 question"), std::string::npos);
  EXPECT_NE(page.find(counts.items_found[0]["documents"][0]["document"].get<std::string>()), std::string::npos);
  EXPECT_FALSE(counts.examples.empty());
  // What was between the passes is gone, but for the counts.
  for (const auto& [name, hash] : hashes(raw.out("out")))
    EXPECT_TRUE(!std::isdigit(uint8_t(name[0])) || name.ends_with(".counts.json") || name.ends_with("examples.json")) << name;
}

TEST(Pipeline, ThreadsAndASecondRunMakeNoDifference) {
  const Raw raw("pipeline_threads");
  set_num_threads(1);
  run_pipeline(raw.config("one"));
  set_num_threads(3);
  run_pipeline(raw.config("three"));
  set_num_threads(64);  // more than shards: batches use the threads
  run_pipeline(raw.config("many"));
  set_num_threads(0);
  const auto one = hashes(raw.out("one"));
  EXPECT_GT(one.size(), 20u);
  EXPECT_EQ(one, hashes(raw.out("three")));
  EXPECT_EQ(one, hashes(raw.out("many")));
  EXPECT_TRUE(run_pipeline(raw.config("one")));
  EXPECT_EQ(one, hashes(raw.out("one")));
}

TEST(Pipeline, WorkersMakeTheSameAsOneProcess) {
  const Raw raw("pipeline_workers");
  run_pipeline(raw.config("one"));
  PipelineConfig c = raw.config("shared");
  c.of = 3;
  for (const int64_t worker : {2, 0}) {
    c.worker = worker;
    EXPECT_FALSE(run_pipeline(c));
  }
  const std::string early = message_of([&] { merge_pipeline(raw.out("shared")); });
  EXPECT_NE(early.find("not there yet: 1, 4"), std::string::npos) << early;
  c.worker = 1;
  run_pipeline(c);
  merge_pipeline(raw.out("shared"));
  EXPECT_EQ(hashes(raw.out("one")), hashes(raw.out("shared")));
}

// What is cut out of a text is not kept in the turns of its conversation.
TEST(Pipeline, WhatIsCutIsNotKeptBeside) {
  const Raw raw("pipeline_turns");
  const std::string asked = prose(600, 2), other = prose(77, 8);
  const auto row = [](const std::string& question) {
    return Json({{"messages", {{{"role", "user"}, {"content", question}}, {{"role", "assistant"}, {"content", prose(5, 9)}}}}}).dump() +
           "\n";
  };
  raw.write("a.jsonl", row(asked) + row(other));
  raw.write("page.html", "");
  PipelineConfig c = raw.config("out");
  c.input = {raw.path() + "/a.jsonl", raw.path() + "/page.html"};
  c.stages = {"decontaminate"};
  c.decontaminate.action = "cut";
  run_pipeline(c);
  const std::vector<Document> documents = documents_of(c.output + "/data");
  ASSERT_EQ(documents.size(), 2u);
  EXPECT_TRUE(documents[0].extra.is_null()) << documents[0].extra;
  EXPECT_EQ(documents[1].extra["messages"][0]["content"], other);
  EXPECT_EQ(read_counts(c.output).stages[0].second.dropped().at("empty_file").documents, 1);
  // A name that is not there begins no run.
  c = raw.config("typo");
  c.input = {raw.out("nothing")};
  EXPECT_NE(message_of([&] { run_pipeline(c); }).find("no such file"), std::string::npos);
  EXPECT_FALSE(fs::exists(c.output + "/config.json"));
}

// Workers' temporary files are theirs, and the folder is theirs as long as one of them works.
TEST(Pipeline, NobodyMergesOrCleansUpUnderAWorker) {
  const Raw raw("pipeline_live");
  PipelineConfig c = raw.config("out");
  c.of = 2;
  run_pipeline(c);
  const std::string read = c.output + "/0-read/";
  const auto temporary = [&](const std::string& name) {
    write_file_atomic(read + name, "half");
    return read + name;
  };
  const std::string other = temporary(".00001.jsonl.zst.7.0.tmp"), own = temporary(".00002.jsonl.zst.7.0.tmp");
  const std::string large = temporary(".100001.jsonl.zst.7.0.tmp"), config = temporary(".config.json.2.0.tmp");
  {
    const FileLock worker(c.output + "/.lock-0-of-2", "");
    EXPECT_NE(message_of([&] { merge_pipeline(c.output); }).find("worker 0-of-2 is at work"), std::string::npos);
    EXPECT_NE(message_of([&] { run_pipeline(raw.config("out")); }).find("worker 0-of-2 is at work"), std::string::npos);
    EXPECT_TRUE(fs::exists(own));
  }
  run_pipeline(c);
  EXPECT_NE(message_of([&] { merge_pipeline(c.output); }).find("not there yet"), std::string::npos);
  EXPECT_TRUE(fs::exists(other));
  EXPECT_FALSE(fs::exists(own));
  EXPECT_TRUE(fs::exists(large));  // 100001 is odd
  EXPECT_TRUE(fs::exists(config));
}

// A merge needs what the workers left and nothing else; who comes late finds all done.
TEST(Pipeline, AMergeReadsNothingOfTheInput) {
  const Raw raw("pipeline_merge");
  PipelineConfig c = raw.config("out");
  run_pipeline(raw.config("one"));
  c.input.push_back(raw.out("is_not_there"));
  c.optional_input = true;
  c.of = 2;
  for (c.worker = 0; c.worker < 2; ++c.worker) run_pipeline(c);
  fs::rename(raw.path(), raw.out("elsewhere"));
  merge_pipeline(c.output);
  fs::rename(raw.out("elsewhere"), raw.path());
  const auto merged = hashes(c.output);
  EXPECT_EQ(merged.at("data/train/00000.jsonl.zst"), hashes(raw.out("one")).at("data/train/00000.jsonl.zst"));
  c.worker = 1;
  EXPECT_FALSE(run_pipeline(c));
  EXPECT_EQ(hashes(c.output), merged);
}

TEST(Pipeline, NamesThatAreNoUtf8GoOnToo) {
  const Raw raw("pipeline_names");
  raw.write("caf\xe9.txt", prose(9, 20));
  raw.write("new\nline.txt", prose(10, 20));
  PipelineConfig c = raw.config("out");
  c.of = 2;
  for (c.worker = 0; c.worker < 2; ++c.worker) EXPECT_FALSE(run_pipeline(c));
  merge_pipeline(c.output);
  run_pipeline(raw.config("one"));
  EXPECT_EQ(hashes(raw.out("one")), hashes(c.output));
}

// Sizes and names are not all that a run hangs on.
TEST(Pipeline, WhatWasRewrittenMeanwhileIsRefused) {
  const Raw raw("pipeline_rewritten");
  PipelineConfig c = raw.config("out");
  c.of = 2;
  run_pipeline(c);
  raw.write("text/b.txt", prose(600, 30));
  fs::last_write_time(raw.path() + "/text/b.txt", fs::file_time_type::clock::now() + std::chrono::hours(1));
  const std::string input = message_of([&] { run_pipeline(c); });
  EXPECT_NE(input.find("was written to since this run began"), std::string::npos) << input;
  EXPECT_NE(input.find("remove " + c.output + "/.lock-0-of-2.input.json"), std::string::npos) << input;
  fs::remove(c.output + "/.lock-0-of-2.input.json");
  run_pipeline(c);

  c = raw.config("whole");
  run_pipeline(c);
  fs::last_write_time(raw.path() + "/text/b.txt", fs::file_time_type::clock::now());
  EXPECT_TRUE(run_pipeline(c)) << "what is done is done";
  write_file_atomic(c.decontaminate.files[0], Json({{"question", prose(601, 2)}}).dump() + "\n");
  const std::string eval = message_of([&] { run_pipeline(c); });
  EXPECT_NE(eval.find("decontaminate.files"), std::string::npos) << eval;
}

// A child is killed at moments that are drawn, until one gets through.
TEST(Pipeline, AKilledRunGoesOnToTheSameBytes) {
  const Raw raw("pipeline_kill");
  set_num_threads(2);
  const auto started = std::chrono::steady_clock::now();
  run_pipeline(raw.config("whole"));
  const double whole = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  const auto expected = hashes(raw.out("whole"));
  for (uint64_t round = 0; round < 3; ++round) {
    const std::string name = "killed" + std::to_string(round);
    int killed = 0;
    for (uint64_t attempt = 0; attempt < 60; ++attempt) {
      const pid_t child = ::fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        int status = 1;
        try {
          status = run_pipeline(raw.config(name)) ? 0 : 1;
        } catch (...) {
        }
        ::_exit(status);
      }
      const double after = whole * 0.6 * random_uniform(7, round, attempt);
      if (attempt < 50) {
        ::usleep(useconds_t(after * 1e6));
        ::kill(child, SIGKILL);
      }
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      if (WIFEXITED(status)) {
        ASSERT_EQ(WEXITSTATUS(status), 0);
        break;
      }
      ++killed;
    }
    EXPECT_GT(killed, 0) << "the child was through before it could be killed";
    EXPECT_EQ(expected, hashes(raw.out(name)));
  }
  set_num_threads(0);
}

TEST(Pipeline, AnotherRunsFolderIsRefused) {
  const Raw raw("pipeline_refuse");
  PipelineConfig c = raw.config("out");
  c.stages = {"clean"};
  run_pipeline(c);
  c.length.max = 99'999;
  const std::string other = message_of([&] { run_pipeline(c); });
  EXPECT_NE(other.find("length.max: 1200 -> 99999"), std::string::npos) << other;
  c = raw.config("out");
  c.stages = {"clean"};
  raw.write("more.txt", "another file");
  EXPECT_NE(message_of([&] { run_pipeline(c); }).find("another input"), std::string::npos);
  c.output = raw.path();
  EXPECT_NE(message_of([&] { run_pipeline(c); }).find("not of a run"), std::string::npos);
}

// What is written as WebDataset is read for training, and by a further run, as the JSON lines beside it are.
TEST(Pipeline, TheWebDatasetReadsAsTheLinesDo) {
  const Raw raw("pipeline_tar");
  PipelineConfig c = raw.config("out");
  c.stages = {"html", "clean", "length", "split"};
  run_pipeline(c);
  const std::vector<Document> lines = documents_of(c.output + "/data/train");
  std::vector<Json> rows;
  for (const std::string& file : data::find_files({c.output + "/webdataset/train"}, "files")) {
    data::RowReader reader(file);
    while (auto row = reader.next()) rows.push_back(std::move(*row));
  }
  ASSERT_EQ(rows.size(), lines.size());
  EXPECT_GT(rows.size(), 50u);
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_NE(rows[i].value("__key__", ""), "");
    const Json want = to_json(lines[i]);
    EXPECT_EQ(rows[i].size(), want.size() + 1) << i;
    for (const auto& [key, value] : want.items()) EXPECT_EQ(rows[i].value(key, Json()), value) << i << " " << key;
  }
  const Read again = read_all(*open_readers({c.output + "/webdataset/train"}));
  ASSERT_EQ(again.documents.size(), lines.size()) << again.reasons();
  for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(again.documents[i].text, lines[i].text);
}

// A folder that is read and written into: what the run writes is not its input, so the same command goes on.
TEST(Pipeline, TheOutputIsNoInput) {
  const Raw raw("pipeline_inside");
  PipelineConfig c = raw.config("raw/out");
  c.stages = {"clean"};
  c.decontaminate.files = {};
  run_pipeline(c);
  const auto first = hashes(c.output);
  EXPECT_EQ(parse_json_file(c.output + "/plan.json").dump().find("/out/"), std::string::npos);
  EXPECT_TRUE(run_pipeline(c));
  EXPECT_EQ(hashes(c.output), first);
  c.input = {c.output};
  EXPECT_NE(message_of([&] { run_pipeline(c); }).find("all of it lies in"), std::string::npos);
}

TEST(Pipeline, WrongStagesAreNamed) {
  const Raw raw("pipeline_stages");
  PipelineConfig c = raw.config("out");
  c.stages = {"clean", "dedpu"};
  EXPECT_NE(message_of([&] { run_pipeline(c); }).find("no stage 'dedpu'"), std::string::npos);
  c.stages = {"clean", "near", "clean"};
  EXPECT_NE(message_of([&] { run_pipeline(c); }).find("twice"), std::string::npos);
  c.stages = {"language"};
  EXPECT_NE(message_of([&] { run_pipeline(c); }).find("language.model"), std::string::npos);
  c.stages = {"clean"};
  c.formats = {"tokens"};
  EXPECT_NE(message_of([&] { run_pipeline(c); }).find("--tokenizer"), std::string::npos);
  c.formats = {"parquet"};
  EXPECT_NE(message_of([&] { run_pipeline(c); }).find("webdataset"), std::string::npos);
}

TEST(Pipeline, TokenShardsHoldTheDocuments) {
  const Raw raw("pipeline_tokens");
  PipelineConfig c = raw.config("out");
  const fs::path tokenizer = fs::path(raw.out("")) / "tokenizer.json";
  std::vector<std::string> words = {"<unk>", "</s>"};
  for (int b = 32; b < 127; ++b) words.emplace_back(1, char(b));
  words.emplace_back("\n");
  text::Tokenizer::from_words(words, {.special = {"</s>"}, .eos = "</s>"}).save(tokenizer.parent_path());
  c.stages = {"html", "clean", "length", "split"};
  c.length = {.min = 5, .max = 700};
  c.tokenizer = tokenizer.string();
  c.formats = {"jsonl", "tokens"};
  ASSERT_TRUE(run_pipeline(c));
  const auto loaded = text::Tokenizer::load(tokenizer);
  const auto source = data::made_token_shards(data::token_shard_folders({c.output + "/tokens"}, data::Split::kTrain), loaded.hash());
  // Tokens are counted on the way, of what a stage gives: those of the length's parts are those of the documents.
  const RunCounts counts = read_counts(c.output);
  int64_t tokens = 0;
  for (const Document& d : documents_of(c.output + "/data")) {
    tokens += int64_t(loaded.encode(d.text).size());
    EXPECT_EQ(d.tokens, -1);
    EXPECT_LE(loaded.encode(d.text).size(), 700u);
  }
  EXPECT_EQ(counts.stages.back().second.tokens_out(), tokens);
  EXPECT_EQ(counts.stages[1].second.tokens_in(), counts.stages[0].second.tokens_out());
  EXPECT_GT(counts.stages[0].second.tokens_out(), tokens / 2);
  EXPECT_NE(pipeline_report(c.output).find("tokens out"), std::string::npos);
  const std::vector<Document> documents = documents_of(c.output + "/data/train");
  ASSERT_EQ(source->size(), int64_t(documents.size()));
  ASSERT_GT(documents.size(), 10u);
  for (size_t i = 0; i < documents.size(); ++i) {
    std::vector<int32_t> ids = loaded.encode(documents[i].text);
    ids.push_back(*loaded.eos_id());
    EXPECT_EQ(source->document(int64_t(i)).ids, ids) << documents[i].id();
  }
  // The file has another vocabulary now: the ids that are there do not become its own.
  words.emplace_back("new");
  text::Tokenizer::from_words(words, {.special = {"</s>"}, .eos = "</s>"}).save(tokenizer.parent_path());
  EXPECT_NE(message_of([&] { run_pipeline(c); }).find("tokenizer"), std::string::npos);
  EXPECT_NO_THROW(data::made_token_shards({fs::path(c.output) / "tokens" / "train"}, loaded.hash()));
  // A model with another tokenizer would learn nonsense of them.
  EXPECT_THROW(data::made_token_shards({fs::path(c.output) / "tokens" / "train"}, "of another one"), Error);
  // A part by its own folder; several are one corpus, in the order of their names.
  const std::vector<fs::path> both = data::token_shard_folders({c.output + "/tokens/test", c.output + "/tokens"}, data::Split::kTrain);
  ASSERT_EQ(both.size(), 2u);
  const auto test = data::made_token_shards({both[0]}, loaded.hash()), all = data::made_token_shards(both, loaded.hash());
  ASSERT_EQ(all->size(), test->size() + source->size());
  EXPECT_EQ(all->document(test->size()).ids, source->document(0).ids);
  EXPECT_NE(all->fingerprint(), source->fingerprint());
  EXPECT_TRUE(data::token_shard_folders({c.output + "/data"}, data::Split::kTrain).empty());
}

TEST(Pipeline, WebDatasetIsReadBack) {
  const Raw raw("pipeline_tar");
  PipelineConfig c = raw.config("out");
  c.stages = {"html", "clean"};
  ASSERT_TRUE(run_pipeline(c));
  const std::vector<Document> documents = documents_of(c.output + "/data");
  std::vector<std::string> texts;
  for (const std::string& file : input_files({c.output + "/webdataset"})) {
    const auto reader = open_reader(file);
    for (const Document& d : read_all(*reader).documents) texts.push_back(d.text);
  }
  ASSERT_EQ(texts.size(), documents.size());
  for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(texts[i], documents[i].text);
}

TEST(Pipeline, TheReportEscapesWhatDocumentsSay) {
  const Raw raw("pipeline_report");
  // So few that all of them are shown.
  raw.write("a.jsonl",
            Json({{"text", prose(1, 14)}, {"url", "https://www.site3.org/1"}}).dump() + "\n" + Json({{"text", "short"}}).dump() + "\n");
  raw.write("evil.txt",
            "<script>alert(1)</script> \"quoted\" <img src=x onerror=alert(2)> and some more words to have enough of them here.");
  PipelineConfig c = raw.config("out");
  c.stages = {"length"};
  c.length.min_characters = 20;
  run_pipeline(c);
  const std::string page = pipeline_report(c.output);
  EXPECT_EQ(page.find("<script>alert"), std::string::npos);
  EXPECT_EQ(page.find("<img"), std::string::npos);
  EXPECT_NE(page.find("&lt;script&gt;alert(1)"), std::string::npos);
  EXPECT_NE(page.find("length:too_short"), std::string::npos);
  EXPECT_NE(page.find("site3.org"), std::string::npos);
}

TEST(Length, PartsFitAndAreTheText) {
  LengthConfig c;
  c.max = 300;
  const LengthWindow window(c, nullptr);
  const std::string text = prose(1, 60);
  const std::vector<std::string> parts = window.parts(text);
  EXPECT_GT(parts.size(), text.size() / 300);
  std::string without, joined;
  for (const char ch : text)
    if (ch != '\n' && ch != ' ') without += ch;
  for (const std::string& p : parts) {
    EXPECT_LE(p.size(), 300u);
    for (const char ch : p)
      if (ch != '\n' && ch != ' ') joined += ch;
  }
  EXPECT_EQ(joined, without);
  EXPECT_EQ(window.parts("short"), std::vector<std::string>{"short"});
  // The rest that a cut leaves is no shorter than what is kept.
  for (size_t n = 301; n < 700; n += 7)
    for (const std::string& p : window.parts(text.substr(0, n))) EXPECT_FALSE(window.too_short(p)) << n << ": " << p.size();
  // Without any border between two characters, never inside of one.
  std::string han;
  for (int i = 0; i < 1000; ++i) han += "漢";
  for (const std::string& p : window.parts(han)) EXPECT_EQ(p.size() % 3, 0u);
  EXPECT_EQ(window.parts(han).size(), 4u);
  EXPECT_TRUE(window.parts(std::string(1000, '\n')).empty());
  const LengthConfig auto_tokens = LengthConfig{}.resolved(true), auto_characters = LengthConfig{}.resolved(false);
  EXPECT_EQ(str(auto_tokens.unit, auto_tokens.min, "-", auto_tokens.max), "tokens512-16384");
  EXPECT_EQ(str(auto_characters.unit, auto_characters.min, "-", auto_characters.max), "characters0-1000000");
  c.unit = "tokens";
  EXPECT_NE(message_of([&] { LengthWindow(c, nullptr); }).find("--tokenizer"), std::string::npos);
}

TEST(Survey, SumsDoNotDependOnTheOrder) {
  std::vector<Survey> shards(5);
  for (int i = 0; i < 200; ++i) {
    Document d{.text = prose(uint64_t(i), 2), .source = "a", .offset = i, .url = "http://X.org:80/" + std::to_string(i)};
    shards[size_t(i % 5)].kept(d, i);
    shards[size_t(i % 5)].dropped(d, "quality", "short");
  }
  Survey forward, backward;
  for (size_t i = 0; i < 5; ++i) forward.add(shards[i]), backward.add(Survey::from_json(shards[4 - i].to_json()));
  EXPECT_EQ(forward.to_json(), backward.to_json());
  EXPECT_EQ(forward.domains().at("x.org").documents, 200);
  EXPECT_EQ(forward.kept_samples().size(), Survey::kKept);
}

}  // namespace
}  // namespace r1::corpus
