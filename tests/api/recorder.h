// What a handler answers, kept for a test to read.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "r1/base/json.h"
#include "r1/http/message.h"

namespace r1::api {

class Recorder : public http::Responder {
 public:
  void send(http::Response given) override {
    response = std::move(given);
    ++answers;
    ended = true;
  }
  void begin(int status, std::string content_type, http::Headers headers) override {
    response = {.status = status, .body = {}, .content_type = std::move(content_type), .headers = std::move(headers)};
    ++answers;
    streamed = true;
  }
  void write(std::string piece) override {
    misused = misused || !streamed || ended;
    response.body += piece;
    pieces.push_back(std::move(piece));
  }
  void end() override {
    misused = misused || !streamed || ended;
    ended = true;
  }
  bool gone() const override { return false; }
  void on_gone(std::function<void()>) override {}

  std::string header(std::string_view name) const {
    for (const auto& [key, value] : response.headers)
      if (key == name) return value;
    return {};
  }
  Json json() const { return parse_json(response.body, "answer"); }
  // Answered once, to its end, and never written to out of turn.
  bool complete() const { return answers == 1 && ended && !misused; }

  http::Response response;
  std::vector<std::string> pieces;
  int answers = 0;
  bool streamed = false, ended = false, misused = false;
};

// The data of server-sent events, with "event" put in front where there is one.
inline std::vector<std::pair<std::string, Json>> events_of(const std::string& body) {
  std::vector<std::pair<std::string, Json>> out;
  for (size_t at = 0; at < body.size();) {
    const size_t end = body.find("\n\n", at);
    if (end == body.npos) throw Error("an event without its empty line: " + body.substr(at));
    std::string name, data;
    for (size_t line = at; line < end + 1;) {
      const size_t stop = body.find('\n', line);
      const std::string text = body.substr(line, stop - line);
      if (text.starts_with("event: "))
        name = text.substr(7);
      else if (text.starts_with("data: "))
        data += text.substr(6);
      else
        throw Error("neither event nor data: " + text);
      line = stop + 1;
    }
    out.emplace_back(name, parse_json(data, "event"));
    at = end + 2;
  }
  return out;
}

}  // namespace r1::api
