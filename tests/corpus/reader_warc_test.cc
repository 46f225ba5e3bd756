// WARC, WET and WAT: records as crawls write them, and records that lie.
#include <gtest/gtest.h>

#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/data/unpack.h"
#include "tests/corpus/reader_support.h"

namespace r1::corpus {
namespace {

std::string record(const std::string& type, const std::string& content_type, const std::string& block, const std::string& more = "",
                   int64_t length = -1) {
  return "WARC/1.0\r\nWARC-Type: " + type +
         "\r\nWARC-Target-URI: https://a.example/\xC3\xA9\r\nWARC-Date: 2024-05-18T01:58:10Z\r\nContent-Type: " + content_type + "\r\n" +
         more + "Content-Length: " + std::to_string(length < 0 ? int64_t(block.size()) : length) + "\r\n\r\n" + block + "\r\n\r\n";
}
std::string response(const std::string& head, const std::string& body, int64_t length = -1) {
  return record("response", "application/http; msgtype=response", "HTTP/1.1 200 OK\r\n" + head + "\r\n" + body, "", length);
}
std::string page(const std::string& text) {
  return response("Content-Type: text/html; charset=utf-8\r\n", "<html><title>T</title><p>" + text + "</p></html>");
}
std::string chunked(const std::string& text) {
  return "5;x=y\r\n" + text.substr(0, 5) + "\r\n" +
         [&] {
           char size[20];
           std::snprintf(size, sizeof size, "%zX", text.size() - 5);
           return std::string(size);
         }() +
         "\r\n" + text.substr(5) + "\r\n0\r\n\r\n";
}

TEST(ReaderWarc, HandsOnPagesWithWhatTheHeadersSay) {
  Files files("reader_warc");
  const std::string html = "<html><head><title> A\n &amp; B</title></head><body>Gr\xC3\xBC\xC3\x9F\x65</body></html>";
  for (const bool each : {true, false}) {
    std::string bytes = record("warcinfo", "application/warc-fields", "isPartOf: x\r\n");
    const std::string second = response("content-type: text/html\r\nContent-Language: de\r\n", html);
    bytes = each ? gzip(bytes) + gzip(second) : bytes + second;
    const Read read = files.read(each ? "a.warc.gz" : "a.warc", bytes);
    ASSERT_EQ(read.documents.size(), 1u) << read.reasons();
    const Document& d = read.documents[0];
    EXPECT_EQ(d.text, html);
    EXPECT_EQ(d.title, "A & B");
    EXPECT_EQ(d.kind, "warc");
    EXPECT_EQ(d.url, "https://a.example/\xC3\xA9");
    EXPECT_EQ(d.date, "2024-05-18T01:58:10Z");
    EXPECT_EQ(d.language, "de");
    EXPECT_EQ(d.extra, Json({{"html", true}}));
    EXPECT_GT(d.offset, 100);
    EXPECT_EQ(read.dropped("warc:warcinfo"), 1);
    read.counts.check("read");
  }
}

TEST(ReaderWarc, APageThatTheCrawlerCutSaysSo) {
  Files files("reader_warc_cut");
  const std::string text = record("conversion", "text/plain", "Half of a text", "WARC-Truncated: length\r\n");
  EXPECT_EQ(files.read("a.warc", text).documents.at(0).marks, std::vector<std::string>{"truncated:length"});
}

TEST(ReaderWarc, BodiesAreUnpackedAndDecoded) {
  Files files("reader_warc_bodies");
  const std::string html = "<html><body>" + std::string(200, 'x') + "</body></html>";
  const auto text_of = [&](const std::string& head, const std::string& body) {
    const Read read = files.read("b.warc", response("Content-Type: text/html\r\n" + head, body));
    return read.documents.size() == 1 ? read.documents[0].text : read.reasons();
  };
  EXPECT_EQ(text_of("Transfer-Encoding: chunked\r\n", chunked(html)), html);
  EXPECT_EQ(text_of("Transfer-Encoding: Chunked\r\n", chunked(html)), html);
  EXPECT_EQ(text_of("Transfer-Encoding: chunked\r\n", html), html) << "the archive joined the chunks and left the field";
  EXPECT_EQ(text_of("Content-Encoding: gzip\r\n", gzip(html)), html);
  EXPECT_EQ(text_of("Content-Encoding: gzip\r\n", html), html);
  EXPECT_EQ(text_of("Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", chunked(gzip(html))), html);
  const std::string gz = gzip(html);
  EXPECT_EQ(text_of("Content-Encoding: deflate\r\n", gz.substr(10, gz.size() - 18)), html) << "raw deflate, as some servers send it";
  EXPECT_EQ(text_of("Content-Encoding: zstd\r\n", zstd(html)), html);
  EXPECT_EQ(text_of("Content-Encoding: gzip\r\n", gzip(std::string(64 << 20, 'x'))), "too_large: 1") << "a bomb of 1:1000";
}

TEST(ReaderWarc, BodiesInBrotli) {
  Files files("reader_warc_brotli");
  const auto text_of = [&](const std::string& head, const std::string& body) {
    const Read read = files.read("b.warc", response("Content-Type: text/plain\r\n" + head, body));
    return read.documents.size() == 1 ? read.documents[0].text : read.reasons();
  };
  if (!data::has_brotli()) {
    EXPECT_EQ(text_of("Content-Encoding: br\r\n", "\x1B\x12\x34\x85\xFF\x13"), "encoding:br: 1");
    GTEST_SKIP() << "no Brotli";
  }
  const Json golden = parse_json_file(fs::path(R1_SOURCE_DIR) / "tests/golden/brotli.json");
  for (const Json& pair : golden.at("streams")) {
    const std::string text = pair[1], packed = bytes_of_hex(pair[0].get<std::string>());
    if (text.empty()) continue;
    EXPECT_EQ(text_of("Content-Encoding: br\r\n", packed), text);
    EXPECT_EQ(text_of("Content-Encoding: br\r\nTransfer-Encoding: chunked\r\n", chunked(packed)), text);
  }
  const std::string last = bytes_of_hex(golden.at("streams").back()[0].get<std::string>()), all = golden.at("streams").back()[1];
  EXPECT_EQ(text_of("Content-Encoding: br\r\n", "<p>unpacked by the archive</p>"), "<p>unpacked by the archive</p>");
  EXPECT_EQ(text_of("Content-Encoding: br\r\n", "\x1B\x12\x34\x85\xFF\x13"), "truncated: 1");
  EXPECT_EQ(text_of("Content-Encoding: br\r\n", std::string(40, '\xFF')), "damaged_packing: 1");
  const std::string before = text_of("Content-Encoding: br\r\n", last.substr(0, last.size() / 8 * 7));
  EXPECT_TRUE(all.starts_with(before.substr(0, 10)) && before.size() >= 10) << "what came before the cut: " << before;
  EXPECT_EQ(text_of("Content-Encoding: br\r\n", bytes_of_hex(golden.at("bomb").get<std::string>())), "too_large: 1")
      << "a bomb of 1:1000000";
}

TEST(ReaderWarc, CharsetsInTheirOrder) {
  Files files("reader_warc_charset");
  const auto text_of = [&](const std::string& type, const std::string& body) {
    const Read read = files.read("c.warc", response("Content-Type: " + type + "\r\n", body));
    return read.documents.size() == 1 ? read.documents[0].text : read.reasons();
  };
  EXPECT_EQ(text_of("text/html; charset=windows-1251", "<p>\xCF\xF0\xE8</p>"), "<p>\xD0\x9F\xD1\x80\xD0\xB8</p>");
  EXPECT_EQ(text_of("text/html", "<meta charset=\"Shift_JIS\"><p>\x93\xFA</p>"), "<meta charset=\"Shift_JIS\"><p>\xE6\x97\xA5</p>");
  EXPECT_EQ(text_of("text/html", "<p>caf\xE9 \x93x\x94</p>"), "<p>caf\xC3\xA9 \xE2\x80\x9Cx\xE2\x80\x9D</p>")
      << "none declared: windows-1252";
  EXPECT_EQ(text_of("text/html; charset=iso-8859-1", "<p>\x80</p>"), "<p>\xE2\x82\xAC</p>") << "as browsers read latin1";
  EXPECT_EQ(text_of("text/html; charset=utf-8", "<p>caf\xE9</p>"), "<p>caf\xC3\xA9</p>") << "declared, but it is not";
  EXPECT_EQ(text_of("text/html; charset=\"GB2312\"", "\xC4\xE3"), "\xE4\xBD\xA0");
  EXPECT_EQ(text_of("text/html; charset=no-such", "<p>\xC3\xA9</p>"), "<p>\xC3\xA9</p>");
  EXPECT_EQ(text_of("text/plain", "a\r\nb\rc"), "a\nb\nc");
}

TEST(ReaderWarc, WhatIsNoPageIsCountedByReason) {
  Files files("reader_warc_others");
  std::string bytes = record("request", "application/http", "GET / HTTP/1.1\r\n\r\n");
  bytes += record("metadata", "application/json", "{}");
  bytes += record("revisit", "application/http", "HTTP/1.1 304\r\n\r\n");
  bytes += record("response", "application/http", "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n<p>no</p>");
  bytes += response("Content-Type: image/png\r\n", "\x89PNG");
  bytes += response("Content-Type: text/html\r\n", "");
  bytes += record("conversion", "text/plain", "Text of a page\n", "WARC-Identified-Content-Language: spa,eng\r\n");
  const Read read = files.read("d.warc.wet.gz", gzip(bytes));
  ASSERT_EQ(read.documents.size(), 1u);
  EXPECT_EQ(read.documents[0].kind, "wet");
  EXPECT_EQ(read.documents[0].language, "spa");
  EXPECT_EQ(read.documents[0].text, "Text of a page\n");
  EXPECT_EQ(read.reasons(), "empty: 1, http:status: 1, media:image: 1, warc:metadata: 1, warc:request: 1, warc:revisit: 1");
}

TEST(ReaderWarc, ReadingGoesOnBehindALie) {
  Files files("reader_warc_lies");
  const auto texts = [&](const std::string& name, const std::string& bytes) {
    const Read read = files.read(name, bytes);
    std::string out;
    for (const Document& d : read.documents) out += d.text.substr(25, 1);
    return out + " " + read.reasons();
  };
  const std::string a = page("a"), b = page("b"), c = page("c");
  const std::string lie = "<html><title>T</title><p>x</p>" + std::string(300, 'x');
  for (const int64_t length : {10, 500, 100'000, 2'000'000'000}) {
    const std::string broken = response("Content-Type: text/html\r\n", lie, length);
    const std::string got = texts("e.warc", a + broken + b + c);
    EXPECT_TRUE(got.starts_with("abc ")) << length << ": " << got;
    EXPECT_NE(got.find("warc:bad_length: 1"), std::string::npos) << length << ": " << got;
  }
  // too long by less than the next record's first word (warcio: "Record not followed by newline, perhaps Content-Length is invalid")
  const std::string body = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + lie;
  for (int more = 1; more < 12; ++more) {
    const std::string got = texts("e.warc", a + response("Content-Type: text/html\r\n", lie, int64_t(body.size()) + more) + b + c);
    EXPECT_TRUE(got.starts_with("ab") || got.starts_with("axb")) << more << ": " << got;
    EXPECT_NE(got.find("c "), std::string::npos) << more << ": " << got;
  }
  EXPECT_EQ(texts("f.warc", a + record("response", "application/http", "x", "Content-Length: 12x\r\n") + b),
            "ab warc:bad_length: 1, warc:no_record: 1");
  EXPECT_EQ(texts("g.warc", a + "garbage\nof two lines\n" + b), "ab warc:no_record: 1");
  EXPECT_EQ(texts("h.warc", a + b.substr(0, b.size() - 30)), "a truncated: 1");
}

TEST(ReaderWarc, ADamagedMemberCostsItsRecord) {
  Files files("reader_warc_members");
  const auto texts = [&](const std::string& bytes) {
    const Read read = files.read("m.warc.gz", bytes);
    std::string out;
    for (const Document& d : read.documents) out += d.text.substr(25, 1);
    return out + " " + read.reasons();
  };
  std::string damaged = gzip(page("x" + std::string(3'000, 'y')));
  const std::string cut = damaged.substr(0, damaged.size() / 2);
  for (size_t i = 40; i < damaged.size(); ++i) damaged[i] = char(i * 37);
  EXPECT_EQ(texts(gzip(page("a")) + damaged + gzip(page("b")) + gzip(page("c"))), "abc damaged_packing: 1");
  EXPECT_EQ(texts(gzip(page("a")) + cut + gzip(page("b")) + gzip(page("c"))), "abc damaged_packing: 1") << "a member that breaks off";
  EXPECT_EQ(texts(gzip(page("a")) + cut), "a truncated: 1");
}

TEST(ReaderWarc, TheRealCaptureInItsThreeForms) {
  const std::string warc = data_file("warc/whirlwind.warc.gz");
  if (warc.empty()) GTEST_SKIP() << "no warc/whirlwind.warc.gz (set R1_DATA)";
  const Read pages = read_file(warc);
  ASSERT_EQ(pages.documents.size(), 1u);
  EXPECT_EQ(pages.documents[0].url, "https://an.wikipedia.org/wiki/Escopete");
  EXPECT_EQ(pages.documents[0].title, "Escopete - Biquipedia, a enciclopedia libre");
  EXPECT_EQ(pages.documents[0].language, "an");
  EXPECT_EQ(pages.reasons(), "warc:metadata: 1, warc:request: 1, warc:warcinfo: 1");
  const Read text = read_file(data_file("warc/whirlwind.warc.wet.gz"));
  ASSERT_EQ(text.documents.size(), 1u);
  EXPECT_EQ(text.documents[0].text.size(), 4456u) << "its Content-Length";
  const Read wat = read_file(data_file("warc/whirlwind.warc.wat.gz"));
  EXPECT_EQ(wat.documents.size(), 0u);
  EXPECT_GE(wat.dropped("warc:metadata"), 1);
}

}  // namespace
}  // namespace r1::corpus
