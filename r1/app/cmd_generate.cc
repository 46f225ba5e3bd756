// r1 generate: a prompt or a conversation in, the model's words out. Text streams to a terminal or a pipe as it is made; with --json one
// object a sample:
//   {"text", "ids", "logprobs", "finish_reason"}
#include <cstdio>
#include <iostream>

#include "r1/app/command.h"
#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/engine/completion.h"
#include "r1/eval/prompt.h"
#include "r1/stages/run.h"

namespace r1::app {
namespace {

struct GenerateConfig {
  stages::ModelArgs model;
  engine::EngineConfig engine;
  std::string prompt, prompt_file, messages, system_prompt, prompt_suffix;
  bool chat = false, raw = false;
  int64_t max_new_tokens = 256, min_new_tokens = 0, n = 1, top_k = 0, top_logprobs = 0;
  uint64_t seed = 0;
  double temperature = 1, top_p = 1, min_p = 0, repetition_penalty = 1, presence_penalty = 0, frequency_penalty = 0;
  std::vector<std::string> stop;
  bool ignore_eos = false, keep_special = false;

  void visit(Fields& v) {
    v.group("", model);
    v("prompt", prompt, "text to go on from");
    v.alias("p", "prompt");
    v("prompt_file", prompt_file, "file that holds the prompt; - is standard input");
    v("messages", messages, "conversation as JSON: [{\"role\":\"user\",\"content\":\"...\"}]");
    v("chat", chat, "the prompt is a user's message, put into the model's chat template");
    v("system_prompt", system_prompt, "system message in front of a conversation");
    v("prompt_suffix", prompt_suffix, "text behind the rendered prompt, where the answer begins, e.g. <think>");
    v("raw", raw, "control tokens spelled out in the prompt count as such, and no bos is added");
    v("max_new_tokens", max_new_tokens, "longest answer, in tokens", Range{1, 1e9});
    v("min_new_tokens", min_new_tokens, "no end before as many tokens", Range{0, 1e9});
    v("n", n, "samples of the prompt", Range{1, 16384});
    v("temperature", temperature, "0: greedy", Range{0, 100});
    v.alias("temp", "temperature");
    v("top_k", top_k, "sample from the k likeliest tokens; 0: all", Range{0, 1e9});
    v("top_p", top_p, "sample from the likeliest tokens that hold this much probability", Range{0, 1});
    v("min_p", min_p, "leave out tokens less likely than this part of the likeliest", Range{0, 1});
    v("repetition_penalty", repetition_penalty, "divides the logits of tokens seen (1: off)", Range{1e-3, 1e3});
    v("presence_penalty", presence_penalty, "taken from the logits of tokens in the answer", Range{-100, 100});
    v("frequency_penalty", frequency_penalty, "taken once for each time a token is in the answer", Range{-100, 100});
    v("seed", seed, "same seed, same text", Range{0, 1.8e19});
    v("stop", stop, "strings that end the answer");
    v("ignore_eos", ignore_eos, "go on past the ends of sequence and of turn; --stop still counts");
    v("keep_special", keep_special, "show control tokens in the text");
    v("top_logprobs", top_logprobs, "likeliest alternatives at each position in the JSON", Range{0, 20});
    v.group("engine", engine);
  }
};

std::string read_prompt(const GenerateConfig& c) {
  const int given = !c.prompt.empty() + !c.prompt_file.empty() + !c.messages.empty();
  if (given > 1) fail_usage("give one of --prompt, --prompt_file and --messages");
  if (given == 0) fail_usage("missing: --prompt, --prompt_file or --messages");
  if (c.prompt_file.empty()) return c.prompt;
  if (c.prompt_file == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  return read_file(c.prompt_file);
}

data::Messages conversation(const GenerateConfig& c, const std::string& prompt) {
  if (c.messages.empty()) return {{"user", prompt}};
  Json json = parse_json(c.messages, "--messages");
  if (json.is_array()) json = Json{{"messages", json}};
  return data::messages_from_json(json, "--messages");
}

std::vector<text::TokenId> prompt_ids(const GenerateConfig& c, const std::string& prompt, const stages::LoadedModel& loaded) {
  const text::Tokenizer& tokenizer = *loaded.tokenizer;
  if (c.chat || !c.messages.empty()) {
    if (!loaded.chat) fail_usage("--chat and --messages need a model with a chat template; ", c.model.model_name_or_path, " has none");
    const eval::PromptArgs args{.prompt_format = "chat", .system_prompt = c.system_prompt, .prompt_suffix = c.prompt_suffix};
    return eval::PromptMaker(tokenizer, loaded.chat.get(), args).chat_prompt(conversation(c, prompt));
  }
  return tokenizer.encode(prompt + c.prompt_suffix, {.parse_special = c.raw, .add_special_tokens = !c.raw && tokenizer.add_bos()});
}

engine::CompletionRequest request_of(const GenerateConfig& c, const stages::LoadedModel& loaded, bool json) {
  engine::CompletionRequest r;
  r.stop = c.stop;
  r.n = int(c.n);
  r.sampling = {.temperature = c.temperature,
                .top_k = c.top_k,
                .top_p = c.top_p,
                .min_p = c.min_p,
                .repetition_penalty = c.repetition_penalty,
                .presence_penalty = c.presence_penalty,
                .frequency_penalty = c.frequency_penalty,
                .seed = c.seed,
                .max_new_tokens = c.max_new_tokens,
                .min_new_tokens = c.min_new_tokens,
                .logprobs = json,
                .top_logprobs = int(c.top_logprobs)};
  engine::check_sampling(r.sampling);
  if (c.ignore_eos) return r;  // --stop still ends the answer
  if (const auto eos = loaded.tokenizer->eos_id()) r.sampling.stop_ids.push_back(*eos);
  const int64_t eos = loaded.model->config().eos_token_id;
  if (eos >= 0 && eos != loaded.tokenizer->eos_id()) r.sampling.stop_ids.push_back(text::TokenId(eos));
  return r;
}

Json to_json(const engine::Completion& c, const text::Tokenizer& tokenizer, bool with_top) {
  Json json = {{"text", c.text}, {"ids", c.ids}, {"logprobs", c.logprobs}, {"finish_reason", engine::finish_reason_name(c.finish)}};
  if (!with_top) return json;
  Json positions = Json::array();
  for (const auto& alternatives : c.top) {
    Json list = Json::array();
    for (const auto& a : alternatives) list.push_back({{"id", a.id}, {"token", tokenizer.token_bytes(a.id)}, {"logprob", a.logprob}});
    positions.push_back(list);
  }
  json["top_logprobs"] = positions;
  return json;
}

int run(const GenerateConfig& config, const CommonOptions& common) {
  const std::string prompt = read_prompt(config);
  const auto device = tensor::parse_device(common.device);
  const stages::LoadedModel loaded = stages::load(config.model, device, stages::resolve_dtype(config.model.dtype, device));
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
