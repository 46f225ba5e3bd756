// r1 plan: the memory of a run before anything is loaded. Takes the recipe of any training stage, or a whole recipe with stages, with the
// same overrides as the stage itself; or just a model.
#include <ATen/DeviceAccelerator.h>

#include <algorithm>

#include "r1/app/command.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/model/presets.h"
#include "r1/model/weights_io.h"
#include "r1/stages/grpo.h"
#include "r1/stages/pretrain.h"
#include "r1/stages/sft.h"
#include "r1/train/plan.h"
#include "r1/verify/verify.h"

namespace r1::app {
namespace {

struct PlanConfig {
  std::string stage = "auto", model, memory;
  int64_t prompt_tokens = 256;
  bool list_presets = false;

  void visit(Fields& v) {
    v("stage", stage, "what the config is of; auto: seen from its keys (serve: engine only)",
      OneOf{"auto", "pretrain", "sft", "grpo", "serve"});
    v("model", model, "preset name, HF folder or .gguf file, instead of the config's");
    v("memory", memory, "what must suffice, e.g. 16GB (default: the machine's, or the GPU's)");
    v("prompt_tokens", prompt_tokens, "grpo: length of a prompt, which only the data knows", Range{0, 1e7});
    v("list_presets", list_presets, "print the named shapes and stop");
  }
};

using Models = std::map<std::string, model::ModelConfig>;  // what ${name} of a recipe stands for

struct Planned {
  std::string name;
  train::PlanInput input;
  train::Plan plan;
};

model::ModelConfig shape_of(const std::string& name, const Models& earlier) {
  if (name.size() > 3 && name[0] == '$') {
    const auto it = earlier.find(name.substr(2, name.size() - 3));
    if (it == earlier.end()) fail_usage("model: no earlier training stage is called ", name);
    return it->second;
  }
  const bool path = name.find('/') != std::string::npos || name.ends_with(".gguf");
  if (model::is_preset(name) || (!path && !std::filesystem::exists(name)))
    return model::preset(name);  // an unknown name is answered with the nearest
  return model::read_model_config(model::find_model(name));
}

bool is_cuda(const std::string& device) {
  return device.rfind("cuda", 0) == 0;
}

train::PlanInput common_input(const stages::RunArgs& run, const stages::ModelArgs& model, const train::TrainerConfig& trainer,
                              const CommonOptions& common) {
  train::PlanInput in;
  in.cuda = is_cuda(run.device) || is_cuda(common.device);
  const std::string dtype = model.dtype != "auto" ? model.dtype : in.cuda || trainer.bf16 ? "bfloat16" : "float32";
  in.dtype = tensor::parse_dtype(dtype);
  in.trainer = trainer;
  in.micro_batches = run.gradient_accumulation_steps;
  if (!in.cuda) in.program_bytes = train::resident_bytes();  // this process has loaded the same libraries
  return in;
}

void set_model(train::PlanInput& in, const std::string& name, const PlanConfig& own, const Models& earlier) {
  const std::string chosen = own.model.empty() ? name : own.model;
  if (chosen.empty()) fail_usage("plan: which model? Give --model=<preset name, HF folder or .gguf file> (r1 plan --list_presets)");
  in.model = shape_of(chosen, earlier);
}

template <class Config>
Config configured(const std::vector<Setting>& settings) {
  Config config;
  std::vector<Setting> all{{"output_dir", "plan", "plan"}};  // nothing is written
  all.insert(all.end(), settings.begin(), settings.end());
  apply_settings(config, all);
  return config;
}

train::PlanInput pretrain_input(const std::vector<Setting>& settings, const PlanConfig& own, const CommonOptions& common,
                                const Models& earlier) {
  const auto c = configured<stages::PretrainConfig>(settings);
  train::PlanInput in = common_input(c.run, c.model, c.trainer, common);
  if (own.model.empty() && c.model.model_name_or_path.empty()) {
    in.model = stages::named_shape(c);
    model::finish_config(in.model);
  } else {
    set_model(in, c.model.model_name_or_path, own, earlier);
  }
  in.micro_batch_tokens = c.run.per_device_train_batch_size * c.max_length;
  return in;
}

train::PlanInput sft_input(const std::vector<Setting>& settings, const PlanConfig& own, const CommonOptions& common,
                           const Models& earlier) {
  const auto c = configured<stages::SftConfig>(settings);
  train::PlanInput in = common_input(c.run, c.model, c.trainer, common);
  set_model(in, c.model.model_name_or_path, own, earlier);
  in.micro_batch_tokens = c.run.per_device_train_batch_size * c.max_length;
  return in;
}

int64_t memory_of(const PlanConfig& own, bool cuda) {
  if (!own.memory.empty()) return train::parse_bytes(own.memory, "--memory");
  if (!cuda) return train::machine_memory();
  if (!at::accelerator::getAccelerator() || at::accelerator::deviceCount() == 0)
    fail_usage("plan: no GPU here to ask for its memory; give --memory=80GB");
  return int64_t(at::accelerator::getMemoryInfo(0).second);
}

void set_engine(train::PlanInput& in, const engine::EngineConfig& engine, const PlanConfig& own) {
  const model::Footprint network = model::footprint(in.model, in.dtype);
  const int64_t token_bytes = network.cache_bytes_per_token + (engine.num_speculative_tokens > 0 ? network.mtp_cache_bytes_per_token : 0);
  // As the engine counts: all of cache_memory(), but no more than twice what its sequences can fill.
  const int64_t longest = engine.max_model_len ? engine.max_model_len : in.model.max_position_embeddings;
  const int64_t useful =
      2 * engine.max_num_seqs * ((longest + engine.block_size - 1) / engine.block_size) * engine.block_size * token_bytes;
  if (engine.num_blocks) {
    in.cache_bytes = engine.num_blocks * engine.block_size * token_bytes;
  } else {
    std::optional<int64_t> gpu_free;  // when the engine is made, the weights are there
    if (in.cuda && engine.kv_cache_memory == 0)
      gpu_free = std::max<int64_t>(0, memory_of(own, true) - network.parameters * int64_t(c10::elementSize(in.dtype)));
    in.cache_bytes = std::min(engine::cache_memory(engine, gpu_free), useful);
  }
  in.engine_tokens = engine.max_num_batched_tokens;
  in.engine_sequences = engine.max_num_seqs;
}

train::PlanInput grpo_input(const std::vector<Setting>& settings, const PlanConfig& own, const CommonOptions& common,
                            const Models& earlier) {
  const auto c = configured<stages::GrpoConfig>(settings);
  train::PlanInput in = common_input(c.run, c.model, c.trainer, common);
  set_model(in, c.model.model_name_or_path, own, earlier);
  in.micro_batch_tokens = c.run.per_device_train_batch_size * (own.prompt_tokens + c.sampling.max_completion_length);
  in.reference_model = c.loss.beta > 0;
  // On a GPU the plan is of the GPU's memory.
  if (!in.cuda && c.task.task == "math") in.verifier_bytes = verify::Verifier::most_memory({});
  set_engine(in, c.engine, own);
  return in;
}

struct ServeConfig {
  stages::ModelArgs model;
  engine::EngineConfig engine;
  void visit(Fields& v) {
    v.group("", model);
    v.group("engine", engine);
  }
};

train::PlanInput serve_input(const std::vector<Setting>& settings, const PlanConfig& own, const CommonOptions& common,
                             const Models& earlier) {
  ServeConfig c;
  apply_settings(c, settings);
  train::PlanInput in = common_input({}, c.model, {}, common);
  in.training = false;
  set_model(in, c.model.model_name_or_path, own, earlier);
  set_engine(in, c.engine, own);
  return in;
}

// From keys that only one stage has.
std::string guessed_stage(const std::vector<Setting>& settings) {
  const auto has = [&](std::initializer_list<const char*> keys) {
    return std::any_of(settings.begin(), settings.end(),
                       [&](const Setting& s) { return std::find(keys.begin(), keys.end(), s.key) != keys.end(); });
  };
  if (has({"num_generations", "reward_funcs", "beta", "max_completion_length"})) return "grpo";
  if (has({"preset", "text_field", "packing_isolate"})) return "pretrain";
  if (has({"max_length", "train_files", "learning_rate", "num_train_epochs", "per_device_train_batch_size", "packing_strategy"}))
    return "sft";
  return settings.empty() ? "sft" : "serve";
}

train::PlanInput input_of(const std::string& stage, const std::vector<Setting>& settings, const PlanConfig& own,
                          const CommonOptions& common, const Models& earlier) {
  if (stage == "pretrain") return pretrain_input(settings, own, common, earlier);
  if (stage == "sft") return sft_input(settings, own, common, earlier);
  if (stage == "grpo") return grpo_input(settings, own, common, earlier);
  return serve_input(settings, own, common, earlier);
}

template <class Config>
bool knows(const std::string& key) {
  Config config;
  const auto names = Fields(config).names(true);
  return std::any_of(names.begin(), names.end(), [&](const std::string& n) { return n == key || key.rfind(n + ".", 0) == 0; });
}

bool stage_knows(const std::string& stage, const std::string& key) {
  return stage == "pretrain" ? knows<stages::PretrainConfig>(key)
         : stage == "sft"    ? knows<stages::SftConfig>(key)
                             : knows<stages::GrpoConfig>(key);
}

// The training stages of a whole recipe, each with what "common" gives it.
std::vector<Planned> plan_recipe(const std::vector<Setting>& settings, const PlanConfig& own, const CommonOptions& common) {
  std::vector<std::string> names;
  std::map<std::string, std::vector<Setting>> by_name;
  std::map<std::string, std::string> kinds;
  std::vector<Setting> shared;
  for (const Setting& s : settings) {
    if (s.key.rfind("common.", 0) == 0) shared.push_back({s.key.substr(7), s.where, s.value});
    const size_t dot = s.key.rfind("stages.", 0) == 0 ? s.key.find('.', 7) : std::string::npos;
    if (dot == std::string::npos) continue;
    const std::string name = s.key.substr(7, dot - 7), key = s.key.substr(dot + 1);
    if (by_name.find(name) == by_name.end()) names.push_back(name), by_name[name];
    if (key == "stage") {
      kinds[name] = s.value.get<std::string>();
    } else if (key != "title" && key != "require") {
      by_name[name].push_back({key, s.where, s.value});
    }
  }
  std::vector<Planned> out;
  Models models;
  for (const std::string& name : names) {
    const std::string kind = kinds[name];
    if (kind != "pretrain" && kind != "sft" && kind != "grpo") continue;
    std::vector<Setting> mine = by_name[name];
    const auto is_own = [&](const Setting& s) {
      return std::any_of(by_name[name].begin(), by_name[name].end(), [&](const Setting& own_one) { return own_one.key == s.key; });
    };
    for (const Setting& s : shared) {
      if (stage_knows(kind, s.key) && !is_own(s)) mine.push_back(s);
    }
    Planned planned{name, input_of(kind, mine, own, common, models), {}};
    models[name] = planned.input.model;
    planned.plan = train::make_plan(planned.input);
    out.push_back(std::move(planned));
  }
  return out;
}

void print_parts(const char* title, const std::vector<train::PlanPart>& parts) {
  if (parts.empty()) return;
  print_text(str("  ", title, "\n"));
  for (const train::PlanPart& part : parts) {
    std::string left = "    " + part.name, bytes = human_bytes(double(part.bytes));
    left.resize(std::max<size_t>(left.size() + 1, 32), ' ');
    print_text(
        str(left, std::string(bytes.size() < 10 ? 10 - bytes.size() : 0, ' '), bytes, part.note.empty() ? "" : "   ", part.note, "\n"));
  }
}

void print_network(const train::Plan& plan) {
  const model::Footprint& n = plan.network;
  const std::string active =
      n.active_parameters < n.parameters ? str(", ", human_count(double(n.active_parameters)), " active a token") : "";
  const std::string mtp = n.mtp_parameters ? str(", ", human_count(double(n.mtp_parameters)), " of them in multi-token prediction") : "";
  print_text(str("  ", human_count(double(plan.parameters)), " parameters", mtp, active, "\n"));
  print_text(str("  a token: ", human_bytes(double(n.cache_bytes_per_token)), " of engine cache, ", human_count(double(n.flops_per_token)),
                 " FLOPs forward and ", human_count(double(n.attention_flops_per_context_token)),
                 " for each token that it looks back to\n"));
}

void print_plan(const Planned& p, int64_t memory) {
  print_text(str(p.name, ":", p.input.training ? str(" micro-batches of ", p.input.micro_batch_tokens, " tokens") : "", "\n"));
  print_network(p.plan);
  print_parts("all the time", p.plan.resident);
  print_parts("at the peak of a training step", p.plan.training);
  print_parts("at the peak of an engine step", p.plan.rollout);
  const int64_t most = p.plan.peak + p.plan.kept_free;
  const char* verdict = most <= memory          ? "fits"
                        : p.plan.peak <= memory ? "tight: use gradient_checkpointing or a smaller batch"
                                                : "does not fit";
  print_text(str("  peak ", human_bytes(double(p.plan.peak)),
                 p.plan.kept_free ? str(" (up to ", human_bytes(double(most)), " with freed blocks that malloc keeps)") : "", " of ",
                 human_bytes(double(memory)), ": ", verdict, "\n"));
}

int run_plan(const std::vector<Setting>& settings, const PlanConfig& own, const CommonOptions& common) {
  std::vector<Planned> all;
  if (std::any_of(settings.begin(), settings.end(), [](const Setting& s) { return s.key.rfind("stages.", 0) == 0; })) {
    all = plan_recipe(settings, own, common);
  } else {
    const std::string stage = own.stage == "auto" ? guessed_stage(settings) : own.stage;
    Planned planned{stage, input_of(stage, settings, own, common, {}), {}};
    planned.plan = train::make_plan(planned.input);
    all.push_back(std::move(planned));
  }
  bool fits = true;
  Json json = Json::array();
  for (const Planned& p : all) {
    const int64_t memory = memory_of(own, p.input.cuda);
    fits = fits && p.plan.peak <= memory;
    Json one{{"stage", p.name}, {"memory", memory}, {"fits", p.plan.peak <= memory}};
    one.update(train::plan_to_json(p.plan));
    json.push_back(one);
    if (!common.json) print_plan(p, memory);
  }
  if (common.json) print_text(dump_json(json.size() == 1 ? json[0] : Json{{"fits", fits}, {"stages", json}}) + "\n");
  return fits ? 0 : 1;
}

}  // namespace

Command cmd_plan() {
  Command command =
      make_command<PlanConfig>("plan", "the memory of a run, part by part, and whether it fits, before anything is loaded", {});
  command.run = [](const Command& self, const Arguments& arguments) {
    Options<PlanConfig> options;
    const Fields fields(options);
    std::vector<Setting> own, rest;
    for (Setting& s : all_settings(environment_settings(options), command_settings(self, arguments))) {
      // In a recipe "model" and "device" belong to the stage; on the command line "model" replaces them all.
      (fields.find(s.key) && (s.key != "model" || s.where.rfind("--", 0) == 0) ? own : rest).push_back(s);
    }
    apply_settings(options, own);
    apply_common(options.common);
    if (options.config.list_presets) {
      for (const std::string& name : model::preset_names()) print_text(name + "\n");
      return 0;
    }
    return run_plan(rest, options.config, options.common);
  };
  return command;
}

}  // namespace r1::app
