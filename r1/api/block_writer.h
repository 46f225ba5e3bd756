// Answers for protocols that give them as typed blocks in order (Anthropic's content blocks, the output items of the Responses API, Ollama's
// messages): thoughts, text and tool calls, each opened, added to and closed before the next. Whole, or as a stream; an error is the whole
// answer or, once a stream has begun, its last event. One choice: such protocols have no n. What the protocol's file adds are its JSON shapes.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "r1/api/generation.h"
#include "r1/http/error.h"
#include "r1/http/message.h"

namespace r1::api {

// What a request asked for that is taken and has no effect here: told in the header x-r1-ignored, as paths ("options.num_ctx, tools[1]").
// Paths of known names and numbers only, never a client's own text.
using Ignored = std::vector<std::string>;
http::Headers ignored_headers(const Ignored& ignored);

// Errors of `handler` in a protocol's own shape instead of OpenAI's.
using ErrorShape = http::Response (*)(const std::exception& error);
http::Handler with_error_shape(http::Handler handler, ErrorShape shape);
// The error's status, its Retry-After, and `body`.
http::Response error_with(const http::ApiError& error, const Json& body);
// {"error": "..."}: Ollama and KServe.
http::Response plain_error(const std::exception& error);

class BlockWriter : public AnswerWriter {
 public:
  struct Block {
    enum class Kind { kThought, kText, kToolCall } kind = Kind::kText;
    std::string text;                    // so far; of a tool call: its arguments, JSON
    std::string id = {}, name = {};      // of a tool call
    std::vector<TokenInfo> tokens = {};  // of text, if log-probabilities were asked for
  };

  void start(const Head& head) final;
  void prompt(int64_t, const std::string&, const std::vector<TokenInfo>&) final {}
  void delta(int64_t choice, const Delta& delta) final;
  void finish(int64_t choice, const Finish& finish) final;
  void end(const Usage& usage, const Timings& timings) final;
  void fail(const std::exception& error) final;

 protected:
  BlockWriter(http::ResponderPtr responder, bool stream, std::string content_type, const Ignored& ignored);

  // A stream's parts, in order; `index` counts blocks. `fresh`: tokens that came with the piece. `cut`: the answer ended inside of it.
  virtual void begun() {}
  virtual void opened(const Block& block, size_t index) = 0;
  virtual void grew(const Block& block, size_t index, const std::string& piece, std::span<const TokenInfo> fresh) = 0;
  virtual void closed(const Block& block, size_t index, bool cut) = 0;
  virtual void ended() = 0;
  virtual std::string error_event(const std::exception& error) = 0;
  // The same at once.
  virtual Json whole() = 0;
  virtual http::Response error_response(const std::exception& error) = 0;

  void write(std::string piece) { responder_->write(std::move(piece)); }
  bool cut() const { return finish_.reason != "stop" && finish_.reason != "tool_calls"; }  // by a limit or a shutdown

  bool stream_ = false;
  Head head_;
  Finish finish_;
  Usage usage_;
  Timings timings_;
  std::vector<Block> blocks_;

 private:
  Block& open(Block block);
  void close(bool cut);
  void grow(Block& block, const std::string& piece);

  http::ResponderPtr responder_;
  std::string content_type_;
  http::Headers headers_;
  std::vector<TokenInfo> waiting_;  // tokens whose text has not come yet
  bool begun_ = false, open_ = false;
  int64_t call_ = -1;
};

// A tool call's arguments as the object that some protocols want: {} for none. What is no JSON object, as when the answer was cut off inside
// of it, becomes {"INVALID_JSON": "<as it is>"}.
Json arguments_object(const std::string& arguments);

}  // namespace r1::api
