#include "r1/verify/judge/extract.h"

#include <algorithm>
#include <cctype>

#include "r1/base/strings.h"
#include "r1/verify/judge/language.h"

namespace r1::verify::judge {
namespace {

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    out.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return out;
}

// The part that may hold an answer; nullopt: a thought that never ended.
std::optional<std::string_view> answer_part(std::string_view text) {
  const size_t closed = text.rfind("</think>"), opened = text.rfind("<think>");
  if (opened != std::string_view::npos && (closed == std::string_view::npos || closed < opened)) return std::nullopt;
  if (closed != std::string_view::npos) text.remove_prefix(closed + 8);
  const size_t begin = text.rfind("<answer>");
  if (begin == std::string_view::npos) return text;
  text.remove_prefix(begin + 8);
  return text.substr(0, text.find("</answer>"));
}

struct Fence {
  char mark = 0;  // 0: no fence
  size_t length = 0;
  std::string_view info;
};
Fence fence_of(std::string_view line) {
  const size_t begin = line.find_first_not_of(' ');
  if (begin == std::string_view::npos || begin > 3 || (line[begin] != '`' && line[begin] != '~')) return {};
  const size_t end = std::min(line.find_first_not_of(line[begin], begin), line.size());
  if (end - begin < 3) return {};
  const std::string_view info = trim(line.substr(end));
  if (line[begin] == '`' && info.find('`') != std::string_view::npos) return {};
  return {line[begin], end - begin, info};
}

std::string tag_of(std::string_view info) {
  if (!info.empty() && info.front() == '{') info.remove_prefix(1);  // {.python}
  if (!info.empty() && info.front() == '.') info.remove_prefix(1);
  std::string tag(info.substr(0, info.find_first_of(" \t{},:")));
  for (char& c : tag) c = char(std::tolower(static_cast<unsigned char>(c)));
  return tag;
}

struct Block {
  std::string code, tag;
};
// "```", then "python" on a line of its own: small models write that.
void tag_by_first_line(Block& block) {
  const size_t end = block.code.find('\n');
  const std::string tag = end == std::string::npos || !block.tag.empty() ? "" : tag_of(trim(std::string_view(block.code).substr(0, end)));
  if (tag.empty() || trim(std::string_view(block.code).substr(0, end)).size() != tag.size() || !find_language(tag)) return;
  block.tag = tag;
  block.code.erase(0, end + 1);
}

// All fenced blocks; `before`: the text in front of the first fence; `open`: the last one is not closed.
std::vector<Block> blocks_of(std::string_view text, std::string& before, bool& is_open) {
  std::vector<Block> out;
  Fence open;
  for (const std::string_view line : lines_of(text)) {
    const Fence fence = fence_of(line);
    if (open.mark == 0) {
      if (fence.mark != 0) {
        open = fence;
        out.push_back({"", tag_of(fence.info)});
      } else if (out.empty()) {
        before += line;
      }
    } else if (fence.mark == open.mark && fence.length >= open.length && fence.info.empty()) {
      open = {};
    } else {
      out.back().code += line;
    }
  }
  is_open = open.mark != 0;
  for (Block& block : out) tag_by_first_line(block);
  return out;
}

bool fits(const Block& block, std::string_view language) {
  if (language.empty() || block.tag.empty()) return true;
  const Language* found = find_language(block.tag);
  return found && found->name == language;
}

std::string_view first_word(std::string_view line) {
  size_t end = 0;
  while (end < line.size() && (std::isalnum(static_cast<unsigned char>(line[end])) || line[end] == '_')) ++end;
  return line.substr(0, end);
}

bool begins_as_code(std::string_view line) {
  const std::string_view word = first_word(line);
  if (!line.empty() && line[0] == '@') return true;
  if (word == "from") return line.find(" import ") != std::string_view::npos;
  return (word == "def" || word == "class" || word == "import" || word == "async") && line.size() > word.size() && line[word.size()] == ' ';
}

bool may_follow_code(std::string_view line) {
  if (trim(line).empty() || line[0] == ' ' || line[0] == '\t' || line[0] == '#' || line[0] == ')' || line[0] == ']' || line[0] == '}')
    return true;
  if (begins_as_code(line)) return true;
  const std::string_view word = first_word(line);
  for (const char* statement : {"if", "for", "while", "try", "except", "finally", "else", "elif", "with", "print", "assert", "return"})
    if (word == statement) return true;
  // An assignment or a call: "x = ..", "main()".
  const std::string_view rest = line.substr(word.size());
  return !word.empty() && !rest.empty() &&
         (rest[0] == '(' || rest[0] == '.' || rest[0] == '[' || rest.starts_with(" = ") || rest.starts_with(": ") ||
          rest.starts_with(" += "));
}

std::string bare_code(std::string_view text) {
  std::string out;
  bool begun = false;
  for (const std::string_view line : lines_of(text)) {
    begun = begun || begins_as_code(line);
    if (!begun) continue;
    if (!may_follow_code(line)) break;
    out += line;
  }
  return out;
}

}  // namespace

bool defines(std::string_view code, std::string_view name) {
  for (std::string_view line : lines_of(code)) {
    if (line.starts_with("async ")) line.remove_prefix(6);
    for (const std::string_view word : {std::string_view("def "), std::string_view("class ")}) {
      if (!line.starts_with(word)) continue;
      const std::string_view rest = line.substr(std::min(line.find_first_not_of(' ', word.size()), line.size()));
      if (first_word(rest) == name) return true;
    }
  }
  return false;
}

std::optional<ExtractedCode> extract_code(std::string_view completion, std::string_view language, std::string_view wanted) {
  const auto part = answer_part(completion);
  if (!part) return std::nullopt;
  std::string before;
  bool is_open = false;
  const std::vector<Block> blocks = blocks_of(*part, before, is_open);
  if (!wanted.empty() && !blocks.empty() && blocks[0].tag.empty() && defines(before, wanted)) return ExtractedCode{before, "", true};
  // One fence, never closed, with code in front of it: the one that should have opened it is missing.
  if (blocks.size() == 1 && is_open && blocks[0].tag.empty() && wanted.empty() && (language.empty() || language == "python"))
    if (std::string code = bare_code(before); !trim(code).empty()) return ExtractedCode{std::move(code), "", true};
  // What it defines comes before its tag, its tag before its place: an untagged block after the program is most often its output.
  const auto rank = [&](const Block& block) { return (!wanted.empty() && defines(block.code, wanted) ? 2 : 0) + !block.tag.empty(); };
  const Block* chosen = nullptr;
  for (const Block& block : blocks) {
    if (!fits(block, language) || trim(block.code).empty()) continue;
    if (!chosen || rank(block) >= rank(*chosen)) chosen = &block;
  }
  if (chosen) return ExtractedCode{chosen->code, chosen->tag, true};
  if (!blocks.empty() || (language != "python" && !language.empty())) return std::nullopt;
  std::string bare = bare_code(*part);
  if (trim(bare).empty()) return std::nullopt;
  return ExtractedCode{std::move(bare), "", false};
}

std::string cut_continuation(std::string_view completion) {
  std::string out;
  bool begun = false;
  for (const std::string_view line : lines_of(completion)) {
    const bool blank = trim(line).empty();
    const bool inside = blank || line[0] == ' ' || line[0] == '\t';
    if (fence_of(line).mark != 0) break;
    if (begun && !inside && line[0] != '#' && line[0] != ')' && line[0] != ']' && line[0] != '}') break;
    begun = begun || !blank;
    out += line;
  }
  return out;
}

}  // namespace r1::verify::judge
