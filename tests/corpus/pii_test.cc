#include "r1/corpus/pii.h"

#include <gtest/gtest.h>

#include "r1/base/error.h"

namespace r1::corpus {
namespace {

std::string masked(std::string_view text, PiiOptions options = {}) {
  PiiCounts counts;
  return mask_pii(text, options, counts);
}
void stays(std::string_view text) {
  EXPECT_EQ(masked(text), text);
}

TEST(Pii, Mail) {
  EXPECT_EQ(masked("Write to jane.doe+x@mail.example.co.uk."), "Write to <EMAIL>.");
  EXPECT_EQ(masked("<a@b.de>, 联系info@example.com吧"), "<<EMAIL>>, 联系<EMAIL>吧");
  EXPECT_EQ(masked("mailto:x_y@xn--bcher-kva.example?subject=1"), "mailto:<EMAIL>?subject=1");
  for (const char* text : {"@app.route('/')", "user@host", "logo@2x.png", "git@github.com:a/b.git", "lodash@4.17.21", "a @ b.com", "x@.com",
                           "@", "@@@@", "foo.@bar.com", "medium.com/@user"})
    stays(text);
}

TEST(Pii, Phones) {
  for (const char* number :
       {"+49 30 123456",     "+1 (415) 555-2671", "(415) 555-2671", "415-555-2671",     "1-800-555-2671",  "+442079460958",
        "020 7946 0958",     "07700 900123",      "01 23 45 67 89", "03-1234-5678",     "090-1234-5678",   "13812345678",
        "138 1234 5678",     "+86 138 1234 5678", "030/1234567",    "(030) 123 456 78", "(11) 91234-5678", "0049 30 1234567",
        "+33 1 23 45 67 89", "010-1234-5678",     "0412 345 678",   "+91-98765-43210"})
    EXPECT_EQ(masked(std::string("Ring ") + number + " today."), "Ring <PHONE> today.") << number;
  EXPECT_EQ(masked("Tel.: 555 1234 567"), "Tel.: <PHONE>");
  EXPECT_EQ(masked("手机13812345678。"), "手机<PHONE>。");
  EXPECT_EQ(masked("Call 415 555 2671 or 415-555-2672"), "Call <PHONE> or <PHONE>");
}

TEST(Pii, WhatIsNoPhone) {
  for (const char* text : {"2023-01-15",
                           "15.01.2023",
                           "01/15/2023",
                           "1914-1918",
                           "ISBN 978-3-16-148410-0",
                           "ISBN 0-306-40615-2",
                           "978-3-16-148410-0",
                           "1234567890",
                           "pi is 3.14159265358979",
                           "1,234,567.89",
                           "10 000 000",
                           "192.168.1.1",
                           "12:34:56.789",
                           "0000000000",
                           "Order 415-555-2671",
                           "id=4155552671",
                           "/4155552671/",
                           "#4155552671",
                           "x + 12345678 y",
                           "a1234567890",
                           "GSE-123-456-7890",
                           "2^+12345678",
                           "1 2 3 4 5 6 7 8 9 10",
                           "0.1234567",
                           "100-200-300",
                           "1-2-3-4-5-6-7",
                           "20230115123456",
                           "1699999999",
                           "pages 100-110, 200-210",
                           "0 1 1 2 3 5 8 13",
                           "doi:10.1000/182",
                           "16 32 64 128 256 512",
                           "1.000.000.000",
                           "2019-2020-2021",
                           "415-55-2671",
                           "1990 1991 1992 1993",
                           "+1",
                           "++i",
                           "(2020)",
                           "f(1234567)",
                           "U+1F600",
                           "0x12345678",
                           "$1234567890",
                           "5 6 7 8 9 10 11 12 13",
                           "RFC 2822"})
    stays(text);
}

TEST(Pii, Addresses) {
  EXPECT_EQ(masked("from 93.184.216.34:8080, 2606:2800:220:1:248:1893:25c8:1946"), "from <IP_ADDRESS>:8080, <IP_ADDRESS>");
  EXPECT_EQ(masked("http://93.184.216.34/x [2a00:1450:4001:81b::200e]"), "http://<IP_ADDRESS>/x [<IP_ADDRESS>]");
  for (const char* text : {"192.168.0.1", "127.0.0.1",      "10.1.2.3",    "version 93.184.216.34", "v1.2.3.4",         "Chrome/93.0.45.63",
                           "1.2.3.4.5",   "256.1.1.100",    "01.02.03.04", "Section 21.22.23.24",   "1.2.3.4 Overview", "fe80::1",
                           "::1",         "std::vector",    "12:34:56",    "00:1B:44:11:3A:B7",     "add::bee",         "2001:db8::1",
                           "a::b::c",     "pkg==21.3.45.99"})
    stays(text);
  PiiOptions all;
  all.private_addresses = true;
  EXPECT_EQ(masked("192.168.0.1 fe80::1", all), "<IP_ADDRESS> <IP_ADDRESS>");
}

TEST(Pii, CardsAndAccounts) {
  for (const char* card : {"4111 1111 1111 1111", "4111111111111111", "5500-0000-0000-0004", "3782 822463 10005", "6011111111111117",
                           "3530111333300000", "30569309025904"})
    EXPECT_EQ(masked(std::string("card ") + card + "."), "card <CARD_NUMBER>.") << card;
  EXPECT_EQ(masked("4111 1111 1111 1111 12/27"), "<CARD_NUMBER> 12/27");
  for (const char* text : {"4111 1111 1111 1112", "1234567812345670", "0000000000000000", "41111111111111111111111",
                           "status/4111111111111111", "4000000000000000"})
    stays(text);
  EXPECT_EQ(masked("DE89 3704 0044 0532 0130 00, GB29NWBK60161331926819"), "<IBAN>, <IBAN>");
  for (const char* text : {"DE89 3704 0044 0532 0130 01", "XX89370400440532013000", "GB29NWBK6016133192681", "AB12"}) stays(text);
  EXPECT_TRUE(is_iban("FR1420041010050500013M02606"));
  EXPECT_FALSE(is_iban("FR1420041010050500013M02607"));
}

TEST(Pii, KindsAndCounts) {
  PiiOptions options;
  options.mask = pii_kinds("mail, card");
  options.placeholder[size_t(Pii::kMail)] = "|mail|";
  PiiCounts counts;
  EXPECT_EQ(mask_pii("a@b.de +49 30 123456 c@d.de", options, counts), "|mail| +49 30 123456 |mail|");
  EXPECT_EQ(counts.masked[size_t(Pii::kMail)], 2);
  EXPECT_EQ(counts.total(), 2);
  EXPECT_THROW(pii_kinds("mail,name"), Error);
  Document d;
  d.text = "a@b.de +49 30 123456";
  EXPECT_EQ(pii_filter()->apply(d), "");
  EXPECT_EQ(d.text, "<EMAIL> <PHONE>");
  EXPECT_EQ(d.marks, std::vector<std::string>{"pii:mail=1,phone=1"});
}

TEST(Pii, AHostInAUrl) {
  EXPECT_EQ(masked("see http://8.8.8.8/dns"), "see http://<IP_ADDRESS>/dns");
  stays("8.8.8.8 is the section");
}

// What stands beside a text is written out with it.
TEST(Pii, WhatADocumentSaysElsewhere) {
  Document d;
  d.text = "nothing here";
  d.title = "Mail of a@b.de";
  d.author = "A <a@b.de>";
  d.url = "https://x.org/?u=a@b.de&id=4155552671&card=4111111111111111";
  d.extra = {{"messages", {{{"role", "user"}, {"content", "my card is 4111 1111 1111 1111"}}}}, {"email", "a@b.de"}, {"score", 4155552671}};
  EXPECT_EQ(pii_filter()->apply(d), "");
  EXPECT_EQ(d.title, "Mail of <EMAIL>");
  EXPECT_EQ(d.author, "A <<EMAIL>>");
  EXPECT_EQ(d.url, "https://x.org/?u=<EMAIL>&id=4155552671&card=4111111111111111");
  EXPECT_EQ(d.extra["messages"][0]["content"], "my card is <CARD_NUMBER>");
  EXPECT_EQ(d.extra["messages"][0]["role"], "user");
  EXPECT_EQ(d.extra["email"], "<EMAIL>");
  EXPECT_EQ(d.extra["score"], 4155552671);
  EXPECT_EQ(d.marks, std::vector<std::string>{"pii:mail=4,card=1"});
}

// Whatever is masked once is not found again, and hostile text ends.
TEST(Pii, MaskedTextStays) {
  const std::string once = masked("a@b.de 415-555-2671 4111111111111111 DE89370400440532013000 93.184.216.34");
  EXPECT_EQ(masked(once), once);
  for (const char* piece : {"@", "1", "1 ", "1-", "a.", "a@", "((1", "+", "::", "f:", "1.1.", "AB12 ", "DE89 3704 "}) {
    std::string text;
    while (text.size() < 400000) text += piece;
    masked(text);
  }
}

}  // namespace
}  // namespace r1::corpus
