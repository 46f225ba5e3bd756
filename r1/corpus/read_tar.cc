// tar (POSIX ustar and pax, GNU long names and large sizes), streamed: each member by its own kind. The LaTeX files of an archive, as arXiv has
// them, become one document for each file that has a \documentclass, with what it \inputs in its place. In a WebDataset the members that share a
// key ("00017" of 00017.txt, 00017.jpg, 00017.json) are one sample: its text, what its JSON says, and the names of the rest.
#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

#include "r1/base/error.h"
#include "r1/corpus/encoding.h"
#include "r1/corpus/reader_parts.h"
#include "r1/corpus/zip.h"
#include "r1/data/tar.h"
#include "r1/data/webdataset.h"

namespace r1::corpus {
namespace {

using data::kTarBlock;
constexpr int64_t kMaxLatexBytes = int64_t{32} << 20;  // of one archive's LaTeX held together

struct Member : data::TarMember {
  int64_t begin = 0;  // of its bytes in the archive
};

// The members one after another.
class TarMembers {
 public:
  explicit TarMembers(Input& input) : input_(input) {}

  // False at the end. What is no regular file is passed over, with a reason where that loses text.
  bool next(Member& m, Counts& counts) {
    while (true) {
      to(end_);
      const std::string_view block = input_.peek(kTarBlock).substr(0, kTarBlock);
      if (block.empty()) return done(counts);
      if (block.size() < kTarBlock) {
        counts.broken(where(), "truncated");
        input_.skip(int64_t(block.size()));
        return done(counts);
      }
      if (block.find_first_not_of('\0') == std::string_view::npos) {
        input_.skip(kTarBlock);
        end_ = input_.at();
        continue;  // two of them end an archive; another may follow
      }
      if (!data::is_tar_header(block)) {
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
      const std::string_view block = input_.peek(kTarBlock);
      if (block.size() < kTarBlock || data::is_tar_header(block)) break;
      input_.skip(kTarBlock);
    }
    counts.broken(place, "tar:broken_header", input_.at() - from);
    end_ = input_.at();
    return input_.peek(kTarBlock).size() >= kTarBlock;
  }

  bool read_header(const std::string& block, Member& m, Counts& counts) {
    input_.skip(kTarBlock);
    static_cast<data::TarMember&>(m) = headers_.header(block);
    m.begin = input_.at();
    if (m.size < 0) {
      counts.broken(str(input_.name(), "#", m.begin - int64_t(kTarBlock)), "tar:broken_size");
      end_ = m.begin;
      return false;
    }
    if (data::TarHeaders::is_of_next(m)) {
      end_ = data::tar_end(m.begin, m.size);
      std::string text(size_t(std::min<int64_t>(m.size, int64_t(data::kMaxTarName))), '\0');
      size_t have = 0;
      while (have < text.size()) {
        const size_t n = input_.read(text.data() + have, text.size() - have);
        if (n == 0) break;
        have += n;
      }
      text.resize(have);
      headers_.take(m, text);
      return false;
    }
    if (!is_utf8(m.name)) m.name = to_utf8(m.name);
    end_ = data::tar_end(m.begin, m.stored());
    const std::string place = str(input_.name(), "!", shown_name(m.name), "#0");
    if (m.is_folder()) return false;
    if (!m.is_file()) return counts.broken(place, m.type == 'S' ? "tar:sparse" : "tar:no_file"), false;
    if (is_evil_name(m.name.starts_with("./") ? std::string_view(m.name).substr(2) : std::string_view(m.name))) {
      counts.broken(place, "evil_name", m.size);
      return false;
    }
    return true;
  }

  Input& input_;
  int64_t end_ = 0;  // of the member that was read last
  data::TarHeaders headers_;
  bool told_ = false;
};

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
        const data::SampleMember said = data::sample_member(ahead_->name);
        if (said.key.empty()) {
          counts.broken(member_place(), "webdataset:no_sample", ahead_->size);
          ahead_.reset();
          continue;
        }
        if (!sample.members.is_null() && said.key != sample.key) break;
        if (sample.members.is_null()) sample.members = Json::object(), sample.key = said.key, sample.begin = ahead_->begin;
        take(sample, said, counts);
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
    size_t rank = kTexts.size();  // of `text` in kTexts
    Json members = {};
    std::string broken = {};
    std::set<std::string> endings = {};
  };
  // The first of these that a sample has is its text; the others stand among its members.
  static constexpr std::array<std::string_view, 6> kTexts = {"txt", "text", "md", "html", "caption", "transcript"};

  std::string member_place() const { return str(input_.name(), "!", shown_name(ahead_->name), "#0"); }

  void take(Sample& s, const data::SampleMember& said, Counts& counts) {
    using Form = data::SampleMember::Form;
    if (!s.endings.insert(said.ending).second) return counts.broken(member_place(), "webdataset:duplicate", ahead_->size);
    if (said.form == Form::kJsonLines) return counts.broken(member_place(), "webdataset:lines", ahead_->size);
    const bool json = said.ending == "json";
    const auto rank = size_t(std::ranges::find(kTexts, said.ending) - kTexts.begin());
    if (!json && rank >= s.rank) {
      if (s.members.size() < 100) s.members[shown_name(said.ending)] = ahead_->size;
      return;
    }
    if (ahead_->size > opening_.options.max_document_bytes) {
      s.broken = "too_large";
      return;
    }
    Input part = Input::part(input_, ahead_->size, input_.name() + "!" + shown_name(ahead_->name));
    bool cut = false;
    std::string bytes = part.rest(size_t(opening_.options.max_document_bytes), cut);
    if (cut) {
      s.broken = "too_large";
      return;
    }
    if (!part.fault().empty() || input_.at() < ahead_->begin + ahead_->size)
      return counts.broken(member_place(), part.fault().empty() || input_.at_end() ? "truncated" : part.fault(), int64_t(bytes.size()));
    if (json) {
      s.json = std::move(bytes);
      return;
    }
    if (s.rank < kTexts.size() && s.members.size() < 100) s.members[std::string(kTexts[s.rank])] = int64_t(s.text.size());
    s.rank = rank;
    s.text = std::move(bytes);
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
  return data::is_tar_header(head.substr(0, kTarBlock));
}
bool begins_webdataset(std::string_view head) {
  std::vector<data::SampleMember> first;
  data::TarHeaders headers;
  for (size_t at = 0; at < head.size() && data::is_tar_header(head.substr(at)) && first.size() < 2;) {
    const data::TarMember member = headers.header(head.substr(at, kTarBlock));
    at += kTarBlock;
    if (member.size < 0 || member.size > int64_t(head.size())) break;
    if (data::TarHeaders::is_of_next(member))
      headers.take(member, head.substr(std::min(at, head.size()), size_t(member.size)));
    else if (member.is_file() && !member.is_folder())
      first.push_back(data::sample_member(member.name));
    at = size_t(data::tar_end(int64_t(at), data::TarHeaders::is_of_next(member) ? member.size : member.stored()));
  }
  constexpr std::string_view kKnown = " txt caption json cls jpg jpeg png webp gif npy pyd pth mp3 wav flac ogg mp4 webm ";
  const auto known = [&](const std::string& e) { return !e.empty() && kKnown.find(" " + e + " ") != std::string_view::npos; };
  return first.size() == 2 && first[0].key == first[1].key && first[0].ending != first[1].ending && known(first[0].ending) &&
         known(first[1].ending);
}

}  // namespace r1::corpus
