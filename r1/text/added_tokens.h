// Finds added tokens in text: at each place the longest, from the left, with HF's rules for single words and for the spaces a token
// swallows on its sides.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "r1/text/tokenizer.h"

namespace r1::text {

class AddedTokenMatcher {
 public:
  AddedTokenMatcher() = default;
  // `contents[i]` is what to look for (the token's text, normalized if the token asks for that), `tokens[i]` what it is.
  AddedTokenMatcher(const std::vector<std::string>& contents, std::vector<AddedToken> tokens);

  bool empty() const { return tokens_.empty(); }

  struct Part {
    const AddedToken* token;  // null: plain text
    size_t begin, end;
  };
  // Places that no token may begin at or reach over, as sorted byte positions of the text that was given to the tokenizer. What is cut
  // here is that text from `offset` on, or a normalized form of it with the range in it that each byte comes from.
  struct PlainPlaces {
    std::span<const size_t> at;
    size_t offset = 0;
    const std::vector<std::pair<uint32_t, uint32_t>>* source = nullptr;
    // The places as positions in what is cut, which has `size` bytes.
    std::vector<size_t> within(size_t size) const;
  };
  // Cuts the text; special tokens are left in the plain text unless `special`, and a plain place is left where it is.
  void split(std::string_view text, bool special, const PlainPlaces& plain, std::vector<Part>& parts) const;

 private:
  struct Node {
    uint32_t first_edge = 0, edges = 0;
    int32_t token = -1;
  };
  struct Edge {
    uint8_t byte;
    uint32_t node;
  };
  using Content = std::pair<std::string_view, int32_t>;
  struct Group {  // contents [from, to) of the sorted ones, which share their first `depth` bytes, and their node
    uint32_t node;
    size_t from, to, depth;
  };
  std::vector<Edge> children(const std::vector<Content>& sorted, const Group& group, std::vector<Group>& open);
  bool longest(const char* p, const char* end, size_t* length, int32_t* token) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
  uint32_t root_[256] = {};
  std::string starts_;  // the bytes that contents begin with
};

}  // namespace r1::text
