#include "r1/api/answer_parser.h"

#include <gtest/gtest.h>

#include <ctime>
#include <random>

#include "r1/base/json.h"

namespace r1::api {
namespace {

using Format = AnswerParserOptions::ToolFormat;

struct Call {
  std::string name, arguments;
  bool operator==(const Call&) const = default;
};
struct Parts {
  std::string reasoning, content;
  std::vector<Call> calls;
  bool operator==(const Parts&) const = default;
};
void PrintTo(const Parts& parts, std::ostream* out) {
  *out << "reasoning '" << parts.reasoning << "' content '" << parts.content << "'";
  for (const Call& call : parts.calls) *out << " " << call.name << "(" << call.arguments << ")";
}

void add(Parts& parts, const Delta& delta) {
  parts.reasoning += delta.reasoning;
  parts.content += delta.content;
  for (const ToolCallDelta& call : delta.tool_calls) {
    if (!call.id.empty()) {
      EXPECT_EQ(size_t(call.index), parts.calls.size());
      EXPECT_EQ(call.id.size(), 29u);
      EXPECT_FALSE(call.name.empty());
      parts.calls.push_back({call.name, ""});
    }
    ASSERT_LT(size_t(call.index), parts.calls.size());
    EXPECT_EQ(size_t(call.index) + 1, parts.calls.size()) << "calls come one after the other";
    parts.calls.back().arguments += call.arguments;
  }
}

// `cuts`: after which bytes a piece ends.
Parts parse(const AnswerParserOptions& options, std::string_view text, const std::vector<size_t>& cuts = {}) {
  AnswerParser parser(options);
  Parts parts;
  size_t begin = 0;
  for (const size_t cut : cuts) {
    add(parts, parser.push(text.substr(begin, cut - begin)));
    begin = cut;
  }
  add(parts, parser.push(text.substr(begin)));
  add(parts, parser.finish());
  EXPECT_EQ(size_t(parser.tool_calls()), parts.calls.size());
  return parts;
}

// The parts of the text however it is cut: whole, at each byte, byte by byte, at random.
Parts parse_all_ways(const AnswerParserOptions& options, std::string_view text) {
  const Parts whole = parse(options, text);
  std::vector<size_t> every;
  for (size_t i = 1; i < text.size(); ++i) {
    every.push_back(i);
    EXPECT_EQ(parse(options, text, {i}), whole) << "cut at " << i << " of " << text;
  }
  EXPECT_EQ(parse(options, text, every), whole) << "byte by byte: " << text;
  return whole;
}

AnswerParserOptions with(Format format) {
  AnswerParserOptions options;
  options.tool_format = format;
  return options;
}

TEST(AnswerParser, ThoughtsOfTemplatesAndModels) {
  AnswerParserOptions template_opens, none;
  template_opens.in_thought = true;
  none.thoughts = false;
  const AnswerParserOptions model_opens;

  EXPECT_EQ(parse_all_ways(template_opens, "I add.\n</think>\n\n4."), (Parts{"I add.", "4.", {}}));
  EXPECT_EQ(parse_all_ways(template_opens, "<think>\nI add.\n</think>\n\n4."), (Parts{"I add.", "4.", {}})) << "the model repeats the tag";
  EXPECT_EQ(parse_all_ways(template_opens, "I add <think> again.</think>4."), (Parts{"I add <think> again.", "4.", {}}));
  EXPECT_EQ(parse_all_ways(template_opens, "\n\n</think>\n\n4."), (Parts{"", "4.", {}})) << "an empty thought";
  EXPECT_EQ(parse_all_ways(model_opens, "<think>\nI add.\n</think>\n\n4."), (Parts{"I add.", "4.", {}}));
  EXPECT_EQ(parse_all_ways(model_opens, "\n <think>I add.</think>4."), (Parts{"I add.", "4.", {}}));
  EXPECT_EQ(parse_all_ways(model_opens, "4. Not 5."), (Parts{"", "4. Not 5.", {}}));
  EXPECT_EQ(parse_all_ways(model_opens, "\n\n 4."), (Parts{"", "\n\n 4.", {}})) << "blanks of an answer without a thought stay";
  EXPECT_EQ(parse_all_ways(model_opens, "The tag <think> opens, </think> closes."),
            (Parts{"", "The tag <think> opens, </think> closes.", {}}))
      << "a thought stands at the start";
  EXPECT_EQ(parse_all_ways(model_opens, "<think>a</think> b <think>c</think>"), (Parts{"a", "b <think>c</think>", {}}));
  EXPECT_EQ(parse_all_ways(none, "<think>\nI add.\n</think>\n\n4."), (Parts{"", "<think>\nI add.\n</think>\n\n4.", {}}));
  EXPECT_EQ(parse_all_ways(model_opens, ""), (Parts{}));
}

TEST(AnswerParser, ThoughtsThatAreCut) {
  AnswerParserOptions template_opens;
  template_opens.in_thought = true;
  const AnswerParserOptions model_opens;
  // The budget ends a thought in the midst of a word, with the tag and what stands before it.
  EXPECT_EQ(parse_all_ways(template_opens, "I think of num\n</think>\n\n4."), (Parts{"I think of num", "4.", {}}));
  EXPECT_EQ(parse_all_ways(model_opens, "<think>I think of num\n</think>\n\n4."), (Parts{"I think of num", "4.", {}}));
  // The length, or a stop string, ends the answer within its thought, or within a tag.
  EXPECT_EQ(parse_all_ways(template_opens, "I think of"), (Parts{"I think of", "", {}}));
  EXPECT_EQ(parse_all_ways(model_opens, "<think>I think of\n"), (Parts{"I think of\n", "", {}}));
  EXPECT_EQ(parse_all_ways(model_opens, "<think>so </thi"), (Parts{"so </thi", "", {}}));
  EXPECT_EQ(parse_all_ways(model_opens, "<thi"), (Parts{"", "<thi", {}}));
  EXPECT_EQ(parse_all_ways(model_opens, "<think>a</think>\n"), (Parts{"a", "", {}}));
  EXPECT_EQ(parse_all_ways(model_opens, "<think>"), (Parts{}));
}

TEST(AnswerParser, ThoughtsAreShownAsTheyCome) {
  AnswerParserOptions options;
  options.in_thought = true;
  AnswerParser parser(options);
  EXPECT_TRUE(parser.in_thought());
  EXPECT_EQ(parser.push("I add").reasoning, "I add");
  EXPECT_EQ(parser.push(" 2\n").reasoning, " 2");
  EXPECT_EQ(parser.push("and <b>").reasoning, "\nand <b>");
  EXPECT_EQ(parser.push("</").reasoning, "") << "this may be the end";
  EXPECT_TRUE(parser.in_thought());
  const Delta delta = parser.push("think>4");
  EXPECT_EQ(delta.content, "4");
  EXPECT_EQ(delta.reasoning, "");
  EXPECT_FALSE(parser.in_thought());
  EXPECT_EQ(parser.push(" <").content, " <") << "without tools nothing is held back";
  EXPECT_TRUE(parser.finish().empty());
}

TEST(AnswerParser, OtherThoughtTags) {
  AnswerParserOptions options;
  options.think_open = "<|begin_thought|>";
  options.think_close = "<|end_thought|>";
  EXPECT_EQ(parse_all_ways(options, "<|begin_thought|>a<|end_thought|>b"), (Parts{"a", "b", {}}));
}

TEST(AnswerParser, Hermes) {
  const AnswerParserOptions options = with(Format::kHermes);
  const auto all = [&](std::string_view text) { return parse_all_ways(options, text); };
  EXPECT_EQ(all("<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>"),
            (Parts{"", "", {{"weather", "{\"city\": \"Oslo\"}"}}}));
  EXPECT_EQ(all("I "
                "look.\n\n<tool_call>{\"name\":\"a\",\"arguments\":{}}</"
                "tool_call>\n<tool_call>{\"name\":\"b\",\"arguments\":{\"x\":[1,{\"y\":null}]}}</tool_call>\n"),
            (Parts{"", "I look.", {{"a", "{}"}, {"b", "{\"x\":[1,{\"y\":null}]}"}}}));
  EXPECT_EQ(all("<think>\nA call.\n</think>\n\n<tool_call>{\"name\":\"a\",\"arguments\":{}}</tool_call>"),
            (Parts{"A call.", "", {{"a", "{}"}}}));
  EXPECT_EQ(all("<tool_call>{\"arguments\": {\"x\": 1}, \"name\": \"late\"}</tool_call>"), (Parts{"", "", {{"late", "{\"x\": 1}"}}}));
  EXPECT_EQ(all("<tool_call>{\"id\": 7, \"name\": \"a\", \"parameters\": {\"x\": -1.5e3}, \"more\": [1]}</tool_call>"),
            (Parts{"", "", {{"a", "{\"x\": -1.5e3}"}}}));
  EXPECT_EQ(all("<tool_call>{\"name\": \"a\"}</tool_call>"), (Parts{"", "", {{"a", "{}"}}}));
  EXPECT_EQ(all("<tool_call>{\"name\": \"a\", \"arguments\": null}</tool_call>"), (Parts{"", "", {{"a", "{}"}}}));
  EXPECT_EQ(all("<tool_call>{\"name\": \"a\", \"arguments\": \"{\\\"x\\\": \\\"\\u00e9\\\"}\"}</tool_call>"),
            (Parts{"", "", {{"a", "{\"x\": \"é\"}"}}}));
  EXPECT_EQ(all("<tool_call>{\"name\":\"a\",\"arguments\":{\"x\":\"</tool_call> \\\" }\"}}</tool_call>"),
            (Parts{"", "", {{"a", "{\"x\":\"</tool_call> \\\" }\"}"}}}))
      << "a tag inside of a string";
  EXPECT_EQ(all("<tool_call>{\"name\":\"\\u0061\",\"arguments\":{}}</tool_call>and more"), (Parts{"", "and more", {{"a", "{}"}}}));
  EXPECT_EQ(all("<tool_call>{\"name\":\"a\",\"arguments\":{}}}\n</tool_call>"), (Parts{"", "", {{"a", "{}"}}})) << "a brace too many";
  EXPECT_EQ(all("<tool_call>{\"name\":\"a\",\"arguments\":{}}\n<tool_call>{\"name\":\"b\",\"arguments\":{}}"),
            (Parts{"", "", {{"a", "{}"}, {"b", "{}"}}}))
      << "closing tags forgotten";
}

TEST(AnswerParser, HermesThatIsNoCall) {
  const AnswerParserOptions options = with(Format::kHermes);
  for (const std::string text : {"<tool_call>",
                                 "<tool_call>\n",
                                 "a <tool_ca",
                                 "<tool_call>{",
                                 "<tool_call>weather()</tool_call>",
                                 "<tool_call>{\"name\": \"we",
                                 "<tool_call>{\"name\": \"weather\"",
                                 "<tool_call>{\"name\": \"weather\", \"arguments\": ",
                                 "<tool_call>{\"name\": 5, \"arguments\": {}}</tool_call>",
                                 "<tool_call>{\"name\": \"a\", \"arguments\": [1]}</tool_call>",
                                 "<tool_call>{\"name\": \"a\", \"arguments\": \"5\"}</tool_call>",
                                 "<tool_call>{\"name\": \"\", \"arguments\": {}}</tool_call>",
                                 "<tool_call>{\"arguments\": {\"x\": 1}}</tool_call>",
                                 "<tool_call>[1]</tool_call>",
                                 "<tool_call>{'name': 'a', 'arguments': {}}</tool_call>",
                                 "x \n <tool_call>no</tool_call> y\n",
                                 "  \n",
                                 "1 < 2 and <b> <tool_call",
                                 "<tool_call><tool_call>{\"name\"",
                                 "</tool_call>"})
    EXPECT_EQ(parse_all_ways(options, text), (Parts{"", text, {}}));
  EXPECT_EQ(parse_all_ways(options, "<tool_call>no <tool_call>{\"name\":\"a\",\"arguments\":{}}</tool_call>"),
            (Parts{"", "<tool_call>no", {{"a", "{}"}}}))
      << "a call behind what was none";
}

TEST(AnswerParser, ArgumentsThatBreakOff) {
  const AnswerParserOptions options = with(Format::kHermes);
  const auto all = [&](std::string_view text) { return parse_all_ways(options, text); };
  EXPECT_EQ(all("<tool_call>{\"name\":\"a\",\"arguments\":{\"x\": \"Os"), (Parts{"", "", {{"a", "{\"x\": \"Os"}}}))
      << "the length ended it";
  EXPECT_EQ(all("<tool_call>{\"name\":\"a\",\"arguments\":{\"x\": 1,, 2}}\n</tool_call> so"),
            (Parts{"", "so", {{"a", "{\"x\": 1,, 2}}"}}}));
  // A line end inside of a string, which no JSON reader takes.
  const Parts lines = all("<tool_call>{\"name\":\"a\",\"arguments\":{\"code\":\"x\n\ty\x01\"}}</tool_call>");
  ASSERT_EQ(lines.calls.size(), 1u);
  EXPECT_EQ(parse_json(lines.calls[0].arguments, "arguments")["code"], "x\n\ty\x01");
}

TEST(AnswerParser, ArgumentsAreShownAsTheyCome) {
  AnswerParser parser(with(Format::kHermes));
  EXPECT_TRUE(parser.push("<tool_call>\n{\"name\": \"weather\", \"argum").empty());
  Delta delta = parser.push("ents\": {\"ci");
  ASSERT_EQ(delta.tool_calls.size(), 1u);
  EXPECT_EQ(delta.tool_calls[0].name, "weather");
  EXPECT_EQ(delta.tool_calls[0].arguments, "{\"ci");
  delta = parser.push("ty\": \"Os");
  ASSERT_EQ(delta.tool_calls.size(), 1u);
  EXPECT_EQ(delta.tool_calls[0].id, "") << "only a call's first delta has its id";
  EXPECT_EQ(delta.tool_calls[0].arguments, "ty\": \"Os");
  delta = parser.push("lo\"}}\n</tool_call>");
  ASSERT_EQ(delta.tool_calls.size(), 1u);
  EXPECT_EQ(delta.tool_calls[0].arguments, "lo\"}");
  EXPECT_TRUE(parser.finish().empty());
}

TEST(AnswerParser, DeepSeek) {
  const AnswerParserOptions options = with(Format::kDeepSeek);
  const auto all = [&](std::string_view text) { return parse_all_ways(options, text); };
  EXPECT_EQ(all("I look.\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{\"city\": "
                "\"Oslo\"}\n```<｜tool▁call▁end｜>\n"
                "<｜tool▁call▁begin｜>function<｜tool▁sep｜>time\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
            (Parts{"", "I look.", {{"weather", "{\"city\": \"Oslo\"}"}, {"time", "{}"}}}));
  EXPECT_EQ(
      all("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{\"city\": \"Oslo\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
      (Parts{"", "", {{"weather", "{\"city\": \"Oslo\"}"}}}))
      << "as V3.1 writes them";
  EXPECT_EQ(all("<think>x</think>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>a\n```json\n{\"x\": tru}\n```<｜tool▁call▁end｜>"),
            (Parts{"x", "", {{"a", "{\"x\": tru}\n```"}}}))
      << "arguments that are no JSON";
  for (const std::string text : {"<｜tool▁call▁begin｜>", "<｜tool▁call▁begin｜>function", "<｜tool▁call▁begin｜>function<｜tool▁sep｜>a",
                                 "<｜tool▁call▁begin｜>function<｜tool▁sep｜>a\n``", "<｜tool▁call▁begin｜>a<｜tool▁sep｜>no JSON",
                                 "<｜tool▁call▁begin｜><｜tool▁sep｜>{}", "x <｜tool▁ca"})
    EXPECT_EQ(all(text), (Parts{"", text, {}}));
  const std::string long_head = "<｜tool▁call▁begin｜>" + std::string(3000, 'x') + "<｜tool▁sep｜>{}";
  EXPECT_EQ(parse(options, long_head), (Parts{"", long_head, {}}));
}

TEST(AnswerParser, Llama3) {
  const AnswerParserOptions options = with(Format::kLlama3);
  const auto all = [&](std::string_view text) { return parse_all_ways(options, text); };
  EXPECT_EQ(all("{\"name\": \"weather\", \"parameters\": {\"city\": \"Oslo\"}}"), (Parts{"", "", {{"weather", "{\"city\": \"Oslo\"}"}}}));
  EXPECT_EQ(all("\n<|python_tag|>{\"name\": \"a\", \"parameters\": {}}; {\"name\": \"b\", \"parameters\": {}}"),
            (Parts{"", "", {{"a", "{}"}, {"b", "{}"}}}));
  EXPECT_EQ(all("{\"type\": \"function\", \"name\": \"a\", \"parameters\": {\"x\": 1}} so"), (Parts{"", "so", {{"a", "{\"x\": 1}"}}}));
  for (const std::string text : {"{\"x\": 1}", "{\"name\": \"Bob\", \"age\": 7}", "{no}", "Call {\"name\": \"a\", \"parameters\": {}}", "{",
                                 " ", "<|python_tag|>print(1)", "<|python", "{\"name\": \"a\", \"parameters\": 3}"})
    EXPECT_EQ(all(text), (Parts{"", text, {}}));
}

TEST(AnswerParser, NamedTool) {
  AnswerParserOptions options;
  options.whole_is_arguments = true;
  options.tool_name = "weather";
  EXPECT_EQ(parse_all_ways(options, "\n{\"city\": \"Oslo\"}\n"), (Parts{"", "", {{"weather", "{\"city\": \"Oslo\"}"}}}));
  EXPECT_EQ(parse_all_ways(options, "<think>\nso\n</think>\n{\"x\": 1 }"), (Parts{"so", "", {{"weather", "{\"x\": 1 }"}}}));
  EXPECT_EQ(parse_all_ways(options, "{\"city\": "), (Parts{"", "", {{"weather", "{\"city\":"}}}));
  EXPECT_EQ(parse_all_ways(options, ""), (Parts{}));
}

TEST(AnswerParser, FormatsOfTemplates) {
  EXPECT_EQ(tool_format_of("{{ '<tool_call>' }}"), Format::kHermes);
  EXPECT_EQ(tool_format_of("'<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>' + tool['type']"), Format::kDeepSeek);
  EXPECT_EQ(tool_format_of("{{- \"Environment: ipython\\n\" }} '\"parameters\": '"), Format::kLlama3);
  EXPECT_EQ(tool_format_of("{{ messages[0].content }}"), Format::kNone);
}

// Texts of the pieces that tags and calls are made of, cut at random: the same parts, and with no tools no byte lost.
TEST(AnswerParser, CutsMakeNoDifference) {
  std::mt19937 random(7);
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  const std::vector<std::string> pieces = {"<think>",
                                           "</think>",
                                           "<tool_call>",
                                           "</tool_call>",
                                           "{\"name\": \"a\", \"arguments\": {\"x\": \"y\"}}",
                                           "{\"name\":",
                                           "\"a\"",
                                           ",\"arguments\":",
                                           "{",
                                           "}",
                                           "[",
                                           "]",
                                           "\"",
                                           "\\",
                                           "\n",
                                           " ",
                                           "é",
                                           "<",
                                           "a",
                                           "1",
                                           "null",
                                           "<｜tool▁calls▁begin｜>",
                                           "<｜tool▁call▁begin｜>",
                                           "function",
                                           "<｜tool▁sep｜>",
                                           "f\n```json\n{}",
                                           "```",
                                           "<｜tool▁call▁end｜>",
                                           "<｜tool▁calls▁end｜>",
                                           "<|python_tag|>",
                                           ";",
                                           "{\"name\": \"a\", \"parameters\": {}}"};
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (size_t n = below(12); n > 0; --n) text += pieces[below(pieces.size())];
    AnswerParserOptions options = with(Format(below(4)));
    options.in_thought = below(3) == 0;
    options.thoughts = below(4) != 0;
    options.whole_is_arguments = below(8) == 0;
    options.tool_name = "named";
    std::vector<size_t> cuts;
    for (size_t i = 1; i < text.size(); ++i)
      if (below(3) == 0) cuts.push_back(i);
    const Parts whole = parse(options, text);
    ASSERT_EQ(parse(options, text, cuts), whole) << text;
    if (options.tool_format == Format::kNone && !options.thoughts && !options.whole_is_arguments) {
      ASSERT_EQ(whole.content, text);
    }
  }
}

TEST(AnswerParser, LongAnswersTakeLinearTime) {
  const std::clock_t begin = std::clock();
  for (const Format format : {Format::kHermes, Format::kDeepSeek, Format::kLlama3}) {
    for (const std::string piece : {"<tool_call>{\"a\":[", "<", "\n", "{", "<tool_call>{\"name\": \"a\", \"arguments\": {\"x\":\"",
                                    "<｜tool▁call▁begin｜>f<｜tool▁sep｜>"}) {
      std::string text;
      while (text.size() < 100'000) text += piece;
      AnswerParser parser(with(format));
      Parts parts;
      for (size_t i = 0; i < text.size(); i += 5) add(parts, parser.push(std::string_view(text).substr(i, 5)));
      add(parts, parser.finish());
      EXPECT_GT(parts.content.size() + parts.calls.size(), 0u);
    }
  }
  EXPECT_LT(double(std::clock() - begin) / CLOCKS_PER_SEC, 5.0) << "each piece looked all held text through once more took 11";
}

}  // namespace
}  // namespace r1::api
