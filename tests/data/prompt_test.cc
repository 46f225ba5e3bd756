// PromptMaker: nobody's text becomes a control token or loses a character, what the loss mask covers, content parts and the rest of a
// message on their way to the template.
#include "r1/data/prompt.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/text/pretokenize.h"
#include "r1/text/tokenizer_parts.h"

namespace r1::data {
namespace {

using Ids = std::vector<text::TokenId>;

enum : text::TokenId { kStart = 256, kEnd, kUser, kAssistant, kThink, kThinkEnd, kEos, kBlanks, kOther, kUs };

// The 256 bytes, then what DeepSeek's file has: control tokens that it does not call special.
text::TokenizerParts parts() {
  text::TokenizerParts parts;
  parts.where = "small";
  for (int b = 0; b < 256; ++b) {
    const char byte = char(b);
    parts.vocabulary.emplace_back(text::to_byte_letters({&byte, 1}), b);
  }
  parts.added = {{.id = kStart, .content = "<|im_start|>", .special = true},
                 {.id = kEnd, .content = "<|im_end|>", .special = true},
                 {.id = kUser, .content = "<｜User｜>", .normalized = true},
                 {.id = kAssistant, .content = "<｜Assistant｜>"},
                 {.id = kThink, .content = "<think>", .normalized = true},
                 {.id = kThinkEnd, .content = "</think>"},
                 {.id = kEos, .content = "<eos>", .special = true},
                 {.id = kBlanks, .content = "    "},
                 {.id = kOther, .content = "<other>"},
                 {.id = kUs, .content = "｜><think>"}};  // begins inside of one control token and ends with another
  parts.pre_tokenizer = text::byte_level_section(false, true);
  parts.decoder = text::byte_level_section(false, true);
  parts.eos = "<eos>";
  return parts;
}

constexpr const char* kTurns = R"({#- </think> #}
{%- for m in messages -%}
    {%- if m.role == 'user' -%}<｜User｜>{{ m.content }}
    {%- elif m.role == 'assistant' -%}<｜Assistant｜>{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}
    {%- else -%}{{ m.content }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<｜Assistant｜><think>{% endif -%})";

struct Model {
  explicit Model(const std::string& source = kTurns, text::TokenizerParts p = parts(), PromptArgs args = {})
      : tokenizer(text::Tokenizer::from_parts(std::move(p))),
        chat(source, {}, "dir/chat_template.jinja"),
        prompts(tokenizer, &chat, args) {}
  text::Tokenizer tokenizer;
  text::ChatTemplate chat;
  PromptMaker prompts;
};

Ids bytes_of(const std::string& text) {
  Ids ids;
  for (const char c : text) ids.push_back(uint8_t(c));
  return ids;
}

Ids joined(std::initializer_list<Ids> lists) {
  Ids out;
  for (const Ids& ids : lists) out.insert(out.end(), ids.begin(), ids.end());
  return out;
}

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "(no error)";
}

Conversation chat(const char* json, TemplateKeys keys = TemplateKeys::kKnown) {
  return conversation_from_json(Json::parse(json), "f.jsonl:1", keys);
}

TEST(Prompt, AUsersTextNeverBecomesAControlToken) {
  const Model m;
  for (const std::string said : {"<|im_end|>", "<eos>", "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"}) {
    const std::string text = "x" + said;
    EXPECT_EQ(m.prompts.chat_prompt({{{"user", text}}}), joined({{kUser}, bytes_of(text), {kAssistant, kThink}})) << said;
    EXPECT_EQ(m.prompts.chat_prompt({{{"tool", text}, {"user", "y"}}}), joined({bytes_of(text), {kUser, 'y', kAssistant, kThink}})) << said;
  }
  // The same with a normalizer, which moves every place after it.
  text::TokenizerParts nfc = parts();
  nfc.normalizer = {{"type", "NFC"}};
  EXPECT_EQ(Model(kTurns, nfc).prompts.chat_prompt({{{"user", "e\u0301<｜User｜>"}}}),
            joined({{kUser}, bytes_of("\u00e9<｜User｜>"), {kAssistant, kThink}}));
  // And where whole pieces are looked up in a vocabulary that holds the token.
  text::TokenizerParts whole = parts();
  whole.ignore_merges = true;
  whole.pre_tokenizer = text::byte_level_section(false, false);
  whole.vocabulary.emplace_back("<think>", kThink);
  EXPECT_EQ(Model(kTurns, whole).prompts.chat_prompt({{{"user", "<think>"}}}),
            joined({{kUser}, bytes_of("<think>"), {kAssistant, kThink}}));
}

TEST(Prompt, WhatIsWrittenLikeAControlTokenIsOne) {
  // This template writes none.
  const Model m("{% for x in messages %}{{ x.content }}{% endfor %}");
  EXPECT_EQ(m.prompts.chat_prompt({{{"user", "x<｜Assistant｜>"}}}), bytes_of("x<｜Assistant｜>"));
  EXPECT_EQ(m.prompts.chat_prompt({{{"user", "<think>"}}}), Ids{kThink});
  EXPECT_EQ(m.prompts.chat_prompt({{{"user", "a"}, {"assistant", "<｜User｜>"}}}), (Ids{'a', kUser}));
}

TEST(Prompt, OtherAddedTokensStayTokens) {
  const Model m;
  EXPECT_EQ(m.prompts.chat_prompt({{{"user", "<other>    x"}}}), (Ids{kUser, kOther, kBlanks, 'x', kAssistant, kThink}));
}

TEST(Prompt, OverlappingTokensAreBothPlain) {
  const Model m(std::string(kTurns) + "{# ｜><think> #}");
  const std::string text = "<｜User｜><think><eos>";
  EXPECT_EQ(m.prompts.chat_prompt({{{"user", text}}}), joined({{kUser}, bytes_of(text), {kAssistant, kThink}}));
}

TEST(Prompt, WhatTheSystemAndTheAssistantSay) {
  const Model m;
  // Thoughts are tokens, turns and special tokens are not.
  EXPECT_EQ(
      m.prompts.chat_prompt({{{"system", "<think>"}, {"user", "a"}, {"assistant", "<think>b</think><｜User｜><|im_end|>"}}}),
      joined({{kThink, kUser, 'a', kAssistant, kThink, 'b', kThinkEnd}, bytes_of("<｜User｜><|im_end|>"), {kEos, kAssistant, kThink}}));
  const Document d = m.prompts.supervised("", {{"user", "a"}}, "<think>b<｜User｜>");
  EXPECT_EQ(d.ids, joined({{kUser, 'a', kAssistant, kThink, kThink, 'b'}, bytes_of("<｜User｜>"), {kEos}}));
}

TEST(Prompt, NoCharacterIsLost) {
  const Model m;
  for (const std::string text : {"x\uE000", "x\uFDD0\uFFFE", "\U0002A6D6\U0002A6D5<eos>\uE000\U0002A6D6", "\U0002A6D6"})
    EXPECT_EQ(m.prompts.chat_prompt({{{"user", text}}}), joined({{kUser}, bytes_of(text), {kAssistant, kThink}})) << text;
}

// Texts of fragments, so that tokens come about where one ends and another begins: the bytes are those that the template makes, and no
// control token is there but the template's own.
TEST(Prompt, AnyTextComesThroughAsItIs) {
  const Model m;
  Rng rng(3, 0);
  const char* fragments[] = {"<",    "think", ">",  "<think>", "</think>", "<｜",   "User", "｜>", "<｜User｜>", "Assistant",
                             "<eos", "<|im_", "a ", "é",       "    ",     "end|>", "\n",   "{{",  "\uE000",     "<other>"};
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (uint64_t n = rng.below(12); n > 0; --n) text += fragments[rng.below(std::size(fragments))];
    const Ids ids = m.prompts.chat_prompt({{{"user", text}}});
    ASSERT_EQ(m.tokenizer.decode_bytes(ids), "<｜User｜>" + text + "<｜Assistant｜><think>");
    for (const text::TokenId control : {kStart, kEnd, kUser, kAssistant, kThink, kThinkEnd, kEos, kUs}) {
      const bool own = control == kUser || control == kAssistant || control == kThink;
      ASSERT_EQ(std::ranges::count(ids, control), own ? 1 : 0) << text << " has " << control;
    }
  }
}

TEST(Prompt, ATemplateSeesTheTextAsItIs) {
  // It looks for what the user spelled, cuts it, prints it inside of a list.
  const Model m("{% set c = messages[0].content %}{{ c.split('</think>')[-1] }}|{{ [c] }}|{{ '</think>' in c }}|{{ messages[0].n }}");
  const Conversation c = chat(R"({"messages":[{"role":"user","content":"a</think>b","n":[{"<eos>":"<eos>"}]}]})");
  const Ids ids = m.prompts.chat_prompt(c);
  EXPECT_EQ(m.tokenizer.decode_bytes(ids), "b|['a</think>b']|True|[{'<eos>': '<eos>'}]");
  EXPECT_EQ(std::ranges::count_if(ids, [](text::TokenId id) { return id > 255; }), 0);
}

TEST(Prompt, SystemPromptAndSuffix) {
  const Model m(kTurns, parts(), {.system_prompt = "s", .prompt_suffix = "<think>t"});
  EXPECT_EQ(m.prompts.chat_prompt({{{"user", "a"}}}), (Ids{'s', kUser, 'a', kAssistant, kThink, kThink, 't'}));
  EXPECT_EQ(m.prompts.chat_prompt({{{"system", "o"}, {"user", "a"}}}), (Ids{'o', kUser, 'a', kAssistant, kThink, kThink, 't'}));
  EXPECT_EQ(m.prompts.prompt("plain", {{"user", "a"}}), (Ids{'s', kUser, 'a', kAssistant, kThink, kThink, 't'}));
  const Model plain(kTurns, parts(), {.prompt_format = "plain", .prompt_suffix = "!"});
  EXPECT_EQ(plain.prompts.prompt("hi", {{"user", "a"}}), (Ids{'h', 'i', '!'}));
  const text::Tokenizer t = text::Tokenizer::from_parts(parts());
  EXPECT_NE(error_of([&] { PromptMaker(t, nullptr, {.prompt_format = "chat"}); }).find("no chat template"), std::string::npos);
  EXPECT_EQ(PromptMaker(t, nullptr, {}, {3, 4}).stop_ids(), (Ids{3, 4}));
}

// ---- the loss mask ----

std::string learned_text(const text::Tokenizer& t, const Document& d) {
  EXPECT_EQ(d.ids.size(), d.learned.size());
  std::string out;
  for (size_t i = 0; i < d.ids.size(); ++i) out += d.learned[i] ? t.token_bytes(d.ids[i]) : "_";
  return out;
}

constexpr const char* kTwoTurns =
    R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":"<eos>"},{"role":"assistant","content":"b"},
                    {"role":"user","content":"c"},{"role":"assistant","content":"<think>d"}]})";

TEST(Prompt, LearnedAreTheGenerationSpans) {
  const Model m;
  const Document d = m.prompts.conversation(chat(kTwoTurns), "f:1");
  EXPECT_EQ(d.ids, joined({{'s', kUser}, bytes_of("<eos>"), {kAssistant, 'b', kEos, kUser, 'c', kAssistant, kThink, 'd', kEos}}));
  EXPECT_EQ(learned_text(m.tokenizer, d), "________b<eos>___<think>d<eos>");
}

TEST(Prompt, WithoutSpansTheAssistantsTurnsAreFound) {
  std::string source = kTurns;
  for (const char* tag : {"{% generation %}", "{% endgeneration %}"}) source.erase(source.find(tag), std::string(tag).size());
  source.replace(source.find("<｜Assistant｜><think>{% endif"), std::string("<｜Assistant｜><think>").size(), "<｜Assistant｜>");
  const Model m(source);
  EXPECT_EQ(learned_text(m.tokenizer, m.prompts.conversation(chat(kTwoTurns), "f:1")), "________b<eos>___<think>d<eos>");
  // A template that drops earlier thoughts.
  const Model forgets(
      "{% for m in messages %}[{{ m.role }}]{{ m.content if loop.last else '' }}{% endfor %}"
      "{% if add_generation_prompt %}[assistant]{% endif %}");
  EXPECT_EQ(error_of([&] { forgets.prompts.conversation(chat(kTwoTurns), "f:1"); }),
            "f:1: the chat template rewrites earlier turns, so the assistant's words of message 2 can't be found; use a template with "
            "{% generation %}");
}

TEST(Prompt, ATokenAcrossTheEdgeOfASpanIsLearned) {
  text::TokenizerParts p = parts();
  p.vocabulary.emplace_back(":a", 300);
  p.merges.push_back({':', 'a', 300});
  p.pre_tokenizer = text::sequence_section("pretokenizers", {text::byte_level_section(false, false)});
  const Model m("{{ messages[0].content }}:{% generation %}{{ messages[1].content }}{% endgeneration %}.", p);
  const Document d =
      m.prompts.conversation(chat(R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"ab"}]})"), "f:1");
  EXPECT_EQ(d.ids, (Ids{'q', 300, 'b', '.'}));
  EXPECT_EQ(d.learned, (std::vector<uint8_t>{0, 1, 1, 0}));
}

TEST(Prompt, ToolCallsAreLearnedAndToolTurnsRead) {
  const Model m(
      "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}"
      "{{ m.reasoning_content or '' }}{{ m.content if m.content is not none else '0' }}{% for c in m.tool_calls or [] %}"
      "({{ c.function.name }}{{ c.function.arguments | tojson }}){% endfor %}{% endgeneration %}{% else %}"
      "{{ m.name or '' }}{{ m.content }}{{ m.tool_call_id or '' }}{% endif %}{% endfor %}");
  const Document d = m.prompts.conversation(chat(R"({"tools":[{"n":18446744073709551615}],"source":"web","messages":[
      {"role":"user","name":"U","content":"q"},
      {"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[{"function":{"name":"f","arguments":{"x":9223372036854775808}}}]},
      {"role":"tool","tool_call_id":"7","content":"t"},{"role":"assistant","content":"a","name":null}]})"),
                                            "f:1");
  EXPECT_EQ(m.tokenizer.decode_bytes(d.ids), R"([{"n": 18446744073709551615}]Uqr0(f{"x": 9223372036854775808})t7a)");
  EXPECT_EQ(learned_text(m.tokenizer, d), std::string(31, '_') + R"(r0(f{"x": 9223372036854775808})__a)");
}

TEST(Prompt, WithoutATemplateContentsStandInARow) {
  const text::Tokenizer t = text::Tokenizer::from_parts(parts());
  const PromptMaker prompts(t, nullptr, {});
  const Document d = prompts.conversation(chat(R"({"prompt":"a","completion":"b"})"), "f:1");
  EXPECT_EQ(d.ids, (Ids{'a', 'b', kEos}));
  EXPECT_EQ(d.learned, (std::vector<uint8_t>{0, 1, 1}));
  EXPECT_NE(error_of([&] {
              prompts.conversation(chat(R"({"messages":[{"role":"assistant","content":"","tool_calls":[]}]})"), "f:1");
            }).find("f:1: message 0 has tool_calls"),
            std::string::npos);
}

// ---- what reaches the template ----

TEST(Prompt, ContentPartsAsTheTemplateTakesThem) {
  const char* row = R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]})";
  const auto text = [&](const char* source, const char* json) {
    const Model m(source);
    return m.tokenizer.decode_bytes(m.prompts.chat_prompt(chat(json)));
  };
  const char* strings = "{{ messages[0].content }}";
  const char* only_parts = "{% for p in messages[0].content %}{% if p.type == 'text' %}[{{ p.text }}]{% endif %}{% endfor %}";
  const char* either =
      "{% if messages[0].content is string %}{{ messages[0].content }}{% else %}{% for p in messages[0].content %}{{ p.text }}{% endfor %}"
      "{% endif %}";
  EXPECT_EQ(text(strings, row), "a\nb");
  EXPECT_EQ(text(only_parts, row), "[a][b]");
  EXPECT_EQ(text(either, row), "ab");
  EXPECT_EQ(text(only_parts, R"({"messages":[{"role":"user","content":"ab"}]})"), "[ab]");
  EXPECT_EQ(text(either, R"({"messages":[{"role":"user","content":"ab"}]})"), "ab");
}

TEST(Prompt, ADeveloperIsHeard) {
  const auto text = [](const char* source) {
    const Model m(source);
    return m.tokenizer.decode_bytes(m.prompts.chat_prompt({{{"developer", "d"}, {"user", "u"}}}));
  };
  EXPECT_EQ(text("{% for m in messages %}{{ m.role }}:{{ m.content }} {% endfor %}"), "system:d user:u ");
  EXPECT_EQ(text("{% for m in messages %}{% if m.role == 'developer' %}D{{ m.content }}{% endif %}{% endfor %}"), "Dd");
}

TEST(Prompt, KeysBesideTheMessages) {
  const Model m(
      "{{ messages[0].content }}{{ tools is defined }}{{ enable_thinking is defined }}{{ mood is defined }}{{ effort is defined }}");
  const char* row = R"({"messages":[{"role":"user","content":"a"}],"tools":"[{}]","enable_thinking":false,"mood":1,"id":2,
                        "chat_template_kwargs":{"effort":"low"}})";
  const auto text = [&](TemplateKeys keys) { return m.tokenizer.decode_bytes(m.prompts.chat_prompt(chat(row, keys))); };
  EXPECT_EQ(text(TemplateKeys::kKnown), "aTrueTrueFalseTrue");
  EXPECT_EQ(text(TemplateKeys::kAll), "aTrueTrueTrueTrue");
}

TEST(Prompt, ATemplateThatWantsWhatIsNotKnownFails) {
  text::TokenizerParts p = parts();
  p.eos.reset();
  const Model m("a\n{{ messages[0].content + eos_token }}", p);
  EXPECT_EQ(error_of([&] { m.prompts.chat_prompt({{{"user", "a"}}}); }), "dir/chat_template.jinja:2: 'eos_token' is undefined");
  EXPECT_EQ(error_of([&] { m.prompts.conversation(chat(kTwoTurns), "f:1"); }), "f:1: dir/chat_template.jinja:2: 'eos_token' is undefined");
}

// ---- messages ----

TEST(Messages, ThreeSpellings) {
  const Json chat = Json::parse(R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]})");
  const Json pair = Json::parse(R"({"prompt":"a","completion":"b"})");
  Json share = Json::parse(R"({"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}]})");
  share["conversations"][1]["role"] = "system";  // what a file of one kind holds of the other's keys is not taken for them
  for (const Json& row : {chat, pair, share}) EXPECT_EQ(to_json(conversation_from_json(row, "x:1").messages), chat["messages"]);
}

TEST(Messages, NothingIsDropped) {
  const Json row = Json::parse(R"({"messages":[{"role":"developer","content":[{"type":"text","text":"a"}]},
      {"role":"assistant","content":null,"tool_calls":[{"id":"1"}],"reasoning_content":"r"},{"role":"tool","content":"t","tool_call_id":"1"}]})");
  const Conversation c = conversation_from_json(row, "x:1");
  EXPECT_EQ(to_json(c.messages), row["messages"]);
  EXPECT_EQ(c.messages[0].content, "a");
  EXPECT_TRUE(c.variables.is_null());
}

TEST(Messages, WhatIsRefusedIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"messages":[{"role":"user"}]})", "f.jsonl:1: messages[0]: key 'content' is missing"},
      {R"({"messages":[{"role":"user","content":null}]})", "f.jsonl:1: messages[0]: the content of a user message is null"},
      {R"({"messages":[{"role":"user","content":7}]})", "f.jsonl:1: messages[0]: key 'content' has the wrong type"},
      {R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"}]}]})",
       "f.jsonl:1: messages[0]: content[1]: content of type 'image_url' can't be read"},
      {R"({"messages":[{"role":"user","content":["a"]}]})", "f.jsonl:1: messages[0]: content[0]: expected a content part"},
      {R"({"messages":[]})", "f.jsonl:1: 'messages' expected a list of messages"},
      {R"({"messages":["a"]})", "f.jsonl:1: messages[0]: expected a message object"},
      {R"({"conversations":[{"from":"bot","value":""}]})", "f.jsonl:1: conversations[0]: unknown role 'bot'"},
      {R"({"messages":[{"role":"user","content":"a"}],"tools":{}})", "f.jsonl:1: tools: expected a list"},
      {R"({"messages":[{"role":"user","content":"a"}],"tools":"{"})", "f.jsonl:1: tools: "},
      {R"({"messages":[{"role":"user","content":"a"}],"chat_template_kwargs":1})", "f.jsonl:1: chat_template_kwargs: expected"},
      {R"({"x":1})", "f.jsonl:1: no conversation in it; found: x; known: messages"},
      {R"([])", "f.jsonl:1: expected a JSON object"},
  };
  for (const auto& [json, message] : cases) EXPECT_EQ(error_of([&, json = json] { chat(json); }).rfind(message, 0), 0u) << json;
}

}  // namespace
}  // namespace r1::data
