// The store of conversations: what it promises a client, a crash and a foreign file.
#include "r1/api/store.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "r1/api/store_json.h"
#include "r1/api/store_routes.h"
#include "r1/base/file.h"
#include "r1/base/rng.h"
#include "r1/http/error.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace r1::api {
namespace {

Message text(const std::string& id, const std::string& parent, const std::string& role, const std::string& content) {
  Message m;
  m.id = id;
  m.parent = parent;
  m.role = role;
  m.content = content;
  m.finish_reason = "stop";
  return m;
}

Conversation named(const std::string& id, const std::string& title = "") {
  Conversation c;
  c.id = id;
  c.title = title;
  return c;
}

int status_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const http::ApiError& error) {
    return error.status;
  }
  return 200;
}

class StoreTest : public testing::Test {
 protected:
  TemporaryFolder folder{"store_test"};
  std::filesystem::path file = folder.path() / "chats.sqlite";
};

TEST_F(StoreTest, WhatIsWrittenIsThereAfterReopening) {
  const std::string hostile = std::string("<script>\0\xF0\x9F\x98\x80 '\"; DROP TABLE messages; --", 41);
  {
    Store store(file);
    Conversation c = named("c1", "title '%_\\\"");
    c.settings = {{"temperature", 0.5}, {"system", "be brief"}};
    c.pinned = true;
    store.create("", c);
    store.put("", "c1", text("u1", "", "user", hostile));
    Message answer = text("a1", "u1", "assistant", "42");
    answer.reasoning = "hm\n\nwell";
    answer.model = "tiny";
    answer.sampling = {{"temperature", 0.5}, {"seed", 18446744073709551615ull}};
    answer.prompt_tokens = 7;
    answer.completion_tokens = 9;
    answer.reasoning_tokens = 3;
    answer.thinking_seconds = 1.25;
    answer.seconds = 2.5;
    answer.tokens_per_second = 31.5;
    answer.finish_reason = "length";
    answer.error = "cut";
    store.put("", "c1", answer);
  }
  Store store(file);
  const Conversation c = store.get("", "c1");
  EXPECT_EQ(c.title, "title '%_\\\"");
  EXPECT_EQ(c.settings, (Json{{"temperature", 0.5}, {"system", "be brief"}}));
  EXPECT_TRUE(c.pinned);
  EXPECT_EQ(c.leaf, "a1");
  ASSERT_EQ(c.messages.size(), 2u);
  EXPECT_EQ(c.messages[0].content, hostile);
  const Json answer = to_json(c.messages[1]);
  EXPECT_EQ(answer["reasoning"], "hm\n\nwell");
  EXPECT_EQ(answer["model"], "tiny");
  EXPECT_EQ(answer["sampling"].dump(), R"({"temperature":0.5,"seed":18446744073709551615})");
  EXPECT_EQ(answer["prompt_tokens"], 7);
  EXPECT_EQ(answer["completion_tokens"], 9);
  EXPECT_EQ(answer["reasoning_tokens"], 3);
  EXPECT_EQ(answer["thinking_seconds"], 1.25);
  EXPECT_EQ(answer["seconds"], 2.5);
  EXPECT_EQ(answer["tokens_per_second"], 31.5);
  EXPECT_EQ(answer["finish_reason"], "length");
  EXPECT_EQ(answer["error"], "cut");
}

TEST_F(StoreTest, RepeatedWritesAndLateOnesChangeNothing) {
  Store store(file);
  const std::string made = dump_json(to_json(store.create("", named("c", "one")), true));
  EXPECT_EQ(dump_json(to_json(store.create("", named("c", "another")), true)), made);
  Message m = text("m", "", "assistant", "a");
  m.finish_reason = "";
  store.put("", "c", m);
  EXPECT_EQ(store.put("", "c", m).content, "a");  // an answer that got lost: the same once more
  m.version = 3;
  m.content = "abc";
  store.put("", "c", m);
  Message late = m;
  late.version = 2;
  late.content = "ab";
  EXPECT_EQ(status_of([&] { store.put("", "c", late); }), 409);
  late.version = 3;
  EXPECT_EQ(status_of([&] { store.put("", "c", late); }), 409);
  EXPECT_EQ(store.get("", "c").messages.at(0).content, "abc");
  EXPECT_EQ(store.get("", "c").messages.size(), 1u);
  Message moved = m;
  moved.version = 9;
  moved.role = "user";
  EXPECT_EQ(status_of([&] { store.put("", "c", moved); }), 409);
}

TEST_F(StoreTest, WrongPlacesAreRefused) {
  Store store(file);
  store.create("", named("c"));
  EXPECT_EQ(status_of([&] { store.put("", "nowhere", text("m", "", "user", "x")); }), 404);
  EXPECT_EQ(status_of([&] { store.put("", "c", text("m", "nobody", "user", "x")); }), 409);
  EXPECT_EQ(status_of([&] { store.put("", "c", text("m", "m", "user", "x")); }), 409);
  for (const char* id : {"", ".", "..", "a/b", "export", "import", "a b", "\xC3\xA4"})
    EXPECT_EQ(status_of([&] { store.put("", "c", text(id, "", "user", "x")); }), 400) << id;
  EXPECT_EQ(status_of([&] { store.put("", "c", text(std::string(129, 'a'), "", "user", "x")); }), 400);
  EXPECT_EQ(status_of([&] { store.create("", named("../x")); }), 400);
  EXPECT_EQ(status_of([&] { store.get("", "d"); }), 404);
  EXPECT_EQ(status_of([&] { store.remove("", "d"); }), 404);
  EXPECT_EQ(status_of([&] { store.remove_message("", "c", "m"); }), 404);
  EXPECT_EQ(status_of([&] { store.change("", "c", {.leaf = "m"}); }), 404);
  EXPECT_TRUE(store.get("", "c").messages.empty());
}

TEST_F(StoreTest, OwnersAreStrangers) {
  Store store(file);
  store.create("ann", named("c", "hers"));
  store.create("bob", named("c", "his"));  // the same id is free for another
  store.put("ann", "c", text("m", "", "user", "secret plans"));
  EXPECT_EQ(store.get("bob", "c").title, "his");
  EXPECT_TRUE(store.get("bob", "c").messages.empty());
  EXPECT_EQ(store.list("bob", "", 10, 0).size(), 1u);
  EXPECT_TRUE(store.list("bob", "secret", 10, 0).empty());
  EXPECT_EQ(store.list("ann", "secret", 10, 0).size(), 1u);
  EXPECT_EQ(store.all("bob").size(), 1u);
  EXPECT_EQ(status_of([&] { store.put("bob", "c", text("n", "m", "user", "x")); }), 409);
  store.remove("bob", "c");
  EXPECT_EQ(store.get("ann", "c").messages.size(), 1u);
}

TEST_F(StoreTest, ListIsNewestFirstWithPinnedOnesBefore) {
  Store store(file);
  for (const char* id : {"a", "b", "c", "d"}) {
    store.create("", named(id));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  const auto ids = [&](int64_t limit, int64_t offset) {
    std::string out;
    for (const Found& f : store.list("", "", limit, offset)) out += f.conversation.id;
    return out;
  };
  EXPECT_EQ(ids(10, 0), "dcba");
  store.put("", "a", text("m", "", "user", "x"));
  EXPECT_EQ(ids(10, 0), "adcb");
  store.change("", "b", {.pinned = true});
  EXPECT_EQ(ids(10, 0), "badc");
  EXPECT_EQ(ids(2, 1), "ad");
  EXPECT_EQ(store.list("", "", 1, 1).at(0).conversation.message_count, 1);
}

// With the index and without one the same is found.
TEST_F(StoreTest, SearchFindsTitlesAndText) {
  for (const bool full_text : {true, false}) {
    std::filesystem::remove(file);
    Store store(file, {.full_text = full_text});
    ASSERT_EQ(store.full_text(), full_text);
    store.create("", named("title", "Gardening in May"));
    store.create("", named("text"));
    store.put("", "text", text("u", "", "user", "how do I prune 100%_sure \"roses\" well?"));
    Message answer = text("a", "u", "assistant", "With care");
    answer.finish_reason = "";
    store.put("", "text", answer);
    store.create("", named("other"));
    store.put("", "other", text("u", "", "user", "\xE6\x9D\xB1\xE4\xBA\xAC\xE3\x81\xAE\xE5\xA4\xA9\xE6\xB0\x97"));  // Tokyo's weather
    const auto found = [&](const std::string& query) {
      std::string out;
      for (const Found& f : store.list("", query, 10, 0))
        out += (out.empty() ? "" : " ") + f.conversation.id + (f.message.empty() ? "" : ":" + f.message);
      return out;
    };
    EXPECT_EQ(found("garden"), "title");
    EXPECT_EQ(found("PRUNE"), "text:u");
    EXPECT_EQ(found("runes"), "");
    EXPECT_EQ(found("100%_sure \"ro"), "text:u");
    EXPECT_EQ(found("100%xsure"), "");
    EXPECT_EQ(found("%"), "text:u");
    EXPECT_EQ(found("x OR y\""), "");
    EXPECT_EQ(found(std::string("pru\0ne", 6)), "");
    EXPECT_EQ(found("care"), "text:a");  // an answer that is still being made
    EXPECT_EQ(found("\xE6\x9D\xB1\xE4\xBA\xAC"), "other:u");
    EXPECT_NE(store.list("", "roses", 10, 0).at(0).excerpt.find("\"roses\" well?"), std::string::npos);
    answer.version = 2;
    answer.finish_reason = "stop";
    answer.content = "With sharp scissors";
    store.put("", "text", answer);
    EXPECT_EQ(found("scissors"), "text:a");
    EXPECT_EQ(found("care"), "");
    answer.version = 3;
    answer.content = "With pleasure";
    store.put("", "text", answer);
    EXPECT_EQ(found("scissors"), "");
    EXPECT_EQ(found("pleasure"), "text:a");
    store.remove_message("", "text", "a");
    EXPECT_EQ(found("pleasure"), "");
    store.remove("", "text");
    EXPECT_EQ(found("roses"), "");
  }
}

// A build without FTS5 wrote to the file in between.
TEST_F(StoreTest, IndexCatchesUpWithWhatWasWrittenWithoutIt) {
  const auto put = [&](bool full_text, int64_t version, const char* content) {
    Store store(file, {.full_text = full_text});
    store.create("", named("c"));
    Message m = text("m", "", "user", content);
    m.version = version;
    store.put("", "c", m);
  };
  put(true, 1, "first words");
  put(false, 2, "second words");
  Store store(file);
  ASSERT_TRUE(store.full_text());
  EXPECT_EQ(store.list("", "second", 10, 0).size(), 1u);
  EXPECT_TRUE(store.list("", "first", 10, 0).empty());
}

// The tree under random adds, edits, removals and choices of branches, beside a plain map of it.
TEST_F(StoreTest, TreeHoldsUnderRandomWork) {
  Store store(file);
  store.create("", named("c"));
  struct Node {
    std::string parent, content;
    int64_t version = 1;
  };
  std::map<std::string, Node> model;
  std::vector<std::string> order;
  std::string leaf;
  Rng rng(17);
  for (int step = 0; step < 400; ++step) {
    const auto any = [&] { return order[size_t(rng.below(order.size()))]; };
    const uint64_t what = rng.below(10);
    if (order.empty() || what < 6) {
      const std::string parent = order.empty() || rng.below(8) == 0 ? "" : any(), id = "m" + std::to_string(step);
      store.put("", "c", text(id, parent, rng.below(2) ? "user" : "assistant", id));
      model[id] = {parent, id};
      order.push_back(id);
      leaf = id;
    } else if (what < 8) {
      const std::string id = any();
      Message m;
      for (const Message& stored : store.get("", "c").messages)
        if (stored.id == id) m = stored;
      m.version = ++model[id].version;
      m.content = model[id].content = "edit " + std::to_string(step);
      store.put("", "c", m);
    } else if (what < 9) {
      store.change("", "c", {.leaf = leaf = any()});
    } else {
      const std::string id = any(), parent = model[id].parent;
      std::set<std::string> gone{id};
      for (const std::string& other : order)
        if (gone.contains(model[other].parent)) gone.insert(other);
      EXPECT_EQ(store.remove_message("", "c", id), int64_t(gone.size()));
      std::erase_if(order, [&](const std::string& other) { return gone.contains(other); });
      for (const std::string& other : gone) model.erase(other);
      if (gone.contains(leaf)) {
        leaf = parent;
        for (bool deeper = true; deeper;) {
          deeper = false;
          for (auto at = order.rbegin(); at != order.rend() && !deeper; ++at)
            if (model[*at].parent == leaf) leaf = *at, deeper = true;
        }
      }
    }
    if (step % 10) continue;
    const Conversation c = store.get("", "c");
    ASSERT_EQ(c.leaf, leaf) << step;
    ASSERT_EQ(c.messages.size(), order.size());
    for (size_t i = 0; i < order.size(); ++i) {
      ASSERT_EQ(c.messages[i].id, order[i]);
      ASSERT_EQ(c.messages[i].parent, model[order[i]].parent);
      ASSERT_EQ(c.messages[i].content, model[order[i]].content);
    }
  }
}

// SQLite's own cascades would stop at a depth of 1,000.
TEST_F(StoreTest, LongConversationsAreDeleted) {
  Store store(file);
  Conversation c = named("long");
  for (int i = 0; i < 3000; ++i) c.messages.push_back(text("m" + std::to_string(i), i ? "m" + std::to_string(i - 1) : "", "user", "x"));
  c.leaf = "m2999";
  store.import("", {c, named("beside")});
  EXPECT_EQ(store.remove_message("", "long", "m1"), 2999);
  EXPECT_EQ(store.get("", "long").leaf, "m0");
  c.id = "long2";
  store.import("", {c});
  store.remove("", "long2");
  EXPECT_EQ(store.list("", "", 10, 0).size(), 2u);
}

TEST_F(StoreTest, ExportsComeBackAsTheyWere) {
  const auto other = folder.path() / "other.sqlite";
  Store store(file), fresh(other);
  Rng rng(3);
  for (int i = 0; i < 12; ++i) {
    const std::string id = "c" + std::to_string(i);
    Conversation c = named(id, "t" + id);
    c.settings = {{"top_k", i}};
    c.pinned = i % 3 == 0;
    store.create("", c);
    for (int k = 0; k < i; ++k) {
      Message m = text("m" + std::to_string(k), k ? "m" + std::to_string(rng.below(uint64_t(k))) : "", k % 2 ? "assistant" : "user",
                       std::string("a\0b\n\"\xC3\xA4", 8));
      m.version = 1 + k;
      m.thinking_seconds = 0.1 * k;
      store.put("", id, m);
    }
    if (i > 2) store.change("", id, {.leaf = "m1"});
  }
  const std::string saved = dump_json(export_json(store.all("")));
  const auto read = [&] { return conversations_from_export(parse_json(saved, "export")); };
  const ImportCounts first = fresh.import("me", read());
  EXPECT_EQ(first.added, 12);
  EXPECT_EQ(first.same + first.renamed, 0);
  EXPECT_EQ(dump_json(export_json(fresh.all("me"))), saved);
  const ImportCounts again = fresh.import("me", read());  // the same file twice makes no doubles
  EXPECT_EQ(again.same, 12);
  EXPECT_EQ(again.added, 0);
  fresh.put("me", "c4", text("new", "m0", "user", "went on"));
  const ImportCounts third = fresh.import("me", read());  // what was gone on with is kept, the saved one comes beside it
  EXPECT_EQ(third.renamed, 1);
  EXPECT_EQ(fresh.all("me").size(), 13u);
  EXPECT_EQ(fresh.get("me", "c4").messages.size(), 5u);
}

TEST_F(StoreTest, ConversationsOfChatApisAreImported) {
  Store store(file);
  const auto import = [&](const char* json) { return store.import("", conversations_from_export(parse_json(json, "import"))); };
  EXPECT_EQ(import(R"({"title": "one", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]})").added, 1);
  EXPECT_EQ(import(R"([{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "reasoning_content": "r"}]}])")
                .added,
            1);
  const auto found = store.list("", "one", 10, 0);
  ASSERT_EQ(found.size(), 1u);
  const Conversation c = store.get("", found[0].conversation.id);
  ASSERT_EQ(c.messages.size(), 2u);
  EXPECT_EQ(c.messages[1].parent, c.messages[0].id);
  EXPECT_EQ(c.leaf, c.messages[1].id);
  EXPECT_GT(c.created, 0);
}

// What a file of an import may be: never a crash, and nothing comes in that the tree can't hold.
TEST_F(StoreTest, BrokenImportsAreRefusedWhole) {
  Store store(file);
  Conversation c = named("c", "t");
  c.messages = {text("a", "", "user", "x"), text("b", "a", "assistant", "y"), text("d", "a", "assistant", "z")};
  c.leaf = "b";
  const std::string good = dump_json(export_json({c}));
  const auto refused = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    const int status = status_of([&] { store.import("", conversations_from_export(parse_json(text, "import"))); });
    EXPECT_EQ(status, 400) << text;
    EXPECT_TRUE(store.all("").empty());
  };
  refused(R"("parent":"a")", R"("parent":"b")");
  refused(R"("parent":"a")", R"("parent":"later")");
  refused(R"("id":"b")", R"("id":"a")");
  refused(R"("id":"b")", R"("id":"../b")");
  refused(R"("role":"assistant")", R"("role":"root")");
  refused(R"("version":1,"conv)", R"("version":2,"conv)");
  refused(R"("sampling":{})", R"("sampling":[])");
  refused(R"("format":"r1-conversations")", R"("format":"other")");

  Rng rng(23);
  int taken = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string text = good;
    for (uint64_t k = 1 + rng.below(4); k > 0; --k) {
      const size_t at = size_t(rng.below(text.size()));
      switch (rng.below(3)) {
        case 0:
          text[at] = char(rng.below(256));
          break;
        case 1:
          text.erase(at, 1 + size_t(rng.below(8)));
          break;
        default:
          text.insert(at, text.substr(size_t(rng.below(text.size())), size_t(rng.below(12))));
      }
    }
    std::vector<Conversation> read;
    try {
      read = conversations_from_export(parse_json(text, "import"));
    } catch (const Error&) {
      continue;
    }
    ++taken;
    if (taken % 20) continue;
    store.import("fuzz" + std::to_string(i), read);
    for (const Conversation& back : store.all("fuzz" + std::to_string(i))) {
      std::set<std::string> ids{""};
      for (const Message& m : back.messages) {
        ASSERT_TRUE(ids.contains(m.parent));
        ids.insert(m.id);
      }
      ASSERT_TRUE(ids.contains(back.leaf));
    }
  }
  EXPECT_GT(taken, 20);  // a changed letter in a text is a good file still
}

// S6. A writer says what was acknowledged and is killed in the middle of its work, over and over, on one file.
TEST_F(StoreTest, NothingAcknowledgedIsLostOnKill) {
  {
    Store store(file);
    store.create("", named("c"));
  }
  std::map<std::string, std::string> acknowledged;
  std::string last_leaf;
  Rng rng(5);
  const int kKills = 120;
  int in_the_middle = 0;
  for (int round = 0; round < kKills; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(pipe_ends[0]);
      try {
        Store store(file);
        for (int i = 0; i < 100'000; ++i) {
          // An answer that grows, then the next: as the page writes.
          const std::string id = str("r", round, "-", i / 3);
          Message m = text(id, "", "assistant", std::string(size_t(i % 3) * 700 + 10, char('a' + round % 26)));
          m.version = i % 3 + 1;
          const std::string line = str(id, " ", store.put("", "c", m).version, "\n");
          if (::write(pipe_ends[1], line.data(), line.size()) != ssize_t(line.size())) break;
        }
      } catch (...) {
        (void)!::write(pipe_ends[1], "error\n", 6);
      }
      ::_exit(0);
    }
    ASSERT_GT(child, 0);
    ::close(pipe_ends[1]);
    // As many acknowledgements as it takes, then a kill at a time that has nothing to do with them.
    std::string heard;
    char buffer[4096];
    const size_t wanted = 10 + size_t(rng.below(200));
    while (heard.size() < wanted) {
      const ssize_t n = ::read(pipe_ends[0], buffer, sizeof buffer);
      if (n <= 0) break;
      heard.append(buffer, size_t(n));
    }
    ::usleep(useconds_t(rng.below(1500)));
    ::kill(child, SIGKILL);
    for (ssize_t n; (n = ::read(pipe_ends[0], buffer, sizeof buffer)) > 0;) heard.append(buffer, size_t(n));
    ::close(pipe_ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    in_the_middle += WIFSIGNALED(status);
    ASSERT_EQ(heard.find("error"), std::string::npos);
    std::istringstream lines(heard);
    for (std::string id, version; lines >> id >> version;) acknowledged[id] = version;
    if (round % 10 && round + 1 != kKills) continue;
    Store store(file);
    std::map<std::string, int64_t> versions;
    for (const Message& m : store.get("", "c").messages) {
      versions[m.id] = m.version;
      ASSERT_EQ(m.content.size(), size_t(m.version - 1) * 700 + 10);
    }
    for (const auto& [id, version] : acknowledged) ASSERT_GE(versions[id], std::stoll(version)) << id;
  }
  EXPECT_EQ(in_the_middle, kKills);
  EXPECT_GT(acknowledged.size(), size_t(kKills));
}

// Two servers on one file, and two threads in each.
TEST_F(StoreTest, SeveralWritersWaitForEachOther) {
  Store one(file), two(file);
  one.create("", named("c"));
  std::vector<std::thread> writers;
  std::atomic<int> failures = 0;
  for (int w = 0; w < 4; ++w)
    writers.emplace_back([&, w] {
      for (int i = 0; i < 25; ++i) {
        try {
          (w % 2 ? one : two).put("", "c", text(str("w", w, "-", i), "", "user", "x"));
        } catch (const std::exception& error) {
          ADD_FAILURE() << error.what();
          ++failures;
        }
      }
    });
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(two.get("", "c").messages.size(), 100u);
}

TEST_F(StoreTest, FullFilesRefuseAndGoOnWhenThereIsRoom) {
  Store store(file, {.max_bytes = 400 << 10});
  store.create("", named("c"));
  int stored = 0;
  std::string refusal;
  for (int i = 0; i < 100 && refusal.empty(); ++i) {
    try {
      store.put("", "c", text(str("m", i), "", "user", std::string(20'000, char('a' + i % 26))));
      ++stored;
    } catch (const http::ApiError& error) {
      EXPECT_EQ(error.status, 507);
      refusal = error.what();
    }
  }
  EXPECT_NE(refusal.find("no room left"), std::string::npos) << refusal;
  EXPECT_NE(refusal.find("chats.sqlite"), std::string::npos);
  EXPECT_GT(stored, 2);
  EXPECT_EQ(store.get("", "c").messages.size(), size_t(stored));
  store.remove_message("", "c", "m0");
  store.put("", "c", text("small", "", "user", "x"));
  EXPECT_EQ(store.get("", "c").messages.size(), size_t(stored));
}

TEST_F(StoreTest, DamagedFilesAreNamed) {
  {
    Store store(file);
    store.create("", named("c"));
    for (int i = 0; i < 60; ++i) store.put("", "c", text(str("m", i), "", "user", std::string(3000, 'x')));
  }
  const std::string whole = read_file(file);
  const auto opened = [&](const std::string& bytes) {
    for (const char* more : {"-wal", "-shm"}) std::filesystem::remove(file.string() + more);
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
    return message_of([&] { Store store(file); });
  };
  EXPECT_EQ(opened(whole), "no error");
  for (const std::string& bytes :
       {std::string(4096, 'x'), whole.substr(0, whole.size() / 2), std::string("SQLite format 3") + std::string(5000, '\0')}) {
    const std::string says = opened(bytes);
    EXPECT_NE(says.find("chats.sqlite"), std::string::npos) << says;
    EXPECT_NE(says.find("damaged"), std::string::npos) << says;
    EXPECT_NE(says.find(".recover"), std::string::npos) << says;
  }
  // Any byte: an error that names the file, or a store that works.
  Rng rng(11);
  for (int i = 0; i < 150; ++i) {
    std::string bytes = whole;
    for (int k = 0; k < 8; ++k) bytes[size_t(rng.below(i % 2 ? bytes.size() : 4096))] = char(rng.below(256));
    const std::string says = opened(bytes);
    if (says != "no error") {
      EXPECT_NE(says.find("chats.sqlite"), std::string::npos) << says;
      continue;
    }
    try {
      Store store(file);
      for (const Found& f : store.list("", "xxx", 10, 0)) store.get("", f.conversation.id);
    } catch (const Error&) {
    } catch (const nlohmann::json::exception& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

TEST_F(StoreTest, ForeignAndNewerFilesAreLeftAlone) {
  const auto sql = [&](const char* text) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(file.c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, text, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
  };
  sql("CREATE TABLE photos(id)");
  const std::string before = read_file(file);
  EXPECT_NE(message_of([&] { Store store(file); }).find("another program's"), std::string::npos);
  EXPECT_EQ(read_file(file), before);
  std::filesystem::remove(file);
  { Store store(file); }
  sql("PRAGMA user_version = 77");
  EXPECT_NE(message_of([&] { Store store(file); }).find("newer release (version 77"), std::string::npos);
  EXPECT_NE(message_of([&] { Store store(folder.path() / "no" / "such" / "chats.sqlite"); }).find("can't be opened"), std::string::npos);
  EXPECT_NE(message_of([&] { Store store(folder.path()); }).find(folder.path().string()), std::string::npos);
}

// A file as the first version made it.
TEST_F(StoreTest, EarlierVersionsAreBroughtUpToDate) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(file.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, R"(
      CREATE TABLE conversations(
        number INTEGER PRIMARY KEY, owner TEXT NOT NULL, id TEXT NOT NULL, title TEXT NOT NULL, settings TEXT NOT NULL, pinned INTEGER NOT NULL,
        leaf TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL, UNIQUE(owner, id)) STRICT;
      CREATE TABLE messages(
        seq INTEGER PRIMARY KEY, conversation INTEGER NOT NULL REFERENCES conversations(number), id TEXT NOT NULL, parent TEXT,
        role TEXT NOT NULL, content TEXT NOT NULL, reasoning TEXT NOT NULL, model TEXT NOT NULL, sampling TEXT NOT NULL,
        prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL, thinking_seconds REAL NOT NULL,
        seconds REAL NOT NULL, tokens_per_second REAL NOT NULL, finish_reason TEXT NOT NULL, error TEXT NOT NULL, version INTEGER NOT NULL,
        created INTEGER NOT NULL, updated INTEGER NOT NULL, UNIQUE(conversation, id),
        FOREIGN KEY(conversation, parent) REFERENCES messages(conversation, id)) STRICT;
      CREATE INDEX messages_by_parent ON messages(conversation, parent);
      CREATE INDEX conversations_by_time ON conversations(owner, pinned, updated);
      INSERT INTO conversations VALUES(1, '', 'old', 'Old one', '{"top_k":4}', 0, 'm', 11, 12);
      INSERT INTO messages VALUES(1, 1, 'm', NULL, 'user', 'a question of old', '', '', '{}', 0, 0, 0, 0, 0, 0, 'stop', '', 1, 11, 12);
      PRAGMA user_version = 1; PRAGMA application_id = 1915839336;)",
                         nullptr, nullptr, nullptr),
            SQLITE_OK)
      << sqlite3_errmsg(db);
  sqlite3_close(db);
  for (int opened = 0; opened < 2; ++opened) {
    Store store(file);
    EXPECT_EQ(store.get("", "old").settings, (Json{{"top_k", 4}}));
    EXPECT_EQ(store.list("", "question of", 10, 0).at(0).message, "m");
    store.put("", "old", text(str("n", opened), "m", "assistant", "an answer of today"));
  }
}

TEST_F(StoreTest, ReadOnlyFilesAreNamed) {
  { Store store(file); }
  const pid_t child = ::fork();
  if (child == 0) {
    // Permissions don't bind root.
    std::filesystem::permissions(file, std::filesystem::perms::owner_read | std::filesystem::perms::others_read);
    std::filesystem::permissions(folder.path(), std::filesystem::perms(0555));
    if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(2);
    const std::string says = message_of([&] { Store store(file); });
    const bool clear = says.find("chats.sqlite") != std::string::npos && says.find("writable") != std::string::npos;
    if (!clear) std::fprintf(stderr, "says: %s\n", says.c_str());
    ::_exit(clear ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  EXPECT_EQ(status, 0);
}

// The routes, through the table that the server uses.
class FakeResponder : public http::Responder {
 public:
  void send(http::Response response) override { answer = std::move(response); }
  void begin(int, std::string, http::Headers) override {}
  void write(std::string) override {}
  void end() override {}
  bool gone() const override { return false; }
  void on_gone(std::function<void()>) override {}
  http::Response answer{0, "", ""};
};

class StoreRoutesTest : public StoreTest {
 protected:
  StoreRoutesTest() { add_store_routes(router, store); }

  // Status and body of one request.
  std::pair<int, Json> ask(const std::string& method, const std::string& path, const std::string& body = "",
                           const std::map<std::string, std::string>& query = {}, const std::string& key = "") {
    const http::Match match = router.find(method, path);
    if (!match.route) return {match.allowed.empty() ? 404 : 405, {}};
    EXPECT_FALSE(match.route->open);
    EXPECT_FALSE(match.route->quick);
    auto request = std::make_shared<http::Request>();
    request->method = method;
    request->path = path;
    request->body = body;
    request->query = query;
    request->captures = match.captures;
    request->key = key;
    const auto responder = std::make_shared<FakeResponder>();
    try {
      match.route->handler(request, responder);
    } catch (const std::exception& error) {
      const http::ApiError told = http::as_api_error(error);
      return {told.status, told.to_json()};
    }
    return {responder->answer.status, parse_json(responder->answer.body, "answer")};
  }

  Store store{file};
  http::Router router;
};

TEST_F(StoreRoutesTest, ThePathOfOneChat) {
  const auto [made, conversation] = ask("POST", "/api/conversations", R"({"id": "c", "title": "hello", "settings": {"top_p": 0.9}})");
  EXPECT_EQ(made, 201);
  EXPECT_EQ(conversation["messages"], Json::array());
  EXPECT_EQ(
      ask("PUT", "/api/conversations/c/messages/u", R"({"role": "user", "content": "hi", "parent": "", "finish_reason": "stop"})").first,
      200);
  EXPECT_EQ(ask("POST", "/api/conversations/c/messages/a", R"({"role": "assistant", "content": "h", "parent": "u", "version": 1})").first,
            200);
  const auto [put, answer] = ask("PUT", "/api/conversations/c/messages/a",
                                 R"({"role": "assistant", "content": "hello", "parent": "u", "version": 2, "finish_reason": "stop"})");
  EXPECT_EQ(put, 200);
  EXPECT_EQ(answer["content"], "hello");
  EXPECT_EQ(ask("PUT", "/api/conversations/c/messages/a", R"({"role": "assistant", "content": "h", "parent": "u", "version": 1})")
                .second["error"]["code"],
            "stale_version");
  EXPECT_EQ(ask("GET", "/api/conversations/c").second["messages"].size(), 2u);
  EXPECT_EQ(ask("GET", "/api/conversations/c", "", {}, "stranger").first, 404);
  EXPECT_EQ(ask("PATCH", "/api/conversations/c", R"({"title": "new", "leaf": "u", "pinned": true})").second["leaf"], "u");
  const Json list = ask("GET", "/api/conversations").second;
  EXPECT_EQ(list["conversations"][0]["title"], "new");
  EXPECT_EQ(list["conversations"][0]["messages"], 2);
  EXPECT_EQ(list["more"], false);
  EXPECT_EQ(ask("GET", "/api/conversations", "", {{"query", "hell"}}).second["conversations"][0]["match"]["message"], "a");
  const Json saved = ask("GET", "/api/conversations/c/export").second;
  EXPECT_EQ(ask("GET", "/api/conversations/export").second, saved);
  EXPECT_EQ(ask("DELETE", "/api/conversations/c/messages/a").second["deleted"], 1);
  EXPECT_EQ(ask("DELETE", "/api/conversations/c").first, 200);
  EXPECT_EQ(ask("GET", "/api/conversations/c").first, 404);
  EXPECT_EQ(ask("POST", "/api/conversations/import", dump_json(saved)).second["added"], 1);
  EXPECT_EQ(ask("GET", "/api/conversations/c/export").second, saved);
}

TEST_F(StoreRoutesTest, WrongRequestsAreAnsweredInTheServersShape) {
  ask("POST", "/api/conversations", R"({"id": "c"})");
  struct Case {
    std::string method, path, body;
    int status;
    const char* param;
  };
  const std::string message = "/api/conversations/c/messages/m";
  const std::vector<Case> cases = {
      {"PUT", message, "", 400, nullptr},
      {"PUT", message, "[]", 400, nullptr},
      {"PUT", message, "{}", 400, "role"},
      {"PUT", message, R"({"role": "king"})", 400, "role"},
      {"PUT", message, R"({"role": "user", "content": 7})", 400, "content"},
      {"PUT", message, R"({"role": "user", "version": 0})", 400, "version"},
      {"PUT", message, R"({"role": "user", "version": 1.5})", 400, "version"},
      {"PUT", message, R"({"role": "user", "prompt_tokens": -1})", 400, "prompt_tokens"},
      {"PUT", message, R"({"role": "user", "sampling": "x"})", 400, "sampling"},
      {"PUT", message, R"({"role": "user", "parent": "nobody"})", 409, "parent"},
      {"PUT", message, "{\"role\": \"user\", \"content\": \"\xFF\"}", 400, nullptr},
      {"PUT", message, R"({"role": "user", "content": ")" + std::string(kMaxTextBytes + 1, 'a') + "\"}", 400, "content"},
      {"PUT", "/api/conversations/d/messages/m", R"({"role": "user"})", 404, nullptr},
      {"PUT", "/api/conversations/c/messages/a b", R"({"role": "user"})", 404, nullptr},
      {"PUT", "/api/conversations/../messages/m", R"({"role": "user"})", 404, nullptr},
      {"POST", "/api/conversations", R"({"id": "a/b"})", 400, "id"},
      {"POST", "/api/conversations", R"({"settings": []})", 400, "settings"},
      {"POST", "/api/conversations", R"({"title": ")" + std::string(1001, 'a') + "\"}", 400, "title"},
      {"PATCH", "/api/conversations/c", R"({"leaf": "nobody"})", 404, nullptr},
      {"PATCH", "/api/conversations/c", R"({"pinned": "yes"})", 400, "pinned"},
      {"POST", "/api/conversations/import", "7", 400, nullptr},
      {"POST", "/api/conversations/import", "{}", 400, "format"},
      {"POST", "/api/conversations/import", R"([{"messages": [{"role": "user"}]}])", 400, "[0].messages[0].content"},
      {"DELETE", message, "", 404, nullptr},
      {"DELETE", "/api/conversations/x", "", 404, nullptr},
      {"PUT", "/api/conversations", "{}", 405, nullptr},
  };
  for (const Case& c : cases) {
    const auto [status, body] = ask(c.method, c.path, c.body);
    EXPECT_EQ(status, c.status) << c.method << " " << c.path << " " << c.body.substr(0, 200) << " " << body;
    if (c.param) {
      EXPECT_EQ(body["error"]["param"], c.param) << body;
    }
  }
  for (const char* limit : {"0", "-1", "1001", "x", "", "1e2", "99999999999999999999"})
    EXPECT_EQ(ask("GET", "/api/conversations", "", {{"limit", limit}}).first, 400) << limit;
  EXPECT_EQ(ask("GET", "/api/conversations", "", {{"query", std::string(201, 'a')}}).first, 400);
}

TEST_F(StoreRoutesTest, ListsComeInPages) {
  for (int i = 0; i < 5; ++i) ask("POST", "/api/conversations", "{}");
  std::set<std::string> ids;
  for (int offset = 0; offset < 6; offset += 2) {
    const Json page = ask("GET", "/api/conversations", "", {{"limit", "2"}, {"offset", std::to_string(offset)}}).second;
    for (const Json& c : page["conversations"]) ids.insert(c["id"].get<std::string>());
    EXPECT_EQ(page["more"], offset < 4);
  }
  EXPECT_EQ(ids.size(), 5u);
}

}  // namespace
}  // namespace r1::api
