// mbox (RFC 4155; mboxrd's ">From " is undone) and single messages (.eml). A message begins with a line "From <sender> <date>" at the file's
// beginning or behind an empty line.
#include <algorithm>
#include <cctype>

#include "r1/base/error.h"
#include "r1/corpus/mime.h"
#include "r1/corpus/reader_parts.h"

namespace r1::corpus {
namespace {

class Mbox : public Reader {
 public:
  Mbox(Input input, const Opening& opening) : input_(std::move(input)), opening_(opening) {}

  bool next(Document& d, Counts& counts) override {
    while (message()) {
      const std::string where = str(input_.name(), "#", begin_);
      if (too_large_) {
        counts.broken(where, "too_large", int64_t(bytes_.size()));
        continue;
      }
      d = {};
      d.source = input_.name();
      d.offset = begin_;
      d.kind = "mbox";
      d.licence = opening_.licence;
      const std::string reason = document_of_mail(bytes_, {.quotes = opening_.options.mail_quotes}, d);
      if (reason.empty()) return true;
      counts.broken(where, reason, int64_t(bytes_.size()));
    }
    if (!ended_ && !input_.fault().empty()) counts.broken(str(input_.name(), "#", input_.at()), input_.fault());
    ended_ = true;
    return false;
  }

 private:
  // The next message into bytes_, without its From line.
  bool message() {
    bytes_.clear();
    too_large_ = false;
    const size_t most = size_t(opening_.options.max_document_bytes) * 2;  // base64 and what is attached
    bool empty_before = true, any = false, cut = false;
    begin_ = input_.at();
    std::string line;
    while (true) {
      const std::string_view ahead = input_.peek(1024).substr(0, 1024);
      if (ahead.empty()) break;
      if (empty_before && begins_mbox(ahead.substr(0, ahead.find('\n')))) {
        if (any) break;
        begin_ = input_.at();
        input_.until('\n', line, 1000, cut);
        any = true;
        empty_before = false;
        continue;
      }
      input_.until('\n', line, most, cut);
      const bool blank = line == "\n" || line == "\r\n";
      if (!any && blank) continue;
      any = true;
      empty_before = blank;
      if (cut || bytes_.size() + line.size() > most) too_large_ = true;
      if (too_large_) continue;
      const size_t quotes = line.find_first_not_of('>');
      bytes_ +=
          quotes != std::string::npos && quotes > 0 && std::string_view(line).substr(quotes).starts_with("From ") ? line.substr(1) : line;
    }
    return any;
  }

  Input input_;
  Opening opening_;
  std::string bytes_;
  int64_t begin_ = 0;
  bool too_large_ = false, ended_ = false;
};

}  // namespace

// "From someone@x Thu Jan  1 00:00:00 1970": a word, and behind it a month, a time of day and a year. ("From here on 12:30 ..." in a body, which
// few writers quote, is not one.)
bool begins_mbox(std::string_view line) {
  line = line.substr(0, line.find('\n'));
  if (!line.starts_with("From ") || line.size() > 300) return false;
  const auto digit = [&](size_t i) { return i < line.size() && std::isdigit(static_cast<unsigned char>(line[i])); };
  bool month = false, time = false, year = false;
  for (size_t i = 6; i < line.size(); ++i) {
    if (line[i - 1] != ' ') continue;
    constexpr std::string_view kMonths = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec ";
    month |= i + 3 < line.size() && line[i + 3] == ' ' && kMonths.find(line.substr(i, 4)) % 4 == 0;
    time |= digit(i) && ((digit(i + 1) && line.substr(i + 2).starts_with(':') && digit(i + 3)) ||
                         (line.substr(i + 1).starts_with(':') && digit(i + 2)));
    year |= digit(i) && digit(i + 1) && digit(i + 2) && digit(i + 3) && !digit(i + 4);
  }
  return month && time && year;
}

std::unique_ptr<Reader> read_mbox(Input input, const Opening& opening) {
  return std::make_unique<Mbox>(std::move(input), opening);
}

}  // namespace r1::corpus
