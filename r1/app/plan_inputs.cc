#include "r1/app/plan_inputs.h"

#include <ATen/DeviceAccelerator.h>

#include <algorithm>
#include <cctype>
#include <map>

#include "r1/base/error.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/base/strings.h"
#include "r1/model/local_models.h"
#include "r1/model/presets.h"
#include "r1/model/weights_io.h"
#include "r1/plan/gpu_cards.h"
#include "r1/stages/grpo.h"
#include "r1/stages/pretrain.h"
#include "r1/stages/sft.h"
#include "r1/verify/verify.h"

namespace r1::app {

void PlanConfig::visit(Fields& v) {
  v("model", model, "preset name, HF folder, .gguf file or a name that r1 models lists, instead of the config's");
  v("stage", stage, "what the config is of; auto: seen from its keys (serve: engine only)",
    OneOf{"auto", "pretrain", "sft", "grpo", "serve"});
  v("memory", memory, "what must suffice, e.g. 16GB (default: the machine's, or the GPU's)");
  v("gpu", gpu, "a card by name, e.g. h100 or 4090, for its memory as programs see it; the plan is then of a GPU, in bfloat16");
  v("prompt_tokens", prompt_tokens, "grpo: length of a prompt, which only the data knows", Range{0, 1e7});
  v("context", context, "serve: tokens of a conversation, prompt and answers; 0: several lengths", Range{0, 1e7});
  v("list_presets", list_presets, "print the named shapes and stop");
  v.group("", many);
}

bool is_training_stage(const std::string& stage) {
  return stage == "pretrain" || stage == "sft" || stage == "grpo";
}

namespace {

using Models = std::map<std::string, model::ModelConfig>;  // what ${name} of a recipe stands for
using train::AdviceInput;

// "Qwen/Qwen2.5-0.5B-Instruct" -> "qwen2.5-0.5b": published names say more than shapes need.
std::string shape_name(std::string name) {
  name.erase(0, name.rfind('/') + 1);  // npos + 1 == 0
  for (char& c : name) c = char(std::tolower(static_cast<unsigned char>(c)));
  for (const char* start : {"meta-", "deepseek-r1-", "google-"}) {
    if (name.starts_with(start)) name.erase(0, std::string_view(start).size());
  }
  if (name.starts_with("distill-")) name = "r1-" + name;
  for (const char* word : {"-instruct", "-base", "-it", "-pt", "-chat", "-coder", "-math"}) {
    const std::string_view part = word;
    const size_t at = name.find(word);
    if (at != std::string::npos && (at + part.size() == name.size() || name[at + part.size()] == '-')) name.erase(at, part.size());
  }
  return name;
}

model::ModelConfig shape_of(const std::string& name, const Models& earlier) {
  if (name.size() > 3 && name[0] == '$') {
    const auto it = earlier.find(name.substr(2, name.size() - 3));
    if (it == earlier.end()) fail_usage("model: no earlier training stage is called ", name);
    return it->second;
  }
  std::error_code ignored;
  if (model::is_preset(name) && !std::filesystem::exists(name, ignored)) return model::preset(name);
  try {
    return model::read_model_config(model::find_model(name));
  } catch (const Error&) {
    if (std::filesystem::exists(name, ignored)) throw;
    const std::string shape = shape_name(name);
    if (model::is_preset(shape)) {
      log_info(name, " is not on this machine; the shape of the preset ", shape, " is taken");
      return model::preset(shape);
    }
    const bool is_path = name.ends_with(".gguf") || name[0] == '/' || name[0] == '.' || name[0] == '~';
    if (is_path) throw;
    return model::preset(name.find('/') == std::string::npos ? name : shape);  // an unknown name is answered with the nearest
  }
}

bool on_gpu(const stages::RunArgs& run, const PlanConfig& own, const CommonOptions& common) {
  return !own.gpu.empty() || run.device.starts_with("cuda") || common.device.starts_with("cuda");
}

// The memory that must suffice, and whose it is.
void set_memory(PlanRequest& request, const PlanConfig& own) {
  int64_t& memory = request.advice.memory;
  if (!own.memory.empty()) {
    memory = parse_bytes(own.memory, "--memory");
    request.memory_of = "--memory";
  } else if (!own.gpu.empty()) {
    const plan::GpuCard& card = plan::gpu_card(own.gpu);
    memory = card.bytes();
    request.memory_of = str(card.title, ", sold as ", card.sold_gb, " GB");
  } else if (!request.advice.plan.cuda) {
    memory = train::machine_memory();
    request.memory_of = "this machine";
  } else {
    if (!at::accelerator::getAccelerator() || at::accelerator::deviceCount() == 0)
      fail_usage("plan: no GPU here to ask for its memory; give --gpu h100, say, or --memory=80GB");
    memory = int64_t(at::accelerator::getMemoryInfo(0).second);
    request.memory_of = "this machine's GPU";
  }
}

constexpr int64_t kGpuContext = int64_t{512} << 20;  // of CUDA itself and its libraries, about

AdviceInput common_input(const stages::RunArgs& run, const stages::ModelArgs& model, const train::TrainerConfig& trainer,
                         const PlanConfig& own, const CommonOptions& common) {
  AdviceInput in;
  train::PlanInput& plan = in.plan;
  plan.cuda = on_gpu(run, own, common);
  const std::string dtype = model.dtype != "auto" ? model.dtype : plan.cuda || trainer.bf16 ? "bfloat16" : "float32";
  plan.dtype = tensor::parse_dtype(dtype);
  plan.trainer = trainer;
  plan.micro_batches = run.gradient_accumulation_steps;
  plan.program_bytes = plan.cuda ? kGpuContext : train::resident_bytes();  // this process has loaded the same libraries
  return in;
}

void set_shape(AdviceInput& in, model::ModelConfig shape) {
  in.plan.model = std::move(shape);
  in.plan.network = std::make_shared<model::Footprint>(model::footprint(in.plan.model, in.plan.dtype));
}

void set_model(AdviceInput& in, const std::string& name, const PlanConfig& own, const Models& earlier) {
  const std::string chosen = own.model.empty() ? name : own.model;
  if (chosen.empty())
    fail_usage("plan: which model? Give --model=<preset name, HF folder or .gguf file> (r1 models lists presets and what is here)");
  set_shape(in, shape_of(chosen, earlier));
}

void set_batch(AdviceInput& in, int64_t sequences, int64_t length, const char* option, int64_t fixed = 0) {
  in.sequences = sequences;
  in.length = length;
  in.length_option = option;
  in.fixed_length = fixed;
  in.plan.micro_batch_tokens = sequences * length;
  in.plan.longest_text = length;
}

// The same, where tokens make a micro-batch.
void set_batch(AdviceInput& in, const stages::RunArgs& run, const stages::BatchArgs& batches, int64_t max_length) {
  in.by_tokens = batches.max_tokens_per_batch > 0;
  const int64_t rows = in.by_tokens ? (batches.max_tokens_per_batch + max_length - 1) / max_length : run.per_device_train_batch_size;
  set_batch(in, rows, max_length, "max_length");
}

template <class Config>
Config configured(const std::vector<Setting>& settings) {
  Config config;
  std::vector<Setting> all{{"output_dir", "plan", "plan"}};  // nothing is written
  all.insert(all.end(), settings.begin(), settings.end());
  apply_settings(config, all);
  return config;
}

AdviceInput pretrain_input(const std::vector<Setting>& settings, const PlanConfig& own, const CommonOptions& common,
                           const Models& earlier) {
  const auto c = configured<stages::PretrainConfig>(settings);
  AdviceInput in = common_input(c.run, c.model, c.trainer, own, common);
  if (own.model.empty() && c.model.model_name_or_path.empty()) {
    model::ModelConfig shape = stages::named_shape(c);
    model::finish_config(shape);
    set_shape(in, std::move(shape));
  } else {
    set_model(in, c.model.model_name_or_path, own, earlier);
  }
  set_batch(in, c.run, c.batches, c.max_length);
  return in;
}

AdviceInput sft_input(const std::vector<Setting>& settings, const PlanConfig& own, const CommonOptions& common, const Models& earlier) {
  const auto c = configured<stages::SftConfig>(settings);
  AdviceInput in = common_input(c.run, c.model, c.trainer, own, common);
  set_model(in, c.model.model_name_or_path, own, earlier);
  set_batch(in, c.run, c.batches, c.max_length);
  return in;
}

// `sequences` of `longest` tokens each are what the engine can have to hold at most.
void set_engine(AdviceInput& advice, engine::EngineConfig engine, int64_t memory, int64_t sequences, int64_t longest_text) {
  train::PlanInput& in = advice.plan;
  const int64_t longest = engine.max_model_len ? engine.max_model_len : in.model.max_position_embeddings;
  if (const std::string word = engine::drop_idle_eviction(engine, longest); !word.empty()) log_info(word);
  in.cache = engine::cache_form(engine);
  in.network = std::make_shared<model::Footprint>(model::footprint(in.model, in.dtype, in.cache));
  const model::Footprint& network = *in.network;
  const int64_t token_bytes = network.cache_bytes_per_token +
                              (engine.num_speculative_tokens > 0 && engine.speculation == "mtp" ? network.mtp_cache_bytes_per_token : 0);
  const auto filled = [&](int64_t number, int64_t all_tokens) {
    const int64_t tokens = engine::most_cached_tokens(engine, all_tokens);
    return number * ((tokens + engine.block_size - 1) / engine.block_size) * engine.block_size * token_bytes;
  };
  // As the engine counts: all of cache_memory(), but no more than twice what its sequences can fill.
  if (engine.num_blocks) {
    in.cache_bytes = engine.num_blocks * engine.block_size * token_bytes;
  } else {
    std::optional<int64_t> gpu_free;  // when the engine is made, the weights are there
    if (in.cuda && engine.kv_cache_memory == 0)
      gpu_free = std::max<int64_t>(0, memory - network.parameters * int64_t(c10::elementSize(in.dtype)));
    in.cache_bytes = std::min(engine::cache_memory(engine, gpu_free), 2 * filled(engine.max_num_seqs, longest));
  }
  in.engine_tokens = engine.max_num_batched_tokens;
  in.engine_sequences = engine.max_num_seqs;
  advice.cache_needed = filled(sequences, longest_text);
}

AdviceInput grpo_input(const std::vector<Setting>& settings, const PlanConfig& own, const CommonOptions& common, const Models& earlier,
                       int64_t memory) {
  const auto c = configured<stages::GrpoConfig>(settings);
  AdviceInput in = common_input(c.run, c.model, c.trainer, own, common);
  set_model(in, c.model.model_name_or_path, own, earlier);
  const int64_t longest = own.prompt_tokens + c.sampling.max_completion_length;
  set_batch(in, c.run.per_device_train_batch_size, longest, "max_completion_length", own.prompt_tokens);
  in.plan.reference_model = c.loss.beta > 0;
  // On a GPU the plan is of the GPU's memory.
  if (!in.plan.cuda && c.task.task == "math") in.plan.verifier_bytes = verify::Verifier::most_memory({});
  const int64_t steps = c.steps_per_generation > 0 ? c.steps_per_generation : c.run.gradient_accumulation_steps;
  set_engine(in, c.engine, memory, std::min(c.engine.max_num_seqs, c.run.per_device_train_batch_size * steps), longest);
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

AdviceInput serve_input(const std::vector<Setting>& settings, const PlanConfig& own, const CommonOptions& common, const Models& earlier,
                        int64_t memory) {
  ServeConfig c;
  apply_settings(c, settings);
  AdviceInput in = common_input({}, c.model, {}, own, common);
  in.plan.training = false;
  set_model(in, c.model.model_name_or_path, own, earlier);
  const int64_t longest = c.engine.max_model_len ? c.engine.max_model_len : in.plan.model.max_position_embeddings;
  in.plan.longest_text = own.context ? own.context : longest;
  set_engine(in, c.engine, memory, c.engine.max_num_seqs, in.plan.longest_text);
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

PlanRequest request_of(const std::string& name, const std::string& stage, const std::vector<Setting>& settings, const PlanConfig& own,
                       const CommonOptions& common, const Models& earlier) {
  PlanRequest request{name, stage, "", own.context, {}};
  // The engine takes a share of a GPU's memory, so that is asked for first.
  const auto device = std::find_if(settings.rbegin(), settings.rend(), [](const Setting& s) { return s.key == "device"; });
  stages::RunArgs run;
  if (device != settings.rend() && device->value.is_string()) run.device = device->value.get<std::string>();
  request.advice.plan.cuda = on_gpu(run, own, common);
  set_memory(request, own);
  const int64_t memory = request.advice.memory;
  request.advice = stage == "pretrain" ? pretrain_input(settings, own, common, earlier)
                   : stage == "sft"    ? sft_input(settings, own, common, earlier)
                   : stage == "grpo"   ? grpo_input(settings, own, common, earlier, memory)
                                       : serve_input(settings, own, common, earlier, memory);
  request.advice.memory = memory;
  return request;
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
std::vector<PlanRequest> recipe_requests(const std::vector<Setting>& settings, const PlanConfig& own, const CommonOptions& common) {
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
  std::vector<PlanRequest> out;
  Models models;
  for (const std::string& name : names) {
    const std::string kind = kinds[name];
    if (!is_training_stage(kind)) continue;
    std::vector<Setting> mine = by_name[name];
    const auto is_own = [&](const Setting& s) {
      return std::any_of(by_name[name].begin(), by_name[name].end(), [&](const Setting& own_one) { return own_one.key == s.key; });
    };
    for (const Setting& s : shared) {
      if (stage_knows(kind, s.key) && !is_own(s)) mine.push_back(s);
    }
    out.push_back(request_of(name, kind, mine, own, common, models));
    models[name] = out.back().advice.plan.model;
  }
  return out;
}

}  // namespace

model::ModelConfig named_model(const std::string& name) {
  return shape_of(name, {});
}

std::vector<PlanRequest> plan_requests(const std::vector<Setting>& settings, const PlanConfig& own, const CommonOptions& common) {
  if (std::any_of(settings.begin(), settings.end(), [](const Setting& s) { return s.key.starts_with("stages."); }))
    return recipe_requests(settings, own, common);
  const std::string stage = own.stage == "auto" ? guessed_stage(settings) : own.stage;
  return {request_of(stage, stage, settings, own, common, {})};
}

}  // namespace r1::app
