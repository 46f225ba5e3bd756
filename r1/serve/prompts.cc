#include "r1/serve/prompts.h"

#include <algorithm>
#include <random>
#include <utility>

#include "r1/api/openai_messages.h"
#include "r1/data/thought.h"
#include "r1/http/error.h"

namespace r1::serve {

namespace {

using http::ApiError;

uint64_t fresh_seed() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return random();
}

std::string field_of(const api::GenerationRequest& r) {
  return r.chat ? "messages" : "prompt";
}

}  // namespace

Prompts::Prompts(const ServedModel& model, const ServiceConfig& config, int64_t longest)
    : model_(model),
      config_(config),
      longest_(longest),
      vocab_(model.model->config().vocab_size),
      maker_(*model.tokenizer, model.chat, {}, model.stop_ids),
      constraints_(model, config),
      fim_(api::find_fim_tokens(*model.tokenizer)) {
  for (const char* mark : {"<think>", "</think>", "<tool_call>", "</tool_call>", "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>",
                           "<｜tool▁sep｜>", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>", "<|python_tag|>"})
    if (const auto id = model.tokenizer->token_id(mark); id && model.tokenizer->is_special(*id)) shown_.push_back(*id);
}

std::vector<text::TokenId> Prompts::encode(const std::string& text, bool add_special, bool parse_special) const {
  return model_.tokenizer->encode(text, {.parse_special = parse_special, .add_special_tokens = add_special});
}

// Enough of the prompt's end to see whether a thought is open there.
std::string Prompts::end_of(const std::vector<text::TokenId>& ids) const {
  return model_.tokenizer->decode_bytes({ids.end() - std::min<int64_t>(16, int64_t(ids.size())), ids.end()});
}

// A template that knows nothing of thoughts is helped: the prompt goes on with an open or an empty one.
std::vector<text::TokenId> Prompts::chat_ids(const api::GenerationRequest& r) const {
  if (!model_.chat)
    throw ApiError(400, str("the model ", model_.name, " has no chat template: use /v1/completions"), "messages", "no_chat_template");
  data::Conversation conversation = *r.chat;
  if (!r.add_generation_prompt && !r.continue_final_message)
    throw ApiError(400, "add_generation_prompt false leaves nobody to answer; continue_final_message goes on with the last message",
                   "add_generation_prompt");
  if (api::wants_text_arguments(model_.chat->source())) api::arguments_as_text(conversation.messages);
  if (!api::knows_null_contents(model_.chat->source())) api::null_contents_as_text(conversation.messages);
  std::string go_on;
  if (r.continue_final_message) {
    if (conversation.messages.empty() || conversation.messages.back().role != "assistant")
      throw ApiError(400, "continue_final_message: the last message is not the assistant's", "messages");
    go_on = conversation.messages.back().content;
    conversation.messages.pop_back();
  }
  std::vector<text::TokenId> ids;
  try {
    ids = maker_.chat_prompt(conversation);
  } catch (const Error& e) {
    throw ApiError(400, e.what(), "messages");
  }
  const auto append = [&](const std::string& text, bool parse_special) {
    const auto more = model_.tokenizer->encode(text, {.parse_special = parse_special});
    ids.insert(ids.end(), more.begin(), more.end());
  };
  const bool by_template = model_.chat->source().find("enable_thinking") != std::string::npos;
  if (r.thinking.enabled && !by_template && (*r.thinking.enabled || constraints_.knows_thoughts()))
    append(data::thought_suffix(end_of(ids), *r.thinking.enabled), true);
  if (!go_on.empty()) append(go_on, false);
  return ids;
}

// Between the prompt and the suffix, by the model's own tokens for it.
std::vector<text::TokenId> Prompts::fill_in_ids(const std::string& prefix, const std::string& suffix) const {
  if (!fim_) throw ApiError(400, str("the model ", model_.name, " has no tokens for filling in: leave out suffix"), "suffix", "no_fill_in");
  return api::make_code_prompt({.prefix = prefix, .suffix = suffix}, *model_.tokenizer, {.trim = false}).ids;
}

std::vector<text::TokenId> Prompts::ids(const api::GenerationRequest& r, size_t prompt) const {
  if (r.chat) return chat_ids(r);
  const auto& given = r.prompts.at(prompt);
  if (const auto* list = std::get_if<std::vector<text::TokenId>>(&given)) {
    for (const text::TokenId id : *list)
      if (id < 0 || id >= vocab_) throw ApiError(400, str("token id ", id, " is outside the model's vocabulary of ", vocab_), "prompt");
    return *list;
  }
  if (!r.suffix.empty()) return fill_in_ids(std::get<std::string>(given), r.suffix);
  // A prompt that its sender has made whole: control tokens that it spells are meant, as in other servers.
  const std::string& text = std::get<std::string>(given);
  std::vector<text::TokenId> ids = encode(text, model_.tokenizer->add_bos(), true);
  const auto bos = model_.tokenizer->bos_id();
  if (bos && ids.size() > 1 && ids[0] == *bos && ids[1] == *bos) ids.erase(ids.begin());
  return ids;
}

engine::SamplingParams Prompts::sampling_of(const api::GenerationRequest& r) const {
  engine::SamplingOptions options = config_.sampling;
  const api::SamplingWish& wish = r.sampling;
  const auto take = [](auto& option, const auto& given) {
    if (given) option = *given;
  };
  take(options.temperature, wish.temperature);
  take(options.top_p, wish.top_p);
  take(options.min_p, wish.min_p);
  take(options.top_k, wish.top_k);
  take(options.repetition_penalty, wish.repetition_penalty);
  take(options.presence_penalty, wish.presence_penalty);
  take(options.frequency_penalty, wish.frequency_penalty);
  options.top_k = std::max<int64_t>(options.top_k, 0);
  const int64_t at_least = std::max(std::exchange(options.min_new_tokens, 0), wish.min_tokens);
  engine::SamplingParams out;
  try {
    out = options.params(1);
  } catch (const Error& e) {
    throw ApiError(400, e.what());
  }
  out.min_new_tokens = at_least;
  out.seed = wish.seed ? *wish.seed : fresh_seed();
  if (!wish.ignore_eos) out.stop_ids = model_.stop_ids;
  for (const int64_t id : wish.stop_token_ids) out.stop_ids.push_back(text::TokenId(id));
  out.logprobs = r.logprobs;
  out.top_logprobs = int(r.top_logprobs);
  return out;
}

// A prompt is never cut unless its sender asked for that; an answer ends where the context does.
void Prompts::fit(Prepared& out, const api::GenerationRequest& r) const {
  const bool answers = r.max_tokens.value_or(1) > 0;
  const int64_t wish = r.max_tokens.value_or(config_.max_tokens_default > 0 ? config_.max_tokens_default : longest_);
  for (Prepared::Prompt& prompt : out.prompts) {
    const int64_t most = longest_ - (answers ? 1 : 0);
    int64_t n = int64_t(prompt.ids.size());
    if (n == 0) throw ApiError(400, "the prompt has no tokens: give some text", field_of(r));
    if (n > most && r.truncate_prompt) {
      const int64_t keep = std::max<int64_t>(1, longest_ - std::min(wish, longest_ / 2));
      prompt.ids.erase(prompt.ids.begin(), prompt.ids.end() - std::min(n, keep));
      out.truncated = true;
      n = int64_t(prompt.ids.size());
    }
    if (n > most)
      throw ApiError(400,
                     str("the prompt has ", n, " tokens, the context holds ", longest_, answers ? " and an answer needs one" : "",
                         "; shorten it, or ask for truncate_prompt"),
                     field_of(r), "context_length_exceeded");
    prompt.max_new_tokens = std::max<int64_t>(1, std::min(wish, longest_ - n));
  }
}

Prepared Prompts::prepare(const api::GenerationRequest& r) const {
  if (r.n > config_.max_n) throw ApiError(400, str("n is ", r.n, ", this server allows up to ", config_.max_n), "n");
  Prepared out;
  const size_t prompts = r.chat ? 1 : r.prompts.size();
  if (prompts == 0) throw ApiError(400, "missing: prompt", "prompt");
  for (size_t i = 0; i < prompts; ++i) {
    Prepared::Prompt prompt{.ids = ids(r, i)};
    if (r.echo) {
      const std::string* text = r.chat ? nullptr : std::get_if<std::string>(&r.prompts[i]);
      prompt.text = text ? *text : model_.tokenizer->decode(prompt.ids);
    }
    out.prompts.push_back(std::move(prompt));
  }
  out.sampling = sampling_of(r);
  if (!r.suffix.empty() && fim_ && !r.sampling.ignore_eos)
    out.sampling.stop_ids.insert(out.sampling.stop_ids.end(), fim_->stop_ids.begin(), fim_->stop_ids.end());
  out.stop = r.sampling.stop;
  for (const std::string& stop : config_.sampling.stop) out.stop.push_back(stop);
  for (const std::string& stop : out.stop)
    if (stop.empty()) throw ApiError(400, "an empty stop string ends nothing; leave it out", "stop");
  fit(out, r);
  bool in_thought = false;
  if (r.chat) {
    out.parsed = true;
    in_thought = data::ends_in_thought(end_of(out.prompts[0].ids));
    out.parser.in_thought = in_thought;
    out.shown = shown_;
    if (!r.tools.empty() && r.tool_choice != api::ToolChoice::kNone) {
      // A model whose template names no format is told Hermes' by most prompts, and by the grammar where a call is asked for.
      using ToolFormat = api::AnswerParserOptions::ToolFormat;
      const ToolFormat spoken = constraints_.tool_format();
      out.parser.tool_format = spoken == ToolFormat::kNone ? ToolFormat::kHermes : spoken;
      out.parser.whole_is_arguments = r.tool_choice == api::ToolChoice::kNamed;
      out.parser.tool_name = r.tool_name;
    }
  }
  out.constraint = constraints_.make(r, in_thought);
  // A grammar ends in them, also where the model alone would not be let to.
  if (is_held(r) && r.sampling.ignore_eos)
    out.sampling.stop_ids.insert(out.sampling.stop_ids.end(), model_.stop_ids.begin(), model_.stop_ids.end());
  return out;
}

}  // namespace r1::serve
