#include "r1/corpus/fetch_ledger.h"

#include "r1/base/error.h"

namespace r1::corpus {

Ledger::Ledger(const fs::path& path) : path_(path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return;
  const std::string text = read_file(path);
  const size_t whole = text.rfind('\n') + 1;  // npos + 1 == 0
  if (whole < text.size()) fs::resize_file(path, whole);
  int64_t number = 0;
  for (size_t at = 0; at < whole;) {
    const size_t end = text.find('\n', at);
    std::string line = text.substr(at, end - at);
    at = end + 1;
    const std::string where = path.string() + ":" + std::to_string(++number);
    const Json row = parse_json(line, where);
    json_get<std::string>(row, "url", where);
    keep(row, std::move(line));
  }
}

void Ledger::keep(const Json& row, std::string line) {
  const auto [at, fresh] = lines_.insert_or_assign(row.at("url").get<std::string>(), std::move(line));
  if (fresh) urls_.push_back(at->first);
}

std::optional<Json> Ledger::find(const std::string& url) const {
  const auto at = lines_.find(url);
  if (at == lines_.end()) return std::nullopt;
  return parse_json(at->second, path_.string());
}

void Ledger::add(const Json& row) {
  std::string line = dump_json(row);
  append_file(path_, line + "\n");
  keep(row, std::move(line));
}

void Ledger::tidy() {
  if (urls_.empty()) return;
  AtomicFile file(path_);
  for (const std::string& url : urls_) file.write(lines_.at(url) + "\n");
  file.commit();
}

}  // namespace r1::corpus
