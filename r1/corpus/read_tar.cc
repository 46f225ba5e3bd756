// tar (POSIX ustar and pax, GNU long names and large sizes), streamed: each member by its own kind. The LaTeX files of an archive, as arXiv has
// them, become one document for each file that has a \documentclass, with what it \inputs in its place. In a WebDataset the members that share a
// key ("00017" of 00017.txt, 00017.jpg, 00017.json) are one sample: its text, what its JSON says, and the names of the rest.
#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <set>

#include "r1/base/error.h"
#include "r1/corpus/encoding.h"
#include "r1/corpus/reader_parts.h"
#include "r1/corpus/zip.h"

namespace r1::corpus {
namespace {

constexpr size_t kBlock = 512;
constexpr int64_t kMaxLatexBytes = int64_t{32} << 20;  // of one archive's LaTeX held together
constexpr size_t kMaxName = size_t{1} << 16;

struct Member {
  std::string name;
  int64_t size = 0, begin = 0;  // of its bytes in the archive
  char type = '0';
};

// An octal number, or, above 8 GiB, GNU's binary one; -1 if it is neither.
int64_t tar_number(std::string_view field) {
  if (!field.empty() && (uint8_t(field[0]) & 0x80)) {
    int64_t value = uint8_t(field[0]) & 0x3F;
    if (uint8_t(field[0]) & 0x40) return -1;
    for (const char c : field.substr(1)) {
      if (value >> 54) return -1;
      value = value << 8 | uint8_t(c);
    }
    return value;
  }
  int64_t value = 0;
  bool any = false;
  for (const char c : field) {
    if (c == ' ' && !any) continue;
    if (c < '0' || c > '7') break;
    value = value * 8 + (c - '0');
    any = true;
  }
  return any ? value : -1;
}

bool is_tar_header(std::string_view block) {
  if (block.size() < kBlock) return false;
  int64_t sum = 0, signed_sum = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    const bool own = i >= 148 && i < 156;
    sum += own ? ' ' : uint8_t(block[i]);
    signed_sum += own ? ' ' : int8_t(block[i]);
  }
  const int64_t said = tar_number(block.substr(148, 8));
  return block[0] != '\0' && (said == sum || said == signed_sum);
}

std::string_view until_zero(std::string_view field) {
  return field.substr(0, field.find('\0'));
}

// The members one after another.
class TarMembers {
 public:
  explicit TarMembers(Input& input) : input_(input) {}

  // False at the end. What is no regular file is passed over, with a reason where that loses text.
  bool next(Member& m, Counts& counts) {
    while (true) {
      to(end_);
      const std::string_view block = input_.peek(kBlock).substr(0, kBlock);
      if (block.empty()) return done(counts);
      if (block.size() < kBlock) {
        counts.broken(where(), "truncated");
        input_.skip(int64_t(block.size()));
        return done(counts);
      }
      if (block.find_first_not_of('\0') == std::string_view::npos) {
        input_.skip(kBlock);
        end_ = input_.at();
        continue;  // two of them end an archive; another may follow
      }
      if (!is_tar_header(block)) {
        if (!resync(counts)) return done(counts);
        continue;
      }
      if (read_header(std::string(block), m, counts)) return true;
    }
  }

 private:
  std::string where() const { return str(input_.name(), "#", input_.at()); }
  void to(int64_t place) {
    if (place > input_.at()) input_.skip(place - input_.at());
  }
  bool done(Counts& counts) {
    if (!input_.fault().empty() && !told_) counts.broken(where(), input_.fault());
    told_ = true;
    return false;
  }
  bool resync(Counts& counts) {
    const std::string place = where();
    const int64_t from = input_.at();
    while (true) {
      const std::string_view block = input_.peek(kBlock);
      if (block.size() < kBlock || is_tar_header(block)) break;
      input_.skip(kBlock);
    }
    counts.broken(place, "tar:broken_header", input_.at() - from);
    end_ = input_.at();
    return input_.peek(kBlock).size() >= kBlock;
  }

  bool read_header(const std::string& block, Member& m, Counts& counts) {
    const std::string_view b = block;
    input_.skip(kBlock);
    m = {};
    m.begin = input_.at();
    m.type = b[156] == '\0' ? '0' : b[156];
    m.size = tar_number(b.substr(124, 12));
    const std::string header_place = str(input_.name(), "#", m.begin - int64_t(kBlock));
    if (m.size < 0) {
      counts.broken(header_place, "tar:broken_size");
      end_ = m.begin;
      return false;
    }
    const bool special = m.type == 'L' || m.type == 'K' || m.type == 'x' || m.type == 'g' || m.type == 'X';
    if (special) {
      end_ = rounded(m.begin, m.size);
      std::string text(size_t(std::min<int64_t>(m.size, int64_t(kMaxName))), '\0');
      size_t have = 0;
      while (have < text.size()) {
        const size_t n = input_.read(text.data() + have, text.size() - have);
        if (n == 0) break;
        have += n;
      }
      text.resize(have);
      if (m.type == 'L')
        long_name_ = until_zero(text);
      else if (m.type == 'x' || m.type == 'X')
        pax(text);
      return false;
    }
    std::string name(until_zero(b.substr(0, 100)));
    if (b.substr(257, 5) == "ustar" && b[345] != '\0') name = std::string(until_zero(b.substr(345, 155))) + "/" + name;
    if (!long_name_.empty()) name = long_name_;
    if (pax_size_ >= 0) m.size = pax_size_;
    long_name_.clear();
    pax_size_ = -1;
    m.name = is_utf8(name) ? name : to_utf8(name);
    const bool file = m.type == '0' || m.type == '7';
    end_ = file || m.type == 'S' ? rounded(m.begin, m.size) : m.begin;  // links and folders have no bytes, whatever they say
    const std::string place = str(input_.name(), "!", shown_name(m.name), "#0");
    if (m.type == '5' || m.name.ends_with('/')) return false;
    if (!file) return counts.broken(place, m.type == 'S' ? "tar:sparse" : "tar:no_file"), false;
    if (is_evil_name(m.name.starts_with("./") ? std::string_view(m.name).substr(2) : std::string_view(m.name))) {
      counts.broken(place, "evil_name", m.size);
      return false;
    }
    return true;
  }
  static int64_t rounded(int64_t begin, int64_t size) {
    constexpr int64_t kMost = INT64_MAX / 4;
    return begin + (std::min(size, kMost) + int64_t(kBlock) - 1) / int64_t(kBlock) * int64_t(kBlock);
  }

  // "30 path=dir/file\n20 size=123\n"
  void pax(std::string_view text) {
    while (!text.empty()) {
      size_t length = 0, i = 0;
      while (i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])) && i < 8) length = length * 10 + size_t(text[i++] - '0');
      if (length <= i + 1 || length > text.size()) return;
      std::string_view record = text.substr(i + 1, length - i - 2);
      text.remove_prefix(length);
      const size_t equals = record.find('=');
      if (equals == std::string_view::npos) continue;
      const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
      if (key == "path") long_name_ = value;
      if (key == "size") {
        int64_t size = 0;
        for (const char c : value.substr(0, 18)) size = std::isdigit(static_cast<unsigned char>(c)) ? size * 10 + (c - '0') : size;
        pax_size_ = size;
      }
    }
  }

  Input& input_;
  int64_t end_ = 0;  // of the member that was read last
  std::string long_name_;
  int64_t pax_size_ = -1;
  bool told_ = false;
};

// dir/00017.seg.txt: "dir/00017" and "seg.txt" (the WebDataset rule: up to the first dot of the name).
std::pair<std::string, std::string> key_of(const std::string& name) {
  const size_t slash = name.rfind('/') + 1;
  const size_t dot = name.find('.', slash);
  if (dot == std::string::npos) return {name, ""};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

class Tar : public Reader {
 public:
  Tar(Input input, const Opening& opening) : input_(std::move(input)), opening_(opening), members_(input_) { ++opening_.depth; }

  bool next(Document& d, Counts& counts) override {
    while (true) {
      if (reader_) {
        if (reader_->next(d, counts)) return true;
        reader_.reset();
        if (truncated_by_parent()) counts.broken(member_place(), "truncated");
      }
      if (!ended_) {
        if (members_.next(member_, counts))
          open(counts);
        else
          ended_ = true;
        continue;
      }
      if (!latex(d, counts)) return false;
      if (!d.text.empty()) return true;
    }
  }

 private:
  std::string member_place() const { return input_.name() + "!" + shown_name(member_.name) + "#0"; }
  bool truncated_by_parent() { return input_.at_end() && input_.at() < member_.begin + member_.size; }

  void open(Counts& counts) {
    Opening inner = opening_;
    const std::string name = input_.name() + "!" + shown_name(member_.name);
    if (opening_.depth > kMaxArchiveDepth) return counts.broken(name + "#0", "too_deep", member_.size);
    Input part = Input::part(input_, member_.size, name);
    const std::string kind = kind_of_input(part);
    if (kind == "latex" && latex_bytes_ < kMaxLatexBytes) {
      bool cut = false;
      std::string bytes = part.rest(size_t(opening_.options.max_document_bytes), cut);
      if (cut) return counts.broken(name + "#0", "too_large", member_.size);
      if (is_binary(bytes)) return counts.broken(name + "#0", "binary", member_.size);
      latex_bytes_ += int64_t(bytes.size());
      latex_[member_.name] = with_plain_line_ends(to_utf8(bytes));
      return;
    }
    // what its form needs as a whole is read so
    if (kind == "json" || kind == "zip" || kind == "epub" || kind == "pdf") {
      bool cut = false;
      std::string bytes = part.rest(size_t(kMaxWholeBytes / 2), cut);
      if (cut) return counts.broken(name + "#0", "too_large", member_.size);
      part = Input::memory(std::move(bytes), name);
    }
    try {
      reader_ = open_input(std::move(part), inner);
      if (!reader_) counts.broken(name + "#0", "unknown_kind", member_.size);
    } catch (const Error&) {
      counts.broken(name + "#0", "refused_kind", member_.size);
    }
  }

  // Documents of the archive's LaTeX. False: there are no more.
  bool latex(Document& d, Counts& counts) {
    if (!latex_begun_) {
      latex_begun_ = true;
      for (const auto& [name, text] : latex_)
        if (is_latex_document(text)) mains_.push_back(name);
      if (mains_.empty())
        for (const auto& [name, text] : latex_) mains_.push_back(name);
    }
    while (latex_at_ < mains_.size()) {
      const std::string name = mains_[latex_at_++];
      d = {};
      used_.insert(name);
      int64_t budget = opening_.options.max_document_bytes;
      const std::string whole = with_inputs(latex_[name], name, 0, budget);
      if (budget <= 0) {
        counts.broken(input_.name() + "!" + shown_name(name) + "#0", "too_large");
        continue;
      }
      d.text = text_of_latex(whole, d);
      if (d.text.empty()) {
        counts.broken(input_.name() + "!" + shown_name(name) + "#0", "empty", int64_t(whole.size()));
        continue;
      }
      d.source = input_.name() + "!" + shown_name(name);
      d.kind = "latex";
      d.licence = opening_.licence;
      return true;
    }
    for (const auto& [name, text] : latex_)
      if (!used_.contains(name)) counts.broken(input_.name() + "!" + shown_name(name) + "#0", "latex:not_used", int64_t(text.size()));
    latex_.clear();
    d.text.clear();
    return false;
  }
  std::string with_inputs(const std::string& text, const std::string& from, int depth, int64_t& budget) {
    constexpr int kDeep = 16;  // a file that inputs itself ends here
    std::string out;
    size_t at = 0;
    for (LatexInput in = next_latex_input(text, 0); !in.name.empty() && budget > 0; in = next_latex_input(text, in.end)) {
      const std::string folder = from.substr(0, from.rfind('/') + 1);
      auto found = latex_.end();
      for (const std::string& name : {in.name, in.name + ".tex", folder + in.name, folder + in.name + ".tex"})
        if (found == latex_.end()) found = latex_.find(name.starts_with("./") ? name.substr(2) : name);
      out.append(text, at, in.begin - at);
      if (found != latex_.end() && depth < kDeep) {
        used_.insert(found->first);
        out += with_inputs(found->second, found->first, depth + 1, budget);
      }
      at = in.end;
    }
    out.append(text, at, std::string::npos);
    budget -= int64_t(text.size());
    return out;
  }

  Input input_;
  Opening opening_;
  TarMembers members_;
  Member member_;
  std::unique_ptr<Reader> reader_;
  std::map<std::string, std::string> latex_;
  std::set<std::string> used_;
  std::vector<std::string> mains_;
  int64_t latex_bytes_ = 0;
  size_t latex_at_ = 0;
  bool ended_ = false, latex_begun_ = false;
};

class WebDataset : public Reader {
 public:
  WebDataset(Input input, const Opening& opening) : input_(std::move(input)), opening_(opening), members_(input_) {}

  bool next(Document& d, Counts& counts) override {
    while (true) {
      Sample sample;
      while (true) {
        if (!ahead_ && !ended_) {
          Member m;
          if (members_.next(m, counts))
            ahead_ = m;
          else
            ended_ = true;
        }
        if (!ahead_) break;
        const auto [key, what] = key_of(ahead_->name);
        if (!sample.members.is_null() && key != sample.key) break;
        if (sample.members.is_null()) sample.members = Json::object(), sample.key = key, sample.begin = ahead_->begin;
        take(sample, what, counts);
        ahead_.reset();
      }
      if (sample.members.is_null()) return false;
      const std::string reason = document(sample, d);
      if (reason.empty()) return true;
      counts.broken(str(input_.name(), "!", shown_name(sample.key), "#", sample.begin), reason);
    }
  }

 private:
  struct Sample {
    std::string key, text, json;
    int64_t begin = 0;
    Json members = {};
    std::string broken = {};
  };

  void take(Sample& s, const std::string& what, Counts& counts) {
    const bool text = what == "txt" || what == "text" || what == "caption" || what == "md" || what == "html", json = what == "json";
    if (!text && !json) {
      if (s.members.size() < 100) s.members[shown_name(what)] = ahead_->size;
      return;
    }
    if (ahead_->size > opening_.options.max_document_bytes) {
      s.broken = "too_large";
      return;
    }
    std::string bytes(size_t(ahead_->size), '\0');
    size_t have = 0;
    while (have < bytes.size()) {
      const size_t n = input_.read(bytes.data() + have, bytes.size() - have);
      if (n == 0) break;
      have += n;
    }
    if (have < bytes.size()) {
      counts.broken(str(input_.name(), "!", shown_name(ahead_->name), "#0"), "truncated", int64_t(have));
      return;
    }
    (json ? s.json : s.text) = std::move(bytes);
  }

  std::string document(Sample& s, Document& d) const {
    if (!s.broken.empty()) return s.broken;
    if (s.text.empty() && s.json.empty()) return "webdataset:no_text";
    d = {};
    d.kind = "webdataset";
    Json row = nullptr;
    if (!s.json.empty()) {
      try {
        row = parse_json(s.json, "");
      } catch (const Error&) {
        return "broken_row";
      }
    }
    if (s.text.empty()) {
      const std::string reason = document_of_row(std::move(row), opening_.options, d);
      if (!reason.empty()) return reason;
    } else {
      if (is_binary(s.text)) return "binary";
      d.text = with_plain_line_ends(to_utf8(s.text));
      if (row.is_object() && s.json.size() < 65'536) {
        for (const auto& [name, field] : {std::pair{"url", &Document::url}, {"title", &Document::title}, {"license", &Document::licence}})
          if (const auto it = row.find(name); it != row.end() && it->is_string()) d.*field = it->get<std::string>();
        d.extra = std::move(row);
      }
    }
    d.kind = "webdataset";
    d.source = input_.name() + "!" + shown_name(s.key);
    d.offset = s.begin;
    if (d.licence.empty()) d.licence = opening_.licence;
    if (d.extra.is_null()) d.extra = Json::object();
    d.extra["key"] = shown_name(s.key);
    if (!s.members.empty()) d.extra["members"] = s.members;
    return "";
  }

  Input input_;
  Opening opening_;
  TarMembers members_;
  std::optional<Member> ahead_;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<Reader> read_tar(Input input, const Opening& opening) {
  return std::make_unique<Tar>(std::move(input), opening);
}
std::unique_ptr<Reader> read_webdataset(Input input, const Opening& opening) {
  return std::make_unique<WebDataset>(std::move(input), opening);
}

bool begins_tar(std::string_view head) {
  return is_tar_header(head.substr(0, kBlock));
}
bool begins_webdataset(std::string_view head) {
  std::string first_key;
  std::vector<std::string> endings;
  for (size_t at = 0; is_tar_header(head.substr(std::min(at, head.size()))) && endings.size() < 2;) {
    const std::string_view block = head.substr(at, kBlock);
    const int64_t size = tar_number(block.substr(124, 12));
    if (size < 0 || size > int64_t(head.size())) break;
    if (block[156] == '0' || block[156] == '\0') {
      const auto [key, what] = key_of(std::string(until_zero(block.substr(0, 100))));
      if (endings.empty())
        first_key = key;
      else if (key != first_key)
        return false;
      endings.push_back(what);
    }
    at += kBlock + (size_t(size) + kBlock - 1) / kBlock * kBlock;
  }
  constexpr std::string_view kKnown = " txt caption json cls jpg jpeg png webp gif npy pyd pth mp3 wav flac ogg mp4 webm ";
  const auto known = [&](const std::string& e) { return !e.empty() && kKnown.find(" " + e + " ") != std::string_view::npos; };
  return endings.size() == 2 && endings[0] != endings[1] && known(endings[0]) && known(endings[1]);
}

}  // namespace r1::corpus
