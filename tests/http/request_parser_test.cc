#include "r1/http/request_parser.h"

#include <gtest/gtest.h>

#include <optional>
#include <random>

#include "r1/base/error.h"
#include "r1/http/error.h"

namespace r1::http {
namespace {

struct Parsed {
  int status = 0;  // of the error; 0: it is a request, -1: it is not complete
  RequestHead head;
  std::string body, rest;
  std::string message;
};

// Feeds `bytes` in pieces that end at `cuts`, as a connection does.
Parsed parse(const std::string& bytes, const std::vector<size_t>& cuts = {}, int64_t max_body = 1 << 20,
             int64_t max_header_bytes = 16 << 10, int64_t max_headers = 100) {
  Parsed out;
  RequestParser parser(max_header_bytes, max_headers);
  std::string pending;
  size_t at = 0;
  std::vector<size_t> ends = cuts;
  ends.push_back(bytes.size());
  bool body = false;
  try {
    for (size_t end : ends) {
      pending.append(bytes, at, end - at);
      at = end;
      while (!pending.empty() && !parser.done()) {
        const size_t taken = parser.feed(pending);
        check(taken <= pending.size(), "it took more than there was");
        pending.erase(0, taken);
        if (parser.head_done() && !body) {
          body = true;
          parser.read_body(max_body, true);
        } else if (taken == 0) {
          break;
        }
      }
    }
    out.status = parser.done() ? 0 : -1;
  } catch (const ApiError& error) {
    out.status = error.status;
    out.message = error.what();
  }
  out.head = parser.head();
  out.body = parser.body();
  out.rest = pending;
  return out;
}

std::string post(const std::string& headers, const std::string& body) {
  return "POST /x HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n" + body;
}
std::string chunked(const std::string& body) {
  return post("Transfer-Encoding: chunked\r\n", body);
}

TEST(RequestParser, AWholeRequest) {
  const Parsed got = parse("POST /v1/x?y=1 HTTP/1.1\r\nHost: h:1\r\nX-A:  b c \t\r\nx-a: d\r\nEmpty:\r\nContent-Length: 5\r\n\r\nhelloGET");
  ASSERT_EQ(got.status, 0) << got.message;
  EXPECT_EQ(got.head.method, "POST");
  EXPECT_EQ(got.head.target, "/v1/x?y=1");
  EXPECT_EQ(got.head.headers, (Headers{{"host", "h:1"}, {"x-a", "b c"}, {"x-a", "d"}, {"empty", ""}, {"content-length", "5"}}));
  EXPECT_TRUE(got.head.keep_alive);
  EXPECT_FALSE(got.head.http10);
  EXPECT_TRUE(got.head.has_body);
  EXPECT_EQ(got.head.content_length, 5);
  EXPECT_EQ(got.body, "hello");
  EXPECT_EQ(got.rest, "GET");
}

TEST(RequestParser, Chunks) {
  const Parsed got =
      parse(chunked("4\r\nabcd\r\n00A;name=value;q=\"x;y\"\r\n0123456789\r\n1\r\n\n\r\n0\r\nTrailer: x\r\nX: y\r\n\r\nnext"));
  ASSERT_EQ(got.status, 0) << got.message;
  EXPECT_EQ(got.body, "abcd0123456789\n");
  EXPECT_EQ(got.rest, "next");
  EXPECT_EQ(got.head.content_length, -1);
  for (const auto& [name, value] : got.head.headers) EXPECT_NE(name, "trailer");
  EXPECT_EQ(parse(chunked("0\r\n\r\n")).status, 0);
}

TEST(RequestParser, KeepAlive) {
  const auto keeps = [](const std::string& version, const std::string& headers) {
    const Parsed got = parse("GET / HTTP/" + version + "\r\nHost: h\r\n" + headers + "\r\n");
    EXPECT_EQ(got.status, 0) << got.message;
    return got.head.keep_alive;
  };
  EXPECT_TRUE(keeps("1.1", ""));
  EXPECT_TRUE(keeps("1.1", "Connection: keep-alive, Upgrade\r\n"));
  EXPECT_FALSE(keeps("1.1", "Connection: close\r\n"));
  EXPECT_FALSE(keeps("1.1", "Connection: keep-alive\r\nConnection: CLOSE\r\n"));
  EXPECT_FALSE(keeps("1.0", ""));
  EXPECT_TRUE(keeps("1.0", "Connection: Keep-Alive\r\n"));
}

TEST(RequestParser, Expectations) {
  EXPECT_TRUE(parse(post("Expect: 100-Continue\r\nContent-Length: 1\r\n", "x")).head.expect_continue);
  EXPECT_FALSE(parse("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx").head.expect_continue);
  EXPECT_EQ(parse(post("Expect: something\r\nContent-Length: 1\r\n", "x")).status, 417);
}

// Where a request ends must never be a matter of opinion: what two parsers could read differently is refused.
TEST(RequestParser, Smuggling) {
  const std::vector<std::pair<const char*, std::string>> refused = {
      {"CL and TE", post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
      {"TE and CL", post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n")},
      {"CL twice, equal", post("Content-Length: 4\r\nContent-Length: 4\r\n", "abcd")},
      {"CL twice, differing", post("Content-Length: 4\r\nContent-Length: 5\r\n", "abcde")},
      {"CL as a list", post("Content-Length: 4, 4\r\n", "abcd")},
      {"CL with a sign", post("Content-Length: +4\r\n", "abcd")},
      {"CL negative", post("Content-Length: -1\r\n", "")},
      {"CL hexadecimal", post("Content-Length: 0x4\r\n", "abcd")},
      {"CL with a fraction", post("Content-Length: 4.0\r\n", "abcd")},
      {"CL empty", post("Content-Length:\r\n", "")},
      {"CL with a space inside", post("Content-Length: 1 0\r\n", "abcdefghij")},
      {"CL over 64 bits", post("Content-Length: 18446744073709551620\r\n", "abcd")},
      {"CL of 20 zeros and 4", post("Content-Length: 000000000000000000004\r\n", "abcd")},
      {"TE twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
      {"TE twice, the first unknown", post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
      {"a space before the colon", post("Content-Length : 4\r\n", "abcd")},
      {"a tab before the colon", post("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n")},
      {"a space before the name", "POST /x HTTP/1.1\r\n Host: h\r\nContent-Length: 4\r\n\r\nabcd"},
      {"folded TE", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n")},
      {"folded header", post("X: a\r\n\tb\r\n", "")},
      {"a line that is only a space", post("X: a\r\n \r\n", "")},
      {"bare LF after the request line", "GET / HTTP/1.1\nHost: h\r\n\r\n"},
      {"bare LF after a header", "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n"},
      {"bare LFs all along", "GET / HTTP/1.0\n\n"},
      {"bare CR in a header", post("X: a\rContent-Length: 3\r\n", "abc")},
      {"bare CR before the colon", post("Transfer-Encoding\r: chunked\r\n", "")},
      {"CR CR LF", "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n"},
      {"NUL in a header", post(std::string("X: a\0b\r\n", 8), "")},
      {"NUL in a name", post(std::string("X\0: a\r\n", 7), "")},
      {"no colon", post("Content-Length 4\r\n", "abcd")},
      {"no name", post(": x\r\n", "")},
      {"vertical tab in TE", post("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n")},
      {"a header of 0x7f", post("X: \x7f\r\n", "")},
      {"chunk size -2", chunked("-2\r\nab\r\n0\r\n\r\n")},
      {"chunk size +2", chunked("+2\r\nab\r\n0\r\n\r\n")},
      {"chunk size 0x2", chunked("0x2\r\nab\r\n0\r\n\r\n")},
      {"chunk size empty", chunked("\r\nab\r\n0\r\n\r\n")},
      {"chunk size with a space before", chunked(" 2\r\nab\r\n0\r\n\r\n")},
      {"chunk size of 17 digits", chunked("10000000000000002\r\nab\r\n0\r\n\r\n")},
      {"chunk size with an underscore", chunked("1_0\r\nab\r\n0\r\n\r\n")},
      {"chunk line with LF", chunked("2\nab\r\n0\r\n\r\n")},
      {"chunk without its line end", chunked("2\r\nabX\r\n0\r\n\r\n")},
      {"chunk longer than its size", chunked("2\r\nabc\r\n0\r\n\r\n")},
      {"chunk extension with CR", chunked("2;a\rb\r\nab\r\n0\r\n\r\n")},
      {"chunk extension with LF", chunked("2;\nab\r\n0\r\n\r\n")},
      {"chunk extension without name", chunked("2;=x\r\nab\r\n0\r\n\r\n")},
      {"HTTP/1.0 with TE", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"a method with a control character", "G\x01T / HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"no method", " / HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"two spaces", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"HTTP/0.9", "GET /\r\n\r\n"},
      {"a space in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"a tab in the target", "GET /a\tb HTTP/1.1\r\nHost: h\r\n\r\n"},
      {"TLS", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 9)},
      {"a trailer with a length", chunked("0\r\nContent-Length: 7\r\n\r\n")},
      {"a trailer without colon", chunked("0\r\nbroken\r\n\r\n")},
      {"five empty lines first", "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"},
  };
  for (const auto& [name, bytes] : refused) {
    const int status = parse(bytes).status;
    EXPECT_TRUE(status == 400 || status == 505 || status == 501) << name << ": " << status;
  }
  for (const char* coding :
       {"gzip", "gzip, chunked", "chunked, gzip", "identity", "xchunked", "chunked;x=1", "\"chunked\"", "chunked,", "chunked chunked"})
    EXPECT_EQ(parse(post("Transfer-Encoding: " + std::string(coding) + "\r\n", "0\r\n\r\n")).status, 501) << coding;
  EXPECT_EQ(parse(post("Transfer-Encoding: ChunKed\r\n", "0\r\n\r\n")).status, 0);
}

TEST(RequestParser, Versions) {
  for (const char* version : {"HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/3.0"})
    EXPECT_EQ(parse(str("GET / ", version, "\r\nHost: h\r\n\r\n")).status, 505) << version;
  EXPECT_EQ(parse("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").status, 505);
}

TEST(RequestParser, LimitsAreExact) {
  // Bytes of the head.
  const std::string head = "GET / HTTP/1.1\r\nHost: h\r\nX: ";
  const auto of_size = [&](size_t n) { return head + std::string(n - head.size() - 4, 'a') + "\r\n\r\n"; };
  EXPECT_EQ(parse(of_size(1000), {}, 0, 1000).status, 0);
  EXPECT_EQ(parse(of_size(1001), {}, 0, 1000).status, 431);
  EXPECT_EQ(parse(of_size(1001).substr(0, 1001), {999}, 0, 1000).status, 431);
  EXPECT_EQ(parse(head + std::string(5000, 'a'), {100, 1000}, 0, 1000).status, 431);
  // Fields.
  std::string many = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 100; ++i) many += "A: b\r\n";
  EXPECT_EQ(parse(many + "\r\n").status, 0);
  EXPECT_EQ(parse(many + "A: b\r\n\r\n").status, 431);
  // The target.
  EXPECT_EQ(parse("GET /" + std::string(kMaxTargetBytes - 1, 'a') + " HTTP/1.1\r\n\r\n").status, 0);
  EXPECT_EQ(parse("GET /" + std::string(kMaxTargetBytes, 'a') + " HTTP/1.1\r\n\r\n").status, 414);
  EXPECT_EQ(parse("GET /" + std::string(12'000, 'a')).status, 414);
  EXPECT_EQ(parse(std::string(40, 'A')).status, 400);
  // The body.
  EXPECT_EQ(parse(post("Content-Length: 10\r\n", "0123456789"), {}, 10).status, 0);
  EXPECT_EQ(parse(post("Content-Length: 11\r\n", ""), {}, 10).status, 413);
  EXPECT_EQ(parse(post("Content-Length: 1000000000\r\n", ""), {}, 10).status, 413);
  EXPECT_EQ(parse(chunked("5\r\n01234\r\n5\r\n01234\r\n0\r\n\r\n"), {}, 10).status, 0);
  EXPECT_EQ(parse(chunked("5\r\n01234\r\n6\r\n"), {}, 10).status, 413);
  EXPECT_EQ(parse(chunked("ffffffffffffffff\r\n"), {}, 10).status, 413);
  EXPECT_EQ(parse(chunked("7fffffffffffffff\r\n"), {}, 10).status, 413);
  EXPECT_EQ(parse(chunked("5\r\n01234\r\nfffffffffffffffb\r\n"), {}, 10).status, 413);
  // Chunks.
  std::string ones = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int64_t i = 0; i < kMaxChunks; ++i) ones += "1\r\nx\r\n";
  EXPECT_EQ(parse(ones + "0\r\n\r\n").body.size(), size_t(kMaxChunks));
  EXPECT_EQ(parse(ones + "1\r\nx\r\n0\r\n\r\n").status, 413);
  // A chunk's line and the trailer are not collected without end.
  EXPECT_EQ(parse(chunked("1;" + std::string(3000, 'a'))).status, 400);
  EXPECT_EQ(parse(chunked(std::string(3000, '0'))).status, 400);
  EXPECT_EQ(parse(chunked("0\r\nX: " + std::string(6000, 'a'))).status, 400);
  EXPECT_EQ(parse(chunked("0\r\nX: " + std::string(2000, 'a') + "\r\n\r\n")).status, 0);
  // .. the same whether they come whole or in pieces.
  const size_t start = chunked("").size();
  for (size_t n : {size_t(900), kMaxChunkLineBytes - 3, kMaxChunkLineBytes - 2, kMaxChunkLineBytes + 200}) {
    const std::string text = chunked("1;" + std::string(n - 1, 'a') + "\r\nx\r\n0\r\n\r\n");
    const int expected = n + 3 <= kMaxChunkLineBytes ? 0 : 400;
    EXPECT_EQ(parse(text).status, expected) << n;
    EXPECT_EQ(parse(text, {start + n / 2, start + n}).status, expected) << n;
  }
  for (size_t n : {size_t(1000), kMaxTrailerBytes, kMaxTrailerBytes + 1, kMaxTrailerBytes + 2000}) {
    const std::string text = chunked("0\r\nX: " + std::string(n - 10, 'a') + "\r\n\r\n");
    const int expected = n <= kMaxTrailerBytes ? 0 : 400;
    EXPECT_EQ(parse(text).status, expected) << n;
    EXPECT_EQ(parse(text, {start + 2, start + n / 2, start + n - 1}).status, expected) << n;
  }
}

const std::vector<std::string>& samples() {
  static const std::vector<std::string> all = {
      "GET /v1/models?x=%20y HTTP/1.1\r\nHost: localhost:8080\r\nAccept: */*\r\nAuthorization: Bearer key\r\n\r\n",
      post("Content-Type: application/json\r\nContent-Length: 26\r\n", "{\"model\":\"m\",\"prompt\":\"hi\"}"),
      chunked("a\r\n0123456789\r\n3;ext=1\r\nabc\r\n0\r\nTrailer: t\r\n\r\n"),
      "OPTIONS * HTTP/1.1\r\nHost: h\r\nOrigin: http://localhost\r\nConnection: keep-alive\r\n\r\n",
      post("Expect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n", "abcGET / HTTP/1.1\r\n\r\n"),
      "\r\nHEAD http://localhost/x HTTP/1.0\r\n\r\n"};
  return all;
}

bool same(const Parsed& a, const Parsed& b) {
  return a.status == b.status && a.head.method == b.head.method && a.head.target == b.head.target && a.head.headers == b.head.headers &&
         a.body == b.body && (a.status != 0 || a.rest == b.rest);
}

TEST(RequestParser, CutsDoNotMatter) {
  for (const std::string& sample : samples()) {
    const Parsed whole = parse(sample);
    EXPECT_EQ(whole.status, 0) << whole.message;
    for (size_t cut = 1; cut < sample.size(); ++cut) EXPECT_TRUE(same(whole, parse(sample, {cut}))) << sample << " cut at " << cut;
    std::vector<size_t> all;
    for (size_t cut = 1; cut < sample.size(); ++cut) all.push_back(cut);
    EXPECT_TRUE(same(whole, parse(sample, all))) << sample << " byte by byte";
    for (size_t end = 0; end + whole.rest.size() < sample.size(); ++end)
      EXPECT_EQ(parse(sample.substr(0, end)).status, -1) << sample << " ends at " << end;
  }
}

// Mutated requests: a request, an error of the client's, or something that is not complete; the same however it is cut; never more than it holds.
TEST(RequestParser, Mutations) {
  std::mt19937 rng(11);
  const std::vector<std::string> pieces = {"\r\n",
                                           "\n",
                                           "\r",
                                           " ",
                                           "\t",
                                           ":",
                                           "0",
                                           "-2",
                                           "ffffffffffffffff",
                                           "Content-Length: 1\r\n",
                                           ";",
                                           "\"",
                                           "%",
                                           "chunked",
                                           ",",
                                           "\r\n\r\n",
                                           std::string(1, '\0'),
                                           "\x7f",
                                           "\xff",
                                           "Transfer-Encoding: chunked\r\n"};
  int good = 0, bad = 0, open = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = samples()[rng() % samples().size()];
    for (int edits = 1 + int(rng() % 3); edits > 0; --edits) {
      const size_t at = rng() % (text.size() + 1);
      switch (rng() % 5) {
        case 0:
          text.insert(at, pieces[rng() % pieces.size()]);
          break;
        case 1:
          text.erase(at, 1 + rng() % 4);
          break;
        case 2:
          if (at < text.size()) text[at] = char(rng());
          break;
        case 3:
          text.insert(at, text.substr(rng() % (text.size() + 1), rng() % 30));
          break;
        default:
          if (at < text.size()) text[at] = char(text[at] ^ (1 << rng() % 8));
      }
    }
    const Parsed whole = parse(text);
    const size_t a = rng() % (text.size() + 1), b = a + rng() % (text.size() + 1 - a);
    ASSERT_TRUE(same(whole, parse(text, {a, b}))) << printable(text) << " " << a << " " << b;
    ASSERT_TRUE(whole.status <= 0 || (whole.status >= 400 && whole.status < 418) || whole.status == 431 || whole.status == 501 ||
                whole.status == 505)
        << whole.status;
    ASSERT_LE(whole.body.size(), text.size());
    if (whole.status == 0) {
      int lengths = 0;
      for (const auto& [name, value] : whole.head.headers) {
        lengths += name == "content-length" || name == "transfer-encoding";
        for (char c : name + value) ASSERT_TRUE(c == '\t' || static_cast<unsigned char>(c) >= 0x20) << printable(text);
      }
      ASSERT_LE(lengths, 1) << printable(text);
    }
    good += whole.status == 0;
    bad += whole.status > 0;
    open += whole.status < 0;
  }
  EXPECT_GT(good, 2000);
  EXPECT_GT(bad, 2000);
  EXPECT_GT(open, 300);
}

}  // namespace
}  // namespace r1::http
