// Every `r1 ...` line in the README's fenced blocks is typed as it is printed, on tiny models: files of the printed names stand in a scratch
// folder, and options that nobody printed come small from the environment. Two things are not as printed: there is no GPU here (--device cuda
// falls away), and recipes of several stages are replaced by a tiny one of the same name. A file with a new name goes into make_files().
// docs/from_trl.md is held against the options that there are.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "r1/base/familiar.h"
#include "tests/app/program.h"
#include "tests/app/serving.h"
#include "tests/app/tiny_files.h"
#include "tests/sandbox_lacking.h"
#include "tests/temporary_folder.h"

namespace r1::app {
namespace {

using testing::run_r1;

constexpr const char* kTinyRecipe = R"(output_dir: runs/r1-zero-tiny
seed: 1
common: {device: cpu, task: arithmetic, prompt_format: plain}
stages:
  base: {stage: pretrain, preset: tiny-test, max_length: 64, per_device_train_batch_size: 1, max_steps: 2}
  test: {stage: eval, model: "${base}", limit: 2, max_completion_length: 8}
)";

struct Line {
  int number;
  Arguments words;
  std::string input;  // file of "< file"
};

// As a shell splits words, as far as documentation needs it: quotes, comments, "< file".
Line split(const std::string& text, int number) {
  Line line{number, {}, ""};
  std::string word;
  bool open = false;  // a word has begun
  char quote = 0;
  const auto end = [&] {
    if (open) line.words.push_back(word);
    word.clear(), open = false;
  };
  for (const char c : text) {
    if (quote) {
      if (c == quote)
        quote = 0;
      else
        word += c;
    } else if (c == '\'' || c == '"') {
      quote = c, open = true;
    } else if (c == ' ') {
      end();
    } else if (c == '#' && !open) {
      break;
    } else {
      word += c, open = true;
    }
  }
  end();
  if (const auto at = std::find(line.words.begin(), line.words.end(), "<"); at != line.words.end()) {
    EXPECT_EQ(line.words.end() - at, 2) << text;
    line.input = at[1];
    line.words.erase(at, line.words.end());
  }
  return line;
}

std::vector<Line> commands_of(const std::string& markdown) {
  std::vector<Line> lines;
  std::istringstream stream(markdown);
  bool fenced = false;
  int number = 0;
  for (std::string text; std::getline(stream, text);) {
    ++number;
    if (text.starts_with("```")) fenced = !fenced;
    if (fenced && text.starts_with("r1 ")) lines.push_back(split(text.substr(3), number));
  }
  return lines;
}

// In the current folder.
void make_files() {
  const fs::path source = R1_SOURCE_DIR;
  for (const char* folder : {"M", "model", "Qwen2.5-0.5B-Instruct"}) testing::write_tiny_folder(folder);
  for (const char* file : {"smollm2-135m-instruct.gguf", "smollm2-135m-instruct-q4_1.gguf", "model.gguf"}) testing::write_tiny_gguf(file);
  for (const char* file : {"test.jsonl", "train.jsonl", "gsm8k/test.jsonl", "gsm8k/train.jsonl", "data/test.jsonl", "data/train.jsonl"}) {
    if (const fs::path folder = fs::path(file).parent_path(); !folder.empty()) make_folder(folder);
    write_file_atomic(file, testing::tiny_gsm8k(4));
  }
  const Json chat = {{"messages", {{{"role", "user"}, {"content", "2+2?"}}, {{"role", "assistant"}, {"content", "4"}}}}};
  for (const char* file : {"chats.jsonl", "conversations.jsonl", "mine.jsonl", "my.jsonl"})
    write_file_atomic(file, dump_json(chat) + "\n" + dump_json(chat) + "\n");
  for (const char* file : {"corpus.txt", "text.txt"}) write_file_atomic(file, "Some text to learn from.\nAnd another line of it.\n");
  write_file_atomic(
      "solutions.jsonl",
      dump_json(
          {{"id", 1}, {"language", "python"}, {"code", "print(int(input()) * 2)"}, {"tests", {{{"input", "2\n"}, {"output", "4\n"}}}}}) +
          "\n");
  write_file_atomic("answers.jsonl", dump_json({{"id", 1}, {"gold", "1/2"}, {"answer", "\\boxed{0.5}"}}) + "\n");
  make_folder("runs");
  make_folder("recipes");
  for (const auto& entry : fs::directory_iterator(source / "recipes")) {
    if (!entry.is_regular_file()) continue;
    const std::string text = read_file(entry.path());
    const bool stages = text.find("\nstages:") != std::string::npos;
    write_file_atomic("recipes" / entry.path().filename(), stages ? std::string(kTinyRecipe) : text);
  }
}

class Documents : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::current_path(folder_.path());
    for (const auto& [name, value] : kSmall) setenv(name, value, 1);
    setenv("R1_MODELS", (folder_.path() / "models").c_str(), 1);
    make_files();
  }
  void TearDown() override {
    for (const auto& [name, value] : kSmall) unsetenv(name);
    models_.empty() ? unsetenv("R1_MODELS") : setenv("R1_MODELS", models_.c_str(), 1);
    fs::current_path(before_);
  }
  static constexpr std::pair<const char*, const char*> kSmall[] = {{"R1_MAX_STEPS", "1"},
                                                                   {"R1_PER_DEVICE_TRAIN_BATCH_SIZE", "8"},
                                                                   {"R1_GRADIENT_ACCUMULATION_STEPS", "1"},
                                                                   {"R1_STEPS_PER_GENERATION", "1"},
                                                                   {"R1_MAX_COMPLETION_LENGTH", "8"},
                                                                   {"R1_MAX_NEW_TOKENS", "8"},
                                                                   {"R1_EVAL_STEPS", "0"},
                                                                   {"R1_PRESET", "tiny-test"},
                                                                   {"R1_CONVERSATIONS", "conversations.sqlite"},
                                                                   {"R1_QUIET", "true"}};

 private:
  const fs::path before_ = fs::current_path();
  const std::string models_ = std::getenv("R1_MODELS") ? std::getenv("R1_MODELS") : "";
  const TemporaryFolder folder_{"documents"};
};

// A plan that says no has done its work; a judge without a sandbox cannot.
bool as_expected(const Line& line, const testing::ProgramResult& r) {
  if (r.code == 0) return true;
  if (line.words[0] == "plan") return r.code == 1 && !r.out.empty();
  return line.words[0] == "judge" && !verify::sandbox::lacking_any().empty();
}

TEST_F(Documents, EveryCommandOfTheReadmeRuns) {
  const std::vector<Line> lines = commands_of(read_file(fs::path(R1_SOURCE_DIR) / "README.md"));
  EXPECT_GE(lines.size(), 8u);
  for (Line line : lines) {
    std::string typed = "r1";
    for (const std::string& word : line.words) typed += " " + word;
    const auto device = std::find(line.words.begin(), line.words.end(), "--device");
    if (device != line.words.end() && device + 1 != line.words.end() && device[1].starts_with("cuda")) line.words.erase(device, device + 2);
    // A server is stopped once it answers.
    const bool serves = line.words[0] == "serve" || line.words[0] == "runs";
    const auto serving = serves ? std::make_unique<testing::WhileServing>() : nullptr;
    const testing::ProgramResult r = run_r1(line.words, line.input.empty() ? "" : read_file(line.input));
    EXPECT_TRUE(as_expected(line, r)) << "README.md:" << line.number << ": " << typed << "\nexit code " << r.code << "\n" << r.err;
  }
}

// ---- docs/from_trl.md ----

std::vector<std::string> backticked(const std::string& text) {
  std::vector<std::string> found;
  for (size_t at = text.find('`'); at != std::string::npos;) {
    const size_t end = text.find('`', at + 1);
    if (end == std::string::npos) break;
    found.push_back(text.substr(at + 1, end - at - 1));
    at = text.find('`', end + 1);
  }
  return found;
}

// The cells of a table's row.
std::vector<std::string> cells(const std::string& row) {
  std::vector<std::string> out(1);
  for (size_t i = 1; i < row.size(); ++i) {
    if (row[i] == '|' && row[i - 1] != '\\')
      out.emplace_back();
    else
      out.back() += row[i];
  }
  return out;
}

std::string word_of(std::string name) {
  name.erase(0, name.find_first_not_of('-') == std::string::npos ? 0 : name.find_first_not_of('-'));
  return name.substr(0, name.find_first_of(" =:"));
}

// The same of what is answered on the command line.
TEST(FromTrl, AnswersNameOptionsThatThereAre) {
  std::set<std::string> keys;
  for (const Command& command : commands()) {
    for (const FieldInfo& field : command.fields()) keys.insert(field.key);
  }
  for (const FamiliarOption& o : familiar_options()) {
    for (const char* ours : o.ours) EXPECT_TRUE(keys.count(ours)) << o.name << " -> " << ours;
  }
}

TEST(FromTrl, WhatIsSaidToBeHereIs) {
  std::set<std::string> keys = {"p", "temp"}, commands_here;  // other spellings
  for (const Command& command : commands()) {
    commands_here.insert(command.name);
    for (const FieldInfo& field : command.fields()) keys.insert(field.key);
  }
  std::istringstream page(read_file(fs::path(R1_SOURCE_DIR) / "docs/from_trl.md"));
  int rows = 0;
  size_t here = 0;
  for (std::string row; std::getline(page, row);) {
    if (!row.starts_with("|")) continue;
    const auto columns = cells(row);
    for (size_t i = 0; i < columns.size(); ++i) {
      if (columns[i] == " here ") here = i;
    }
    if (columns.size() <= here) continue;
    ++rows;
    for (const std::string& name : backticked(columns[here])) {
      if (name.starts_with("r1 ")) {
        const bool known =
            std::any_of(commands_here.begin(), commands_here.end(), [&](const std::string& c) { return name.substr(3).starts_with(c); });
        EXPECT_TRUE(known) << row;
      } else if (name.find_first_of("./ ") == std::string::npos || name.starts_with("engine.")) {
        EXPECT_TRUE(keys.count(word_of(name))) << name << " in " << row;
      }
    }
  }
  EXPECT_GT(rows, 80);
}

}  // namespace
}  // namespace r1::app
