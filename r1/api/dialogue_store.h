// The dialogues under way, in memory: bounded in number, each forgotten after a while without a message, each seen only by the API key that
// began it. A turn takes its session out and brings it back, so that two messages of one session never run at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "r1/api/dialogue.h"

namespace r1::api {

struct DialogueLimits {
  int64_t max_sessions = 4096;         // the one longest without a message makes room
  std::chrono::seconds idle{30 * 60};  // forgotten after that long
};

class DialogueStore {
 public:
  using Clock = std::chrono::steady_clock;
  explicit DialogueStore(const DialogueLimits& limits);

  // A session for one turn. Gives its state back when it goes, changed or not, unless it was forgotten meanwhile.
  class Lease {
   public:
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&&) = delete;
    ~Lease();
    const std::string& id() const { return id_; }
    DialogueState& state() { return state_; }
    // The state that is given back, from now on. Without it the session stays as it was taken.
    void keep() { kept_ = state_; }
    // Gives the session back now: before the client is told that its turn is over, or its next message would find the session busy.
    void release();

   private:
    friend class DialogueStore;
    Lease(DialogueStore* store, std::string id, DialogueState state);
    DialogueStore* store_;
    std::string id_;
    DialogueState state_;
    std::optional<DialogueState> kept_;
  };

  // id "": a new session. http::ApiError 404 for one that there is not (or not for this owner), 409 while a turn of it runs, 503 if all
  // sessions are in use.
  Lease take(const std::string& id, const std::string& owner, Clock::time_point now = Clock::now());
  DialogueState look(const std::string& id, const std::string& owner, Clock::time_point now = Clock::now());
  void forget(const std::string& id, const std::string& owner, Clock::time_point now = Clock::now());
  size_t size(Clock::time_point now = Clock::now());

 private:
  struct Session {
    std::string owner;
    DialogueState state;
    bool busy = false;
    Clock::time_point last;
    std::list<std::string>::iterator place;  // in order_
  };
  using Sessions = std::map<std::string, Session>;

  void sweep(Clock::time_point now);
  void touch(Session& session, Clock::time_point now);
  Sessions::iterator find(const std::string& id, const std::string& owner);
  void make_room();
  void erase(Sessions::iterator it);
  void give_back(const std::string& id, std::optional<DialogueState> state);

  DialogueLimits limits_;
  std::mutex mutex_;
  Sessions sessions_;
  std::list<std::string> order_;  // longest without a message first
};

}  // namespace r1::api
