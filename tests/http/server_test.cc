// What a client of any kind may count on: whole answers, keep-alive, pipelining, errors in one shape.
#include "r1/http/server.h"

#include <gtest/gtest.h>

#include <future>
#include <set>

#include "r1/base/config_io.h"
#include "tests/http/test_server.h"
#include "tests/message_of.h"

namespace r1::http {
namespace {

using test::Answer;
using test::Client;
using test::eventually;
using test::TestServer;

TEST(Server, TellsItsAddress) {
  TestServer server;
  EXPECT_GT(server.port(), 0);
  EXPECT_EQ(server.server->address(), "http://127.0.0.1:" + std::to_string(server.port()));
}

TEST(Server, APortThatIsTaken) {
  TestServer server;
  ServerConfig config;
  config.port = server.port();
  const std::string message = message_of([&] { Server(config, Router()); });
  EXPECT_EQ(message.find(str("[serve] 127.0.0.1:", server.port(), ": Address already in use")), 0u) << message;
  EXPECT_NE(message.find("--port"), std::string::npos);
  config.host = "no such host";
  EXPECT_NE(message_of([&] { Server(config, Router()); }).find("no such name or address"), std::string::npos);
}

// A server that begins before what it serves is there: the same port, another table, and nobody's request is lost between the two.
TEST(Server, ANewTableOfRoutes) {
  const auto says = [](const char* word) {
    Router router;
    router.get("/", [word](const RequestPtr&, const ResponderPtr& responder) { responder->send({.body = word}); });
    return router;
  };
  Server server({.port = 0}, says("old"));
  std::atomic<bool> stop = false;
  std::atomic<int> asked = 0;
  std::thread asks([&] {
    bool replaced = false;
    Client client(server.port());
    while (!stop) {
      const std::string body = client.get("/").body;
      EXPECT_TRUE(body == "new" || (body == "old" && !replaced)) << body;
      replaced = body == "new";
      ++asked;
    }
  });
  EXPECT_TRUE(eventually([&] { return asked > 10; }));
  server.replace(says("new"));
  const int before = asked;
  EXPECT_TRUE(eventually([&] { return asked > before + 10; }));
  EXPECT_EQ(Client(server.port()).get("/").body, "new");
  stop = true;
  asks.join();
}

TEST(Server, ARequestReachesItsHandler) {
  TestServer server;
  Client client(server.port());
  const Answer answer = client.post("/echo?a=1&b=x%20y", "{\"x\": 1}", {{"X-Custom", "v"}, {"Content-Type", "application/json"}});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("content-type"), "application/json");
  EXPECT_EQ(answer.header("x-content-type-options"), "nosniff");
  EXPECT_FALSE(answer.header("date").empty());
  const Json got = body_of(answer);
  EXPECT_EQ(got["method"], "POST");
  EXPECT_EQ(got["path"], "/echo");
  EXPECT_EQ(got["body"], "{\"x\": 1}");
  EXPECT_EQ(got["query"], (Json{{"a", "1"}, {"b", "x y"}}));
  EXPECT_EQ(got["headers"]["x-custom"], "v");
  EXPECT_EQ(got["peer"], "127.0.0.1");
  EXPECT_EQ(got["key"], "");
  EXPECT_EQ(body_of(client.get("/item/org%20x"))["captures"]["id"], "org x");
  EXPECT_EQ(body_of(client.get("/rest/org%2Fname"))["captures"]["path"], "org/name");
}

TEST(Server, AConnectionServesManyRequests) {
  TestServer server;
  Client client(server.port());
  for (int i = 0; i < 300; ++i) EXPECT_EQ(client.post("/echo", std::string(size_t(i), 'x')).status, 200);
  EXPECT_EQ(server.server->counters().accepted, 1);
  EXPECT_EQ(server.server->counters().requests, 300);
}

TEST(Server, PipelinedRequestsAreAnsweredInTheirOrder) {
  TestServer server;
  Client client(server.port());
  std::string all;
  for (int i = 0; i < 50; ++i)
    all += i % 3 == 0 ? Client::request_text("GET", "/health") : Client::request_text("POST", "/echo", "number " + std::to_string(i));
  client.send(all);
  for (int i = 0; i < 50; ++i) {
    const Answer answer = client.answer();
    EXPECT_EQ(answer.status, 200);
    if (i % 3) {
      EXPECT_EQ(body_of(answer)["body"], "number " + std::to_string(i));
    }
  }
  // One answer that comes late holds back the ones behind it.
  client.send(Client::request_text("POST", "/hold") + Client::request_text("GET", "/health"));
  const auto held = server.held.next();
  held->send({.body = "\"late\""});
  EXPECT_EQ(client.answer().body, "\"late\"");
  EXPECT_EQ(client.answer().body, R"({"status":"ok"})");
}

TEST(Server, ManyRequestsAheadOfASlowOne) {
  TestServer server;
  Client client(server.port());
  client.send(Client::request_text("POST", "/hold"));
  const auto held = server.held.next();
  // More than the server takes while it is busy: the rest waits in the socket, nothing is lost.
  std::string ahead;
  for (int i = 0; i < 40; ++i) ahead += Client::request_text("POST", "/echo", std::string(2000, char('a' + i % 26)));
  std::thread sender([&] { client.send(ahead); });
  sender.join();
  held->send({});
  EXPECT_EQ(client.answer().status, 200);
  for (int i = 0; i < 40; ++i) EXPECT_EQ(body_of(client.answer())["body"].get<std::string>()[0], char('a' + i % 26));
}

TEST(Server, ABodyInPieces) {
  TestServer server;
  Client client(server.port());
  const std::string text = Client::request_text("POST", "/echo", "0123456789");
  for (size_t i = 0; i < text.size(); i += 7) {
    client.send(text.substr(i, 7));
    std::this_thread::yield();
  }
  EXPECT_EQ(body_of(client.answer())["body"], "0123456789");
  client.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  client.send("4\r\ndefg\r\n0\r\n\r\n");
  EXPECT_EQ(body_of(client.answer())["body"], "abcdefg");
  const std::string big(7 << 20, 'b');
  EXPECT_EQ(body_of(client.post("/echo", big))["size"], big.size());
}

TEST(Server, Head) {
  TestServer server;
  Client client(server.port());
  const Answer whole = client.get("/text");
  const Answer head = client.request("HEAD", "/text");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("content-length"), "4");
  EXPECT_EQ(head.header("content-type"), whole.header("content-type"));
  EXPECT_EQ(client.request("HEAD", "/none").status, 404);
  client.send(Client::request_text("HEAD", "/stream"));
  const auto held = server.held.next();
  EXPECT_EQ(client.head().header("transfer-encoding"), "chunked");
  held->write(sse("not sent"));
  held->end();
  EXPECT_EQ(client.get("/text").body, "text");
}

TEST(Server, Expect100Continue) {
  TestServer server;
  Client client(server.port());
  client.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.head(true).status, 100);
  client.send("abc");
  EXPECT_EQ(body_of(client.answer())["body"], "abc");
  // What would be refused is, before the body was sent.
  client.send("POST /none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  const Answer refused = client.head(true);
  EXPECT_EQ(refused.status, 404);
  EXPECT_EQ(refused.header("connection"), "close");
}

TEST(Server, Http10) {
  TestServer server;
  {
    Client client(server.port());
    client.send("GET /text HTTP/1.0\r\n\r\n");
    const Answer answer = client.answer();
    EXPECT_EQ(answer.body, "text");
    EXPECT_EQ(answer.header("connection"), "close");
    EXPECT_TRUE(client.ends_within(5));
  }
  {
    Client client(server.port());
    for (int i = 0; i < 3; ++i) {
      client.send("GET /text HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
      const Answer answer = client.answer();
      EXPECT_EQ(answer.body, "text");
      EXPECT_EQ(answer.header("connection"), "keep-alive");
    }
  }
  // A stream ends with the connection.
  Client client(server.port());
  client.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const auto held = server.held.next();
  held->write(sse("second"));
  held->end();
  const Answer answer = client.answer();
  EXPECT_EQ(answer.header("transfer-encoding"), "");
  EXPECT_EQ(answer.body, "data: first\n\ndata: second\n\n");
}

TEST(Server, ConnectionClose) {
  TestServer server;
  Client client(server.port());
  const Answer answer = client.get("/text", {{"Connection", "close"}});
  EXPECT_EQ(answer.header("connection"), "close");
  EXPECT_EQ(answer.body, "text");
  EXPECT_TRUE(client.ends_within(5));
}

TEST(Server, RequestIds) {
  TestServer server;
  Client client(server.port());
  const Answer answer = client.post("/echo", "", {{"X-Request-Id", "my-id_1.2"}});
  EXPECT_EQ(answer.header("x-request-id"), "my-id_1.2");
  EXPECT_EQ(body_of(answer)["headers"]["x-request-id"], "my-id_1.2");
  std::set<std::string> made;
  for (int i = 0; i < 100; ++i) {
    const Answer other = client.post("/echo", "");
    EXPECT_EQ(body_of(other)["headers"]["x-request-id"], other.header("x-request-id"));
    made.insert(other.header("x-request-id"));
  }
  EXPECT_EQ(made.size(), 100u);
  for (const std::string& bad : {std::string(129, 'a'), std::string("a b"), std::string("<script>"), std::string("\xff")}) {
    const std::string id = client.get("/text", {{"X-Request-Id", bad}}).header("x-request-id");
    EXPECT_TRUE(id.starts_with("req_")) << bad;
  }
  EXPECT_TRUE(client.get("/none").header("x-request-id").starts_with("req_"));
}

TEST(Server, ErrorsHaveOneShape) {
  TestServer server;
  Client client(server.port());
  Answer answer = client.get("/nowhere");
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.header("content-type"), "application/json");
  EXPECT_EQ(code_of(answer), "not_found");
  EXPECT_EQ(body_of(answer)["error"]["message"], "there is no GET /nowhere here");
  answer = client.request("DELETE", "/echo");
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.header("allow"), "GET, HEAD, POST, OPTIONS");
  EXPECT_EQ(code_of(answer), "method_not_allowed");
  EXPECT_EQ(client.request("TRACE", "/echo").status, 405);
  EXPECT_EQ(client.request("BREW", "/echo").status, 405);
  EXPECT_EQ(client.request("get", "/echo").status, 405);
  answer = client.post("/echo", "x", {{"Content-Encoding", "gzip"}});
  EXPECT_EQ(answer.status, 415);
  EXPECT_EQ(client.post("/echo", "x", {{"Content-Encoding", "identity"}}).status, 200);
  EXPECT_EQ(client.get("/a/%2e%2e/b").status, 400);
  EXPECT_EQ(client.get("/throw/usage").status, 400);
  EXPECT_EQ(body_of(client.get("/throw/usage"))["error"]["message"], "wrong use");
  EXPECT_EQ(client.get("/throw/error").status, 500);
  answer = client.get("/throw/full");
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.header("retry-after"), "3");
  EXPECT_EQ(body_of(answer)["error"]["type"], "rate_limit_error");
  answer = client.get("/throw/length");
  EXPECT_EQ(body_of(answer)["error"]["param"], "messages");
  EXPECT_EQ(code_of(answer), "context_length_exceeded");
  answer = client.get("/throw/other");
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.body.find("secret"), std::string::npos);
  answer = client.get("/throw/nothing");  // returns without an answer
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(body_of(answer)["error"]["type"], "server_error");
  // None of them cost the connection.
  EXPECT_EQ(client.get("/text").body, "text");
  EXPECT_EQ(server.server->counters().accepted, 1);
}

TEST(Server, ARefusedBodyIsReadAwayIfItIsShort) {
  TestServer server;
  Client client(server.port());
  EXPECT_EQ(client.post("/nowhere", "body that is not the next request").status, 404);
  EXPECT_EQ(client.get("/text").body, "text");
  const Answer answer = client.post("/nowhere", std::string(200'000, 'x'));
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.header("connection"), "close");
}

TEST(Server, BodiesHaveALimitOfTheirRoute) {
  TestServer server([](ServerConfig& c) { c.max_body_bytes = 100; });
  Client client(server.port());
  EXPECT_EQ(client.post("/echo", std::string(100, 'x')).status, 200);
  EXPECT_EQ(client.post("/small", std::string(10, 'x')).status, 200);
  const Answer answer = client.post("/small", std::string(11, 'x'));
  EXPECT_EQ(answer.status, 413);
  EXPECT_EQ(code_of(answer), "request_too_large");
  EXPECT_EQ(Client(server.port()).post("/echo", std::string(101, 'x')).status, 413);
}

// /health answers although every worker is busy: an orchestrator would kill the server else.
TEST(Server, QuickRoutesDoNotWaitForWorkers) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::atomic<int> inside = 0;
  TestServer server([](ServerConfig& c) { c.workers = 2; },
                    [&](Router& router) {
                      router.get("/block", [&](const RequestPtr&, const ResponderPtr& responder) {
                        ++inside;
                        const std::lock_guard wait(mutex);
                        responder->send({});
                      });
                    });
  std::vector<Client> blocked;
  for (int i = 0; i < 20; ++i) {
    blocked.emplace_back(server.port());
    blocked.back().send(Client::request_text("GET", "/block"));
  }
  ASSERT_TRUE(eventually([&] { return inside == 2; }));
  Client client(server.port());
  EXPECT_EQ(client.get("/health").status, 200);
  lock.unlock();
  for (Client& each : blocked) EXPECT_EQ(each.answer().status, 200);
}

// A client that is gone before its turn costs nothing.
// Who waits for others holds nobody up, however many they are.
TEST(Server, RoutesThatWaitDoNotTakeTheWorkers) {
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  std::atomic<int> waiting = 0;
  Router router;
  router.add({.method = "GET",
              .pattern = "/long",
              .handler =
                  [&](const RequestPtr&, const ResponderPtr& responder) {
                    ++waiting;
                    released.wait();
                    responder->send({.body = "{}"});
                  },
              .waits = true});
  router.get("/short", [](const RequestPtr&, const ResponderPtr& responder) { responder->send({.body = "{}"}); });
  Server server({.port = 0, .workers = 1}, std::move(router));
  std::vector<Client> clients;
  for (int i = 0; i < 20; ++i) {
    clients.emplace_back(server.port());
    clients.back().send(Client::request_text("GET", "/long"));
  }
  EXPECT_TRUE(eventually([&] { return waiting > 1; })) << "one waits behind the other";
  EXPECT_EQ(Client(server.port()).get("/short").status, 200);
  release.set_value();
  for (Client& client : clients) EXPECT_EQ(client.answer().status, 200);
}

TEST(Server, WaitingRequestsOfGoneClientsAreNotRun) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::atomic<int> inside = 0;
  TestServer server([](ServerConfig& c) { c.workers = 1; },
                    [&](Router& router) {
                      router.get("/block", [&](const RequestPtr&, const ResponderPtr& responder) {
                        ++inside;
                        const std::lock_guard wait(mutex);
                        responder->send({});
                      });
                    });
  Client first(server.port());
  first.send(Client::request_text("GET", "/block"));
  ASSERT_TRUE(eventually([&] { return inside == 1; }));
  {
    std::vector<Client> gone;
    for (int i = 0; i < 10; ++i) {
      gone.emplace_back(server.port());
      gone.back().send(Client::request_text("POST", "/echo", "x"));
    }
    ASSERT_TRUE(eventually([&] { return server.server->counters().requests == 11; }));
  }
  ASSERT_TRUE(eventually([&] { return server.server->counters().connections == 1; }));
  lock.unlock();
  EXPECT_EQ(first.answer().status, 200);
  EXPECT_EQ(first.get("/text").status, 200);
  EXPECT_EQ(server.echoed, 0);
}

TEST(Server, StopWaitsForAnswersUnderWay) {
  TestServer server;
  Client idle(server.port()), busy(server.port());
  EXPECT_EQ(idle.get("/text").status, 200);
  busy.send(Client::request_text("POST", "/hold"));
  const auto held = server.held.next();
  std::thread stopper([&] { server.server->stop(30); });
  EXPECT_TRUE(idle.ends_within(10));
  EXPECT_THROW(
      {
        for (int i = 0; i < 10'000; ++i) {
          Client late(server.port());
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
      },
      Error);
  held->send({.body = "\"done\""});
  EXPECT_EQ(busy.answer().body, "\"done\"");
  EXPECT_TRUE(busy.ends_within(10));
  stopper.join();
  EXPECT_EQ(server.server->counters().connections, 0);
  EXPECT_EQ(server.gone, 0);
}

TEST(Server, StopHangsUpAfterItsGrace) {
  TestServer server;
  Client busy(server.port());
  busy.send(Client::request_text("POST", "/hold"));
  const auto held = server.held.next();
  server.server->stop(0.1);
  EXPECT_TRUE(held->gone());
  EXPECT_EQ(server.gone, 1);
  EXPECT_TRUE(busy.ends_within(5));
  // Nothing is left to talk to, and that is no error.
  held->send({});
  held->write("x");
  bool told = false;
  held->on_gone([&] { told = true; });
  EXPECT_TRUE(told);
  server.server->stop(1);
}

TEST(Server, RespondersOutliveTheServer) {
  ResponderPtr left;
  {
    TestServer server;
    Client client(server.port());
    client.send(Client::request_text("GET", "/stream"));
    left = server.held.next();
    client.head();
  }
  left->write(sse("x"));
  left->end();
  EXPECT_TRUE(left->gone());
}

TEST(Server, ConnectionsAreLimited) {
  TestServer server([](ServerConfig& c) {
    c.max_connections = 5;
    c.max_connections_per_ip = 3;
  });
  std::vector<Client> kept;
  for (int i = 0; i < 3; ++i) {
    kept.emplace_back(server.port());
    EXPECT_EQ(kept.back().get("/text").status, 200);
  }
  Client more(server.port());
  const Answer refused = more.answer();
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.header("retry-after"), "1");
  EXPECT_EQ(code_of(refused), "too_many_connections");
  EXPECT_EQ(server.server->counters().refused, 1);
  kept.pop_back();
  ASSERT_TRUE(eventually([&] { return server.server->counters().connections == 2; }));
  EXPECT_EQ(Client(server.port()).get("/text").status, 200);
}

TEST(Server, AllConnectionsAreLimited) {
  TestServer server([](ServerConfig& c) { c.max_connections = 1; });
  Client first(server.port());
  EXPECT_EQ(first.get("/text").status, 200);
  EXPECT_EQ(Client(server.port()).answer().status, 503);
}

TEST(Server, RoutesAreReplacedWhileItServes) {
  TestServer server;
  Client open(server.port()), busy(server.port());
  EXPECT_EQ(open.get("/new").status, 404);
  busy.send(Client::request_text("POST", "/hold"));
  const auto held = server.held.next();
  Router next;
  next.get("/new", [](const RequestPtr&, const ResponderPtr& responder) { responder->send({.body = "\"new\""}); });
  server.server->replace(std::move(next));
  EXPECT_EQ(open.get("/new").body, "\"new\"");
  EXPECT_EQ(open.get("/text").status, 404);
  held->send({.body = "\"old\""});
  EXPECT_EQ(busy.answer().body, "\"old\"");
}

TEST(Server, ItsConfigIsAListOfFields) {
  ServerConfig config;
  apply_settings(config, parse_overrides({"--port=0", "--api_key", "a", "b", "--max_body_bytes=5", "--idle_timeout=2.5"}));
  EXPECT_EQ(config.port, 0);
  EXPECT_EQ(config.api_key, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(config.max_body_bytes, 5);
  EXPECT_EQ(config.idle_timeout, 2.5);
  EXPECT_THROW(apply_settings(config, parse_overrides({"--port=65536"})), Error);
  EXPECT_THROW(apply_settings(config, parse_overrides({"--workers=0"})), Error);
}

}  // namespace
}  // namespace r1::http
