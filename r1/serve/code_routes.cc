#include "r1/serve/code_routes.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "r1/api/body.h"
#include "r1/api/code_prompt.h"
#include "r1/api/openai_json.h"
#include "r1/base/strings.h"
#include "r1/http/error.h"

namespace r1::serve {
namespace {

using api::Body;

constexpr int64_t kBudget = 8192, kMaxTokens = 4096;
constexpr size_t kTextBytes = 8 << 20;

struct FileBody {
  std::string path, text;
  void visit(Body& v) {
    v.alias("filename", "path");
    v("path", path, "its name in the project", {.max_length = 4096});
    v.alias("content", "text");
    v("text", text, "what is in it", {.max_length = kTextBytes});
  }
};

struct CodeBody {
  std::string model, prefix, suffix, path, language, repository, stop_at = "block", user;
  std::vector<FileBody> files;
  int64_t max_tokens = 128, n = 1, context_tokens = kBudget;
  double temperature = 0.2;
  std::optional<double> top_p, min_p;
  std::optional<int64_t> top_k;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
  bool stream = false;

  void visit(Body& v) {
    v("model", model, "name of the served model", {.max_length = 512});
    v.alias("prompt", "prefix");
    v("prefix", prefix, "the file's text before the cursor", {.max_length = kTextBytes, .required = true});
    v("suffix", suffix, "the file's text behind the cursor", {.max_length = kTextBytes});
    v("path", path, "the file's name; its extension says the language", {.max_length = 4096});
    v("language", language, "instead of the path's", {.max_length = 64});
    v.alias("repo_name", "repository");
    v("repository", repository, "the project's name", {.max_length = 4096});
    v("files", files, "other files that matter, the most important first", {.max_items = 256});
    v("max_tokens", max_tokens, "longest completion", {.min = 1, .max = double(kMaxTokens)});
    v("n", n, "completions", {.min = 1, .max = 128});
    v("temperature", temperature, "0: the likeliest", {.min = 0, .max = 2});
    v("top_p", top_p, "nucleus", {.min = 0, .max = 1});
    v("min_p", min_p, "least share of the likeliest's probability", {.min = 0, .max = 1});
    v("top_k", top_k, "0: off", {.min = -1, .max = 1e9});
    v("seed", seed, "same seed, same completion");
    v("stop", stop, "texts that end it too", {.max_length = 1024, .max_items = 16});
    v("stop_at", stop_at, "where it ends by itself", {.one_of = {"block", "line", "none"}});
    v("context_tokens", context_tokens, "of prefix, suffix and files together", {.min = 16, .max = 1 << 20});
    v("stream", stream, "as server-sent events");
    v("user", user, "passed on to the logs", {.max_length = 512});
  }
};

// llama.cpp's names.
struct InfillBody {
  std::string input_prefix, input_suffix, prompt;
  std::vector<FileBody> input_extra;
  int64_t n_predict = 128;
  double temperature = 0.2;
  std::optional<double> top_p, min_p;
  std::optional<int64_t> top_k;
  std::optional<int64_t> seed;
  std::vector<std::string> stop;
  bool stream = false;

  void visit(Body& v) {
    v("input_prefix", input_prefix, "the file's text before the cursor's line", {.max_length = kTextBytes});
    v("input_suffix", input_suffix, "the file's text behind the cursor", {.max_length = kTextBytes});
    v("prompt", prompt, "the cursor's line before the cursor", {.max_length = kTextBytes});
    v("input_extra", input_extra, "other files", {.max_items = 256});
    v("n_predict", n_predict, "longest completion; -1: 128", {.min = -1, .max = double(kMaxTokens)});
    v("temperature", temperature, "0: the likeliest", {.min = 0, .max = 2});
    v("top_p", top_p, "nucleus", {.min = 0, .max = 1});
    v("min_p", min_p, "least share of the likeliest's probability", {.min = 0, .max = 1});
    v("top_k", top_k, "0: off", {.min = -1, .max = 1e9});
    v("seed", seed, "-1: any", {.min = -1, .max = 9e18});
    v("stop", stop, "texts that end it too", {.max_length = 1024, .max_items = 16});
    v("stream", stream, "as server-sent events");
  }
};

CodeBody as_code_body(InfillBody& in) {
  CodeBody out;
  out.prefix = in.input_prefix + in.prompt;
  out.suffix = std::move(in.input_suffix);
  out.files = std::move(in.input_extra);
  if (in.n_predict > 0) out.max_tokens = in.n_predict;
  out.temperature = in.temperature;
  out.top_p = in.top_p;
  out.min_p = in.min_p;
  out.top_k = in.top_k;
  if (in.seed && *in.seed >= 0) out.seed = uint64_t(*in.seed);
  out.stop = std::move(in.stop);
  out.stream = in.stream;
  return out;
}

// The text's own shape, where nobody names a language (llama.cpp's clients do not): the name of the first other file is as good a guess.
const api::CodeLanguage& language_of(const CodeBody& body) {
  if (!body.language.empty()) {
    if (const api::CodeLanguage* known = api::find_code_language(body.language)) return *known;
    throw http::ApiError(400, "language: expected one of " + api::code_language_names(), "language");
  }
  if (!body.path.empty()) return api::code_language_of(body.path);
  return body.files.empty() ? api::plain_text() : api::code_language_of(body.files.front().path);
}

api::CodePlace place_of(CodeBody& body) {
  api::CodePlace place;
  place.language = &language_of(body);
  place.prefix = std::move(body.prefix);
  place.suffix = std::move(body.suffix);
  place.path = body.path;
  place.repository = body.repository;
  for (FileBody& file : body.files) place.files.push_back({std::move(file.path), std::move(file.text)});
  api::unix_lines(place);
  return place;
}

// What a writer and whoever hangs up share: an answer may be complete before submit() has said its ticket.
struct Running {
  std::mutex mutex;
  Service* service;
  std::optional<Service::Ticket> ticket;
  bool over = false;

  explicit Running(Service& s) : service(&s) {}
  void began(Service::Ticket t) {
    std::unique_lock lock(mutex);
    ticket = t;
    const bool cancel = over;
    lock.unlock();
    if (cancel) service->cancel(t);
  }
  void cancel() {
    std::unique_lock lock(mutex);
    const bool now = ticket && !over;
    over = true;
    lock.unlock();
    if (now) service->cancel(*ticket);
  }
};

enum class Dialect { kCode, kInfill };

// Cuts each choice where CodeStop says; when all are complete the rest of the generation is cancelled.
class CodeWriter : public api::AnswerWriter {
 public:
  CodeWriter(http::ResponderPtr responder, std::shared_ptr<Running> running, Dialect dialect, bool stream, const api::CodePlace& place,
             api::CodeStop::Scope scope, const api::CodePrompt& prompt)
      : responder_(std::move(responder)), running_(std::move(running)), dialect_(dialect), stream_(stream), stop_(place, scope) {
    about_ = {{"language", place.language->name},
              {"fim", prompt.family.empty() ? Json() : Json(prompt.family)},
              {"note", prompt.note.empty() ? Json() : Json(prompt.note)},
              {"truncated", prompt.truncated()},
              {"dropped_prefix_lines", prompt.dropped_prefix_lines},
              {"dropped_suffix_lines", prompt.dropped_suffix_lines},
              {"dropped_files", prompt.dropped_files}};
  }

  void start(const Head& head) override {
    head_ = head;
    for (int64_t i = 0; i < head.choices; ++i) choices_.push_back({stop_});
    if (stream_) responder_->begin(200, "text/event-stream", api::event_headers());
  }

  void prompt(int64_t, const std::string&, const std::vector<api::TokenInfo>&) override {}

  void delta(int64_t index, const api::Delta& delta) override {
    Choice& choice = choices_[size_t(index)];
    if (choice.done) return;
    choice.tokens += int64_t(delta.tokens.size());
    show(index, choice.stop.push(delta.content));
    if (choice.stop.stopped()) complete(index, "stop", choice.stop.reason());
  }

  void finish(int64_t index, const Finish& finish) override {
    Choice& choice = choices_[size_t(index)];
    if (choice.done) return;
    show(index, choice.stop.finish());
    const bool cut = *choice.stop.reason() != 0;
    complete(index, cut ? "stop" : finish.reason, cut ? choice.stop.reason() : finish.stop_string);
  }

  void end(const api::Usage& usage, const api::Timings& timings) override {
    usage_ = usage;
    timings_ = timings;
    answer();
  }

  void fail(const std::exception& error) override {
    if (std::exchange(answered_, true)) return;
    http::Response response = http::error_response(error);
    if (!stream_ || choices_.empty()) return responder_->send(std::move(response));
    responder_->write(http::sse(response.body));
    responder_->end();
  }

 private:
  struct Choice {
    api::CodeStop stop;
    std::string text = {}, finish = {}, why = {};
    int64_t tokens = 0;
    bool done = false;
  };

  void show(int64_t index, std::string piece) {
    if (piece.empty()) return;
    if (stream_) responder_->write(http::sse(dump_json(chunk(index, piece, nullptr))));
    choices_[size_t(index)].text += piece;
  }

  void complete(int64_t index, std::string reason, std::string why) {
    Choice& choice = choices_[size_t(index)];
    choice.done = true;
    choice.finish = std::move(reason);
    choice.why = std::move(why);
    if (stream_ && dialect_ == Dialect::kCode) responder_->write(http::sse(dump_json(chunk(index, "", &choice))));
    if (std::ranges::all_of(choices_, [](const Choice& c) { return c.done; }) && cut()) answer();
  }
  // Some choice ended before the model's own end, so that nobody else says how the request ended.
  bool cut() const {
    return std::ranges::any_of(choices_, [](const Choice& c) { return *c.stop.reason() != 0; });
  }

  Json common() const {
    return {{"id", "codecmpl-" + head_.id}, {"object", "text_completion"}, {"created", head_.created}, {"model", head_.model}};
  }
  static Json choice_json(int64_t index, const std::string& text, const Choice* ended) {
    Json out = {{"index", index}, {"text", text}, {"logprobs", nullptr}, {"finish_reason", nullptr}};
    if (ended) {
      out["finish_reason"] = ended->finish;
      out["stop_reason"] = ended->why.empty() ? Json() : Json(ended->why);
    }
    return out;
  }
  Json chunk(int64_t index, const std::string& piece, const Choice* ended) const {
    if (dialect_ == Dialect::kInfill) return {{"index", index}, {"content", piece}, {"stop", false}};
    Json out = common();
    out["choices"] = Json::array({choice_json(index, piece, ended)});
    return out;
  }

  int64_t made() const {
    int64_t tokens = 0;
    for (const Choice& c : choices_) tokens += c.tokens;
    return usage_ ? std::max(usage_->completion_tokens, tokens) : tokens;
  }
  Json usage_json() const {
    const int64_t prompt = usage_ ? usage_->prompt_tokens : head_.prompt_tokens;
    return {{"prompt_tokens", prompt}, {"completion_tokens", made()}, {"total_tokens", prompt + made()}};
  }

  Json infill_json() const {
    const Choice& c = choices_.front();
    Json out = {{"index", 0},
                {"content", stream_ ? "" : c.text},
                {"stop", true},
                {"model", head_.model},
                {"tokens_predicted", made()},
                {"tokens_evaluated", head_.prompt_tokens},
                {"truncated", about_["truncated"]},
                {"stop_type", c.finish == "length" ? "limit"
                              : c.why.empty()      ? "eos"
                                                   : "word"},
                {"stopping_word", c.why}};
    out["r1"] = about_;
    if (usage_ && timings_) {
      api::Usage usage = *usage_;
      usage.completion_tokens = made();
      out["timings"] = api::timings_json(usage, *timings_);
    }
    return out;
  }

  void answer() {
    if (std::exchange(answered_, true)) return;
    Json out;
    if (dialect_ == Dialect::kInfill) {
      out = infill_json();
    } else {
      out = common();
      out["choices"] = Json::array();
      if (!stream_)
        for (size_t i = 0; i < choices_.size(); ++i) out["choices"].push_back(choice_json(int64_t(i), choices_[i].text, &choices_[i]));
      out["usage"] = usage_json();
      out["code"] = about_;
    }
    if (stream_) {
      responder_->write(http::sse(dump_json(out)));
      if (dialect_ == Dialect::kCode) responder_->write(http::sse("[DONE]"));
      responder_->end();
    } else {
      responder_->send({.body = dump_json(out)});
    }
    if (cut()) running_->cancel();  // what still runs of it is for nobody
  }

  http::ResponderPtr responder_;
  std::shared_ptr<Running> running_;
  Dialect dialect_;
  bool stream_, answered_ = false;
  api::CodeStop stop_;
  Json about_;
  Head head_;
  std::vector<Choice> choices_;
  std::optional<api::Usage> usage_;
  std::optional<api::Timings> timings_;
};

void complete_code(Service& service, const http::RequestPtr& request, const http::ResponderPtr& responder, CodeBody body, Dialect dialect) {
  const int64_t context = service.max_model_len();
  if (body.max_tokens + 16 > context)
    throw http::ApiError(400, str("max_tokens: ", body.max_tokens, " leave no room for a prompt in the model's context of ", context),
                         "max_tokens", "context_length_exceeded");
  const api::CodePlace place = place_of(body);
  api::CodePrompt prompt =
      api::make_code_prompt(place, *service.served().tokenizer, {.budget = std::min(body.context_tokens, context - body.max_tokens)});
  // Nothing before the cursor and no tokens to fill in with: the model's own beginning.
  if (prompt.ids.empty()) throw http::ApiError(400, "prefix: it is empty, and the model has no tokens to fill in code with", "prefix");

  api::Generation generation;
  api::GenerationRequest& r = generation.request;
  r.model = body.model;
  r.prompts = {prompt.ids};
  r.sampling.temperature = body.temperature;
  r.sampling.top_p = body.top_p;
  r.sampling.min_p = body.min_p;
  r.sampling.top_k = body.top_k;
  r.sampling.seed = body.seed;
  r.sampling.stop = body.stop;
  r.sampling.stop_token_ids.assign(prompt.stop_ids.begin(), prompt.stop_ids.end());
  r.max_tokens = body.max_tokens;
  r.n = body.n;
  r.stream = body.stream;
  r.user = body.user;
  r.return_token_ids = true;  // they are counted where the completion is cut
  const auto running = std::make_shared<Running>(service);
  generation.writer =
      std::make_unique<CodeWriter>(responder, running, dialect, body.stream, place, api::CodeStop::scope_named(body.stop_at), prompt);
  running->began(service.submit(std::move(generation), request->key));
  responder->on_gone([running] { running->cancel(); });
}

}  // namespace

void add_code_routes(http::Router& router, Service& service) {
  router.post("/v1/code/completions", [&service](const http::RequestPtr& request, const http::ResponderPtr& responder) {
    CodeBody body;
    api::read_body(request->body, body);
    complete_code(service, request, responder, std::move(body), Dialect::kCode);
  });
  router.post("/infill", [&service](const http::RequestPtr& request, const http::ResponderPtr& responder) {
    InfillBody body;
    api::read_body(request->body, body);
    complete_code(service, request, responder, as_code_body(body), Dialect::kInfill);
  });
}

std::vector<api::Operation> code_operations() {
  return {{.method = "POST",
           .pattern = "/v1/code/completions",
           .summary = "Code for the place of a cursor",
           .tag = "Code",
           .request = api::body_schema<CodeBody>(),
           .streams = true,
           .statuses = {404}},
          {.method = "POST",
           .pattern = "/infill",
           .summary = "The same, as llama.cpp's clients ask",
           .tag = "Code",
           .request = api::body_schema<InfillBody>(),
           .streams = true}};
}

}  // namespace r1::serve
