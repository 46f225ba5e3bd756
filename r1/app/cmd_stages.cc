// r1 pretrain | sft | distill | grpo | rejection | prune | table: the chapters of the paper, a config each.
#include "r1/app/command.h"
#include "r1/stages/distill.h"
#include "r1/stages/grpo.h"
#include "r1/stages/parallel.h"
#include "r1/stages/pretrain.h"
#include "r1/stages/prune.h"
#include "r1/stages/rejection.h"
#include "r1/stages/sft.h"
#include "r1/stages/table.h"

namespace r1::app {

namespace {

template <class Config>
Command stage_command(std::string name, std::string help, Json (*stage)(const Config&)) {
  return make_command<Config>(name, std::move(help), [stage, name](const Config& config, const CommonOptions& common) {
    stages::check_alone(name);
    const Json results = stage(config);
    if (common.json) print_text(dump_json(results) + "\n");
    return 0;
  });
}

}  // namespace

Command cmd_pretrain() {
  return stage_command<stages::PretrainConfig>("pretrain", "train a base model from text or a generated task", stages::pretrain);
}
Command cmd_sft() {
  return stage_command<stages::SftConfig>("sft", "supervised fine-tuning on conversations or a task's examples", stages::sft);
}
Command cmd_distill() {
  return stage_command<stages::DistillConfig>("distill", "a small model learns a large one's answers, logits or states", stages::distill);
}
Command cmd_grpo() {
  return stage_command<stages::GrpoConfig>("grpo", "reinforcement learning on a verifiable task (GRPO)", stages::grpo);
}
Command cmd_rejection() {
  return stage_command<stages::RejectionConfig>("rejection", "sample answers, keep the right ones as chat JSONL", stages::rejection);
}
Command cmd_prune() {
  return stage_command<stages::PruneConfig>("prune", "a smaller or sparser model: fewer layers, heads, channels, weights", stages::prune);
}
Command cmd_table() {
  return stage_command<stages::TableConfig>("table", "variants of a model side by side: size, speed, accuracy on several tasks",
                                            stages::table);
}

}  // namespace r1::app
