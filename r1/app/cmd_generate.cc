// r1 generate: a prompt or a conversation in, the model's words out. What is piped in is the prompt where no other is given. Text streams to a terminal or a pipe as it is made; with --json one
// object a sample:
//   {"text", "ids", "logprobs", "finish_reason"}
// A prompt given as ids needs no tokenizer; without one the text is empty.
#include <cstdio>
#include <iostream>

#include "r1/app/command.h"
#include "r1/app/json_lines.h"
#include "r1/app/sampling_defaults.h"
#include "r1/app/token_ids.h"
#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/data/prompt.h"
#include "r1/engine/completion.h"
#include "r1/stages/run.h"

namespace r1::app {
namespace {

const engine::SamplingOptions kOwnSampling{};

struct GenerateConfig {
  stages::InferenceArgs model;
  engine::EngineConfig engine;
  std::string prompt, prompt_file, messages, ids, system_prompt, prompt_suffix;
  bool chat = false, raw = false;
  engine::SamplingOptions sampling = engine::SamplingOptions::of_model(kOwnSampling);
  int64_t max_new_tokens = 256, n = 1, top_logprobs = 0;
  uint64_t seed = 0;
  bool ignore_eos = false, keep_special = false;

  void visit(Fields& v) {
    v.group("", model);
    v("prompt", prompt, "text to go on from");
    v.alias("p", "prompt");
    v("prompt_file", prompt_file, "file that holds the prompt; - is standard input, as it is where no prompt is given");
    v("messages", messages, "conversation as JSON: [{\"role\":\"user\",\"content\":\"...\"}], or {\"messages\":[..],\"tools\":[..],..}");
    v("ids", ids, "prompt as token ids, e.g. 1,2,3");
    v("chat", chat, "the prompt is a user's message, put into the model's chat template");
    v("system_prompt", system_prompt, "system message in front of a conversation");
    v("prompt_suffix", prompt_suffix, "text after the rendered prompt, where the answer begins, e.g. <think>");
    v("raw", raw, "control tokens spelled out in the prompt count as such, and no bos is added");
    v("max_new_tokens", max_new_tokens, "longest answer, in tokens", Range{1, 1e9});
    v("n", n, "samples of the prompt", Range{1, 16384});
    v.group("", sampling);
    v("seed", seed, "same seed, same text", Range{0, 1.8e19});
    v("ignore_eos", ignore_eos, "go on past the ends of sequence and of turn; --stop still counts");
    v("keep_special", keep_special, "show control tokens in the text");
    v("top_logprobs", top_logprobs, "likeliest alternatives at each position in the JSON", Range{0, 20});
    v.group("engine", engine);
  }
};

std::string read_prompt(const GenerateConfig& c) {
  const int given = !c.prompt.empty() + !c.prompt_file.empty() + !c.messages.empty() + !c.ids.empty();
  if (given > 1) fail_usage("give one of --prompt, --prompt_file, --messages and --ids");
  if (given == 0) {
    std::string piped = piped_input();
    if (piped.empty()) fail_usage("missing: --prompt, --prompt_file, --messages or --ids, or a prompt on standard input");
    return piped;
  }
  if (c.prompt_file.empty()) return c.prompt;
  if (c.prompt_file == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  return read_file(c.prompt_file);
}

data::Conversation conversation(const GenerateConfig& c, const std::string& prompt) {
  if (c.messages.empty()) return {{{"user", prompt}}};
  Json json = parse_json(c.messages, "--messages");
  if (json.is_array()) json = Json{{"messages", json}};
  return data::conversation_from_json(json, "--messages", data::TemplateKeys::kAll);
}

std::vector<text::TokenId> prompt_ids(const GenerateConfig& c, const std::string& prompt, const stages::LoadedModel& loaded) {
  if (!c.ids.empty()) {
    const std::vector<int64_t> ids = parse_ids(c.ids, loaded.model->config().vocab_size);
    return {ids.begin(), ids.end()};
  }
  const text::Tokenizer& tokenizer = *loaded.tokenizer;
  if (c.chat || !c.messages.empty()) {
    if (!loaded.chat) fail_usage("--chat and --messages need a model with a chat template; ", c.model.model_name_or_path, " has none");
    const data::PromptArgs args{.prompt_format = "chat", .system_prompt = c.system_prompt, .prompt_suffix = c.prompt_suffix};
    return data::PromptMaker(tokenizer, loaded.chat.get(), args).chat_prompt(conversation(c, prompt));
  }
  return tokenizer.encode(prompt + c.prompt_suffix, {.parse_special = c.raw, .add_special_tokens = !c.raw && tokenizer.add_bos()});
}

engine::CompletionRequest request_of(const GenerateConfig& c, const stages::LoadedModel& loaded, bool json) {
  engine::CompletionRequest r;
  engine::SamplingOptions sampling = c.sampling;
  fill_sampling(sampling, loaded.generation);
  r.stop = sampling.stop;
  r.n = int(c.n);
  r.sampling = sampling.params(c.max_new_tokens);
  r.sampling.seed = c.seed;
  r.sampling.logprobs = json;
  r.sampling.top_logprobs = int(c.top_logprobs);
  if (!c.ignore_eos) r.sampling.stop_ids = loaded.stop_ids;  // --stop ends the answer all the same
  return r;
}

Json to_json(const engine::Completion& c, const text::Tokenizer& tokenizer, bool with_top) {
  Json json = {{"text", c.text}, {"ids", c.ids}, {"logprobs", c.logprobs}, {"finish_reason", engine::finish_reason_name(c.finish)}};
  if (!with_top) return json;
  Json positions = Json::array();
  for (const auto& alternatives : c.top) {
    Json list = Json::array();
    for (const auto& a : alternatives) {
      const std::string token = tokenizer.known(a.id) ? tokenizer.token_bytes(a.id) : "";
      list.push_back({{"id", a.id}, {"token", token}, {"logprob", a.logprob}});
    }
    positions.push_back(list);
  }
  json["top_logprobs"] = positions;
  return json;
}

int run(const GenerateConfig& config, const CommonOptions& common) {
  const std::string prompt = read_prompt(config);
  const auto device = tensor::parse_device(common.device);
  const auto use = config.ids.empty() ? stages::TokenizerUse::kNeeded : stages::TokenizerUse::kIfThere;
  stages::LoadedModel loaded = stages::load(config.model, device, use);
  if (!loaded.tokenizer && !config.sampling.stop.empty()) fail_usage("--stop needs a tokenizer: give --tokenizer");
  if (!loaded.tokenizer) loaded.tokenizer = std::make_unique<text::Tokenizer>(text::Tokenizer::without_tokens());
  engine::CompletionRequest request = request_of(config, loaded, common.json);
  request.prompt = prompt_ids(config, prompt, loaded);
  if (request.prompt.empty()) fail_usage("the prompt has no tokens: give some text");
  engine::EngineConfig engine_config = config.engine;
  engine::Engine engine(*loaded.model, engine_config);
  install_interrupt_handler();
  engine::CompletionOptions options;
  options.keep_special = config.keep_special;
  options.on_step = [](int64_t, int64_t, const engine::EngineStats&) { return !interrupted(); };
  const bool streams = !common.json && config.n == 1;
  if (streams)
    options.on_text = [](size_t, int, const std::string& piece) {
      return std::fwrite(piece.data(), 1, piece.size(), stdout) == piece.size() && std::fflush(stdout) == 0;
    };
  const auto samples = complete(engine, *loaded.tokenizer, {request}, options)[0];
  if (const auto share = engine.stats().draft_acceptance({}))
    log_info("speculation: ", int(100 * *share + 0.5), " % of ", engine.stats().draft_tokens, " guesses were right, ",
             engine.stats().generated_tokens, " tokens in ", engine.stats().steps, " steps");
  for (size_t i = 0; i < samples.size(); ++i) {
    if (common.json)
      print_text(dump_json(to_json(samples[i], *loaded.tokenizer, config.top_logprobs > 0)) + "\n");
    else if (streams)
      print_text("\n");
    else
      print_text(
          str("--- ", i + 1, " of ", samples.size(), " (", engine::finish_reason_name(samples[i].finish), ")\n", samples[i].text, "\n"));
  }
  return interrupted() ? int(ErrorKind::kInterrupted) : 0;
}

}  // namespace

Command cmd_generate() {
  return make_command<GenerateConfig>("generate", "go on from a prompt or a conversation", run, {"model_name_or_path"});
}

}  // namespace r1::app
