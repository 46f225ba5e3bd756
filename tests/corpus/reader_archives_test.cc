// tar, WebDataset, zip and EPUB: members by their kinds, and archives that lie.
#include <gtest/gtest.h>

#include "r1/corpus/zip.h"
#include "tests/corpus/reader_support.h"

namespace r1::corpus {
namespace {

std::string listed(const Read& read) {
  std::string out;
  for (const Document& d : read.documents) out += d.source.substr(d.source.find_last_of("/!") + 1) + "=" + d.text + ";";
  return out + " " + read.reasons();
}

TEST(ReaderTar, MembersByTheirKinds) {
  Files files("reader_tar");
  const std::string inner = tar({{"deep/x.txt", "deep"}});
  const std::string bytes = tar({{"d/", "", '5'},
                                 {"d/a.txt", "one"},
                                 {"d/rows.jsonl.gz", gzip("{\"text\": \"r1\"}\n{\"text\": \"r2\"}\n")},
                                 {"d/list.json", "[{\"text\": \"l\"}]"},
                                 {"d/inner.tar.gz", gzip(inner)},
                                 {"link", "", '2'},
                                 {"d/x.bin", std::string(3'000, '\1')},
                                 {"d/z.py", "print()"}});
  const std::string expected =
      "a.txt=one;rows.jsonl.gz=r1;rows.jsonl.gz=r2;list.json=l;x.txt=deep;z.py=print(); tar:no_file: 1, unknown_kind: 1";
  for (const auto& [name, packed] : {std::pair{"a.tar", bytes},
                                     {"a.tgz", gzip(bytes)},
                                     {"a.tar.zst", zstd(bytes)},
                                     {"a.tar.bz2", bzip2(bytes)},
                                     {"a.tar.xz", xz(bytes)}}) {
    const Read read = files.read(name, packed);
    EXPECT_EQ(listed(read), expected) << name;
    EXPECT_EQ(read.documents[0].source, files.path() + "/" + name + "!d/a.txt");
    read.counts.check("read");
  }
}

TEST(ReaderTar, NamesAndHeadersThatLie) {
  Files files("reader_tar_lies");
  EXPECT_EQ(listed(files.read("a.tar", tar({{"../../etc/x.txt", "no"}, {"/abs.txt", "no"}, {"a\x1B[2J.txt", "no"}, {"./b..txt", "yes"}}))),
            "b..txt=yes; evil_name: 3");
  const std::string name = "dir/" + std::string(150, 'n') + ".txt";
  EXPECT_EQ(listed(files.read("b.tar", tar({{"././@LongLink", name + std::string(1, '\0'), 'L'}, {name.substr(0, 100), "long"}}))),
            name.substr(4) + "=long; ");
  const std::string record = "path=" + name + "\n", pax = std::to_string(record.size() + 4) + " " + record;
  EXPECT_EQ(listed(files.read("c.tar", tar({{"PaxHeader", pax, 'x'}, {"short.txt", "pax"}}))), name.substr(4) + "=pax; ");
  std::string broken = tar({{"a.txt", "one"}, {"b.txt", "two"}, {"c.txt", "three"}});
  broken[1024 + 5] ^= 1;  // the second header's checksum
  EXPECT_EQ(listed(files.read("d.tar", broken)), "a.txt=one;c.txt=three; tar:broken_header: 1");
  const std::string cut = tar({{"a.txt", "one"}, {"b.txt", std::string(5'000, 'x')}}).substr(0, 3'000);
  const Read read = files.read("e.tar", cut);
  EXPECT_EQ(read.dropped("truncated"), 1) << read.reasons();
  EXPECT_EQ(read.documents[0].text, "one");
  // GNU tar's sparse files, in its own header and in pax's: their bytes are no text
  EXPECT_EQ(listed(files.read("g.tar", tar({{"s.txt", "map", 'S'}, {"a.txt", "one"}}))), "a.txt=one; tar:sparse: 1");
  EXPECT_EQ(
      listed(files.read("h.tar",
                        tar({{"PaxHeader", "22 GNU.sparse.major=1\n", 'x'}, {"GNUSparseFile.0/s.txt", "1\n0\n3\nmap"}, {"a.txt", "one"}}))),
      "a.txt=one; tar:sparse: 1");
  EXPECT_EQ(listed(files.read("empty.tar", tar({}))), " ") << "nothing in it, and nothing wrong";
  EXPECT_EQ(listed(files.read("empty.tar.gz", gzip(tar({})))), " ");
  // itself in itself, as deep as one likes
  std::string nested = tar({{"x.txt", "x"}});
  for (int i = 0; i < 10; ++i) nested = tar({{"n.tar", nested}});
  EXPECT_EQ(listed(files.read("f.tar", nested)), " too_deep: 1");
}

TEST(ReaderTar, APaperIsOneDocumentWithItsParts) {
  Files files("reader_arxiv");
  const std::string bytes =
      tar({{"main.tex", "\\documentclass{a}\\begin{document}Start \\input{sec/one} \\include{two} % \\input{no}\nend\\end{document}"},
           {"sec/one.tex", "ONE \\input{sec/one}"},
           {"two.tex", "TWO"},
           {"old.tex", "unused"},
           {"fig.png", "\x89PNG\r\n\x1A\n\0\0\0\0\0\1\2\3\4"}});
  const Read read = files.read("paper.tar.gz", gzip(bytes));
  ASSERT_EQ(read.documents.size(), 1u) << read.reasons();
  EXPECT_TRUE(read.documents[0].text.starts_with("Start ONE ONE")) << read.documents[0].text;
  EXPECT_NE(read.documents[0].text.find("TWO"), std::string::npos);
  EXPECT_EQ(read.dropped("latex:not_used"), 1);
  EXPECT_EQ(read.documents[0].kind, "latex");
}

TEST(ReaderTar, WhatUnpacksToTooMuchIsCounted) {
  Files files("reader_tar_large");
  const std::string tex = "\\documentclass{a}\\begin{document}" + std::string(6'000, 'x') + "\\end{document}";
  const Read read = files.read(
      "a.tar",
      tar({{"paper.tex.gz", gzip(tex)}, {"rows.jsonl.gz", gzip("{\"text\": \"" + std::string(6'000, 'x') + "\"}\n{\"text\": \"r\"}\n")}}),
      {.max_document_bytes = 5'000});
  EXPECT_EQ(listed(read), "rows.jsonl.gz=r; too_large: 2");
}

TEST(ReaderTar, AWebDatasetsSamplesByTheirKeys) {
  Files files("reader_webdataset");
  const std::string bytes = tar({{"s/000.jpg", "JPEG"},
                                 {"s/000.txt", "a cat"},
                                 {"s/000.json", "{\"url\": \"http://x\", \"width\": 3}"},
                                 {"s/001.jpg", "JPEG"},
                                 {"s/002.txt", "a dog"},
                                 {"s/002.jpg", "JPEG2"},
                                 {"s/003.json", "{\"text\": \"in json\"}"}});
  const Read read = files.read("w.tar", bytes);
  ASSERT_EQ(read.documents.size(), 3u) << read.reasons();
  EXPECT_EQ(read.documents[0].text, "a cat");
  EXPECT_EQ(read.documents[0].kind, "webdataset");
  EXPECT_EQ(read.documents[0].url, "http://x");
  EXPECT_EQ(read.documents[0].extra["members"], Json({{"jpg", 4}}));
  EXPECT_EQ(read.documents[0].extra["key"], "s/000");
  EXPECT_EQ(read.documents[2].text, "in json");
  EXPECT_EQ(read.reasons(), "webdataset:no_text: 1");
  // Packed members, the text wherever it stands among others, and what is no member of a sample or is one twice.
  const std::string more = tar({{"0.txt.gz", gzip("packed")},
                                {"0.json.gz", gzip("{\"url\": \"u\"}")},
                                {"1.caption", "short"},
                                {"1.txt", "the text"},
                                {"1.json", "{}"},
                                {"2.txt", "once"},
                                {"2.TXT", "twice"},
                                {"2.jsonl", "{\"text\": \"x\"}"},
                                {"README", "of the archive"}});
  const Read odd = files.read("odd.tar", more, {.kind = "webdataset"});
  ASSERT_EQ(odd.documents.size(), 3u) << odd.reasons();
  EXPECT_EQ(odd.documents[0].text, "packed");
  EXPECT_EQ(odd.documents[0].url, "u");
  EXPECT_EQ(odd.documents[1].text, "the text");
  EXPECT_EQ(odd.documents[1].extra["members"], Json({{"caption", 5}}));
  EXPECT_EQ(odd.documents[2].text, "once");
  EXPECT_EQ(odd.reasons(), "webdataset:duplicate: 1, webdataset:lines: 1, webdataset:no_sample: 1");
  EXPECT_EQ(files.read("cut.tar", more.substr(0, 512 + 20), {.kind = "webdataset"}).reasons(), "truncated: 1, webdataset:no_text: 1");
  // A member's size says nothing of what it unpacks to.
  const ReadOptions small = {.kind = "webdataset", .max_document_bytes = 5'000};
  const Read large = files.read("large.tar",
                                tar({{"0.txt.gz", gzip(std::string(6'000, 'x'))},
                                     {"1.txt", std::string(6'000, 'y')},
                                     {"2.txt.zst", zstd(std::string(5'000, 'z'))},
                                     {"3.json.gz", gzip("\"" + std::string(6'000, 'j') + "\"")}}),
                                small);
  ASSERT_EQ(large.documents.size(), 1u) << large.reasons();
  EXPECT_EQ(large.documents[0].text, std::string(5'000, 'z'));
  EXPECT_EQ(large.reasons(), "too_large: 3");
  EXPECT_EQ(kind_of(files.write("code.tar", tar({{"a.c", "int a;"}, {"a.h", "int a;"}}))), "tar")
      << "a source and its header are no sample";
}

TEST(ReaderZip, EntriesAndLies) {
  Files files("reader_zip");
  EXPECT_EQ(
      listed(files.read("a.zip", zip({{"a.txt", "one"}, {"b/", "", false}, {"b/c.csv", "text\nrow\n", false}, {"../evil.txt", "x"}}))),
      "a.txt=one;c.csv=row; evil_name: 1");
  std::string lying = zip({{"a.txt", std::string(1'000, 'x')}, {"b.txt", "fine"}});
  const size_t entry = lying.find("PK\x01\x02");
  std::string smaller = lying, larger = lying, enormous = lying, crc = lying, encrypted = lying, same = lying;
  smaller[entry + 24] = 10, smaller[entry + 25] = 0;
  larger[entry + 25] = 100;
  enormous[entry + 27] = 0x7F;
  crc[entry + 16] ^= 1;
  encrypted[entry + 8] |= 1;
  const size_t second = lying.find("PK\x01\x02", entry + 4);
  for (size_t i = 0; i < 4; ++i) same[second + 42 + i] = '\0';
  EXPECT_EQ(listed(files.read("b.zip", smaller)), "b.txt=fine; zip:lying_size: 1");
  EXPECT_EQ(listed(files.read("c.zip", larger)), "b.txt=fine; zip:lying_size: 1");
  EXPECT_EQ(listed(files.read("d.zip", enormous)), "b.txt=fine; too_large: 1");
  EXPECT_EQ(listed(files.read("e.zip", crc)), "b.txt=fine; zip:checksum: 1");
  EXPECT_EQ(listed(files.read("f.zip", encrypted)), "b.txt=fine; zip:encrypted: 1");
  EXPECT_EQ(listed(files.read("g.zip", same)), " zip:overlapping: 2");
  EXPECT_EQ(listed(files.read("h.zip", lying.substr(0, lying.size() - 30))), " truncated: 1");
}

std::string book(const std::string& spine, const std::string& more = "") {
  return zip({{"mimetype", "application/epub+zip", false},
              {"META-INF/container.xml",
               "<?xml version=\"1.0\"?><container><rootfiles><rootfile full-path=\"OEBPS/content.opf\"/></rootfiles></container>"},
              {"OEBPS/text/ch%201.xhtml",
               "<html xmlns=\"x\"><head><title>no</title></head><body><h1>Two</h1><p>second&nbsp;one &eacute;</p></body></html>"},
              {"OEBPS/text/ch 2.xhtml", "<html><body><h1>One</h1><p>first</p></body></html>"},
              {"OEBPS/content.opf",
               "<package xmlns:dc=\"d\"><metadata><dc:title>A &amp; "
               "B</dc:title><dc:creator>C</dc:creator><dc:language>en</dc:language></metadata><manifest>"
               "<item id=\"a\" href=\"text/ch%25201.xhtml\" media-type=\"application/xhtml+xml\"/>"
               "<item id=\"b\" href=\"./text/../text/ch%202.xhtml\" media-type=\"application/xhtml+xml\"/>"
               "<item id=\"gone\" href=\"gone.xhtml\" media-type=\"application/xhtml+xml\"/></manifest><spine>" +
                   spine + "</spine></package>" + more}});
}

TEST(ReaderEpub, ChaptersInTheOrderOfTheSpine) {
  Files files("reader_epub");
  const Read read =
      files.read("a.epub", book("<itemref idref=\"b\"/><itemref idref=\"a\"/><itemref idref=\"a\"/><itemref idref=\"gone\"/>"));
  ASSERT_EQ(read.documents.size(), 1u) << read.reasons();
  EXPECT_EQ(read.documents[0].text, "One\n\nfirst\n\nTwo\n\nsecond\xC2\xA0one \xC3\xA9\n");
  EXPECT_EQ(read.documents[0].title, "A & B");
  EXPECT_EQ(read.documents[0].author, "C");
  EXPECT_EQ(read.reasons(), "epub:missing_chapter: 1");
  EXPECT_EQ(files.read("b.epub", zip({{"mimetype", "application/epub+zip", false}})).reasons(), "epub:no_package: 1");
}

TEST(ReaderEpub, EncryptedChaptersAreNamedAndObfuscatedFontsHarmNobody) {
  Files files("reader_epub_drm");
  const auto with = [](const std::string& algorithm, const std::string& uri) {
    return zip({{"META-INF/encryption.xml", "<encryption><enc:EncryptedData><enc:EncryptionMethod Algorithm=\"" + algorithm +
                                                "\"/><enc:CipherReference URI=\"" + uri + "\"/></enc:EncryptedData></encryption>"},
                {"c.opf",
                 "<item id=\"a\" href=\"a.html\" media-type=\"text/HTML\"/><item id=\"b\" href=\"b.xhtml\" "
                 "media-type=\"application/xml\"/><item id=\"n\" href=\"n.html\" media-type=\"text/html\" properties=\"nav\"/>"
                 "<itemref idref=\"n\"/><itemref idref=\"a\"/><itemref idref=\"b\"/>"},
                {"a.html", "<p>one</p>"},
                {"b.xhtml", "<p>two</p>"},
                {"n.html", "contents"}});
  };
  const Read drm = files.read("a.epub", with("http://www.w3.org/2001/04/xmlenc#aes128-cbc", "a.html"));
  EXPECT_EQ(listed(drm), "a.epub=two\n; epub:encrypted: 1");
  EXPECT_EQ(listed(files.read("b.epub", with("http://www.idpf.org/2008/embedding", "font.ttf"))), "b.epub=one\n\ntwo\n; ");
}

TEST(ReaderEpub, TheRealBook) {
  const std::string path = data_file("epub/debian-policy.epub");
  if (path.empty()) GTEST_SKIP() << "no epub/debian-policy.epub (set R1_DATA)";
  const Read read = read_file(path);
  ASSERT_EQ(read.documents.size(), 1u) << read.reasons();
  EXPECT_EQ(read.documents[0].title, "Debian Policy Manual");
  EXPECT_GT(read.documents[0].text.size(), 400'000u);
  EXPECT_NE(read.documents[0].text.find("The Debian archive"), std::string::npos);
  EXPECT_EQ(read.documents[0].text.find("</"), std::string::npos);
  EXPECT_EQ(read.reasons(), "");
}

TEST(ReaderTar, TheRealZipOfPictures) {
  const std::string path = data_file("photos/tuxpaint_stamps.zip");
  if (path.empty()) GTEST_SKIP() << "no photos/tuxpaint_stamps.zip (set R1_DATA)";
  const Read read = read_file(path);
  EXPECT_GE(read.documents.size(), 166u) << read.reasons();
  EXPECT_GE(read.dropped("unknown_kind"), 166) << read.reasons();
}

}  // namespace
}  // namespace r1::corpus
