#include "r1/stages/preflight.h"

#include <algorithm>
#include <filesystem>

#include "r1/base/error.h"
#include "r1/base/log.h"
#include "r1/data/find_files.h"
#include "r1/model/local_models.h"
#include "r1/model/weights_io.h"
#include "r1/tensor/dtype.h"

namespace r1::stages {

namespace {

namespace fs = std::filesystem;

// Problems of several tasks of one name as one: train and test splits one after the other. The first one scores all.
class JoinedTask : public tasks::Task {
 public:
  explicit JoinedTask(std::vector<std::unique_ptr<tasks::Task>> parts) : parts_(std::move(parts)) {}
  const std::string& name() const override { return parts_[0]->name(); }
  int64_t size(const std::string& split) const override {
    int64_t sum = 0;
    for (const auto& part : parts_) sum += part->size(split);
    return sum;
  }
  tasks::Problem problem(const std::string& split, int64_t index) const override {
    for (size_t i = 0; i + 1 < parts_.size(); ++i) {
      const int64_t size = parts_[i]->size(split);
      if (index < size) return numbered(parts_[i]->problem(split, index), i);
      index -= size;
    }
    return numbered(parts_.back()->problem(split, index), parts_.size() - 1);
  }
  tasks::Score score(const tasks::Problem& problem, const std::string& completion) const override {
    return parts_[0]->score(problem, completion);
  }
  std::string sft_completion(const tasks::Problem& problem, int64_t index) const override {
    return parts_[0]->sft_completion(problem, index);
  }

 private:
  // The same id may stand in two files.
  static tasks::Problem numbered(tasks::Problem problem, size_t file) {
    if (file > 0) problem.id += str("@", file + 1);
    return problem;
  }
  std::vector<std::unique_ptr<tasks::Task>> parts_;
};

bool given(const eval::TaskArgs& args, const char* option) {
  const auto it = args.options.find(option);
  return it != args.options.end() && !it->second.empty();
}

bool same_file(const std::string& a, const std::string& b) {
  std::error_code ignored;
  return fs::equivalent(a, b, ignored);
}

void warn_of_one_file(const std::vector<eval::TaskArgs>& all) {
  for (const auto& a : all)
    for (const auto& b : all)
      if (given(a, "train") && given(b, "test") && same_file(a.options.at("train"), b.options.at("test"))) {
        log_warning("train and test split are the same file (", a.options.at("train"),
                    "): what is evaluated on it is memory, not skill; keep some problems apart");
        return;
      }
}

}  // namespace

std::vector<eval::TaskArgs> training_tasks(eval::TaskArgs args, const std::vector<std::string>& train_named,
                                           const std::vector<std::string>& eval_named) {
  const auto files = [](const std::vector<std::string>& named, const char* key) {
    return named.empty() ? named : data::find_files(named, key);
  };
  const auto train_files = files(train_named, "train_files"), eval_files = files(eval_named, "eval_files");
  const bool file = !args.data.empty() && fs::is_regular_file(data::find_data(args.data));
  if (!train_files.empty()) {
    if (file || given(args, "train"))
      fail_usage("train_files and ", file ? "data" : "task_options.train", " both name the train split; give one of them");
  } else if (file && !given(args, "train") && !given(args, "train_fraction")) {
    args.options["train"] = std::exchange(args.data, "");
  }
  if (!eval_files.empty() && given(args, "test")) fail_usage("eval_files and task_options.test both name the test split; give one of them");
  if (args.task.empty() && (!train_files.empty() || given(args, "train"))) args.task = "math";
  std::vector<eval::TaskArgs> all;
  for (size_t i = 0; i < std::max<size_t>(1, std::max(train_files.size(), eval_files.size())); ++i) {
    eval::TaskArgs part = args;
    if (i > 0) part.data.clear(), part.options.erase("train"), part.options.erase("test");
    if (i < train_files.size()) part.options["train"] = train_files[i];
    if (i < eval_files.size()) part.options["test"] = eval_files[i];
    all.push_back(std::move(part));
  }
  return all;
}

std::unique_ptr<tasks::Task> training_task(eval::TaskArgs args, const std::vector<std::string>& train_files,
                                           const std::vector<std::string>& eval_files) {
  const bool named = !args.task.empty();
  const auto all = training_tasks(std::move(args), train_files, eval_files);
  if (!named && !all[0].task.empty())
    log_info("task ", all[0].task, ": a question and its known answer a line (--task names another: r1 eval --list_tasks)");
  warn_of_one_file(all);
  std::vector<std::unique_ptr<tasks::Task>> parts;
  for (const auto& part : all) parts.push_back(eval::load_task(part));
  if (parts.size() == 1) return std::move(parts[0]);
  return std::make_unique<JoinedTask>(std::move(parts));
}

std::unique_ptr<tasks::Task> check_task(const eval::TaskArgs& args, const Preflight& preflight) {
  for (const auto& key : preflight.pending)
    if (key == "task" || key == "data" || key.starts_with("task_options") || key.starts_with("columns")) return nullptr;
  eval::TaskArgs quick = args;
  const bool files = !args.data.empty() || given(args, "data") || given(args, "train") || given(args, "test");
  if (preflight.quick && files && !given(args, "limit")) quick.options["limit"] = "1";
  return eval::load_task(quick);
}

void check_files(const std::vector<std::string>& files, const std::string& key, const Preflight& preflight) {
  if (!preflight.knows(key)) return;
  data::find_files(files, key);
}

void check_model(const eval::ModelArgs& args, const Preflight& preflight) {
  if (preflight.knows("model_name_or_path")) {
    if (args.model_name_or_path.empty()) fail_usage("missing: --model_name_or_path (HF folder, checkpoint folder or .gguf file)");
    model::read_model_config(model::find_model(args.model_name_or_path));
  }
  if (preflight.knows("tokenizer_name_or_path") && !args.tokenizer_name_or_path.empty()) model::find_tokenizer(args.tokenizer_name_or_path);
}

void check_device(const std::string& device, const Preflight& preflight) {
  if (preflight.knows("device")) tensor::parse_device(device);
}

}  // namespace r1::stages
