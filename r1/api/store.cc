#include "r1/api/store.h"

#include <algorithm>
#include <chrono>
#include <mutex>

#include "r1/api/random_id.h"
#include "r1/api/sqlite.h"
#include "r1/api/store_json.h"
#include "r1/base/error.h"
#include "r1/base/utf8.h"
#include "r1/http/error.h"

namespace r1::api {
namespace {

constexpr int64_t kApplicationId = 0x72316368;  // "r1ch"
constexpr int64_t kPageBytes = 4096;

// Each brings a file of the version before to the next; PRAGMA user_version counts them. They are never changed, only added to.
// A conversation's own number stands in messages, so that ids need be unique within an owner only. Deleting is done by query: SQLite's
// cascades recurse, and a conversation is a chain of thousands.
const char* const kMigrations[] = {
    R"(CREATE TABLE conversations(
         number INTEGER PRIMARY KEY, owner TEXT NOT NULL, id TEXT NOT NULL, title TEXT NOT NULL, settings TEXT NOT NULL, pinned INTEGER NOT NULL,
         leaf TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL, UNIQUE(owner, id)) STRICT;
       CREATE TABLE messages(
         seq INTEGER PRIMARY KEY, conversation INTEGER NOT NULL REFERENCES conversations(number), id TEXT NOT NULL, parent TEXT,
         role TEXT NOT NULL, content TEXT NOT NULL, reasoning TEXT NOT NULL, model TEXT NOT NULL, sampling TEXT NOT NULL,
         prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL, thinking_seconds REAL NOT NULL,
         seconds REAL NOT NULL, tokens_per_second REAL NOT NULL, finish_reason TEXT NOT NULL, error TEXT NOT NULL, version INTEGER NOT NULL,
         created INTEGER NOT NULL, updated INTEGER NOT NULL, UNIQUE(conversation, id),
         FOREIGN KEY(conversation, parent) REFERENCES messages(conversation, id)) STRICT;
       CREATE INDEX messages_by_parent ON messages(conversation, parent);
       CREATE INDEX conversations_by_time ON conversations(owner, pinned, updated);)",
    // The search index is a table of its own (`search`), made where the library has FTS5; `indexed` says what it has.
    R"(ALTER TABLE messages ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0;
       CREATE INDEX messages_to_index ON messages(indexed) WHERE indexed = 0;
       CREATE TABLE notes(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;)",
};

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

[[noreturn]] void missing(const char* what, const std::string& id) {
  throw http::ApiError(404, str("no ", what, " '", printable(id), "'"), "", "not_found");
}

void check_id(const std::string& id, const char* param) {
  if (!is_store_id(id))
    throw http::ApiError(400, str(param, ": '", printable(id), "' is no id: 1 to 128 of A-Z a-z 0-9 . _ -"), param, "invalid_id");
}

// The text as a pattern of LIKE ... ESCAPE '\'.
std::string like_pattern(const std::string& text) {
  std::string out = "%";
  for (const char c : text) {
    if (c == '%' || c == '_' || c == '\\') out += '\\';
    out += c;
  }
  return out + "%";
}

// The text as one phrase of FTS5.
std::string phrase(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

size_t characters(std::string_view text) {
  size_t n = 0;
  uint32_t ignored = 0;
  for (const char *p = text.data(), *end = p + text.size(); p < end; ++n) p += decode_utf8(p, end, &ignored);
  return n;
}

// One line of it.
std::string excerpt_of(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  return text;
}

constexpr const char* kConversationColumns =
    "c.number, c.id, c.title, c.settings, c.pinned, c.leaf, c.created, c.updated, (SELECT count(*) FROM messages m WHERE m.conversation = "
    "c.number)";
constexpr const char* kMessageColumns =
    "seq, id, coalesce(parent, ''), role, content, reasoning, model, sampling, prompt_tokens, completion_tokens, reasoning_tokens, "
    "thinking_seconds, "
    "seconds, tokens_per_second, finish_reason, error, version, created, updated, indexed";

// An object that the store itself wrote.
Json stored_object(const std::string& text) {
  return parse_json(text, "[chats] a stored object");
}

Conversation conversation_at(const Query& q) {
  Conversation c;
  c.id = q.text(1);
  c.title = q.text(2);
  c.settings = stored_object(q.text(3));
  c.pinned = q.integer(4) != 0;
  c.leaf = q.text(5);
  c.created = q.integer(6);
  c.updated = q.integer(7);
  c.message_count = q.integer(8);
  return c;
}

Message message_at(const Query& q) {
  Message m;
  m.id = q.text(1);
  m.parent = q.text(2);
  m.role = q.text(3);
  m.content = q.text(4);
  m.reasoning = q.text(5);
  m.model = q.text(6);
  m.sampling = stored_object(q.text(7));
  m.prompt_tokens = q.integer(8);
  m.completion_tokens = q.integer(9);
  m.reasoning_tokens = q.integer(10);
  m.thinking_seconds = q.real(11);
  m.seconds = q.real(12);
  m.tokens_per_second = q.real(13);
  m.finish_reason = q.text(14);
  m.error = q.text(15);
  m.version = q.integer(16);
  m.created = q.integer(17);
  m.updated = q.integer(18);
  return m;
}

}  // namespace

bool is_store_id(std::string_view id) {
  const auto fits = [](unsigned char c) { return std::isalnum(c) || c == '.' || c == '_' || c == '-'; };
  return !id.empty() && id.size() <= 128 && std::ranges::all_of(id, fits) && id != "." && id != ".." && id != "export" && id != "import";
}

struct Store::Impl {
  Impl(const std::filesystem::path& path, const StoreOptions& options) : db(path, "[chats]", options.busy_timeout) {
    refuse_foreign(path);
    db.script("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 16777216;");
    db.script(str("PRAGMA max_page_count = ", std::max<int64_t>(options.max_bytes / kPageBytes, 1)));
    check_whole(path);
    migrate(path);
    full_text = options.full_text && open_index();
    if (!full_text && Query(db, "SELECT 1 FROM sqlite_schema WHERE name = 'search'").step()) note("index_stale", 1);
  }

  // Before anything is written to it.
  void refuse_foreign(const std::filesystem::path& path) {
    const int64_t version = db.pragma("user_version"), tables = [&] {
      Query q(db, "SELECT count(*) FROM sqlite_schema");
      return q.step() ? q.integer(0) : 0;
    }();
    const bool ours = db.pragma("application_id") == kApplicationId;
    if (!ours && (tables > 0 || version != 0))
      r1::fail("[chats] ", path.string(), ": is another program's database; name a file of its own for the conversations");
    if (version > std::ssize(kMigrations))
      r1::fail("[chats] ", path.string(), ": was written by a newer release (version ", version, ", this one knows ",
               std::ssize(kMigrations), "); use that release, or another file");
  }

  // A page that is damaged would else show up days later, in the middle of a chat. Very large files are not read at each start.
  void check_whole(const std::filesystem::path& path) {
    if (db.pragma("page_count") * kPageBytes > int64_t{1} << 30) return;
    Query q(db, "PRAGMA quick_check(1)");
    if (q.step() && q.text(0) != "ok")
      r1::fail("[chats] ", path.string(), ": damaged (", printable(q.text(0)), "); move it away, or save what can be read: sqlite3 ",
               path.filename().string(), " .recover");
  }

  void migrate(const std::filesystem::path& path) {
    if (db.pragma("user_version") == std::ssize(kMigrations)) return;
    Transaction all(db, Transaction::kWrite);
    refuse_foreign(path);  // another process may just have made it
    for (int64_t version = db.pragma("user_version"); version < std::ssize(kMigrations); ++version) {
      db.script(kMigrations[version]);
      db.script(str("PRAGMA user_version = ", version + 1));
    }
    db.script(str("PRAGMA application_id = ", kApplicationId));
    all.commit();
  }

  // Makes the index where the library can, and brings it up to date. False: it can't.
  bool open_index() {
    Transaction all(db, Transaction::kWrite);
    try {
      db.script(
          "CREATE VIRTUAL TABLE IF NOT EXISTS search USING fts5(content, content='messages', content_rowid='seq', tokenize='trigram')");
      Query(db, "SELECT rowid FROM search LIMIT 1").step();
    } catch (const Error&) {
      return false;
    }
    if (Query(db, "SELECT 1 FROM notes WHERE name = 'index_stale' AND value = 1").step()) {
      db.script("INSERT INTO search(search) VALUES('rebuild'); UPDATE messages SET indexed = 1");
      note("index_stale", 0);
    }
    db.script(
        "INSERT INTO search(rowid, content) SELECT seq, content FROM messages WHERE indexed = 0; UPDATE messages SET indexed = 1 WHERE "
        "indexed = 0");
    all.commit();
    return true;
  }

  void note(const char* name, int64_t value) {
    Query(db, "INSERT INTO notes VALUES(?1, ?2) ON CONFLICT(name) DO UPDATE SET value = ?2", name, value).run();
  }

  std::optional<int64_t> find(const std::string& owner, const std::string& id) {
    Query q(db, "SELECT number FROM conversations WHERE owner = ?1 AND id = ?2", owner, id);
    return q.step() ? std::optional(q.integer(0)) : std::nullopt;
  }

  int64_t number_of(const std::string& owner, const std::string& id) {
    const auto number = find(owner, id);
    if (!number) missing("conversation", id);
    return *number;
  }

  std::vector<Message> messages_of(int64_t number) {
    Query q(db, str("SELECT ", kMessageColumns, " FROM messages WHERE conversation = ?1 ORDER BY seq"), number);
    std::vector<Message> out;
    while (q.step()) out.push_back(message_at(q));
    return out;
  }

  Conversation whole(int64_t number) {
    Query q(db, str("SELECT ", kConversationColumns, " FROM conversations c WHERE number = ?1"), number);
    if (!q.step()) r1::fail("[chats] a conversation went while it was read");
    Conversation c = conversation_at(q);
    c.messages = messages_of(number);
    return c;
  }

  int64_t insert(const std::string& owner, const Conversation& c) {
    const std::string settings = dump_json(c.settings);
    Query(db,
          "INSERT INTO conversations(owner, id, title, settings, pinned, leaf, created, updated) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
          owner, c.id, c.title, settings, c.pinned, c.leaf, c.created, c.updated)
        .run();
    return number_of(owner, c.id);
  }

  void insert(int64_t number, const Message& m) {
    const std::string sampling = dump_json(m.sampling);
    const bool index = full_text && !m.finish_reason.empty();
    Query(db,
          "INSERT INTO messages(conversation, id, parent, role, content, reasoning, model, sampling, prompt_tokens, completion_tokens, "
          "reasoning_tokens, "
          "thinking_seconds, seconds, tokens_per_second, finish_reason, error, version, created, updated, indexed) "
          "VALUES(?1, ?2, nullif(?3, ''), ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
          number, m.id, m.parent, m.role, m.content, m.reasoning, m.model, sampling, m.prompt_tokens, m.completion_tokens,
          m.reasoning_tokens, m.thinking_seconds, m.seconds, m.tokens_per_second, m.finish_reason, m.error, m.version, m.created, m.updated,
          index)
        .run();
    if (index)
      Query(db, "INSERT INTO search(rowid, content) SELECT seq, content FROM messages WHERE conversation = ?1 AND id = ?2", number, m.id)
          .run();
  }

  // A growing answer is indexed when it is done; until then search reads it (`indexed` 0).
  void update(int64_t number, int64_t seq, const Message& m) {
    unindex("seq = ?1", seq);
    const std::string sampling = dump_json(m.sampling);
    const bool index = full_text && !m.finish_reason.empty();
    Query(db,
          "UPDATE messages SET content = ?3, reasoning = ?4, model = ?5, sampling = ?6, prompt_tokens = ?7, completion_tokens = ?8, "
          "reasoning_tokens = ?9, "
          "thinking_seconds = ?10, seconds = ?11, tokens_per_second = ?12, finish_reason = ?13, error = ?14, version = ?15, updated = ?16, "
          "indexed = ?17 "
          "WHERE seq = ?1 AND conversation = ?2",
          seq, number, m.content, m.reasoning, m.model, sampling, m.prompt_tokens, m.completion_tokens, m.reasoning_tokens,
          m.thinking_seconds, m.seconds, m.tokens_per_second, m.finish_reason, m.error, m.version, m.updated, index)
        .run();
    if (index) Query(db, "INSERT INTO search(rowid, content) SELECT seq, content FROM messages WHERE seq = ?1", seq).run();
  }

  // Takes rows out of the index, which wants to be told the text that it has. `?1` of the condition is `argument`.
  void unindex(const std::string& condition, int64_t argument) {
    if (!full_text) return;
    Query(db,
          str("INSERT INTO search(search, rowid, content) SELECT 'delete', seq, content FROM messages WHERE indexed = 1 AND ?1 IS NOT NULL "
              "AND (",
              condition, ")"),
          argument)
        .run();
  }

  // From `id` down along the newest children; from "": along the newest first message.
  std::string newest_leaf(int64_t number, std::string id) {
    for (;;) {
      Query q(db, "SELECT id FROM messages WHERE conversation = ?1 AND parent IS nullif(?2, '') ORDER BY seq DESC LIMIT 1", number, id);
      if (!q.step()) return id;
      const std::string child = q.text(0);
      id = child;
    }
  }

  bool has_message(int64_t number, const std::string& id) {
    return Query(db, "SELECT 1 FROM messages WHERE conversation = ?1 AND id = ?2", number, id).step();
  }

  std::mutex mutex;
  Sqlite db;
  bool full_text = false;
};

Store::Store(const std::filesystem::path& path, const StoreOptions& options) : impl_(std::make_unique<Impl>(path, options)) {}
Store::~Store() = default;
bool Store::full_text() const {
  return impl_->full_text;
}

std::vector<Found> Store::list(const std::string& owner, const std::string& wanted, int64_t limit, int64_t offset) {
  std::string query = wanted;
  std::ranges::replace(query, '\0', ' ');  // ends an expression of FTS5 in the middle
  const std::lock_guard lock(impl_->mutex);
  Sqlite& db = impl_->db;
  Transaction all(db, Transaction::kRead);
  std::vector<Found> out;
  std::vector<int64_t> found;
  const auto collect = [&](Query& q, bool searched) {
    while (q.step()) {
      out.push_back({conversation_at(q), "", ""});
      found.push_back(searched && !q.null(9) ? q.integer(9) : 0);
    }
  };
  const std::string order = " ORDER BY c.pinned DESC, c.updated DESC, c.id LIMIT ?2 OFFSET ?3";
  if (query.empty()) {
    Query q(db, str("SELECT ", kConversationColumns, " FROM conversations c WHERE c.owner = ?1", order), owner, limit, offset);
    collect(q, false);
    return out;
  }
  const std::string pattern = like_pattern(query), quoted = phrase(query);
  // Trigrams find three characters and more; what the index does not have yet, and shorter texts, are read.
  const bool indexed = impl_->full_text && characters(query) >= 3;
  const std::string hits = str(
      indexed ? "SELECT m.conversation, m.seq FROM search JOIN messages m ON m.seq = search.rowid WHERE search MATCH ?5 UNION ALL " : "",
      "SELECT m.conversation, m.seq FROM messages m WHERE m.content LIKE ?4 ESCAPE '\\' AND ?5 IS NOT NULL",
      indexed ? " AND m.indexed = 0" : "");
  Query q(db,
          str("WITH hits(conversation, seq) AS (", hits,
              "), newest AS (SELECT conversation, max(seq) AS seq FROM hits GROUP BY conversation) SELECT ", kConversationColumns,
              ", newest.seq FROM conversations c LEFT JOIN newest ON newest.conversation = c.number "
              "WHERE c.owner = ?1 AND (newest.seq IS NOT NULL OR c.title LIKE ?4 ESCAPE '\\')",
              order),
          owner, limit, offset, pattern, quoted);
  collect(q, true);
  for (size_t i = 0; i < out.size(); ++i) {
    if (!found[i]) continue;
    Query e(db, "SELECT id, substr(content, max(1, instr(lower(content), lower(?2)) - 40), 160) FROM messages WHERE seq = ?1", found[i],
            query);
    if (e.step()) out[i].message = e.text(0), out[i].excerpt = excerpt_of(e.text(1));
  }
  return out;
}

Conversation Store::get(const std::string& owner, const std::string& id) {
  const std::lock_guard lock(impl_->mutex);
  Transaction all(impl_->db, Transaction::kRead);
  return impl_->whole(impl_->number_of(owner, id));
}

Conversation Store::create(const std::string& owner, const Conversation& conversation) {
  Conversation c = conversation;
  if (c.id.empty()) c.id = random_id(24);
  check_id(c.id, "id");
  c.leaf.clear();
  c.created = c.updated = now_ms();
  const std::lock_guard lock(impl_->mutex);
  Transaction all(impl_->db, Transaction::kWrite);
  if (const auto there = impl_->find(owner, c.id)) return impl_->whole(*there);
  const Conversation made = impl_->whole(impl_->insert(owner, c));
  all.commit();
  return made;
}

Conversation Store::change(const std::string& owner, const std::string& id, const ConversationChange& change) {
  const std::lock_guard lock(impl_->mutex);
  Sqlite& db = impl_->db;
  Transaction all(db, Transaction::kWrite);
  const int64_t number = impl_->number_of(owner, id);
  if (change.leaf && !impl_->has_message(number, *change.leaf)) missing("message", *change.leaf);
  const std::string settings = change.settings ? dump_json(*change.settings) : "";
  if (change.title) Query(db, "UPDATE conversations SET title = ?2 WHERE number = ?1", number, *change.title).run();
  if (change.leaf) Query(db, "UPDATE conversations SET leaf = ?2 WHERE number = ?1", number, *change.leaf).run();
  if (change.settings) Query(db, "UPDATE conversations SET settings = ?2 WHERE number = ?1", number, settings).run();
  if (change.pinned) Query(db, "UPDATE conversations SET pinned = ?2 WHERE number = ?1", number, *change.pinned).run();
  Query q(db, str("SELECT ", kConversationColumns, " FROM conversations c WHERE number = ?1"), number);
  q.step();
  const Conversation now = conversation_at(q);
  all.commit();
  return now;
}

void Store::remove(const std::string& owner, const std::string& id) {
  const std::lock_guard lock(impl_->mutex);
  Transaction all(impl_->db, Transaction::kWrite);
  const int64_t number = impl_->number_of(owner, id);
  impl_->unindex("conversation = ?1", number);
  Query(impl_->db, "DELETE FROM messages WHERE conversation = ?1", number).run();
  Query(impl_->db, "DELETE FROM conversations WHERE number = ?1", number).run();
  all.commit();
}

Message Store::put(const std::string& owner, const std::string& conversation, const Message& message) {
  check_id(message.id, "id");
  Message m = message;
  m.created = m.updated = now_ms();
  const std::lock_guard lock(impl_->mutex);
  Sqlite& db = impl_->db;
  Transaction all(db, Transaction::kWrite);
  const int64_t number = impl_->number_of(owner, conversation);
  int64_t seq = 0;
  Message old;
  {
    Query q(db, str("SELECT ", kMessageColumns, " FROM messages WHERE conversation = ?1 AND id = ?2"), number, m.id);
    if (q.step()) seq = q.integer(0), old = message_at(q);
  }
  if (seq) {
    if (m.parent != old.parent || m.role != old.role)
      throw http::ApiError(409, str("message '", m.id, "' is there under another parent or role; an edit is a new message beside it"),
                           "parent", "conflict");
    m.created = old.created;
    if (m.version <= old.version) {
      m.updated = old.updated;
      if (m.version == old.version && to_json(m) == to_json(old)) return old;  // the same once more
      throw http::ApiError(
          409, str("message '", m.id, "' is at version ", old.version, ", newer than ", m.version, " or not the same; read it again"),
          "version", "stale_version");
    }
    impl_->update(number, seq, m);
    Query(db, "UPDATE conversations SET updated = ?2 WHERE number = ?1", number, m.updated).run();
  } else {
    if (!m.parent.empty() && !impl_->has_message(number, m.parent))
      throw http::ApiError(409, str("parent: no message '", printable(m.parent), "' in this conversation"), "parent", "conflict");
    Query count(db, "SELECT count(*) FROM messages WHERE conversation = ?1", number);
    if (count.step() && count.integer(0) >= kMaxStoredMessages)
      throw http::ApiError(409, str("the conversation has ", kMaxStoredMessages, " messages, the most there can be; begin another"), "",
                           "too_many_messages");
    impl_->insert(number, m);
    Query(db, "UPDATE conversations SET updated = ?2, leaf = ?3 WHERE number = ?1", number, m.updated, m.id).run();
  }
  all.commit();
  return m;
}

int64_t Store::remove_message(const std::string& owner, const std::string& conversation, const std::string& id) {
  const std::lock_guard lock(impl_->mutex);
  Sqlite& db = impl_->db;
  Transaction all(db, Transaction::kWrite);
  const int64_t number = impl_->number_of(owner, conversation);
  std::string parent;
  {
    Query q(db, "SELECT coalesce(parent, '') FROM messages WHERE conversation = ?1 AND id = ?2", number, id);
    if (!q.step()) missing("message", id);
    parent = q.text(0);
  }
  db.script("CREATE TEMP TABLE IF NOT EXISTS going(seq INTEGER PRIMARY KEY, id TEXT); DELETE FROM going");
  Query(db,
        "WITH RECURSIVE under(seq, id) AS (SELECT seq, id FROM messages WHERE conversation = ?1 AND id = ?2 UNION ALL "
        "SELECT m.seq, m.id FROM messages m JOIN under u ON m.conversation = ?1 AND m.parent = u.id) INSERT INTO going SELECT seq, id FROM "
        "under",
        number, id)
      .run();
  impl_->unindex("seq IN (SELECT seq FROM going)", number);
  Query(db, "DELETE FROM messages WHERE seq IN (SELECT seq FROM going)").run();
  const int64_t gone = db.changes();
  Query leaf(db, "SELECT 1 FROM conversations WHERE number = ?1 AND leaf IN (SELECT id FROM going)", number);
  if (leaf.step()) {
    const std::string next = impl_->newest_leaf(number, parent);
    Query(db, "UPDATE conversations SET leaf = ?2 WHERE number = ?1", number, next).run();
  }
  all.commit();
  return gone;
}

std::vector<Conversation> Store::all(const std::string& owner) {
  const std::lock_guard lock(impl_->mutex);
  Transaction all(impl_->db, Transaction::kRead);
  std::vector<int64_t> numbers;
  {
    Query q(impl_->db, "SELECT number FROM conversations WHERE owner = ?1 ORDER BY created, id", owner);
    while (q.step()) numbers.push_back(q.integer(0));
  }
  std::vector<Conversation> out;
  for (const int64_t number : numbers) out.push_back(impl_->whole(number));
  return out;
}

ImportCounts Store::import(const std::string& owner, const std::vector<Conversation>& conversations) {
  const std::lock_guard lock(impl_->mutex);
  Transaction all(impl_->db, Transaction::kWrite);
  ImportCounts counts;
  for (Conversation c : conversations) {
    if (c.id.empty()) c.id = random_id(24);
    check_id(c.id, "id");
    if (const auto there = impl_->find(owner, c.id)) {
      if (to_json(impl_->whole(*there), true) == to_json(c, true)) {
        ++counts.same;
        continue;
      }
      c.id = random_id(24);
      ++counts.renamed;
    }
    if (!c.created) c.created = now_ms();
    if (!c.updated) c.updated = c.created;
    const int64_t number = impl_->insert(owner, c);
    for (Message& m : c.messages) {
      if (!m.created) m.created = c.created;
      if (!m.updated) m.updated = m.created;
      impl_->insert(number, m);
    }
    ++counts.added;
  }
  all.commit();
  return counts;
}

}  // namespace r1::api
