// What is a comment and what is a text in source code, byte by byte: Python, C, C++, Java, JavaScript, TypeScript, Go, Rust. No parser; but what it
// is not sure of (a text that does not end, markup inside of JavaScript, a text inside of a Python f-string in its own quotes) it refuses.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace r1::corpus {

enum class CodeKind { kPython, kC, kCpp, kJava, kJavaScript, kTypeScript, kGo, kRust };
// By the name that the reader of code gives (extra.code), or a common one; none for other languages.
std::optional<CodeKind> code_kind(std::string_view name);

struct CodeSpan {
  enum class Kind { kLineComment, kBlockComment, kText };  // kText: a literal of characters, with its prefix and quotes
  Kind kind;
  size_t begin, end;
  bool formatted = false;  // a Python f-string
  bool directive = false;  // a comment inside of a line of the preprocessor
};

// In their order, without overlaps; what lies between is code. Nothing: the text is not understood.
std::optional<std::vector<CodeSpan>> code_spans(std::string_view code, CodeKind kind);

}  // namespace r1::corpus
