// Streams, and clients that leave.
#include <gtest/gtest.h>

#include <random>

#include "tests/http/test_server.h"

namespace r1::http {
namespace {

using test::Answer;
using test::Client;
using test::eventually;
using test::resident_kib;
using test::seconds_since;
using test::TestServer;

TEST(Streams, EventsComeAsTheyAreWritten) {
  TestServer server;
  Client client(server.port());
  client.send(Client::request_text("GET", "/stream"));
  const Answer head = client.head();
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("content-type"), "text/event-stream");
  EXPECT_EQ(head.header("transfer-encoding"), "chunked");
  EXPECT_EQ(head.header("cache-control"), "no-cache");
  EXPECT_EQ(head.header("x-accel-buffering"), "no");
  EXPECT_EQ(client.event()->data, "first");
  const auto held = server.held.next();
  for (int i = 0; i < 100; ++i) {
    held->write(sse(std::to_string(i), i % 2 ? "odd" : ""));
    const auto event = client.event();
    ASSERT_TRUE(event);
    EXPECT_EQ(event->data, std::to_string(i));
    EXPECT_EQ(event->event, i % 2 ? "odd" : "");
  }
  held->write("");  // is not the end
  held->write(sse("[DONE]"));
  held->end();
  EXPECT_EQ(client.event()->data, "[DONE]");
  EXPECT_FALSE(client.event());
  // The connection goes on, and what comes after the end is nothing.
  held->write(sse("late"));
  held->end();
  held->send({});
  EXPECT_EQ(client.get("/text").body, "text");
  EXPECT_FALSE(held->gone());
  EXPECT_EQ(server.gone, 0);
}

TEST(Streams, PiecesFromSeveralThreadsStayWhole) {
  TestServer server;
  Client client(server.port());
  client.send(Client::request_text("GET", "/stream"));
  client.head();
  const auto held = server.held.next();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&held, t] {
      for (int i = 0; i < 500; ++i) held->write(sse(std::string(20, char('a' + t))));
    });
  for (std::thread& thread : threads) thread.join();
  held->end();
  EXPECT_EQ(client.event()->data, "first");
  int counts[4] = {};
  while (const auto event = client.event()) {
    EXPECT_EQ(event->data, std::string(20, event->data[0]));
    ++counts[event->data[0] - 'a'];
  }
  for (int count : counts) EXPECT_EQ(count, 500);
}

TEST(Streams, AStreamThatIsGivenUpIsCutShort) {
  TestServer server;
  Client client(server.port());
  client.send(Client::request_text("GET", "/stream"));
  client.head();
  EXPECT_EQ(client.event()->data, "first");
  server.held.next().reset();
  EXPECT_THROW(client.event(), Error);  // no last chunk: nobody takes it for whole
}

TEST(Streams, SilentOnesGetAComment) {
  TestServer server([](ServerConfig& c) { c.event_keepalive = 0.2; });
  Client client(server.port());
  client.send(Client::request_text("GET", "/stream"));
  client.head();
  EXPECT_EQ(client.chunk(), "data: first\n\n");
  EXPECT_EQ(client.chunk(), ":\n\n");
  EXPECT_EQ(client.chunk(), ":\n\n");
  const auto held = server.held.next();
  held->end();
  while (!client.chunk().empty()) {
  }
  EXPECT_EQ(client.get("/text").body, "text");
}

// A client that does not read: what it leaves is kept up to max_unread, then it is gone; one that reads late gets all of it.
TEST(Streams, Backpressure) {
  TestServer server([](ServerConfig& c) { c.max_unread = 1 << 20; });
  Client reader(server.port(), 20, 4096), lazy(server.port(), 20, 4096);
  reader.send(Client::request_text("GET", "/stream"));
  const auto read = server.held.next();
  lazy.send(Client::request_text("GET", "/stream"));
  const auto unread = server.held.next();
  const std::string piece = sse(std::string(1000, 'x'));
  int pieces = 0;
  for (; !unread->gone() && pieces < 100'000; ++pieces) unread->write(piece);
  EXPECT_GT(pieces, 1000);    // about the limit ..
  EXPECT_LT(pieces, 20'000);  // .. and what the kernel takes
  EXPECT_TRUE(eventually([&] { return server.gone == 1; }));
  EXPECT_TRUE(eventually([&] { return server.server->counters().connections == 1; }));
  for (int i = 0; i < 900; ++i) read->write(piece);
  read->end();
  reader.head();
  int got = 0;
  while (reader.event()) ++got;
  EXPECT_EQ(got, 901);
  EXPECT_EQ(server.gone, 1);
}

TEST(Streams, OneLargePieceIsNoPile) {
  TestServer server([](ServerConfig& c) { c.max_unread = 64 << 10; });
  Client client(server.port());
  client.send(Client::request_text("GET", "/stream"));
  client.head();
  EXPECT_EQ(client.event()->data, "first");
  const auto held = server.held.next();
  held->write(sse(std::string(5 << 20, 'y')));
  EXPECT_EQ(client.event()->data.size(), size_t(5 << 20));
  held->end();
  EXPECT_FALSE(client.event());
}

enum class Leave { kClose, kAbort };

// How long it takes until on_gone is called.
double seconds_until_gone(const std::string& request, Leave leave, bool pipelined = false) {
  TestServer server;
  Client client(server.port());
  client.send(request);
  const auto held = server.held.next();
  if (pipelined) client.send(Client::request_text("GET", "/text"));
  const auto start = Client::Clock::now();
  leave == Leave::kClose ? client.close() : client.abort();
  EXPECT_TRUE(eventually([&] { return server.gone == 1; }));
  const double seconds = seconds_since(start);
  EXPECT_TRUE(held->gone());
  EXPECT_TRUE(eventually([&] { return server.server->counters().connections == 0; }));
  return seconds;
}

TEST(Streams, ClientsThatLeaveAreNoticedAtOnce) {
  for (Leave leave : {Leave::kClose, Leave::kAbort}) {
    EXPECT_LT(seconds_until_gone(Client::request_text("POST", "/hold", "body"), leave), 0.25);
    EXPECT_LT(seconds_until_gone(Client::request_text("GET", "/stream"), leave), 0.25);
    EXPECT_LT(seconds_until_gone("POST /hold HTTP/1.0\r\n\r\n", leave), 0.5);
    EXPECT_LT(seconds_until_gone("GET /stream HTTP/1.0\r\n\r\n", leave), 0.5);
    EXPECT_LT(seconds_until_gone(Client::request_text("POST", "/hold"), leave, true), 0.25);
    EXPECT_LT(seconds_until_gone(Client::request_text("HEAD", "/stream"), leave), 0.5);
  }
}

// One that sent more ahead than the server takes while it is busy.
TEST(Streams, ALeavingClientBehindUnreadBytesIsNoticed) {
  TestServer server;
  Client client(server.port());
  client.send(Client::request_text("POST", "/hold"));
  const auto held = server.held.next();
  client.send(Client::request_text("POST", "/echo", std::string(100'000, 'x')));
  client.close();
  EXPECT_TRUE(eventually([&] { return server.gone == 1; }));
  EXPECT_EQ(server.echoed, 0);
}

// nc -N and the like: the sending side is shut, the answer still wanted.
TEST(Streams, HalfClosedClientsGetTheirAnswer) {
  TestServer server;
  {
    Client client(server.port());
    client.send(Client::request_text("POST", "/hold"));
    client.shut_sending();
    const auto held = server.held.next();
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    EXPECT_FALSE(held->gone());
    held->send({.body = "\"answer\""});
    EXPECT_EQ(client.answer().body, "\"answer\"");
    EXPECT_TRUE(client.ends_within(5));
  }
  {
    Client client(server.port());
    client.send(Client::request_text("GET", "/stream"));
    client.head();
    client.shut_sending();
    const auto held = server.held.next();
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    EXPECT_FALSE(held->gone());
    held->write(sse("second"));
    held->end();
    EXPECT_EQ(client.event()->data, "first");
    EXPECT_EQ(client.event()->data, "second");
    EXPECT_FALSE(client.event());
  }
  // A worker's answer to HTTP/1.0, and two pipelined requests.
  for (const std::string& request : {std::string("GET /text HTTP/1.0\r\n\r\n"), Client::request_text("GET", "/text")}) {
    Client client(server.port());
    client.send(request);
    client.shut_sending();
    EXPECT_EQ(client.answer().body, "text");
  }
  Client client(server.port());
  client.send(Client::request_text("GET", "/text") + Client::request_text("POST", "/echo", "two"));
  client.shut_sending();
  EXPECT_EQ(client.answer().body, "text");
  EXPECT_EQ(client.answer().status, 200);
  EXPECT_TRUE(client.ends_within(5));
  EXPECT_EQ(server.gone, 0);
}

TEST(Streams, OnGoneIsCalledOnceAndOnlyIfTheAnswerIsNotComplete) {
  TestServer server;
  Client client(server.port());
  client.send(Client::request_text("POST", "/hold"));
  auto held = server.held.next();
  std::atomic<int> replaced = 0, last = 0;
  held->on_gone([&] { ++replaced; });
  held->on_gone([&] { ++last; });
  client.abort();
  ASSERT_TRUE(eventually([&] { return last == 1; }));
  held->on_gone([&] { ++last; });  // known already
  EXPECT_EQ(last, 2);
  EXPECT_EQ(replaced, 0);
  EXPECT_EQ(server.gone, 0);  // the first of all was replaced as well
  Client other(server.port());
  other.send(Client::request_text("POST", "/hold"));
  held = server.held.next();
  held->on_gone([&] { ++replaced; });
  held->send({});
  held->on_gone([&] { ++replaced; });
  EXPECT_EQ(other.answer().status, 200);
  other.abort();
  EXPECT_TRUE(eventually([&] { return server.server->counters().connections == 0; }));
  EXPECT_EQ(replaced, 0);
}

// A callback that holds the responder it belongs to is let go with the answer.
TEST(Streams, CallbacksDoNotOutliveTheAnswer) {
  TestServer server;
  Client client(server.port());
  client.send(Client::request_text("GET", "/stream"));
  client.head();
  const auto owned = std::make_shared<int>(1);
  {
    const auto held = server.held.next();
    held->on_gone([owned, held] {});
    held->end();
  }
  EXPECT_EQ(client.event()->data, "first");
  EXPECT_FALSE(client.event());
  EXPECT_EQ(owned.use_count(), 1);
}

// Aborts at any byte of request and answer: nothing is left behind.
TEST(Streams, AbortsAtRandomBytes) {
  TestServer server;
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    std::vector<ResponderPtr> mine;
    while (!stop) {
      for (ResponderPtr& responder : server.held.take()) mine.push_back(std::move(responder));
      for (const ResponderPtr& responder : mine) responder->write(sse("token"));
      std::erase_if(mine, [](const ResponderPtr& responder) { return responder->gone(); });
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    for (const ResponderPtr& responder : mine) responder->end();
  });
  std::mt19937 rng(1);
  const std::string requests[] = {Client::request_text("GET", "/stream"), Client::request_text("POST", "/hold", "body"),
                                  Client::request_text("POST", "/echo", std::string(300, 'x'))};
  for (int i = 0; i < 1000; ++i) {
    const std::string& request = requests[rng() % 3];
    Client client(server.port());
    client.send(rng() % 2 ? request : request.substr(0, rng() % request.size()));
    if (rng() % 2) {
      char bytes[64];
      timeval wait{0, 500};
      ::setsockopt(client.descriptor(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
      (void)!::recv(client.descriptor(), bytes, 1 + rng() % 63, 0);
    }
    rng() % 2 ? client.abort() : client.close();
  }
  EXPECT_TRUE(eventually([&] { return server.server->counters().connections == 0; }));
  stop = true;
  writer.join();
  EXPECT_EQ(Client(server.port()).get("/text").body, "text");
}

// Many streams at once: all open, all fed, all ended. R1_STREAMS=4000 for more.
TEST(Streams, AThousandAtOnce) {
  const int count = std::getenv("R1_STREAMS") ? std::atoi(std::getenv("R1_STREAMS")) : 1000;
  TestServer server;
  std::vector<Client> clients;
  clients.reserve(size_t(count));
  const int64_t before = resident_kib();
  for (int i = 0; i < count; ++i) {
    clients.emplace_back(server.port(), 60.0);
    clients.back().send(Client::request_text("GET", "/stream", "", {{"User-Agent", "tests"}, {"Accept", "text/event-stream"}}));
  }
  ASSERT_TRUE(eventually([&] { return server.held.size() == size_t(count); }, 60));
  const auto streams = server.held.take();
  const double kib = double(resident_kib() - before) / count;
  RecordProperty("kib_a_stream", std::to_string(kib));
  EXPECT_LE(kib, 32);
  for (Client& client : clients) {
    client.head();
    ASSERT_EQ(client.event()->data, "first");
  }
  const auto start = Client::Clock::now();
  for (int round = 0; round < 3; ++round) {
    for (const ResponderPtr& stream : streams) stream->write(sse("token"));
    for (Client& client : clients) ASSERT_EQ(client.event()->data, "token");
  }
  const double a_round = seconds_since(start) / 3;
  for (const ResponderPtr& stream : streams) stream->end();
  for (Client& client : clients) ASSERT_FALSE(client.event());
  EXPECT_EQ(server.server->counters().connections, count);
  if (std::getenv("R1_STREAMS")) std::printf("%d streams: %.1f KiB each, a token for all in %.0f ms\n", count, kib, a_round * 1000);
  clients.clear();
  EXPECT_TRUE(eventually([&] { return server.server->counters().connections == 0; }));
  EXPECT_EQ(server.gone, 0);
}

}  // namespace
}  // namespace r1::http
