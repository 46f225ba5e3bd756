#include "r1/api/code_language.h"

#include <gtest/gtest.h>

#include <random>

namespace r1::api {
namespace {

TEST(CodeLanguage, TwelveAreKnownByTheirFiles) {
  const std::vector<std::pair<const char*, const char*>> files = {
      {"a/b.py", "python"},
      {"x.pyi", "python"},
      {"src/app.JSX", "javascript"},
      {"m.mjs", "javascript"},
      {"a.ts", "typescript"},
      {"A.java", "java"},
      {"k.c", "c"},
      {"k.h", "c"},
      {"k.cc", "cpp"},
      {"k.hpp", "cpp"},
      {"P.cs", "csharp"},
      {"main.go", "go"},
      {"lib.rs", "rust"},
      {"a.rb", "ruby"},
      {"Rakefile", "ruby"},
      {"index.php", "php"},
      {"run.sh", "bash"},
      {"home/.bashrc", "bash"},
      {"C:\\x\\y.go", "go"},
      {"README", "text"},
      {"archive.tar.gz", "text"},
      {".py", "python"},
      {"", "text"},
  };
  for (const auto& [path, name] : files) EXPECT_EQ(code_language_of(path).name, name) << path;
  EXPECT_EQ(code_languages().size(), 12u);
  EXPECT_EQ(find_code_language("C++")->name, "cpp");
  EXPECT_EQ(find_code_language("Shell")->name, "bash");
  EXPECT_EQ(find_code_language("cobol"), nullptr);
}

TEST(CodeLanguage, ImportsAreLinesAtTheMargin) {
  const auto imports = [](const char* path, const char* line) { return is_import(code_language_of(path), line); };
  EXPECT_TRUE(imports("a.py", "from os import path"));
  EXPECT_FALSE(imports("a.py", "    import os"));
  EXPECT_TRUE(imports("a.js", "const {a, b} = require('x')"));
  EXPECT_FALSE(imports("a.js", "const {a, b} = x"));
  EXPECT_TRUE(imports("a.ts", "export {a} from './a'"));
  EXPECT_TRUE(imports("a.cc", "#include <map>"));
  EXPECT_TRUE(imports("a.go", "import ("));
  EXPECT_TRUE(imports("a.rs", "use std::io;"));
  EXPECT_TRUE(imports("a.php", "<?php"));
  EXPECT_FALSE(imports("a.java", "importer.run();"));
}

struct Depths {
  const char *path, *code;
  int depth, block_depth;
};

class Scan : public testing::TestWithParam<Depths> {};

// What is open at the end of the code.
TEST_P(Scan, CountsWhatIsOpen) {
  CodeScanner scanner(code_language_of(GetParam().path));
  scanner.read(GetParam().code);
  scanner.finish();
  EXPECT_EQ(scanner.depth(), GetParam().depth) << GetParam().code;
  EXPECT_EQ(scanner.block_depth(), GetParam().block_depth) << GetParam().code;
}

INSTANTIATE_TEST_SUITE_P(
    Languages, Scan,
    testing::Values(
        // Comments and texts hold no brackets.
        Depths{"a.py", "f(  # ) ]\n'(' \")\" '''\n((\n''' r'\\(' ", 1, 0}, Depths{"a.py", "x = \"\" + ''\ny = [\"\"\"a\"b\"\"\", ", 1, 0},
        Depths{"a.py", "s = 'it\\'s ('\n(", 1, 0}, Depths{"a.py", "'unterminated (\n[", 1, 0},
        Depths{"a.js", "function f() { // }\n  /* } */ a(`x ${b({c: `}`})} )`, '}', /[}\\/]}/.test(s)", 2, 1},
        Depths{"a.js", "let x = a / b; let y = c / (d", 1, 0}, Depths{"a.js", "const o = { a: 1,", 1, 0},
        Depths{"a.ts", "class A<T> extends B {\n  f = () => {", 2, 2},
        Depths{"A.java", "class A { char c = '{'; String s = \"\"\"\n  { \" {\n\"\"\"; void f() {", 2, 2},
        Depths{"a.c", "#define X '\\''\nint f(void) { if (a) { return '}'; } ", 1, 1}, Depths{"a.c", "int a[] = { 1, 2,", 1, 0},
        Depths{"a.cc", "int n = 1'000'000; { auto s = R\"x( ) } )\" )x\"; ", 1, 1}, Depths{"a.cc", "/* { */ namespace a { // {\n", 1, 1},
        Depths{"a.cs", "class A { string p = @\"c:\\\"; string q = @\"say \"\"{\"\"\"; void F() {", 2, 2},
        Depths{"a.cs", "var s = \"\"\"\n { \"\"\"; f(", 1, 0}, Depths{"a.go", "func f() { s := `\\`; r := '{'; t := \"{\"", 1, 1},
        Depths{"a.go", "var a = []int{1, f(", 2, 1},
        Depths{"a.rs", "fn f<'a>(x: &'a str) -> char { let c = '{'; let s = r#\"\"}\"#; /* /* } */ } */ 'x: loop {", 2, 2},
        Depths{"a.rs", "let c = 'é'; let d = '\\''; g(", 1, 0},
        Depths{"a.rb", "class A\n  def f(x)\n    return 1 if x\n    x.each do |y|\n      puts \"#{y.map { |z| \"}\" }} end\"\n", 3, 3},
        Depths{"a.rb", "def a = 1\ndef b() = 2\nwhile x do\n  y = if z\n", 2, 2},
        Depths{"a.rb", "def ==(o)\n  o.end\n  :end\n  {end: 1}\n", 1, 1},
        Depths{"a.rb", "=begin\ndef f\n=end\nx = <<~EOT\n  def g\n  EOT\nmodule M\n", 1, 1},
        Depths{"a.rb", "if x =~ /end \"(/\n  f\nend\nbegin\n", 1, 1},
        Depths{"a.php", "<?php\nfunction f($a) { # }\n  #[Attr]\n  $s = <<<EOT\n } $a\n  EOT;\n  return '}' . \"{$a}\";", 1, 1},
        Depths{"a.sh", "f() {\n  if [ \"$#\" -gt 0 ]; then # fi\n    for x in \"${a[@]}\"; do echo done; case $x in a) y ;; esac\n", 3, 3},
        Depths{"a.sh", "cat <<EOF\nif {\nEOF\nwhile true; do\n", 1, 1}, Depths{"a.sh", "x=$((1 << 2))\nif a; then b; fi\n", 0, 0},
        Depths{"a.txt", "((({{{", 0, 0}));

TEST(CodeScanner, SaysWhatClosedAndWhere) {
  CodeScanner scanner(code_language_of("a.rb"));
  scanner.read("def f\n  g\n");
  std::vector<CodeScanner::Event> seen;
  for (char c : std::string("end\n"))
    for (const auto& e : scanner.push(c)) seen.push_back(e);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_FALSE(seen[0].opens);
  EXPECT_TRUE(seen[0].block);
  EXPECT_EQ(seen[0].at, 10u);
  EXPECT_EQ(seen[0].depth, 0);
  CodeScanner braces(code_language_of("a.go"));
  EXPECT_EQ(braces.push('}').at(0).depth, -1);
}

// Any bytes: it neither crashes nor is slow, and a level is never closed that was not opened.
TEST(CodeScanner, TakesAnyBytes) {
  std::mt19937 rng(7);
  const std::string alphabet = "(){}[]'\"`#/\\*<=@$R \n\t-~:;.endifdocase\x00\xc3\xa9" + std::string(1, '\0');
  for (const CodeLanguage& language : code_languages())
    for (int round = 0; round < 200; ++round) {
      CodeScanner scanner(language);
      int depth = 0;
      for (int i = 0; i < 400; ++i) {
        for (const auto& e : scanner.push(alphabet[rng() % alphabet.size()])) {
          EXPECT_GE(e.depth, -1);
          depth = std::max(e.depth, 0);
        }
        EXPECT_EQ(scanner.depth(), depth);
        EXPECT_LE(scanner.block_depth(), scanner.depth());
        EXPECT_LE(scanner.word_at(), scanner.position());
      }
    }
  CodeScanner deep(code_language_of("a.js"));
  deep.read(std::string(1 << 20, '{'));
  deep.read(std::string(1 << 20, ')'));
  EXPECT_GT(deep.depth(), 0);
}

}  // namespace
}  // namespace r1::api
