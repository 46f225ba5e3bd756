#include "r1/api/dialogue.h"

#include <gtest/gtest.h>

#include <set>

#include "r1/api/dialogue_store.h"
#include "r1/base/config_io.h"
#include "r1/base/rng.h"
#include "r1/http/error.h"
#include "tests/message_of.h"

namespace r1::api {
namespace {

using namespace std::chrono;
constexpr year_month_day kToday = year(2026) / March / 18;

const std::string kDomain = R"(
name: bank
window: 8
confidence: {accept: 0.6, guess: 0.3, change: 0.8}
slots:
  amount: {type: amount, ask: "How much was it?"}
  date: {type: date, ask: "When was it?"}
  card: {type: choice, session: true, choices: {debit: [], virtual: []}, ask: "Which card?"}
  shop: {type: text, model: true}
intents:
  charged_twice:
    title: Charged twice
    needs: [amount, date]
    takes: [card, shop]
    confirm: "You paid {amount} on {date} twice{shop|}. Right?"
    answer: "I'll have {amount} sent back."
  card_lost: {title: Lost card, needs: [card], answer: "Your {card} card is blocked.", handover: true}
  exchange_rate: {title: Exchange rates, answer: "The rate is the day's."}
  change_pin: {title: Changing the PIN, answer: "At any cash machine."}
  gift: {title: A gift, takes: [shop], answer: "How nice."}
)";

// A classifier by words, so that a test's line says what it gets.
IntentRanking classify(const std::string& text) {
  const std::vector<TextToken> tokens = text_tokens(text);
  const auto has = [&](const char* w) { return find_phrase(tokens, w) != std::string::npos; };
  IntentRanking r = {{"charged_twice", 0.05}, {"card_lost", 0.05}, {"exchange_rate", 0.05},
                     {"change_pin", 0.05},    {"gift", 0.01},      {"not_in_the_domain", 0.9}};
  const auto set = [&](const char* name, double c) {
    for (IntentScore& s : r) {
      if (s.name == name) s.confidence = c;
    }
  };
  if (has("twice")) set("charged_twice", 0.9);
  if (has("lost")) set("card_lost", 0.95);
  if (has("rate")) set("exchange_rate", 0.7);
  if (has("gift")) set("gift", 0.9);
  if (has("maybe")) set("exchange_rate", 0.4), set("change_pin", 0.35);
  if (has("perhaps")) set("exchange_rate", 0.4);
  std::stable_sort(r.begin(), r.end(), [](const auto& a, const auto& b) { return a.confidence > b.confidence; });
  return r;
}

struct Talk {
  Dialogue dialogue{parse_dialogue_domain(parse_yaml_document(kDomain, "d.yaml"), "d.yaml")};
  DialogueState state;
  Understanding said;

  // "action: reply"
  std::string say(const std::string& message, const std::map<std::string, std::string>& found = {}) {
    said = dialogue.understand(state, message, classify, kToday);
    const Decision d = dialogue.decide(state, said, found);
    dialogue.close(state, said, d, d.reply);
    return d.action.text() + ": " + d.reply;
  }
  std::string slot(const std::string& name) const { return state.slots.count(name) ? state.slots.at(name).value : ""; }
};

TEST(Dialogue, AsksForWhatIsMissingConfirmsAndAnswers) {
  Talk t;
  EXPECT_EQ(t.say("Hello there"), "greet: Hello! How can I help you?");
  EXPECT_EQ(t.say("I was charged twice"), "ask_slot(amount): How much was it?");
  EXPECT_EQ(t.state.awaiting, Awaiting::kSlot);
  EXPECT_EQ(t.say("20 pounds"), "ask_slot(date): When was it?");
  EXPECT_EQ(t.say("yesterday"), "confirm(charged_twice): You paid 20 GBP on 2026-03-17 twice. Right?");
  EXPECT_EQ(t.say("yes please"), "answer(charged_twice): I'll have 20 GBP sent back.");
  EXPECT_EQ(t.say("thanks a lot!"), "thanks: You're welcome. Is there anything else?");
  EXPECT_EQ(t.say("no, that's all, bye"), "goodbye: Goodbye, and take care.");
  EXPECT_EQ(t.state.turns, 7);
  EXPECT_EQ(t.state.slots.at("amount").turn, 3);
}

TEST(Dialogue, ReadsWhatIsSaidAtOnce) {
  Talk t;
  EXPECT_EQ(t.say("On 4 March I paid £19.99 twice with my virtual card"),
            "confirm(charged_twice): You paid 19.99 GBP on 2026-03-04 twice. Right?");
  EXPECT_EQ(t.slot("card"), "virtual");
}

TEST(Dialogue, AValueThatIsTheSameAgainCountsAsAnAnswer) {
  Talk t;
  t.say("I was charged twice, 20 pounds");
  t.state.awaiting = Awaiting::kSlot;
  t.state.awaited_slot = "amount";
  EXPECT_EQ(t.say("20 pounds"), "ask_slot(date): When was it?");
}

TEST(Dialogue, TakesCorrections) {
  Talk t;
  t.say("charged twice, 20 pounds, yesterday");
  EXPECT_EQ(t.say("no, it was 30 euros"), "confirm(charged_twice): You paid 30 EUR on 2026-03-17 twice. Right?");
  t.say("yes");
  EXPECT_EQ(t.say("sorry, 35 euros"), "confirm(charged_twice): You paid 35 EUR on 2026-03-17 twice. Right?");
}

TEST(Dialogue, AnswersToAQuestionDoNotChangeTheIntent) {
  Talk t;
  t.say("charged twice");
  EXPECT_EQ(t.say("20, a lost cause"), "ask_slot(date): When was it?") << "few words with a value in them are its answer";
  EXPECT_EQ(t.state.intent, "charged_twice");
  EXPECT_EQ(t.say("wait, I have lost my debit card, what now"), "answer(card_lost): Your debit card is blocked.");
  EXPECT_TRUE(t.state.handed_over);
  EXPECT_EQ(t.slot("amount"), "") << "belongs to the intent before";
}

TEST(Dialogue, SessionSlotsOutliveTheIntent) {
  Talk t;
  EXPECT_EQ(t.say("I lost my virtual card"), "answer(card_lost): Your virtual card is blocked.");
  t.say("what is the rate");
  EXPECT_EQ(t.say("and I lost it"), "answer(card_lost): Your virtual card is blocked.");
}

TEST(Dialogue, OffersWhatMayBeMeant) {
  Talk t;
  EXPECT_EQ(t.say("maybe something"), "offer: Did you mean one of these? 1) Exchange rates; 2) Changing the PIN");
  EXPECT_EQ(t.say("the second"), "answer(change_pin): At any cash machine.");
  EXPECT_EQ(t.state.confidence, 1);
  EXPECT_EQ(t.say("maybe something"), "offer: Did you mean one of these? 1) Exchange rates; 2) Changing the PIN");
  EXPECT_EQ(t.say("exchange rates"), "answer(exchange_rate): The rate is the day's.");
  EXPECT_EQ(t.say("perhaps"), "offer: Is this about: Exchange rates?");
  EXPECT_EQ(t.say("yes"), "answer(exchange_rate): The rate is the day's.");
  t.say("maybe something");
  EXPECT_EQ(t.say("I lost my debit card"), "answer(card_lost): Your debit card is blocked.") << "a new request instead";
  t.say("maybe something");
  EXPECT_EQ(t.say("neither"), "rephrase: Sorry about that. Could you tell me in other words what you need?");
}

TEST(Dialogue, CallsAPersonWhenItGetsNowhere) {
  Talk t;
  EXPECT_EQ(t.say("what do we have for breakfast"), "out_of_scope: " + t.dialogue.domain().reply("out_of_scope"));
  t.say("the weather is nice");
  EXPECT_EQ(t.say("tell me a joke"), "handover: " + t.dialogue.domain().reply("handover"));
  EXPECT_TRUE(t.state.handed_over);
  Talk u;
  u.say("charged twice");
  EXPECT_EQ(u.say("hm"), "ask_slot(amount): I didn't get that. How much was it?");
  u.say("dunno");
  EXPECT_EQ(u.say("no idea"), "handover: " + u.dialogue.domain().reply("handover"));
  Talk v;
  EXPECT_EQ(v.say("can I talk to a human please"), "handover: " + v.dialogue.domain().reply("handover"));
}

TEST(Dialogue, ConfidenceIsTheClassifiersNotOne) {
  Talk t;
  t.say("what do we have for breakfast");
  EXPECT_DOUBLE_EQ(t.state.ranking.front().confidence, 0.05);
  EXPECT_EQ(t.state.intent, "");
  for (const IntentScore& s : t.state.ranking) EXPECT_NE(s.name, "not_in_the_domain");
}

TEST(Dialogue, CancelDropsTheIntentAndSmallTalkAsksAgain) {
  Talk t;
  t.say("charged twice with my virtual card");
  EXPECT_EQ(t.say("hi"), "greet: Hello! How can I help you? How much was it?");
  EXPECT_EQ(t.say("never mind"), "cancel: " + t.dialogue.domain().reply("cancel"));
  EXPECT_EQ(t.state.intent, "");
  EXPECT_EQ(t.slot("card"), "virtual");
  EXPECT_EQ(t.say(""), "wait: " + t.dialogue.domain().reply("nothing_yet"));
}

TEST(Dialogue, ARefusedConfirmationStartsAgain) {
  Talk t;
  t.say("charged twice, 20 pounds, yesterday");
  EXPECT_EQ(t.say("no"), "rephrase: " + t.dialogue.domain().reply("rephrase"));
  EXPECT_EQ(t.state.intent, "");
}

TEST(Dialogue, TheModelIsAskedWhereTheDomainSaysSoAndNotBelievedBlindly) {
  Talk t;
  t.say("charged twice at Corner Shop", {{"shop", "Corner Shop"}});
  EXPECT_EQ(t.said.wanted, (std::vector<std::string>{"shop"}));
  EXPECT_EQ(t.slot("shop"), "Corner Shop");
  EXPECT_EQ(t.state.slots.at("shop").source, "model");
  Talk u;
  u.say("charged twice", {{"shop", "Corner Shop"}, {"amount", "99 GBP"}});
  EXPECT_EQ(u.slot("shop"), "") << "the customer did not say it";
  EXPECT_EQ(u.slot("amount"), "");
}

TEST(Dialogue, WhatTheReplyDoesNotHangOnCanBeLearnedLater) {
  Talk t;
  EXPECT_EQ(t.say("a gift from Corner Shop"), "answer(gift): How nice.");
  EXPECT_TRUE(t.said.wanted.empty());
  EXPECT_EQ(t.said.wanted_later, (std::vector<std::string>{"shop"}));
  t.dialogue.learn(t.state, t.said, {{"shop", "Some Shop"}});
  EXPECT_EQ(t.slot("shop"), "") << "the customer did not say it";
  t.dialogue.learn(t.state, t.said, {{"shop", "Corner Shop"}, {"amount", "3 GBP"}});
  EXPECT_EQ(t.slot("shop"), "Corner Shop");
  EXPECT_EQ(t.state.slots.at("shop").source, "model");
  EXPECT_EQ(t.slot("amount"), "");
}

TEST(Dialogue, ShortMessagesAreReadWithTheOneBefore) {
  Talk t;
  t.say("what is the rate");
  t.said = t.dialogue.understand(t.state, "and in euros?", classify, kToday);
  EXPECT_EQ(t.said.ranking.front().name, "exchange_rate");
  EXPECT_DOUBLE_EQ(t.said.ranking.front().confidence, 0.7);
}

TEST(Dialogue, TheWindowKeepsTheLastTurnsAndNoSecrets) {
  Talk t;
  for (int i = 0; i < 20; ++i) t.say("my card 4111 1111 1111 1111 and pin 1234 " + std::to_string(i));
  EXPECT_EQ(t.state.window.size(), 8u);
  EXPECT_EQ(t.state.window.front().number, 13);
  const std::string json = dump_json(to_json(t.state, t.dialogue.domain()));
  EXPECT_EQ(json.find("4111"), std::string::npos);
  EXPECT_EQ(json.find("1234"), std::string::npos);
  EXPECT_NE(json.find("**** 1111"), std::string::npos);
  EXPECT_EQ(window_text(t.state, 1).find("Customer: my card **** 1111"), 0u);
}

TEST(Dialogue, JsonSaysWhatIsTracked) {
  Talk t;
  t.say("charged twice, 20 pounds");
  const Json j = to_json(t.state, t.dialogue.domain());
  EXPECT_EQ(j["intent"]["name"], "charged_twice");
  EXPECT_EQ(j["intent"]["title"], "Charged twice");
  EXPECT_EQ(j["slots"]["amount"]["value"], "20 GBP");
  EXPECT_EQ(j["slots"]["amount"]["said"], "20 pounds");
  EXPECT_EQ(j["missing"], Json::array({"date"}));
  EXPECT_EQ(j["awaited_slot"], "date");
  EXPECT_EQ(j["last_action"], "ask_slot(date)");
  EXPECT_EQ(j["window_size"], 8);
}

// Anything may be said in any order: the state stays one that the domain allows.
TEST(Dialogue, NoMessagesLeadToAStateThatCannotBe) {
  const std::vector<std::string> lines = {"charged twice",
                                          "20 pounds",
                                          "yesterday",
                                          "yes",
                                          "no",
                                          "hi",
                                          "cancel",
                                          "lost my debit card",
                                          "maybe",
                                          "perhaps",
                                          "the second",
                                          "neither",
                                          "",
                                          "  ",
                                          "a human please",
                                          "4111 1111 1111 1111",
                                          "what is the rate",
                                          "thanks",
                                          "bye",
                                          "\xFF\xC3",
                                          "£5 and £6 on Monday and Tuesday",
                                          "no it was 30 euros",
                                          "one",
                                          "1"};
  const std::set<std::string> actions = {"greet",  "thanks", "goodbye",  "cancel",       "ask_slot", "confirm",
                                         "answer", "offer",  "rephrase", "out_of_scope", "handover", "wait"};
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Talk t;
    Rng rng(seed);
    for (int turn = 1; turn <= 40; ++turn) {
      std::string line = lines[rng.below(lines.size())];
      if (rng.below(5) == 0) line += " " + lines[rng.below(lines.size())];
      const std::string before_intent = t.state.intent;
      const std::string said = t.say(line);
      const DialogueState& s = t.state;
      ASSERT_TRUE(actions.count(said.substr(0, said.find_first_of("(:")))) << said;
      ASSERT_EQ(s.turns, turn);
      ASSERT_LE(s.window.size(), 8u);
      ASSERT_TRUE(s.intent.empty() || t.dialogue.domain().intents.count(s.intent));
      for (const auto& [name, slot] : s.slots) {
        ASSERT_TRUE(t.dialogue.domain().slots.count(name));
        ASSERT_FALSE(slot.value.empty());
        ASSERT_LE(slot.turn, s.turns);
      }
      ASSERT_EQ(s.awaiting == Awaiting::kSlot, !s.awaited_slot.empty());
      ASSERT_EQ(s.awaiting == Awaiting::kChoice, !s.options.empty());
      if (s.awaiting == Awaiting::kSlot) {
        const auto& needs = t.dialogue.domain().intents.at(s.intent).needs;
        ASSERT_TRUE(std::find(needs.begin(), needs.end(), s.awaited_slot) != needs.end());
        ASSERT_FALSE(s.slots.count(s.awaited_slot));
      }
      if (s.awaiting == Awaiting::kConfirmation) {
        for (const std::string& need : t.dialogue.domain().intents.at(s.intent).needs) ASSERT_TRUE(s.slots.count(need));
      }
      ASSERT_LE(s.misses, t.dialogue.domain().patience);
      ASSERT_EQ(dump_json(to_json(s, t.dialogue.domain())).find("4111"), std::string::npos);
    }
  }
}

// ---- sessions

TEST(DialogueStore, KeepsAStateThatWasKept) {
  DialogueStore store({});
  std::string id;
  {
    auto lease = store.take("", "ada");
    id = lease.id();
    lease.state().turns = 3;
    lease.keep();
    lease.state().turns = 4;  // not kept
  }
  EXPECT_EQ(store.look(id, "ada").turns, 3);
  EXPECT_EQ(id.size(), 24u);
  EXPECT_NE(store.take("", "ada").id(), id);
}

TEST(DialogueStore, AReleasedSessionIsFreeWhileTheTurnStillStands) {
  DialogueStore store({});
  auto lease = store.take("", "ada");
  lease.state().turns = 1;
  lease.keep();
  lease.release();
  auto next = store.take(lease.id(), "ada");
  EXPECT_EQ(next.state().turns, 1);
  lease.state().turns = 9;
  lease.keep();
  lease.release();  // it has nothing to give back any more
  next.release();
  EXPECT_EQ(store.look(next.id(), "ada").turns, 1);
}

TEST(DialogueStore, IsOnlyItsOwnersAndOneTurnAtATime) {
  DialogueStore store({});
  auto lease = store.take("", "ada");
  const auto status = [&](const std::string& id, const std::string& owner) {
    try {
      store.take(id, owner);
      return 200;
    } catch (const http::ApiError& error) {
      return error.status;
    }
  };
  EXPECT_EQ(status(lease.id(), "ada"), 409);
  EXPECT_EQ(status(lease.id(), "grace"), 404);
  EXPECT_EQ(status("nobody", "ada"), 404);
  const std::string id = lease.id();
  { auto ended = std::move(lease); }
  EXPECT_EQ(status(id, "ada"), 200);
  EXPECT_EQ(status(id, "grace"), 404);
  store.forget(id, "ada");
  EXPECT_EQ(status(id, "ada"), 404);
}

TEST(DialogueStore, ForgetsTheIdleAndMakesRoom) {
  DialogueStore store({.max_sessions = 3, .idle = seconds(60)});
  const auto start = DialogueStore::Clock::now();
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(store.take("", "a", start + seconds(i)).id());
  store.take(ids[0], "a", start + seconds(10));  // the first is now the freshest
  ids.push_back(store.take("", "a", start + seconds(11)).id());
  EXPECT_EQ(store.size(start + seconds(11)), 3u);
  EXPECT_THROW(store.look(ids[1], "a", start + seconds(12)), http::ApiError) << "the one longest without a message";
  EXPECT_NO_THROW(store.look(ids[0], "a", start + seconds(12)));
  EXPECT_EQ(store.size(start + seconds(65)), 2u);
  EXPECT_EQ(store.size(start + seconds(200)), 0u);
}

TEST(DialogueStore, ATurnUnderWayIsNeverPushedOut) {
  DialogueStore store({.max_sessions = 2, .idle = seconds(60)});
  const auto start = DialogueStore::Clock::now();
  auto a = store.take("", "x", start), b = store.take("", "x", start);
  try {
    store.take("", "x", start + seconds(1));
    FAIL() << "there is no room";
  } catch (const http::ApiError& error) {
    EXPECT_EQ(error.status, 503);
    EXPECT_GT(error.retry_after, 0);
  }
  EXPECT_EQ(store.size(start + seconds(1000)), 2u);
  store.forget(a.id(), "x", start);  // while its turn runs: what it brings back is dropped
  a.keep();
  { auto ended = std::move(a); }
  EXPECT_EQ(store.size(start), 1u);
}

}  // namespace
}  // namespace r1::api
