#include "r1/api/code_prompt.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "r1/base/error.h"
#include "tests/message_of.h"

namespace r1::api {
namespace {

using text::Tokenizer;

// A vocabulary of single characters, so that a token is a character and every cost can be seen, with the control tokens given.
Tokenizer characters(const std::vector<std::string>& special, std::optional<std::string> eos = {}) {
  std::vector<std::string> words = {"<unk>", "é", "\n", "\t"};
  for (char c = ' '; c < 127; ++c) words.emplace_back(1, c);
  for (const std::string& s : special) words.push_back(s);
  Tokenizer::WordOptions options;
  options.special = special;
  options.eos = std::move(eos);
  return Tokenizer::from_words(words, options);
}

const std::vector<std::string> kQwen = {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|fim_pad|>",
                                        "<|repo_name|>",  "<|file_sep|>",   "<|endoftext|>",  "<|im_end|>"};

CodePlace place_of(const std::string& path, std::string prefix, std::string suffix) {
  CodePlace place;
  place.path = path;
  place.language = &code_language_of(path);
  place.prefix = std::move(prefix);
  place.suffix = std::move(suffix);
  return place;
}

std::string spelled(const Tokenizer& t, const std::vector<text::TokenId>& ids) {
  return t.decode_bytes(ids);
}

TEST(FimTokens, FoundInTheVocabulary) {
  const auto family = [](const std::vector<std::string>& special) {
    const auto found = find_fim_tokens(characters(special));
    return found ? found->family : "none";
  };
  EXPECT_EQ(family(kQwen), "qwen");
  EXPECT_EQ(family({"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|file_separator|>"}), "codegemma");
  EXPECT_EQ(family({"<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<repo_name>", "<file_sep>"}), "starcoder");
  EXPECT_EQ(family({"<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<reponame>", "<filename>"}), "starcoder");
  EXPECT_EQ(family({"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"}), "deepseek");
  EXPECT_EQ(family({"▁<PRE>", "▁<SUF>", "▁<MID>"}), "codellama");
  EXPECT_EQ(family({"[PREFIX]", "[SUFFIX]"}), "codestral");
  // Two of three, or the spelling that deepseek-ai/DeepSeek-Coder-V2#27 tried: none.
  EXPECT_EQ(family({"<|fim_prefix|>", "<|fim_suffix|>"}), "none");
  EXPECT_EQ(family({"<|fim_begin|>", "<|fim_hole|>", "<|fim_end|>"}), "none");
}

// QwenLM/Qwen3-Coder#99, #101, ggml-org/llama.cpp#9606: the model's file names one end, a completion meets others.
TEST(FimTokens, EveryControlTokenEndsACompletion) {
  const Tokenizer t = characters(kQwen, "<|im_end|>");
  const auto found = find_fim_tokens(t);
  ASSERT_TRUE(found);
  for (const std::string& token : kQwen) EXPECT_TRUE(std::ranges::count(found->stop_ids, *t.token_id(token))) << token;
  EXPECT_EQ(found->stop_ids.size(), kQwen.size());
}

TEST(CodePrompt, EachFamilysForm) {
  CodePlace place = place_of("b.py", "a = ", "\nc\n");
  Tokenizer qwen = characters(kQwen);
  EXPECT_EQ(spelled(qwen, make_code_prompt(place, qwen).ids), "<|fim_prefix|>a = <|fim_suffix|>\nc\n<|fim_middle|>");
  place.files = {{"x.py", "x = 1"}, {"y.py", "y = 2\n"}};
  place.repository = "lib";
  EXPECT_EQ(spelled(qwen, make_code_prompt(place, qwen).ids),
            "<|repo_name|>lib\n<|file_sep|>y.py\ny = 2\n<|file_sep|>x.py\nx = 1\n<|file_sep|>b.py\n<|fim_prefix|>a = "
            "<|fim_suffix|>\nc\n<|fim_middle|>");
  const Tokenizer star = characters({"<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<repo_name>", "<file_sep>"});
  EXPECT_EQ(spelled(star, make_code_prompt(place, star).ids),
            "<repo_name>lib<file_sep>y.py\ny = 2\n<file_sep>x.py\nx = 1\n<file_sep><fim_prefix>b.py\na = <fim_suffix>\nc\n<fim_middle>");
  const Tokenizer deep = characters({"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"});
  EXPECT_EQ(spelled(deep, make_code_prompt(place, deep).ids),
            "<｜fim▁begin｜>#y.py\ny = 2\n#x.py\nx = 1\na = <｜fim▁hole｜>\nc\n<｜fim▁end｜>");
  const Tokenizer codestral = characters({"[PREFIX]", "[SUFFIX]"});
  place.files.clear();
  EXPECT_EQ(spelled(codestral, make_code_prompt(place, codestral).ids), "[SUFFIX]\nc\n[PREFIX]a = ");
}

TEST(CodePrompt, WithoutTokensItGoesOnFromThePrefixAndSaysSo) {
  const Tokenizer t = characters({"<eos>"}, "<eos>");
  const CodePrompt prompt = make_code_prompt(place_of("a.py", "x = ", "\ny\n"), t);
  EXPECT_EQ(spelled(t, prompt.ids), "x = ");
  EXPECT_EQ(prompt.family, "");
  EXPECT_NE(prompt.note.find("no fill-in-the-middle tokens"), std::string::npos);
  EXPECT_EQ(prompt.stop_ids, std::vector<text::TokenId>{*t.token_id("<eos>")});
  EXPECT_EQ(make_code_prompt(place_of("a.py", "x = ", ""), t).note, "");
}

// Whoever writes <|fim_middle|> in a comment gets a comment.
TEST(CodePrompt, TextThatSpellsControlTokensStaysText) {
  const Tokenizer t = characters(kQwen);
  const CodePrompt prompt = make_code_prompt(place_of("a.py", "# <|fim_middle|><|endoftext|>", "<|fim_prefix|>"), t);
  for (const char* token : {"<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"})
    EXPECT_EQ(std::ranges::count(prompt.ids, *t.token_id(token)), 1) << token;
  EXPECT_EQ(std::ranges::count(prompt.ids, *t.token_id("<|endoftext|>")), 0);
  EXPECT_EQ(spelled(t, prompt.ids), "<|fim_prefix|># <|fim_middle|><|endoftext|><|fim_suffix|><|fim_prefix|><|fim_middle|>");
}

TEST(CodePrompt, WhatIsFarGoesFirstButHeadsAndImportsStay) {
  std::string prefix = "import os\nfrom re import (\n    sub,\n)\n\nclass Stack:\n";
  for (int i = 0; i < 100; ++i) prefix += "    def unrelated" + std::to_string(i) + "(self):\n        return " + std::to_string(i) + "\n";
  prefix += "    def push(self, item):\n        # why\n        if item:\n            ";
  const Tokenizer t = characters(kQwen);
  const CodePrompt prompt = make_code_prompt(place_of("a.py", prefix, "\n        return self\n"), t, {.budget = 400});
  const std::string text = spelled(t, prompt.ids);
  EXPECT_LE(prompt.ids.size(), 400u);
  EXPECT_TRUE(text.starts_with("<|fim_prefix|>import os\nfrom re import (\n    sub,\n)\nclass Stack:\n  ")) << text;
  EXPECT_NE(
      text.find(
          "    def push(self, item):\n        # why\n        if item:\n            <|fim_suffix|>\n        return self\n<|fim_middle|>"),
      std::string::npos);
  EXPECT_NE(text.find("unrelated99"), std::string::npos);
  EXPECT_EQ(text.find("unrelated0("), std::string::npos);
  EXPECT_GT(prompt.dropped_prefix_lines, 170);
  EXPECT_EQ(prompt.dropped_suffix_lines, 0);
  EXPECT_TRUE(prompt.truncated());
}

struct HeadCase {
  const char *path, *head, *line, *import;
};
class Heads : public testing::TestWithParam<HeadCase> {};

// In every language: the definition that the cursor is in, and the imports.
TEST_P(Heads, AreKept) {
  const HeadCase& c = GetParam();
  std::string prefix = std::string(c.import) + "\n\n" + c.head + "\n";
  for (int i = 0; i < 200; ++i) prefix += std::string(c.line) + "\n";
  prefix += "    ";
  const Tokenizer t = characters(kQwen);
  const CodePrompt prompt = make_code_prompt(place_of(c.path, prefix, ""), t, {.budget = 500});
  const std::string text = spelled(t, prompt.ids);
  EXPECT_LE(prompt.ids.size(), 500u);
  EXPECT_TRUE(text.starts_with(std::string("<|fim_prefix|>") + c.import + "\n")) << text;
  EXPECT_NE(text.find(c.head), std::string::npos) << text;
  EXPECT_GT(prompt.dropped_prefix_lines, 100);
}

INSTANTIATE_TEST_SUITE_P(
    Languages, Heads,
    testing::Values(HeadCase{"a.py", "async def fetch(\n    url,\n):", "    x = await get(url)", "from net import get"},
                    HeadCase{"a.js", "export function fetch(url) {", "    const x = get(url);", "const net = require('net');"},
                    HeadCase{"a.ts", "export class A<T> {", "    x: T[] = [];", "import { B } from './b';"},
                    HeadCase{"A.java", "public class A {", "    int x;", "import java.util.*;"},
                    HeadCase{"a.c", "int f(int a,\n      int b) {", "    a += b;", "#include <stdio.h>"},
                    HeadCase{"a.cc", "namespace a {", "    int x();", "#include <map>"},
                    HeadCase{"a.cs", "class A {", "    int X;", "using System;"},
                    HeadCase{"a.go", "func f() {", "    x := 1", "import (\n    \"fmt\"\n)"},
                    HeadCase{"a.rs", "impl A {", "    fn x() {}", "use std::io::{self, Read};"},
                    HeadCase{"a.rb", "class A", "    x 1", "require 'set'"}, HeadCase{"a.php", "class A {", "    public $x;", "<?php"},
                    HeadCase{"a.sh", "f() {", "    echo 1", "#!/bin/bash"}));

TEST(CodePrompt, FilesTakeWhatTheCursorsOwnLeaves) {
  CodePlace place = place_of("b.py", std::string(60, 'p') + "\nq = ", "\ns\n");
  place.files = {{"near.py", "n = 1\n"}, {"big.py", "b = 1\n" + std::string(500, 'x') + "\n"}, {"c.py", "c = 1\n"}};
  const Tokenizer t = characters(kQwen);
  const CodePrompt prompt = make_code_prompt(place, t, {.budget = 160});
  const std::string text = spelled(t, prompt.ids);
  EXPECT_LE(prompt.ids.size(), 160u);
  EXPECT_NE(text.find("<|file_sep|>near.py\nn = 1\n<|file_sep|>b.py\n<|fim_prefix|>ppp"), std::string::npos) << text;
  EXPECT_EQ(prompt.dropped_prefix_lines, 0);
  EXPECT_GE(prompt.dropped_files, 1);
}

TEST(CodePrompt, UntrimmedIsWhole) {
  const Tokenizer t = characters(kQwen);
  const std::string prefix(3000, 'a'), suffix(2000, 'b');
  const CodePrompt prompt = make_code_prompt(place_of("a.py", prefix, suffix), t, {.budget = 100, .trim = false});
  EXPECT_EQ(prompt.ids.size(), 5003u);
  EXPECT_FALSE(prompt.truncated());
  EXPECT_NE(message_of([&] { make_code_prompt(place_of("a.py", "a", ""), t, {.budget = 3}); }).find("budget"), std::string::npos);
}

// Never over the budget, the end of the cursor's line on both sides always there, nothing left out without a word.
TEST(CodePrompt, BudgetHoldsForAnyTextAndTheCursorsLineStays) {
  std::mt19937 rng(5);
  const std::vector<std::string> words = {"\n",
                                          "\n",
                                          "\n    ",
                                          "\n  ",
                                          "\t",
                                          " ",
                                          "def f():",
                                          "import os",
                                          "}",
                                          "{",
                                          "(",
                                          ")",
                                          "x = 1",
                                          "é",
                                          "class A:",
                                          "#",
                                          "\"",
                                          "<|fim_middle|>",
                                          "zzzzzzzzzzzz",
                                          std::string(1, '\0')};
  const auto text = [&](int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += words[rng() % words.size()];
    return out;
  };
  const std::vector<Tokenizer> tokenizers = [] {
    std::vector<Tokenizer> all;
    all.push_back(characters(kQwen));
    all.push_back(characters({"<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<repo_name>", "<file_sep>"}));
    all.push_back(characters({"[PREFIX]", "[SUFFIX]"}));
    all.push_back(characters({}));
    return all;
  }();
  std::vector<std::string> paths = {"a.txt"};
  for (const CodeLanguage& language : code_languages()) paths.push_back("a." + std::string(language.extensions[0]));
  for (const Tokenizer& t : tokenizers)
    for (int round = 0; round < 400; ++round) {
      CodePlace place = place_of(paths[rng() % paths.size()], text(int(rng() % 120)), text(int(rng() % 60)));
      for (size_t i = rng() % 3; i > 0; --i) place.files.push_back({text(1), text(int(rng() % 60))});
      place.repository = text(int(rng() % 3));
      const int64_t budget = 16 + int64_t(rng() % 300);
      const CodePrompt prompt = make_code_prompt(place, t, {.budget = budget});
      ASSERT_LE(int64_t(prompt.ids.size()), budget) << testing::PrintToString(place.prefix);
      if (prompt.family.empty() && place.prefix.empty()) continue;
      const auto whole = int64_t(encode_plain(t, place.prefix).size() + encode_plain(t, place.suffix).size());
      const bool fits = whole + 3 <= budget && place.files.empty();
      if (fits && !prompt.family.empty()) {
        EXPECT_FALSE(prompt.truncated());
      }
      // The cursor's line before the cursor, or its end.
      const std::string line = place.prefix.substr(place.prefix.rfind('\n') == std::string::npos ? 0 : place.prefix.rfind('\n') + 1);
      const auto tail_ids = encode_plain(t, line.substr(line.size() - std::min<size_t>(line.size(), 4)));
      if (!line.empty() && (uint8_t(line[line.size() - std::min<size_t>(line.size(), 4)]) & 0x80) == 0) {
        EXPECT_FALSE(std::ranges::search(prompt.ids, tail_ids).empty()) << testing::PrintToString(line);
      }
      if (!prompt.truncated() && !prompt.family.empty()) {
        EXPECT_GE(int64_t(prompt.ids.size()), whole + 2);
      }
    }
}

TEST(CodePrompt, HostileSizes) {
  const Tokenizer t = characters(kQwen);
  const std::string line(1 << 20, 'a'), spaces(1 << 20, ' '), newlines(1 << 20, '\n'), brackets(1 << 20, '('), nul(1 << 20, '\0');
  for (const std::string* s : {&line, &spaces, &newlines, &brackets, &nul})
    for (const char* path : {"a.py", "a.cc"}) {
      const CodePrompt prompt = make_code_prompt(place_of(path, *s + "x = ", *s), t);
      EXPECT_LE(prompt.ids.size(), 8192u);
      if (s != &nul) {
        EXPECT_GT(prompt.ids.size(), 4000u);
      }  // unknown characters in a row are one token of this vocabulary
      EXPECT_TRUE(prompt.truncated());
    }
}

TEST(ChoosePrefixLines, SumStaysWithinTheBudgetAndTheLastLineIsKept) {
  std::mt19937 rng(3);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::string> text;
    std::vector<int64_t> costs;
    for (size_t i = 0, n = 1 + rng() % 40; i < n; ++i) {
      text.push_back(std::string(rng() % 5 * 2, ' ') + (rng() % 4 ? "x" : "import y"));
      costs.push_back(int64_t(rng() % 12));
    }
    const std::vector<std::string_view> lines(text.begin(), text.end());
    const int64_t budget = int64_t(rng() % 100);
    const auto kept = choose_prefix_lines(code_language_of("a.py"), lines, costs, budget);
    ASSERT_EQ(kept.back(), lines.size() - 1);
    int64_t sum = 0;
    for (size_t i : kept) sum += costs[i];
    EXPECT_LE(sum, std::max(budget, costs.back()));
  }
}

// The real vocabulary, where it is there.
TEST(CodePrompt, QwensOwnVocabulary) {
  const char* folder = std::getenv("R1_MODELS");
  const std::filesystem::path path = std::filesystem::path(folder ? folder : "") / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf";
  if (!folder || !exists(path)) GTEST_SKIP() << "no Qwen2.5-Coder in R1_MODELS";
  const Tokenizer t = Tokenizer::load(path);
  const CodePrompt prompt = make_code_prompt(place_of("a.py", "def add(a, b):\n    return ", "\n"), t);
  EXPECT_EQ(prompt.family, "qwen");
  EXPECT_EQ(prompt.ids.front(), 151659);
  EXPECT_EQ(prompt.ids.back(), 151660);
  for (text::TokenId id : {151643, 151645, 151659, 151660, 151661, 151662, 151663, 151664})
    EXPECT_TRUE(std::ranges::count(prompt.stop_ids, id)) << id;
  std::string code;
  for (int i = 0; i < 20000; ++i) code += "    value_" + std::to_string(i) + " = compute(" + std::to_string(i) + ")\n";
  const CodePrompt cut = make_code_prompt(place_of("a.py", "import os\ndef f():\n" + code + "    return ", "\n" + code), t);
  EXPECT_LE(cut.ids.size(), 8192u);
  EXPECT_GT(cut.ids.size(), 8000u);
  EXPECT_TRUE(t.decode_bytes(cut.ids).starts_with("<|fim_prefix|>import os\ndef f():\n    value_"));
}

}  // namespace
}  // namespace r1::api
