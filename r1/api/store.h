// The web chat's conversations, in one SQLite file: lists, trees of messages, search, export and import.
//
// A call that returns has reached the disk (write-ahead log, synchronous=FULL): a kill -9 or a power cut loses nothing that was acknowledged.
// Writes are idempotent, so a client whose answer got lost sends the same again: it names the ids itself, and a message carries a version, of
// which only a higher one replaces what is stored. The messages of a conversation are a tree: an edit or a second answer is a sibling, and
// nothing is overwritten that another branch needs.
//
// Every row belongs to an owner (the API key's name, "" where no key is asked for); an owner sees nothing of another's. Any thread may call;
// several processes may have the file open. Times are milliseconds since 1970.
//
// Errors: http::ApiError 404 (no such conversation or message), 409 (an id or a place in the tree that can't be), 400 (a value), 507 (disk
// or `max_bytes` full); Error for a file that is damaged, can't be written or is another program's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "r1/base/json.h"

namespace r1::api {

struct Message {
  std::string id, parent;  // parent "": the first of a conversation, or an edit of it
  std::string role;        // "user", "assistant", "system", "tool"
  std::string content, reasoning, model;
  Json sampling = Json::object();  // what the answer was asked with
  int64_t prompt_tokens = 0, completion_tokens = 0, reasoning_tokens = 0;
  double thinking_seconds = 0, seconds = 0, tokens_per_second = 0;
  std::string finish_reason;  // "": the answer is still being made, or was cut off by a crash
  std::string error;          // what went wrong with the answer
  int64_t version = 1, created = 0, updated = 0;
};

struct Conversation {
  std::string id, title;
  Json settings = Json::object();
  bool pinned = false;
  std::string leaf;  // where the branch ends that was last looked at; "" without messages
  int64_t created = 0, updated = 0;
  int64_t message_count = 0;
  std::vector<Message> messages;  // parents before children, siblings in the order they were made; not filled in lists
};

struct Found {
  Conversation conversation;     // without messages
  std::string message, excerpt;  // of a search: the newest message that has the text; "" where the title has it
};

struct ConversationChange {
  std::optional<std::string> title = {}, leaf = {};
  std::optional<Json> settings = {};
  std::optional<bool> pinned = {};
};

struct ImportCounts {
  int64_t added = 0, same = 0, renamed = 0;  // as they are | there already | their id was taken by another: under a fresh one
};

struct StoreOptions {
  bool full_text = true;  // search by an index (FTS5, trigrams) if the library has it; else by reading everything
  int64_t max_bytes = int64_t{8} << 30;
  double busy_timeout = 10;  // seconds to wait for another process
};

inline constexpr int64_t kMaxStoredMessages = 20'000;  // of a conversation
inline constexpr int64_t kMaxTextBytes = 4 << 20;      // content, reasoning

// [A-Za-z0-9._-]{1,128}, and neither "." nor ".." nor a word of the routes ("export", "import").
bool is_store_id(std::string_view id);

class Store {
 public:
  // Opens or makes the file; a file of an earlier release is brought up to date.
  explicit Store(const std::filesystem::path& path, const StoreOptions& options = {});
  ~Store();

  // Newest first, pinned ones before all. With `query`: those whose title or messages have it (case does not count).
  std::vector<Found> list(const std::string& owner, const std::string& query, int64_t limit, int64_t offset);
  Conversation get(const std::string& owner, const std::string& id);
  // An empty id gets a random one. An id of this owner that is there: that conversation as it is.
  Conversation create(const std::string& owner, const Conversation& conversation);
  Conversation change(const std::string& owner, const std::string& id, const ConversationChange& change);
  void remove(const std::string& owner, const std::string& id);

  // Adds a message under its parent (then it is the conversation's leaf), or replaces the one with this id if `message.version` is higher
  // than the stored one's; parent and role are for good. What is stored then; `created` and `updated` are the store's.
  Message put(const std::string& owner, const std::string& conversation, const Message& message);
  // With all that hangs under it; the leaf moves to the parent's newest branch. How many went.
  int64_t remove_message(const std::string& owner, const std::string& conversation, const std::string& id);

  // All of the owner's, with their messages, oldest first.
  std::vector<Conversation> all(const std::string& owner);
  // All or nothing. Messages stand parents first, ids are unique in a conversation, leaves exist (store_json.h makes sure).
  ImportCounts import(const std::string& owner, const std::vector<Conversation>& conversations);

  bool full_text() const;  // whether the index is used

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace r1::api
