#include "r1/api/sqlite.h"

#include "r1/base/error.h"
#include "r1/http/error.h"

namespace r1::api {

Sqlite::Sqlite(const std::filesystem::path& path, std::string what, double busy_timeout) : path_(path), what_(std::move(what)) {
  const int code = sqlite3_open_v2(path.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, nullptr);
  try {
    if (code != SQLITE_OK) fail(code);
    sqlite3_extended_result_codes(db_, 1);
    check(sqlite3_busy_timeout(db_, int(busy_timeout * 1000)));
    // Text that is not ours must not reach files or load code through SQL functions or a doctored schema.
    sqlite3_db_config(db_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    sqlite3_db_config(db_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  } catch (...) {
    sqlite3_close_v2(db_);
    throw;
  }
}

Sqlite::~Sqlite() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close_v2(db_);
}

void Sqlite::script(const std::string& sql) {
  check(sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr));
}

int64_t Sqlite::pragma(const char* name) {
  Query q(*this, str("PRAGMA ", name));
  return q.step() ? q.integer(0) : 0;
}

int64_t Sqlite::changes() const {
  return sqlite3_changes64(db_);
}

void Sqlite::fail(int code) const {
  const std::string place = what_ + " " + path_.string() + ": ";
  const std::string says = db_ ? sqlite3_errmsg(db_) : sqlite3_errstr(code);
  switch (code & 0xff) {
    case SQLITE_FULL:
      throw http::ApiError(
          507, place + "no room left on the disk or in the file's limit; delete conversations or make room, nothing was changed", "",
          "insufficient_storage");
    case SQLITE_BUSY:
    case SQLITE_LOCKED: {
      http::ApiError error(503, place + "another process holds it; try again", "", "store_busy");
      error.retry_after = 1;
      throw error;
    }
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      throw Error(str(place, "damaged, or not a SQLite file (", says, "); move it away, or save what can be read: sqlite3 ",
                      path_.filename().string(), " .recover"));
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      throw Error(str(place, "can't be written (", says, "); its file and folder must be writable"));
    case SQLITE_CANTOPEN:
      throw Error(str(place, "can't be opened (", says, "); its folder must exist and be writable"));
    default:
      throw Error(str(place, says, " (SQLite ", code, ")"));
  }
}

sqlite3_stmt* Sqlite::prepared(std::string_view sql) {
  auto [at, fresh] = statements_.try_emplace(std::string(sql), nullptr);
  if (fresh) {
    const int code = sqlite3_prepare_v3(db_, sql.data(), int(sql.size()), SQLITE_PREPARE_PERSISTENT, &at->second, nullptr);
    if (code != SQLITE_OK) {
      statements_.erase(at);
      fail(code);
    }
  }
  return at->second;
}

Query::~Query() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

bool Query::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) db_.fail(code);
  return false;
}

std::string Query::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return bytes ? std::string(bytes, size_t(sqlite3_column_bytes(statement_, column))) : "";
}

Transaction::Transaction(Sqlite& db, Kind kind) : db_(db) {
  db.script(kind == kWrite ? "BEGIN IMMEDIATE" : "BEGIN");
}

Transaction::~Transaction() {
  // After some errors (a full disk) SQLite has rolled back itself.
  if (!sqlite3_get_autocommit(db_.db_)) sqlite3_exec(db_.db_, "ROLLBACK", nullptr, nullptr, nullptr);
}

void Transaction::commit() {
  db_.script("COMMIT");
}

}  // namespace r1::api
