#include "r1/stages/evaluate.h"

#include <algorithm>
#include <future>

#include "r1/base/build_info.h"
#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/eval/provenance.h"
#include "r1/eval/statistics.h"
#include "r1/stages/results.h"

namespace r1::stages {

namespace {

void check_pass_at(const EvalConfig& config) {
  for (const int64_t k : config.eval.pass_at)
    if (k < 1 || k > config.eval.num_samples)
      fail_usage("pass_at has ", k, ", but num_samples is ", config.eval.num_samples, "; k must lie between 1 and num_samples");
}

}  // namespace

void check(const EvalConfig& config, const Preflight& preflight) {
  check_device(config.device, preflight);
  const auto task = check_task(config.task, preflight);
  if (task) tasks::required_size(*task, config.eval.split, "eval");
  if (preflight.knows("num_samples")) check_pass_at(config);
  check_model(config.model, preflight);
}

namespace {

constexpr const char* kResult = "result.json";

// A name for a folder: what stands in it is safe on every file system.
std::string plain(std::string text) {
  for (char& c : text)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_') c = '-';
  return text;
}

// runs/eval/<task>-<model>-<date>, a new one.
fs::path new_folder(const EvalConfig& config) {
  fs::path model = config.model.model_name_or_path;
  if (!model.has_filename()) model = model.parent_path();
  std::string date = eval::now_utc();
  std::erase_if(date, [](char c) { return c == ':' || c == 'Z'; });
  const std::string name = plain(config.task.task + "-" + model.filename().string() + "-" + date);
  for (int i = 1;; ++i) {
    const fs::path folder = fs::path("runs/eval") / (i == 1 ? name : str(name, "-", i));
    if (!fs::exists(folder)) return folder;
  }
}

// What an earlier evaluation left in the folder: its result, if nothing differs; a refusal, if that would be written over.
std::optional<Json> earlier_result(const EvalConfig& config, const fs::path& folder) {
  constexpr const char* kWaysOut = "choose another output_dir, or --overwrite_output_dir";
  if (config.overwrite_output_dir) return std::nullopt;
  if (!fs::exists(folder / kResult)) {
    for (const char* name : {"stage.json", "config.yaml"})  // samples alone are what a kill left
      if (fs::exists(folder / name))
        fail_usage("eval: output_dir '", folder.string(), "' holds something that is no evaluation (", name, "); ", kWaysOut);
    return std::nullopt;
  }
  const Json before = parse_json_file(folder / kResult);
  if (!before.is_object() || !before.contains("config"))
    fail_usage("eval: ", (folder / kResult).string(), " does not say how it was made; ", kWaysOut);
  if (const std::string differs = changes(before["config"], config_to_json(config)); !differs.empty())
    fail_usage("eval: output_dir '", folder.string(), "' holds the evaluation of another config:\n", differs, kWaysOut);
  if (!before.value("complete", false)) return std::nullopt;  // it was stopped
  const Json model = eval::model_facts(model::find_model(config.model.model_name_or_path));
  if (before.contains("model") && before["model"].value("sha256", Json()) != model["sha256"])
    fail_usage("eval: output_dir '", folder.string(), "' holds the evaluation of other weights under the same name; ", kWaysOut);
  for (const Json& file : before.value("data", Json::array())) {
    const std::string path = file.value("path", "");
    if (file.value("sha256", Json()).is_string() && (!fs::exists(path) || eval::data_facts({path})[0]["sha256"] != file["sha256"]))
      fail_usage("eval: output_dir '", folder.string(), "' holds the evaluation on another ", path, ", which has changed since; ",
                 kWaysOut);
  }
  log_info("eval: ", folder.string(), " has the result of this evaluation already; --overwrite_output_dir makes it anew");
  return before;
}

Json facts(const EvalConfig& config, const tasks::Task& task, const Json& model, bool complete) {
  Json sampling = config_to_json(config.eval);
  for (const char* key : {"split", "limit", "reward_funcs"}) sampling.erase(key);
  return {{"model", model},
          {"data", eval::data_facts(task.files(config.eval.split))},
          {"split", config.eval.split},
          {"sampling", sampling},
          {"seed", config.eval.seed},
          {"date", eval::now_utc()},
          {"version", version_line()},
          {"command", eval::command_line()},
          {"complete", complete},
          {"config", config_to_json(config)}};
}

std::string in_digits(const Json& result, const char* key) {
  return eval::three_digits(result.at(key).get<double>());
}

}  // namespace

Json run_evaluation(const EvalConfig& config) {
  const bool named = !config.output_dir.empty();
  if (named && config.save)
    if (const auto before = earlier_result(config, config.output_dir)) return *before;
  const auto device = tensor::parse_device(config.device);
  check_pass_at(config);
  const auto task = load_task(config.task);
  const int64_t size = tasks::required_size(*task, config.eval.split, "eval");
  check_model(config.model, {.quick = true});
  const auto files = task->files(config.eval.split);
  const int64_t asked = config.eval.limit > 0 ? std::min(config.eval.limit, size) : size;
  log_info("eval ", task->name(), ": ", asked, asked < size ? str(" of ", size) : "", " problems", files.empty() ? "" : " from ",
           files.empty() ? "" : files.front(), files.size() > 1 ? str(" and ", files.size() - 1, " more") : "");
  const auto loaded = load(config.model, device);
  const data::PromptMaker prompts(*loaded.tokenizer, loaded.chat.get(), config.prompt, loaded.stop_ids);
  engine::Engine engine(*loaded.model, config.engine);
  std::future<Json> model;
  if (config.save) model = std::async(std::launch::async, eval::model_facts, model::find_model(config.model.model_name_or_path));
  Progress bar("eval " + task->name(), 0, "sample");
  const auto result = eval::evaluate(engine, *loaded.tokenizer, *task, prompts, config.eval, [&](int64_t finished, int64_t total) {
    bar.set_total(total);
    bar.update(finished, str(engine.stats().generated_tokens, " tokens"));
    return !interrupted();
  });
  bar.finish();
  Json out = result.to_json();
  std::string kept;
  if (config.save) {
    const fs::path folder = named ? fs::path(config.output_dir) : new_folder(config);
    eval::save_result(result, folder, facts(config, *task, model.get(), !interrupted()));
    out["output_dir"] = kept = folder.string();
  }
  if (interrupted())
    throw Error(str("eval: stopped after ", result.n, " problems", kept.empty() ? "" : "; what was scored is in " + kept),
                ErrorKind::kInterrupted);
  if (!kept.empty())
    log_info("eval: every sample is in ", kept, "; look at the wrong ones: r1 eval show ", eval::shell_word(kept), " --wrong");
  return out;
}

Json evaluate(const EvalConfig& config) {
  const Json result = run_evaluation(config);
  const Json& ci = result.at("ci95");
  log_info("eval ", result.at("task").get<std::string>(), ": accuracy ", in_digits(result, "accuracy"), " (95 % ",
           eval::three_digits(ci[0].get<double>()), " to ", eval::three_digits(ci[1].get<double>()), ") on ", result.at("n").get<int64_t>(),
           " problems, ", in_digits(result, "mean_length"), " tokens a completion, ", human_time(result.at("seconds").get<double>()));
  return result;
}

void EvalConfig::visit(Fields& v) {
  v("output_dir", output_dir, "where samples.jsonl and result.json go; none given: a new folder below runs/eval");
  v("overwrite_output_dir", overwrite_output_dir, "write over an earlier evaluation");
  v("save", save, "keep result and samples (--no-save: print only)");
  v("device", device, "cpu, cuda, cuda:N; auto: the GPU if there is one");
  v.group("", model);
  v.group("", task);
  v.group("", prompt);
  v.group("", eval);
  v.group("engine", engine);
}

}  // namespace r1::stages
