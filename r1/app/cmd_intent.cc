// r1 intent train: a model that names the intent of a message, from a table of messages. r1 intent eval: how well it does on another table, and how
// fast. r1 intent classify: the likeliest intents of messages.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <numeric>

#include "r1/app/command.h"
#include "r1/app/json_lines.h"
#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/serve/intent_train.h"

namespace r1::app {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// A table, or a folder that has it as train.csv, test.csv (or .tsv).
fs::path table_at(const std::string& given, const char* name) {
  if (!fs::is_directory(given)) return given;
  for (const char* end : {".csv", ".tsv"}) {
    if (fs::exists(fs::path(given) / (std::string(name) + end))) return fs::path(given) / (std::string(name) + end);
  }
  fail_usage(given, ": no ", name, ".csv or ", name, ".tsv in it");
}

// ---- train

struct TrainConfig {
  std::string data, output_dir, save_dtype = "bfloat16";
  double held_out = 0;
  serve::IntentTrainConfig train;

  void visit(Fields& v) {
    v("data", data, "table of messages (columns text and category), or a folder with train.csv", Required{});
    v("output_dir", output_dir, "folder for the model", Required{});
    v("held_out", held_out, "share of the messages to learn nothing from and to be tested on", Range{0, 0.9});
    v("save_dtype", save_dtype, "of the encoder's weights in the file", OneOf{"float32", "bfloat16", "float16"});
    v.group("", train);
  }
};

api::IntentExamples chosen(const api::IntentExamples& all, const std::vector<size_t>& rows) {
  api::IntentExamples some{.labels = all.labels, .text = {}, .label = {}};
  for (size_t i : rows) some.text.push_back(all.text[i]), some.label.push_back(all.label[i]);
  return some;
}

double accuracy_of(const serve::IntentModel& model, const api::IntentExamples& examples) {
  const auto p = model.probabilities(examples.text);
  int64_t right = 0;
  for (size_t i = 0; i < p.size(); ++i) right += std::max_element(p[i].begin(), p[i].end()) - p[i].begin() == examples.label[i];
  return double(right) / double(std::max<size_t>(1, p.size()));
}

// A bar for each part of the work.
class Bars {
 public:
  void operator()(const serve::IntentTrainEvent& e) {
    if (e.what != title_) {
      bar_.reset();
      title_ = e.what;
      if (e.steps > 1) bar_ = std::make_unique<Progress>(e.what, e.steps, "step");
      if (e.steps <= 1) log_info(e.what);
    }
    if (bar_) bar_->update(e.step, str("loss ", std::round(e.loss * 1000) / 1000));
  }

 private:
  std::string title_;
  std::unique_ptr<Progress> bar_;
};

int run_train(const TrainConfig& config, const CommonOptions& common) {
  install_interrupt_handler();
  api::IntentExamples examples = api::read_intent_examples(table_at(config.data, "train"));
  api::IntentExamples held;
  if (config.held_out > 0) {
    const auto parts = std::max<int64_t>(2, std::llround(1 / config.held_out));
    const api::Fold fold = api::fold_of(examples.size(), 0, parts, uint64_t(config.train.seed));
    held = chosen(examples, fold.held);
    examples = chosen(examples, fold.rest);
  }
  const auto device = tensor::parse_device(common.device);
  const auto start = Clock::now();
  Bars bars;
  const auto model = serve::train_intents(config.train, examples, device, [&](const serve::IntentTrainEvent& e) { bars(e); });
  model->save(config.output_dir, tensor::parse_dtype(config.save_dtype));
  Json result = {{"output_dir", config.output_dir},
                 {"version", model->version()},
                 {"messages", examples.size()},
                 {"intents", examples.labels.size()},
                 {"ngram_share", model->settings().ngram_share},
                 {"training", model->training()},
                 {"seconds", milliseconds_since(start) / 1000}};
  if (held.size()) result["held_out_accuracy"] = accuracy_of(*model, held);
  if (common.json) return print_text(dump_json(result) + "\n"), 0;
  print_text(str(examples.size(), " messages, ", examples.labels.size(), " intents", held.size() ? ", accuracy on those held out " : "",
                 held.size() ? str(accuracy_of(*model, held)) : "", "\n", config.output_dir, " has the model, version ", model->version(),
                 "\n", "r1 intent eval ", config.output_dir, " --data <test.csv>\n"));
  return 0;
}

// ---- eval

struct EvalConfig {
  std::string model, data;
  int64_t limit = 0;
  bool latency = true, errors = false;

  void visit(Fields& v) {
    v("model_dir", model, "folder that r1 intent train wrote", Required{});
    v("data", data, "table of messages (columns text and category), or a folder with test.csv", Required{});
    v("limit", limit, "messages at most; 0: all", Range{0, 1e9});
    v("latency", latency, "time each message by itself");
    v("errors", errors, "list the messages it gets wrong");
  }
};

struct Outcome {
  size_t row = 0;
  int32_t label = 0, guess = 0;
  double confidence = 0, milliseconds = 0;
};

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, size_t(std::ceil(q * double(values.size()))) - (q > 0 ? 1 : 0))];
}

std::vector<Outcome> outcomes_of(const serve::IntentModel& model, const api::IntentExamples& examples, bool one_by_one) {
  std::vector<Outcome> outcomes;
  std::vector<std::vector<float>> all;
  if (!one_by_one) all = model.probabilities(examples.text);
  if (one_by_one) model.probabilities({examples.text.data(), std::min<size_t>(3, examples.size())});  // warms up
  for (size_t i = 0; i < examples.size(); ++i) {
    throw_if_interrupted();
    const auto start = Clock::now();
    const std::vector<float> p = one_by_one ? model.probabilities({&examples.text[i], 1})[0] : all[i];
    const auto best = std::max_element(p.begin(), p.end());
    outcomes.push_back({i, examples.label[i], int32_t(best - p.begin()), *best, milliseconds_since(start)});
  }
  return outcomes;
}

// Mean distance between confidence and accuracy over ten bins (expected calibration error, Guo et al., 2017).
double calibration_error(const std::vector<Outcome>& outcomes) {
  std::array<double, 10> confidence{}, right{}, n{};
  for (const Outcome& o : outcomes) {
    const size_t bin = std::min<size_t>(9, size_t(o.confidence * 10));
    confidence[bin] += o.confidence, right[bin] += o.label == o.guess, n[bin] += 1;
  }
  double error = 0;
  for (size_t b = 0; b < 10; ++b) error += std::abs(confidence[b] - right[b]);
  return error / double(outcomes.size());
}

double macro_f1(const std::vector<Outcome>& outcomes, size_t classes) {
  std::vector<double> hit(classes), said(classes), there(classes);
  for (const Outcome& o : outcomes) hit[size_t(o.label)] += o.label == o.guess, said[size_t(o.guess)] += 1, there[size_t(o.label)] += 1;
  double sum = 0, present = 0;
  for (size_t c = 0; c < classes; ++c) {
    if (there[c] + said[c] == 0) continue;
    sum += 2 * hit[c] / (there[c] + said[c]);
    present += 1;
  }
  return present ? sum / present : 0;
}

Json confusions(const std::vector<Outcome>& outcomes, const std::vector<std::string>& labels) {
  std::map<std::pair<int32_t, int32_t>, int64_t> count;
  for (const Outcome& o : outcomes) {
    if (o.label != o.guess) ++count[{o.label, o.guess}];
  }
  std::vector<std::pair<int64_t, std::pair<int32_t, int32_t>>> most;
  for (const auto& [pair, n] : count) most.push_back({-n, pair});
  std::sort(most.begin(), most.end());
  Json list = Json::array();
  for (size_t i = 0; i < std::min<size_t>(10, most.size()); ++i)
    list.push_back({{"intent", labels[size_t(most[i].second.first)]},
                    {"taken_for", labels[size_t(most[i].second.second)]},
                    {"count", -most[i].first}});
  return list;
}

int run_eval(const EvalConfig& config, const CommonOptions& common) {
  install_interrupt_handler();
  const auto model = serve::IntentModel::load(config.model, tensor::parse_device(common.device));
  api::IntentExamples examples = api::read_intent_examples(table_at(config.data, "test"), model->labels());
  if (config.limit > 0 && size_t(config.limit) < examples.size())
    examples.text.resize(size_t(config.limit)), examples.label.resize(size_t(config.limit));
  const std::vector<Outcome> outcomes = outcomes_of(*model, examples, config.latency);
  const int64_t right = std::count_if(outcomes.begin(), outcomes.end(), [](const Outcome& o) { return o.label == o.guess; });
  std::vector<double> times;
  for (const Outcome& o : outcomes) times.push_back(o.milliseconds);
  Json result = {{"accuracy", double(right) / double(outcomes.size())},
                 {"right", right},
                 {"messages", outcomes.size()},
                 {"macro_f1", macro_f1(outcomes, model->labels().size())},
                 {"calibration_error", calibration_error(outcomes)},
                 {"version", model->version()}};
  if (config.latency)
    result["milliseconds"] = {
        {"p50", quantile(times, 0.5)}, {"p95", quantile(times, 0.95)}, {"p99", quantile(times, 0.99)}, {"max", quantile(times, 1)}};
  result["confusions"] = confusions(outcomes, model->labels());
  if (config.errors) {
    Json list = Json::array();
    for (const Outcome& o : outcomes) {
      if (o.label != o.guess)
        list.push_back({{"text", examples.text[o.row]},
                        {"intent", model->labels()[size_t(o.label)]},
                        {"guess", model->labels()[size_t(o.guess)]},
                        {"confidence", o.confidence}});
    }
    result["errors"] = list;
  }
  if (common.json) return print_text(dump_json(result) + "\n"), 0;
  std::string text = str("accuracy ", result["accuracy"].get<double>(), " (", right, " of ", outcomes.size(), "), macro F1 ",
                         result["macro_f1"].get<double>(), ", calibration error ", result["calibration_error"].get<double>(), "\n");
  if (config.latency)
    text +=
        str("milliseconds a message: p50 ", quantile(times, 0.5), ", p95 ", quantile(times, 0.95), ", p99 ", quantile(times, 0.99), "\n");
  for (const Json& c : result["confusions"])
    text +=
        str("  ", c["count"].get<int64_t>(), " x ", c["intent"].get<std::string>(), " taken for ", c["taken_for"].get<std::string>(), "\n");
  if (config.errors) {
    for (const Json& e : result["errors"])
      text += str("  ", e["text"].get<std::string>(), "\n    ", e["intent"].get<std::string>(), ", said ", e["guess"].get<std::string>(),
                  " (", e["confidence"].get<double>(), ")\n");
  }
  print_text(text);
  return 0;
}

// ---- classify

struct ClassifyConfig {
  std::string model, text;
  int64_t top = 3;

  void visit(Fields& v) {
    v("model_dir", model, "folder that r1 intent train wrote", Required{});
    v("text", text, "message; without one, a message a line from standard input");
    v("top", top, "intents that are shown", Range{1, 1000});
  }
};

void show_ranking(const serve::IntentModel& model, const std::string& text, int64_t top, bool json) {
  api::IntentRanking ranking = model.rank(text);
  if (int64_t(ranking.size()) > top) ranking.resize(size_t(top));
  if (json) {
    Json list = Json::array();
    for (const api::IntentScore& s : ranking) list.push_back({{"intent", s.name}, {"confidence", s.confidence}});
    return print_text(dump_json(Json{{"text", text}, {"intents", list}}) + "\n");
  }
  std::string line;
  for (const api::IntentScore& s : ranking) line += str(line.empty() ? "" : "  ", s.name, " ", std::round(s.confidence * 1000) / 1000);
  print_text(line + "\n");
}

int run_classify(const ClassifyConfig& config, const CommonOptions& common) {
  const auto model = serve::IntentModel::load(config.model, tensor::parse_device(common.device));
  if (!config.text.empty()) return show_ranking(*model, config.text, config.top, common.json), 0;
  if (isatty(STDIN_FILENO)) fail_usage("missing: --text, or messages on standard input, one a line");
  for (std::string line; std::getline(std::cin, line);) {
    if (line.find_first_not_of(" \t\r") != std::string::npos) show_ranking(*model, line, config.top, common.json);
  }
  return 0;
}

}  // namespace

Command cmd_intent_train() {
  return make_command<TrainConfig>("intent train", "learn to name the intent of a message from a table of messages", run_train);
}
Command cmd_intent_eval() {
  return make_command<EvalConfig>("intent eval", "accuracy and time of an intent model on a table of messages", run_eval, {"model_dir"});
}
Command cmd_intent_classify() {
  return make_command<ClassifyConfig>("intent classify", "the likeliest intents of a message", run_classify, {"model_dir", "text"});
}

}  // namespace r1::app
