// What the writers of /v1/chat/completions and /v1/completions share: the envelope of answers and chunks, the stream around its chunks, the last of
// which waits for the times, and errors. What a choice looks like is theirs.
#pragma once

#include <string>

#include "r1/api/generation.h"
#include "r1/http/message.h"

namespace r1::api {

class OpenaiWriter : public AnswerWriter {
 public:
  void end(const Usage& usage, const Timings& timings) final;
  void fail(const std::exception& error) final;

 protected:
  struct Names {
    const char *id, *answer, *chunk;  // "chatcmpl-", "chat.completion", "chat.completion.chunk"
  };
  OpenaiWriter(http::ResponderPtr responder, const Names& names, bool stream, bool include_usage);

  void begin(const Head& head);
  void write_choice(const Json& choice);
  void write_last(const Json& choice);  // a choice's last
  virtual Json choices() = 0;           // of a whole answer

  const bool stream_;

 private:
  Json envelope(const char* object) const;
  std::string chunk(const std::string& choice, const std::string& more) const;

  const http::ResponderPtr responder_;
  const Names names_;
  const bool include_usage_;
  Head head_;
  bool begun_ = false;
  std::string opening_, last_choice_;  // of chunks; of the one that waits
};

}  // namespace r1::api
