#include "r1/api/dialogue_domain.h"

#include <gtest/gtest.h>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "tests/message_of.h"

namespace r1::api {
namespace {

const std::string kDomain = R"(name: shop
window: 4
confidence: {accept: 0.6, guess: 0.3, change: 0.9}
slots:
  amount: {type: amount, ask: "How much?"}
  card: {type: choice, session: true, choices: {debit: [bank card], credit: []}}
  shop: {type: text, model: true}
intents:
  refund:
    title: A refund
    needs: [amount]
    takes: [shop]
    confirm: "Refund {amount} from {shop|the shop}?"
    answer: "{amount} to your {card|card} is on its way."
  hours:
    answer: "Nine to five."
replies:
  greet: "Hi."
model: {instructions: "Be brief.", max_tokens: 40}
)";

DialogueDomain parse(const std::string& text) {
  return parse_dialogue_domain(parse_yaml_document(text, "d.yaml"), "d.yaml");
}

std::string with(const std::string& from, const std::string& to) {
  std::string text = kDomain;
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(DialogueDomain, IsReadFromYaml) {
  const DialogueDomain d = parse(kDomain);
  EXPECT_EQ(d.name, "shop");
  EXPECT_EQ(d.window, 4);
  EXPECT_DOUBLE_EQ(d.accept, 0.6);
  EXPECT_EQ(d.slots.at("card").choices[0].also, (std::vector<std::string>{"bank card"}));
  EXPECT_TRUE(d.slots.at("card").session);
  EXPECT_TRUE(d.slots.at("shop").model);
  EXPECT_EQ(d.slots.at("shop").ask, "What is the shop?");
  EXPECT_EQ(d.intents.at("refund").needs, (std::vector<std::string>{"amount"}));
  EXPECT_EQ(d.intents.at("hours").title, "hours");
  EXPECT_EQ(d.reply("greet"), "Hi.");
  EXPECT_EQ(d.reply("goodbye"), "Goodbye, and take care.");
  EXPECT_EQ(d.model_max_tokens, 40);
}

TEST(DialogueDomain, ErrorsNameTheKeyAndTheWayOut) {
  const auto error = [](const std::string& text) { return message_of([&] { parse(text); }); };
  EXPECT_EQ(error(kDomain), "no error");
  EXPECT_NE(error(with("window: 4", "windw: 4")).find("did you mean 'window'"), std::string::npos);
  EXPECT_NE(error(with("window: 4", "window: 0")).find("d.yaml: window: expected a number from 1 to 64"), std::string::npos);
  EXPECT_NE(error(with("window: 4", "window: 2.5")).find("whole number"), std::string::npos);
  EXPECT_NE(error(with("needs: [amount]", "needs: [amuont]")).find("did you mean 'amount'"), std::string::npos);
  EXPECT_NE(error(with("takes: [shop]", "takes: [amount]")).find("stands twice"), std::string::npos);
  EXPECT_NE(error(with("{shop|the shop}", "{place|the shop}")).find("{place} is no slot of it"), std::string::npos);
  EXPECT_NE(error(with("{shop|the shop}", "{shop|the shop")).find("without its other half"), std::string::npos);
  EXPECT_NE(error(with("type: amount", "type: money")).find("no slot type 'money'"), std::string::npos);
  EXPECT_NE(error(with("type: text", "type: choice")).find("choices belong"), std::string::npos);
  EXPECT_NE(error(with("greet:", "gret:")).find("did you mean 'greet'"), std::string::npos);
  EXPECT_NE(error(with("\"Hi.\"", "\"Hi {amount}.\"")).find("is no slot"), std::string::npos);
  EXPECT_NE(error(with("accept: 0.6", "accept: 0.2")).find("above accept"), std::string::npos);
  EXPECT_NE(error(with("    answer: \"Nine to five.\"", "    title: x")).find("answer is missing"), std::string::npos);
  EXPECT_NE(error("name: x").find("intents are missing"), std::string::npos);
  EXPECT_NE(error("[1, 2]").find("expected keys and values"), std::string::npos);
  EXPECT_NE(error(with("session: true", "session: maybe")).find("true or false"), std::string::npos);
  EXPECT_NE(error(with("Nine to five.", std::string(3000, 'x'))).find("at most 2000 bytes"), std::string::npos);
}

TEST(DialogueDomain, TemplatesAreFilledOnce) {
  const std::map<std::string, std::string> values = {{"a", "{b}"}, {"b", "2"}, {"empty", ""}};
  EXPECT_EQ(fill_template("x {a} y {b|?} {c|none} {empty|nothing}{c}", values), "x {b} y 2 none nothing");
  EXPECT_EQ(fill_template("no braces", values), "no braces");
  EXPECT_EQ(template_names("{a} and {b|c}", "t"), (std::vector<std::string>{"a", "b"}));
  EXPECT_NE(message_of([] { template_names("a } b", "t"); }).find("t: a brace"), std::string::npos);
  EXPECT_NE(message_of([] { template_names("{a {b}}", "t"); }).find("t: a brace"), std::string::npos);
}

// Whatever is in the file: a domain, or one error that says so.
TEST(DialogueDomain, DamagedFilesGiveAnErrorAndNothingElse) {
  Rng rng(3);
  int read = 0;
  for (int round = 0; round < 1500; ++round) {
    std::string text = kDomain;
    for (uint64_t n = 1 + rng.below(4); n > 0; --n) {
      const size_t at = rng.below(text.size());
      switch (rng.below(4)) {
        case 0:
          text[at] = char(rng.below(256));
          break;
        case 1:
          text.erase(at, 1 + rng.below(20));
          break;
        case 2:
          text.insert(at, kDomain.substr(rng.below(kDomain.size()), rng.below(30)));
          break;
        default:
          text.insert(at, 1, "{}[]:|-\"\n "[rng.below(10)]);
      }
    }
    try {
      const DialogueDomain d = parse(text);
      ++read;
      for (const auto& [name, intent] : d.intents) fill_template(intent.answer, {});
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()), "");
    }
  }
  EXPECT_GT(read, 50) << "some changes harm nothing";
}

TEST(DialogueDomain, TheOneForBanking77HasAllItsIntents) {
  const DialogueDomain d = read_dialogue_domain(R1_SOURCE_DIR "/recipes/dialogue/banking77.yaml");
  EXPECT_EQ(d.intents.size(), 77u);
  EXPECT_EQ(d.window, 8);
  for (const char* intent : {"card_arrival", "Refund_not_showing_up", "reverted_card_payment?", "wrong_exchange_rate_for_cash_withdrawal"})
    EXPECT_TRUE(d.intents.count(intent)) << intent;
}

}  // namespace
}  // namespace r1::api
