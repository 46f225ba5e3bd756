#include "r1/serve/dialogue_routes.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <mutex>
#include <optional>
#include <utility>

#include "r1/api/body.h"
#include "r1/api/intent_features.h"
#include "r1/api/openai_json.h"
#include "r1/base/error.h"
#include "r1/base/log.h"
#include "r1/base/strings.h"
#include "r1/http/error.h"
#include "r1/serve/intent_model.h"

namespace r1::serve {
namespace {

using api::Body;
using http::ApiError;
using http::RequestPtr;
using http::ResponderPtr;
using Clock = std::chrono::steady_clock;

constexpr auto kExtractionTimeout = std::chrono::seconds(3);
constexpr int64_t kExtractionTokens = 48;

struct TurnBody {
  std::string session, message, reply, today;
  bool stream = false;

  void visit(Body& v) {
    v("session", session, "id of a dialogue under way; absent: a new one", {.max_length = 64});
    v("message", message, "what the customer says", {.max_length = api::kMaxMessageBytes, .required = true});
    v("reply", reply, "the domain's words, or these in the model's words", {.one_of = {"template", "model"}});
    v("stream", stream, "as server-sent events");
    v("today", today, "the customer's date, for 'yesterday': 2026-03-18; absent: the server's in UTC", {.max_length = 10});
  }
};

std::chrono::year_month_day date_of(const std::string& text) {
  using namespace std::chrono;
  if (text.empty()) return year_month_day(floor<days>(system_clock::now()));
  int y = 0;
  unsigned m = 0, d = 0;
  char end = 0;
  const bool read = text.size() == 10 && std::sscanf(text.c_str(), "%4d-%2u-%2u%c", &y, &m, &d, &end) == 3;
  const year_month_day date{year(y), month(m), day(d)};
  if (!read || !date.ok() || y < 1900 || y > 2199)
    throw ApiError(400, "today: expected a date like 2026-03-18, got " + printable(text), "today");
  return date;
}

// Everything of one turn. Lives until its answer is complete or the client has gone; then the session is free again.
struct Turn {
  std::shared_ptr<const api::Dialogue> dialogue;
  api::DialogueStore::Lease lease;
  api::Understanding said;
  api::Decision decision;
  std::string version;
  double understood_ms = 0;
  bool fresh = false;
  Clock::time_point begun = Clock::now();

  api::DialogueState& state() { return lease.state(); }
};

Json action_json(const api::Action& action) {
  return {{"name", action.name}, {"argument", action.argument.empty() ? Json(nullptr) : Json(action.argument)}};
}

// The turn's answer; `reply` null while it is being made.
Json turn_json(Turn& turn, const Json& reply, const char* source) {
  const Json state = api::to_json(turn.state(), turn.dialogue->domain());
  Json slots = Json::object();
  for (const auto& [name, slot] : turn.state().slots) slots[name] = slot.value;
  return {{"object", "dialogue.turn"},
          {"session", turn.lease.id()},
          {"turn", turn.state().turns},
          {"intent", state["intent"]},
          {"slots", slots},
          {"action", action_json(turn.decision.action)},
          {"reply", reply},
          {"reply_source", source},
          {"state", state},
          {"intents_version", turn.version},
          {"understood_ms", turn.understood_ms},
          {"total_ms", std::chrono::duration<double, std::milli>(Clock::now() - turn.begun).count()}};
}

// The reply is known: the turn enters the window and the session keeps its state.
void close_turn(Turn& turn, const std::string& reply) {
  turn.dialogue->close(turn.state(), turn.said, turn.decision, reply);
  turn.lease.keep();
  turn.lease.release();
}

// What was understood goes out at once; the words follow when they are there.
void begin_events(Turn& turn, const ResponderPtr& responder, const char* source) {
  responder->begin(200, "text/event-stream", api::event_headers());
  responder->write(http::sse(dump_json(turn_json(turn, nullptr, source)), "state"));
}

// All of the reply in one; `stream`: its events are begun.
void answer(Turn& turn, const ResponderPtr& responder, bool stream, const std::string& reply, const char* source) {
  close_turn(turn, reply);
  const Json whole = turn_json(turn, reply, source);
  if (!stream) return responder->send({.body = dump_json(whole)});
  responder->write(http::sse(dump_json(Json{{"text", reply}}), "delta"));
  responder->write(http::sse(dump_json(whole), "done"));
  responder->end();
}

// ---- the reply in the model's words

// A turn whose reply the model makes. While it does, and behind its first word, it is also asked for the slots that could wait; the turn ends
// with whatever ends last. But for on_gone() all of it happens on the service's thread.
class ModelReply : public std::enable_shared_from_this<ModelReply> {
 public:
  ModelReply(Service& service, std::shared_ptr<Turn> turn, ResponderPtr responder, bool stream, std::string key)
      : service_(service), turn_(std::move(turn)), responder_(std::move(responder)), stream_(stream), key_(std::move(key)) {}

  void says(const std::string& piece) {
    if (piece.empty()) return;
    if (reply_.empty()) ask_for_slots();
    reply_ += piece;
    if (stream_) responder_->write(http::sse(dump_json(Json{{"text", piece}}), "delta"));
  }
  void ends() {
    said_ = true;
    finish();
  }
  // Before the first word the domain's text takes its place; after it the client is told, and the session stays as it was.
  void fails(const std::exception& error) {
    if (reply_.empty()) {
      log_warning("dialogue: the domain's words stand in for the model's: ", error.what());
      return answer(*turn_, responder_, stream_, turn_->decision.reply, "template");
    }
    turn_->lease.release();
    http::Response response = http::error_response(error);
    if (!stream_) return responder_->send(std::move(response));
    responder_->write(http::sse(response.body, "error"));
    responder_->end();
  }
  void finds(const std::string& slot, const std::string& value) {
    if (!value.empty()) found_[slot] = value;
    --open_questions_;
    finish();
  }

  void runs_as(Service::Ticket ticket) {
    const std::lock_guard lock(mutex_);
    tickets_.push_back(ticket);
    if (gone_) service_.cancel(ticket);
  }
  // The client is gone: the turn has not happened.
  void on_gone() {
    const std::lock_guard lock(mutex_);
    gone_ = true;
    for (const Service::Ticket ticket : tickets_) service_.cancel(ticket);
  }

 private:
  void ask_for_slots();
  void finish() {
    if (gone_ || !said_ || open_questions_ > 0) return;
    std::string reply(trim(reply_));
    const bool empty = reply.empty();
    if (empty) reply = turn_->decision.reply;  // a model that has nothing to say
    if (stream_ && empty) responder_->write(http::sse(dump_json(Json{{"text", reply}}), "delta"));
    turn_->dialogue->learn(turn_->state(), turn_->said, found_);
    close_turn(*turn_, reply);
    const Json whole = turn_json(*turn_, reply, empty ? "template" : "model");
    if (!stream_) return responder_->send({.body = dump_json(whole)});
    responder_->write(http::sse(dump_json(whole), "done"));
    responder_->end();
  }

  Service& service_;
  std::shared_ptr<Turn> turn_;
  ResponderPtr responder_;
  const bool stream_;  // and then the events are begun
  const std::string key_;
  std::string reply_;
  bool said_ = false;
  int64_t open_questions_ = 0;
  std::map<std::string, std::string> found_;
  std::mutex mutex_;
  std::vector<Service::Ticket> tickets_;
  std::atomic<bool> gone_ = false;
};

class ReplyWriter : public api::AnswerWriter {
 public:
  explicit ReplyWriter(std::shared_ptr<ModelReply> reply) : reply_(std::move(reply)) {}
  void start(const Head&) override {}
  void prompt(int64_t, const std::string&, const std::vector<api::TokenInfo>&) override {}
  void delta(int64_t, const api::Delta& delta) override { reply_->says(delta.content); }
  void finish(int64_t, const Finish&) override {}
  void end(const api::Usage&, const api::Timings&) override { reply_->ends(); }
  void fail(const std::exception& error) override { reply_->fails(error); }

 private:
  std::shared_ptr<ModelReply> reply_;
};

// Turns that the model sees at most before this one.
constexpr int64_t kSeenTurns = 4;

// What the customer said, and what the model was told to make of it.
std::string told(const std::string& message, const std::string& words) {
  return str(message, "\n\n(Say: ", words, ")");
}

// What the model is told: fixed instructions, the last turns, the message, and what to say. It grows at its end from turn to turn, so that the
// prefix cache has all of it but the last message; after some turns it begins again with the last of them.
data::Conversation reply_conversation(Turn& turn) {
  const api::DialogueDomain& domain = turn.dialogue->domain();
  data::Conversation chat;
  chat.messages.push_back(
      {"system", domain.model_instructions.empty()
                     ? "You are a polite support agent. Say what you are told to say to the customer, in one or two short sentences, and "
                       "add nothing to it."
                     : domain.model_instructions});
  const auto& window = turn.state().window;
  const int64_t before = turn.state().turns - 1, seen = before > 0 ? 1 + (before - 1) % kSeenTurns : 0;
  for (size_t i = window.size() - std::min(window.size(), size_t(seen)); i < window.size(); ++i) {
    chat.messages.push_back({"user", told(window[i].user, window[i].told)});
    chat.messages.push_back({"assistant", window[i].reply});
  }
  chat.messages.push_back({"user", told(turn.said.message, turn.decision.reply)});
  return chat;
}

api::Generation reply_generation(Turn& turn, std::shared_ptr<ModelReply> reply, bool stream) {
  api::Generation g;
  g.request.chat = reply_conversation(turn);
  g.request.max_tokens = turn.dialogue->domain().model_max_tokens;
  g.request.sampling.temperature = 0.2;
  g.request.thinking.enabled = false;
  g.request.stream = stream;
  g.writer = std::make_unique<ReplyWriter>(std::move(reply));
  return g;
}

// ---- slots that the model reads

// Gathers a short answer, which `done` is given once, whatever happens: "" where there is none.
class GatheringWriter : public api::AnswerWriter {
 public:
  using Done = std::function<void(std::string)>;
  explicit GatheringWriter(Done done) : done_(std::move(done)) {}
  ~GatheringWriter() override {
    try {
      give("");
    } catch (const std::exception& error) {
      log_warning("dialogue: ", error.what());
    }
  }
  void start(const Head&) override {}
  void prompt(int64_t, const std::string&, const std::vector<api::TokenInfo>&) override {}
  void delta(int64_t, const api::Delta& delta) override { text_ += delta.content; }
  void finish(int64_t, const Finish&) override {}
  void end(const api::Usage&, const api::Timings&) override { give(text_); }
  void fail(const std::exception&) override { give(""); }

 private:
  void give(std::string text) {
    if (std::exchange(given_, true)) return;
    done_(std::move(text));
  }
  Done done_;
  std::string text_;
  bool given_ = false;
};

api::Generation extraction(const api::DialogueSlot& slot, const std::string& message, GatheringWriter::Done done) {
  api::Generation g;
  data::Conversation chat;
  chat.messages.push_back({"system", "You copy facts out of a customer's message, word for word. Answer with JSON."});
  chat.messages.push_back({"user", str("Message: ", message, "\n\nWhich words name the ", slot.title,
                                       "? Give {\"value\": \"<these words>\"}, or {\"value\": null} if the message does not say.")});
  g.request.chat = std::move(chat);
  g.request.max_tokens = kExtractionTokens;
  g.request.sampling.temperature = 0;
  g.request.thinking.enabled = false;
  g.request.format.kind = api::AnswerFormat::Kind::kJsonSchema;
  g.request.format.schema = {{"type", "object"},
                             {"properties", {{"value", {{"type", {"string", "null"}}}}}},
                             {"required", {"value"}},
                             {"additionalProperties", false}};
  g.writer = std::make_unique<GatheringWriter>(std::move(done));
  return g;
}

std::string value_in(const std::string& text) {
  try {
    const Json json = parse_json(text, "the model's answer");
    return json.is_object() && json.contains("value") && json["value"].is_string() ? json["value"].get<std::string>() : "";
  } catch (const Error&) {
    return "";  // cut off: no value
  }
}

void ModelReply::ask_for_slots() {
  open_questions_ = int64_t(turn_->said.wanted_later.size());
  for (const std::string& slot : turn_->said.wanted_later) {
    const auto done = [self = shared_from_this(), slot](const std::string& answer) {
      self->finds(slot, std::string(trim(value_in(answer))));
    };
    try {
      runs_as(service_.submit(extraction(turn_->dialogue->domain().slots.at(slot), turn_->said.message, done), key_));
    } catch (const Error&) {
      // busy, or the model takes no such format: its writer is gone, and has said that there is no value
    }
  }
}

// One question a slot, all at once. What comes too late is not waited for: the slot will be asked for.
std::map<std::string, std::string> ask_model(Service& service, const api::Dialogue& dialogue, const std::string& message,
                                             const std::vector<std::string>& slots, const std::string& key) {
  struct Question {
    std::string slot;
    Service::Ticket ticket;
    std::future<std::string> answer;
  };
  std::vector<Question> questions;
  const auto deadline = Clock::now() + kExtractionTimeout;
  for (const std::string& slot : slots) {
    auto promise = std::make_shared<std::promise<std::string>>();
    std::future<std::string> result = promise->get_future();
    const auto done = [promise](std::string text) { promise->set_value(std::move(text)); };
    try {
      const Service::Ticket ticket = service.submit(extraction(dialogue.domain().slots.at(slot), message, done), key);
      questions.push_back({slot, ticket, std::move(result)});
    } catch (const Error&) {
      break;  // busy, or the model takes no such format: rules are what there is
    }
  }
  std::map<std::string, std::string> found;
  for (Question& q : questions) {
    if (q.answer.wait_until(deadline) != std::future_status::ready) {
      service.cancel(q.ticket);
      continue;
    }
    const std::string value = value_in(q.answer.get());
    if (!trim(value).empty()) found[q.slot] = value;
  }
  return found;
}

// ---- routes

void handle_turn(Service* service, const DialogueParts& parts, const RequestPtr& request, const ResponderPtr& responder) {
  TurnBody body;
  api::read_body(request->body, body);
  if (trim(body.message).empty()) throw ApiError(400, "message: expected what the customer says, got an empty text", "message");
  const auto today = date_of(body.today);
  auto turn = std::make_shared<Turn>(Turn{.dialogue = parts.dialogue,
                                          .lease = parts.store->take(body.session, request->key),
                                          .said = {},
                                          .decision = {},
                                          .version = parts.intents_version});
  const auto start = Clock::now();
  turn->said = turn->dialogue->understand(turn->state(), body.message, parts.classify, today);
  turn->understood_ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  const bool by_model = (body.reply.empty() ? parts.reply : body.reply) == "model" && service && service->served().chat;
  std::vector<std::string> wanted = turn->said.wanted;
  if (!by_model) wanted.insert(wanted.end(), turn->said.wanted_later.begin(), turn->said.wanted_later.end());
  std::map<std::string, std::string> found;
  if (service && !wanted.empty()) found = ask_model(*service, *turn->dialogue, turn->said.message, wanted, request->key);
  turn->decision = turn->dialogue->decide(turn->state(), turn->said, found);
  if (body.stream) begin_events(*turn, responder, by_model ? "model" : "template");
  if (!by_model) return answer(*turn, responder, body.stream, turn->decision.reply, "template");
  try {
    const auto reply = std::make_shared<ModelReply>(*service, turn, responder, body.stream, request->key);
    reply->runs_as(service->submit(reply_generation(*turn, reply, body.stream), request->key));
    responder->on_gone([reply] { reply->on_gone(); });
  } catch (const Error& error) {
    log_warning("dialogue: the domain's words stand in for the model's: ", error.what());
    answer(*turn, responder, body.stream, turn->decision.reply, "template");
  }
}

Json domain_json(const DialogueParts& parts) {
  const api::DialogueDomain& d = parts.dialogue->domain();
  Json intents = Json::array(), slots = Json::array();
  for (const auto& [name, intent] : d.intents)
    intents.push_back(
        {{"name", name}, {"title", intent.title}, {"needs", intent.needs}, {"takes", intent.takes}, {"handover", intent.handover}});
  for (const auto& [name, slot] : d.slots)
    slots.push_back({{"name", name}, {"title", slot.title}, {"type", api::slot_type_name(slot.type)}, {"session", slot.session}});
  return {{"object", "dialogue.domain"},
          {"name", d.name},
          {"window", d.window},
          {"accept", d.accept},
          {"guess", d.guess},
          {"intents", intents},
          {"slots", slots},
          {"intents_version", parts.intents_version}};
}

}  // namespace

void DialogueConfig::visit(Fields& v) {
  v("intents", intents, "folder of an intent model (r1 intent train); none: no dialogues");
  v("domain", domain, "file that says what dialogues are about: intents, slots, answers (YAML or JSON)");
  v("reply", reply, "whose words the answers are in, where a request does not say", OneOf{"template", "model"});
  v("max_sessions", max_sessions, "dialogues that are kept; the one longest without a message makes room", Range{1, 1e6});
  v("session_timeout", session_timeout, "seconds without a message until a dialogue is forgotten", Range{1, 1e7});
}

DialogueParts load_dialogue(const DialogueConfig& config) {
  if (config.domain.empty())
    fail_usage("dialogues need a domain beside the intent model: give --dialogue.domain FILE (recipes/dialogue has one)");
  std::shared_ptr<IntentModel> model = IntentModel::load(config.intents, at::kCPU);
  api::DialogueDomain domain = api::read_dialogue_domain(config.domain);
  std::string without;
  int64_t known = 0, unknown = 0;
  for (const std::string& label : model->labels()) {
    if (domain.intents.count(label))
      ++known;
    else if (++unknown <= 5)
      without += (without.empty() ? "" : ", ") + label;
  }
  if (known == 0) fail_usage(config.domain, ": has no intent that the model in ", config.intents, " knows (it knows ", without, ", ...)");
  if (unknown)
    log_warning(config.domain, ": nothing is said of ", unknown, " of the model's intents (", without, unknown > 5 ? ", ..." : "",
                "); they are never taken");
  return {.dialogue = std::make_shared<api::Dialogue>(std::move(domain)),
          .store = std::make_shared<api::DialogueStore>(
              api::DialogueLimits{.max_sessions = config.max_sessions, .idle = std::chrono::seconds(config.session_timeout)}),
          .classify = [model](const std::string& text) { return model->rank(text); },
          .intents_version = model->version(),
          .reply = config.reply};
}

void add_dialogue_routes(http::Router& router, Service* service, const DialogueParts& parts) {
  router.add({.method = "POST",
              .pattern = "/v1/dialogue",
              .handler = [service, parts](const RequestPtr& request,
                                          const ResponderPtr& responder) { handle_turn(service, parts, request, responder); },
              .waits = true});
  router.get("/v1/dialogue/domain",
             [parts](const RequestPtr&, const ResponderPtr& responder) { responder->send({.body = dump_json(domain_json(parts))}); });
  router.get("/v1/dialogue/{session}", [parts](const RequestPtr& request, const ResponderPtr& responder) {
    const std::string& id = request->captures.at("session");
    const api::DialogueState state = parts.store->look(id, request->key);
    responder->send(
        {.body = dump_json(Json{{"object", "dialogue"}, {"session", id}, {"state", api::to_json(state, parts.dialogue->domain())}})});
  });
  router.add({"DELETE", "/v1/dialogue/{session}", [parts](const RequestPtr& request, const ResponderPtr& responder) {
                const std::string& id = request->captures.at("session");
                parts.store->forget(id, request->key);
                responder->send({.body = dump_json(Json{{"object", "dialogue.deleted"}, {"session", id}, {"deleted", true}})});
              }});
}

std::vector<api::Operation> dialogue_operations() {
  return {{.method = "POST",
           .pattern = "/v1/dialogue",
           .summary = "One turn of a support dialogue",
           .tag = "Dialogue",
           .request = api::body_schema<TurnBody>(),
           .streams = true,
           .statuses = {404, 409}},
          {.method = "GET", .pattern = "/v1/dialogue/domain", .summary = "What dialogues are about: intents and slots", .tag = "Dialogue"},
          {.method = "GET", .pattern = "/v1/dialogue/{session}", .summary = "The tracked state of a dialogue", .tag = "Dialogue"},
          {.method = "DELETE", .pattern = "/v1/dialogue/{session}", .summary = "Forgets a dialogue", .tag = "Dialogue"}};
}

}  // namespace r1::serve
