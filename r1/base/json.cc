#include "r1/base/json.h"

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/file.h"

namespace r1 {
namespace {

// Builds the DOM from nlohmann's (iterative) SAX parser. nlohmann's own builder looks a key up linearly before each insertion into an
// ordered object, which is quadratic on a vocabulary of 150k keys; this one hashes the keys of large objects. The depth limit lives here
// too.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view text, std::string_view where, bool reject_duplicates)
      : text_(text), where_(where), reject_duplicates_(reject_duplicates) {}

  Json take() { return std::move(root_); }

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t&) override { return put(value); }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t& value) override { return put(std::move(value)); }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    Level& level = levels_.back();
    auto& object = level.container->get_ref<Json::object_t&>();
    Items& items = object;
    if (const size_t at = find(level, items, name); at < items.size()) {
      if (reject_duplicates_) fail(where_, ": duplicate key '", printable(name), "'");
      items[at].second = nullptr;
      slot_ = &items[at].second;
      return true;
    }
    if (items.size() >= kHashFrom) level.index.emplace(name, items.size());
    items.emplace_back(std::move(name), nullptr);
    slot_ = &items.back().second;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception& error) override {
    std::string what = error.what();
    if (const size_t at = what.find(": "); at != std::string::npos)
      what = what.substr(at + 2);  // "[...] parse error at line 1, column 5: "
    if (what.size() > 160) what = what.substr(0, 160) + "...";
    fail(where_, ": ", place(position), "not valid JSON: ", what);
  }

 private:
  using Items = std::vector<std::pair<const std::string, Json>>;  // what ordered_json's object is
  static constexpr size_t kHashFrom = 16;
  struct Level {
    Json* container;
    std::unordered_map<std::string, size_t> index;
  };

  size_t find(Level& level, const Items& items, const std::string& name) {
    const size_t scanned = std::min(items.size(), kHashFrom);
    for (size_t i = 0; i < scanned; ++i) {
      if (items[i].first == name) return i;
    }
    const auto it = level.index.find(name);
    return it == level.index.end() ? items.size() : it->second;
  }

  template <class Value>
  bool put(Value&& value) {
    place_value(Json(std::forward<Value>(value)));
    return true;
  }

  Json* place_value(Json&& value) {
    if (levels_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (slot_) {
      Json* at = std::exchange(slot_, nullptr);
      *at = std::move(value);
      return at;
    }
    auto& array = levels_.back().container->get_ref<Json::array_t&>();
    array.push_back(std::move(value));
    return &array.back();
  }

  bool open(Json&& empty) {
    if (levels_.size() >= kMaxJsonDepth) fail(where_, ": nested deeper than ", kMaxJsonDepth, " levels");
    levels_.push_back({place_value(std::move(empty)), {}});
    return true;
  }

  bool close() {
    levels_.pop_back();
    return true;
  }

  // "line 3, column 14: " or, for a text of one line (JSONL), "column 14: ".
  std::string place(size_t position) const {
    const auto read = text_.substr(0, position ? std::min(position - 1, text_.size()) : 0);
    const auto line = std::count(read.begin(), read.end(), '\n') + 1;
    const size_t start = read.rfind('\n') + 1;  // npos + 1 == 0
    const std::string column = str("column ", read.size() - start + 1, ": ");
    return text_.find('\n') < text_.size() - (text_.empty() ? 0 : 1) ? str("line ", line, ", ", column) : column;
  }

  std::string_view text_, where_;
  bool reject_duplicates_;
  Json root_;
  std::vector<Level> levels_;
  Json* slot_ = nullptr;  // where the value of the key just read goes
};

}  // namespace

Json parse_json(std::string_view text, std::string_view where, bool reject_duplicates) {
  Builder builder(text, where, reject_duplicates);
  Json::sax_parse(text, &builder);
  return builder.take();
}

Json parse_json_file(const std::filesystem::path& path, bool reject_duplicates) {
  return parse_json(read_file(path), path.string(), reject_duplicates);
}

std::string dump_json(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace r1
