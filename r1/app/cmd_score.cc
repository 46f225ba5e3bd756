// r1 score: the log-probability of every token of a text, one JSON object: {"ids": [..], "logprobs": [null, ..]} (natural log, fp32; the
// first token has nothing before it). A text longer than the model's context is refused, never cut.
#include <cmath>
#include <iostream>

#include "r1/app/command.h"
#include "r1/app/json_lines.h"
#include "r1/app/token_ids.h"
#include "r1/base/file.h"
#include "r1/engine/plain_forward.h"
#include "r1/stages/run.h"

namespace r1::app {
namespace {

struct ScoreConfig {
  stages::InferenceArgs model;
  std::string text, file, ids;
  bool raw = false;

  void visit(Fields& v) {
    v.group("", model);
    v("text", text, "text to score");
    v("file", file, "file that holds the text; - is standard input, as it is where no text is given");
    v("ids", ids, "token ids to score, e.g. 1,2,3");
    v("raw", raw, "control tokens spelled out in the text count as such, and no bos is added");
  }
};

std::string read_text(const ScoreConfig& c) {
  const int given = !c.text.empty() + !c.file.empty() + !c.ids.empty();
  if (given > 1) fail_usage("give one of --text, --file and --ids");
  if (c.file == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  if (!c.file.empty()) return read_file(c.file);
  if (given) return c.text;
  std::string piped = piped_input();
  if (piped.empty()) fail_usage("missing: --text, --file or --ids, or text on standard input");
  return piped;
}

std::vector<int32_t> read_ids(const ScoreConfig& c, const std::string& text, const stages::LoadedModel& loaded) {
  if (!c.ids.empty()) {
    const auto ids = parse_ids(c.ids, loaded.model->config().vocab_size);
    return {ids.begin(), ids.end()};
  }
  return loaded.tokenizer->encode(text, {.parse_special = c.raw, .add_special_tokens = !c.raw && loaded.tokenizer->add_bos()});
}

int run(const ScoreConfig& config, const CommonOptions& common) {
  const std::string text = read_text(config);
  const auto device = tensor::parse_device(common.device);
  const stages::LoadedModel loaded =
      stages::load(config.model, device, config.ids.empty() ? stages::TokenizerUse::kNeeded : stages::TokenizerUse::kNone);
  const std::vector<int32_t> ids = read_ids(config, text, loaded);
  const int64_t longest = loaded.model->config().max_position_embeddings;
  check(int64_t(ids.size()) <= longest, "the text has ", ids.size(), " tokens, the model's context holds ", longest);
  const std::vector<engine::ScoredToken> scored = engine::score_prompt(*loaded.model, ids, 0);
  if (!common.json) {
    double total = 0;
    for (size_t i = 1; i < scored.size(); ++i) total += scored[i].logprob;
    print_text(str(ids.size(), " tokens, log-probability ", total, ", perplexity ",
                   ids.size() > 1 ? std::exp(-total / double(ids.size() - 1)) : 1.0, "\n"));
    return 0;
  }
  Json list = Json::array();
  for (size_t i = 0; i < scored.size(); ++i) list.push_back(i ? Json(scored[i].logprob) : Json());
  print_text(dump_json(Json{{"ids", ids}, {"logprobs", list}}) + "\n");
  return 0;
}

}  // namespace

Command cmd_score() {
  return make_command<ScoreConfig>("score", "log-probability of every token of a text", run, {"model_name_or_path"});
}

}  // namespace r1::app
