#include "r1/api/code_stop.h"

#include <gtest/gtest.h>

#include <random>

namespace r1::api {
namespace {

constexpr char kCursor[] = "@@";

CodePlace place_of(const std::string& path, const std::string& code) {
  CodePlace place;
  place.path = path;
  place.language = &code_language_of(path);
  const size_t cursor = code.find(kCursor);
  place.prefix = code.substr(0, cursor);
  place.suffix = cursor == std::string::npos ? "" : code.substr(cursor + 2);
  unix_lines(place);
  return place;
}

struct Ended {
  std::string text, reason;
  bool operator==(const Ended&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Ended& e) {
  return out << testing::PrintToString(e.text) << " (" << e.reason << ")";
}

Ended complete(const CodePlace& place, const std::string& completion, size_t piece, CodeStop::Scope scope = CodeStop::Scope::kBlock) {
  CodeStop stop(place, scope);
  std::string text;
  for (size_t at = 0; at < completion.size() && !stop.stopped(); at += piece)
    text += stop.push(std::string_view(completion).substr(at, piece));
  text += stop.finish();
  return {text, stop.reason()};
}

struct Case {
  const char *path, *code, *completion, *text, *reason;
};
class Stop : public testing::TestWithParam<Case> {};

TEST_P(Stop, EndsWhereItShould) {
  const Case& c = GetParam();
  const CodePlace place = place_of(c.path, c.code);
  const Ended expected{c.text, c.reason};
  EXPECT_EQ(complete(place, c.completion, 1 << 20), expected) << c.path << ": " << c.code;
  for (size_t piece : {1, 2, 3, 7})
    EXPECT_EQ(complete(place, c.completion, piece), expected) << c.path << ", pieces of " << piece << ": " << c.code;
}

// Behind the block that was begun at the cursor, or that it is in.
INSTANTIATE_TEST_SUITE_P(
    Blocks, Stop,
    testing::Values(
        Case{"a.py", "def f(x):\n    @@", "y = x\n    return y\n\ndef g():\n    pass\n", "y = x\n    return y", "block"},
        Case{"a.py", "def f(x):@@", "\n    return x\n\n\nprint(f(1))\n", "\n    return x", "block"},
        Case{"a.py", "def f(x):\n@@", "    return x\n# test\nf(1)\n", "    return x", "block"},
        Case{"a.py", "class A:\n    def f(self):\n        @@",
             "if self:\n            return 1\n        else:\n            return 2\n    def g(self):\n        pass",
             "if self:\n            return 1\n        else:\n            return 2", "block"},
        Case{"a.py", "def f(x):\n    if x@@", " > 1:\n        a()\n    elif x:\n        b()\n    else:\n        c()\n    return 2\n",
             " > 1:\n        a()\n    elif x:\n        b()\n    else:\n        c()", "block"},
        Case{"a.py", "import os\n\n@@", "def f():\n    s = '''\nx\n'''\n    return (1 +\n2)\n\ndef g():\n    pass\n",
             "def f():\n    s = '''\nx\n'''\n    return (1 +\n2)", "block"},
        Case{"a.py", "x = @@", "5\ny = 6\n", "5\ny = 6\n", ""},
        Case{"a.py", "def f():\n\t@@", "for i in x:\n\t\tg(i)\n\treturn 1\nf()\n", "for i in x:\n\t\tg(i)\n\treturn 1", "block"},
        Case{"a.js", "function f() {\n  @@", "return 1;\n}\n\nfunction g() {}\n", "return 1;\n}", "block"},
        Case{"a.js", "function f() {\n  if (x) {\n    @@", "a();\n  } else {\n    b();\n  }\n  c();\n}\nd();\n",
             "a();\n  } else {\n    b();\n  }", "block"},
        Case{"a.ts", "const f = (x: number) =>@@", " {\n  return x;\n};\nconst g = 1;\n", " {\n  return x;\n};", "block"},
        Case{"A.java", "class A {\n    int f() @@", "{\n        return 1;\n    }\n\n    int g() { return 2; }\n}\n",
             "{\n        return 1;\n    }", "block"},
        Case{"A.java", "class A {\n  void f() {\n    try {\n      @@", "g();\n    }\n    catch (E e) {\n      h();\n    }\n    i();\n",
             "g();\n    }\n    catch (E e) {\n      h();\n    }", "block"},
        Case{"a.c", "int f(void)@@", "\n{\n  char c = '}';  /* } */\n  return c;\n}\n\nint g(void)\n{\n",
             "\n{\n  char c = '}';  /* } */\n  return c;\n}", "block"},
        Case{"a.cc", "#include <map>\n\n@@", "int f() {\n  return 1;\n}\n\nint main() {\n", "int f() {\n  return 1;\n}", "block"},
        Case{"a.cs", "class A {\n  void F()@@", "\n  {\n    G();\n  }\n\n  void H()\n  {\n", "\n  {\n    G();\n  }", "block"},
        Case{"a.go", "func f() error {\n\tif x {\n\t\t@@", "return nil\n\t}\n\treturn err\n}\n", "return nil\n\t}", "block"},
        Case{"a.rs", "fn f<'a>(x: &'a str) -> usize {\n    @@", "x.len()\n}\n\n#[test]\nfn g() {}\n", "x.len()\n}", "block"},
        Case{"a.rb", "class A\n  def f\n    @@", "[1].each do |x|\n      puts x if x\n    end\n  end\n\n  def g\n  end\nend\n",
             "[1].each do |x|\n      puts x if x\n    end\n  end", "block"},
        Case{"a.php", "<?php\nfunction f($a) {\n    @@", "return $a['}'];\n}\n\nfunction g() {}\n", "return $a['}'];\n}", "block"},
        Case{"a.sh", "f() {\n  @@", "for x in 1 2; do\n    echo \"}\"\n  done\n}\n\ng() {\n", "for x in 1 2; do\n    echo \"}\"\n  done\n}",
             "block"},
        Case{"a.sh", "if [ -f x ]; then\n  @@", "cat x\nelse\n  echo no\nfi\necho more\n", "cat x\nelse\n  echo no\nfi", "block"},
        Case{"notes.txt", "Dear @@", "all,\n\nhello\n", "all,\n\nhello\n", ""}));

// What stands behind the cursor is not written again: brackets, quotes, the rest of the line, lines.
INSTANTIATE_TEST_SUITE_P(
    Suffix, Stop,
    testing::Values(
        Case{"a.js", "function f() {\n  @@\n}\n", "return 1;\n}\n", "return 1;", "block"},
        Case{"a.js", "foo(@@)\n", "bar(1), 2)\nbaz()", "bar(1), 2", "suffix"}, Case{"a.js", "foo(@@)\n", "bar()", "bar()", ""},
        Case{"a.js", "foo(@@\n}\n", "a, b);\n", "a, b);\n", ""}, Case{"a.js", "x = [1, @@];\n", "2, [3]];\ny = 1;", "2, [3]", "suffix"},
        Case{"a.py", "print(\"Hello @@\")\n", "world\")\nprint(1)", "world", "suffix"},
        Case{"a.py", "print(\"@@\")\n", "hi (there)\")\n", "hi (there)", "suffix"},
        Case{"a.py", "print(\"Hello @@\n", "world\")\n", "world\")\n", ""},
        Case{"a.py", "def f():\n    \"\"\"Adds@@\"\"\"\n    pass\n", " two \"numbers\".\"\"\"\n    return", " two \"numbers\".", "suffix"},
        Case{"a.cc", "int x = @@;\nint y = 2;\n", "f(1);\nint z;\n", "f(1)", "line"},
        Case{"a.cc", "if (x@@ == 3) {\n", ".size() == 3) {\n  y();\n", ".size()", "suffix"},
        Case{"a.py", "def f(a):\n    b = 1\n    @@\n    return total / count\n", "total = a + b\n    return total / count\n",
             "total = a + b", "suffix"},
        Case{"a.py", "def f(a):\n    @@return total / count\n", "total = a\n    return total / count\n", "total = a\n    ", "suffix"},
        Case{"a.py", "a = 1\n@@\nfor x in y:\n    g(x)\n", "y = [2]\nfor x in y:\n    g(x)\n    h(x)\n", "y = [2]", "suffix"},
        Case{"a.go", "func f() {\n\ta := 1\n\t@@\n\tfmt.Println(a, b)\n}\n", "b := 2\n\tfmt.Println(a, b)\n}\n", "b := 2", "suffix"},
        Case{"a.js", "if (a) {\n  @@\n}\nelse {\n  c();\n}\n", "if (b) {\n    d();\n  }\n", "if (b) {\n    d();\n  }\n", ""},
        Case{"a.rb", "def f\n  @@\nend\n", "if x\n    1\n  end\nend\n", "if x\n    1\n  end", "block"},
        Case{"a.sh", "if a; then\n  @@\nfi\n", "b\nfi\n", "b", "block"},
        Case{"A.java", "void f() {@@}\n", "\n  g();\n}\nvoid h() {\n", "\n  g();\n", "block"},
        Case{"a.py", "x = {'a': 1, @@}\n", "'b': 2}\n", "'b': 2", "suffix"}));

// Indentation, line ends, loops.
INSTANTIATE_TEST_SUITE_P(Lines, Stop,
                         testing::Values(Case{"a.py", "def f():\n    a = 1\n    @@", "    return a\n", "return a\n", ""},
                                         Case{"a.py", "def f():\n    if a:\n    @@", "    return a\n", "    return a\n", ""},
                                         Case{"a.js", "function f() {\n  a();\n  @@\n}", "  b();\n}", "b();", "block"},
                                         Case{"a.py", "x = f(1,\n      @@", "      2)\n", "      2)\n", ""},
                                         Case{"a.py", "def f():\r\n    a = 1\r\n    @@", "b = 2\n    return b\nf()\n",
                                              "b = 2\r\n    return b", "block"},
                                         Case{"a.py", "a = 1\r@@\nb = 2\r\n", "; c = 3\n", "; c = 3\r\n", ""},
                                         Case{"a.py", "@@", "x = 1\r\ny = 2\r\n", "x = 1\ny = 2\n", ""},
                                         Case{"a.py", "@@", "pass_me()\npass_me()\npass_me()\npass_me()\npass_me()\npass_me()\npass_me()\n",
                                              "pass_me()\npass_me()\npass_me()\npass_me()\npass_me()\npass_me()", "repeat"},
                                         Case{"a.js", "f(@@)", "", "", ""}));

TEST(CodeStop, ScopesOfALineAndOfNothing) {
  const CodePlace place = place_of("a.py", "def f():\n    x = @@\n");
  const std::string completion = "1\n    return x\n\ndef g():\n    pass\n";
  EXPECT_EQ(complete(place, completion, 1, CodeStop::Scope::kLine), (Ended{"1", "line"}));
  EXPECT_EQ(complete(place, completion, 1, CodeStop::Scope::kNone), (Ended{completion, ""}));
  EXPECT_EQ(complete(place_of("a.js", "f(@@)"), "a)", 1, CodeStop::Scope::kNone), (Ended{"a", "suffix"}));
}

TEST(CodeStop, TextComesAsSoonAsItIsCertain) {
  CodeStop stop(place_of("a.py", "def f():\n    @@"), CodeStop::Scope::kBlock);
  EXPECT_EQ(stop.push("return"), "return");
  EXPECT_EQ(stop.push(" "), "");
  EXPECT_EQ(stop.push("1"), " 1");
  EXPECT_EQ(stop.push("\nd"), "");
  EXPECT_TRUE(stop.stopped());
  EXPECT_EQ(stop.push("ef"), "");
  EXPECT_EQ(stop.finish(), "");
}

// Whatever the model writes and wherever the cursor is: pieces of any size give the same text, and that is a prefix of what was written
// (but for indentation taken off in front and \r).
TEST(CodeStop, AnyBytesInAnyPieces) {
  std::mt19937 rng(11);
  const std::vector<std::string> words = {
      "(",  ")",    "{",      "}",  "[",     "]",        "\n",   "\n    ", "\n  ", "\n\t", " ",
      "if", "else", "end",    "do", "def f", ":",        ";",    "\"",     "'",    "`",    "\"\"\"",
      "#",  "//",   "/*",     "*/", "x = 1", "return x", "\r\n", "fi",     "then", "\\",   std::string(1, '\0'),
      "é",  "case", "<<EOF\n"};
  const auto text = [&](int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += words[rng() % words.size()];
    return out;
  };
  std::vector<std::string> paths = {"a.txt"};
  for (const CodeLanguage& language : code_languages()) paths.push_back("a." + std::string(language.extensions[0]));
  for (const std::string& path : paths)
    for (int round = 0; round < 150; ++round) {
      const CodePlace place = place_of(path, text(int(rng() % 20)) + kCursor + text(int(rng() % 20)));
      const std::string completion = text(int(rng() % 40));
      const auto scope = CodeStop::Scope(rng() % 3);
      const Ended whole = complete(place, completion, 1 << 20, scope), bytes = complete(place, completion, 1, scope);
      ASSERT_EQ(bytes, whole) << path << "\nprefix " << testing::PrintToString(place.prefix) << "\nsuffix "
                              << testing::PrintToString(place.suffix) << "\ncompletion " << testing::PrintToString(completion);
      std::string plain, shown;
      for (char c : completion)
        if (c != '\r') plain += c;
      for (char c : whole.text)
        if (c != '\r') shown += c;
      const size_t blanks = plain.find_first_not_of(" \t") == std::string::npos ? plain.size() : plain.find_first_not_of(" \t");
      ASSERT_TRUE(plain.starts_with(shown) || plain.substr(blanks).starts_with(shown)) << testing::PrintToString(plain) << "\n"
                                                                                       << testing::PrintToString(shown);
    }
}

TEST(CodeStop, LongTextsCostNoMoreThanTheirLength) {
  const std::string line(1 << 20, 'a'), lines = [] {
    std::string out;
    for (int i = 0; i < 50000; ++i) out += "    x = [f(" + std::to_string(i) + ")]\n";
    return out;
  }();
  const CodePlace place = place_of("a.py", "def f():\n" + lines + "    " + line + kCursor + line + "\n" + lines);
  EXPECT_EQ(complete(place, lines.substr(4), 4096).reason, "line");
  const CodePlace open = place_of("a.py", "def f():\n    " + std::string(kCursor));
  EXPECT_EQ(complete(open, lines.substr(4), 4096).text.size(), lines.size() - 4);
}

}  // namespace
}  // namespace r1::api
