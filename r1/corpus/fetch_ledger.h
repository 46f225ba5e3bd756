// DIR/fetch.jsonl: a line a URL with what became of it. While files are fetched, lines are appended, each in one write; the last of a URL holds.
// A line that a kill tore is dropped when the ledger is opened; tidy() leaves one line a URL.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "r1/base/file.h"
#include "r1/base/json.h"

namespace r1::corpus {

class Ledger {
 public:
  explicit Ledger(const fs::path& path);

  // `url` as it is shown; nullopt: nothing is known of it.
  std::optional<Json> find(const std::string& url) const;
  void add(const Json& row);  // has "url"
  void tidy();
  const std::vector<std::string>& urls() const { return urls_; }  // in the order in which they came first

 private:
  void keep(const Json& row, std::string line);

  fs::path path_;
  std::vector<std::string> urls_;
  std::unordered_map<std::string, std::string> lines_;
};

}  // namespace r1::corpus
