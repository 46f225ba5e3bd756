// A vocabulary is what its text makes it, however the text is packed.
#include "r1/data/train_vocabulary.h"

#include <gtest/gtest.h>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/json.h"
#include "tests/temporary_folder.h"

namespace r1::data {
namespace {

std::string packed(const std::string& tool, const std::string& path) {
  EXPECT_EQ(std::system((tool + " -k -q -f '" + path + "'").c_str()), 0);
  return path;
}

TEST(TrainVocabulary, IsTheTextsWhateverTheFile) {
  const TemporaryFolder folder("train_vocabulary");
  const auto at = [&](const std::string& name) { return (folder.path() / name).string(); };
  std::string text, rows, list, table = "id,text\n";
  for (int i = 0; i < 3000; ++i) {
    const std::string line = str("the ", i % 7, " old houses of the ", i % 11 ? "village" : "hamlet", " were quiet ", i);
    text += line + "\n";
    rows += dump_json(Json{{"text", line}}) + "\n";
    list += (i ? "," : "[") + dump_json(Json{{"text", line}});
    table += str(i, ",", line, "\n");
  }
  write_file_atomic(at("a.txt"), text);
  write_file_atomic(at("a.jsonl"), rows);
  write_file_atomic(at("a.json"), list + "]");
  write_file_atomic(at("a.csv"), table);
  packed("gzip", at("a.txt")), packed("gzip", at("a.jsonl")), packed("bzip2", at("a.jsonl"));
  const auto learned = [&](const std::vector<std::string>& names) {
    std::vector<std::string> files;
    for (const std::string& name : names) files.push_back(at(name));
    return train_vocabulary(files, {.vocab_size = 400, .threads = 2});
  };
  const text::TrainResult lines = learned({"a.txt"}), of_rows = learned({"a.jsonl"});
  EXPECT_EQ(learned({"a.txt.gz"}).tokenizer.hash(), lines.tokenizer.hash());
  EXPECT_EQ(learned({"a.txt.gz"}).bytes, lines.bytes);
  for (const char* name : {"a.jsonl.gz", "a.jsonl.bz2", "a.json", "a.csv"}) {
    EXPECT_EQ(learned({name}).tokenizer.hash(), of_rows.tokenizer.hash()) << name;
    EXPECT_EQ(learned({name}).bytes, of_rows.bytes) << name;
  }
  EXPECT_EQ(learned({"a.txt.gz", "a.json"}).bytes, lines.bytes + of_rows.bytes);
  // Words of the text, not of the packing.
  EXPECT_EQ(lines.tokenizer.encode(" village").size(), 1u);

  write_file_atomic(at("bad.json"), R"([{"text": "a"}, {"txt": "b"}])");
  try {
    learned({"bad.json"});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()), at("bad.json") + ", row 2: no string under 'text'; found: txt (jsonl_keys names those to learn from)");
  }
}

}  // namespace
}  // namespace r1::data
