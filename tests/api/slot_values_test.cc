#include "r1/api/slot_values.h"

#include <gtest/gtest.h>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "tests/message_of.h"

namespace r1::api {
namespace {

using namespace std::chrono;
constexpr year_month_day kToday = year(2026) / March / 18;  // a Wednesday

std::string found(SlotType type, std::string_view message, bool asked = false, std::span<const SlotChoice> choices = {}) {
  std::string all;
  for (const SlotValue& v : find_slot_values(message, {type, choices, asked}, kToday)) {
    EXPECT_EQ(v.text, message.substr(v.begin, v.end - v.begin));
    all += (all.empty() ? "" : " | ") + v.value;
  }
  return all;
}

TEST(SlotValues, Amounts) {
  const auto amount = [](std::string_view m) { return found(SlotType::kAmount, m); };
  EXPECT_EQ(amount("I was charged £20 twice"), "20 GBP");
  EXPECT_EQ(amount("it was 1,200.50 EUR"), "1200.50 EUR");
  EXPECT_EQ(amount("it was 1.200,50 €"), "1200.50 EUR");
  EXPECT_EQ(amount("a fee of 3.5 pounds"), "3.50 GBP");
  EXPECT_EQ(amount("20pounds, or 30usd, or gbp40"), "20 GBP | 30 USD | 40 GBP");
  EXPECT_EQ(amount("1,000 dollars"), "1000 USD");
  EXPECT_EQ(amount("fifty quid"), "50 GBP");
  EXPECT_EQ(amount("one hundred and twenty five euros"), "125 EUR");
  EXPECT_EQ(amount("a thousand australian dollars"), "1000 AUD");
  EXPECT_EQ(amount("$2k was taken"), "2000 USD");
  EXPECT_EQ(amount("I have 2 cards and waited 3 days"), "");
  EXPECT_EQ(amount("the try failed 3 times"), "");
  EXPECT_EQ(found(SlotType::kAmount, "20", true), "20");
  EXPECT_EQ(found(SlotType::kAmount, "about 19.99 I think", true), "19.99");
  EXPECT_EQ(found(SlotType::kAmount, "on 04/03/2026, 3 days ago, at 10:30, 50%", true), "");
}

TEST(SlotValues, Currencies) {
  EXPECT_EQ(found(SlotType::kCurrency, "can I hold euros and US dollars?"), "EUR | USD");
  EXPECT_EQ(found(SlotType::kCurrency, "GBP to aud"), "GBP | AUD");
  EXPECT_EQ(found(SlotType::kCurrency, "I try all"), "");
  EXPECT_EQ(found(SlotType::kCurrency, "in TRY"), "TRY");
}

TEST(SlotValues, Dates) {
  const auto date = [](std::string_view m) { return found(SlotType::kDate, m); };
  EXPECT_EQ(date("on 2026-03-04"), "2026-03-04");
  EXPECT_EQ(date("on 4/3/2026 and 04.03.26"), "2026-03-04 | 2026-03-04");
  EXPECT_EQ(date("12/25/2025"), "2025-12-25");
  EXPECT_EQ(date("31/02/2026"), "");
  EXPECT_EQ(date("the 4th of March"), "2026-03-04");
  EXPECT_EQ(date("March 20"), "2025-03-20") << "the latest that has been";
  EXPECT_EQ(date("March 4th, 2024"), "2024-03-04");
  EXPECT_EQ(date("29 February"), "2024-02-29");
  EXPECT_EQ(date("yesterday, or the day before yesterday"), "2026-03-17 | 2026-03-16");
  EXPECT_EQ(date("today"), "2026-03-18");
  EXPECT_EQ(date("tomorrow"), "2026-03-19");
  EXPECT_EQ(date("3 days ago"), "2026-03-15");
  EXPECT_EQ(date("two weeks ago"), "2026-03-04");
  EXPECT_EQ(date("a month ago"), "2026-02-18");
  EXPECT_EQ(date("on Friday"), "2026-03-13");
  EXPECT_EQ(date("last Wednesday"), "2026-03-11");
  EXPECT_EQ(date("Wednesday"), "2026-03-18");
  EXPECT_EQ(date("next friday"), "2026-03-20");
  EXPECT_EQ(date("I paid 20 pounds"), "");
  const auto american = find_slot_values("03/04/2026", {SlotType::kDate, {}, false, /*month_first=*/true}, kToday);
  ASSERT_EQ(american.size(), 1u);
  EXPECT_EQ(american[0].value, "2026-03-04");
}

TEST(SlotValues, CardNumbersAreMaskedAndChecked) {
  EXPECT_EQ(found(SlotType::kCardNumber, "it is 4111 1111 1111 1111"), "**** 1111");
  EXPECT_EQ(found(SlotType::kCardNumber, "4111-1111-1111-1112"), "") << "the check digit is wrong";
  EXPECT_EQ(found(SlotType::kCardNumber, "the one ending in 4242"), "**** 4242");
  EXPECT_EQ(found(SlotType::kCardNumber, "4242", true), "**** 4242");
  EXPECT_EQ(found(SlotType::kCardNumber, "4242"), "");
  EXPECT_EQ(found(SlotType::kCardNumber, mask_secrets("it is 4111 1111 1111 1111")), "**** 1111") << "what is masked is still read";
}

TEST(SlotValues, CountriesNamesChoicesAndTheRest) {
  EXPECT_EQ(found(SlotType::kCountry, "from the United Kingdom to South Korea or the US"), "GB | KR | US");
  EXPECT_EQ(found(SlotType::kCountry, "tell us about guinea-bissau"), "GW");
  EXPECT_EQ(found(SlotType::kName, "Hi, my name is Ada Lovelace and I lost my card"), "Ada Lovelace");
  EXPECT_EQ(found(SlotType::kName, "I'm waiting for my card"), "");
  EXPECT_EQ(found(SlotType::kName, "I'm Jean-Luc O'Neil."), "Jean-Luc O'Neil");
  EXPECT_EQ(found(SlotType::kName, "Grace Hopper", true), "Grace Hopper");
  EXPECT_EQ(found(SlotType::kName, "why do you ask?", true), "");
  const std::vector<SlotChoice> cards = {{"debit", {"bank card"}}, {"virtual", {"disposable virtual"}}, {"credit", {}}};
  EXPECT_EQ(found(SlotType::kChoice, "my bank card, not the Disposable Virtual one", false, cards), "debit | virtual");
  EXPECT_EQ(found(SlotType::kChoice, "creditable", false, cards), "");
  EXPECT_EQ(found(SlotType::kNumber, "about 3", true), "3");
  EXPECT_EQ(found(SlotType::kEmail, "mail ada.l@example.org."), "ada.l@example.org");
  EXPECT_EQ(found(SlotType::kEmail, "a@b and @c.d"), "");
  EXPECT_EQ(found(SlotType::kText, " the corner shop ", true), "the corner shop");
  EXPECT_EQ(found(SlotType::kText, "the corner shop"), "");
}

TEST(SlotValues, TypesByName) {
  for (const char* name : {"text", "amount", "currency", "date", "card_number", "country", "name", "choice", "number", "email"})
    EXPECT_STREQ(slot_type_name(parse_slot_type(name)), name);
  EXPECT_NE(message_of([] { parse_slot_type("amuont"); }).find("amount"), std::string::npos);
}

TEST(SlotValues, SecretsAreMasked) {
  EXPECT_EQ(mask_secrets("my card 4111 1111 1111 1111 expired"), "my card **** 1111 expired");
  EXPECT_EQ(mask_secrets("4111111111111112"), "**** 1112") << "also with a wrong check digit";
  EXPECT_EQ(mask_secrets("4111.1111-1111_1111"), "**** 1111");
  EXPECT_EQ(mask_secrets("IBAN GB29 NWBK 6016 1331 9268 19 please"), "IBAN **** 6819 please");
  EXPECT_EQ(mask_secrets("my pin is 1234"), "my pin is ****");
  EXPECT_EQ(mask_secrets("PIN: 1234, CVV 999"), "PIN: ****, CVV ****");
  EXPECT_EQ(mask_secrets("password is hunter2!x ok"), "password is **** ok");
  EXPECT_EQ(mask_secrets("how do I change my pin?"), "how do I change my pin?");
  EXPECT_EQ(mask_secrets("I paid 1,200.50 on 2026-03-04 at 10:30"), "I paid 1,200.50 on 2026-03-04 at 10:30");
  EXPECT_EQ(mask_secrets("call +44 7700 900123"), "call +44 7700 900123");
}

bool has_long_number(const std::string& text) {
  size_t digits = 0;
  for (char c : text) {
    if (c >= '0' && c <= '9')
      ++digits;
    else if (std::string_view(" -._").find(c) == std::string_view::npos)
      digits = 0;
    if (digits >= 13 && c != ' ') return true;
  }
  return false;
}

TEST(SlotValues, NoCardNumberOutlivesMaskingWhateverStandsAround) {
  Rng rng(5);
  const char* marks[] = {" ", "-", "", ".", "_", "  "};
  for (int round = 0; round < 3000; ++round) {
    std::string number, message = round % 3 ? "card " : "";
    const size_t digits = 13 + rng.below(7);
    const char* mark = marks[rng.below(6)];
    for (size_t i = 0; i < digits; ++i) {
      if (i && i % 4 == 0) number += mark;
      number += char('0' + rng.below(10));
    }
    message += number + (round % 2 ? " thanks" : "");
    const std::string masked = mask_secrets(message);
    EXPECT_FALSE(has_long_number(masked)) << message << " -> " << masked;
    EXPECT_EQ(mask_secrets(masked), masked);
  }
}

TEST(SlotValues, YesAndNo) {
  for (const char* yes : {"yes", "Yes, please", "yeah that's right", "OK", "sure!", "correct."})
    EXPECT_EQ(yes_or_no(yes), YesNo::kYes) << yes;
  for (const char* no : {"no", "nope", "No, that's not right", "that is wrong"}) EXPECT_EQ(yes_or_no(no), YesNo::kNo) << no;
  for (const char* neither : {"", "it was 30 euros", "yes but my card was stolen yesterday", "what?"})
    EXPECT_EQ(yes_or_no(neither), YesNo::kNeither) << neither;
}

TEST(SlotValues, PhrasesAreWholeWords) {
  const auto tokens = text_tokens("A real person, not unreal person-like");
  EXPECT_EQ(find_phrase(tokens, "real person"), 1u);
  EXPECT_EQ(find_phrase(tokens, "real person", 2), std::string::npos);
  EXPECT_EQ(find_phrase(tokens, ""), std::string::npos);
}

TEST(SlotValues, AnyBytesAreTakenWithoutHarm) {
  Rng rng(9);
  const std::string pieces[] = {"£",        "20", "4111", " ",        "-",    "/", "last ", "march ", "pin ", "is ",
                                "\xF0\x9F", "a",  "ago",  "hundred ", "GB29", ",", ".",     "@",      "*"};
  const std::vector<SlotChoice> choices = {{"a", {"£ 20"}}};
  for (int round = 0; round < 3000; ++round) {
    std::string message;
    for (uint64_t n = rng.below(25); n > 0; --n)
      message += rng.below(8) ? pieces[rng.below(std::size(pieces))] : std::string(1, char(rng.below(256)));
    mask_secrets(message);
    yes_or_no(message);
    for (int type = 0; type < 10; ++type) {
      for (const SlotValue& v : find_slot_values(message, {SlotType(type), choices, round % 2 == 0}, kToday)) {
        ASSERT_LE(v.begin, v.end);
        ASSERT_LE(v.end, message.size());
        ASSERT_FALSE(v.value.empty());
      }
    }
  }
  EXPECT_EQ(found(SlotType::kAmount, std::string(100'000, '9')), "");
}

}  // namespace
}  // namespace r1::api
