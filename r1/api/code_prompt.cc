#include "r1/api/code_prompt.h"

#include <algorithm>

#include "r1/api/characters.h"
#include "r1/base/error.h"
#include "r1/base/strings.h"

namespace r1::api {
namespace {

using text::TokenId;
using text::Tokenizer;

// A family's spellings. `more`: other control tokens that end a completion.
struct Family {
  const char *name, *prefix, *suffix, *middle, *repository, *file;
  bool suffix_first = false, path_in_prefix = false;
  std::vector<const char*> more = {};
};
const std::vector<Family>& families() {
  static const std::vector<Family> all = {
      {"qwen",
       "<|fim_prefix|>",
       "<|fim_suffix|>",
       "<|fim_middle|>",
       "<|repo_name|>",
       "<|file_sep|>",
       false,
       false,
       {"<|fim_pad|>", "<|endoftext|>", "<|im_end|>", "<|cursor|>"}},
      {"codegemma",
       "<|fim_prefix|>",
       "<|fim_suffix|>",
       "<|fim_middle|>",
       nullptr,
       "<|file_separator|>",
       false,
       false,
       {"<eos>", "<end_of_turn>"}},
      {"starcoder",
       "<fim_prefix>",
       "<fim_suffix>",
       "<fim_middle>",
       "<repo_name>",
       "<file_sep>",
       false,
       true,
       {"<fim_pad>", "<|endoftext|>", "<issue_start>", "<jupyter_start>"}},
      {"starcoder",
       "<fim_prefix>",
       "<fim_suffix>",
       "<fim_middle>",
       "<reponame>",
       "<filename>",
       false,
       true,
       {"<fim_pad>", "<|endoftext|>", "<gh_stars>", "<issue_start>", "<jupyter_start>"}},
      {"santacoder", "<fim-prefix>", "<fim-suffix>", "<fim-middle>", nullptr, nullptr, false, false, {"<fim-pad>", "<|endoftext|>"}},
      {"deepseek",
       "<｜fim▁begin｜>",
       "<｜fim▁hole｜>",
       "<｜fim▁end｜>",
       nullptr,
       nullptr,
       false,
       false,
       {"<｜end▁of▁sentence｜>", "<|EOT|>", "<｜begin▁of▁sentence｜>"}},
      {"codellama", "▁<PRE>", "▁<SUF>", "▁<MID>", nullptr, nullptr, false, false, {"▁<EOT>", "</s>"}},
      {"codestral", "[PREFIX]", "[SUFFIX]", "[MIDDLE]", nullptr, nullptr, true, false, {"</s>"}},
      {"glm", "<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>", nullptr, nullptr, false, false, {"<|endoftext|>", "<|user|>"}},
      {"seed", "<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>", nullptr, nullptr, true, false, {"<[end▁of▁sentence]>"}},
  };
  return all;
}

// -1 if the vocabulary lacks it. A spelling that is no token of its own there would come as several.
TokenId id_of(const Tokenizer& tokenizer, const char* spelling) {
  if (!spelling) return -1;
  return tokenizer.token_id(spelling).value_or(-1);
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  for (size_t at = 0;;) {
    const size_t end = text.find('\n', at);
    if (end == std::string_view::npos) {
      lines.push_back(text.substr(at));
      return lines;
    }
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
}

int64_t count_lines(std::string_view text) {
  return std::ranges::count(text, '\n') + 1;
}

// Where control tokens are spelled in ordinary text: no added token begins there.
std::vector<size_t> spelled_in(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::string_view> contents;
  bool first[256] = {};
  for (const text::AddedToken& token : tokenizer.added_tokens()) {
    const std::string_view c = token.content;
    // Runs of blanks and the like are ordinary text that has a token of its own.
    if (c.size() < 3 || !std::ranges::any_of(c, [](char x) { return x == '<' || x == '[' || x == '|'; })) continue;
    contents.push_back(c);
    first[uint8_t(c[0])] = true;
  }
  std::vector<size_t> at;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!first[uint8_t(text[i])]) continue;
    const std::string_view rest = text.substr(i);
    if (std::ranges::any_of(contents, [&](std::string_view c) { return rest.starts_with(c); })) at.push_back(i);
  }
  return at;
}

text::Encoding encode_offsets(const Tokenizer& tokenizer, std::string_view text) {
  const std::vector<size_t> plain = spelled_in(tokenizer, text);
  return tokenizer.encode_with_offsets(text, {.plain_at = plain});
}

bool only_closes(std::string_view words) {
  return words.find_first_not_of(")]};,:") == std::string_view::npos || words == "end" || words == "fi" || words == "done" ||
         words == "esac";
}

// Opening minus closing brackets, texts and comments not looked at: good enough for heads and imports of several lines.
int bracket_sum(std::string_view line) {
  int sum = 0;
  for (char c : line) sum += (c == '(' || c == '[' || c == '{') - (c == ')' || c == ']' || c == '}');
  return sum;
}

// A head or an import that has brackets open at its line's end goes on to where they close.
size_t group_end(std::span<const std::string_view> lines, size_t first, bool braces_count) {
  int open = 0;
  for (size_t i = first; i < std::min(lines.size(), first + 40); ++i) {
    std::string_view line = lines[i];
    if (!braces_count && trim(line).ends_with('{')) line = line.substr(0, line.rfind('{'));
    open += bracket_sum(line);
    if (open <= 0) return i + 1;
  }
  return first + 1;
}

// Which lines of a prefix that is too long stay.
class Chooser {
 public:
  using Lines = std::span<const std::string_view>;
  Chooser(const CodeLanguage& language, Lines lines, std::span<const int64_t> costs, int64_t budget)
      : language_(language), lines_(lines), costs_(costs), keep_(lines.size(), false), left_(std::max<int64_t>(budget - costs.back(), 0)) {
    keep_.back() = true;
  }

  const std::vector<bool>& choose() {
    // A quarter is for what is far away and matters; what of it is not needed goes to lines that are near.
    const int64_t purse = left_ / 4;
    left_ -= purse;
    take_near();
    left_ += purse;
    take_heads();
    for (size_t i = 0; i < near_ && left_ > 0; ++i)
      if (is_import(language_, lines_[i])) take_group(i, true);
    take_near();
    return keep_;
  }

 private:
  void take_near() {
    while (near_ > 0 && (keep_[near_ - 1] || costs_[near_ - 1] <= left_)) {
      --near_;
      if (!keep_[near_]) left_ -= costs_[near_];
      keep_[near_] = true;
    }
  }
  // Whole or not at all.
  void take_group(size_t first, bool braces_count) {
    const size_t end = group_end(lines_, first, braces_count);
    int64_t cost = 0;
    for (size_t i = first; i < end; ++i) cost += keep_[i] ? 0 : costs_[i];
    if (cost > left_) return;
    left_ -= cost;
    std::fill(keep_.begin() + int64_t(first), keep_.begin() + int64_t(end), true);
  }
  // Of the definitions around the cursor, from the inside out: each line above that is indented less than all below it.
  void take_heads() {
    const std::string_view cursor = lines_.back();
    int indent = cursor.empty() ? -1 : indent_of(cursor);
    for (size_t i = lines_.size() - 1; i > 0 && indent != 0; --i) {
      const std::string_view words = trim(lines_[i - 1]);
      if (words.empty() || only_closes(words) || (!language_.comment.empty() && words.starts_with(language_.comment))) continue;
      const int here = indent_of(lines_[i - 1]);
      if (indent >= 0 && here >= indent) continue;  // below 0: an empty line, which is as deep as the one above
      take_group(i - 1, false);
      indent = here;
    }
  }

  const CodeLanguage& language_;
  const Lines lines_;
  const std::span<const int64_t> costs_;
  std::vector<bool> keep_;
  int64_t left_;                     // what lines beside the last may cost
  size_t near_ = lines_.size() - 1;  // from here on all are kept, whatever is further up
};

}  // namespace

std::optional<FimTokens> find_fim_tokens(const Tokenizer& tokenizer) {
  for (const Family& f : families()) {
    FimTokens t{.family = f.name,
                .prefix = id_of(tokenizer, f.prefix),
                .suffix = id_of(tokenizer, f.suffix),
                .middle = id_of(tokenizer, f.middle),
                .repository = id_of(tokenizer, f.repository),
                .file = id_of(tokenizer, f.file),
                .suffix_first = f.suffix_first,
                .path_in_prefix = f.path_in_prefix,
                .stop_ids = {}};
    // Codestral has no token behind the prefix; its completion begins there.
    const bool needs_middle = std::string_view(f.name) != "codestral";
    if (t.prefix < 0 || t.suffix < 0 || (needs_middle && t.middle < 0)) continue;
    if (f.file && t.file < 0) {
      // Another row with the same three tokens may know this vocabulary's names for files.
      const auto better = [&](const Family& g) {
        return &g != &f && std::string_view(g.prefix) == f.prefix && g.file && id_of(tokenizer, g.file) >= 0;
      };
      if (std::ranges::any_of(families(), better)) continue;
    }
    if (!needs_middle) t.middle = -1;
    for (TokenId id : {t.prefix, t.suffix, t.middle, t.repository, t.file})
      if (id >= 0) t.stop_ids.push_back(id);
    for (const char* spelling : f.more)
      if (const TokenId id = id_of(tokenizer, spelling); id >= 0) t.stop_ids.push_back(id);
    for (TokenId id : tokenizer.end_ids()) t.stop_ids.push_back(id);
    std::ranges::sort(t.stop_ids);
    t.stop_ids.erase(std::ranges::unique(t.stop_ids).begin(), t.stop_ids.end());
    return t;
  }
  return std::nullopt;
}

std::vector<TokenId> encode_plain(const Tokenizer& tokenizer, std::string_view text) {
  const std::vector<size_t> plain = spelled_in(tokenizer, text);
  return tokenizer.encode(text, {.plain_at = plain});
}

std::vector<size_t> choose_prefix_lines(const CodeLanguage& language, std::span<const std::string_view> lines,
                                        std::span<const int64_t> costs, int64_t budget) {
  check(!lines.empty() && lines.size() == costs.size(), "[code] expected a cost a line");
  const size_t n = lines.size();
  int64_t total = 0;
  for (int64_t cost : costs) total += cost;
  const std::vector<bool> keep = total <= budget ? std::vector<bool>(n, true) : Chooser(language, lines, costs, budget).choose();
  std::vector<size_t> kept;
  for (size_t i = 0; i < n; ++i)
    if (keep[i]) kept.push_back(i);
  return kept;
}

namespace {

// One prompt on its way.
class Builder {
 public:
  Builder(const CodePlace& place, const Tokenizer& tokenizer, const CodePromptOptions& options)
      : place_(place), tokenizer_(tokenizer), options_(options), fim_(find_fim_tokens(tokenizer)) {}

  CodePrompt build() {
    if (options_.budget < 16) fail_usage("[code] budget: expected at least 16 tokens, got ", options_.budget);
    if (tokenizer_.add_bos() && tokenizer_.bos_id()) put(*tokenizer_.bos_id());
    if (fim_) {
      with_suffix();
    } else {
      put(side(place_.prefix, room(0), true));
      for (TokenId id : tokenizer_.end_ids()) out_.stop_ids.push_back(id);
      if (!place_.suffix.empty())
        out_.note = "the model's vocabulary has no fill-in-the-middle tokens: it went on from the prefix and has not seen the suffix";
      if (!place_.files.empty()) out_.dropped_files = int64_t(place_.files.size());
    }
    return std::move(out_);
  }

 private:
  void put(TokenId id) {
    if (id >= 0) out_.ids.push_back(id);
  }
  void put(const std::vector<TokenId>& ids) { out_.ids.insert(out_.ids.end(), ids.begin(), ids.end()); }
  // Tokens that are left beside what is there already and `reserved`.
  int64_t room(int64_t reserved) const {
    return options_.trim ? std::max<int64_t>(options_.budget - int64_t(out_.ids.size()) - reserved, 0) : int64_t{1} << 60;
  }

  void with_suffix() {
    out_.family = fim_->family;
    out_.stop_ids = fim_->stop_ids;
    std::vector<TokenId> own_name;  // of the cursor's file, where there are others to tell it from
    if (!place_.files.empty() && !place_.path.empty() && fim_->file >= 0)
      own_name = encode_plain(tokenizer_, first_line(place_.path) + "\n");
    if (options_.trim && int64_t(own_name.size()) > options_.budget / 16) own_name.clear();
    const int64_t fixed = 3 + (own_name.empty() ? 0 : 1 + int64_t(own_name.size()));
    // The sides' own sizes first: what both leave is for other files, so that these never push out what is near.
    const int64_t both = room(fixed);
    const int64_t suffix_part = options_.trim ? std::max<int64_t>(int64_t(double(both) * options_.suffix_share), 1) : both;
    std::vector<TokenId> suffix = side(place_.suffix, suffix_part, false);
    std::vector<TokenId> prefix = side(place_.prefix, both - (options_.trim ? int64_t(suffix.size()) : 0), true);
    if (out_.dropped_suffix_lines > 0 && int64_t(prefix.size() + suffix.size()) < both) {
      out_.dropped_suffix_lines = 0;
      suffix = side(place_.suffix, both - int64_t(prefix.size()), false);
    }
    const std::vector<TokenId> files = other_files(fixed + int64_t(prefix.size() + suffix.size()));
    if (fim_->file >= 0)
      put(files);
    else
      prefix.insert(prefix.begin(), files.begin(), files.end());
    if (!own_name.empty()) {
      put(fim_->file);
      if (!fim_->path_in_prefix) put(own_name);
    }
    if (fim_->path_in_prefix) prefix.insert(prefix.begin(), own_name.begin(), own_name.end());
    const auto put_part = [&](TokenId id, const std::vector<TokenId>& ids) {
      put(id);
      put(ids);
    };
    if (fim_->suffix_first) {
      put_part(fim_->suffix, suffix);
      put_part(fim_->prefix, prefix);
    } else {
      put_part(fim_->prefix, prefix);
      put_part(fim_->suffix, suffix);
    }
    put(fim_->middle);
  }

  static std::string first_line(const std::string& text) { return text.substr(0, std::min(text.find('\n'), text.size())); }

  // The other files that fit whole, in the order given, least important first so that the most important stands next to the cursor; the
  // first that does not fit gives its beginning.
  std::vector<TokenId> other_files(int64_t reserved) {
    int64_t left = room(reserved);
    std::vector<std::vector<TokenId>> parts;
    std::vector<TokenId> name;
    if (fim_->repository >= 0 && !place_.files.empty() && !place_.repository.empty()) {
      name = encode_plain(tokenizer_, first_line(place_.repository) + (fim_->path_in_prefix ? "" : "\n"));
      name.insert(name.begin(), fim_->repository);
      if (int64_t(name.size()) > left / 4) name.clear();
      left -= int64_t(name.size());
    }
    for (const CodeFile& file : place_.files) {
      std::vector<TokenId> part;
      if (fim_->file >= 0) part.push_back(fim_->file);
      const std::string head =
          (fim_->file >= 0 ? "" : std::string(comment()) + (comment().size() > 1 ? " " : "")) + first_line(file.path) + "\n";
      const std::vector<TokenId> head_ids = encode_plain(tokenizer_, head);
      part.insert(part.end(), head_ids.begin(), head_ids.end());
      const int64_t text_room = left - int64_t(part.size());
      if (text_room < 8) {
        ++out_.dropped_files;
        continue;
      }
      const int64_t before = out_.dropped_suffix_lines;
      const std::vector<TokenId> text = side(file.text.ends_with('\n') ? file.text : file.text + "\n", text_room, false);
      if (out_.dropped_suffix_lines > before) ++out_.dropped_files;
      out_.dropped_suffix_lines = before;
      part.insert(part.end(), text.begin(), text.end());
      left -= int64_t(part.size());
      parts.push_back(std::move(part));
    }
    std::vector<TokenId> all = name;
    for (size_t i = parts.size(); i > 0; --i) all.insert(all.end(), parts[i - 1].begin(), parts[i - 1].end());
    return all;
  }

  std::string_view comment() const { return place_.language->comment.empty() ? "#" : place_.language->comment; }

  // Ids of the prefix (`before` the cursor) or the suffix within `room`; counts the lines that are left out.
  std::vector<TokenId> side(std::string_view whole, int64_t room, bool before) {
    int64_t& dropped = before ? out_.dropped_prefix_lines : out_.dropped_suffix_lines;
    if (!options_.trim) return encode_plain(tokenizer_, whole);
    if (room <= 0) {
      dropped += whole.empty() ? 0 : count_lines(whole);
      return {};
    }
    // What is further away than this many bytes can hardly be within the budget; heads and imports still can.
    const size_t window = size_t(std::min<int64_t>(room, 1 << 20)) * 16 + 256;
    if (whole.size() <= window) {
      std::vector<TokenId> ids = encode_plain(tokenizer_, whole);
      if (int64_t(ids.size()) <= room) return ids;
    }
    std::string kept =
        before ? near_and_heads(both_ends(last_bytes_of_line(whole, window)), window, room) : near(first_bytes(whole, window), room);
    std::vector<TokenId> ids = encode_plain(tokenizer_, kept);
    // Tokens may reach over the seams of lines, so a line less may be needed. A line that is all there is loses its far end.
    while (int64_t(ids.size()) > room) {
      const int64_t over = int64_t(ids.size()) - room;
      if (const size_t newline = kept.find('\n'); newline != std::string::npos && (before || kept.find('\n') != kept.rfind('\n')))
        kept = before ? kept.substr(newline + 1) : kept.substr(0, kept.rfind('\n', kept.size() - 2) + 1);
      else
        kept = shorter(kept, over, before);
      ids = encode_plain(tokenizer_, kept);
    }
    dropped +=
        before ? count_lines(whole) - count_lines(kept) + (whole_last_line(whole, kept) ? 0 : 1) : lines_in(whole.substr(kept.size()));
    return ids;
  }

  // The text, or of a last line that is longer than `window` bytes only these.
  static std::string_view last_bytes_of_line(std::string_view text, size_t window) {
    const size_t newline = text.rfind('\n');
    size_t at = newline == std::string_view::npos ? 0 : newline + 1;
    if (text.size() - at <= window) return text;
    at = text.size() - window;
    while (at < text.size() && (uint8_t(text[at]) & 0xc0) == 0x80) ++at;
    return text.substr(at);
  }
  // Of a very long text the whole lines of its beginning, where imports are, and of its end.
  static std::string both_ends(std::string_view text) {
    constexpr size_t kBeginning = 64 << 10, kEnd = 1 << 20;
    if (text.size() <= kBeginning + kEnd) return std::string(text);
    const size_t first = text.rfind('\n', kBeginning), last = text.find('\n', text.size() - kEnd);
    if (last == std::string_view::npos) return std::string(text);
    return std::string(text.substr(0, first == std::string_view::npos ? 0 : first + 1)) + std::string(text.substr(last + 1));
  }
  static bool whole_last_line(std::string_view whole, std::string_view kept) {
    const size_t newline = whole.rfind('\n');
    return kept.size() >= whole.size() - (newline == std::string_view::npos ? 0 : newline + 1);
  }
  static int64_t lines_in(std::string_view text) { return text.empty() ? 0 : count_lines(text) - (text.ends_with('\n') ? 1 : 0); }

  // Without its far end's `over` tokens or more; at least a character less.
  std::string shorter(const std::string& text, int64_t over, bool before) const {
    const text::Encoding e = encode_offsets(tokenizer_, text);
    const size_t n = e.ids.size(), cut = size_t(std::min<int64_t>(over, int64_t(n)));
    const auto inside = [&](size_t at) { return at < text.size() && (uint8_t(text[at]) & 0xc0) == 0x80; };
    if (before) {
      size_t at = cut < n ? std::max<size_t>(e.offsets[cut].first, 1) : text.size();
      while (inside(at)) ++at;
      return text.substr(at);
    }
    size_t at = cut < n ? std::min<size_t>(e.offsets[n - cut].first, text.size() - 1) : 0;
    while (at > 0 && inside(at)) --at;
    return text.substr(0, at);
  }

  // The suffix's first lines that fit.
  std::string near(std::string_view text, int64_t room) const {
    const text::Encoding e = encode_offsets(tokenizer_, text);
    if (int64_t(e.ids.size()) <= room) return std::string(text.substr(0, whole_lines_end(text)));
    const size_t end = e.offsets[size_t(room)].first;
    const size_t newline = end > 0 ? text.rfind('\n', end - 1) : std::string_view::npos;
    return std::string(text.substr(0, newline == std::string_view::npos ? std::min(text.find('\n'), text.size()) : newline + 1));
  }
  static size_t whole_lines_end(std::string_view text) {
    const size_t newline = text.rfind('\n');
    return newline == std::string_view::npos ? text.size() : newline + 1;
  }

  std::string near_and_heads(const std::string& text, size_t window, int64_t room) const {
    const std::string_view whole = text;
    // Lines in the window, and of those before it the ones that may be heads or imports.
    const std::vector<std::string_view> lines = split_lines(whole);
    std::vector<int64_t> costs(lines.size(), 0);
    const size_t begin = whole.size() > window ? whole.size() - window : 0;
    size_t first = 0;  // the first line that begins in the window
    while (first + 1 < lines.size() && size_t(lines[first].data() - whole.data()) < begin) ++first;
    const size_t from = size_t(lines[first].data() - whole.data());
    const text::Encoding e = encode_offsets(tokenizer_, whole.substr(from));
    size_t line = first;
    for (const auto& [b, end] : e.offsets) {
      while (line + 1 < lines.size() && from + b >= size_t(lines[line + 1].data() - whole.data())) ++line;
      ++costs[line];
    }
    // Further up a byte is taken for a token: never too little.
    for (size_t i = 0; i < first; ++i) costs[i] = int64_t(lines[i].size()) + 1;
    std::string kept;
    for (size_t i : choose_prefix_lines(*place_.language, lines, costs, room)) {
      kept += lines[i];
      if (i + 1 < lines.size()) kept += '\n';
    }
    return kept;
  }

  const CodePlace& place_;
  const Tokenizer& tokenizer_;
  const CodePromptOptions& options_;
  const std::optional<FimTokens> fim_;
  CodePrompt out_;
};

}  // namespace

CodePrompt make_code_prompt(const CodePlace& place, const Tokenizer& tokenizer, const CodePromptOptions& options) {
  return Builder(place, tokenizer, options).build();
}

}  // namespace r1::api
