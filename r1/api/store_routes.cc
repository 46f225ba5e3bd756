#include "r1/api/store_routes.h"

#include <charconv>

#include "r1/api/body.h"
#include "r1/api/store_json.h"
#include "r1/http/error.h"

namespace r1::api {
namespace {

constexpr int64_t kMaxImportBytes = 64 << 20;
constexpr int64_t kMaxMessageBody = 2 * kMaxTextBytes + (kMaxTextBytes >> 2) + (1 << 20);  // both texts, some of it escaped

void answer(const http::ResponderPtr& to, const Json& body, int status = 200, http::Headers headers = {}) {
  headers.emplace_back("cache-control", "no-store");
  to->send({status, dump_json(body), "application/json", std::move(headers)});
}

int64_t number(const http::Request& request, const char* name, int64_t fallback, int64_t min, int64_t max) {
  const auto at = request.query.find(name);
  if (at == request.query.end()) return fallback;
  int64_t value = 0;
  const char* const end = at->second.data() + at->second.size();
  const auto [stop, error] = std::from_chars(at->second.data(), end, value);
  if (error != std::errc() || stop != end || value < min || value > max)
    throw http::ApiError(400, str(name, ": expected a whole number from ", min, " to ", max, ", got '", printable(at->second), "'"), name,
                         "invalid_value");
  return value;
}

const std::string& capture(const http::Request& request, const char* name) {
  const std::string& id = request.captures.at(name);
  if (!is_store_id(id)) throw http::ApiError(404, str("no ", name, " '", printable(id), "'"), "", "not_found");
  return id;
}

void list(Store& store, const http::Request& request, const http::ResponderPtr& to) {
  const int64_t limit = number(request, "limit", 100, 1, 1000), offset = number(request, "offset", 0, 0, int64_t{1} << 40);
  const auto query = request.query.find("query");
  const std::string text = query == request.query.end() ? "" : query->second;
  if (text.size() > 200) throw http::ApiError(400, "query: at most 200 bytes", "query", "string_above_max_length");
  std::vector<Found> found = store.list(request.key, text, limit + 1, offset);
  const bool more = int64_t(found.size()) > limit;
  if (more) found.pop_back();
  Json rows = Json::array();
  for (const Found& f : found) {
    Json row = to_json(f.conversation, false);
    if (!f.message.empty()) row["match"] = {{"message", f.message}, {"excerpt", f.excerpt}};
    rows.push_back(std::move(row));
  }
  answer(to, {{"conversations", std::move(rows)}, {"more", more}});
}

void send_file(const http::ResponderPtr& to, const std::string& name, const std::vector<Conversation>& conversations) {
  answer(to, export_json(conversations), 200, {{"content-disposition", "attachment; filename=\"" + name + ".json\""}});
}

// An import is a list or an object; everything else is parse_body's.
Json parse_import(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && text[first] == '[') return parse_body("{\"list\":" + text + "}")["list"];
  return parse_body(text);
}

}  // namespace

void add_store_routes(http::Router& router, Store& store) {
  using http::Request, http::RequestPtr, http::ResponderPtr;
  // Work on the store waits for the disk: never on the I/O thread.
  const auto add = [&router, &store](const char* method, const char* pattern, auto handle, int64_t max_body = 0) {
    http::Route route{method, pattern,
                      [&store, handle](const RequestPtr& request, const ResponderPtr& to) { handle(store, *request, to); }};
    route.max_body = max_body;
    router.add(std::move(route));
  };
  const auto put = [](Store& s, const Request& r, const ResponderPtr& to) {
    const Message m = message_from_json(capture(r, "message"), parse_body(r.body));
    answer(to, to_json(s.put(r.key, capture(r, "conversation"), m)));
  };
  add("GET", "/api/conversations", list);
  add("POST", "/api/conversations", [](Store& s, const Request& r, const ResponderPtr& to) {
    answer(to, to_json(s.create(r.key, conversation_from_json(parse_body(r.body))), true), 201);
  });
  add("GET", "/api/conversations/export",
      [](Store& s, const Request& r, const ResponderPtr& to) { send_file(to, "conversations", s.all(r.key)); });
  add(
      "POST", "/api/conversations/import",
      [](Store& s, const Request& r, const ResponderPtr& to) {
        const ImportCounts n = s.import(r.key, conversations_from_export(parse_import(r.body)));
        answer(to, {{"added", n.added}, {"same", n.same}, {"renamed", n.renamed}});
      },
      kMaxImportBytes);
  add("GET", "/api/conversations/{conversation}",
      [](Store& s, const Request& r, const ResponderPtr& to) { answer(to, to_json(s.get(r.key, capture(r, "conversation")), true)); });
  add("PATCH", "/api/conversations/{conversation}", [](Store& s, const Request& r, const ResponderPtr& to) {
    answer(to, to_json(s.change(r.key, capture(r, "conversation"), change_from_json(parse_body(r.body))), false));
  });
  add("DELETE", "/api/conversations/{conversation}", [](Store& s, const Request& r, const ResponderPtr& to) {
    s.remove(r.key, capture(r, "conversation"));
    answer(to, {{"deleted", true}});
  });
  add("GET", "/api/conversations/{conversation}/export", [](Store& s, const Request& r, const ResponderPtr& to) {
    const std::string& id = capture(r, "conversation");
    send_file(to, "conversation-" + id, {s.get(r.key, id)});
  });
  add("PUT", "/api/conversations/{conversation}/messages/{message}", put, kMaxMessageBody);
  add("POST", "/api/conversations/{conversation}/messages/{message}", put, kMaxMessageBody);
  add("DELETE", "/api/conversations/{conversation}/messages/{message}", [](Store& s, const Request& r, const ResponderPtr& to) {
    answer(to, {{"deleted", s.remove_message(r.key, capture(r, "conversation"), capture(r, "message"))}});
  });
}

std::vector<Operation> store_operations() {
  std::vector<Operation> out;
  const auto row = [&out](const char* method, const char* pattern, const char* summary, Json request = {},
                          std::vector<Parameter> query = {}) {
    out.push_back({.method = method,
                   .pattern = pattern,
                   .summary = summary,
                   .tag = "Conversations",
                   .request = std::move(request),
                   .parameters = std::move(query),
                   .statuses = {404, 409}});
  };
  const Json count = {{"type", "integer"}, {"minimum", 0}};
  const char* const all = "/api/conversations";
  const char* const one = "/api/conversations/{conversation}";
  const char* const message = "/api/conversations/{conversation}/messages/{message}";
  row("GET", all, "The conversations, the latest first", {},
      {{"query", "query", "words that a title or message has"},
       {"limit", "query", "so many", count},
       {"offset", "query", "after so many", count}});
  row("POST", all, "Makes a conversation", conversation_schema());
  row("GET", "/api/conversations/export", "All conversations as a file that import takes");
  row("POST", "/api/conversations/import", "Adds what an export, or a list of chats, has", {{"type", Json::array({"object", "array"})}});
  row("GET", one, "A conversation with all its messages");
  row("PATCH", one, "Title, settings, pin or the branch that is shown", conversation_change_schema());
  row("DELETE", one, "Removes a conversation");
  row("GET", "/api/conversations/{conversation}/export", "One conversation as a file that import takes");
  for (const char* method : {"PUT", "POST"}) row(method, message, "Adds a message, or replaces it by a higher version", message_schema());
  row("DELETE", message, "Removes a message with all that hangs under it");
  return out;
}

}  // namespace r1::api
