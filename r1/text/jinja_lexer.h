// Tokens of a chat template. Whitespace rules as jinja2's lexer with trim_blocks and lstrip_blocks: see jinja_lexer.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace r1::text::jinja {

enum class TokenKind : uint8_t {
  kData,
  kBlockBegin,
  kBlockEnd,
  kVariableBegin,
  kVariableEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd
};

struct Token {
  TokenKind kind;
  std::string text;  // of a string: unescaped
  int line;
};

[[noreturn]] void template_error(int line, const std::string& what);
std::vector<Token> tokenize_template(std::string_view source);

}  // namespace r1::text::jinja
