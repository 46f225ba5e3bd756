// Thoughts with a budget, and grammars that begin with a text.
#include "r1/grammar/compose.h"

#include <algorithm>

#include "tests/grammar/support.h"

namespace r1::grammar {

namespace {

const Vocabulary& thought_vocabulary() {
  static const Vocabulary v({"<think>", "</think>", "\n\n", "</th", "ink>", "ink>{", "ink>\n\n", "think", ">x", "<tool_call>",
                             "</tool_call>", "call>\n", "call>{", "日", "\xE6\x97", "\xA5", " <tool_call>"});
  return v;
}

TokenId id_of(const std::string& text) {
  const Vocabulary& v = thought_vocabulary();
  for (TokenId id = 0; id < TokenId(v.table->vocab_size()); ++id)
    if (v.table->bytes(id) == text) return id;
  ADD_FAILURE() << "no token " << text;
  return 0;
}

std::vector<TokenId> bytes_of(const std::string& text) {
  std::vector<TokenId> ids;
  for (char c : text) ids.push_back(TokenId(uint8_t(c)));
  return ids;
}

class Talk {
 public:
  explicit Talk(TokenConstraint& c) : c_(c), words_(words_for(thought_vocabulary())) {}
  bool allows(const std::string& text) { return allows(id_of(text)); }
  bool allows(TokenId id) {
    const bool masked = c_.mask(words_);
    return !masked || bit(words_, id);
  }
  bool free() { return !c_.mask(words_); }
  // The only token allowed, or -1.
  TokenId only() {
    if (!c_.mask(words_)) return -1;
    TokenId found = -1;
    for (TokenId id = 0; id < TokenId(thought_vocabulary().table->vocab_size()); ++id)
      if (bit(words_, id)) {
        if (found >= 0) return -1;
        found = id;
      }
    return found;
  }
  // Bytes, one token each, all of which must be allowed.
  void say(const std::string& text) {
    for (TokenId id : bytes_of(text)) {
      EXPECT_TRUE(allows(id)) << text << " at '" << char(id) << "'";
      c_.accept(id);
    }
  }
  void token(const std::string& text) {
    EXPECT_TRUE(allows(text)) << text;
    c_.accept(id_of(text));
  }

 private:
  TokenConstraint& c_;
  std::vector<uint64_t> words_;
};

std::unique_ptr<GrammarConstraint> grammar_of(const Grammar& g) {
  return std::make_unique<GrammarConstraint>(matcher_of(g, thought_vocabulary()), std::vector<TokenId>{thought_vocabulary().stop});
}

ThoughtOptions options(bool in_thought, int64_t budget = -1) {
  ThoughtOptions o{.in_thought = in_thought, .budget = budget, .stop_ids = {thought_vocabulary().stop}};
  o.forced = {id_of("\n"), id_of("</think>"), id_of("\n\n")};
  return o;
}

}  // namespace

TEST(Thought, BudgetEndsItWithTheForcedTokens) {
  ThoughtConstraint c(thought_vocabulary().table, options(true, 3), grammar_of(compile_json_object()));
  Talk run(c);
  run.say("a{b");
  EXPECT_FALSE(c.cut());
  EXPECT_TRUE(c.in_thought());
  for (const char* forced : {"\n", "</think>", "\n\n"}) {
    EXPECT_EQ(run.only(), id_of(forced));
    c.accept(id_of(forced));
  }
  EXPECT_TRUE(c.cut());
  EXPECT_FALSE(c.in_thought());
  EXPECT_EQ(c.thought_tokens(), 6);
  EXPECT_FALSE(run.allows("a"));
  run.say("{}");
  EXPECT_EQ(run.only(), thought_vocabulary().stop);
}

TEST(Thought, BudgetOfNothing) {
  ThoughtConstraint c(thought_vocabulary().table, options(true, 0), nullptr);
  Talk run(c);
  EXPECT_EQ(run.only(), id_of("\n"));
  for (TokenId id : {id_of("\n"), id_of("</think>"), id_of("\n\n")}) c.accept(id);
  EXPECT_TRUE(run.free());
}

// Not in the middle of a character: up to three more tokens.
TEST(Thought, BudgetLetsACharacterFinish) {
  ThoughtConstraint c(thought_vocabulary().table, options(true, 2), nullptr);
  Talk run(c);
  run.say("a");
  run.token("\xE6\x97");
  EXPECT_TRUE(run.free());
  run.token("\xA5");
  EXPECT_EQ(run.only(), id_of("\n"));
}

TEST(Thought, EndsHoweverItsTagIsCut) {
  const auto ends = [](const std::vector<std::string>& tokens) {
    ThoughtConstraint c(thought_vocabulary().table, options(true, 100), grammar_of(compile_json_object()));
    Talk run(c);
    for (const std::string& t : tokens) run.token(t);
    EXPECT_FALSE(c.in_thought());
    EXPECT_FALSE(c.cut());
    EXPECT_TRUE(run.allows("{"));
    EXPECT_FALSE(run.allows("a"));
    run.say("{");
  };
  ends({"a", "</think>"});
  ends({"<", "</th", "ink>"});
  ends({"</th", "ink>\n\n"});
  ends({"<", "/", "t", "h", "i", "n", "k", ">"});
  ends({"</th", "</th", "ink>", "\n\n"});
  // What a token holds behind the tag would be lost to the grammar, so it is not allowed.
  ThoughtConstraint c(thought_vocabulary().table, options(true), grammar_of(compile_json_object()));
  Talk run(c);
  run.token("</th");
  EXPECT_FALSE(run.allows("ink>{"));
  EXPECT_TRUE(run.allows("ink>"));
  EXPECT_FALSE(run.allows(thought_vocabulary().stop));  // an answer is still to come
  c.accept(id_of("x"));
  EXPECT_TRUE(run.allows("ink>{"));
}

TEST(Thought, BlanksBehindItBelongToNeither) {
  ThoughtConstraint c(thought_vocabulary().table, options(true), grammar_of(compile_regex("[a-z]+")));
  Talk run(c);
  run.token("</think>");
  run.token("\n\n");
  run.say("\n");
  EXPECT_TRUE(run.allows("a"));
  run.say("    ");
  EXPECT_FALSE(run.allows("\n\n"));  // that would be nine
  run.say(" ");
  EXPECT_FALSE(run.allows("\n"));
  run.say("ab");
  EXPECT_FALSE(run.allows("\n"));
  EXPECT_TRUE(run.allows(thought_vocabulary().stop));
}

// A grammar that takes blanks gets them.
TEST(Thought, BlanksThatTheGrammarTakes) {
  ThoughtConstraint c(thought_vocabulary().table, options(true), grammar_of(compile_regex("\\n\\na")));
  Talk run(c);
  run.token("</think>");
  run.token("\n\n");
  EXPECT_EQ(run.only(), id_of("a"));
}

TEST(Thought, TheModelMayOpenOne) {
  for (const bool whole : {true, false}) {
    ThoughtConstraint c(thought_vocabulary().table, options(false, 1), grammar_of(compile_json_object()));
    Talk run(c);
    EXPECT_TRUE(run.allows("{"));
    EXPECT_TRUE(run.allows("<think>"));
    EXPECT_TRUE(run.allows("<"));
    EXPECT_FALSE(run.allows("a"));
    EXPECT_FALSE(run.allows("</think>"));
    if (whole) {
      run.token("<think>");
    } else {
      run.say("<");
      EXPECT_FALSE(run.allows("{"));  // only on with the tag
      EXPECT_FALSE(run.allows(thought_vocabulary().stop));
      run.token("think");
      run.say(">");
    }
    EXPECT_TRUE(c.in_thought());
    run.say("x");
    EXPECT_EQ(run.only(), id_of("\n"));
    for (const char* t : {"\n", "</think>", "\n\n"}) c.accept(id_of(t));
    run.say("{\"a\":1}");
    EXPECT_EQ(run.only(), thought_vocabulary().stop);
  }
  ThoughtConstraint without(thought_vocabulary().table, options(false, 2), grammar_of(compile_json_object()));
  Talk run(without);
  run.say("{\"<think>\":1}");  // inside the answer it is text
  EXPECT_FALSE(without.in_thought());
  EXPECT_EQ(run.only(), thought_vocabulary().stop);
}

// An answer that begins as the tag does.
TEST(Thought, WhereTheAnswerMayBeginLikeTheTag) {
  for (const std::string answer : {"<thing>", "<think>"}) {
    ThoughtConstraint c(thought_vocabulary().table, options(false), grammar_of(compile_regex("<thing>")));
    Talk run(c);
    run.say("<thin");
    EXPECT_TRUE(run.allows("g"));
    EXPECT_TRUE(run.allows("k"));
    run.say(answer.substr(5));
    EXPECT_EQ(c.in_thought(), answer == "<think>");
    if (!c.in_thought()) {
      EXPECT_EQ(run.only(), thought_vocabulary().stop);
    }
  }
}

// The tag may be a control token, and stand behind blanks that the answer could begin with.
TEST(Thought, ATagThatIsAControlToken) {
  const auto table =
      std::make_shared<TokenTable>(std::vector<std::string>{"<think>", "</think>", "a", "\n", "<end>"}, std::vector<TokenId>{0, 1, 4});
  const auto matcher = std::make_shared<Matcher>(compile_regex("\\n?a"), table);
  ThoughtConstraint c(table, {.in_thought = false, .forced = {1}, .budget = 0, .stop_ids = {4}},
                      std::make_unique<GrammarConstraint>(matcher, std::vector<TokenId>{4}));
  std::vector<uint64_t> words(1);
  const auto mask = [&] { return c.mask(words) ? words[0] : ~uint64_t{0}; };
  EXPECT_EQ(mask(), 0b01101u);
  c.accept(3);
  EXPECT_EQ(mask(), 0b00101u);
  c.accept(0);
  EXPECT_TRUE(c.in_thought());
  EXPECT_EQ(mask(), 0b00010u);
  c.accept(1);
  EXPECT_EQ(mask(), 0b01100u);
  c.accept(2);
  EXPECT_EQ(mask(), 0b10000u);
}

TEST(Thought, WithoutAGrammarEverythingPasses) {
  ThoughtConstraint c(thought_vocabulary().table, options(false, 1), nullptr);
  Talk run(c);
  run.say("\n");
  EXPECT_TRUE(run.free());
  run.token("<think>");
  run.say("x");
  EXPECT_EQ(run.only(), id_of("\n"));
  ThoughtConstraint later(thought_vocabulary().table, options(false, 1), nullptr);
  Talk second(later);
  second.say("a");
  second.token("<think>");  // not at the beginning: text
  EXPECT_TRUE(second.free());
}

TEST(Thought, CopiesGoTheirOwnWay) {
  ThoughtConstraint c(thought_vocabulary().table, options(true, 2), grammar_of(compile_json_object()));
  Talk run(c);
  run.say("a");
  const auto copy = c.clone();
  run.token("</think>");
  run.say("{");
  Talk other(*copy);
  other.say("b");
  EXPECT_EQ(other.only(), id_of("\n"));
  EXPECT_TRUE(copy->cut());
  EXPECT_FALSE(c.cut());
  run.say("}");
}

TEST(Thought, ChecksItsOptions) {
  ThoughtOptions o = options(true, 5);
  o.forced = {id_of("\n")};
  EXPECT_NE(refusal([&] { ThoughtConstraint(thought_vocabulary().table, o, nullptr); }).find("</think>"), std::string::npos);
  o.forced.clear();
  o.budget = -1;
  EXPECT_EQ(refusal([&] { ThoughtConstraint(thought_vocabulary().table, o, nullptr); }), "");
}

TEST(Trigger, GrammarAppliesBehindItsText) {
  const Grammar g = compile_tool_calls({{"f", nullptr}}, {.parallel = false, .opened = true});
  TriggerConstraint c(thought_vocabulary().table, "<tool_call>", grammar_of(g));
  Talk run(c);
  run.say("Well <tool then ");
  EXPECT_TRUE(run.free());
  run.token("<tool_call>");
  EXPECT_EQ(run.only(), id_of("\n"));
  run.say("\n{\"name\": \"f\", \"arguments\": {}}\n");
  run.token("</tool_call>");
  EXPECT_TRUE(run.free());
  run.say("more");
  run.token(" <tool_call>");
  EXPECT_EQ(c.triggered(), 2);
  EXPECT_FALSE(run.allows("x"));
  EXPECT_FALSE(run.allows(thought_vocabulary().stop));
}

// However the trigger is cut, and a token that ends it and has more must go on in the grammar.
TEST(Trigger, TokensThatReachBehindIt) {
  const Grammar g = compile_tool_calls({{"f", nullptr}}, {.parallel = false, .opened = true});
  TriggerConstraint c(thought_vocabulary().table, "<tool_call>", grammar_of(g));
  Talk run(c);
  EXPECT_TRUE(run.allows("call>{"));
  run.say("<tool_");
  EXPECT_TRUE(run.allows("call>\n"));
  EXPECT_FALSE(run.allows("call>{"));
  EXPECT_TRUE(run.allows("x"));
  const auto copy = c.clone();
  run.token("call>\n");
  EXPECT_EQ(run.only(), id_of("{"));
  Talk other(*copy);
  other.say("x");
  EXPECT_TRUE(other.allows("call>{"));
  // Two beginnings at once.
  TriggerConstraint twice(thought_vocabulary().table, "aab", grammar_of(g));
  Talk third(twice);
  third.say("aaab");
  EXPECT_EQ(twice.triggered(), 1);
}

TEST(Trigger, AGrammarThatMayEndOrGoOn) {
  TriggerConstraint c(thought_vocabulary().table, "#", grammar_of(compile_regex("a+")));
  Talk run(c);
  run.say("x#");
  EXPECT_EQ(run.only(), id_of("a"));
  run.say("aa");
  EXPECT_TRUE(run.free());
  run.say("a b");
  run.say("#");
  EXPECT_EQ(run.only(), id_of("a"));
}

}  // namespace r1::grammar
