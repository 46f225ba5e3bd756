#include "r1/api/dialogue_store.h"

#include <utility>

#include "r1/api/random_id.h"
#include "r1/base/error.h"
#include "r1/http/error.h"

namespace r1::api {
namespace {
constexpr size_t kIdLength = 24;  // letters and digits: 142 bits
}

DialogueStore::DialogueStore(const DialogueLimits& limits) : limits_(limits) {
  check(limits.max_sessions >= 1 && limits.idle.count() >= 1, "[dialogue] expected at least one session for at least a second, got ",
        limits.max_sessions, " for ", limits.idle.count(), " s");
}

DialogueStore::Lease::Lease(DialogueStore* store, std::string id, DialogueState state)
    : store_(store), id_(std::move(id)), state_(std::move(state)) {}

DialogueStore::Lease::Lease(Lease&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)),
      id_(std::move(other.id_)),
      state_(std::move(other.state_)),
      kept_(std::move(other.kept_)) {}

DialogueStore::Lease::~Lease() {
  release();
}

void DialogueStore::Lease::release() {
  if (DialogueStore* store = std::exchange(store_, nullptr)) store->give_back(id_, std::move(kept_));
}

void DialogueStore::erase(Sessions::iterator it) {
  order_.erase(it->second.place);
  sessions_.erase(it);
}

// Those idle too long are at the front, but for busy ones.
void DialogueStore::sweep(Clock::time_point now) {
  for (auto at = order_.begin(); at != order_.end();) {
    const auto it = sessions_.find(*at++);
    if (now - it->second.last < limits_.idle) break;
    if (!it->second.busy) erase(it);
  }
}

void DialogueStore::touch(Session& session, Clock::time_point now) {
  session.last = now;
  order_.splice(order_.end(), order_, session.place);
}

DialogueStore::Sessions::iterator DialogueStore::find(const std::string& id, const std::string& owner) {
  const auto it = sessions_.find(id);
  if (it == sessions_.end() || it->second.owner != owner)
    throw http::ApiError(404,
                         str("no dialogue '", printable(id), "': it was never there, or was forgotten after ", limits_.idle.count(),
                             " s without a message; leave `session` out to begin another"),
                         "session", "session_not_found");
  return it;
}

void DialogueStore::make_room() {
  if (int64_t(sessions_.size()) < limits_.max_sessions) return;
  for (const std::string& id : order_) {
    const auto it = sessions_.find(id);
    if (it->second.busy) continue;
    return erase(it);
  }
  http::ApiError full(503, str("all ", limits_.max_sessions, " dialogues have a turn under way; try again in a moment"));
  full.retry_after = 1;
  throw full;
}

DialogueStore::Lease DialogueStore::take(const std::string& id, const std::string& owner, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  sweep(now);
  auto it = sessions_.end();
  if (id.empty()) {
    make_room();
    it = sessions_.emplace(random_id(kIdLength), Session{.owner = owner}).first;
    it->second.place = order_.insert(order_.end(), it->first);
  } else {
    it = find(id, owner);
    if (it->second.busy)
      throw http::ApiError(409, "a turn of this dialogue is under way: send the next message when it has been answered", "session",
                           "session_busy");
  }
  touch(it->second, now);
  it->second.busy = true;
  return Lease(this, it->first, it->second.state);
}

void DialogueStore::give_back(const std::string& id, std::optional<DialogueState> state) {
  const std::lock_guard lock(mutex_);
  const auto it = sessions_.find(id);
  if (it == sessions_.end()) return;
  it->second.busy = false;
  if (state) it->second.state = std::move(*state);
}

DialogueState DialogueStore::look(const std::string& id, const std::string& owner, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  sweep(now);
  return find(id, owner)->second.state;
}

void DialogueStore::forget(const std::string& id, const std::string& owner, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  sweep(now);
  erase(find(id, owner));
}

size_t DialogueStore::size(Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  sweep(now);
  return sessions_.size();
}

}  // namespace r1::api
