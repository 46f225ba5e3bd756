// Rows as documents: JSON lines, a JSON list, CSV, TSV, Parquet, Arrow, read by r1/data. A row that cannot be had is counted, and the next one is read. A row
// with a text is that text; one that is a conversation (chat API, ShareGPT, Alpaca, question and answer) or a problem with its solution becomes
// its parts, an empty line between, and keeps them as extra.messages.
#include <algorithm>
#include <charconv>
#include <deque>
#include <iterator>
#include <optional>

#include "r1/base/error.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/strings.h"
#include "r1/corpus/encoding.h"
#include "r1/corpus/memory_file.h"
#include "r1/corpus/reader_parts.h"
#include "r1/data/csv.h"
#include "r1/data/json_list.h"
#include "r1/data/messages.h"
#include "r1/data/table_file.h"
#include "r1/text/unicode.h"

namespace r1::corpus {
namespace {

constexpr const char* kTextColumns[] = {"text",     "content", "body",    "document", "article", "raw_content",
                                        "markdown", "code",    "passage", "story",    "abstract"};
constexpr size_t kMaxExtra = size_t{1} << 16;  // bytes of what a row says beside its text; more is left out
// Values of a row: what a text of a few bytes each may become in memory.
constexpr size_t kMaxValues = 1'000'000;

bool has_too_many_values(std::string_view json) {
  size_t n = 0;
  bool quoted = false;
  for (size_t i = 0; i < json.size(); ++i) {
    if (quoted) {
      if (json[i] == '\\')
        ++i;
      else if (json[i] == '"')
        quoted = false;
    } else if (json[i] == '"') {
      quoted = true;
    } else {
      n += json[i] == ',' || json[i] == '[' || json[i] == '{';
    }
  }
  return n > kMaxValues;
}

// Four hexadecimal digits behind the \u at json[at]; -1: there is none.
int32_t escaped_unit(std::string_view json, size_t at) {
  if (json.size() - at < 6 || json[at] != '\\' || json[at + 1] != 'u') return -1;
  int32_t unit = 0;
  const auto [end, error] = std::from_chars(json.data() + at + 2, json.data() + at + 6, unit, 16);
  return error == std::errc() && end == json.data() + at + 6 ? unit : -1;
}

// Of a number beyond the largest double, which Python reads as infinity; 0: none begins here.
size_t size_of_huge_number(std::string_view json) {
  if (json[0] != '-' && (json[0] < '0' || json[0] > '9')) return 0;
  double value = 0;
  const auto [end, error] = std::from_chars(json.data(), json.data() + json.size(), value);
  return error == std::errc::result_out_of_range ? size_t(end - json.data()) : 0;
}

// A row with what Python's json writes and reads although it is no JSON, as JSON: NaN and infinities as null, halves of surrogate pairs as U+FFFD.
std::string without_pythons_own(std::string_view json) {
  std::string out;
  bool quoted = false;
  for (size_t i = 0; i < json.size();) {
    if (quoted && json[i] == '\\') {
      const int32_t unit = escaped_unit(json, i), high = unit & 0xFC00;
      const bool pair = high == 0xD800 && i + 6 < json.size() && (escaped_unit(json, i + 6) & 0xFC00) == 0xDC00;
      const bool half = unit >= 0 && !pair && (high == 0xD800 || high == 0xDC00);
      const size_t n = pair ? 12 : unit >= 0 ? 6 : 2;
      out += half ? std::string_view("\\ufffd") : json.substr(i, n);
      i += n;
      continue;
    }
    if (!quoted) {
      const std::string_view rest = json.substr(i);
      size_t n = 0;
      for (const std::string_view name : {"NaN", "Infinity", "-Infinity"})
        if (rest.starts_with(name)) n = name.size();
      const bool inside_number =
          i > 0 && (std::isalnum(uint8_t(json[i - 1])) || json[i - 1] == '.' || json[i - 1] == '-' || json[i - 1] == '+');
      if (n == 0 && !inside_number) n = size_of_huge_number(rest);
      if (n > 0) {
        out += "null";
        i += n;
        continue;
      }
    }
    quoted ^= json[i] == '"';
    out += json[i++];
  }
  return out;
}

Json parse_python_row(const std::string& row) {
  try {
    return parse_json(row, "");
  } catch (const Error&) {
    const std::string mended = without_pythons_own(row);
    if (mended == row) throw;
    return parse_json(mended, "");
  }
}

struct Named {
  std::string Document::*field;
  std::initializer_list<const char*> keys;
};
const Named kNamed[] = {{&Document::url, {"url", "link", "uri"}},
                        {&Document::title, {"title", "headline"}},
                        {&Document::author, {"author", "by", "authors"}},
                        {&Document::date, {"date", "timestamp", "created", "published", "created_at", "time"}},
                        {&Document::licence, {"license", "licence", "licenses"}},
                        {&Document::language, {"language", "lang"}}};

// Takes the fields out of a row that a document has names for.
void take_named(Json& row, Document& d) {
  for (const Named& named : kNamed)
    for (const char* key : named.keys) {
      const auto it = row.find(key);
      if (it == row.end()) continue;
      std::string value = it->is_string() ? it->get<std::string>() : it->is_number() ? it->dump() : "";
      if (it->is_array() && it->size() == 1 && it->front().is_string()) value = it->front().get<std::string>();
      if (value.empty() || value.size() > 4096) continue;
      d.*named.field = std::move(value);
      row.erase(it);
      break;
    }
}

// What `extra` says to the stages themselves: control tokens in a text, a text that is a page's HTML. A row that has such a key means something else by it.
constexpr const char* kOwnKeys[] = {"control", "html"};

void keep_rest(Json row, Document& d) {
  for (const char* key : kOwnKeys)
    if (const auto it = row.find(key); it != row.end()) {
      row[str("row_", key)] = std::move(*it);
      row.erase(key);
    }
  for (auto it = row.begin(); it != row.end();) {
    if (it->is_null())
      it = row.erase(it);
    else
      ++it;
  }
  if (!row.is_object() || row.empty()) return;
  const bool both = d.extra.is_object();
  if (dump_json(row).size() > kMaxExtra) return;
  if (!both)
    d.extra = std::move(row);
  else
    for (auto& [key, value] : row.items()) d.extra[key] = value;
}

std::string conversation(const Json& row, Document& d) {
  data::Conversation c;
  try {
    c = data::conversation_from_json(row, "row");
  } catch (const Error&) {
    return "no_text";
  }
  std::string text;
  for (const data::Message& m : c.messages) {
    if (trim(m.content).empty()) continue;
    if (!text.empty()) text += "\n\n";
    text += m.content;
  }
  if (text.empty()) return "empty";
  d.text = std::move(text);
  d.extra = {{"messages", data::to_json(c.messages)}};
  return "";
}

bool is_text(const Json& row, const char* key) {
  const auto it = row.find(key);
  return it != row.end() && it->is_string();
}

}  // namespace

std::string document_of_row(Json row, const ReadOptions& options, Document& d) {
  if (!row.is_object()) return "no_object";
  if (options.text_column != "auto") {
    const auto it = row.find(options.text_column);
    if (it == row.end() || !it->is_string()) return "no_text";
    d.text = it->get<std::string>();
    row.erase(it);
    take_named(row, d);
    keep_rest(std::move(row), d);
    return "";
  }
  const bool chat = options.kind == "chat", problems = options.kind == "problems";
  if (!chat && !problems)
    for (const char* key : kTextColumns)
      if (is_text(row, key)) {
        d.text = row[key].get<std::string>();
        row.erase(key);
        take_named(row, d);
        keep_rest(std::move(row), d);
        return "";
      }
  // MATH: problem and solution; a problem's answer alone is too little to learn from
  if (!chat && is_text(row, "problem") && (is_text(row, "solution") || is_text(row, "generated_solution"))) {
    const char* solution = is_text(row, "solution") ? "solution" : "generated_solution";
    const std::string asked = row["problem"].get<std::string>(), said = row[solution].get<std::string>();
    d.kind = "problems";
    d.text = asked + "\n\n" + said;
    d.extra = {{"messages", {{{"role", "user"}, {"content", asked}}, {{"role", "assistant"}, {"content", said}}}}};
    row.erase("problem");
    row.erase(solution);
    keep_rest(std::move(row), d);
    return "";
  }
  const bool question = is_text(row, "question") && is_text(row, "answer");
  const std::string reason = conversation(row, d);
  if (!reason.empty()) return reason;
  d.kind = question ? "problems" : "chat";
  for (const char* key :
       {"messages", "conversations", "prompt", "completion", "instruction", "input", "output", "history", "question", "answer"})
    row.erase(key);
  keep_rest(std::move(row), d);
  return "";
}

namespace {

// A row as text, wherever it comes from. Errors of a single row leave the reader at the next one.
class Rows {
 public:
  virtual ~Rows() = default;
  virtual bool next(std::string& row) = 0;
  virtual int64_t at() const = 0;  // of the row that is read next
  // kUsage that names `file`.
  virtual void check_column(const std::string&, const std::string&) const {}
  virtual bool is_bomb() const { return false; }
  // Of rows that can be counted: only these.
  virtual void only(int64_t, int64_t) {}
};

void check_among(const std::string& file, const std::string& column, const std::vector<std::string>& columns) {
  if (std::ranges::find(columns, column) != columns.end()) return;
  std::string names;
  for (const std::string& name : columns) names += (names.empty() ? "" : ", ") + printable(name);
  fail_usage(printable(file), ": no column '", column, "' (text_column); there are: ", names);
}

struct Lines : Rows {
  data::LineReader reader;
  Lines(Input& input, size_t most) : reader(input.source(), input.name(), most) {}
  bool next(std::string& row) override {
    if (!reader.next(row)) return false;
    while (row.starts_with("\xEF\xBB\xBF")) row.erase(0, 3);  // files that were put together
    return true;
  }
  int64_t at() const override { return reader.position().byte; }
};

struct List : Rows {
  data::JsonListReader reader;
  List(Input& input, size_t most) : reader(input.source(), input.name(), most) {}
  bool next(std::string& row) override { return reader.next(row); }
  int64_t at() const override { return reader.position().byte; }
};

// Tables are often in an encoding of before UTF-8: stretches of lines, each line that is not UTF-8 turned. How a line is turned depends on nothing before it.
class TextStretches {
 public:
  // The place in the input of a line's beginning at byte `at` of the text, which is not more than 64 MiB behind what was read.
  int64_t place(int64_t at) const {
    const auto next = std::ranges::upper_bound(moved_, at, {}, &Moved::turned);
    return next == moved_.begin() ? at : std::prev(next)->stored + at - std::prev(next)->turned;
  }
  explicit TextStretches(Input& input) : input_(input) {}
  size_t read(char* out, size_t n) {
    if (given_ == text_.size() && !more()) return 0;
    n = std::min(n, text_.size() - given_);
    std::copy_n(text_.data() + given_, n, out);
    given_ += n;
    return n;
  }

 private:
  bool more() {
    constexpr size_t kStretch = size_t{1} << 16;
    std::string_view ahead = input_.peek(kStretch).substr(0, kStretch);
    if (const size_t end = ahead.rfind('\n'); end != std::string_view::npos)
      ahead = ahead.substr(0, end + 1);
    else
      ahead.remove_suffix(std::min(text::unfinished_utf8(ahead), ahead.size() - std::min<size_t>(1, ahead.size())));
    given_ = 0;
    text_.clear();
    if (is_utf8(ahead)) {
      text_ = ahead;
    } else {
      for (size_t at = 0; at < ahead.size();) {
        const size_t end = std::min(ahead.find('\n', at), ahead.size() - 1) + 1;
        const std::string_view line = ahead.substr(at, end - at);
        if (is_utf8(line)) {
          text_ += line;
        } else {
          text_ += to_utf8(line);
          moved_.push_back({turned_ + int64_t(text_.size()), input_.at() + int64_t(end)});
        }
        at = end;
      }
    }
    turned_ += int64_t(text_.size());
    while (moved_.size() > 1 && moved_[1].turned < turned_ - kBehind) moved_.pop_front();
    input_.skip(int64_t(ahead.size()));
    return !text_.empty();
  }
  static constexpr int64_t kBehind = int64_t{64} << 20;
  // Behind each turned line, whose size is another: the place in the text and in the input.
  struct Moved {
    int64_t turned, stored;
  };
  Input& input_;
  std::string text_;
  size_t given_ = 0;
  int64_t turned_ = 0;
  std::deque<Moved> moved_;
};

struct Table : Rows {
  TextStretches stretches;
  data::CsvReader reader;
  std::vector<std::string> fields;
  Table(Input& input, data::CsvReader::Kind kind, size_t most)
      : stretches(input),
        reader(data::ByteSource(
                   {.read = [this](char* out, size_t n) { return stretches.read(out, n); }, .seek = [](int64_t) { return false; }},
                   input.name()),
               input.name(), kind, most) {}
  bool next(std::string& row) override {
    if (!reader.next(fields)) return false;
    Json object = Json::object();
    for (size_t i = 0; i < fields.size(); ++i) object[reader.header()[i]] = std::move(fields[i]);
    row = dump_json(object);
    return true;
  }
  int64_t at() const override { return stretches.place(reader.position().byte); }
  void check_column(const std::string& name, const std::string& column) const override { check_among(name, column, reader.header()); }
};

// Arrow wants a file, for it reads here and there: the one on disk, or what a member of an archive holds as one in memory.
class TableInput {
 public:
  explicit TableInput(Input& input) {
    if (!input.path().empty() && is_table(data::first_bytes_of(input.path(), 8))) {
      path_ = input.path();
      size_ = int64_t(std::filesystem::file_size(path_));
      return;
    }
    bool cut = false;
    const std::string bytes = input.rest(size_t(kMaxWholeBytes), cut);
    if (cut) fail("longer than ", kMaxWholeBytes, " bytes, which is too long in an archive");
    file_ = MemoryFile("table", bytes);
    path_ = file_.path();
    size_ = int64_t(bytes.size());
  }
  const std::filesystem::path& path() const { return path_; }
  int64_t size() const { return size_; }

 private:
  static bool is_table(std::string_view bytes) { return data::begins_parquet(bytes) || data::begins_arrow(bytes); }
  MemoryFile file_;
  std::filesystem::path path_;
  int64_t size_ = 0;
};

struct ColumnTable : Rows {
  TableInput file;
  data::TableReader reader;
  int64_t most, given = 0, end = INT64_MAX;
  ColumnTable(Input& input, data::TableForm form, size_t most_bytes)
      : file(input), reader(file.path(), form, most_bytes, data::TableReader::Bytes::kLeftOut), most(int64_t(most_bytes)) {}
  bool next(std::string& row) override {
    if (reader.position().line >= end) return false;
    given += most;  // what a row that is too long has cost
    if (!reader.next(row)) return false;
    given += int64_t(row.size()) - most;
    return true;
  }
  int64_t at() const override { return reader.position().line; }
  void check_column(const std::string& name, const std::string& column) const override { check_among(name, column, reader.columns()); }
  void only(int64_t first, int64_t behind) override {
    if (first > 0) reader.seek({first, first});
    end = behind;
  }
  bool is_bomb() const override { return given > Input::kBombBytes && given / Input::kBombRatio > file.size(); }
};

class RowDocuments : public Reader {
 public:
  using Open = std::unique_ptr<Rows> (*)(Input& input, size_t most);
  RowDocuments(Input input, const Opening& opening, const char* kind, Open open)
      : input_(std::move(input)), opening_(opening), kind_(kind), open_(open) {}

  bool next(Document& d, Counts& counts) override {
    const auto broken = [&](int64_t at, const std::string& reason, size_t bytes) {
      counts.broken(str(input_.name(), "#", at), reason, int64_t(bytes));
    };
    std::string row;
    while (!ended_) {
      const int64_t moved = opening_.first_byte - opening_.head_bytes + reopened_;  // what the rows' places lack
      const int64_t at = rows_ ? rows_->at() + moved : opening_.first_row + opening_.first_byte + reopened_;
      try {
        if (!rows_) open_rows();
        if (!rows_->next(row)) {
          if (goes_on_behind_damage(counts)) continue;
          break;
        }
        if (rows_->is_bomb()) {
          broken(at, "bomb", 0);
          break;
        }
      } catch (const Error& e) {
        if (e.kind() == ErrorKind::kUsage) throw;
        const std::string_view what = e.what();
        const bool stuck = !rows_ || rows_->at() + moved == at;
        const bool table = kind_ == std::string_view("parquet") || kind_ == std::string_view("arrow");
        if (rows_ && rows_->is_bomb()) {
          broken(at, "bomb", 0);
          break;
        }
        // who stands where it stood, or never opened, will not get on
        const bool ends = stuck || (kind_ == std::string_view("json") && what.find("expected") != std::string_view::npos);
        const int64_t bytes = table ? 0 : (ends ? end_of_input() : rows_->at()) + moved - at;
        broken(at,
               what.find("longer than") != std::string_view::npos ? "too_large"
               : stuck && table                                   ? str(kind_, ":damaged")
               : !rows_                                           ? str(kind_, ":header")
                                                                  : "broken_row",
               size_t(std::max<int64_t>(0, bytes)));
        if (!rows_) log_warning("left out: ", what);  // a whole file
        if (ends) break;
        continue;
      }
      if (trim(row).empty()) continue;  // an empty line
      d = {};
      d.source = input_.name();
      d.offset = at;
      d.kind = kind_;
      d.licence = opening_.licence;
      if (int64_t(row.size()) > 2 * opening_.options.max_document_bytes) {
        broken(at, "too_large", row.size());
        continue;
      }
      if (has_too_many_values(row)) {
        broken(at, "too_many_values", row.size());
        continue;
      }
      std::string reason;
      try {
        if (!is_utf8(row)) row = to_utf8(row);
        Json json = parse_python_row(row);
        if (first_ && opening_.options.text_column != "auto" && json.is_object() && !json.contains(opening_.options.text_column))
          fail_usage(input_.name(), ": no key '", opening_.options.text_column, "' (text_column) in its first row");
        first_ = false;
        reason = document_of_row(std::move(json), opening_.options, d);
      } catch (const Error& e) {
        if (e.kind() == ErrorKind::kUsage) throw;
        reason = "broken_row";
      }
      if (reason.empty()) return true;
      broken(at, reason, row.size());
    }
    if (!ended_ && !input_.fault().empty()) broken(input_place(), input_.fault(), 0);
    ended_ = true;
    return false;
  }

 private:
  int64_t input_place() const { return input_.at() + opening_.first_byte - opening_.head_bytes; }

  // Of an input that nobody reads any more.
  int64_t end_of_input() {
    while (const size_t n = input_.peek(Input::kMaxPeek).size()) input_.skip(int64_t(n));
    return input_.at();
  }

  // JSON lines tell by themselves where a row begins, so that the next member's are rows again; a first one that is only the end of a row is a broken one.
  // Of tables it cannot be known whether a line stands inside of quotes.
  bool goes_on_behind_damage(Counts& counts) {
    if (kind_ != std::string_view("jsonl") || utf8_ || input_.fault() != "damaged_packing") return false;
    const std::string where = str(input_.name(), "#", input_place());
    if (!input_.resync()) return false;
    counts.broken(where, "damaged_packing");
    rows_.reset();
    reopened_ = input_.at();
    return true;
  }

  void open_rows() {
    first_ = opening_.first_byte == 0 && reopened_ == 0;
    const std::string_view head = input_.peek(4);
    const bool big = head.starts_with("\xFE\xFF");
    if (first_ && (big || head.starts_with("\xFF\xFE"))) {
      input_.skip(2);
      utf8_ = std::make_unique<Input>(Input::of_utf16(input_, big));
    }
    rows_ = open_(utf8_ ? *utf8_ : input_, size_t(opening_.options.max_document_bytes));
    rows_->only(opening_.first_row, opening_.end_row);
    if (opening_.options.text_column != "auto") rows_->check_column(input_.name(), opening_.options.text_column);
  }

  Input input_;
  Opening opening_;
  const char* kind_;
  Open open_;
  std::unique_ptr<Input> utf8_;  // UTF-16, turned
  std::unique_ptr<Rows> rows_;
  int64_t reopened_ = 0;  // where in the input rows_ begins
  bool first_ = true, ended_ = false;
};

// Something follows the first object of a file: JSON lines that call themselves .json.
bool is_lines(Input& input) {
  std::string_view head = input.peek(Input::kMaxPeek);
  if (head.starts_with("\xEF\xBB\xBF")) head.remove_prefix(3);
  head = trim(head);
  if (!head.starts_with('{')) return !head.starts_with('[');
  int64_t depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < head.size(); ++i) {
    const char c = head[i];
    if (quoted) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      return trim(head.substr(i + 1)).starts_with('{');
    }
  }
  return false;
}

std::unique_ptr<Rows> open_lines(Input& input, size_t most) {
  return std::make_unique<Lines>(input, most);
}
std::unique_ptr<Rows> open_list(Input& input, size_t most) {
  return std::make_unique<List>(input, most);
}
std::unique_ptr<Rows> open_csv(Input& input, size_t most) {
  return std::make_unique<Table>(input, data::CsvReader::Kind::kCsv, most);
}
std::unique_ptr<Rows> open_tsv(Input& input, size_t most) {
  return std::make_unique<Table>(input, data::CsvReader::Kind::kTsv, most);
}
std::unique_ptr<Rows> open_parquet(Input& input, size_t most) {
  return std::make_unique<ColumnTable>(input, data::TableForm::kParquet, most);
}
std::unique_ptr<Rows> open_arrow(Input& input, size_t most) {
  return std::make_unique<ColumnTable>(input, data::TableForm::kArrow, most);
}

std::unique_ptr<Reader> read_table(Input input, const Opening& opening, data::TableForm form) {
  if (const std::string why = data::why_no_tables(input.name(), form); !why.empty()) fail_usage(why);
  const bool parquet = form == data::TableForm::kParquet;
  return std::make_unique<RowDocuments>(std::move(input), opening, parquet ? "parquet" : "arrow", parquet ? open_parquet : open_arrow);
}

bool is_utf16(Input& input) {
  const std::string_view head = input.peek(2);
  return head.starts_with("\xFF\xFE") || head.starts_with("\xFE\xFF");
}

// Cuts as they come up, the first of each part.
class Cuts {
 public:
  explicit Cuts(int64_t part_bytes) : part_bytes_(part_bytes), wanted_(part_bytes) {}
  void may_be(int64_t at, const Input& input) {
    const Input::Member member = input.member_of(at);
    if (member.stored < wanted_) return;
    cuts_.push_back({at, member});
    wanted_ = (member.stored / part_bytes_ + 1) * part_bytes_;
  }
  // Behind the last row there is nothing to be cut off. A bomb is not to be read at all.
  std::vector<RowCut> take(const Input& input) {
    if (!cuts_.empty() && cuts_.back().at >= input.at()) cuts_.pop_back();
    if (input.fault() == "bomb") cuts_.clear();
    return std::move(cuts_);
  }

 private:
  int64_t part_bytes_, wanted_;
  std::vector<RowCut> cuts_;
};

}  // namespace

RowCuts line_cuts(Input input, int64_t part_bytes) {
  if (is_utf16(input)) return {};
  constexpr size_t kStep = size_t{1} << 16;
  Cuts cuts(part_bytes);
  for (std::string_view ahead; !(ahead = input.peek(kStep).substr(0, kStep)).empty();) {
    const size_t end = ahead.rfind('\n');
    const int64_t at = input.at() + int64_t(end) + 1;
    input.skip(int64_t(ahead.size()));
    throw_if_interrupted();
    if (end != std::string_view::npos) cuts.may_be(at, input);
  }
  return {.cuts = cuts.take(input)};
}

RowCuts table_cuts(Input input, const std::string& kind, int64_t part_bytes) {
  if (is_utf16(input)) return {};
  const std::string start(input.peek(Input::kMaxPeek));
  std::optional<Table> table;
  try {
    table.emplace(input, kind == "tsv" ? data::CsvReader::Kind::kTsv : data::CsvReader::Kind::kCsv, size_t(kMaxDocumentBytes));
  } catch (const Error&) {
    return {};  // who reads it says so
  }
  const int64_t head = table->at();
  if (table->reader.looked_ahead() || head == 0 || head > int64_t(start.size()) || start[size_t(head) - 1] != '\n') return {};
  Cuts cuts(part_bytes);
  for (uint64_t n = 1;; ++n) {
    if (n % 4096 == 0) throw_if_interrupted();
    const int64_t before = table->at();
    try {
      if (!table->reader.pass()) break;
    } catch (const Error&) {
      if (table->at() == before) break;
    }
    // what follows has to do with no row before
    if (!table->reader.looked_ahead()) cuts.may_be(table->at(), input);
  }
  return {.head = start.substr(0, size_t(head)), .cuts = cuts.take(input)};
}

std::unique_ptr<Reader> read_jsonl(Input input, const Opening& opening) {
  return std::make_unique<RowDocuments>(std::move(input), opening, "jsonl", open_lines);
}
std::unique_ptr<Reader> read_json(Input input, const Opening& opening) {
  if (is_lines(input)) return read_jsonl(std::move(input), opening);
  return std::make_unique<RowDocuments>(std::move(input), opening, "json", open_list);
}
std::unique_ptr<Reader> read_csv(Input input, const Opening& opening) {
  return std::make_unique<RowDocuments>(std::move(input), opening, "csv", open_csv);
}
std::unique_ptr<Reader> read_tsv(Input input, const Opening& opening) {
  return std::make_unique<RowDocuments>(std::move(input), opening, "tsv", open_tsv);
}
std::unique_ptr<Reader> read_parquet(Input input, const Opening& opening) {
  return read_table(std::move(input), opening, data::TableForm::kParquet);
}
std::unique_ptr<Reader> read_arrow(Input input, const Opening& opening) {
  return read_table(std::move(input), opening, data::TableForm::kArrow);
}

}  // namespace r1::corpus
