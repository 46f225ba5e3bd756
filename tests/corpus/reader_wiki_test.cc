// MediaWiki dumps and their markup, StackExchange's posts, and the XML reader under both.
#include <gtest/gtest.h>

#include <regex>

#include "r1/corpus/wikitext.h"
#include "r1/corpus/xml_reader.h"
#include "tests/corpus/reader_support.h"

namespace r1::corpus {
namespace {

using namespace std::literals;

TEST(XmlReader, TagsTextAndWhatIsNeither) {
  Input in = Input::memory(
      "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a \"b\">]><!-- <c> --><x:r a='1 &gt; 2' b=\"&#65;\"/><t>a&amp;b<![CDATA[<d>]]></t>", "x");
  XmlReader xml(in, 1'000);
  std::string out;
  for (XmlReader::Event e; xml.next(e);) {
    out += std::string(e.kind == XmlReader::Kind::kOpen ? "<" : e.kind == XmlReader::Kind::kClose ? "/" : "'") + e.name + e.text;
    for (const auto& [name, value] : e.attributes) out += " " + name + "=" + value;
    out += e.empty ? "!" : ";";
  }
  EXPECT_EQ(out, "<r a=1 > 2 b=A!<t;'a&b;'<d>;/t;");
  EXPECT_TRUE(xml.declared_entities());
}

TEST(Wikitext, WhatAReaderWouldRead) {
  const auto text = [](std::string_view wiki) { return text_of_wikitext(wiki); };
  EXPECT_EQ(text("'''Bold''' and ''it'' [[Link]] [[target|shown]]s [[a (b)|]] [[:Category:C]].\n"),
            "Bold and it Link showns a Category:C.\n");
  EXPECT_EQ(text("{{Infobox|a={{b|{{c}}}}\n|d=[[e]]}}Text{{cite|x}}.<ref name=\"a\">r [[x]]</ref><ref name=b />{{Reflist}}"), "Text.\n");
  EXPECT_EQ(text("A\n{| class=x\n|-\n| a || {{b}}\n{| \n| nested\n|}\n|}\nB"), "A\n\nB\n");
  EXPECT_EQ(text("x[[File:a.jpg|thumb|A [[caption]] with {{x}}]]y [[Category:Z]] [[de:Seite]]"), "xy\n");
  EXPECT_EQ(text("[http://a b c] [http://d] {{lang|fr|mot}} {{convert|5|km|mi}} {{nowrap|a b}}{{snd}}c"),
            "b c mot 5 km a b \xE2\x80\x93 c\n");
  EXPECT_EQ(text("== H ==\ntext\n=== Empty ===\n== Also empty ==\n{{x}}\n== Last ==\n* one\n** two\n# three\n:indented\n"),
            "H\n\ntext\n\nLast\n\n- one\n  - two\n- three\n\nindented\n");
  EXPECT_EQ(text("<math>a^2 < b</math> <nowiki>[[x]] ''y''</nowiki> <code>{{z}}</code>\n<syntaxhighlight lang=c>\nint a[2] = "
                 "{{1}};\n</syntaxhighlight>"),
            "$a^2 < b$ [[x]] ''y'' `{{z}}`\n\n```\nint a[2] = {{1}};\n```\n");
  EXPECT_EQ(text("Born ({{IPA|x}}, 1 May) in (''{{x}}'') Rome ( ).<!-- c\nd --> &nbsp;&ndash; __NOTOC__\n__TOC__"),
            "Born (1 May) in Rome. \xC2\xA0\xE2\x80\x93 __NOTOC__\n");
  EXPECT_EQ(text("never {{closed [[or this\n\nnext <ref>and"), "never closed or this\n\nnext and\n");
  EXPECT_EQ(text_of_wikitext("a [[Файл:x.jpg|thumb]] b", {.silent = {"\xD0\xA4\xD0\xB0\xD0\xB9\xD0\xBB"}}), "a b\n");
}

TEST(Wikitext, NestingCostsNothing) {
  for (const std::string_view part :
       {"{{", "[[", "{{{", "[[a|", "{{nowrap|", "<math>", "<ref>", "<", "\n{|", "<!--", "''", "{{a|[[b|", "}}", "]]", "[http://"}) {
    std::string text;
    for (int i = 0; i < 100'000; ++i) text += part;
    EXPECT_LE(text_of_wikitext(text).size(), text.size() + 10) << part;
  }
  std::string closed;
  for (int i = 0; i < 100'000; ++i) closed += "{{nowrap|";
  for (int i = 0; i < 100'000; ++i) closed += "}}";
  EXPECT_EQ(text_of_wikitext("a" + closed + "b"), "ab\n");
}

std::string page(const std::string& title, const std::string& text, const std::string& more = "", int ns = 0) {
  return "<page><title>" + title + "</title><ns>" + std::to_string(ns) + "</ns><id>7</id>" + more +
         "<revision><id>8</id><timestamp>2020-01-01T00:00:00Z</timestamp><model>wikitext</model><text xml:space=\"preserve\">" + text +
         "</text></revision></page>\n";
}
const std::string kHead =
    "<mediawiki xml:lang=\"de\"><siteinfo><base>https://de.wikipedia.org/wiki/Start</base><namespaces><namespace "
    "key=\"6\">Datei</namespace></namespaces></siteinfo>\n";

TEST(ReaderWikipedia, ArticlesAndTheRest) {
  Files files("reader_wiki");
  const std::string dump = kHead + page("A &amp; B", "''One'' &amp;amp; [[Datei:x.jpg]]two") +
                           page("R", "#REDIRECT [[A]]", "<redirect title=\"A\"/>") + page("T", "x", "", 10) + page("E", "{{x}}") +
                           page("C", "three") + "</mediawiki>";
  for (const auto& [name, bytes] : {std::pair{"a.xml"s, dump}, {"a.xml.bz2", bzip2(dump.substr(0, 300)) + bzip2(dump.substr(300))}}) {
    const Read read = files.read(name, bytes);
    ASSERT_EQ(read.documents.size(), 2u) << read.reasons();
    const Document& d = read.documents[0];
    EXPECT_EQ(d.text, "One & two\n");
    EXPECT_EQ(d.title, "A & B");
    EXPECT_EQ(d.url, "https://de.wikipedia.org/wiki/A_&_B");
    EXPECT_EQ(d.language, "de");
    EXPECT_EQ(d.offset, int64_t(kHead.size()));
    EXPECT_EQ(d.extra, Json({{"id", "7"}}));
    EXPECT_EQ(read.reasons(), "empty: 1, wiki:namespace: 1, wiki:redirect: 1");
  }
}

TEST(ReaderWikipedia, DamageCostsAPage) {
  Files files("reader_wiki_broken");
  const auto titles = [&](const std::string& name, const std::string& bytes) {
    const Read read = files.read(name, bytes);
    std::string out;
    for (const Document& d : read.documents) out += d.title;
    return out + " " + read.reasons();
  };
  const std::string b = page("B", "two");
  EXPECT_EQ(titles("a.xml", kHead + page("A", "one") + b.substr(0, b.size() / 2) + page("C", "three")), "AC broken_record: 1");
  EXPECT_EQ(titles("b.xml", kHead + page("A", "one") + b.substr(0, b.size() / 2)), "A truncated: 1");
  EXPECT_EQ(titles("c.xml", kHead + page("A", "one") + "<page <broken a=\"" + b + page("C", "three")), "ABC broken_record: 1")
      << "a quote that never closes";
  std::string bomb = "<!DOCTYPE m [<!ENTITY a \"aaaaaaaaaa\">";
  for (char c = 'b'; c < 'k'; ++c) bomb += "<!ENTITY "s + c + " \"&" + char(c - 1) + ";&" + char(c - 1) + ";&" + char(c - 1) + ";\">";
  EXPECT_EQ(titles("d.xml", bomb + "]>" + kHead + page("A", "&j;") + page("C", "three")), "AC xml:entities: 1");
  EXPECT_NE(titles("e.xml", kHead + page("A", "<a>" + std::string(100'000, '<') + "</a>") + page("C", "three")).find("C"),
            std::string::npos);
  std::string damaged = bzip2(page("X", std::string(2'000, 'x')));
  for (size_t i = 20; i < damaged.size(); ++i) damaged[i] = char(i * 31);
  EXPECT_EQ(titles("f.xml.bz2", bzip2(kHead + page("A", "one")) + damaged + bzip2(page("C", "three"))), "AC damaged_packing: 1");
}

TEST(ReaderWikipedia, TheRealDumps) {
  const std::string folder = data_file("wikidump");
  if (folder.empty()) GTEST_SKIP() << "no wikidump (set R1_DATA)";
  const Json golden = parse_json_file(R1_SOURCE_DIR "/tests/golden/corpus_readers.json")["wikidump"];
  for (const auto& [name, expected] : golden.items()) {
    const Read read = read_file(folder + "/" + name);
    Json got = Json::array();
    for (const Document& d : read.documents) {
      got.push_back(d.title);
      const std::string text = std::regex_replace(d.text, std::regex("\\$[^$\n]{1,400}\\$"), "");  // mathematics has braces of its own
      for (const char* left : {"{{", "}}", "[[", "]]", "<ref", "'''", "{|"})
        EXPECT_EQ(text.find(left), std::string::npos) << name << " " << d.title << " has " << left;
    }
    EXPECT_EQ(got, expected["articles"]) << name << " " << read.reasons();
    EXPECT_EQ(int64_t(read.documents.size()) + read.counts.documents_in(), expected["pages"].get<int64_t>()) << name;
    EXPECT_EQ(read.dropped("wiki:redirect"), expected["redirects"].get<int64_t>()) << name;
  }
}

std::string row(const std::string& attributes) {
  return "  <row " + attributes + " />\n";
}

TEST(ReaderStackExchange, AQuestionWithItsAnswers) {
  Files files("reader_stack");
  std::string posts = "\xEF\xBB\xBF<?xml version=\"1.0\"?>\n<posts>\n";
  posts +=
      row("Id=\"1\" PostTypeId=\"1\" AcceptedAnswerId=\"4\" Score=\"5\" Title=\"T &amp; t\" Body=\"&lt;p&gt;Why "
          "&amp;lt;b&amp;gt;?&lt;/p&gt;\" Tags=\"&lt;a&gt;&lt;b-c&gt;\" AnswerCount=\"3\" ContentLicense=\"CC BY-SA 4.0\"");
  posts += row("Id=\"2\" PostTypeId=\"1\" Body=\"alone\" AnswerCount=\"0\"");
  posts += row("Id=\"3\" PostTypeId=\"2\" ParentId=\"1\" Score=\"2\" Body=\"low\"");
  posts += row("Id=\"4\" PostTypeId=\"2\" ParentId=\"1\" Score=\"-1\" Body=\"accepted\"");
  posts += "  <row Id=\"9\" PostTypeId=\"2\" ParentId=\"1\" Body=\"broken off\n";
  posts += row("Id=\"5\" PostTypeId=\"2\" ParentId=\"1\" Score=\"9\" Body=\"high\"");
  posts += row("Id=\"6\" PostTypeId=\"2\" ParentId=\"99\" Body=\"of nothing\"") + row("Id=\"7\" PostTypeId=\"4\" Body=\"wiki\"") +
           row("Id=\"8\" PostTypeId=\"1\" Body=\"unanswered\" AnswerCount=\"2\"");
  const Read read = files.read("Posts.xml", posts + "</posts>");
  ASSERT_EQ(read.documents.size(), 3u) << read.reasons();
  EXPECT_EQ(read.documents[0].text, "alone\n");
  EXPECT_EQ(read.documents[1].text, "T & t\n\nWhy <b>?\n\naccepted\n\nhigh\n\nlow\n");
  EXPECT_EQ(read.documents[1].licence, "CC-BY-SA-4.0");
  EXPECT_EQ(read.documents[1].extra["tags"], Json({"a", "b-c"}));
  EXPECT_EQ(read.documents[1].extra["answers"][0]["accepted"], true);
  EXPECT_EQ(read.documents[2].text, "unanswered\n");
  EXPECT_EQ(read.reasons(), "broken_record: 1, stackexchange:late_answer: 1, stackexchange:other_post: 1");
}

TEST(ReaderStackExchange, AQuestionThatDoesNotCountItsAnswersHasThemAll) {
  Files files("reader_stack_uncounted");
  const Read read = files.read("Posts.xml", "<posts>" + row("Id=\"1\" PostTypeId=\"1\" AcceptedAnswerId=\"3\" Body=\"How?\"") +
                                                row("Id=\"2\" PostTypeId=\"2\" ParentId=\"1\" Score=\"5\" Body=\"high\"") +
                                                row("Id=\"3\" PostTypeId=\"2\" ParentId=\"1\" Body=\"accepted\"") + "</posts>");
  ASSERT_EQ(read.documents.size(), 1u) << read.reasons();
  EXPECT_EQ(read.documents[0].text, "How?\n\naccepted\n\nhigh\n");
}

TEST(ReaderStackExchange, TheRealSite) {
  const std::string path = data_file("stackexchange/coffee.Posts.xml.gz");
  if (path.empty()) GTEST_SKIP() << "no stackexchange/coffee.Posts.xml.gz (set R1_DATA)";
  const Json golden = parse_json_file(R1_SOURCE_DIR "/tests/golden/corpus_readers.json")["stackexchange"];
  const Read read = read_file(path);
  EXPECT_EQ(int64_t(read.documents.size()), golden["questions"].get<int64_t>()) << read.reasons();
  int64_t answers = 0;
  for (const Document& d : read.documents) answers += int64_t(d.extra["answers"].size());
  EXPECT_EQ(answers, golden["answers"].get<int64_t>());
  EXPECT_EQ(answers + int64_t(read.documents.size()) + read.counts.documents_in(), 592);
}

}  // namespace
}  // namespace r1::corpus
