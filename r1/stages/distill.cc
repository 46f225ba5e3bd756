#include "r1/stages/distill.h"

#include <algorithm>

#include "r1/base/config_io.h"
#include "r1/base/file.h"
#include "r1/base/log.h"
#include "r1/eval/provenance.h"
#include "r1/stages/distill_loss.h"
#include "r1/stages/quantized_training.h"
#include "r1/stages/results.h"
#include "r1/stages/sft_data.h"
#include "r1/stages/student_answers.h"
#include "r1/stages/teacher_answers.h"
#include "r1/stages/teacher_logits.h"

namespace r1::stages {

namespace {

// What a token is, for a sentence about two vocabularies.
std::string shown(const text::Tokenizer& tokenizer, text::TokenId id) {
  return tokenizer.known(id) ? str("'", printable(tokenizer.token_bytes(id)), "'") : std::string("nothing");
}

// Tokens that both models' logits have. Models of one family may differ in rows beyond their vocabulary (Qwen2.5: 151936 and 152064), which
// no text has.
int64_t common_vocabulary(const text::Tokenizer& student, const text::Tokenizer& teacher, const model::Transformer& s,
                          const model::Transformer& t) {
  const int64_t tokens = std::max(student.vocab_size(), teacher.vocab_size());
  for (text::TokenId id = 0; id < tokens; ++id) {
    const bool in_student = student.known(id), in_teacher = teacher.known(id);
    if (in_student == in_teacher && (!in_student || student.token_bytes(id) == teacher.token_bytes(id))) continue;
    fail_usage(
        "distill: student and teacher have different vocabularies (", student.vocab_size(), " and ", teacher.vocab_size(), " tokens; id ",
        id, " is ", shown(student, id), " and ", shown(teacher, id),
        "), so their logits say nothing about the same tokens; learn the teacher's answers instead, which goes from any model to any: "
        "--answers teacher --divergence none");
  }
  return std::min(s.config().vocab_size, t.config().vocab_size);
}

ops::DivergenceOptions divergence_options(const DistillConfig& c, int64_t vocab) {
  const double t = c.distill_temperature;
  return {.beta = c.divergence == "jsd"          ? c.beta
                  : c.divergence == "reverse_kl" ? 1.0
                                                 : 0.0,
          .temperature = t,
          .divergence_weight = c.compares_logits() ? (1 - c.ce_weight) * (c.temperature_squared ? t * t : 1) : 0,
          .ce_weight = c.compares_logits() ? c.ce_weight : 1,
          .vocab = vocab};
}

TeacherLogitsSpec store_of(const DistillConfig& c, const SftSources& sources, const LoadedModel& student, int64_t vocab) {
  TeacherLogitsSpec spec;
  spec.folder = c.teacher_store.empty() ? fs::path(c.sft.run.output_dir) / "teacher_logits" : fs::path(c.teacher_store);
  const Json config = config_to_json(c.sft);
  for (const char* key : {"task", "data", "task_options", "columns", "num_examples", "prompt_format", "system_prompt", "prompt_suffix"})
    if (config.contains(key)) spec.key["texts"][key] = config.at(key);
  for (const std::string& file : sources.train_files)
    spec.key["texts"]["files"].push_back({fs::path(file).filename().string(), sha256_file(file)});
  spec.key["teacher"] = model_sha256(model::find_model(c.teacher_name_or_path));
  spec.key["teacher_dtype"] = c.teacher_dtype;
  // What makes tokens of the texts.
  spec.key["tokenizer"] = student.tokenizer->hash();
  spec.key["chat_template"] = sha256(std::string_view(student.tokenizer->chat_template()));
  spec.key["stop_ids"] = student.stop_ids;
  spec.top_k = c.teacher_top_k, spec.vocab = vocab, spec.max_length = c.sft.max_length, spec.temperature = c.distill_temperature;
  return spec;
}

std::string in_words(const DistillConfig& c, int64_t rows) {
  std::string words = c.compares_logits() ? str(c.divergence, c.divergence == "jsd" ? str(" (beta ", c.beta, ")") : "", " at temperature ",
                                                c.distill_temperature, " over ",
                                                c.teacher_top_k > 0 ? str("the teacher's ", c.teacher_top_k, " likeliest of ") : "all ",
                                                rows, " tokens", c.ce_weight > 0 ? str(", ", c.ce_weight, " of it cross entropy") : "")
                                          : std::string("cross entropy");
  if (!c.hidden_layers.empty()) words += str(", and ", c.hidden_layers.size(), " pairs of hidden states (weight ", c.hidden_weight, ")");
  if (c.answers == "teacher") words += "; the answers are the teacher's";
  if (c.lmbda > 0) words += str("; the student answers ", c.lmbda * 100, " % of the prompts itself");
  return words;
}

void check_choices(const DistillConfig& c) {
  if (!c.compares_logits() && c.hidden_layers.empty() && c.answers == "data" && c.lmbda == 0)
    fail_usage("distill: divergence none, no hidden_layers, and the data's own answers: nothing of the teacher is learned; that is r1 sft");
  if (c.lmbda > 0 && !c.compares_logits())
    fail_usage("distill: lmbda ", c.lmbda, " lets the student answer, and divergence none leaves nobody to judge it; give a divergence");
  if (c.lmbda > 0 && c.teacher_logits == "stored")
    fail_usage("distill: lmbda ", c.lmbda,
               " lets the student answer, and no stored logits are of its answers; teacher_logits must be live");
  if (c.lmbda > 0 && c.ce_weight > 0)
    fail_usage("distill: ce_weight ", c.ce_weight, " with lmbda ", c.lmbda, " would teach the student that its own answers are right");
  if (c.divergence == "jsd" && (c.beta <= 0 || c.beta >= 1))
    fail_usage("distill: beta ", c.beta, " of divergence jsd must lie between 0 and 1; 0 is forward_kl, 1 is reverse_kl");
  if (c.teacher_logits != "stored") return;
  if (!c.compares_logits()) fail_usage("distill: teacher_logits stored, but divergence none compares none");
  if (c.teacher_top_k == 0)
    fail_usage("distill: teacher_logits stored keeps the teacher's likeliest tokens; say how many: --teacher_top_k 64");
  if (c.sft.packing_strategy == "wrapped" || c.sft.long_documents == "split")
    fail_usage("distill: stored logits belong to whole documents; packing_strategy wrapped and long_documents split cut them anew");
}

}  // namespace

void check(const DistillConfig& config, const Preflight& preflight) {
  if (config.sft.parallel.dp > 1 || config.sft.parallel.tp > 1)
    fail_usage("distill runs in one process; leave parallel.dp and parallel.tp out");
  check(config.sft, preflight);
  check_choices(config);
  if (!preflight.knows("teacher_name_or_path")) return;
  check_model({.model_name_or_path = config.teacher_name_or_path}, preflight);
  if (preflight.knows("model_name_or_path"))
    check_hidden_layers(config.hidden_layers, model::read_model_config(model::find_model(config.sft.model.model_name_or_path)),
                        model::read_model_config(model::find_model(config.teacher_name_or_path)));
}

Json distill(const DistillConfig& config) {
  check(config, {.quick = true});
  const auto device = tensor::parse_device(config.sft.run.device);
  SftConfig sft = config.sft;
  SftSources sources = sft_sources(sft, "distill");
  Run run("distill", sft.run, config_to_json(config));
  if (run.complete()) return run.results();
  if (config.answers == "teacher") {
    sft.train_files = {teacher_answers(config, sources.train_files, device).string()};
    sft.task = {}, sft.num_examples = 0;
    sources = sft_sources(sft, "distill");
  }

  train::TrainerConfig trainer_config = sft.trainer;
  const auto student = load(sft.model, device, training_dtype(sft.model, trainer_config, device));
  const data::PromptMaker prompts(*student.tokenizer, student.chat.get(), sft.prompt, student.stop_ids);
  SftData made = open_sft_data(sft, sources, run, student, prompts);
  std::optional<LoadedModel> teacher;
  int64_t vocab = student.model->config().vocab_size;
  const auto load_teacher = [&] {
    if (teacher) return;
    teacher = load({.model_name_or_path = config.teacher_name_or_path, .dtype = config.teacher_dtype}, device);
    teacher->model->set_requires_grad(false);
  };
  if (config.compares_logits() || !config.hidden_layers.empty()) {
    load_teacher();
    vocab = common_vocabulary(*student.tokenizer, *teacher->tokenizer, *student.model, *teacher->model);
  }
  if (config.teacher_top_k >= vocab)
    fail_usage("distill: teacher_top_k ", config.teacher_top_k, " of ", vocab, " tokens is all: leave it 0");

  std::optional<TeacherLogits> stored;
  if (config.teacher_logits == "stored") {
    const TeacherLogitsSpec spec = store_of(config, sources, student, vocab);
    if (!TeacherLogits::are_there(spec)) TeacherLogits::make(spec, *made.documents, *teacher->model);
    stored.emplace(spec);
  }
  if (!config.needs_teacher_beside()) teacher.reset();

  std::optional<HiddenMaps> maps;
  if (!config.hidden_layers.empty())
    maps.emplace(config.hidden_layers, student.model->config(), teacher->model->config(), device, uint64_t(sft.run.seed));
  const train::LossSpec loss = distill_loss({.student = student.model.get(),
                                             .divergence = divergence_options(config, vocab),
                                             .top_k = config.teacher_top_k,
                                             .hidden_weight = config.hidden_weight,
                                             .teacher = teacher ? teacher->model.get() : nullptr,
                                             .stored = stored ? &*stored : nullptr,
                                             .maps = maps ? &*maps : nullptr});
  made.data.loss = &loss;

  std::optional<engine::Engine> engine;
  std::optional<StudentAnswers> own;
  if (config.lmbda > 0) {
    engine.emplace(*student.model, config.engine);
    own.emplace(*engine, *student.tokenizer,
                StudentAnswers::Options{.share = config.lmbda,
                                        .max_length = sft.max_length,
                                        .sampling = config.sampling,
                                        .stop_ids = student.stop_ids,
                                        .seed = uint64_t(sft.run.seed)});
    made.data.rewrite = [&](std::vector<data::Batch>& rows, int64_t step, const std::function<bool()>& stop) {
      return own->rewrite(rows, step, stop);
    };
  }

  const int64_t steps = supervised_steps(sft.run, made.data);
  log_info("distill: ", steps_in_words(steps, sft.run, made.data));
  log_info("distill: ", in_words(config, vocab));
  made.data.next = {(student.chat ? "r1 chat " : "r1 generate ") + eval::shell_word(sft.run.output_dir)};
  train::Trainer trainer(*student.model, trainer_config, steps, uint64_t(sft.run.seed), maps ? maps->rows() : nullptr,
                         quantized_training(trainer_config, *student.model, run));
  if (maps) {
    if (run.checkpoint()) maps->load(*run.checkpoint());
    run.on_save([&](const fs::path& folder) { maps->save(folder); });
  }
  return train_supervised(run, sft.run, trainer, *student.tokenizer, made.data);
}

void DistillConfig::visit(Fields& v) {
  v.group("", sft);
  v("teacher_name_or_path", teacher_name_or_path, "the model that is learned from: HF folder, checkpoint folder or .gguf file", Required{});
  v.alias("teacher", "teacher_name_or_path");
  v("teacher_dtype", teacher_dtype, "dtype the teacher is held in; auto: bfloat16 on a GPU, float32 on a CPU",
    OneOf{"auto", "float32", "bfloat16"});
  v("answers", answers, "whose answers are learned: those of the data, or the teacher's to the same prompts, sampled before the first step",
    OneOf{"data", "teacher"});
  v("keep", keep, "of a teacher's answers to a task: those that the task finds right, or all", OneOf{"right", "all"});
  v("divergence", divergence, "how the student's distribution of the next token is held against the teacher's; none: not at all",
    OneOf{"forward_kl", "reverse_kl", "jsd", "none"});
  v("beta", beta, "of jsd: the teacher's share of the mixture (0 would be forward_kl, 1 reverse_kl)", Range{0, 1});
  v("distill_temperature", distill_temperature, "both models' logits are divided by it", Range{1e-3, 1e3});
  v("temperature_squared", temperature_squared, "multiply the divergence by distill_temperature squared (Hinton et al., 1503.02531)");
  v("ce_weight", ce_weight, "share of the cross entropy of the texts' own tokens; the divergence has the rest", Range{0, 1});
  v("teacher_top_k", teacher_top_k, "the teacher's likeliest tokens that are compared, all others as one more; 0: every token",
    Range{0, 1e6});
  v("teacher_logits", teacher_logits,
    "live: the teacher runs beside the student; stored: it runs once, over all texts, before the first step", OneOf{"live", "stored"});
  v("teacher_store", teacher_store, "folder of the stored logits, to be used by other runs as well; empty: teacher_logits in output_dir");
  v("hidden_layers", hidden_layers, "pairs of layers whose states are compared, student:teacher, as 2:4 (0: the embedding)");
  v("hidden_weight", hidden_weight, "of the hidden states' distance", Range{0, 1e6});
  v("lmbda", lmbda, "share of the prompts that the student answers itself, anew in each step; the teacher judges (GKD)", Range{0, 1});
  v.group("", sampling);
  v.group("engine", engine);
}

}  // namespace r1::stages
