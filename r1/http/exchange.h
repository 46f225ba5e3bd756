// One answer under way, between the threads that make it (through a Responder) and the connection that sends it: a buffer, and who has to know
// what. No socket.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "r1/http/message.h"
#include "r1/http/response_text.h"

namespace r1::http {

class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  // `wake` tells the I/O thread to look: called from any thread, under a lock, and never after close().
  Exchange(HeadContext context, bool head_only, int64_t max_unread, std::function<void()> wake);

  // What a handler gets. When its last copy goes without an answer: 500, or a stream cut.
  ResponderPtr responder();

  // The makers' side; see Responder.
  void send(const Response& response);
  void begin(int status, const std::string& content_type, const Headers& headers);
  void write(std::string_view piece);
  void end();
  void abandon();
  bool gone() const;
  void on_gone(std::function<void()> callback);

  // The I/O thread's side.
  // Answers a wake. False: too much piled up, hang up.
  bool look();
  // Moves what is there to be sent into `out`, which is empty.
  void take(std::string& out);
  void sent(size_t bytes);
  enum class State {
    kOpen,
    kComplete,
    kCut
  };  // kCut: hang up, once what is left was sent if it was given up, at once if too much piled up
  State state() const;
  bool keep_alive() const;  // as the head said
  // The client shut down its sending side. Puts something harmless on its way, to which a client that is gone answers with a reset: "100
  // Continue" before the head, a comment in an event stream. False if there is nothing that could be sent.
  bool probe();
  // ":\n\n" in an event stream that has nothing else on its way, so that nobody on the way takes it for dead. False where that does not apply.
  bool comment();
  // The connection is gone: calls the callback, if the answer was not complete.
  void close();

 private:
  enum class Stage { kFresh, kStreaming, kDone };
  void wake();  // under the lock

  const HeadContext context_;
  const bool head_only_;
  const size_t max_unread_;

  mutable std::mutex mutex_;
  std::function<void()> wake_, callback_;
  std::string out_;
  size_t unsent_ = 0;
  Stage stage_ = Stage::kFresh;
  bool bare_ = false;    // the stream is not chunked
  bool events_ = false;  // it is an event stream
  bool abandoned_ = false, overflowed_ = false, closed_ = false, woken_ = false, keep_alive_ = true;
};

}  // namespace r1::http
