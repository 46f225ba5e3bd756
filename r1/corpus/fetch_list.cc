#include "r1/corpus/fetch_list.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/strings.h"
#include "r1/data/jsonl.h"

namespace r1::corpus {
namespace {

constexpr size_t kMaxPart = 120, kMaxName = 400, kMaxUrl = 8192;

const std::set<std::string, std::less<>> kPacked = {"gz",  "tgz", "zst", "zstd", "bz2",  "tbz2",    "xz",    "txz", "lzma",
                                                    "zip", "7z",  "tar", "rar",  "warc", "parquet", "arrow", "bin", "epub"};
const std::set<std::string, std::less<>> kData = {"jsonl", "ndjson", "json", "csv", "tsv", "tab", "txt", "md", "mbox", "wet", "wat"};
// What may stand before a packed ending: "a.warc.gz" is a name and two endings.
const std::set<std::string, std::less<>> kInner = {"warc", "wet", "wat", "paths", "xml", "sql", "html", "tex", "tar", "parquet", "cdx"};

std::string_view last_part(std::string_view path) {
  return path.substr(path.rfind('/') + 1);  // npos + 1 == 0
}
std::string ending(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? "" : lower_ascii(name.substr(dot + 1));
}

// Where the endings of a file's name begin: one, or two of a packed one. The name's size if it has none.
size_t endings_at(std::string_view name) {
  const std::string last = ending(name);
  if (!kPacked.contains(last) && !kData.contains(last)) return name.size();
  const size_t dot = name.rfind('.');
  const std::string inner = ending(name.substr(0, dot));
  if (kPacked.contains(last) && (kInner.contains(inner) || kData.contains(inner))) return name.substr(0, dot).rfind('.');
  return dot;
}

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("._~%+=,@-").find(c) != std::string_view::npos;
}

// A part of a path as the name of a file or folder; `changed` if something of it is lost.
std::string safe_part(std::string_view part, bool& changed) {
  std::string out;
  for (const char c : part) out += is_plain(c) ? c : '_';
  if (out.starts_with('.')) out[0] = '_';  // hidden files are left out by readers; "." and ".." go nowhere
  changed |= out != part;
  return out;
}

bool is_hex(std::string_view text, size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// out=NAME: below the folder, and neither hidden nor the folder's own.
void check_name(const std::string& name, const std::string& where) {
  const auto refuse = [&](const char* why) { fail_usage(where, ": out=", printable(name), ": ", why); };
  if (name.empty() || name.size() > kMaxName) refuse("expected a name of at most 400 bytes");
  if (name.front() == '/' || name.back() == '/') refuse("expected a file below --output");
  for (size_t at = 0; at <= name.size();) {
    const size_t end = std::min(name.find('/', at), name.size());
    const std::string_view part = std::string_view(name).substr(at, end - at);
    if (part.empty() || part.front() == '.') refuse("no part of it may be empty or begin with a dot");
    if (part.size() > 200) refuse("a part of it is longer than 200 bytes");
    at = end + 1;
  }
  if (std::ranges::any_of(name, [](unsigned char c) { return c < 0x20 || c == 0x7F || c == '\\'; })) refuse("has control characters");
  if (name == "fetch.jsonl" || name.starts_with("pages/")) refuse("is a name of the folder's own");
}

class ListReader {
 public:
  explicit ListReader(std::string base) : base_(std::move(base)) {
    if (!base_.empty()) base_ = parse_url(base_.ends_with('/') ? base_ : base_ + "/").text;
  }

  void line(std::string_view text, const std::string& where) {
    text = trim(text);
    if (text.empty() || text.front() == '#') return;
    const size_t end = std::min(text.find_first_of(" \t"), text.size());
    FetchItem item;
    item.where = where;
    item.url = url_of(text.substr(0, end), where);
    columns(text.substr(end), item);
    item.data_file = has_data_ending(item.url.path);
    if (!item.named) item.file = file_of_url(item.url);
    add(std::move(item));
  }

  FetchList finish() {
    // a file cannot be a folder of another one's
    std::unordered_map<std::string_view, const FetchItem*> files;
    for (const FetchItem& item : list_.items) {
      const auto [other, fresh] = files.emplace(item.file, &item);
      if (!fresh) refuse(item, *other->second);
    }
    for (const FetchItem& item : list_.items)
      for (size_t at = item.file.find('/'); at != std::string::npos; at = item.file.find('/', at + 1))
        if (const auto other = files.find(std::string_view(item.file).substr(0, at)); other != files.end()) refuse(item, *other->second);
    return std::move(list_);
  }

 private:
  [[noreturn]] static void refuse(const FetchItem& a, const FetchItem& b) {
    fail_usage(a.where, " and ", b.where, ": would become one file, ", a.file, (a.file == b.file ? "" : " in " + b.file),
               "; give one of them a name: out=NAME");
  }

  Url url_of(std::string_view text, const std::string& where) const {
    try {
      if (text.size() > kMaxUrl) fail_usage("a URL of more than ", kMaxUrl, " bytes");
      const bool relative = text.find("://") == std::string_view::npos;
      // a path is below the base, whether it begins with a slash or not
      if (relative && !base_.empty())
        return parse_url(base_ + std::string(text.substr(std::min(text.find_first_not_of('/'), text.size()))));
      return parse_url(text);
    } catch (const Error& error) {
      fail_usage(where, ": ", error.what());
    }
  }

  static void columns(std::string_view text, FetchItem& item) {
    while (!(text = trim(text)).empty()) {
      const size_t end = std::min(text.find_first_of(" \t"), text.size());
      const std::string_view column = text.substr(0, end);
      text.remove_prefix(end);
      const size_t equals = std::min(column.find('='), column.size());
      const std::string_view key = column.substr(0, equals);
      const std::string value(column.substr(std::min(equals + 1, column.size())));
      if (key == "sha256") {
        item.sha256 = lower_ascii(value);
        if (!is_hex(item.sha256, 64)) fail_usage(item.where, ": sha256=", printable(value), ": expected 64 hexadecimal digits");
      } else if (key == "md5") {
        item.md5 = lower_ascii(value);
        if (!is_hex(item.md5, 32)) fail_usage(item.where, ": md5=", printable(value), ": expected 32 hexadecimal digits");
      } else if (key == "out") {
        check_name(value, item.where);
        item.file = value;
        item.named = true;
      } else {
        fail_usage(item.where, ": '", printable(column),
                   "' after the URL: expected sha256=HEX, md5=HEX or out=NAME (a blank in a URL is written %20)");
      }
    }
  }

  void add(FetchItem item) {
    const auto [known, fresh] = by_url_.emplace(item.url.text, list_.items.size());
    if (fresh) {
      list_.items.push_back(std::move(item));
      return;
    }
    const FetchItem& before = list_.items[known->second];
    if (before.sha256 != item.sha256 || before.md5 != item.md5 || before.file != item.file)
      fail_usage(item.where, " and ", before.where, ": the same URL with other columns");
    ++list_.repeated;
  }

  std::string base_;
  FetchList list_;
  std::unordered_map<std::string, size_t> by_url_;
};

}  // namespace

bool has_packed_ending(std::string_view path) {
  return kPacked.contains(ending(last_part(path)));
}
bool has_data_ending(std::string_view path) {
  return endings_at(last_part(path)) < last_part(path).size();
}

std::string file_of_url(const Url& url) {
  bool changed = !url.query.empty() || url.text != url.shown;  // with a password or without may be two things
  std::string folder = safe_part(url.host, changed);
  // https on its own port is the plain case; a host without a dot could be a name of the folder's own
  const bool plain_port = url.scheme == "https" && url.port == "443" && folder.find('.') != std::string::npos;
  if (!plain_port) folder += "_" + url.port;
  changed |= url.scheme == "http" && url.port == "443";

  std::string_view path = url.path;
  path.remove_prefix(std::min<size_t>(1, path.size()));
  const std::string_view last = last_part(path);
  for (std::string_view left = path.substr(0, path.size() - last.size()); !left.empty();) {
    const size_t end = left.find('/');
    std::string part = safe_part(left.substr(0, end), changed);
    left.remove_prefix(end + 1);
    changed |= part.empty() || part.size() > kMaxPart;
    if (part.empty()) continue;
    if (endings_at(part) < part.size()) part += '_', changed = true;  // a folder "a.gz" would be in the way of a file
    folder += "/" + part.substr(0, kMaxPart);
  }
  if (folder.size() > kMaxName - kMaxPart - 12) {
    folder.resize(kMaxName - kMaxPart - 12);
    while (folder.ends_with('/')) folder.pop_back();
    changed = true;
  }

  std::string name = last.empty() ? "index" : safe_part(last, changed);
  const size_t endings = endings_at(name);
  // without an ending of its own a name could be that of a folder
  changed |= last.empty() || endings == name.size() || endings == 0 || name.size() > kMaxPart;
  if (!changed) return folder + "/" + name;
  const std::string tail = name.substr(endings);
  name = name.substr(0, std::min(endings, kMaxPart - std::min(kMaxPart / 2, tail.size())));
  return folder + "/" + name + "-" + sha256(url.text).substr(0, 10) + (tail.size() > kMaxPart / 2 ? "" : tail);
}

FetchList read_fetch_list(const std::vector<std::string>& named, const std::string& base_url) {
  ListReader reader(base_url);
  for (const std::string& name : named) {
    if (name.starts_with("http://") || name.starts_with("https://")) {
      reader.line(name, "'" + printable(name) + "'");
      continue;
    }
    const bool standard = name == "-";
    if (!standard && fs::is_directory(name)) fail_usage(name, ": is a folder, expected a file of URLs");
    data::LineReader lines(standard ? "/dev/stdin" : name);
    const auto place = [&] { return standard ? str("standard input:", lines.position().line) : lines.where(); };
    bool first = true;
    for (std::string line; lines.next(line); first = false) {
      std::string_view text = line;
      if (first && text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
      reader.line(text, place());
    }
  }
  return reader.finish();
}

}  // namespace r1::corpus
