// Clients that mean harm, or are broken: raw bytes over a socket. Each case says what the server answers first and whether the connection lives on;
// after each the server still serves others.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "r1/http/request_parser.h"
#include "tests/http/test_server.h"

namespace r1::http {
namespace {

using test::Answer;
using test::Client;
using test::eventually;
using test::resident_kib;
using test::seconds_since;
using test::TestServer;

constexpr const char* kHost = "Host: localhost\r\n";

std::string get(const std::string& lines = "") {
  return str("GET /text HTTP/1.1\r\n", kHost, lines, "\r\n");
}
std::string post(const std::string& lines, const std::string& body) {
  return str("POST /echo HTTP/1.1\r\n", kHost, lines, "\r\n", body);
}
std::string chunked(const std::string& body) {
  return post("Transfer-Encoding: chunked\r\n", body);
}
std::string repeat(const std::string& text, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += text;
  return out;
}
// What must never be taken for a request of its own.
const std::string kSmuggled = "GET /item/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";

struct Case {
  std::string name, bytes;
  int status;  // of the only answer; the connection then ends
};

std::vector<Case> cases() {
  return {
      // Where does this request end? Refused, and what follows is not read.
      {"CL.TE", post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nG" + kSmuggled), 400},
      {"TE.CL", post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "5c\r\n" + kSmuggled + "0\r\n\r\n"), 400},
      {"CL.0 and TE", post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + kSmuggled), 400},
      {"TE.TE, second obscured", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n", "0\r\n\r\n" + kSmuggled), 400},
      {"TE.TE, first obscured", post("Transfer-Encoding: xchunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + kSmuggled), 501},
      {"TE with a space before its colon", post("Transfer-Encoding : chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n" + kSmuggled), 400},
      {"TE folded", post("Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n" + kSmuggled), 400},
      {"TE after a bare LF", post("X: y\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n" + kSmuggled), 400},
      {"TE after a bare CR", post("X: y\rTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n" + kSmuggled), 400},
      {"TE with a vertical tab", post("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n" + kSmuggled), 400},
      {"TE in quotes", post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n" + kSmuggled), 501},
      {"TE with a parameter", post("Transfer-Encoding: chunked;a=b\r\n", "0\r\n\r\n" + kSmuggled), 501},
      {"TE gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n" + kSmuggled), 501},
      {"TE chunked, identity", post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n" + kSmuggled), 501},
      {"TE in HTTP/1.0", "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + kSmuggled, 400},
      {"CL.CL", post("Content-Length: 0\r\nContent-Length: 52\r\n", kSmuggled), 400},
      {"CL.CL equal", post("Content-Length: 0\r\nContent-Length: 0\r\n", kSmuggled), 400},
      {"CL list", post("Content-Length: 0, 0\r\n", kSmuggled), 400},
      {"CL +0", post("Content-Length: +0\r\n", kSmuggled), 400},
      {"CL -1", post("Content-Length: -1\r\n", kSmuggled), 400},
      {"CL 0x0", post("Content-Length: 0x0\r\n", kSmuggled), 400},
      {"CL 1e1", post("Content-Length: 1e1\r\n", kSmuggled), 400},
      {"CL empty", post("Content-Length: \r\n", kSmuggled), 400},
      {"CL of 2^64", post("Content-Length: 18446744073709551616\r\n", kSmuggled), 400},
      {"CL of 2^64 + 1", post("Content-Length: 18446744073709551617\r\n", "x" + kSmuggled), 400},
      {"CL with a NUL", post(std::string("Content-Length: 1\0\r\n", 20), "x" + kSmuggled), 400},
      // Chunks.
      {"chunk size -2", chunked("-2\r\n" + kSmuggled), 400},
      {"chunk size -0", chunked("-0\r\n\r\n" + kSmuggled), 400},
      {"chunk size 0x5", chunked("0x5\r\nabcde\r\n0\r\n\r\n" + kSmuggled), 400},
      {"chunk size of no digit", chunked(";x\r\n\r\n" + kSmuggled), 400},
      {"chunk size of letters", chunked("zz\r\n" + kSmuggled), 400},
      {"chunk size 2^64 + 1", chunked("10000000000000001\r\nx\r\n0\r\n\r\n" + kSmuggled), 400},
      {"chunk size 2^64 - 1", chunked("ffffffffffffffff\r\n"), 413},
      {"chunk size 2^63", chunked("8000000000000000\r\n"), 413},
      {"chunk size 1 GB", chunked("40000000\r\n"), 413},
      {"chunk with LF", chunked("1\nx\r\n0\r\n\r\n" + kSmuggled), 400},
      {"chunk data too long", chunked("1\r\nxy\r\n0\r\n\r\n" + kSmuggled), 400},
      {"chunk data too short", chunked("3\r\nx\r\n0\r\n\r\n" + kSmuggled), 400},
      {"chunk extension of 2 KiB", chunked("1;" + repeat("a", 2048) + "\r\nx\r\n0\r\n\r\n"), 400},
      {"chunk extension with LF", chunked("1;a\nb\r\nx\r\n0\r\n\r\n" + kSmuggled), 400},
      {"over 65,536 chunks", chunked(repeat("1\r\nx\r\n", 65'537) + "0\r\n\r\n"), 413},
      {"trailer of 5 KiB", chunked("0\r\nX: " + repeat("a", 5000) + "\r\n\r\n"), 400},
      {"trailer with a length", chunked("0\r\nContent-Length: 9\r\n\r\n" + kSmuggled), 400},
      {"trailer that is no field", chunked("0\r\nGET / HTTP/1.1\r\n\r\n" + kSmuggled), 400},
      // Heads.
      {"10,000 headers", get(repeat("A: b\r\n", 10'000)), 431},
      {"101 headers", get(repeat("A: b\r\n", 100)), 431},
      {"header of 20 KiB", get("A: " + repeat("b", 20'000) + "\r\n"), 431},
      {"header name of 20 KiB", get(repeat("A", 20'000) + ": b\r\n"), 431},
      {"target of 9 KiB", "GET /" + repeat("a", 9000) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 414},
      {"method of 1 KiB", repeat("A", 1000) + " / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
      {"NUL in a header", get(std::string("A: b\0c\r\n", 8)), 400},
      {"NUL in the target", std::string("GET /\0", 6) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
      {"DEL in a header", get("A: \x7f\r\n"), 400},
      {"obs-fold", get("A: b\r\n c\r\n"), 400},
      {"space before the first header", "GET /text HTTP/1.1\r\n Host: localhost\r\n\r\n", 400},
      {"header without a name", get(": b\r\n"), 400},
      {"header without a colon", get("A b\r\n"), 400},
      {"header name with a space", get("A B: c\r\n"), 400},
      {"header name with a quote", get("A\": c\r\n"), 400},
      {"header name with a slash", get("A/B: c\r\n"), 400},
      {"header name not ASCII", get("\xC3\xA4: c\r\n"), 400},
      {"bare LF", "GET /text HTTP/1.1\nHost: localhost\n\n", 400},
      {"bare CR", "GET /text HTTP/1.1\rHost: localhost\r\r", 400},
      {"two spaces", "GET  /text HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
      {"tabs for spaces", "GET\t/text\tHTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
      {"no target", "GET HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
      {"HTTP/0.9", "GET /text\r\n\r\n", 400},
      {"HTTP/1.2", "GET /text HTTP/1.2\r\nHost: localhost\r\n\r\n", 505},
      {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"HTTP in lower case", "GET /text http/1.1\r\nHost: localhost\r\n\r\n", 505},
      {"method with a bracket", "GE(T /text HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
      {"TLS", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), 400},
      {"SOCKS", std::string("\x05\x01\x00", 3), 400},
      {"SSH", "SSH-2.0-OpenSSH_9.2\r\n\r\n", 400},
      {"random bytes", "\xde\xad\xbe\xef\xca\xfe\r\n\r\n", 400},
      {"five empty lines", "\r\n\r\n\r\n\r\n\r\n" + get(), 400},
      {"unknown expectation", post("Expect: miracles\r\nContent-Length: 0\r\n", ""), 417},
      // Bodies.
      {"1 GB declared", post("Content-Length: 1073741824\r\n", "x"), 413},
      {"1 GB declared and sent", post("Content-Length: 1073741824\r\n", repeat("x", 3 << 20)), 413},
      {"10^17 bytes declared", post("Content-Length: 100000000000000000\r\n", ""), 413},
  };
}

TEST(Hostile, EachIsRefusedAndEnded) {
  TestServer server;
  EXPECT_GE(cases().size(), 60u);
  for (const Case& c : cases()) {
    Client client(server.port());
    client.send(c.bytes);
    try {
      const Answer answer = client.answer();
      EXPECT_EQ(answer.status, c.status) << c.name << ": " << answer.body;
      EXPECT_EQ(answer.header("connection"), "close") << c.name;
      EXPECT_EQ(answer.header("content-type"), "application/json") << c.name;
      EXPECT_NE(answer.body.find("\"error\""), std::string::npos) << c.name;
      client.shut_sending();
      EXPECT_EQ(client.receive_all(), "") << c.name;  // no second answer
    } catch (const Error& error) {
      ADD_FAILURE() << c.name << ": " << error.what();
    }
  }
  EXPECT_EQ(server.echoed, 0);
  EXPECT_EQ(Client(server.port()).get("/text").body, "text");
  EXPECT_TRUE(eventually([&] { return server.server->counters().connections == 0; }));
}

// What is odd but in order is answered, and the next request is the next one.
TEST(Hostile, OddButInOrder) {
  TestServer server;
  const std::vector<Case> odd = {
      {"an empty line first", "\r\n" + get(), 200},
      {"chunk extensions", chunked("1;a=b;c=\"d;e\"\r\nx\r\n0;z\r\n\r\n"), 200},
      {"a trailer", chunked("1\r\nx\r\n0\r\nX: y\r\n\r\n"), 200},
      {"65,536 chunks", chunked(repeat("1\r\nx\r\n", 65'536) + "0\r\n\r\n"), 200},
      {"leading zeros of a chunk", chunked("0000001\r\nx\r\n000\r\n\r\n"), 200},
      {"leading zeros of a length", post("Content-Length: 0001\r\n", "x"), 200},
      {"a GET with a body", str("GET /echo HTTP/1.1\r\n", kHost, "Content-Length: 3\r\n\r\nabc"), 200},
      {"header values not ASCII", get("X: \xC3\xA4\xff\r\n"), 200},
      {"99 headers", get(repeat("A: b\r\n", 98)), 200},
      {"an unknown method", str("BREW /text HTTP/1.1\r\n", kHost, "\r\n"), 405},
      {"CONNECT", "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
      {"%00 in the path", str("GET /%00 HTTP/1.1\r\n", kHost, "\r\n"), 400},
      {"%2f.. in the path", str("GET /rest/..%2f..%2fetc/passwd HTTP/1.1\r\n", kHost, "\r\n"), 400},
      {".. in the path", str("GET /rest/../../etc/passwd HTTP/1.1\r\n", kHost, "\r\n"), 400},
      {"a backslash in the path", str("GET /rest/..\\..\\x HTTP/1.1\r\n", kHost, "\r\n"), 400},
      {"%0d%0a in the path", str("GET /rest/%0d%0aX:%20y HTTP/1.1\r\n", kHost, "\r\n"), 400},
      {"overlong UTF-8 in the path", str("GET /rest/%c0%ae%c0%ae HTTP/1.1\r\n", kHost, "\r\n"), 400},
      {"a broken percent sign", str("GET /rest/%4 HTTP/1.1\r\n", kHost, "\r\n"), 400},
      {"an absolute target", str("GET http://localhost/text HTTP/1.1\r\n", kHost, "\r\n"), 200},
      {"an absolute target of another scheme", str("GET gopher://localhost/text HTTP/1.1\r\n", kHost, "\r\n"), 400},
      {"two hosts", get(kHost), 400},
      {"gzip", post("Content-Encoding: gzip\r\nContent-Length: 3\r\n", "abc"), 415},
      {"an upgrade to WebSocket", get("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n"), 200},
      {"an upgrade to HTTP/2", get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"), 200},
      {"ranges", get("Range: bytes=0-0,1-1,2-2\r\n"), 200},
  };
  for (const Case& c : odd) {
    Client client(server.port());
    client.send(c.bytes + str("GET /item/next HTTP/1.1\r\n", kHost, "\r\n"));
    try {
      EXPECT_EQ(client.answer().status, c.status) << c.name;
      EXPECT_NE(client.answer().body.find("\"next\""), std::string::npos) << c.name;
    } catch (const Error& error) {
      ADD_FAILURE() << c.name << ": " << error.what();
    }
  }
}

struct Deadlines {
  double header = 60, body = 60, idle = 60, write = 60;
  void operator()(ServerConfig& c) const {
    c.header_timeout = header;
    c.body_timeout = body;
    c.idle_timeout = idle;
    c.write_timeout = write;
  }
};

TEST(Hostile, AHeadThatDoesNotEndIsCut) {
  TestServer server(Deadlines{.header = 0.3});
  const auto start = Client::Clock::now();
  Client slow(server.port());
  slow.send("GET /text HTTP/1.1\r\n");
  // A header line now and then does not buy time.
  std::atomic<bool> answered = false;
  std::thread drip([&] {
    while (!answered && seconds_since(start) < 5) {
      if (!slow.send("X: y\r\n")) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  Client watcher(server.port());
  EXPECT_TRUE(eventually([&] { return server.server->counters().requests >= 1 || seconds_since(start) > 10; }));
  EXPECT_LT(seconds_since(start), 3);
  const Answer answer = slow.answer();
  answered = true;
  EXPECT_EQ(answer.status, 408);
  EXPECT_EQ(answer.header("connection"), "close");
  drip.join();
  slow.close();
  // One that says nothing at all is hung up on without a word.
  Client silent(server.port());
  EXPECT_EQ(silent.receive_all(), "");
}

TEST(Hostile, ABodyThatDoesNotComeIsCut) {
  TestServer server(Deadlines{.body = 0.3});
  for (const std::string& bytes :
       {post("Content-Length: 100\r\n", "x"), chunked("5\r\nab"), chunked("1\r\na\r\n"), chunked("0\r\nTrailer")}) {
    Client client(server.port());
    const auto start = Client::Clock::now();
    client.send(bytes);
    EXPECT_EQ(client.answer().status, 408);
    EXPECT_GE(seconds_since(start), 0.25);
    EXPECT_LT(seconds_since(start), 5);
  }
  EXPECT_EQ(server.echoed, 0);
}

TEST(Hostile, IdleConnectionsAreEnded) {
  TestServer server(Deadlines{.idle = 0.3});
  Client client(server.port());
  EXPECT_EQ(client.get("/text").status, 200);
  EXPECT_EQ(client.receive_all(), "");
  // One that waits for its answer is not idle.
  Client waiting(server.port());
  waiting.send(Client::request_text("POST", "/hold"));
  const auto held = server.held.next();
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  held->send({.body = "1"});
  EXPECT_EQ(waiting.answer().body, "1");
}

// 1,000 connections that drip, while others are served as before.
TEST(Hostile, Slowloris) {
  TestServer server(Deadlines{.header = 1});
  std::vector<Client> slow;
  for (int i = 0; i < 1000; ++i) {
    slow.emplace_back(server.port());
    slow.back().send(i % 3 == 0 ? "" : i % 3 == 1 ? "G" : "GET /text HTTP/1.1\r\nHost: localhost\r\nX: ");
  }
  const int64_t before = resident_kib();
  Client other(server.port());
  std::vector<double> took;
  for (int i = 0; i < 200; ++i) {
    const auto start = Client::Clock::now();
    EXPECT_EQ(other.get("/text").status, 200);
    took.push_back(seconds_since(start));
    slow[size_t(i * 5 + 2) % slow.size()].send("y");
  }
  std::nth_element(took.begin(), took.begin() + 100, took.end());
  EXPECT_LT(took[100], 0.5);  // the median: a busy machine takes its time now and then
  EXPECT_LT(resident_kib() - before, 64 << 10);
  EXPECT_TRUE(eventually([&] { return server.server->counters().connections <= 1; }, 20));
  EXPECT_EQ(other.get("/text").status, 200);
}

TEST(Hostile, ReadersThatDoNotReadAreHungUpOn) {
  TestServer server(
      [](ServerConfig& c) { c.write_timeout = 0.5; },
      [](Router& router) {
        router.get("/big", [](const RequestPtr&, const ResponderPtr& responder) { responder->send({.body = std::string(32 << 20, 'x')}); });
      });
  std::vector<Client> lazy;
  for (int i = 0; i < 3; ++i) {
    lazy.emplace_back(server.port(), 20.0, 4096);
    lazy.back().send(Client::request_text("GET", "/big"));
  }
  Client other(server.port());
  EXPECT_EQ(other.get("/text").status, 200);
  EXPECT_TRUE(eventually([&] { return server.server->counters().connections == 1; }));
  EXPECT_EQ(other.get("/text").status, 200);
  // A reader that is only slow gets all of it.
  Client slow(server.port(), 20, 16 << 10);
  slow.send(Client::request_text("GET", "/big"));
  EXPECT_EQ(slow.head().status, 200);
  size_t got = 0;
  for (int i = 0; got < 32 << 20; ++i) {
    const std::string piece = slow.receive();
    ASSERT_FALSE(piece.empty());
    got += piece.size();
    if (i % 64 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

TEST(Hostile, BodiesInAllAreLimited) {
  TestServer server([](ServerConfig& c) { c.max_bodies_bytes = 1 << 20; });
  Client first(server.port());
  first.send(post("Content-Length: 2000000\r\n", std::string(1'500'000, 'x')));
  EXPECT_EQ(first.answer().status, 503);
  Client second(server.port());
  EXPECT_EQ(second.post("/echo", std::string(500'000, 'x')).status, 200);
  // What is held by answers under way counts.
  Client third(server.port());
  ASSERT_TRUE(eventually([&] { return server.server->counters().connections <= 3; }));
  EXPECT_EQ(third.post("/echo", std::string(900'000, 'x')).status, 200);
}

// Mutated requests over sockets: the server answers or hangs up, and lives. What it runs is what a whole request asked.
TEST(Hostile, Mutations) {
  TestServer server(Deadlines{.header = 5, .body = 5});
  const std::vector<std::string> samples = {
      get(),
      post("Content-Length: 5\r\n", "hello"),
      chunked("5\r\nhello\r\n0\r\n\r\n"),
      get("Origin: http://localhost\r\n"),
      str("OPTIONS /echo HTTP/1.1\r\n", kHost, "Origin: http://localhost\r\nAccess-Control-Request-Method: POST\r\n\r\n"),
      "HEAD http://localhost/text HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"};
  std::mt19937 rng(5);
  int answered = 0, refused = 0, requests = 0;
  for (int connection = 0; connection < 1000; ++connection) {
    // Twenty in a row, the last of them closing: whatever the others became, the server comes to an end with it.
    std::string all;
    for (int i = 0; i < 20; ++i, ++requests) {
      std::string text = samples[rng() % samples.size()];
      for (int edits = int(rng() % 3); edits > 0; --edits) {
        const size_t at = rng() % text.size();
        if (rng() % 3 == 0)
          text[at] = char(rng());
        else if (rng() % 2)
          text.erase(at, 1 + rng() % 3);
        else
          text.insert(at, text.substr(rng() % text.size(), rng() % 12));
      }
      all += text;
    }
    Client client(server.port());
    client.send(all);
    client.shut_sending();
    const std::string got = client.receive_all();
    for (size_t at = 0; (at = got.find("HTTP/1.1 ", at)) != std::string::npos; ++at) {
      const std::string digits = got.substr(at + 9, 3);
      if (digits.size() < 3 || digits.find_first_not_of("0123456789") != std::string::npos) continue;  // a request told back
      const int status = std::stoi(digits);
      ASSERT_TRUE(status < 500 || status == 501 || status == 505) << status;
      ++(status < 300 ? answered : refused);
    }
  }
  EXPECT_EQ(requests, 20'000);
  EXPECT_GT(answered, 500);  // who hangs up on what is still being sent takes answers along: how many depends on the machine
  EXPECT_GT(refused, 500);
  EXPECT_EQ(Client(server.port()).get("/text").body, "text");
  EXPECT_TRUE(eventually([&] { return server.server->counters().connections == 0; }));
}

}  // namespace
}  // namespace r1::http
