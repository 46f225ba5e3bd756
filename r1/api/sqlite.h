// The little of SQLite that the store needs: one connection, cached statements, transactions, and errors that say what to do.
// Not for several threads at once: its owner locks.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>

namespace r1::api {

class Sqlite {
 public:
  // Opens or makes `path`. `what` opens every message: "[chats]".
  Sqlite(const std::filesystem::path& path, std::string what, double busy_timeout);
  ~Sqlite();
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;

  // Several statements, without arguments and rows.
  void script(const std::string& sql);
  int64_t pragma(const char* name);  // its integer
  int64_t changes() const;           // rows that the last statement wrote

  // What a result code means: http::ApiError 507 (full) or 503 (locked by another process), or Error (damaged, not writable, ..).
  [[noreturn]] void fail(int code) const;

 private:
  friend class Query;
  friend class Transaction;
  sqlite3_stmt* prepared(std::string_view sql);
  void check(int code) const {
    if (code != SQLITE_OK) fail(code);
  }

  std::filesystem::path path_;
  std::string what_;
  sqlite3* db_ = nullptr;
  std::unordered_map<std::string, sqlite3_stmt*> statements_;
};

// One run of a statement, its ?1, ?2, .. bound in order: Query q(db, "SELECT ..", id); while (q.step()) q.text(0);
// Arguments must outlive it. The same text runs once at a time.
class Query {
 public:
  template <class... Args>
  Query(Sqlite& db, std::string_view sql, const Args&... args) : db_(db), statement_(db.prepared(sql)) {
    int at = 0;
    (bind(++at, args), ...);
  }
  ~Query();
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  bool step();  // whether there is a row
  void run() {  // for what has none
    while (step()) {
    }
  }
  int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }
  double real(int column) const { return sqlite3_column_double(statement_, column); }
  bool null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  std::string text(int column) const;

 private:
  void bind(int at, int64_t value) { db_.check(sqlite3_bind_int64(statement_, at, value)); }
  void bind(int at, bool value) { bind(at, int64_t{value}); }
  void bind(int at, double value) { db_.check(sqlite3_bind_double(statement_, at, value)); }
  void bind(int at, std::string_view value) {
    // A null pointer would bind NULL.
    db_.check(sqlite3_bind_text64(statement_, at, value.data() ? value.data() : "", value.size(), SQLITE_STATIC, SQLITE_UTF8));
  }
  void bind(int at, const std::string& value) { bind(at, std::string_view(value)); }
  void bind(int at, const char* value) { bind(at, std::string_view(value)); }

  Sqlite& db_;
  sqlite3_stmt* statement_;
};

// All or nothing: rolled back unless commit() was reached.
class Transaction {
 public:
  enum Kind { kRead, kWrite };  // kWrite takes the lock now, so that what is read before writing still stands
  Transaction(Sqlite& db, Kind kind);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  Sqlite& db_;
};

}  // namespace r1::api
