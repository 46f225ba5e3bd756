#include "tests/grammar/support.h"

namespace r1::grammar {

TEST(Gbnf, ReadsWhatIsWritten) {
  const Grammar g = compile_gbnf(R"gbnf(# arithmetic
root  ::= (expr "=" ws term "\n")+
expr  ::= term ([-+*/] term)*   # no left recursion
term  ::= ident | num
  | "(" ws expr ")" ws

ident ::= [a-z] [a-z0-9_]* ws
num   ::= [0-9]+ ws
ws    ::= [ \t]*
)gbnf");
  EXPECT_TRUE(matches(g, "x1 +(2*y)=3\n"));
  EXPECT_TRUE(matches(g, "a=b\nc= (d)\n"));
  EXPECT_FALSE(matches(g, "a=b"));
  EXPECT_EQ(fit(matcher_of(g), "((a"), Fit::kPrefix);
  EXPECT_EQ(fit(matcher_of(g), "(a))"), Fit::kNo);
}

TEST(Gbnf, LiteralsClassesAndCounts) {
  const auto is = [](const std::string& rule, const std::string& text) { return matches(compile_gbnf("root ::= " + rule), text); };
  EXPECT_TRUE(is(R"("\x41\u00e9\U0001F600\"\\\n")", "Aé😀\"\\\n"));
  EXPECT_TRUE(is("[^\"\\n]+", "aé日"));
  EXPECT_FALSE(is("[^\"\\n]+", "a\""));
  EXPECT_TRUE(is("[😀-🙏]+", "😀🙏"));
  EXPECT_TRUE(is("[a\\]\\-]+", "a]-"));
  EXPECT_TRUE(is(".{2,3}", "é\n"));
  EXPECT_FALSE(is("\"a\"{2}", "a"));
  EXPECT_TRUE(is("\"a\"{2,}", "aaaaa"));
  EXPECT_TRUE(is("\"a\"{ 1 , 2 } \"b\"?", "aab"));
  EXPECT_TRUE(is("\"\"", ""));
  EXPECT_TRUE(is("\"\" | \"a\" | ", ""));
  EXPECT_TRUE(is("(\"a\"* \"b\"*)*", "abba"));  // a repeat of what may be empty
  EXPECT_TRUE(is("((\"\"*)*)*", ""));
}

// Rules that call themselves anywhere but at their beginning.
TEST(Gbnf, Recursion) {
  EXPECT_TRUE(matches(compile_gbnf("root ::= \"a\" root | \"\""), std::string(5'000, 'a')));  // no stack grows
  const Grammar palindromes = compile_gbnf("root ::= \"a\" root \"a\" | \"b\" root \"b\" | \"c\"");
  EXPECT_TRUE(matches(palindromes, "abacaba"));
  EXPECT_FALSE(matches(palindromes, "abacabb"));
  const Grammar two = compile_gbnf("root ::= x\nx ::= \"(\" y \")\" | \"x\"\ny ::= x x?");
  EXPECT_TRUE(matches(two, "((xx)(x))"));
}

// Two readings of every letter: the number of stacks would double with each.
TEST(Gbnf, AmbiguityStaysSmall) {
  const Grammar g = compile_gbnf("root ::= \"a\" root x | \"a\" root y | \"a\"\nx ::= \"c\"\ny ::= \"c\" \"d\"?");
  const auto matcher = matcher_of(g);
  std::string text = std::string(60, 'a') + std::string(40, 'c');
  EXPECT_EQ(fit(matcher, text), Fit::kPrefix);
  EXPECT_EQ(fit(matcher, text + std::string(19, 'c')), Fit::kWhole);
  EXPECT_EQ(fit(matcher, text + std::string(20, 'c')), Fit::kNo);
  EXPECT_LT(matcher->bytes(), 4'000'000u);
}

TEST(Gbnf, NamesWhatIsWrong) {
  const auto message = [](const std::string& text) { return refusal([&] { compile_gbnf(text); }); };
  const std::pair<const char*, const char*> kCases[] = {
      {"", "no rule 'root'"},
      {"a ::= \"b\"", "no rule 'root'"},
      {"root ::= a", "'a' is used but not given"},
      {"root ::= \"a\"\nroot ::= \"b\"", "given twice"},
      {"root ::= \"a\n\"", "no end"},
      {"root ::= [a", "no end"},
      {"root ::= (\"a\"", "'(' without"},
      {"root ::= \"a\")", "')' without"},
      {"root ::= \"\\q\"", "escape"},
      {"root ::= [z-a]", "range"},
      {"root ::= \"a\"{3,1}", "{n,m}"},
      {"root ::= \"a\"{99999}", "counts up to"},
      {"root ::= <[12]>", "tokens"},
      {"root = \"a\"", "::="},
      {"root ::= root \"a\" | \"b\"", "begins with itself"},
      {"root ::= x\nx ::= y? z\ny ::= \"y\"\nz ::= x \"a\" | \"b\"", "begins with itself"},
      {"root ::= \"a\" root", "no text"},
      {"root ::= \"\\uD800\"", "code point"},
      {"root ::= \"\\x4\"", "hex"},
  };
  for (const auto& [text, part] : kCases) EXPECT_NE(message(text).find(part), std::string::npos) << text << ": " << message(text);
  EXPECT_NE(message("root ::= a\n\n\na ::= b").find("line 4"), std::string::npos);
}

}  // namespace r1::grammar
