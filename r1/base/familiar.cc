#include "r1/base/familiar.h"

#include <algorithm>

#include "r1/base/error.h"

namespace r1 {
namespace {

constexpr const char kLora[] = "LoRA and other adapters do not exist here yet: all weights are trained (r1 plan says what fits)";
constexpr const char kQuantized[] =
    "weights are held in float32 or bfloat16 (--dtype); quantized GGUF files are read and unpacked, training on packed weights does not "
    "exist here yet";
constexpr const char kReports[] =
    "metrics.jsonl, TensorBoard events and report.html are always written to output_dir, and nothing is sent anywhere";
constexpr const char kHub[] = "nothing is uploaded; output_dir has the layout that `hf upload` takes";
constexpr const char kOneDevice[] = "r1 runs in one process on one device (--device); several GPUs do not exist here yet";
constexpr const char kFiles[] = "files on this machine (JSONL); nothing is downloaded";
constexpr const char kAttention[] = "the program picks its kernels itself";
constexpr const char kVllm[] =
    "the engine samples from the trainer's own weights, so there is no server to set up; its options are engine.*";
constexpr const char kSampler[] = "this sampler does not exist here yet";
constexpr const char kMasked[] = "only the assistant's tokens are learned, always";
constexpr const char kTemplate[] = "the tokenizer's own template is taken (prompt_format picks plain or chat)";
constexpr const char kServer[] = "that is an option of r1 serve (r1 serve --help)";
constexpr const char kNoNeed[] = "r1 needs no such setting";
constexpr const char kPacked[] = "texts are always packed, without padding";
constexpr char kCacheType[] = "one for keys and values: float32, bfloat16, int8 or int4";
constexpr const char kMemoryMap[] = "weights are read into memory once; there is nothing to set";
constexpr const char kOffload[] =
    "offloading to the CPU does not exist here yet; gradient_checkpointing and smaller micro-batches save memory";

}  // namespace

const std::vector<FamiliarOption>& familiar_options() {
  static const std::vector<FamiliarOption> all = {
      // TRL and transformers, axolotl, LLaMA-Factory
      {"model", {"model_name_or_path"}, ""},
      {"m", {"model_name_or_path", "model"}, "or the first word: r1 chat MODEL"},
      {"model_name", {"model_name_or_path", "model"}, ""},
      {"model_id", {"model_name_or_path", "model"}, ""},
      {"model_path", {"model_name_or_path", "model"}, ""},
      {"base_model", {"model_name_or_path", "model"}, ""},
      {"pretrained_model_name_or_path", {"model_name_or_path", "model"}, ""},
      {"student_model_name_or_path", {"model_name_or_path", "model"}, ""},
      {"model_type", {}, "the model's config.json says what it is"},
      {"model_revision", {}, "of a model in the Hugging Face cache refs/main is taken; name the snapshot's folder for another"},
      {"revision", {}, "of a model in the Hugging Face cache refs/main is taken; name the snapshot's folder for another"},
      {"base_model_config", {}, "the model's config.json says what it is"},
      {"tokenizer_type", {"tokenizer_name_or_path", "tokenizer"}, ""},
      {"tokenizer_config", {"tokenizer_name_or_path", "tokenizer"}, ""},
      {"torch_dtype", {"dtype"}, ""},
      {"model_init_kwargs", {"dtype"}, ""},
      {"trust_remote_code", {}, "code that comes with a model is never run"},
      {"token", {}, "nothing is downloaded, so no token is needed"},
      {"hf_token", {}, "nothing is downloaded, so no token is needed"},
      {"use_auth_token", {}, "nothing is downloaded, so no token is needed"},
      {"dataset_name", {"train_files", "data", "files"}, kFiles},
      {"dataset", {"train_files", "data", "files"}, kFiles},
      {"datasets", {"train_files", "data", "files"}, kFiles},
      {"dataset_path", {"train_files", "data", "files"}, kFiles},
      {"data_path", {"train_files", "data", "files"}, kFiles},
      {"data_files", {"train_files", "data", "files"}, kFiles},
      {"train_file", {"train_files", "data", "files"}, kFiles},
      {"train_data", {"train_files", "data", "files"}, kFiles},
      {"training_file", {"train_files", "data", "files"}, kFiles},
      {"pretraining_dataset", {"train_files"}, kFiles},
      {"dataset_config", {}, kFiles},
      {"dataset_train_split", {"train_files", "split"}, kFiles},
      {"dataset_test_split", {"eval_files", "split"}, kFiles},
      {"dataset_streaming", {}, "files are streamed from disk where they are large"},
      {"streaming", {}, "files are streamed from disk where they are large"},
      {"dataset_text_field", {"text_field"}, ""},
      {"dataset_prepared_path", {}, "prepared text is kept in output_dir"},
      {"dataset_num_proc", {"threads"}, ""},
      {"dataset_kwargs", {}, kNoNeed},
      {"dataloader_*", {"threads"}, ""},
      {"num_proc", {"threads"}, ""},
      {"num_workers", {"threads"}, ""},
      {"preprocessing_num_workers", {"threads"}, ""},
      {"validation_file", {"eval_files"}, kFiles},
      {"test_datasets", {"eval_files"}, kFiles},
      {"val_set_size", {"eval_files"}, "a file of its own, not a share of the training data"},
      {"max_samples", {"num_examples", "limit"}, ""},
      {"max_train_samples", {"num_examples"}, ""},
      {"max_eval_samples", {"eval_limit", "limit"}, ""},
      {"max_seq_length", {"max_length", "engine.max_model_len"}, ""},
      {"max_seq_len", {"max_length", "engine.max_model_len"}, ""},
      {"sequence_len", {"max_length", "engine.max_model_len"}, ""},
      {"model_max_length", {"max_length", "engine.max_model_len"}, ""},
      {"block_size", {"max_length", "engine.block_size"}, ""},
      {"cutoff_len", {"max_length"}, ""},
      {"max_prompt_length", {}, "prompts are taken whole; engine.max_model_len bounds prompt and answer together"},
      {"max_length", {"max_completion_length", "max_new_tokens", "engine.max_model_len"}, ""},
      {"max_new_tokens", {"max_completion_length"}, ""},
      {"max_tokens", {"max_completion_length", "max_new_tokens", "max_tokens_per_batch"}, ""},
      {"max_completion_length", {"max_new_tokens"}, ""},
      {"response_length", {"max_completion_length", "max_new_tokens"}, ""},
      {"packing", {"packing_strategy"}, kPacked},
      {"sample_packing", {"packing_strategy"}, kPacked},
      {"eval_packing", {}, kPacked},
      {"eval_sample_packing", {}, kPacked},
      {"pad_to_sequence_len", {}, kPacked},
      {"padding_free", {}, kPacked},
      {"group_by_length", {}, kPacked},
      {"pad_to_multiple_of", {}, kPacked},
      {"completion_only_loss", {}, kMasked},
      {"assistant_only_loss", {}, kMasked},
      {"train_on_inputs", {}, kMasked},
      {"chat_template", {}, kTemplate},
      {"chat_template_path", {}, kTemplate},
      {"apply_chat_template", {"prompt_format", "chat"}, ""},
      {"template", {"prompt_format"}, kTemplate},
      {"special_tokens", {}, "the tokenizer's own are taken"},
      {"eos_token", {}, "the ends of turn and text that the model's files name are taken; --stop adds more"},
      {"system_message", {"system_prompt"}, ""},
      {"output", {"output_dir"}, ""},
      {"output_path", {"output_dir"}, ""},
      {"save_path", {"output_dir"}, ""},
      {"overwrite", {"overwrite_output_dir"}, ""},
      {"auto_resume_from_checkpoints", {"resume_from_checkpoint"}, "a run goes on where it stopped by itself"},
      {"save_strategy", {"save_steps"}, "0: only at the end"},
      {"saves_per_epoch", {"save_steps"}, ""},
      {"save_only_model", {}, "checkpoints hold what it takes to go on; the final model stands in output_dir"},
      {"save_safetensors", {}, "weights are always written as safetensors"},
      {"eval_strategy", {"eval_steps"}, "0: none on the way"},
      {"evaluation_strategy", {"eval_steps"}, "0: none on the way"},
      {"evals_per_epoch", {"eval_steps"}, ""},
      {"do_train", {}, "training stages train; r1 eval evaluates"},
      {"do_eval", {"eval_steps"}, ""},
      {"logging_strategy", {"logging_steps"}, ""},
      {"logging_first_step", {}, "the first step is always logged"},
      {"load_best_model_at_end", {}, "the last step's weights are the final model; each checkpoint-<step> is a model too"},
      {"metric_for_best_model", {}, "the last step's weights are the final model; each checkpoint-<step> is a model too"},
      {"report_to", {}, kReports},
      {"run_name", {"output_dir"}, kReports},
      {"logging_dir", {}, kReports},
      {"use_wandb", {}, kReports},
      {"wandb_*", {}, kReports},
      {"mlflow_*", {}, kReports},
      {"comet_*", {}, kReports},
      {"trackio_*", {}, kReports},
      {"log_with", {}, kReports},
      {"push_to_hub", {}, kHub},
      {"hub_*", {}, kHub},
      {"disable_tqdm", {"quiet"}, ""},
      {"silent", {"quiet"}, ""},
      {"verbose", {}, "everything is said by default; --quiet says less"},
      {"log_level", {"quiet"}, ""},
      {"num_epochs", {"num_train_epochs"}, ""},
      {"n_epochs", {"num_train_epochs"}, ""},
      {"epochs", {"num_train_epochs"}, ""},
      {"micro_batch_size", {"per_device_train_batch_size"}, ""},
      {"train_batch_size", {"per_device_train_batch_size"}, ""},
      {"batch_size", {"per_device_train_batch_size", "engine.max_num_seqs"}, ""},
      {"per_device_batch_size", {"per_device_train_batch_size"}, ""},
      {"per_gpu_train_batch_size", {"per_device_train_batch_size"}, ""},
      {"per_device_eval_batch_size", {}, "evaluations are batched by themselves (engine.max_num_seqs, where they sample)"},
      {"eval_batch_size", {}, "evaluations are batched by themselves (engine.max_num_seqs, where they sample)"},
      {"auto_find_batch_size", {}, "r1 plan names the largest micro-batch that fits"},
      {"grad_accum", {"gradient_accumulation_steps"}, ""},
      {"gradient_accumulation", {"gradient_accumulation_steps"}, ""},
      {"grad_clip", {"max_grad_norm"}, ""},
      {"gradient_clipping", {"max_grad_norm"}, ""},
      {"optimizer", {"optim"}, ""},
      {"lr_scheduler", {"lr_scheduler_type"}, ""},
      {"lr_scheduler_kwargs", {"min_lr_ratio"}, ""},
      {"cosine_min_lr_ratio", {"min_lr_ratio"}, ""},
      {"warmup", {"warmup_steps"}, ""},
      {"fp16", {"bf16"}, "of half precisions r1 trains in bfloat16"},
      {"tf32", {}, kAttention},
      {"bf16_full_eval", {"dtype"}, ""},
      {"mixed_precision", {"bf16"}, "bfloat16 weights with float32 masters"},
      {"gradient_checkpointing_kwargs", {"gradient_checkpointing"}, "true or false"},
      {"activation_offloading", {}, kOffload},
      {"cpu_offload", {}, kOffload},
      {"offload_*", {}, kOffload},
      {"attn_implementation", {}, kAttention},
      {"flash_attention", {}, kAttention},
      {"flash_attn", {}, kAttention},
      {"use_flash_attn*", {}, kAttention},
      {"sdp_attention", {}, kAttention},
      {"xformers_attention", {}, kAttention},
      {"torch_compile*", {}, kAttention},
      {"use_liger*", {}, kAttention},
      {"liger_*", {}, kAttention},
      {"use_peft", {}, kLora},
      {"use_lora", {}, kLora},
      {"use_dora", {}, kLora},
      {"use_rslora", {}, kLora},
      {"lora", {}, kLora},
      {"lora_*", {}, kLora},
      {"peft_*", {}, kLora},
      {"qlora", {}, kLora},
      {"adapter", {}, kLora},
      {"finetuning_type", {}, kLora},
      {"load_in_4bit", {}, kQuantized},
      {"load_in_8bit", {}, kQuantized},
      {"use_4bit", {}, kQuantized},
      {"quantization*", {}, kQuantized},
      {"use_bnb*", {}, kQuantized},
      {"bnb_*", {}, kQuantized},
      {"neftune_noise_alpha", {}, "noisy embeddings do not exist here yet"},
      {"freeze_*", {}, "all weights are trained; frozen layers do not exist here yet"},
      {"deepspeed*", {}, kOneDevice},
      {"fsdp*", {}, kOneDevice},
      {"ddp_*", {}, kOneDevice},
      {"zero_stage", {}, kOneDevice},
      {"local_rank", {}, kOneDevice},
      {"num_processes", {}, kOneDevice},
      {"nproc_per_node", {}, kOneDevice},
      {"num_machines", {}, kOneDevice},
      {"num_gpus", {}, kOneDevice},
      {"tensor_parallel_size", {}, kOneDevice},
      {"pipeline_parallel_size", {}, kOneDevice},
      {"data_parallel_size", {}, kOneDevice},
      {"context_parallel_size", {}, kOneDevice},
      {"tp", {}, kOneDevice},
      {"accelerator_config", {}, kOneDevice},
      {"device_map", {"device"}, ""},
      {"use_cpu", {"device"}, "--device cpu"},
      {"no_cuda", {"device"}, "--device cpu"},
      {"gpu", {"device"}, "--device cuda"},
      {"gpus", {"device"}, kOneDevice},
      {"remove_unused_columns", {}, kNoNeed},
      {"full_determinism", {}, "runs on CPU are bitwise the same by themselves"},
      {"data_seed", {"seed"}, ""},
      {"random_seed", {"seed"}, ""},
      // GRPO and its kin
      {"use_vllm", {}, kVllm},
      {"vllm_gpu_memory_utilization", {"engine.gpu_memory_utilization"}, ""},
      {"vllm_max_model_length", {"engine.max_model_len"}, ""},
      {"vllm_max_model_len", {"engine.max_model_len"}, ""},
      {"vllm_enable_prefix_caching", {"engine.enable_prefix_caching"}, ""},
      {"vllm_*", {}, kVllm},
      {"num_return_sequences", {"num_generations", "num_samples", "n"}, ""},
      {"group_size", {"num_generations"}, ""},
      {"num_rollouts", {"num_generations"}, ""},
      {"reward_model*", {"reward_funcs"}, "rewards are rules or a program (docs/rewards.md); reward models do not exist here yet"},
      {"reward_function", {"reward_funcs"}, ""},
      {"reward_func", {"reward_funcs"}, ""},
      {"reward_fn", {"reward_funcs"}, ""},
      {"kl_coef", {"beta"}, ""},
      {"kl_coeff", {"beta"}, ""},
      {"init_kl_coef", {"beta"}, ""},
      {"kl_penalty", {"beta"}, ""},
      {"cliprange", {"epsilon"}, ""},
      {"clip_range", {"epsilon"}, ""},
      {"epsilon_low", {"epsilon"}, ""},
      {"ppo_epochs", {"num_iterations"}, ""},
      {"num_ppo_epochs", {"num_iterations"}, ""},
      {"generation_batch_size", {"steps_per_generation"}, "in micro-batches"},
      {"sync_ref_model", {"ref_model_sync_steps"}, ""},
      {"ref_model_mixup_alpha", {"ref_model_sync_steps"}, "the reference is replaced whole"},
      {"disable_dropout", {"dropout"}, "0 by default"},
      {"log_completions_hub_repo", {}, kHub},
      {"num_completions_to_print", {"log_completions"}, ""},
      {"delta", {}, "two-sided clipping does not exist here yet"},
      // lm-evaluation-harness
      {"tasks", {"task"}, "one at a time"},
      {"model_args", {"model_name_or_path"}, ""},
      {"num_fewshot", {}, "prompts have no worked examples in front yet"},
      {"gen_kwargs", {"temperature"}, "each option by its own name"},
      {"log_samples", {}, "samples are always kept, in output_dir"},
      {"system_instruction", {"system_prompt"}, ""},
      {"fewshot_as_multiturn", {}, "prompts have no worked examples in front yet"},
      {"include_path", {"task_options"}, "docs/adding_a_task.md"},
      // llama.cpp and vLLM
      {"ngl", {"device"}, "the whole model is on one device: --device cuda"},
      {"n_gpu_layers", {"device"}, "the whole model is on one device: --device cuda"},
      {"gpu_layers", {"device"}, "the whole model is on one device: --device cuda"},
      {"c", {"engine.max_model_len"}, ""},
      {"ctx_size", {"engine.max_model_len", "max_length"}, ""},
      {"n_ctx", {"engine.max_model_len", "max_length"}, ""},
      {"num_ctx", {"engine.max_model_len", "max_length"}, ""},
      {"p", {"prompt"}, "r1 generate MODEL -p TEXT"},
      {"n", {"max_new_tokens", "max_completion_length"}, ""},
      {"n_predict", {"max_new_tokens", "max_completion_length"}, ""},
      {"predict", {"max_new_tokens", "max_completion_length"}, ""},
      {"num_predict", {"max_new_tokens", "max_completion_length"}, ""},
      {"f", {"prompt_file", "file"}, ""},
      {"file", {"prompt_file"}, ""},
      {"t", {"threads"}, ""},
      {"tb", {"threads"}, ""},
      {"threads_batch", {"threads"}, ""},
      {"b", {"engine.max_num_batched_tokens"}, ""},
      {"ub", {"engine.max_num_batched_tokens"}, ""},
      {"ubatch_size", {"engine.max_num_batched_tokens"}, ""},
      {"s", {"seed"}, ""},
      {"r", {"stop"}, ""},
      {"reverse_prompt", {"stop"}, ""},
      {"stop_sequences", {"stop"}, ""},
      {"stop_strings", {"stop"}, ""},
      {"sys", {"system_prompt"}, ""},
      {"i", {}, "r1 chat MODEL talks to a model"},
      {"interactive*", {}, "r1 chat MODEL talks to a model"},
      {"cnv", {}, "r1 chat MODEL talks to a model"},
      {"conversation", {}, "r1 chat MODEL talks to a model"},
      {"no_cnv", {}, "r1 generate MODEL answers once"},
      {"st", {}, "r1 generate MODEL --chat answers once"},
      {"single_turn", {}, "r1 generate MODEL --chat answers once"},
      {"jinja", {}, "chat templates are always rendered as Jinja"},
      {"hf", {}, "nothing is downloaded: `hf download ORG/NAME` does, and ORG/NAME is then found in its cache"},
      {"hf_repo", {}, "nothing is downloaded: `hf download ORG/NAME` does, and ORG/NAME is then found in its cache"},
      {"hf_file", {}, "nothing is downloaded: `hf download ORG/NAME` does, and ORG/NAME is then found in its cache"},
      {"mu", {}, "nothing is downloaded; fetch the file, then name it"},
      {"model_url", {}, "nothing is downloaded; fetch the file, then name it"},
      {"fa", {}, kAttention},
      {"np", {"engine.max_num_seqs"}, ""},
      {"parallel", {"engine.max_num_seqs"}, ""},
      {"ctk", {"engine.kv_cache_dtype"}, kCacheType},
      {"ctv", {"engine.kv_cache_dtype"}, kCacheType},
      {"cache_type*", {"engine.kv_cache_dtype"}, kCacheType},
      {"kv_cache_dtype", {"engine.kv_cache_dtype"}, ""},
      {"quantized_cache", {"engine.kv_cache_dtype"}, kCacheType},
      {"kv_bits", {"engine.kv_cache_dtype"}, kCacheType},
      {"max_kv_size", {"engine.attention_window"}, ""},
      {"max_capacity_prompt*", {"engine.kv_budget"}, "with engine.kv_eviction heavy_hitters"},
      {"heavy_ratio", {"engine.kv_budget"}, "tokens, with engine.kv_eviction heavy_hitters; half of what stays are the latest"},
      {"hh_size", {"engine.kv_budget"}, "with engine.kv_eviction heavy_hitters; half of what stays are the latest"},
      {"recent_ratio", {"engine.kv_budget"}, "tokens, with engine.kv_eviction heavy_hitters; half of what stays are the latest"},
      {"window_length", {"engine.attention_window"}, ""},
      {"num_sink_tokens", {"engine.attention_sink_tokens"}, ""},
      {"start_size", {"engine.attention_sink_tokens"}, ""},
      {"keep", {"engine.attention_sink_tokens"}, "with engine.attention_window"},
      {"context_shift", {"engine.attention_window"}, "positions stay absolute, so the model's context is still the end"},
      {"md",
       {},
       "speculation is by the text itself or the model's own multi-token prediction (engine.num_speculative_tokens, engine.speculation); "
       "draft models do not exist here yet"},
      {"model_draft",
       {},
       "speculation is by the text itself or the model's own multi-token prediction (engine.num_speculative_tokens, engine.speculation); "
       "draft models do not exist here yet"},
      {"draft*", {"engine.num_speculative_tokens", "engine.speculation"}, "by the text itself (ngram) or by multi-token prediction"},
      {"speculative_*", {"engine.num_speculative_tokens", "engine.speculation"}, "by the text itself (ngram) or by multi-token prediction"},
      {"mg", {"device"}, "--device cuda:1"},
      {"main_gpu", {"device"}, "--device cuda:1"},
      {"dev", {"device"}, ""},
      {"ts", {}, kOneDevice},
      {"tensor_split", {}, kOneDevice},
      {"sm", {}, kOneDevice},
      {"split_mode", {}, kOneDevice},
      {"mlock", {}, kMemoryMap},
      {"mmap", {}, kMemoryMap},
      {"no_mmap", {}, kMemoryMap},
      {"numa", {}, kNoNeed},
      {"mmp", {}, kMemoryMap},
      {"grammar*", {}, "answers held to a grammar or a JSON schema do not exist here yet"},
      {"json_schema*", {}, "answers held to a grammar or a JSON schema do not exist here yet"},
      {"guided_*", {}, "answers held to a grammar or a JSON schema do not exist here yet"},
      {"mmproj", {}, "models of text alone are read"},
      {"mm", {}, "models of text alone are read"},
      {"image", {}, "models of text alone are read"},
      {"repeat_penalty", {"repetition_penalty"}, ""},
      {"frequency_penality", {"frequency_penalty"}, ""},
      {"repeat_last_n", {"repetition_penalty"}, "over the whole text"},
      {"do_sample", {"temperature"}, "0: the likeliest token"},
      {"greedy", {"temperature"}, "--temperature 0"},
      {"num_beams", {}, "beam search does not exist here"},
      {"no_repeat_ngram_size", {"repetition_penalty"}, ""},
      {"typical*", {}, kSampler},
      {"mirostat*", {}, kSampler},
      {"xtc_*", {}, kSampler},
      {"dry_*", {}, kSampler},
      {"top_n_sigma", {}, kSampler},
      {"dynatemp*", {}, kSampler},
      {"samplers", {}, kSampler},
      {"logit_bias", {}, kSampler},
      {"host", {}, kServer},
      {"port", {}, kServer},
      {"api_key", {}, kServer},
      {"served_model_name", {}, kServer},
      {"swap_space", {}, kNoNeed},
      {"enforce_eager", {}, kNoNeed},
  };
  return all;
}

namespace {

const FamiliarOption* find_familiar(std::string_view key) {
  const FamiliarOption* by_prefix = nullptr;
  for (const FamiliarOption& o : familiar_options()) {
    const std::string_view name = o.name;
    if (name == key) return &o;
    if (!by_prefix && name.ends_with('*') && key.starts_with(name.substr(0, name.size() - 1))) by_prefix = &o;
  }
  return by_prefix;
}

}  // namespace

std::string familiar_option(std::string_view key, const std::vector<std::string>& known) {
  // A name out of a group (vllm.max_model_len) is looked up by its leaf too.
  const FamiliarOption* o = find_familiar(key);
  if (!o && key.find('.') != std::string_view::npos) o = find_familiar(key.substr(0, key.find('.')));
  if (!o) return "";
  const std::string note = *o->note ? str("; ", o->note) : "";
  for (const char* ours : o->ours) {
    if (std::find(known.begin(), known.end(), ours) != known.end()) return str("here it is '", ours, "'", note);
  }
  if (o->ours.empty()) return o->note;
  return str("elsewhere in r1 it is '", o->ours[0], "', but there is none here", note);
}

std::string familiar_value(std::string_view key, std::string_view value) {
  if (key == "kv_cache_dtype" || key.ends_with(".kv_cache_dtype")) {
    if (value.starts_with("q4") || value.starts_with("iq4")) return "write int4: 4 bits, and a scale for each 32 numbers";
    if (value.starts_with("q") || value.starts_with("fp8") || value.starts_with("iq"))
      return "write int8: 8 bits and a scale a token and head";
    if (value == "f32" || value == "fp32") return "write float32";
    if (value == "bf16" || value == "f16" || value == "fp16" || value == "float16") return "write bfloat16";
    return "";
  }
  if (key != "optim") return "";
  if (value.find("8bit") != std::string_view::npos || value.find("4bit") != std::string_view::npos)
    return "optimizer states in 8 bit do not exist here yet; muon keeps one moment of a matrix instead of two";
  if (value.starts_with("adamw") || value.starts_with("paged_adamw") || value == "adam") return "write adamw";
  return "";
}

bool familiar_short_option(std::string_view argument) {
  static constexpr std::string_view kWords[] = {"-ngl", "-hf", "-hfr", "-hff", "-fa", "-np", "-ctk", "-ctv", "-md", "-mu",
                                                "-ts",  "-mg", "-cnv", "-sys", "-st", "-ub", "-tb",  "-mm",  "-sm", "-dev"};
  const size_t equals = argument.find('=');
  return std::find(std::begin(kWords), std::end(kWords), argument.substr(0, equals)) != std::end(kWords);
}

}  // namespace r1
