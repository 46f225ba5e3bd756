// Comments out of code, and other names for Python's variables: cases that strippers are known to break, and the Python library before Python's
// own compiler (tests/oracles/augment_code.py).
#include "r1/corpus/augment_code.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/base/utf8.h"
#include "r1/text/unicode.h"
#include "tests/corpus/reader_support.h"

namespace r1::corpus {
namespace {

std::string strip(std::string_view code, const char* language, const StripOptions& options = {}) {
  const auto kind = code_kind(language);
  EXPECT_TRUE(kind) << language;
  const auto out = strip_comments(code, *kind, options);
  if (!out) return "-";
  const auto again = strip_comments(out->code, *kind, options);
  EXPECT_FALSE(again) << "a second time: " << again->code;
  return out->code;
}

TEST(StripComments, TextsAreNoComments) {
  EXPECT_EQ(strip("url = \"http://a.b/#x\"  # c\n", "Python"), "url = \"http://a.b/#x\"\n");
  EXPECT_EQ(strip("char* u = \"http://x\"; // it's\nint a; /* \" */ int b;\n", "C"), "char* u = \"http://x\";\nint a; int b;\n");
  EXPECT_EQ(strip("auto r = R\"x(// )\" */)x\"; /* c */\n", "C++"), "auto r = R\"x(// )\" */)x\";\n");
  EXPECT_EQ(strip("int n = 1'000'000; // '\n", "C++"), "int n = 1'000'000;\n");
  EXPECT_EQ(strip("char c = '\"'; // \"\nchar d = '\\''; // '\n", "C"), "char c = '\"';\nchar d = '\\'';\n");
  EXPECT_EQ(strip("String s = \"\"\"\n  // in\n  \"\"\"; // out\n", "Java"), "String s = \"\"\"\n  // in\n  \"\"\";\n");
  EXPECT_EQ(strip("s := `// in`; r := '\"' // out\n", "Go"), "s := `// in`; r := '\"'\n");
  EXPECT_EQ(strip("let s = r#\"// \" in\"#; // out\nfn f<'a>(x: &'a str) -> char { '\"' } // out\n", "Rust"),
            "let s = r#\"// \" in\"#;\nfn f<'a>(x: &'a str) -> char { '\"' }\n");
  EXPECT_EQ(strip("a /* 1 /* 2 */ 3 */ b\n", "Rust"), "a b\n");
  EXPECT_EQ(
      strip("const a = /\\/\\//; // out\nconst b = /[/\"]/.test(x); // out\nlet c = n / 2; // out\nlet d = (n) / 2 // out\n", "JavaScript"),
      "const a = /\\/\\//;\nconst b = /[/\"]/.test(x);\nlet c = n / 2;\nlet d = (n) / 2\n");
  EXPECT_EQ(strip("let t = `a ${ f(`// ${x /* out */}`) } // in`; // out\n", "TypeScript"), "let t = `a ${ f(`// ${x }`) } // in`;\n");
  EXPECT_EQ(strip("#include <a//b.h> // out\n#error don't // out\n", "C"), "#include <a//b.h>\n#error don't\n");
}

TEST(StripComments, LinesAndStatementsStayApart) {
  EXPECT_EQ(strip("a = 1\n# alone\n\nb = 2\n", "Python"), "a = 1\n\nb = 2\n");
  EXPECT_EQ(strip("return /* a\n b */ 1\n", "JavaScript"), "return \n1\n");
  EXPECT_EQ(strip("int/**/a;\n", "C"), "int a;\n");
  EXPECT_EQ(strip("#define X /* a\n b */ 1\n", "C"), "#define X 1\n");
  EXPECT_EQ(strip("// a \\\n still\nint b;\n", "C"), "int b;\n");
  // The line above goes on in the comment's line: it may not go on in the next one.
  EXPECT_EQ(strip("#define A \\\n// c\nint b;\n", "C"), "#define A \\\n\nint b;\n");
  EXPECT_EQ(strip("x = 1 + \\\n  2  # c\n", "Python"), "x = 1 + \\\n  2\n");
  EXPECT_EQ(strip("a; // c\r\nb;\r\n", "C"), "a;\r\nb;\r\n");
}

TEST(StripComments, WhatToolsReadStays) {
  EXPECT_EQ(strip("#!/usr/bin/env python3\n# -*- coding: utf-8 -*-\n# c\nx = 1\n", "Python"),
            "#!/usr/bin/env python3\n# -*- coding: utf-8 -*-\nx = 1\n");
  EXPECT_EQ(strip("//go:build linux\n\n// c\npackage a\n", "Go"), "//go:build linux\n\npackage a\n");
  EXPECT_EQ(strip("// #include <x.h>\nimport \"C\"\n", "Go"), "-");
  EXPECT_EQ(strip("// @ts-ignore\nf() // c\n", "TypeScript"), "// @ts-ignore\nf()\n");
  const std::string licensed = "// Copyright 2020\n// All rights\n\nint a; // c\n";
  EXPECT_EQ(strip(licensed, "C"), "// Copyright 2020\n// All rights\n\nint a;\n");
  EXPECT_EQ(strip(licensed, "C", {.licence = false}), "int a;\n");
}

TEST(StripComments, WhatIsNotUnderstoodStaysAsItIs) {
  for (const auto& [language, code] :
       std::initializer_list<std::pair<const char*, const char*>>{{"C", "#if 0\ndon't\n#endif // c\n"},
                                                                  {"C", "int a; /* open\n"},
                                                                  {"C", "/\\\n/ c\nint a;\n"},
                                                                  {"Java", "// c\nString a = \"\\u0022 // \";\n"},
                                                                  {"JavaScript", "x = <a>http://b</a> // c\n"},
                                                                  {"Python", "f'{d['a']}' # c\n"},
                                                                  {"Python", "x = 'open # c\n"},
                                                                  {"Go", "a := `open // c\n"},
                                                                  {"Rust", "let a = r#\"open // c\n"},
                                                                  {"C", "int a;\n"}})
    EXPECT_EQ(strip(code, language), "-") << code;
  EXPECT_FALSE(code_kind("Haskell"));
  EXPECT_FALSE(code_kind(""));
}

TEST(StripComments, Docstrings) {
  const StripOptions all{.docstrings = true};
  EXPECT_EQ(strip("\"\"\"m\"\"\"\ndef f():\n    'only'\n\ndef g():\n    r\"\"\"d\n    \"\"\"\n    return 'kept'\n", "Python", all),
            "def f():\n    pass\n\ndef g():\n    return 'kept'\n");
  EXPECT_EQ(strip("class A:\n    b'no docstring'\n    x = 'y'\n", "Python", all), "-");
}

std::string renamed(const std::string& code) {
  std::string last = "-";
  for (uint64_t seed = 0; seed < 12; ++seed) {
    Rng rng(seed);
    if (const auto out = rename_python_variables(code, rng)) last = out->code;
  }
  return last;
}

TEST(RenameVariables, AFunctionsOwnNamesChangeTogether) {
  Rng rng(2);
  const std::string code =
      "def area(w, h):\n    total = w * h\n    self.total = total\n    f(total=total, x=[total for total in y])\n    return total\n";
  const std::string out = renamed(code);
  EXPECT_NE(out, code);
  EXPECT_NE(out, "-");
  // the attribute and the keyword are other things
  EXPECT_NE(out.find("self.total = "), std::string::npos) << out;
  EXPECT_NE(out.find("f(total="), std::string::npos) << out;
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 5);
}

TEST(RenameVariables, WhatMayBeSeenFromElsewhereStays) {
  for (const char* code : {"def f():\n    global x\n    x = 1\n",
                           "def f():\n    x = 1\n    eval('x')\n",
                           "def f():\n    x = 1\n    return locals()\n",
                           "def f():\n    x = 1\n    return f'{x}'\n",
                           "def f():\n    x = 1\n    return '%(x)s'\n",
                           "def f():\n    x = 1\n    def g():\n        return x\n    return g\n",
                           "def f():\n    x = 1\n    return lambda: x\n",
                           "def f(x):\n    return x\nf(x=1)\n",
                           "def f(x):\n    return x\nf(**d)\n",
                           "@d\ndef f(x):\n    return x\n",
                           "def f(*, x):\n    return x\n",
                           "def f(*x):\n    return x\n",
                           "def test_f(x):\n    return x\n",
                           "def f(self):\n    return self\n",
                           "def f(x: int):\n    return x\n",
                           "def f(x=x):\n    pass\n",
                           "def f():\n    import x\n    x = 1\n",
                           "def f():\n    __x = 1\n",
                           "x = 1\n",
                           "def f(:\n",
                           "def f():\n    x = (1\n"})
    EXPECT_EQ(renamed(code), "-") << code;
}

// The whole library takes half a minute: a stretch of it here.
TEST(PythonLibrary, ProgramsStayWhatTheyWere) {
  if (std::system("python3 -c '' 2> /dev/null") != 0) GTEST_SKIP() << "no python3";
  const Files files("augment_code");
  ASSERT_EQ(std::system(("python3 -c 'import os; print(os.path.dirname(os.__file__))' > " + files.path() + "/where").c_str()), 0);
  std::string where = r1::read_file(files.path() + "/where");
  where.pop_back();
  std::vector<fs::path> modules;
  for (const auto& entry : fs::directory_iterator(where))
    if (entry.path().extension() == ".py" && entry.file_size() < 40'000) modules.push_back(entry.path());
  std::ranges::sort(modules);
  std::string pairs;
  int64_t number = 0, renames = 0;
  for (size_t i = 0; i < modules.size(); i += 10) {
    const std::string code = r1::read_file(modules[i]);
    if (code != text::to_valid_utf8(code)) continue;
    const auto add = [&](const char* how, const std::string& after) {
      pairs += dump_json(Json{{"how", how}, {"file", modules[i].string()}, {"before", code}, {"after", after}}) + "\n";
      ++number;
    };
    if (const auto out = strip_comments(code, CodeKind::kPython, {.licence = false})) add("comments", out->code);
    if (const auto out = strip_comments(code, CodeKind::kPython, {.docstrings = true})) add("docstrings", out->code);
    Rng rng(uint64_t(i), 1);
    if (const auto out = rename_python_variables(code, rng)) add("rename", out->code), ++renames;
  }
  if (number < 10) GTEST_SKIP() << "no sources of Python's library";
  EXPECT_GT(renames, 3);
  const std::string input = files.write("pairs.jsonl", pairs), judge = std::string(R1_SOURCE_DIR) + "/tests/oracles/augment_code.py";
  EXPECT_EQ(std::system(("python3 " + judge + " < " + input + " > " + input + ".told").c_str()), 0) << r1::read_file(input + ".told");
  EXPECT_EQ(r1::read_file(input + ".told"), std::to_string(number) + " 0\n");
}

}  // namespace
}  // namespace r1::corpus
