#include "r1/serve/routes.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "r1/api/anthropic.h"
#include "r1/api/block_writer.h"
#include "r1/api/kserve.h"
#include "r1/api/metrics_text.h"
#include "r1/api/openai_chat.h"
#include "r1/api/openai_completions.h"
#include "r1/api/openai_other.h"
#include "r1/api/responses.h"
#include "r1/api/weight_update.h"
#include "r1/http/error.h"

namespace r1::serve {

using api::body_schema;
using http::ApiError;
using http::RequestPtr;
using http::ResponderPtr;

void run(Service& service, api::Generation generation, const RequestPtr& request, const ResponderPtr& responder) {
  const Service::Ticket ticket = service.submit(std::move(generation), request->key);
  responder->on_gone([&service, ticket] { service.cancel(ticket); });
}

namespace {

void send(const ResponderPtr& responder, const Json& json) {
  responder->send({.body = dump_json(json)});
}

// The routes of one server, as members that share what they read.
class Routes {
 public:
  Routes(http::Router& router, Service& service, const RouteOptions& options) : router_(router), service_(service), options_(options) {}

  void openai();
  void other_protocols();
  void kserve();
  void weights();
  void observation();

 private:
  using Answer = std::function<Json(const RequestPtr&)>;

  // A handler whose answer is one object.
  static http::Handler json(Answer answer) {
    return [answer = std::move(answer)](const RequestPtr& request, const ResponderPtr& responder) { send(responder, answer(request)); };
  }
  // One that waits for the engine, as long as its client does.
  static http::Handler waiting(std::function<Json(const RequestPtr&, const Service::Wanted&)> answer) {
    return [answer = std::move(answer)](const RequestPtr& request, const ResponderPtr& responder) {
      send(responder, answer(request, [responder] { return !responder->gone(); }));
    };
  }
  // A handler that reads a body into a generation and runs it.
  http::Handler generates(std::function<api::Generation(const RequestPtr&, const ResponderPtr&)> read) {
    return [this_service = &service_, read = std::move(read)](const RequestPtr& request, const ResponderPtr& responder) {
      run(*this_service, read(request, responder), request, responder);
    };
  }

  api::ModelCard card(const std::string& id) const;
  Json models() const;
  Json model(const std::string& id) const;
  Json embeddings(const RequestPtr& request, const Service::Wanted& wanted) const;
  Json tokenize(const RequestPtr& request) const;
  std::vector<text::TokenId> ids_of(const api::GenerationRequest::Prompt& prompt) const;
  std::vector<std::vector<float>> embed(const std::vector<std::string>& texts, const Service::Wanted& wanted, int64_t& tokens,
                                        bool truncate = false) const;
  api::KserveModel kserve_model() const;
  void infer(const RequestPtr& request, const ResponderPtr& responder) const;
  void update_weights(const std::string& name, const ResponderPtr& responder, api::ErrorShape shape) const;
  Json props() const;
  Json slots() const;

  http::Router& router_;
  Service& service_;
  const RouteOptions options_;
};

// ---- OpenAI

api::ModelCard Routes::card(const std::string& id) const {
  const ServedModel& m = service_.served();
  return {.id = id,
          .root = m.name,
          .created = options_.created,
          .max_model_len = service_.max_model_len(),
          .parameters = options_.facts.parameters,
          .vocabulary = m.model->config().vocab_size,
          .context_trained = m.model->config().max_position_embeddings,
          .embedding = m.model->config().hidden_size};
}

Json Routes::models() const {
  std::vector<api::ModelCard> cards = {card(service_.served().name)};
  for (const std::string& alias : options_.aliases) cards.push_back(card(alias));
  return api::models_json(cards);
}

Json Routes::model(const std::string& id) const {
  if (id != service_.served().name && std::ranges::find(options_.aliases, id) == options_.aliases.end())
    throw ApiError(404, str("there is no model ", printable(id), " here; this server has ", service_.served().name), "model",
                   "model_not_found");
  return api::model_json(card(id));
}

std::vector<text::TokenId> Routes::ids_of(const api::GenerationRequest::Prompt& prompt) const {
  if (const auto* ids = std::get_if<std::vector<text::TokenId>>(&prompt)) return *ids;
  return service_.encode(std::get<std::string>(prompt), service_.served().tokenizer->add_bos(), false);
}

Json Routes::embeddings(const RequestPtr& request, const Service::Wanted& wanted) const {
  api::EmbeddingsBody body;
  api::read_body(request->body, body);
  std::vector<std::vector<text::TokenId>> prompts;
  int64_t tokens = 0;
  for (const auto& prompt : body.prompts()) {
    prompts.push_back(ids_of(prompt));
    tokens += int64_t(prompts.back().size());
  }
  return api::embeddings_json(service_.embed(prompts, wanted), body, service_.served().name, tokens);
}

Json Routes::tokenize(const RequestPtr& request) const {
  api::TokenizeBody body;
  api::read_body(request->body, body);
  body.check();
  const std::vector<text::TokenId> ids =
      body.text() ? service_.encode(*body.text(), body.add_special(), body.parse_special) : service_.prompt_ids(body.chat(), 0);
  std::vector<std::string> pieces;
  if (body.with_pieces || body.return_token_strs)
    for (const text::TokenId id : ids) pieces.push_back(service_.served().tokenizer->token_bytes(id));
  return api::tokenize_json(ids, pieces, body, service_.max_model_len());
}

void Routes::openai() {
  const auto chat =
      generates([](const RequestPtr& request, const ResponderPtr& responder) { return api::chat_generation(request->body, responder); });
  const auto completions = generates(
      [](const RequestPtr& request, const ResponderPtr& responder) { return api::completion_generation(request->body, responder); });
  for (const std::string base : {"/v1", ""}) {  // without: DeepSeek's own address, for clients that are set to it
    router_.post(base + "/chat/completions", chat);
    router_.get(base + "/models", json([this](const RequestPtr&) { return models(); }));
  }
  router_.post("/v1/completions", completions);
  router_.post("/v1/responses", generates([](const RequestPtr& request, const ResponderPtr& responder) {
                 return api::read_responses(request->body, responder);
               }));
  router_.get("/v1/models/{id...}", json([this](const RequestPtr& r) { return model(r->captures.at("id")); }));
  router_.add({.method = "POST",
               .pattern = "/v1/embeddings",
               .handler = waiting([this](const RequestPtr& r, const Service::Wanted& wanted) { return embeddings(r, wanted); }),
               .waits = true});
  router_.post("/tokenize", json([this](const RequestPtr& r) { return tokenize(r); }));
  router_.post("/detokenize", json([this](const RequestPtr& r) {
                 api::DetokenizeBody body;
                 api::read_body(r->body, body);
                 for (const text::TokenId id : body.ids())
                   if (!service_.served().tokenizer->known(id)) throw ApiError(400, str("there is no token ", id), "tokens");
                 return api::detokenize_json(service_.served().tokenizer->decode(body.ids()));
               }));
  router_.post("/apply-template", json([this](const RequestPtr& r) {
                 api::ApplyTemplateBody body;
                 api::read_body(r->body, body);
                 return api::apply_template_json(service_.render(body.chat()));
               }));
}

// ---- Anthropic, Ollama

std::vector<std::vector<float>> Routes::embed(const std::vector<std::string>& texts, const Service::Wanted& wanted, int64_t& tokens,
                                              bool truncate) const {
  std::vector<std::vector<text::TokenId>> prompts;
  for (const std::string& text : texts) {
    prompts.push_back(ids_of(text));
    const size_t longest = size_t(service_.served().model->config().max_position_embeddings);
    if (truncate && prompts.back().size() > longest) prompts.back().resize(longest);
    tokens += int64_t(prompts.back().size());
  }
  return service_.embed(prompts, wanted);
}

void Routes::other_protocols() {
  router_.post("/v1/messages", api::with_error_shape(generates([](const RequestPtr& request, const ResponderPtr& responder) {
                                                       return api::read_anthropic(request->body, responder);
                                                     }),
                                                     api::anthropic_error));
  router_.post("/v1/messages/count_tokens", api::with_error_shape(json([this](const RequestPtr& r) {
                                                                    return api::anthropic_count(int64_t(
                                                                        service_.prompt_ids(api::read_anthropic_count(r->body), 0).size()));
                                                                  }),
                                                                  api::anthropic_error));

  const auto ollama = [this](const char* method, const char* path, http::Handler handler, bool waits = false) {
    router_.add(
        {.method = method, .pattern = path, .handler = api::with_error_shape(std::move(handler), api::plain_error), .waits = waits});
  };
  // Who sends no message wants the model loaded, which it is: the reader has answered.
  ollama("POST", "/api/chat", [this](const RequestPtr& request, const ResponderPtr& responder) {
    if (auto generation = api::read_ollama_chat(request->body, responder)) run(service_, std::move(*generation), request, responder);
  });
  ollama("POST", "/api/generate", [this](const RequestPtr& request, const ResponderPtr& responder) {
    const bool has_template = service_.served().chat != nullptr;
    if (auto generation = api::read_ollama_generate(request->body, has_template, responder))
      run(service_, std::move(*generation), request, responder);
  });
  const auto embed_all = waiting([this](const RequestPtr& r, const Service::Wanted& wanted) {
    const auto begun = std::chrono::steady_clock::now();
    const api::OllamaEmbedRequest wish = api::read_ollama_embed(r->body);
    int64_t tokens = 0;
    const auto rows = embed(wish.texts, wanted, tokens, wish.truncate);
    return api::ollama_embed(wish, service_.served().name, rows, tokens,
                             std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
  });
  const auto embed_one = waiting([this](const RequestPtr& r, const Service::Wanted& wanted) {
    int64_t tokens = 0;
    return api::ollama_embeddings(embed(api::read_ollama_embeddings(r->body).texts, wanted, tokens).at(0));
  });
  ollama("POST", "/api/embed", embed_all, true);
  ollama("POST", "/api/embeddings", embed_one, true);
  ollama("GET", "/api/tags", json([this](const RequestPtr&) { return api::ollama_tags(options_.facts); }));
  ollama("GET", "/api/ps", json([this](const RequestPtr&) { return api::ollama_ps(options_.facts); }));
  ollama("GET", "/api/version", json([](const RequestPtr&) { return api::ollama_version(); }));
  ollama("POST", "/api/show", json([this](const RequestPtr& r) {
           api::read_ollama_show(r->body);
           return api::ollama_show(options_.facts);
         }));
}

// ---- KServe and Triton

api::KserveModel Routes::kserve_model() const {
  return {.name = service_.served().name,
          .vocab_size = service_.served().model->config().vocab_size,
          .max_model_len = service_.max_model_len()};
}

void Routes::infer(const RequestPtr& request, const ResponderPtr& responder) const {
  api::KserveInfer infer = api::read_kserve_infer(*request, kserve_model(), responder);
  if (infer.generation) return run(service_, std::move(*infer.generation), request, responder);
  const auto wanted = [&responder] { return !responder->gone(); };
  responder->send(api::kserve_logits(infer, kserve_model(), service_.logits(infer.rows, wanted)));
}

void Routes::kserve() {
  const auto add = [this](const char* method, const std::string& path, http::Handler handler, bool open = false, bool waits = false) {
    router_.add({.method = method,
                 .pattern = path,
                 .handler = api::with_error_shape(std::move(handler), api::plain_error),
                 .open = open,
                 .quick = open,
                 .waits = waits});
  };
  add("GET", "/v2", json([this](const RequestPtr&) { return api::kserve_server(options_.version); }));
  for (const char* path : {"/v2/health/live", "/v2/health/ready"})
    add("GET", path, json([](const RequestPtr&) { return Json::object(); }), true);
  add("POST", "/v2/repository/index", json([this](const RequestPtr&) { return api::kserve_repository(kserve_model()); }));
  for (const std::string at : {"/v2/models/{model}", "/v2/models/{model}/versions/{version}"}) {
    // The model and version that the path names are those that are served.
    const auto checked = [this](http::Handler handler) -> http::Handler {
      return [this, handler = std::move(handler)](const RequestPtr& request, const ResponderPtr& responder) {
        const auto version = request->captures.find("version");
        api::check_kserve_model(kserve_model(), request->captures.at("model"), version == request->captures.end() ? "" : version->second);
        handler(request, responder);
      };
    };
    add("GET", at, checked(json([this](const RequestPtr&) { return api::kserve_model(kserve_model()); })));
    add("GET", at + "/config", checked(json([this](const RequestPtr&) { return api::kserve_model_config(kserve_model()); })));
    add("GET", at + "/ready", checked(json([](const RequestPtr&) { return Json::object(); })));
    add("POST", at + "/infer", checked([this](const RequestPtr& request, const ResponderPtr& responder) { infer(request, responder); }),
        false, true);
    for (const bool stream : {false, true})
      add("POST", at + (stream ? "/generate_stream" : "/generate"),
          checked(generates([this, stream](const RequestPtr& request, const ResponderPtr& r) {
            return api::read_kserve_generate(request->body, kserve_model(), stream, r);
          })));
  }
}

// ---- other weights

void Routes::update_weights(const std::string& name, const ResponderPtr& responder, api::ErrorShape shape) const {
  service_.update_weights(name, [responder, shape](const Service::WeightUpdate& update, std::exception_ptr failed) {
    if (!failed) return send(responder, api::weight_update_json(update.version, update.path, update.seconds));
    try {
      std::rethrow_exception(failed);
    } catch (const std::exception& error) {
      responder->send(shape(error));
    }
  });
}

void Routes::weights() {
  router_.post("/update_weights_from_disk", [this](const RequestPtr& request, const ResponderPtr& responder) {
    update_weights(api::read_weight_update(request->body), responder, http::error_response);
  });
  const auto load = [this](const RequestPtr& request, const ResponderPtr& responder) {
    api::check_kserve_model(kserve_model(), request->captures.at("model"), "");
    update_weights(api::read_repository_load(request->body), responder, api::plain_error);
  };
  router_.post("/v2/repository/models/{model}/load", api::with_error_shape(load, api::plain_error));
}

// ---- what the server says of itself

Json Routes::props() const {
  const ServedModel& m = service_.served();
  const engine::SamplingOptions& s = service_.config().sampling;
  return {{"model_alias", m.name},
          {"model_path", m.path},
          {"weights_version", m.model->version()},
          {"build_info", options_.version},
          {"total_slots", service_.config().engine.max_num_seqs},
          {"n_ctx", service_.max_model_len()},
          {"chat_template", m.chat ? Json(m.chat->source()) : Json()},
          {"default_generation_settings",
           {{"temperature", s.temperature},
            {"top_k", s.top_k},
            {"top_p", s.top_p},
            {"min_p", s.min_p},
            {"repetition_penalty", s.repetition_penalty},
            {"n_ctx", service_.max_model_len()}}},
          {"modalities", {{"vision", false}, {"audio", false}}}};
}

Json Routes::slots() const {
  Json out = Json::array();
  for (const Slot& slot : service_.numbers().slots)
    out.push_back({{"id", out.size()},
                   {"request", slot.ticket},
                   {"choice", slot.choice},
                   {"n_prompt_tokens", slot.prompt_tokens},
                   {"n_decoded", slot.made},
                   {"seconds", slot.seconds},
                   {"is_processing", true}});
  return out;
}

void Routes::observation() {
  for (const char* path : {"/health", "/v1/health", "/healthz"})
    router_.add({.method = "GET",
                 .pattern = path,
                 .handler =
                     [](const RequestPtr&, const ResponderPtr& responder) {
                       send(responder, {{"status", "ok"}});
                     },
                 .open = true,
                 .quick = true});
  router_.get("/metrics", [this](const RequestPtr&, const ResponderPtr& responder) {
    responder->send({.body = metrics(service_.numbers(), service_.served().name, service_.config().max_queue),
                     .content_type = api::MetricsText::kContentType});
  });
  router_.get("/props", json([this](const RequestPtr&) { return props(); }));
  router_.get("/slots", json([this](const RequestPtr&) { return slots(); }));
  router_.get("/version", json([this](const RequestPtr&) { return Json{{"version", options_.version}}; }));
}

}  // namespace

std::string metrics(const Numbers& n, const std::string& model, int64_t max_queue) {
  api::MetricsText out;
  // Under our names and vLLM's, which dashboards and autoscalers know.
  const auto twice = [&](const std::string& name, const std::string& help, const auto& add) {
    add("r1_" + name, help, api::MetricsText::Labels{});
    add("vllm:" + name, help, api::MetricsText::Labels{{"model_name", model}});
  };
  const auto gauge = [&](const std::string& name, const std::string& help, double value) {
    twice(name, help, [&](const std::string& full, const std::string& h, const auto& labels) { out.gauge(full, h, value, labels); });
  };
  const auto counter = [&](const std::string& name, const std::string& help, int64_t value) {
    twice(name, help,
          [&](const std::string& full, const std::string& h, const auto& labels) { out.counter(full, h, double(value), labels); });
  };
  const auto histogram = [&](const std::string& name, const std::string& help, const Histogram& h) {
    twice(name, help, [&](const std::string& full, const std::string& text, const auto& labels) {
      out.histogram(full, text, h.bounds, h.counts, h.sum, labels);
    });
  };
  gauge("num_requests_running", "Requests whose answers are being made.", double(n.running));
  gauge("num_requests_waiting", "Requests in the queue.", double(n.waiting));
  gauge("kv_cache_usage_perc", "Share of the cache's blocks that are held, 0 to 1.", n.kv_usage);
  counter("prompt_tokens_total", "Tokens of prompts.", n.prompt_tokens);
  counter("generation_tokens_total", "Tokens of answers.", n.generated_tokens);
  counter("num_preemptions_total", "Requests that gave their cache up to another and were begun again.", n.engine.preemptions);
  counter("prefix_cache_queries_total", "Tokens of prompts that were looked up in the prefix cache.", n.prompt_tokens);
  counter("prefix_cache_hits_total", "Those of them that it had.", n.engine.prefix_hit_tokens);
  for (const auto& [reason, count] : n.finished) {
    out.counter("r1_request_success_total", "Answers that ended, by reason.", double(count), {{"finished_reason", reason}});
    out.counter("vllm:request_success_total", "Answers that ended, by reason.", double(count),
                {{"model_name", model}, {"finished_reason", reason}});
  }
  histogram("time_to_first_token_seconds", "From a request to its first token.", n.first_token);
  histogram("inter_token_latency_seconds", "From a token to the next.", n.between_tokens);
  histogram("e2e_request_latency_seconds", "From a request to the end of its answer.", n.total);
  histogram("request_queue_time_seconds", "From a request to its start.", n.queued);
  out.counter("r1_requests_rejected_total", "Requests refused because the queue was full.", double(n.rejected));
  out.gauge("r1_queue_limit", "Requests that may wait.", double(max_queue));
  out.counter("r1_kv_dropped_tokens_total", "Tokens that sequences dropped from a full cache (kv_eviction heavy_hitters).",
              double(n.engine.dropped_tokens));
  out.gauge("r1_weights_version", "Version of the weights that new requests are answered by.", double(n.weights_version));
  out.gauge("r1_old_weights", "Sets of weights before them that still end their answers.", double(n.old_weights));
  out.counter("r1_engine_steps_total", "Forward passes of the engine.", double(n.engine.steps));
  out.gauge("r1_kv_blocks_free", "Blocks of the cache that nobody holds.", double(n.engine.free_blocks));
  out.gauge("r1_kv_blocks", "Blocks of the cache.", double(n.engine.total_blocks));
  out.gauge("r1_kv_bytes_per_token", "Bytes that the cache takes for a token, all layers together.",
            double(n.engine.cache_bytes_per_token));
  return out.str();
}

namespace {

// Whatever asks for a key is in the document: who adds a route without its row is told by the first start.
std::string document_of(const http::Router& router, const RouteOptions& options) {
  std::vector<api::Operation> rows = operations();
  rows.insert(rows.end(), options.more.begin(), options.more.end());
  for (const http::Route& route : router.routes()) {
    std::string pattern = route.pattern;
    if (const size_t rest = pattern.find("...}"); rest != pattern.npos) pattern.erase(rest, 3);
    const auto describes = [&](const api::Operation& o) {
      return o.method == route.method && (o.pattern == pattern || o.pattern == route.pattern);
    };
    check(route.open || std::ranges::any_of(rows, describes), "[serve] ", route.method, " ", route.pattern, " is not in /openapi.json");
  }
  return dump_json(api::openapi_json(rows, options.version));
}

}  // namespace

void add_routes(http::Router& router, Service& service, const RouteOptions& options) {
  const auto routes = std::make_shared<Routes>(router, service, options);
  routes->openai();
  routes->other_protocols();
  routes->kserve();
  routes->weights();
  routes->observation();
  const std::string document = document_of(router, options);
  // The handlers hold what they share as long as the router lives.
  router.get("/openapi.json",
             [routes, document](const RequestPtr&, const ResponderPtr& responder) { responder->send({.body = document}); });
}

void add_loading_routes(http::Router& router) {
  const auto not_yet = [](const RequestPtr&, const ResponderPtr& responder) {
    ApiError error(503, "the model is being loaded", "", "loading");
    error.retry_after = 1;
    responder->send(http::error_response(error));
  };
  for (const char* method : {"GET", "POST", "PUT", "PATCH", "DELETE"})
    router.add({.method = method, .pattern = "/{path...}", .handler = not_yet, .quick = true});
  for (const char* path : {"/health", "/v1/health", "/healthz", "/v2/health/ready"})
    router.add({.method = "GET", .pattern = path, .handler = not_yet, .open = true, .quick = true});
}

}  // namespace r1::serve
