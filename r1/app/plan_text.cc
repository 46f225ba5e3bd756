#include "r1/app/plan_text.h"

#include <algorithm>

#include "r1/base/error.h"
#include "r1/base/progress.h"

namespace r1::app {
namespace {

using train::Lever;
using train::Plan;

std::string bytes_text(int64_t bytes) {
  return human_bytes(double(bytes));
}

std::string padded(std::string text, size_t width) {
  text.resize(std::max(text.size() + 2, width), ' ');
  return text;
}
std::string right_aligned(const std::string& text, size_t width) {
  return std::string(text.size() < width ? width - text.size() : 0, ' ') + text;
}

std::string parts_text(const char* title, const std::vector<train::PlanPart>& parts) {
  std::string text = parts.empty() ? "" : str("  ", title, "\n");
  for (const train::PlanPart& part : parts) {
    if (part.bytes == 0) continue;
    text += str(padded("    " + part.name, 32), right_aligned(bytes_text(part.bytes), 10), part.note.empty() ? "" : "   ", part.note, "\n");
  }
  return text;
}

std::string network_text(const Plan& plan) {
  const model::Footprint& n = plan.network;
  const auto count = [](int64_t x) { return human_count(double(x)); };
  const std::string active = n.active_parameters < n.parameters ? str(", ", count(n.active_parameters), " active a token") : "";
  const std::string mtp = n.mtp_parameters ? str(", ", count(n.mtp_parameters), " of them in multi-token prediction") : "";
  return str("  ", count(plan.parameters), " parameters", mtp, active, "\n  a token: ", bytes_text(n.cache_bytes_per_token),
             " of engine cache, ", count(n.flops_per_token), " FLOPs forward and ", count(n.attention_flops_per_context_token),
             " for each token that it looks back to\n");
}

std::string verdict_text(const PlanRequest& r, const Plan& plan) {
  const int64_t memory = r.advice.memory, most = plan.peak + plan.kept_free;
  const char* verdict = plan.likely > memory ? "does not fit" : most > memory ? "tight" : "fits";
  const std::string range =
      plan.kept_free ? str(" (", bytes_text(plan.peak), " in use, up to ", bytes_text(most), " with freed blocks that malloc keeps)") : "";
  return str("  peak ", bytes_text(plan.likely), range, " of ", bytes_text(memory), " (", r.memory_of, "): ", verdict, "\n");
}

// ---- advice ----

constexpr const char* kNotYet = "not in r1 yet: LoRA, optimizer states in 8 bit, offloading to the CPU, several GPUs";

train::AdviceInput with_checkpointing(train::AdviceInput in) {
  in.plan.trainer.gradient_checkpointing = true;
  return in;
}

struct Largest {
  int64_t sequences, length, sequences_checkpointed, length_checkpointed;  // the last two -1 where that is on already
};

Largest largest_of(const train::AdviceInput& in) {
  Largest out{train::most_sequences(in), train::longest_length(in), -1, -1};
  if (in.plan.trainer.gradient_checkpointing) return out;
  const train::AdviceInput again = with_checkpointing(in);
  out.sequences_checkpointed = train::most_sequences(again);
  out.length_checkpointed = train::longest_length(again);
  return out;
}

std::vector<train::Streams> streams_of(const PlanRequest& r, int64_t context) {
  const int64_t most = r.advice.plan.model.max_position_embeddings;
  std::vector<int64_t> contexts = {context};
  if (context == 0) contexts = {2048, 8192, 32768, most};
  std::vector<train::Streams> out;
  for (const int64_t c : contexts) {
    if (c <= most && (out.empty() || out.back().context < c)) out.push_back(train::most_streams(r.advice, c));
  }
  return out;
}

std::string number_or_none(int64_t n) {
  return n > 0 ? std::to_string(n) : "none";
}

std::string levers_text(const PlanRequest& r, const Plan& plan) {
  const bool fits = train::fits(plan, r.advice.memory);
  std::string text;
  if (!fits) {
    const Lever way = train::way_to_fit(r.advice);
    text += way.saves ? str("  to make it fit: ", way.option, "   (", bytes_text(way.peak), ")\n")
                      : str("  no option that r1 has makes it fit (", kNotYet, "); take a smaller model or more memory\n");
  }
  const std::vector<Lever> all = train::levers(r.advice);
  if (!all.empty()) text += "  what saves memory, each by itself\n";
  size_t width = 0;
  for (const Lever& lever : all) width = std::max(width, lever.option.size() + 6);
  for (const Lever& lever : all)
    text += str(padded("    " + lever.option, width), right_aligned(bytes_text(lever.saves), 10), "   ", lever.effect, "\n");
  return text;
}

std::string largest_text(const PlanRequest& r) {
  const Largest most = largest_of(r.advice);
  const bool checkpoints = most.sequences_checkpointed < 0;
  const auto beside = [&](int64_t n) { return checkpoints ? std::string() : str(", with --gradient_checkpointing ", number_or_none(n)); };
  const std::string& option = r.advice.length_option;
  const int64_t fixed = r.advice.fixed_length;
  const auto length = [&](int64_t n) { return std::max<int64_t>(0, n - fixed); };
  const std::string batch = most.sequences > 0 && r.advice.by_tokens ? train::batch_option(r.advice, most.sequences)
                                                                     : "--per_device_train_batch_size " + number_or_none(most.sequences);
  return str("  the largest that fits\n    ", batch, " at ", r.advice.length, " tokens", beside(most.sequences_checkpointed), "\n    --",
             option, " ", number_or_none(length(most.length)), " in micro-batches of one",
             checkpoints ? "" : str(", with --gradient_checkpointing ", number_or_none(length(most.length_checkpointed))),
             fixed ? str(", after prompts of ", fixed) : "", "\n");
}

std::string streams_text(const PlanRequest& r, int64_t context) {
  std::string text = "  conversations at a time that fit\n";
  for (const train::Streams& s : streams_of(r, context)) {
    const std::string options = s.number ? str("   --engine.max_num_seqs ", s.number, " --engine.max_model_len ", s.context,
                                               " --engine.kv_cache_memory ", s.cache_bytes)
                                         : "";
    text += str("    ", right_aligned(number_or_none(s.number), 6), " of ", s.context, " tokens", options, "\n");
  }
  return text;
}

}  // namespace

std::string plan_text(const PlanRequest& r, const Plan& plan) {
  const train::AdviceInput& in = r.advice;
  const std::string batch = in.plan.training ? str(", micro-batches of ", in.sequences, " x ", in.length, " tokens",
                                                   in.plan.trainer.gradient_checkpointing ? ", recomputed" : "")
                                             : "";
  std::string text = str(r.name, ": ", in.plan.training ? "training" : "answering", " in ", tensor::dtype_name(in.plan.dtype), " on the ",
                         in.plan.cuda ? "GPU" : "CPU", batch, "\n");
  text += network_text(plan);
  text += parts_text("all the time", plan.resident);
  text += parts_text("at the peak of a training step", plan.training);
  text += parts_text("at the peak of an engine step", plan.rollout);
  text += verdict_text(r, plan) + levers_text(r, plan);
  text += in.plan.training ? largest_text(r) : streams_text(r, r.context);
  if (in.plan.training && text.find(kNotYet) == std::string::npos) text += str("  ", kNotYet, "\n");
  return text;
}

Json plan_json(const PlanRequest& r, const Plan& plan) {
  Json levers = Json::array(), advice;
  for (const Lever& lever : train::levers(r.advice))
    levers.push_back({{"option", lever.option}, {"saves", lever.saves}, {"peak", lever.peak}});
  advice["levers"] = levers;
  if (!train::fits(plan, r.advice.memory)) {
    const Lever way = train::way_to_fit(r.advice);
    advice["to_fit"] = way.saves ? Json(way.option) : Json();
  }
  if (r.advice.plan.training) {
    const Largest most = largest_of(r.advice);
    advice["largest"] = {{"sequences", most.sequences}, {"length", most.length}};
    if (most.sequences_checkpointed >= 0)
      advice["largest_with_gradient_checkpointing"] = {{"sequences", most.sequences_checkpointed}, {"length", most.length_checkpointed}};
  } else {
    Json streams = Json::array();
    for (const train::Streams& s : streams_of(r, r.context))
      streams.push_back({{"context", s.context}, {"number", s.number}, {"cache_bytes", s.cache_bytes}});
    advice["streams"] = streams;
  }
  Json one{{"stage", r.name}, {"memory", r.advice.memory}, {"memory_of", r.memory_of}, {"fits", train::fits(plan, r.advice.memory)}};
  one.update(train::plan_to_json(plan));
  one["advice"] = advice;
  return one;
}

}  // namespace r1::app
