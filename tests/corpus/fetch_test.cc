// Fetching against servers that misbehave in every way that is known from users' reports: whatever they do, a file is whole and right or is not
// there, every URL is accounted for, and the next call goes on.
#include "r1/corpus/fetch.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <set>

#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/rng.h"
#include "r1/corpus/fetch_curl.h"
#include "r1/corpus/fetch_ledger.h"
#include "r1/corpus/fetch_list.h"
#include "r1/corpus/fetch_part.h"
#include "r1/corpus/fetch_url.h"
#include "r1/data/find_files.h"
#include "tests/corpus/fetch_server.h"
#include "tests/corpus/reader_support.h"
#include "tests/environment_variable.h"
#include "tests/message_of.h"

namespace r1::corpus {
namespace {

std::string noise(size_t size, uint64_t seed) {
  std::string out(size, '\0');
  Rng rng(seed);
  for (size_t i = 0; i < size; i += 8) {
    const uint64_t bits = rng.bits();
    std::memcpy(out.data() + i, &bits, std::min<size_t>(8, size - i));
  }
  return out;
}

std::string bytes_of(const fs::path& path) {
  return r1::read_file(path);
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

class Fetch : public testing::Test {
 protected:
  Fetch() : folder_("fetch") { set_log_level(LogLevel::kWarning); }

  FetchConfig config(std::vector<std::string> urls) const {
    FetchConfig c;
    c.urls = std::move(urls);
    c.output = out().string();
    c.retry_wait = 0.005;
    c.timeout = 5;
    c.connect_timeout = 5;
    return c;
  }
  fs::path out() const { return folder_.path() / "out"; }
  std::string write(const std::string& name, std::string_view bytes) const {
    write_file_atomic(folder_.path() / name, bytes);
    return (folder_.path() / name).string();
  }
  // Where the file of a URL is.
  fs::path file(const std::string& url) const { return out() / file_of_url(parse_url(url)); }
  Json row(const std::string& url) const { return Ledger(out() / "fetch.jsonl").find(url).value_or(Json::object()); }
  // Nothing but what belongs there, when all is done.
  void expect_no_parts() const {
    for (const auto& entry : fs::directory_iterator(out() / ".fetch")) EXPECT_EQ(entry.path().filename(), "lock");
  }

  TemporaryFolder folder_;
};

// A server of one file that knows ranges as it should, but for what the test has it do.
struct RangeServer {
  std::string bytes = noise(300'000, 1), etag = "\"one\"";
  std::string fields() const { return (etag.empty() ? "" : "ETag: " + etag + "\r\n") + "Accept-Ranges: bytes\r\n"; }
  void right(const Asked& asked, Connection& c) const {
    const size_t from = asked.from();
    if (from == 0 || (!asked.header("if-range").empty() && asked.header("if-range") != etag)) return c.answer("200 OK", bytes, fields());
    if (from >= bytes.size())
      return c.answer("416 Range Not Satisfiable", "no", str("Content-Range: bytes */", bytes.size(), "\r\n", fields()));
    c.answer("206 Partial Content", std::string_view(bytes).substr(from),
             str("Content-Range: bytes ", from, "-", bytes.size() - 1, "/", bytes.size(), "\r\n", fields()));
  }
};

TEST_F(Fetch, FiftyFilesInEight) {
  FetchServer server([](const Asked& asked, Connection& c) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    c.answer("200 OK", noise(20'000, std::hash<std::string>()(asked.target)));
  });
  std::string list = "# segments\n\n";
  for (int i = 0; i < 50; ++i) list += str(i % 2 ? "/" : "", "crawl/part-", i, ".warc.gz", i % 7 ? "\n" : "\r\n");
  list += "crawl/part-0.warc.gz\n";  // once more
  FetchConfig c = config({write("paths.gz", gzip(list))});
  c.base_url = server.url();
  c.parallel = 8;
  c.per_host = 8;
  const FetchCounts first = fetch(c);
  EXPECT_EQ(first.done, 50);
  EXPECT_EQ(first.repeated, 1);
  EXPECT_EQ(first.bytes, 50 * 20'000);
  EXPECT_LE(server.most_at_once(), 8);
  EXPECT_GE(server.most_at_once(), 4);
  EXPECT_EQ(server.asked().size(), 50u);  // data files: robots.txt is not asked for
  EXPECT_EQ(server.asked()[0].header("accept-encoding"), "identity");
  EXPECT_EQ(server.asked()[0].header("user-agent"), "r1-data-fetch");
  const std::string url = server.url("/crawl/part-7.warc.gz");
  EXPECT_EQ(bytes_of(file(url)), noise(20'000, std::hash<std::string>()("/crawl/part-7.warc.gz")));
  EXPECT_EQ(row(url)["sha256"], sha256_file(file(url)));
  EXPECT_EQ(row(url)["status"], "done");
  expect_no_parts();

  const FetchCounts second = fetch(c);
  EXPECT_EQ(second.there, 50);
  EXPECT_EQ(server.asked().size(), 50u);
  fs::resize_file(file(url), 100);  // somebody damaged one
  EXPECT_EQ(fetch(c).done, 1);
  EXPECT_EQ(fs::file_size(file(url)), 20'000u);
  EXPECT_EQ(Ledger(out() / "fetch.jsonl").urls().size(), 50u);
  // the ledger is no data
  EXPECT_EQ(input_files({out().string()}).size(), 50u);
  EXPECT_TRUE(data::is_fetch_ledger(out() / "fetch.jsonl"));
}

TEST_F(Fetch, PerHostIsKept) {
  FetchServer server([](const Asked&, Connection& c) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    c.answer("200 OK", "x");
  });
  std::vector<std::string> urls;
  for (int i = 0; i < 20; ++i) urls.push_back(server.url(str("/", i, ".gz")));
  FetchConfig c = config(urls);
  c.per_host = 3;
  EXPECT_EQ(fetch(c).done, 20);
  EXPECT_EQ(server.most_at_once(), 3);
}

TEST_F(Fetch, CutConnectionsGoOnWhereTheyWere) {
  const RangeServer good;
  FetchServer server([&](const Asked& asked, Connection& c) {
    if (asked.number < 3) {
      const size_t from = asked.from();
      return c.cut(from ? "206 Partial Content" : "200 OK", std::string_view(good.bytes).substr(from, 50'000), good.bytes.size() - from,
                   from ? str("Content-Range: bytes ", from, "-", good.bytes.size() - 1, "/", good.bytes.size(), "\r\n", good.fields())
                        : good.fields());
    }
    good.right(asked, c);
  });
  const std::string url = server.url("/a.gz");
  EXPECT_EQ(fetch(config({url})).done, 1);
  EXPECT_EQ(bytes_of(file(url)), good.bytes);
  const auto asked = server.asked();
  ASSERT_EQ(asked.size(), 4u);
  EXPECT_EQ(asked[3].from(), 150'000u);
  EXPECT_EQ(asked[3].header("if-range"), "\"one\"");
  EXPECT_EQ(row(url)["etag"], "\"one\"");
  EXPECT_EQ(row(url)["tries"], 4);
}

TEST_F(Fetch, TheNextCallGoesOnToo) {
  const RangeServer good;
  FetchServer server([&](const Asked& asked, Connection& c) {
    asked.number == 0 ? c.cut("200 OK", good.bytes.substr(0, 100'000), good.bytes.size(), good.fields()) : good.right(asked, c);
  });
  const std::string url = server.url("/a.gz");
  FetchConfig c = config({url});
  c.retries = 0;
  const FetchCounts first = fetch(c);
  EXPECT_EQ(first.failed, 1);
  EXPECT_EQ(first.reasons.at("broken").urls, 1);
  EXPECT_FALSE(fs::exists(file(url)));
  EXPECT_EQ(row(url)["status"], "failed");
  EXPECT_EQ(fetch(c).done, 1);
  EXPECT_EQ(server.asked()[1].from(), 100'000u);
  EXPECT_EQ(bytes_of(file(url)), good.bytes);
  EXPECT_EQ(row(url)["status"], "done");
  expect_no_parts();
}

// The first answer breaks off after 100,000 bytes of the first version; what the next ones do is the row. At the end the file is one of the two
// versions, whole.
TEST_F(Fetch, NeverAMixture) {
  const RangeServer one, two{.bytes = noise(280'000, 2), .etag = "\"two\""};
  const auto range = [](size_t first, size_t last, size_t total) {
    return str("Content-Range: bytes ", first, "-", last, "/", total, "\r\n");
  };
  struct Row {
    const char* what;
    std::function<void(const Asked&, Connection&)> second;
    const RangeServer* result;
    size_t requests;
  };
  const Row rows[] = {
      {"no ranges: 200 and everything", [&](const Asked&, Connection& c) { c.answer("200 OK", one.bytes, one.fields()); }, &one, 2},
      {"changed, and If-Range understood", [&](const Asked& a, Connection& c) { two.right(a, c); }, &two, 2},
      {"changed, 206 of the new one",
       [&](const Asked& a, Connection& c) {
         if (!a.from()) return two.right(a, c);
         c.answer("206 Partial Content", std::string_view(two.bytes).substr(a.from()), range(a.from(), 279'999, 280'000) + two.fields());
       },
       &two, 3},
      {"changed, 206 without an ETag, another size",
       [&](const Asked& a, Connection& c) {
         if (!a.from()) return two.right(a, c);
         c.answer("206 Partial Content", std::string_view(two.bytes).substr(a.from()), range(a.from(), 279'999, 280'000));
       },
       &two, 3},
      {"206 that begins before",
       [&](const Asked&, Connection& c) {
         c.answer("206 Partial Content", std::string_view(one.bytes).substr(65'536), range(65'536, 299'999, 300'000) + one.fields());
       },
       &one, 2},
      {"206 that begins behind",
       [&](const Asked& a, Connection& c) {
         if (!a.from()) return one.right(a, c);
         c.answer("206 Partial Content", std::string_view(one.bytes).substr(131'072), range(131'072, 299'999, 300'000) + one.fields());
       },
       &one, 3},
      {"the part as 200",
       [&](const Asked& a, Connection& c) {
         c.answer("200 OK", std::string_view(one.bytes).substr(a.from()), range(a.from(), 299'999, 300'000) + one.fields());
       },
       &one, 2},
      {"206 that does not say where",
       [&](const Asked& a, Connection& c) {
         a.from() ? c.answer("206 Partial Content", std::string_view(one.bytes).substr(a.from()), one.fields()) : one.right(a, c);
       },
       &one, 3},
      {"206 with nonsense",
       [&](const Asked& a, Connection& c) {
         a.from() ? c.answer("206 Partial Content", "x", "Content-Range: bytes 9-5/3\r\n" + one.fields()) : one.right(a, c);
       },
       &one, 3},
      {"206 in several parts",
       [&](const Asked& a, Connection& c) {
         a.from() ? c.answer("206 Partial Content", "--x\r\n", "Content-Type: multipart/byteranges; boundary=x\r\n") : one.right(a, c);
       },
       &one, 3},
      {"206 of less than was asked for",
       [&](const Asked& a, Connection& c) {
         const size_t last = std::min<size_t>(a.from() + 99'999, 299'999);
         c.answer("206 Partial Content", std::string_view(one.bytes).substr(a.from(), last + 1 - a.from()),
                  range(a.from(), last, 300'000) + one.fields());
       },
       &one, 3},
      {"416 though there is more",
       [&](const Asked& a, Connection& c) {
         a.from() ? c.answer("416 Range Not Satisfiable", "<html>no</html>", "Content-Range: bytes */50\r\n") : two.right(a, c);
       },
       &two, 3},
      {"an error page in between",
       [&](const Asked& a, Connection& c) { a.number == 1 ? c.answer("503 Slow Down", "<Error/>") : one.right(a, c); }, &one, 3},
      {"cut within the head",
       [&](const Asked& a, Connection& c) {
         if (a.number > 1) return one.right(a, c);
         c.send("HTTP/1.1 206 Partial Con");
         c.open = false;
       },
       &one, 3},
  };
  for (const Row& r : rows) {
    FetchServer server([&](const Asked& a, Connection& c) {
      a.number == 0 ? c.cut("200 OK", one.bytes.substr(0, 100'000), one.bytes.size(), one.fields()) : r.second(a, c);
    });
    const std::string url = server.url("/a.bin");
    const FetchCounts counts = fetch(config({url}));
    ASSERT_EQ(counts.done, 1) << r.what << ": " << dump_json(counts.to_json());
    EXPECT_TRUE(bytes_of(file(url)) == r.result->bytes) << r.what;
    EXPECT_EQ(server.asked().size(), r.requests) << r.what;
    EXPECT_EQ(server.asked()[1].from(), 100'000u) << r.what;
    expect_no_parts();
  }
}

// Without a validator nobody can say that the rest belongs to the beginning, unless the list has a checksum.
TEST_F(Fetch, WithoutValidator) {
  RangeServer plain;
  plain.etag = "";
  FetchServer server([&](const Asked& a, Connection& c) {
    a.number == 0 ? c.cut("200 OK", plain.bytes.substr(0, 100'000), plain.bytes.size()) : plain.right(a, c);
  });
  EXPECT_EQ(fetch(config({server.url("/a.gz")})).done, 1);
  EXPECT_EQ(server.asked("/a.gz")[1].header("range"), "");

  const std::string list = write("list", server.url("/b.gz") + "\tsha256=" + sha256(plain.bytes) + " out=sub/b.gz\n");
  EXPECT_EQ(fetch(config({list})).done, 1);
  EXPECT_EQ(server.asked("/b.gz")[1].from(), 100'000u);
  EXPECT_EQ(server.asked("/b.gz")[1].header("if-range"), "");
  EXPECT_EQ(bytes_of(out() / "sub/b.gz"), plain.bytes);
}

TEST_F(Fetch, WeakETagsAndDates) {
  RangeServer weak;
  weak.etag = "W/\"x\"";
  const std::string date = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
  FetchServer server([&](const Asked& a, Connection& c) {
    a.number == 0 ? c.cut("200 OK", weak.bytes.substr(0, 100'000), weak.bytes.size(), weak.fields() + date)
                  : c.answer("206 Partial Content", std::string_view(weak.bytes).substr(a.from()),
                             str("Content-Range: bytes ", a.from(), "-299999/300000\r\n", weak.fields(), date));
  });
  EXPECT_EQ(fetch(config({server.url("/a.gz")})).done, 1);
  EXPECT_EQ(server.asked()[1].header("if-range"), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(bytes_of(file(server.url("/a.gz"))), weak.bytes);
}

TEST_F(Fetch, Checksums) {
  const std::string bytes = noise(5000, 3);
  FetchServer server([&](const Asked& a, Connection& c) {
    // one that is right the second time
    c.answer("200 OK", a.target == "/late.gz" && a.number == 0 ? noise(5000, 4) : bytes, "ETag: \"x\"\r\n");
  });
  Digest md5("md5");
  md5.update(std::as_bytes(std::span(bytes)));
  const std::string right = md5.hex();
  const std::string list =
      write("list", server.url("/right.gz") + " md5=" + right + "\n" + server.url("/late.gz") + " sha256=" + sha256(bytes) + "\n" +
                        server.url("/wrong.gz") + " sha256=" + std::string(64, '0') + "\n");
  const FetchCounts counts = fetch(config({list}));
  EXPECT_EQ(counts.done, 2) << dump_json(counts.to_json());
  EXPECT_EQ(counts.failed, 1);
  EXPECT_NE(counts.reasons.at("checksum").examples[0].find(sha256(bytes)), std::string::npos);
  EXPECT_FALSE(fs::exists(file(server.url("/wrong.gz"))));
  EXPECT_EQ(server.asked("/wrong.gz").size(), 2u);
  EXPECT_EQ(row(server.url("/right.gz"))["md5"], right);
  expect_no_parts();
  // other checksums in the list: what is there is not what is meant
  EXPECT_EQ(fetch(config({write("l2", server.url("/right.gz") + " md5=" + std::string(32, 'a'))})).failed, 1);
}

TEST_F(Fetch, FilesThatSomebodyBrought) {
  FetchServer server([](const Asked&, Connection& c) { c.answer("200 OK", "fetched"); });
  make_folder(out());
  write_file_atomic(out() / "mine.gz", "brought");
  const auto with = [&](const std::string& columns) {
    return fetch(config({write("list", server.url("/a.gz") + " out=mine.gz" + columns)}));
  };
  const FetchCounts refused = with("");
  EXPECT_EQ(refused.reasons.at("in_the_way").urls, 1);
  EXPECT_EQ(bytes_of(out() / "mine.gz"), "brought");
  EXPECT_EQ(with(" sha256=" + sha256("brought")).there, 1);
  EXPECT_EQ(with("").there, 1);
  EXPECT_TRUE(server.asked().empty());
}

TEST_F(Fetch, RetriesAndPatience) {
  const RangeServer good;
  FetchServer server([&](const Asked& a, Connection& c) {
    if (a.target == "/gone.gz") return c.answer("404 Not Found", std::string(200'000, 'x'));
    if (a.target == "/forbidden.gz") return c.answer("403 Forbidden", "");
    if (a.target == "/seconds.gz" && a.number == 0) return c.answer("429 Too Many Requests", "wait", "Retry-After: 1\r\n");
    for (const int status : {408, 425, 500, 502, 504})
      if (a.target == str("/", status, ".gz") && a.number < 2) return c.answer(str(status, " No"), "no", "Retry-After: nonsense\r\n");
    if (a.target == "/never.gz") return c.answer("500 No", "no");
    good.right(a, c);
  });
  std::vector<std::string> urls;
  for (const char* name : {"gone", "forbidden", "408", "425", "500", "502", "504", "never"})
    urls.push_back(server.url(str("/", name, ".gz")));
  FetchConfig c = config(urls);
  c.retries = 3;
  const FetchCounts counts = fetch(c);
  EXPECT_EQ(counts.done, 5);
  EXPECT_EQ(counts.reasons.at("http_404").urls, 1);
  EXPECT_EQ(counts.reasons.at("http_403").urls, 1);
  EXPECT_EQ(counts.reasons.at("http_500").urls, 1);
  EXPECT_EQ(server.asked("/gone.gz").size(), 1u);
  EXPECT_EQ(server.asked("/never.gz").size(), 4u);
  EXPECT_EQ(row(server.url("/gone.gz"))["http"], 404);

  // A site that asks for patience has it from all: the second file of each waits as long as the first.
  FetchServer second([&](const Asked& a, Connection& c) {
    // its clock is years behind: what counts is the difference
    if (a.target == "/date.gz" && a.number == 0)
      return c.answer("503 Slow Down", "", "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:38 GMT\r\n");
    good.right(a, c);
  });
  FetchConfig patient = config({server.url("/seconds.gz"), server.url("/other.gz"), second.url("/date.gz"), second.url("/other.gz")});
  patient.per_host = 1;
  const double took = seconds_of([&] { EXPECT_EQ(fetch(patient).done, 4); });
  EXPECT_GE(took, 0.95);
  EXPECT_LT(took, 2.5);
  EXPECT_EQ(server.asked().back().target, "/other.gz");
  EXPECT_EQ(second.asked().back().target, "/other.gz");
}

TEST_F(Fetch, NoPatienceForAYear) {
  FetchServer server([](const Asked&, Connection& c) { c.answer("429 No", "", "Retry-After: 31536000\r\n"); });
  std::vector<std::string> urls;
  for (int i = 0; i < 30; ++i) urls.push_back(server.url(str("/", i, ".gz")));
  FetchConfig c = config(urls);
  c.per_host = 1;
  const FetchCounts counts = fetch(c);
  EXPECT_EQ(counts.failed, 30);
  EXPECT_EQ(counts.reasons.at("http_429").urls, 30);
  EXPECT_EQ(server.asked().size(), 1u);
}

TEST_F(Fetch, NobodyThere) {
  int port;
  {
    port = FetchServer([](const Asked&, Connection&) {}).port();
  }
  std::vector<std::string> urls;
  for (int i = 0; i < 40; ++i) urls.push_back(str("http://127.0.0.1:", port, "/", i, ".gz"));
  urls.push_back("http://no-such-host.invalid/a.gz");
  FetchConfig c = config(urls);
  c.retries = 2;
  const FetchCounts counts = fetch(c);
  EXPECT_EQ(counts.failed, 41);
  EXPECT_EQ(counts.reasons.at("unreachable").urls, 41);
  EXPECT_EQ(counts.reasons.at("unreachable").examples.size(), FetchCounts::kExamples);
}

TEST_F(Fetch, Redirects) {
  FetchServer other([](const Asked&, Connection& c) { c.answer("200 OK", "other"); });
  FetchServer server([&](const Asked& a, Connection& c) {
    const auto to = [&](const std::string& where) { c.answer("302 Found", "there", "Location: " + where + "\r\n"); };
    if (a.target == "/a.gz") return to("b.gz");
    if (a.target == "/b.gz") return to("/c.gz?x=1#frag");
    if (a.target == "/loop.gz") return to("/loop.gz");
    if (a.target == "/file.gz") return to("file:///etc/passwd");
    if (a.target == "/ftp.gz") return to("ftp://127.0.0.1/x");
    if (a.target == "/else.gz") return to(other.url("/x.gz"));
    if (a.target == "/nowhere.gz") return c.answer("302 Found", "");
    c.answer("200 OK", "arrived");
  });
  std::vector<std::string> urls;
  for (const char* name : {"a", "loop", "file", "ftp", "else", "nowhere"}) urls.push_back(server.url(str("/", name, ".gz")));
  FetchConfig c = config(urls);
  c.header = {"Authorization: Bearer secret"};
  const FetchCounts counts = fetch(c);
  EXPECT_EQ(counts.done, 2) << dump_json(counts.to_json());
  EXPECT_EQ(counts.reasons.at("redirect").urls, 3);
  EXPECT_EQ(counts.reasons.at("http_302").urls, 1);
  EXPECT_EQ(bytes_of(file(server.url("/a.gz"))), "arrived");
  EXPECT_EQ(row(server.url("/a.gz"))["final_url"], server.url("/c.gz?x=1"));
  EXPECT_EQ(server.asked("/loop.gz").size(), 11u);
  EXPECT_EQ(server.asked("/a.gz")[0].header("authorization"), "Bearer secret");
  EXPECT_EQ(other.asked()[0].header("authorization"), "");
}

TEST_F(Fetch, RobotsOfPages) {
  FetchServer server([](const Asked& a, Connection& c) {
    if (a.target == "/robots.txt") return c.answer("302 Found", "", "Location: /real.txt\r\n");
    if (a.target == "/real.txt") return c.answer("200 OK", "User-agent: *\nDisallow: /no\nCrawl-delay: 0.05\n");
    if (a.target == "/hop") return c.answer("302 Found", "", "Location: /no/target\r\n");
    if (a.target == "/no/data.txt") return c.answer("200 OK", "<p>", "Content-Type: text/html; charset=utf-8\r\n");
    c.answer("200 OK", "<html><title>T</title><body><p>" + a.target, "Content-Type: text/html\r\nX-A: b\r\n");
  });
  std::vector<std::string> urls;
  for (const char* path : {"/a", "/b", "/no/x", "/hop", "/no/data.gz", "/no/data.txt"}) urls.push_back(server.url(path));
  FetchCounts counts;
  const double took = seconds_of([&] { counts = fetch(config(urls)); });
  EXPECT_EQ(counts.done, 2) << dump_json(counts.to_json());
  EXPECT_EQ(counts.refused, 3);  // by its path, by where it leads, and by being a page though it is called .txt
  EXPECT_EQ(counts.reasons.at("html_instead").urls, 1);
  EXPECT_EQ(server.asked("/no/x").size(), 0u);
  EXPECT_EQ(server.asked("/no/target").size(), 0u);
  EXPECT_EQ(server.asked("/robots.txt").size(), 1u);
  EXPECT_GE(took, 0.15);  // the delay that it asks for

  FetchConfig off = config({server.url("/no/x")});
  off.robots = "off";
  EXPECT_EQ(fetch(off).done, 1);
  FetchConfig on = config({server.url("/no/on.gz")});
  on.robots = "on";
  EXPECT_EQ(fetch(on).refused, 1);
}

TEST_F(Fetch, RobotsThatCannotBeHad) {
  for (const int status : {200, 404, 401, 500, 429}) {
    FetchServer server([&](const Asked& a, Connection& c) {
      a.target == "/robots.txt" ? c.answer(str(status, " X"), status == 200 ? std::string(3'000'000, '\n') : "Disallow: /")
                                : c.answer("200 OK", "file");
    });
    FetchConfig c = config({server.url("/page"), server.url("/page2")});
    c.retries = 1;
    const FetchCounts counts = fetch(c);
    const bool may = status != 500 && status != 429;
    EXPECT_EQ(counts.done, may ? 2 : 0) << status;
    EXPECT_EQ(counts.failed, may ? 0 : 2) << status;
    if (!may) {
      EXPECT_EQ(counts.reasons.at("robots_unreachable").urls, 2) << status;
    }
    EXPECT_EQ(server.asked("/robots.txt").size(), may ? 1u : 2u) << status;
  }
  // 429 for the page's site
  FetchServer loop([](const Asked& a, Connection& c) {
    a.target == "/page" ? c.answer("200 OK", "x") : c.answer("301 Moved", "", "Location: " + a.target + "x\r\n");
  });
  EXPECT_EQ(fetch(config({loop.url("/page")})).done, 1);
  EXPECT_EQ(loop.asked().size(), 7u);  // five redirects, and then it counts as not there
  FetchServer slow([](const Asked&, Connection& c) { c.answer("200 OK", "User-agent: *\nCrawl-delay: 86400\n"); });
  EXPECT_EQ(fetch(config({slow.url("/page")})).failed, 1);
}

// Pages are records, which r1 data run reads with their URL; a packed body, chunks and hostile header lines are no trouble.
TEST_F(Fetch, PagesAreRecords) {
  const std::string page =
      "<html><head><title>Title</title></head><body><article><p>" + std::string(300, 'w') + "</p></article></body></html>";
  FetchServer server([&](const Asked& a, Connection& c) {
    if (a.target == "/robots.txt") return c.answer("404 No", "");
    if (a.target == "/packed") return c.answer("200 OK", gzip(page), "Content-Type: text/html\r\nContent-Encoding: gzip\r\n");
    if (a.target == "/chunks") {
      c.send(
          "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\nWARC/1.0: x\r\n\r\n");
      c.send(str(std::hex, page.size(), "\r\n", page, "\r\n0\r\nX-Trailer: y\r\n\r\n"));
      return;
    }
    if (a.target == "/moved") return c.answer("301 M", "", "Location: /plain\r\n");
    if (a.target == "/doc.pdf") return c.answer("200 OK", "%PDF-1.4", "Content-Type: application/pdf\r\n");
    if (a.target == "/cut" && a.number == 0)
      return c.cut("200 OK", page.substr(0, 100), page.size(), "Content-Type: text/html\r\nETag: \"x\"\r\n");
    if (a.target == "/large") return c.answer("200 OK", std::string((32 << 20) + 1, 'x'), "Content-Type: text/html\r\n");
    c.answer("200 OK", page, "Content-Type: text/html; charset=utf-8\r\n");
  });
  std::vector<std::string> urls;
  for (const char* path : {"/packed", "/chunks", "/moved", "/cut", "/doc.pdf", "/large"}) urls.push_back(server.url(path));
  const FetchCounts counts = fetch(config(urls));
  EXPECT_EQ(counts.done, 5) << dump_json(counts.to_json());
  EXPECT_EQ(counts.reasons.at("too_large").urls, 1);
  const Read read = read_file((out() / "pages/00000.warc.gz").string());
  EXPECT_EQ(read.reasons(), "");
  std::set<std::string> seen;
  for (const Document& d : read.documents) {
    seen.insert(d.url.substr(server.url().size()));
    EXPECT_EQ(d.text, page) << d.url;
    EXPECT_EQ(d.title, "Title");
    EXPECT_EQ(d.date.size(), 20u);
    EXPECT_EQ(d.kind, "warc");
  }
  EXPECT_EQ(seen, (std::set<std::string>{"/packed", "/chunks", "/plain", "/cut"}));
  const std::string pdf = server.url("/doc.pdf");
  EXPECT_EQ(row(pdf)["file"], file_of_url(parse_url(pdf)));
  EXPECT_EQ(bytes_of(file(pdf)), "%PDF-1.4");

  // Again: nothing. Another page goes behind the others; what a kill left there is cut off.
  EXPECT_EQ(fetch(config(urls)).there, 5);
  append_file(out() / "pages/00000.warc.gz", "\x1f\x8b\x08torn");
  EXPECT_EQ(fetch(config({server.url("/more")})).done, 1);
  const Read more = read_file((out() / "pages/00000.warc.gz").string());
  EXPECT_EQ(more.documents.size(), 5u);
  EXPECT_EQ(more.reasons(), "");
  // A file that is too short for what the ledger says: those pages are fetched again.
  fs::resize_file(out() / "pages/00000.warc.gz", 10);
  EXPECT_EQ(fetch(config({server.url("/more")})).done, 1);

  FetchConfig files = config({server.url("/as-file")});
  files.as = "files";
  EXPECT_EQ(fetch(files).done, 1);
  EXPECT_EQ(bytes_of(file(server.url("/as-file"))), page);
  FetchConfig all = config({server.url("/as-record.txt")});
  all.as = "warc";
  EXPECT_EQ(fetch(all).done, 1);
  EXPECT_TRUE(row(server.url("/as-record.txt")).contains("offset"));
}

TEST_F(Fetch, Rate) {
  const std::string bytes = noise(300'000, 5);
  FetchServer server([&](const Asked&, Connection& c) { c.answer("200 OK", bytes); });
  FetchConfig c = config({server.url("/a.gz"), server.url("/b.gz")});
  c.rate = "1MB";
  const double took = seconds_of([&] { EXPECT_EQ(fetch(c).done, 2); });
  EXPECT_GE(took, 0.35);  // 0.6 s, but for the pieces that are let through in one go
  EXPECT_LE(took, 1.1);
  EXPECT_EQ(bytes_of(file(server.url("/b.gz"))), bytes);
}

TEST_F(Fetch, Delay) {
  FetchServer server([&](const Asked&, Connection& c) { c.answer("200 OK", "x"); });
  FetchConfig c = config({server.url("/a.gz"), server.url("/b.gz"), server.url("/c.gz"), server.url("/d.gz")});
  c.delay = 0.1;
  const double took = seconds_of([&] { EXPECT_EQ(fetch(c).done, 4); });
  EXPECT_GE(took, 0.3);
  EXPECT_LE(took, 0.8);
}

TEST_F(Fetch, StallsAndEndlessAnswers) {
  const RangeServer good;
  FetchServer* self = nullptr;
  FetchServer server([&](const Asked& a, Connection& c) {
    if (a.target == "/stall.gz" && a.number == 0) {
      c.send(str("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n", good.fields(), "\r\n", good.bytes.substr(0, 1000)));
      return c.be_silent(self->ending);
    }
    if (a.target == "/drip.gz" || a.target == "/radio") {  // never stalls, never ends
      c.send("HTTP/1.1 200 OK\r\n\r\n");
      while (!self->ending && c.send(std::string(100, 'x'))) std::this_thread::sleep_for(std::chrono::milliseconds(10));
      c.open = false;
      return;
    }
    good.right(a, c);
  });
  self = &server;
  FetchConfig c = config({server.url("/stall.gz"), server.url("/drip.gz")});
  c.timeout = 0.2;
  c.max_time = 0.4;
  const FetchCounts counts = fetch(c);
  EXPECT_EQ(counts.done, 1);
  EXPECT_EQ(server.asked("/stall.gz")[1].from(), 1000u);
  EXPECT_EQ(bytes_of(file(server.url("/stall.gz"))), good.bytes);
  EXPECT_EQ(counts.reasons.at("too_long").urls, 1);

  FetchConfig small = config({server.url("/drip.gz"), server.url("/whole.gz")});
  small.max_bytes = "2KB";
  const FetchCounts too_large = fetch(small);
  EXPECT_EQ(too_large.reasons.at("too_large").urls, 2);
  expect_no_parts();
}

// HTTP/1.0 and no length: taken, but said.
TEST_F(Fetch, UnknownLength) {
  FetchServer server([&](const Asked&, Connection& c) {
    c.send("HTTP/1.0 200 OK\r\n\r\nall of it");
    c.open = false;
  });
  const FetchCounts counts = fetch(config({server.url("/a.gz")}));
  EXPECT_EQ(counts.done, 1);
  EXPECT_EQ(counts.unsized, 1);
  EXPECT_EQ(row(server.url("/a.gz"))["length_known"], false);
}

TEST_F(Fetch, InterruptIsQuickAndKeepsAll) {
  const RangeServer good;
  FetchServer* self = nullptr;
  std::atomic<bool> slow{true};
  FetchServer server([&](const Asked& a, Connection& c) {
    if (!slow) return good.right(a, c);
    c.send(str("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n", good.fields(), "\r\n", good.bytes.substr(0, 70'000)));
    c.be_silent(self->ending);
  });
  self = &server;
  std::vector<std::string> urls;
  for (int i = 0; i < 6; ++i) urls.push_back(server.url(str("/", i, ".gz")));
  std::thread signal([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    request_interrupt();
  });
  std::string said;
  const double took = seconds_of([&] { said = message_of([&] { fetch(config(urls)); }); });
  signal.join();
  clear_interrupt();
  EXPECT_EQ(said, "interrupted");
  EXPECT_LT(took, 1.3);
  slow = false;
  EXPECT_EQ(fetch(config(urls)).done, 6);
  EXPECT_EQ(server.asked("/0.gz")[1].from(), 70'000u);
  EXPECT_EQ(bytes_of(file(urls[5])), good.bytes);
}

// kill -9 at any moment, again and again: at the end everything is there, once, and no byte more than those on their way was fetched twice.
TEST_F(Fetch, KilledAtAnyMoment) {
  std::map<std::string, RangeServer> files;
  for (int i = 0; i < 12; ++i)
    files.emplace(str("/", i, ".gz"), RangeServer{.bytes = noise(100'000 + size_t(i) * 1000, uint64_t(i)), .etag = str("\"", i, "\"")});
  std::atomic<int64_t> sent{0};
  FetchServer server([&](const Asked& a, Connection& c) {
    if (a.target == "/robots.txt") return c.answer("404 No", "");
    const auto found = files.find(a.target);
    if (found == files.end()) return c.answer("200 OK", "<p>page " + a.target, "Content-Type: text/html\r\n");
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    const std::string& bytes = found->second.bytes;
    const size_t from = a.from();
    c.send(str("HTTP/1.1 ", from ? "206 P" : "200 OK", "\r\nContent-Length: ", bytes.size() - from, "\r\n", found->second.fields(),
               from ? str("Content-Range: bytes ", from, "-", bytes.size() - 1, "/", bytes.size(), "\r\n") : "", "\r\n"));
    for (size_t at = from; at < bytes.size() && c.open; at += 10'000) {
      c.send(std::string_view(bytes).substr(at, 10'000));
      sent += 10'000;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  std::vector<std::string> urls;
  for (const auto& [target, f] : files) urls.push_back(server.url(target));
  for (int i = 0; i < 12; ++i) urls.push_back(server.url(str("/page", i)));
  FetchConfig c = config(urls);
  c.per_host = 3;
  int kills = 0;
  for (int round = 0; round < 60; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        _exit(fetch(c).failed == 0 ? 0 : 1);
      } catch (...) {
        _exit(3);
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5 + 7 * (round % 12)));
    int status = 0;
    if (::waitpid(child, &status, WNOHANG) == 0) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
    }
    if (!WIFSIGNALED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
      break;
    }
    ++kills;
  }
  EXPECT_GE(kills, 2);
  const FetchCounts last = fetch(c);
  EXPECT_EQ(last.there + last.done, 24) << dump_json(last.to_json());
  for (const auto& [target, f] : files) EXPECT_TRUE(bytes_of(file(server.url(target))) == f.bytes) << target;
  const Ledger ledger(out() / "fetch.jsonl");
  EXPECT_EQ(ledger.urls().size(), 24u);
  std::ifstream lines(out() / "fetch.jsonl");
  EXPECT_EQ(std::count(std::istreambuf_iterator<char>(lines), {}, '\n'), 24);
  std::multiset<std::string> pages;
  for (const auto& entry : fs::directory_iterator(out() / "pages"))
    for (const Document& d : read_file(entry.path().string()).documents) pages.insert(d.url);
  EXPECT_GE(pages.size(), 12u);
  EXPECT_EQ(std::set<std::string>(pages.begin(), pages.end()).size(), 12u);
  expect_no_parts();
  EXPECT_LT(sent, 12 * 111'000 + kills * 3 * 111'000);
}

TEST_F(Fetch, TornLedgerAndOneProcess) {
  FetchServer server([&](const Asked&, Connection& c) { c.answer("200 OK", "x"); });
  const FetchConfig c = config({server.url("/a.gz"), server.url("/b.gz")});
  EXPECT_EQ(fetch(c).done, 2);
  append_file(out() / "fetch.jsonl", R"({"url":"http://torn)");
  EXPECT_EQ(fetch(c).there, 2);
  // whole, moved or not, but not in the ledger yet
  const std::string url = server.url("/c.gz");
  {
    FetchPart part(out() / ".fetch", url, false);
    part.restart({url, "", "", 4});
    part.append("data");
    const Json told = {{"url", url}, {"status", "done"}, {"file", file_of_url(parse_url(url))}, {"bytes", 4}};
    part.finish(file(url), told);
  }
  EXPECT_EQ(fetch(config({url})).there, 1);
  expect_no_parts();

  const FileLock lock(out() / ".fetch/lock", "mine");
  EXPECT_NE(message_of([&] { fetch(c); }).find("another process"), std::string::npos);
}

TEST_F(Fetch, OverTls) {
  const fs::path folder = folder_.path();
  const std::string make =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext "
      "subjectAltName=DNS:localhost -keyout " +
      (folder / "key.pem").string() + " -out " + (folder / "cert.pem").string() + " > /dev/null 2>&1";
  if (std::system(make.c_str()) != 0) GTEST_SKIP() << "no openssl program";
  make_folder(folder / "served");
  write_file_atomic(folder / "served/a.gz", noise(100'000, 6));
  int port = 0;
  {
    port = FetchServer([](const Asked&, Connection&) {}).port();
  }  // a free one
  const pid_t child = ::fork();
  if (child == 0) {
    if (::chdir((folder / "served").c_str()) != 0 || !std::freopen("/dev/null", "w", stdout) || !std::freopen("/dev/null", "w", stderr))
      _exit(1);
    ::execlp("openssl", "openssl", "s_server", "-WWW", "-accept", str("127.0.0.1:", port).c_str(), "-key", "../key.pem", "-cert",
             "../cert.pem", nullptr);
    _exit(1);
  }
  const std::string url = str("https://localhost:", port, "/a.gz");
  FetchConfig c = config({url});
  c.retry_wait = 0.05;
  c.ca_file = (folder / "cert.pem").string();
  const FetchCounts trusted = fetch(c);
  EXPECT_EQ(trusted.done, 1) << dump_json(trusted.to_json());
  EXPECT_EQ(bytes_of(file(url)), noise(100'000, 6));
  // without the file nobody vouches for it; there is no way to look away
  FetchConfig untrusting = config({str("https://localhost:", port, "/b.gz")});
  const FetchCounts untrusted = fetch(untrusting);
  EXPECT_EQ(untrusted.failed, 1);
  EXPECT_EQ(untrusted.reasons.count("refused_connection"), 1u) << dump_json(untrusted.to_json());
  {
    const EnvironmentVariable bundle("SSL_CERT_FILE", c.ca_file), none("CURL_CA_BUNDLE", "");
    FetchConfig by_environment = config({url + " out=again.gz"});
    const FetchCounts trusting = fetch(by_environment);
    EXPECT_EQ(trusting.done, 1) << dump_json(trusting.to_json());
  }
  // from https to http only if that is allowed
  FetchServer plain([](const Asked&, Connection& connection) { connection.answer("200 OK", "plain"); });
  ::kill(child, SIGTERM);
  ::waitpid(child, nullptr, 0);
  EXPECT_NE(message_of([&] {
              FetchConfig none = config({url});
              none.ca_file = "/no/such/file";
              fetch(none);
            }).find("cannot be read"),
            std::string::npos);
}

TEST_F(Fetch, WhatIsSaidWrongly) {
  const auto said = [&](const std::string& list, const std::function<void(FetchConfig&)>& change = {}) {
    FetchConfig c = config({write("list", list)});
    if (change) change(c);
    return message_of([&] { fetch(c); });
  };
  const auto expect = [&](const std::string& list, const std::string& words, const std::function<void(FetchConfig&)>& change = {}) {
    const std::string message = said(list, change);
    EXPECT_NE(message.find(words), std::string::npos) << printable(list) << ": " << message;
  };
  expect("", "no URL in the list");
  expect("# only\n\n", "no URL in the list");
  expect("crawl-data/x.warc.gz\n", "list:1: 'crawl-data/x.warc.gz': no http:// or https:// before it; for a list of paths say --base_url");
  expect("http://h/a\nftp://h/b\n", "list:2: 'ftp://h/b': only http and https are fetched, not ftp");
  expect("s3://commoncrawl/x", "only http and https");
  expect("file:///etc/passwd", "only http and https");
  expect("http://h/a b.gz", "a blank in a URL is written %20");
  expect("http://h/a sha256=12", "expected 64 hexadecimal digits");
  expect("http://h/a md5=" + std::string(32, 'g'), "expected 32 hexadecimal digits");
  for (const char* name : {"../x", "/x", "a//b", "a/../b", ".x", "a/.b", "x/", "", "a\\b", "fetch.jsonl", "pages/x"})
    expect(str("http://h/a out=", name), "out=");
  expect("http://h/a out=x\nhttp://h/b out=x\n", "would become one file, x");
  expect("http://h/a out=x\nhttp://h/b out=x/y\n", "would become one file");
  expect("http://h/a out=x\nhttp://h/a\n", "the same URL with other columns");
  expect(std::string("http://h/\0a", 11), "list:1");
  expect("http://h/\x01", "list:1");
  expect(gzip("http://h/a\n").substr(0, 20), "list");
  expect("http://h/a", "expected a size", [](FetchConfig& c) { c.rate = "fast"; });
  expect("http://h/a", "expected a size", [](FetchConfig& c) { c.max_bytes = "1 apple"; });
  expect("http://h/a", "'Name: value'", [](FetchConfig& c) { c.header = {"nonsense"}; });
  expect("http://h/a", "'Name: value'", [](FetchConfig& c) { c.header = {"A: b\r\nEvil: x"}; });
  expect("http://h/a", "is set by the fetching itself", [](FetchConfig& c) { c.header = {"Range: bytes=0-1"}; });
  expect("http://h/a", "--robots_agent", [](FetchConfig& c) { c.user_agent = "(none)"; });
  expect("http://h/a", "--base_url", [](FetchConfig& c) { c.base_url = "nonsense"; });
  EXPECT_NE(message_of([&] { fetch(config({out().string() + "/none"})); }).find("none"), std::string::npos);
  EXPECT_NE(message_of([&] { fetch(config({"http://"})); }).find("http://"), std::string::npos);
}

TEST(FetchNames, AreSafeAndDiffer) {
  const auto name = [](const std::string& url) { return file_of_url(parse_url(url)); };
  EXPECT_EQ(name("https://data.commoncrawl.org/crawl-data/CC-MAIN-2024-10/warc/x.warc.gz"),
            "data.commoncrawl.org/crawl-data/CC-MAIN-2024-10/warc/x.warc.gz");
  EXPECT_EQ(name("HTTPS://Example.ORG:443/a/./b/../c.jsonl.zst#frag"), "example.org/a/c.jsonl.zst");
  EXPECT_EQ(name("http://example.org/c.txt"), "example.org_80/c.txt");
  EXPECT_EQ(name("https://localhost/c.txt"), "localhost_443/c.txt");
  const std::string query = name("https://h.org/get.parquet?id=1");
  EXPECT_TRUE(query.starts_with("h.org/get-") && query.ends_with(".parquet")) << query;

  const std::vector<std::string> urls = {"https://h.org/a",
                                         "https://h.org/a/",
                                         "https://h.org/a/b",
                                         "https://h.org/a.gz",
                                         "https://h.org/a.gz/b.gz",
                                         "http://h.org/a.gz",
                                         "https://h.org:8443/a.gz",
                                         "https://h.org/A.gz",
                                         "https://h.org//a.gz",
                                         "https://h.org/a%2Fb.gz",
                                         "https://h.org/a/b.gz",
                                         "https://h.org/a.gz?",
                                         "https://h.org/a.gz?x",
                                         "https://h.org/a.gz?y",
                                         "https://user:pw@h.org/a.gz",
                                         "https://h.org/..%2f..%2fetc.gz",
                                         "https://h.org/.hidden.gz",
                                         "https://h.org/.ssh/x.gz",
                                         "https://h.org/%2e%2e/%2e%2e/x.gz",
                                         "https://h.org/a;b.gz",
                                         "https://h.org/a:b.gz",
                                         "https://h.org/" + std::string(3000, 'x') + ".gz",
                                         "https://h.org/" + std::string(3000, 'x') + "y.gz",
                                         "https://h.org/" + std::string(3000, '/') + "y.gz",
                                         "https://h.org/x." + std::string(300, 'z'),
                                         "https://h.org/.gz",
                                         "https://h.org/fetch.jsonl",
                                         "https://pages/00000.warc.gz",
                                         "https://h.org/K%C3%B6ln.txt",
                                         "https://h.org/con|aux<>.txt"};
  std::set<std::string> seen;
  for (const std::string& url : urls) {
    const std::string n = name(url);
    EXPECT_TRUE(seen.insert(n).second || url == "https://h.org/a.gz?") << url << " " << n;
    EXPECT_EQ(n, name(url));
    EXPECT_LE(n.size(), 420u) << n;
    EXPECT_EQ(("/" + n + "/").find("/../"), std::string::npos) << n;
    EXPECT_EQ(n.find("/."), std::string::npos) << n;
    EXPECT_FALSE(n.starts_with('/') || n.starts_with('.') || n.starts_with("pages/")) << n;
    for (const char c : n) EXPECT_TRUE(c > 0x20 && c < 0x7F) << n;
    for (size_t at = 0; at <= n.size();) {
      const size_t end = std::min(n.find('/', at), n.size());
      EXPECT_LE(end - at, 200u) << n;
      at = end + 1;
    }
  }
}

TEST(FetchNames, Urls) {
  const Url url = parse_url(" https://User:p%40w@Example.org/a b/\xC3\xA4?q=1#f");
  EXPECT_EQ(url.text, "https://User:p%40w@example.org/a%20b/%c3%a4?q=1");
  EXPECT_EQ(url.shown, "https://example.org/a%20b/%c3%a4?q=1");
  EXPECT_EQ(url.origin(), "https://example.org:443");
  EXPECT_EQ(parse_url("../x", "http://h/a/b/c").text, "http://h/a/x");
  EXPECT_EQ(parse_url("//other/x", "https://h/a").text, "https://other/x");
  EXPECT_EQ(parse_url("http://h").text, "http://h/");
  EXPECT_EQ(parse_url("http://[::1]:8080/x").origin(), "http://[::1]:8080");
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
  EXPECT_EQ(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
  EXPECT_EQ(parse_http_date("nonsense"), -1);
  for (const char* data : {"/x.warc.gz", "/x.jsonl.zst", "/x.parquet", "/x.TXT", "/a.b/x.zip"}) EXPECT_TRUE(has_data_ending(data)) << data;
  for (const char* page : {"/", "/x", "/x.html", "/x.php", "/x.gz/", "/x.gz/page", "/v1.2", ""})
    EXPECT_FALSE(has_data_ending(page)) << page;
}

TEST(FetchNames, NoLibrary) {
  const std::string said = message_of([] { load_curl({"libnone-such.so.4", "libnone-such-gnutls.so.4"}); });
  EXPECT_NE(said.find("install the package libcurl4"), std::string::npos) << said;
  EXPECT_NE(message_of([] { load_curl({"libz.so.1"}); }).find("too old"), std::string::npos);
}

}  // namespace
}  // namespace r1::corpus
