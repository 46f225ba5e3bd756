// Every kind over files that were damaged at random: documents that keep their promise and counts that add up, or an r1::Error; never a crash,
// never an endless loop. (tests/fuzz has the long runs.)
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/corpus/encoding.h"
#include "r1/corpus/reader_parts.h"
#include "tests/corpus/reader_support.h"

namespace r1::corpus {
namespace {

std::string mutated(std::string bytes, const std::string& other, Rng& rng) {
  const size_t times = 1 + rng.bits() % 4;
  for (size_t k = 0; k < times && !bytes.empty(); ++k) {
    const size_t at = rng.bits() % bytes.size(), length = rng.bits() % 200;
    switch (rng.bits() % 6) {
      case 0:
        bytes[at] = char(rng.bits());
        break;
      case 1:
        bytes.erase(at, length);
        break;
      case 2:
        bytes.insert(at, bytes.substr(rng.bits() % bytes.size(), length));
        break;
      case 3:
        bytes.insert(at, other.substr(rng.bits() % other.size(), length));
        break;
      case 4:
        bytes.resize(at);
        break;
      default:
        for (size_t i = at; i < std::min(bytes.size(), at + 8); ++i) bytes[i] ^= char(1 << rng.bits() % 8);
    }
  }
  return bytes;
}

TEST(ReaderMutation, WhateverTheBytesAre) {
  const std::string warc =
      "WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http\r\nContent-Length: 87\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: "
      "text/html\r\n"
      "Transfer-Encoding: chunked\r\n\r\n5\r\n<p>ab\r\n0\r\n\r\n\r\n\r\n";
  const std::string mail =
      "From a@x Thu Jan  1 00:00:00 1970\nSubject: =?utf-8?q?a=C3=BC?=\nContent-Type: multipart/mixed; boundary=m\n\n--m\nContent-Type: "
      "text/html; charset=gbk\n"
      "Content-Transfer-Encoding: base64\n\nPGI+xOO6wzwvYj4=\n--m\nContent-Type: message/rfc822\n\nSubject: i\n\nin=\nside\n--m--\n\n";
  const std::string wiki =
      "<mediawiki><page><title>A</title><ns>0</ns><revision><text>'''a''' {{b|[[c|d]]}} [[e]] &lt;ref>x&lt;/ref>\n{|\n|x\n|}\n== h "
      "==\n&lt;math>y&lt;/math></text></revision></page></mediawiki>";
  const std::string posts =
      "<posts><row Id=\"1\" PostTypeId=\"1\" AnswerCount=\"1\" Body=\"&lt;p&gt;q&lt;/p&gt;\"/><row Id=\"2\" PostTypeId=\"2\" "
      "ParentId=\"1\" Body=\"a\"/></posts>";
  const std::string tex =
      "\\documentclass{a}\\begin{document}\\section{s} $x$ \\cite{a} \\'e \\begin{equation}y\\end{equation} \\input{b}\\end{document}";
  const std::string book = zip({{"META-INF/container.xml", "<rootfile full-path=\"c.opf\"/>"},
                                {"c.opf", "<item id=\"a\" href=\"a.html\" media-type=\"html\"/><itemref idref=\"a\"/>"},
                                {"a.html", "<p>text</p>"}});
  struct Seed {
    const char* name;
    std::string bytes;
    MakeReader open;
  };
  const std::vector<Seed> seeds = {{"a.warc", warc + warc, read_warc},
                                   {"a.warc.gz", gzip(warc) + gzip(warc), read_warc},
                                   {"a.mbox", mail + mail, read_mbox},
                                   {"a.xml", wiki, read_wikipedia},
                                   {"a.xml.bz2", bzip2(wiki) + bzip2(wiki), read_wikipedia},
                                   {"p.xml", posts, read_stackexchange},
                                   {"a.tex", tex, read_latex},
                                   {"a.zip", book, read_zip},
                                   {"a.epub", book, read_epub},
                                   {"a.tar", tar({{"a.txt", "x"}, {"b.tex", tex}, {"c.warc", warc}, {"d.zip", book}}), read_tar},
                                   {"w.tar", tar({{"0.txt", "x"}, {"0.json", "{}"}, {"1.txt", "y"}}), read_webdataset},
                                   {"a.json", "[{\"text\": \"a\"}, {\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}]", read_json},
                                   {"a.csv", "text,b\n\"x\ny\",1\n2,3\n", read_csv},
                                   {"a.srt", "1\n00:00:01,000 --> 00:00:02,000\n<i>a</i>\n\n", read_subtitles},
                                   {"a.1", ".TH A 1\n.SH N\n.B x \\fIy\\fP \\(aq\n.nf\n", read_man},
                                   {"a.zst", zstd("text\n\ntext"), open_input},
                                   {"a.xz", xz("text\n\ntext"), open_input},
                                   {"a.html", "<p>x<pre>y</pre>", read_html}};
  Rng rng(7);
  for (const Seed& seed : seeds)
    for (int i = 0; i < 150; ++i) {
      const std::string bytes = i == 0 ? seed.bytes : mutated(seed.bytes, seeds[rng.bits() % seeds.size()].bytes, rng);
      for (const MakeReader open : {seed.open, MakeReader(open_input)}) {
        Counts counts;
        int64_t documents = 0;
        try {
          Opening opening;
          opening.options.max_document_bytes = 1 << 16;
          const auto reader = open(Input::memory(bytes, seed.name), opening);
          if (!reader) continue;
          for (Document d; reader->next(d, counts); ++documents) {
            ASSERT_FALSE(d.kind.empty()) << seed.name;
            ASSERT_LT(documents, 1'000) << seed.name << " does not end";
            if (open == open_input) {
              ASSERT_TRUE(is_utf8(d.text) && is_utf8(dump_json(to_json(d)))) << seed.name;
              ASSERT_LE(d.text.size(), size_t{1} << 16);
            }
          }
          counts.check(seed.name);
        } catch (const Error&) {
          continue;
        }
        if (i == 0) {
          EXPECT_GT(documents, 0) << seed.name;
        }
      }
    }
}

// What costs much memory if it is read without thought.
TEST(ReaderMutation, MemoryStaysBounded) {
  Files files("reader_memory");
  const auto peak = [] {
    struct rusage usage {};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss / 1024;
  };
  const std::string zeros = gzip(std::string(64 << 20, '0'));
  const long before = peak();
  std::string bomb;
  for (int i = 0; i < 8; ++i) bomb += zeros;  // 512 MiB in half of one
  for (const char* name : {"a.jsonl.gz", "a.warc.gz", "a.tex.gz"}) {
    const Read read = files.read(name, bomb);
    EXPECT_EQ(read.documents.size(), 0u) << name;
    EXPECT_GE(read.counts.documents_in(), 1) << name;
  }
  std::string list = "{\"text\": [";
  while (list.size() < (size_t{30} << 20)) list += "[],[],[],[],[],[],[],[],";
  EXPECT_EQ(files.read("b.jsonl", list + "[]]}\n{\"text\": \"x\"}\n").documents.size(), 1u);
  EXPECT_LT(peak() - before, 512);
}

}  // namespace
}  // namespace r1::corpus
