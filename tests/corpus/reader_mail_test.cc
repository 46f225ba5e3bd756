// Mail: MIME as it is sent, mboxes as they are kept; Python's email package as the judge of the real ones (tests/oracles/corpus_readers.py).
#include <gtest/gtest.h>

#include "r1/base/file.h"
#include "r1/corpus/mime.h"
#include "tests/corpus/reader_support.h"

namespace r1::corpus {
namespace {

using namespace std::literals;

Document mail(const std::string& bytes, bool quotes = true) {
  Document d;
  const std::string reason = document_of_mail(bytes, {.quotes = quotes}, d);
  if (!reason.empty()) d.text = "(" + reason + ")";
  return d;
}

TEST(Mime, EncodingsOfBodies) {
  EXPECT_EQ(mail("Subject: s\nContent-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\ncaf=E9 "
                 "=\nlong=3D=\n  \n")
                .text,
            "caf\xC3\xA9 long=\n");
  EXPECT_EQ(
      mail("Subject: s\r\nContent-Type: text/plain; charset=\"utf-8\"\r\nContent-Transfer-Encoding: BASE64\r\n\r\nR3LD\r\nvMOfZQ==\r\n")
          .text,
      "Gr\xC3\xBC\xC3\x9F\x65\n");
  EXPECT_EQ(mail("Subject: s\n\nplain\n").text, "plain\n");
  EXPECT_EQ(mail("Subject: s\nContent-Type: text/html; charset=koi8-r\n\n<p>\xF0\xD2\xC9</p>").text, "\xD0\x9F\xD1\x80\xD0\xB8\n");
  EXPECT_EQ(mail("Subject: s\nContent-Type: text/plain; format=flowed\n\none \ntwo\nthree\n> q1 \n> q2\n-- \nsig\n").text,
            "one two\nthree\n> q1 q2\n-- \nsig\n");
  EXPECT_EQ(decode_base64("QQ==QUI=QUJD"), "AABABC");
  EXPECT_EQ(decode_quoted_printable("a=ZZ=4"), "a=ZZ=4");
}

TEST(Mime, WordsOfHeaders) {
  EXPECT_EQ(decode_words("=?iso-8859-1?q?Caf=E9_x?= plain =?utf-8?B?w7w=?=  =?utf-8?b?w58=?= ="), "Caf\xC3\xA9 x plain \xC3\xBC\xC3\x9F =");
  EXPECT_EQ(decode_words("=?utf-8*de?q?a?= =?broken?x?y?= =?utf-8?q?unclosed"), "a =?broken?x?y?= =?utf-8?q?unclosed");
  const Document d = mail("Subject: =?utf-8?q?a?=\n =?utf-8?q?b?=\nFrom: =?latin1?q?J=F6?= <j@x>\nDate: today\nMessage-ID: <1>\n\nx\n");
  EXPECT_EQ(d.title, "ab");
  EXPECT_EQ(d.author, "J\xC3\xB6 <j@x>");
  EXPECT_EQ(d.date, "today");
  EXPECT_EQ(d.extra, Json({{"message_id", "<1>"}}));
}

TEST(Mime, PartsInParts) {
  const std::string both =
      "Content-Type: multipart/alternative; boundary=\"b b\"\n\npreamble\n--b b\n\nplain\n--b b\nContent-Type: "
      "text/html\n\n<b>html</b>\n--b b--\nepilogue\n";
  EXPECT_EQ(mail(both).text, "plain\n");
  const std::string only = "Content-Type: multipart/alternative; boundary=x\n\n--x\nContent-Type: text/html\n\n<b>html</b>\n--x--\n";
  EXPECT_EQ(mail(only).text, "html\n");
  EXPECT_EQ(mail("Content-Type: multipart/mixed; boundary=m\n\n--m\n" + both +
                 "\n--m\nContent-Type: text/plain\nContent-Disposition: attachment; filename=a.txt\n\nattached\n"
                 "--m\nContent-Type: image/png\n\n\x89PNG\n--m\nContent-Type: message/rfc822\n\nSubject: inner\n\ninside\n--m--\n")
                .text,
            "plain\n\ninner\n\ninside\n");
  EXPECT_EQ(mail("Content-Type: multipart/mixed; boundary=m\n\n--m\n\nno end").text, "no end\n");
  EXPECT_EQ(mail("Content-Type: multipart/mixed\n\nx").text, "(mail:no_text)");
  EXPECT_EQ(mail("Content-Type: multipart/mixed; boundary*0=\"a\"; boundary*1=b\n\n--ab\n\nsplit\n--ab--\n").text, "split\n");
  std::string deep;
  for (int i = 0; i < 10'000; ++i)
    deep += "Content-Type: multipart/mixed; boundary=b" + std::to_string(i) + "\n\n--b" + std::to_string(i) + "\n";
  EXPECT_EQ(mail(deep + "\nx").text, "(mail:too_deep)");
  std::string inner;
  for (int i = 0; i < 10'000; ++i) inner += "Content-Type: message/rfc822\n\n";
  EXPECT_EQ(mail(inner + "x").text, "(mail:too_deep)");
}

TEST(Mime, QuotesMayGo) {
  EXPECT_EQ(mail("Subject: s\n\nHi,\n\nOn Monday, X wrote:\n> one\n> two\n\nyes\n", false).text, "Hi,\n\n\nyes\n");
}

TEST(ReaderMail, AnMboxIsCutAtItsFromLines) {
  Files files("reader_mbox");
  const std::string box =
      "From a@x Thu Jan  1 00:00:00 1970\nSubject: one\n\nbody\n>From the start\nFrom here 12:30 it goes on\n\nFrom is a word, at 12:30 in "
      "2020 too\n\n"
      "From b@x Thu Jan  1 00:00:00 1970\r\nSubject: two\r\n\r\n\r\n\r\nFrom c@x Thu Jan  1 00:00:00 1970\nSubject: three\n\nend";
  const Read read = files.read("a", box);
  ASSERT_EQ(read.documents.size(), 2u) << read.reasons();
  EXPECT_EQ(read.documents[0].kind, "mbox");
  EXPECT_EQ(read.documents[0].text, "body\nFrom the start\nFrom here 12:30 it goes on\n\nFrom is a word, at 12:30 in 2020 too\n");
  EXPECT_EQ(read.documents[1].title, "three");
  EXPECT_EQ(read.documents[1].offset, int64_t(box.find("From c@x")));
  EXPECT_EQ(read.reasons(), "mail:no_text: 1");
  EXPECT_EQ(files.read("b.eml", "Subject: one\n\nbody\n").documents.size(), 1u);
  const Read large = files.read(
      "c.mbox.gz", gzip(box + "\n\nFrom d@x Thu Jan  1 00:00:00 1970\nSubject: x\n\n" + std::string(70 << 20, 'x') + "\n\n" + box));
  EXPECT_EQ(large.documents.size(), 4u) << large.reasons();
  EXPECT_EQ(large.dropped("too_large"), 1);
}

TEST(ReaderMail, HardMessagesAsPythonReadsThem) {
  const std::string path = data_file("mbox/cpython_test_messages.mbox");
  if (path.empty()) GTEST_SKIP() << "no mbox/cpython_test_messages.mbox (set R1_DATA)";
  Json golden = parse_json_file(R1_SOURCE_DIR "/tests/golden/corpus_readers.json")["mbox"];
  const Read read = read_file(path);
  ASSERT_EQ(golden.size(), 48u);
  EXPECT_EQ(read.counts.documents_in() + int64_t(read.documents.size()), 48);
  size_t texts = 0;
  for (const Document& d : read.documents) {
    const auto& expected = golden[std::to_string(d.offset)];
    if (!expected.is_object()) {
      ADD_FAILURE() << "a message at " << d.offset << " that Python does not see";
    } else if (!expected["sha256"].is_null()) {
      ++texts;
      EXPECT_EQ(sha256(d.text), expected["sha256"].get<std::string>()) << d.id() << "\n" << d.text;
    }
  }
  EXPECT_GE(texts, 20u);
}

}  // namespace
}  // namespace r1::corpus
