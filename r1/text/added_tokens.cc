#include "r1/text/added_tokens.h"

#include <algorithm>
#include <cstring>

#include "r1/text/unicode.h"

namespace r1::text {
namespace {

bool starts_with_word(std::string_view s) {
  if (s.empty()) return false;
  uint32_t cp;
  decode_utf8(s.data(), s.data() + s.size(), &cp);
  return char_flags()[cp] & kWordChar;
}

// Start of the last code point of s (not empty).
size_t last_char(std::string_view s) {
  for (size_t n = std::min<size_t>(4, s.size()); n > 1; --n) {
    uint32_t cp;
    const char* p = s.data() + s.size() - n;
    if (decode_utf8(p, s.data() + s.size(), &cp) == int(n) && cp != kInvalid) return s.size() - n;
  }
  return s.size() - 1;
}

bool ends_with_word(std::string_view s) {
  return !s.empty() && starts_with_word(s.substr(last_char(s)));
}

bool is_space_at(std::string_view s, size_t at, size_t* length) {
  uint32_t cp;
  *length = size_t(decode_utf8(s.data() + at, s.data() + s.size(), &cp));
  return char_flags()[cp] & kSpace;
}

size_t without_trailing_space(std::string_view s) {
  size_t end = s.size(), n;
  while (end > 0) {
    const size_t at = last_char(s.substr(0, end));
    if (!is_space_at(s.substr(0, end), at, &n)) break;
    end = at;
  }
  return end;
}

// Where the next of some bytes is. Few of them are looked for one by one, each as far as its next place only, which takes many bytes of text
// at a time.
class NextOf {
 public:
  NextOf(std::string_view bytes, const char* begin, const char* end) : end_(end) {
    if (bytes.size() > kFew) {
      for (const char b : bytes) is_[uint8_t(b)] = true;
      return;
    }
    for (const char b : bytes) next_[few_++] = {b, find(b, begin)};
  }
  const char* from(const char* p) {
    if (few_ == 0) {
      while (p < end_ && !is_[uint8_t(*p)]) ++p;
      return p;
    }
    const char* nearest = end_;
    for (size_t i = 0; i < few_; ++i) {
      auto& [byte, at] = next_[i];
      if (at < p) at = find(byte, p);
      nearest = std::min(nearest, at);
    }
    return nearest;
  }

 private:
  static constexpr size_t kFew = 4;
  const char* find(char byte, const char* p) const {
    const void* const at = std::memchr(p, byte, size_t(end_ - p));
    return at ? static_cast<const char*>(at) : end_;
  }
  const char* end_;
  bool is_[256] = {};
  size_t few_ = 0;
  std::pair<char, const char*> next_[kFew];
};

size_t leading_space(std::string_view s) {
  size_t at = 0, n;
  while (at < s.size() && is_space_at(s, at, &n)) at += n;
  return at;
}

}  // namespace

// The tree is built from a list of what is still to do, not by recursion: a token may be as long as the file that names it.
AddedTokenMatcher::AddedTokenMatcher(const std::vector<std::string>& contents, std::vector<AddedToken> tokens)
    : tokens_(std::move(tokens)) {
  std::vector<Content> sorted;
  for (size_t i = 0; i < contents.size(); ++i)
    if (!contents[i].empty()) sorted.push_back({contents[i], int32_t(i)});
  std::ranges::sort(sorted);
  nodes_.emplace_back();
  edges_.reserve(1024);
  std::vector<Group> open;
  for (const Edge& edge : children(sorted, {.node = 0, .from = 0, .to = sorted.size(), .depth = 0}, open)) {
    root_[edge.byte] = edge.node;
    starts_ += char(edge.byte);
  }
  while (!open.empty()) {
    Group group = open.back();
    open.pop_back();
    for (; group.from < group.to && sorted[group.from].first.size() == group.depth; ++group.from)
      nodes_[group.node].token = sorted[group.from].second;
    const std::vector<Edge> out = children(sorted, group, open);
    nodes_[group.node].first_edge = uint32_t(edges_.size());
    nodes_[group.node].edges = uint32_t(out.size());
    edges_.insert(edges_.end(), out.begin(), out.end());
  }
  if (sorted.empty()) tokens_.clear();
}

// New nodes for the group's contents by their next byte, each put on the list.
std::vector<AddedTokenMatcher::Edge> AddedTokenMatcher::children(const std::vector<Content>& sorted, const Group& group,
                                                                 std::vector<Group>& open) {
  std::vector<Edge> out;
  for (size_t from = group.from, to; from < group.to; from = to) {
    const uint8_t b = uint8_t(sorted[from].first[group.depth]);
    for (to = from; to < group.to && uint8_t(sorted[to].first[group.depth]) == b;) ++to;
    out.push_back({b, uint32_t(nodes_.size())});
    open.push_back({out.back().node, from, to, group.depth + 1});
    nodes_.emplace_back();
  }
  return out;
}

bool AddedTokenMatcher::longest(const char* p, const char* end, size_t* length, int32_t* token) const {
  const char* const start = p;
  uint32_t node = root_[uint8_t(*p++)];
  *token = -1;
  for (;;) {
    const Node& n = nodes_[node];
    if (n.token >= 0) {
      *token = n.token;
      *length = size_t(p - start);
    }
    if (p == end || n.edges == 0) break;
    const Edge* const first = edges_.data() + n.first_edge;
    const Edge* const e = std::find_if(first, first + n.edges, [b = uint8_t(*p)](const Edge& x) { return x.byte == b; });
    if (e == first + n.edges) break;
    node = e->node;
    ++p;
  }
  return *token >= 0;
}

std::vector<size_t> AddedTokenMatcher::PlainPlaces::within(size_t size) const {
  std::vector<size_t> out;
  for (auto it = std::ranges::lower_bound(at, offset); it != at.end(); ++it) {
    size_t place = *it - offset;
    // The first byte that comes from there.
    if (source)
      place = size_t(std::ranges::upper_bound(*source, place, {}, [](const auto& range) { return range.second; }) - source->begin());
    if (place >= size) break;
    out.push_back(place);
  }
  return out;
}

void AddedTokenMatcher::split(std::string_view text, bool special, const PlainPlaces& plain, std::vector<Part>& parts) const {
  parts.clear();
  size_t done = 0;
  const char* const base = text.data();
  const char* const end = base + text.size();
  const std::vector<size_t> places = plain.within(text.size());
  auto place = places.begin();
  NextOf next(starts_, base, end);
  for (const char* p = base; (p = next.from(p)) < end;) {
    size_t length;
    int32_t index;
    while (place != places.end() && base + *place < p) ++place;
    const char* const limit = place == places.end() ? end : base + *place;
    if (p == limit || !longest(p, limit, &length, &index)) {
      ++p;
      continue;
    }
    const AddedToken& token = tokens_[size_t(index)];
    size_t begin = size_t(p - base), stop = begin + length;
    p += length;
    if (token.special && !special) continue;
    if (token.single_word && (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(stop)))) continue;
    if (token.lstrip) begin = std::max(without_trailing_space(text.substr(0, begin)), done);
    if (token.rstrip) stop += leading_space(text.substr(stop));
    if (done < begin) parts.push_back({nullptr, done, begin});
    parts.push_back({&token, begin, stop});
    done = stop;
  }
  if (done < text.size()) parts.push_back({nullptr, done, text.size()});
}

}  // namespace r1::text
