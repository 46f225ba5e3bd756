#include "r1/stages/first_look.h"

#include <algorithm>
#include <cstdio>

#include "r1/base/error.h"
#include "r1/base/progress.h"
#include "r1/base/utf8.h"

namespace r1::stages {

namespace {

void add(FirstLook& look, const data::Document& document, const data::PackOptions& options) {
  const auto n = int64_t(document.ids.size());
  ++look.looked;
  look.tokens += n;
  look.learned += std::count(document.learned.begin(), document.learned.end(), uint8_t{1});
  look.longest = std::max(look.longest, n);
  int64_t kept = n;
  if (n > options.max_tokens && options.strategy != "wrapped") {
    if (options.long_documents == "split") {
      ++look.split;
    } else {
      const bool cut = options.long_documents == "truncate";
      kept = cut ? options.max_tokens : 0;
      ++(cut ? look.cut : look.dropped);
      look.lost_tokens += n - kept;
    }
  }
  look.nothing_to_learn += kept > 0 && !data::has_learned(document, 0, kept);
}

std::string percent(int64_t part, int64_t whole) {
  char text[32];
  const double share = whole > 0 ? 100.0 * double(part) / double(whole) : 0;
  std::snprintf(text, sizeof text, share > 0 && share < 1 ? "%.1f %%" : "%.0f %%", share);
  return text;
}

bool is_continuation(char byte) {
  return (uint8_t(byte) & 0xC0) == 0x80;
}

// Valid UTF-8 on one line.
std::string on_one_line(const std::string& text) {
  std::string out;
  for (const char *p = text.data(), *end = p + text.size(); p < end;) {
    uint32_t code = 0;
    const int n = decode_utf8(p, end, &code);
    if (code == '\n') {
      out += "\\n";
    } else if (code == '\t') {
      out += "\\t";
    } else if (code == kInvalidChar) {
      out += "\uFFFD";
    } else {
      out.append(p, size_t(n));
    }
    p += n;
  }
  return out;
}

}  // namespace

FirstLook look_at(const data::DocumentSource& source, const data::PackOptions& options, int64_t most) {
  FirstLook look;
  look.documents = source.size();
  const int64_t n = std::min(most, look.documents);
  for (int64_t i = 0; i < n; ++i) {
    // i * documents / n without overflow: sizes may be without end.
    const int64_t index = look.documents / n * i + look.documents % n * i / n;
    add(look, source.document(index), options);
  }
  return look;
}

std::string to_words(const FirstLook& look, const data::PackOptions& options) {
  const bool all = look.looked == look.documents;
  std::string out =
      str(look.documents, look.documents == 1 ? " document, " : " documents, ", all ? "" : str("of ", look.looked, " looked at: "),
          look.looked > 0 ? look.tokens / look.looked : 0, " tokens on average, the longest has ", look.longest, "; ",
          percent(look.learned, look.tokens), " of the tokens are learned");
  const auto longer = [&](int64_t number, const char* fate) {
    if (number == 0) return;
    out += str("; ", number, " (", percent(number, look.looked), ") longer than max_length ", options.max_tokens, fate);
  };
  longer(look.cut, " are cut");
  longer(look.dropped, " are dropped");
  longer(look.split, " are split");
  if (look.lost_tokens > 0)
    out += str(", which loses ", human_count(double(look.lost_tokens)), " tokens (", percent(look.lost_tokens, look.tokens), ")");
  if (look.nothing_to_learn > 0) out += str("; ", look.nothing_to_learn, " have nothing to learn in them and are left out");
  return out;
}

std::string rendered(const text::Tokenizer& tokenizer, const std::vector<int32_t>& ids, const std::vector<uint8_t>& learned,
                     size_t columns) {
  // Cut where learning begins and ends, so that a character of several tokens stays whole inside a part.
  std::string text;
  for (size_t begin = 0, end; begin < ids.size(); begin = end) {
    const bool on = begin < learned.size() && learned[begin];
    for (end = begin + 1; end < ids.size() && (end < learned.size() && learned[end]) == on; ++end) {
    }
    std::string part;
    for (size_t i = begin; i < end; ++i)
      if (tokenizer.known(ids[i])) part += tokenizer.token_bytes(ids[i]);
    part = on_one_line(part);
    text += on ? "{+" + part + "+}" : part;
  }
  if (text.size() <= columns) return text;
  size_t head = columns * 2 / 3, tail = text.size() - columns / 3;
  while (head > 0 && is_continuation(text[head])) --head;
  while (tail < text.size() && is_continuation(text[tail])) ++tail;
  return str(text.substr(0, head), " [.. ", tail - head, " bytes ..] ", text.substr(tail));
}

}  // namespace r1::stages
