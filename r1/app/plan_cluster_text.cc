// A cluster's plan for people and as JSON.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "r1/app/plan_cluster.h"
#include "r1/base/error.h"
#include "r1/base/progress.h"

namespace r1::app {
namespace {

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}
std::string percent(double share, int digits = 1) {
  return fixed(100 * share, digits) + " %";
}
std::string seconds_text(double seconds) {
  return seconds < 0.1 ? fixed(1000 * seconds, 2) + " ms" : fixed(seconds, 2) + " s";
}

// Columns as wide as their widest cell; the first is set left, the others right.
std::string table(const std::vector<std::vector<std::string>>& rows, const std::string& indent) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line = indent;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - row[i].size(), ' ');
      line += i == 0 ? row[i] + space : "  " + space + row[i];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string memory_text(const plan::Estimate& e, const plan::Cluster& cluster) {
  const plan::Memory& m = e.memory;
  std::vector<std::vector<std::string>> rows;
  const auto row = [&](const char* name, double bytes, const std::string& note = "") {
    if (bytes > 0) rows.push_back({name, human_bytes(bytes), note});
  };
  std::string text = str("    memory of the fullest rank (pipeline rank ", m.stage, "): ", human_bytes(m.total()), " of ",
                         human_bytes(cluster.gpu.memory_bytes), ", ", e.fits ? "fits" : "does not fit", "\n");
  row("weights", m.weights);
  row("gradients", m.gradients);
  row("optimizer", m.optimizer);
  row("activations", m.activations);
  row("logits", m.logits);
  row("gathered", m.gathered);
  row("program", m.program);
  for (auto& line : rows) line.pop_back();
  return text + table(rows, "      ") +
         (e.layout.pp > 1
              ? str("      activations of ", m.in_flight,
                    e.layout.schedule == plan::Schedule::kInterleaved ? " parts of micro-batches" : " micro-batches", " at a time\n")
              : "");
}

std::string exchanges_text(const plan::Estimate& e) {
  if (e.exchanges.empty()) return "";
  std::vector<std::vector<std::string>> rows = {{"collectives of a step", "ranks", "calls", "sent", "time", "exposed"}};
  for (const plan::Exchange& x : e.exchanges)
    rows.push_back({x.name, x.group, human_count(x.calls), human_bytes(x.bytes), seconds_text(x.seconds), seconds_text(x.exposed_seconds)});
  return table(rows, "    ");
}

std::string best_text(const ClusterPlan& p) {
  std::vector<std::vector<std::string>> rows = {{"layout", "step", "tok/s", "tok/s/GPU", "TFLOP/s", "MFU", "bubble", "memory"}};
  for (const plan::Estimate& e : p.found.best)
    rows.push_back({plan::words(e.layout), seconds_text(e.step_seconds), human_count(e.tokens_per_second),
                    fixed(e.tokens_per_second_per_gpu, 0), fixed(e.model_tflops_per_gpu, 0), percent(e.mfu), percent(e.bubble_share),
                    human_bytes(e.memory.total())});
  std::string text = table(rows, "  ");
  const plan::Estimate& first = p.found.best.front();
  text += str("\n  the first: ", plan::where_time_goes(first), "\n");
  std::string layers;
  for (const int n : first.stage_layers) layers += str(layers.empty() ? "" : " ", n);
  text += str("    ", first.micro_batches, " micro-batches a rank", first.layout.pp > 1 ? ", layers of each pipeline rank " + layers : "",
              "\n");
  text += memory_text(first, p.cluster) + exchanges_text(first);
  for (size_t i = 1; i < p.found.best.size(); ++i) {
    if (i == 1) text += "\n  why not the others\n";
    text += str("    ", i + 1, ": ", plan::why_slower(first, p.found.best[i]), "\n");
  }
  return text;
}

std::string refused_text(const plan::Found& found) {
  std::string text;
  for (const plan::Refusal& r : found.refused)
    text += str("    ", plan::words(r.layout),
                r.tokens_per_second > 0 ? str(" (", human_count(r.tokens_per_second), " tok/s if it fitted)") : "", ": ", r.reason, "\n");
  return text.empty() ? "" : "\n  refused\n" + text;
}

std::string simulated_text(const ClusterPlan& p) {
  const SimulatedRun& run = *p.simulated;
  std::string text = str("\n  ", run.options.weeks, " weeks with failures (", run.options.runs, " runs, seed ", run.options.seed,
                         "): one in ", human_time(run.mean_seconds_between_failures), " in the mean; a checkpoint stops training for ",
                         seconds_text(run.stall_seconds), ", a failure for ", fixed(run.options.restart_minutes, 1), " minutes\n");
  std::vector<std::vector<std::string>> rows = {
      {"checkpoint every", "goodput", "+-", "closed form", "done again", "stalls", "restarts", "failures", ""}};
  for (size_t i = 0; i < run.intervals.size(); ++i) {
    const IntervalOutcome& o = run.intervals[i];
    rows.push_back({human_time(o.model.interval_seconds), percent(o.goodput, 2), percent(o.goodput_error, 2),
                    percent(o.expected_goodput, 2), percent(o.lost_share, 2), percent(o.stall_share, 2), percent(o.restart_share, 2),
                    fixed(o.failures, 1), str(o.note, i == run.best ? (*o.note ? ", best" : "best") : "")});
  }
  text += table(rows, "    ");
  if (run.options.checkpoint_write_seconds > 0)
    text += "    (the closed form takes a checkpoint for durable when its stall ends; these are written for longer)\n";
  if (!p.found.best.empty()) {
    const double rate = p.found.best.front().tokens_per_second * run.intervals[run.best].goodput;
    text += str("    with it the first layout trains ", human_count(rate), " tok/s, ", human_count(rate * 86400), " a day\n");
  }
  return text;
}

// ---- JSON ----

Json layout_json(const plan::Layout& l) {
  return {{"parallel", {{"dp", l.dp}, {"tp", l.tp}, {"pp", l.pp}, {"ep", l.ep}, {"cp", l.cp}, {"zero", l.zero}}},
          {"micro_batch", l.micro_batch},
          {"schedule", plan::name_of(l.schedule)},
          {"virtual_stages", l.virtual_stages},
          {"recompute", plan::name_of(l.recompute)}};
}

Json estimate_json(const plan::Estimate& e) {
  const plan::Memory& m = e.memory;
  Json exchanges = Json::array();
  for (const plan::Exchange& x : e.exchanges)
    exchanges.push_back({{"name", x.name},
                         {"group", x.group},
                         {"calls", x.calls},
                         {"bytes", x.bytes},
                         {"seconds", x.seconds},
                         {"exposed_seconds", x.exposed_seconds}});
  Json out = layout_json(e.layout);
  out.update({{"micro_batches", e.micro_batches},
              {"step_seconds", e.step_seconds},
              {"tokens_per_second", e.tokens_per_second},
              {"tokens_per_second_per_gpu", e.tokens_per_second_per_gpu},
              {"model_tflops_per_second_per_gpu", e.model_tflops_per_gpu},
              {"mfu_of_bf16_peak", e.mfu},
              {"seconds",
               {{"products", e.product_seconds},
                {"attention", e.attention_seconds},
                {"elementwise", e.elementwise_seconds},
                {"recompute", e.recompute_seconds},
                {"exposed_collectives", e.exposed_seconds},
                {"beside_collectives", e.overlap_seconds},
                {"bubble", e.bubble_seconds},
                {"optimizer", e.optimizer_seconds},
                {"other", e.other_seconds}}},
              {"fits", e.fits},
              {"memory_bytes",
               {{"total", m.total()},
                {"weights", m.weights},
                {"gradients", m.gradients},
                {"optimizer", m.optimizer},
                {"activations", m.activations},
                {"logits", m.logits},
                {"gathered", m.gathered},
                {"program", m.program}}},
              {"fullest_pipeline_rank", m.stage},
              {"micro_batches_in_flight", m.in_flight},
              {"layers_of_pipeline_ranks", e.stage_layers},
              {"collectives", exchanges}});
  return out;
}

Json simulated_json(const SimulatedRun& run) {
  Json intervals = Json::array();
  for (const IntervalOutcome& o : run.intervals)
    intervals.push_back({{"interval_seconds", o.model.interval_seconds},
                         {"note", o.note},
                         {"goodput", o.goodput},
                         {"goodput_standard_error", o.goodput_error},
                         {"expected_goodput", o.expected_goodput},
                         {"lost_share", o.lost_share},
                         {"stall_share", o.stall_share},
                         {"restart_share", o.restart_share},
                         {"failures", o.failures}});
  return {{"weeks", run.options.weeks},
          {"runs", run.options.runs},
          {"seed", run.options.seed},
          {"mean_seconds_between_failures", run.mean_seconds_between_failures},
          {"checkpoint_stall_seconds", run.stall_seconds},
          {"checkpoint_write_seconds", run.options.checkpoint_write_seconds},
          {"restart_seconds", 60 * run.options.restart_minutes},
          {"young_interval_seconds", run.young_seconds},
          {"daly_interval_seconds", run.daly_seconds},
          {"best_interval_seconds", run.intervals[run.best].model.interval_seconds},
          {"intervals", intervals}};
}

}  // namespace

std::string cluster_plan_text(const ClusterPlan& p) {
  std::string text = str(p.cluster.title(), ": ", p.cluster.world(), " GPUs of ", human_bytes(p.cluster.gpu.memory_bytes));
  if (p.cluster.kinds.size() > 1) text += ", each reckoned as the weakest (a step waits for all)";
  text += "\n";
  if (p.network) {
    text += str(p.network->name, ": ", human_count(p.network->parameters()), " parameters, ", human_count(p.network->active_parameters()),
                " multiplied with a token, ", human_count(p.network->model_flops_per_token(double(p.job.sequence_length))),
                " FLOPs a token; ", p.job.fp8 ? "fp8" : "bf16", ", ", p.job.global_batch, " x ", p.job.sequence_length, " tokens a step\n");
    text +=
        str("  ", p.found.tried, " layouts: ", p.found.fit, " fit, ", p.found.too_large, " do not, ", p.found.impossible, " cannot be\n");
    text += p.found.best.empty() ? "  none fits\n" : best_text(p);
    text += refused_text(p.found);
  }
  if (p.simulated) text += simulated_text(p);
  return text;
}

Json cluster_plan_json(const ClusterPlan& p) {
  Json out = {{"cluster", p.cluster.title()},
              {"gpus", p.cluster.world()},
              {"nodes", p.cluster.nodes},
              {"gpu_memory_bytes", p.cluster.gpu.memory_bytes}};
  if (p.network) {
    Json layouts = Json::array(), refused = Json::array();
    for (const plan::Estimate& e : p.found.best) {
      layouts.push_back(estimate_json(e));
      layouts.back()["reason"] = layouts.size() == 1 ? "the first: " + plan::where_time_goes(e) : plan::why_slower(p.found.best.front(), e);
    }
    for (const plan::Refusal& r : p.found.refused) {
      refused.push_back(layout_json(r.layout));
      refused.back()["reason"] = r.reason;
      refused.back()["tokens_per_second_if_it_fitted"] = r.tokens_per_second > 0 ? Json(r.tokens_per_second) : Json();
    }
    out.update({{"model", p.network->name},
                {"parameters", p.network->parameters()},
                {"active_parameters", p.network->active_parameters()},
                {"model_flops_per_token", p.network->model_flops_per_token(double(p.job.sequence_length))},
                {"precision", p.job.fp8 ? "fp8" : "bf16"},
                {"global_batch_sequences", p.job.global_batch},
                {"sequence_length_tokens", p.job.sequence_length},
                {"tried", p.found.tried},
                {"fit", p.found.fit},
                {"too_large", p.found.too_large},
                {"impossible", p.found.impossible},
                {"layouts", layouts},
                {"refused", refused}});
  }
  if (p.simulated) out["simulated"] = simulated_json(*p.simulated);
  return out;
}

}  // namespace r1::app
