// Files that are one document: text, Markdown, code, HTML, LaTeX, Gutenberg, subtitles, manual pages, PDF; encodings; what no reader takes.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "r1/base/error.h"
#include "r1/corpus/encoding.h"
#include "r1/corpus/licence.h"
#include "r1/corpus/markup.h"
#include "tests/corpus/reader_support.h"
#include "tests/environment_variable.h"
#include "tests/message_of.h"

namespace r1::corpus {
namespace {

using namespace std::literals;

std::string only_text(const Read& read) {
  return read.documents.size() == 1 ? read.documents[0].text : read.reasons();
}

TEST(Encoding, WhatIsDeclaredElseUtf8ElseWindows1252) {
  EXPECT_EQ(to_utf8("\xEF\xBB\xBFx"), "x");
  EXPECT_EQ(to_utf8("\xFF\xFEg\0\xFC\0"sv), "g\xC3\xBC");
  EXPECT_EQ(to_utf8("\xFE\xFF\0g\xD8\x3D\xDE\x00"sv), "g\xF0\x9F\x98\x80");
  EXPECT_EQ(to_utf8("\xFF\xFE\x00\xD8x\0"sv), "\xEF\xBF\xBDx") << "half of a pair";
  EXPECT_EQ(to_utf8("\xFF\xFE\0\0x\0\0\0"sv), "x");
  EXPECT_EQ(to_utf8("\xE9\x80"), "\xC3\xA9\xE2\x82\xAC");
  EXPECT_EQ(to_utf8("\xE9", "KOI8-R"), "\xD0\x98");
  EXPECT_EQ(to_utf8("\xB0\xA1", "ks_c_5601-1987"), "\xEA\xB0\x80");
  EXPECT_EQ(to_utf8("\x1B$B$\"\x1B(B", "iso-2022-jp"), "\xE3\x81\x82");
  EXPECT_EQ(to_utf8("\xA4\xFFx", "gbk").substr(0, 3), "\xEF\xBF\xBD") << "what cannot be decoded";
  EXPECT_EQ(to_utf8("x", "utf-16"), "x") << "ASCII that says it is UTF-16";
  EXPECT_EQ(encoding_of(" Latin1 "), "windows-1252");
  EXPECT_EQ(encoding_of("utf-7"), "") << "not one of the standard's";
  EXPECT_EQ(charset_of_content_type("text/html; Charset = \"UTF-8\"; x=y"), "utf-8");
  EXPECT_EQ(charset_of_markup("<?xml version='1.0' encoding='ISO-8859-2'?>"), "iso-8859-2");
  EXPECT_EQ(charset_of_markup("<META http-equiv=content-type content=\"text/html; charset=big5\">"), "big5");
  // one damaged place in much that is right does not make a text Latin
  std::string greek;
  for (int i = 0; i < 100; ++i) greek += "\xCE\xB1\xCE\xB2 ";
  EXPECT_EQ(to_utf8(greek + "\xCE", "utf-8"), greek + "\xEF\xBF\xBD");
}

TEST(Markup, IsReadAsAReaderSeesIt) {
  EXPECT_EQ(text_of_markup("<p>One <b>two</b>\n three.</p><p>Four<br/>five</p>"), "One two three.\n\nFour\nfive");
  EXPECT_EQ(text_of_markup("<h1>H</h1><ul><li><p>a</p></li><li>b<ul><li>c</li></ul></li></ul><ol><li>d<li>e</ol>f"),
            "H\n\n- a\n- b\n  - c\n\n1. d\n2. e\n\nf");
  EXPECT_EQ(text_of_markup("a<pre><code>x = 1\n  y &lt; 2\n</code></pre>b <code>z</code>."), "a\n\n```\nx = 1\n  y < 2\n```\n\nb `z`.");
  EXPECT_EQ(text_of_markup("<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>"), "a\tb\n1\t2");
  EXPECT_EQ(text_of_markup("a<script>if (a < b) x('</p>')</script>b<!-- c --><style>p{}</style>d<img alt='e' src=x>"), "abde");
  EXPECT_EQ(text_of_markup("1 < 2 &amp; 3 > 2 &copy; &#8364; &#x41;&#128; &nosuch; &amp;lt;"),
            "1 < 2 & 3 > 2 \xC2\xA9 \xE2\x82\xAC A\xE2\x82\xAC &nosuch; &lt;");
  EXPECT_EQ(text_of_markup("<a href=\"x>y\">in</a> <p class='unclosed>quote</p>out"), "in\n\nquote\n\nout");
  EXPECT_EQ(text_of_markup("x<![CDATA[<y>]]>z<?php ?>"), "x<y>z");
  // as deep as it likes, as broken as it likes
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "<div><ul><li>";
  EXPECT_NE(text_of_markup(deep + "end").find("end"), std::string::npos);
  EXPECT_EQ(text_of_markup("<script>" + deep), "");
}

TEST(ReaderText, TextAsItIsInWhateverItIsPacked) {
  Files files("reader_text");
  const std::string text = "\xEF\xBB\xBFGr\xC3\xBC\xC3\x9F\x65\r\nzwei\rdrei";
  const std::string plain = "Gr\xC3\xBC\xC3\x9F\x65\nzwei\ndrei";
  EXPECT_EQ(only_text(files.read("a.txt", text)), plain);
  EXPECT_EQ(only_text(files.read("a.txt.gz", gzip(text))), plain);
  EXPECT_EQ(only_text(files.read("a.txt.zst", zstd(text))), plain);
  EXPECT_EQ(only_text(files.read("a.txt.bz2", bzip2(text))), plain);
  EXPECT_EQ(only_text(files.read("a.txt.xz", xz(text))), plain);
  EXPECT_EQ(only_text(files.read("a", "Gr\xFC\xDF\x65")), "Gr\xC3\xBC\xC3\x9F\x65");
  EXPECT_EQ(only_text(files.read("a.txt", "\xFF\xFEG\0r\0\xFC\0"sv)), "Gr\xC3\xBC");
  const std::string letters(100, 'l');
  EXPECT_EQ(only_text(files.read("a.txt", "a\0b"s + letters)), "ab" + letters) << "a zero in a text";
  ReadOptions as_text;
  as_text.kind = "text";
  EXPECT_EQ(only_text(files.read("a.txt", "\x7F\0\0\0\1\2\3\4\5\6\0\0\0\0\0"sv, as_text)), "binary: 1");
  EXPECT_EQ(only_text(files.read("a.txt", "")), "");
  EXPECT_EQ(only_text(files.read("a.txt", " \n\n")), "empty: 1");
  EXPECT_EQ(only_text(files.read("a.txt.gz", gzip(text).substr(0, 10))), "truncated: 1");
}

TEST(ReaderText, LargeTextsAreCutAndLinesThatAreTooLongDropped) {
  Files files("reader_large");
  ReadOptions options;
  options.max_document_bytes = 1'000;
  std::string text;
  for (int i = 0; i < 100; ++i) text += "Paragraph " + std::to_string(i) + " " + std::string(40, 'x') + "\nand its end.\n\n";
  const Read read = files.read("large.txt", text, options);
  ASSERT_GT(read.documents.size(), 5u);
  std::string together;
  for (const Document& d : read.documents) {
    EXPECT_EQ(size_t(d.offset), together.size());
    EXPECT_LE(d.text.size(), 1'100u);
    if (&d != &read.documents.back()) {
      EXPECT_TRUE(d.text.ends_with("\n\n"));
    }
    together += d.text;
  }
  EXPECT_EQ(together, text);
  const Read line = files.read("line.txt.gz", gzip("a\n" + std::string(50'000'000, 'x') + "\nb\n"));
  ASSERT_EQ(line.documents.size(), 2u) << line.reasons();
  EXPECT_EQ(line.documents[0].text, "a\n");
  EXPECT_EQ(line.documents[1].text, "b\n");
  EXPECT_EQ(line.reasons(), "too_large: 1");
}

TEST(ReaderText, ABombEndsWhereItIsKnown) {
  Files files("reader_bomb");
  // 512 MiB of zeros in half a megabyte, made of members
  std::string member = gzip(std::string(16 << 20, 'x')), bomb;
  for (int i = 0; i < 32; ++i) bomb += member;
  const Read read = files.read("bomb.txt.gz", bomb);
  EXPECT_EQ(read.documents.size(), 0u);
  EXPECT_EQ(read.reasons(), "bomb: 1, too_large: 1");
}

TEST(ReaderText, MarkdownCodeAndHtml) {
  Files files("reader_code");
  const Read md = files.read("a.md", "---\ntitle: \"A: b\"\nlang: en\n---\n\n# Head\n\ntext\n");
  EXPECT_EQ(only_text(md), "# Head\n\ntext\n");
  EXPECT_EQ(md.documents[0].title, "A: b");
  EXPECT_EQ(md.documents[0].language, "en");
  EXPECT_EQ(files.read("b.md", "# Head\nx").documents[0].title, "Head");
  const Read html = files.read("a.html", "<!DOCTYPE html><meta charset=latin1><title>x</title>\xE9");
  EXPECT_EQ(html.documents[0].kind, "html");
  EXPECT_EQ(html.documents[0].extra, Json({{"html", true}}));
  EXPECT_TRUE(html.documents[0].text.ends_with("\xC3\xA9"));

  files.write("tree/LICENSE",
              "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy\nof this software ... subject "
              "to:\nThe above copyright notice and this permission notice shall be included");
  files.write("tree/.git/config", "x");
  files.write("tree/src/a.py", "print(1)\n");
  files.write("tree/src/b.rs", "// SPDX-License-Identifier: Apache-2.0 OR MIT\nfn main() {}\n");
  files.write("tree/third/COPYING", "GNU GENERAL PUBLIC LICENSE\n Version 2, June 1991\n");
  files.write("tree/third/c.c", "int x;\n");
  files.write("tree/third/blob.bin", "\0\1\2\3\0\0\0"sv);
  files.write("tree/Makefile", "all:\n");
  const auto reader = open_readers({files.path() + "/tree"});
  const Read tree = read_all(*reader);
  std::string got;
  for (const Document& d : tree.documents)
    got += d.source.substr(files.path().size() + 6) + " " +
           (d.extra.is_object() && d.extra.contains("code") ? d.extra["code"].get<std::string>() : d.kind) + " " + d.licence + "\n";
  EXPECT_EQ(got,
            "LICENSE text \nMakefile Makefile MIT\nsrc/a.py Python MIT\nsrc/b.rs Rust Apache-2.0 OR MIT\nthird/COPYING text \nthird/c.c C "
            "GPL-2.0\n");
  EXPECT_EQ(tree.reasons(), "unknown_kind: 1");
}

TEST(ReaderText, Latex) {
  Files files("reader_latex");
  const std::string paper = R"(\documentclass{article} % \title{no}
\title{On \emph{Things}}\author{A. Author}
\newcommand{\x}{y}
\begin{document}\maketitle
\begin{abstract}We show~that 50\% of $x^2 % comment
+1$ hold~\cite{a,b}.\end{abstract}
\section{Intro}\label{s:i}
G\"odel, Erd\H{o}s and na\"{\i}ve ``quotes'' --- \textbf{bold \textit{both}}\footnote{no}.
% a whole line
\begin{equation}\label{e}
a_{ij} = \frac{1}{2}
\end{equation}
\begin{itemize}\item one \item[b)] two\end{itemize}
\begin{figure}\includegraphics{x}\caption{A \emph{picture}.}\end{figure}
\begin{verbatim}
  if (x % 2)  {}
\end{verbatim}
\begin{thebibliography}{9}\bibitem{a} X\end{thebibliography}
\end{document} after)";
  const Read read = files.read("a.tex", paper);
  ASSERT_EQ(read.documents.size(), 1u);
  EXPECT_EQ(read.documents[0].title, "On Things");
  EXPECT_EQ(read.documents[0].author, "A. Author");
  EXPECT_EQ(read.documents[0].text,
            "On Things\n\nWe show that 50% of $x^2 +1$ hold .\n\nIntro\n\n"
            "G\xC3\xB6"
            "del, Erd\xC5\x91s and na\xC3\xAFve \xE2\x80\x9Cquotes\xE2\x80\x9D \xE2\x80\x94 bold both.\n\n"
            "\\begin{equation}\\label{e}\na_{ij} = \\frac{1}{2}\n\\end{equation}\n\n- one\n- b) two\n\nA picture.\n\n```\n  if (x % 2)  "
            "{}\n```\n");
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "\\cite{\\section{\\[";
  EXPECT_EQ(files.read("b.tex", "\\documentclass{x}\\begin{document}" + deep + "end").documents.size(), 1u);
}

TEST(ReaderText, GutenbergSubtitlesAndManualPages) {
  Files files("reader_small");
  const Read book = files.read("pg1.txt",
                               "The Project Gutenberg eBook of A\r\n\r\nTitle: A Book\r\nAuthor: B. C.\r\nRelease date: May 1, 2001 [eBook "
                               "#1]\r\nLanguage: English\r\n\r\n"
                               "*** START OF THE PROJECT GUTENBERG EBOOK A ***\r\n\r\nProduced by X\r\n\r\nChapter I\r\n\r\nIt was.\r\n\r\n"
                               "*** END OF THE PROJECT GUTENBERG EBOOK A ***\r\nlicence\r\n");
  EXPECT_EQ(only_text(book), "Chapter I\n\nIt was.\n");
  EXPECT_EQ(book.documents[0].kind, "gutenberg");
  EXPECT_EQ(book.documents[0].title, "A Book");
  EXPECT_EQ(book.documents[0].date, "May 1, 2001");
  EXPECT_EQ(only_text(files.read("a.srt",
                                 "1\r\n00:00:01,000 --> 00:00:02,000\r\n<i>One</i> &amp; {\\an8}two\r\n\r\n2\r\n00:00:03,000 --> "
                                 "00:00:04,000\r\n1984\r\nwas a year\r\n")),
            "One & two\n1984\nwas a year\n");
  EXPECT_EQ(only_text(files.read("a.vtt",
                                 "WEBVTT\nKind: captions\nLanguage: en\n\nNOTE not\nsaid\n\nSTYLE\n::cue {}\n\nname\n00:01.000 --> "
                                 "00:02.000 align:start\n<v Ann>Hello\n\n00:02.000 --> 00:03.000\nHello\nthere\n")),
            "Hello\nthere\n");
  EXPECT_EQ(files.read("b.srt", "no cue at all\n").reasons(), "subtitles:no_cue: 1");
  const Read man = files.read("x.1",
                              ".\\\" comment\n.TH XCMD 1 \"2020\"\n.SH NAME\nxcmd \\- do \\fIthings\\fP\n.SH OPTIONS\n.TP\n.BR \\-a \", \" "
                              "\\-\\-all\nEverything,\nreally.\n.nf\n  as  is\n.fi\n");
  EXPECT_EQ(only_text(man), "NAME\n\nxcmd - do things\n\nOPTIONS\n\n-a, --all\nEverything, really.\n\n  as  is\n");
  EXPECT_EQ(man.documents[0].title, "xcmd(1)");
  const Read mdoc = files.read("y.8.gz", gzip(".Dd January 1, 2020\n.Dt YCMD 8\n.Os\n.Sh NAME\n.Nm ycmd\n.Nd does it\n.Sh "
                                              "SYNOPSIS\n.Nm\n.Op Fl v\n.Ar file\n.Sh SEE ALSO\n.Xr ls 1\n"));
  EXPECT_EQ(only_text(mdoc), "NAME\n\nycmd \xE2\x80\x93 does it\n\nSYNOPSIS\n\nycmd [-v] file\n\nSEE ALSO\n\nls(1)\n");
}

TEST(ReaderText, PdfNeedsItsProgram) {
  Files files("reader_pdf");
  const std::string pdf = files.write("a.pdf", "%PDF-1.4\nhello");
  {
    const EnvironmentVariable none("PATH", files.path());
    EXPECT_NE(message_of([&] { open_reader(pdf); }).find("install poppler-utils"), std::string::npos);
  }
  const std::string program = files.write(
      "bin/pdftotext",
      "#!/bin/sh\ncase \"$(cat \"$4\")\" in *hang*) sleep 1000;; *bad*) exit 1;; esac\ntail -c 5 \"$4\"\nprintf '\\fpage two'\n");
  chmod(program.c_str(), 0755);
  const EnvironmentVariable path("PATH", files.path() + "/bin:/usr/bin:/bin");
  EXPECT_EQ(only_text(read_file(pdf)), "hello\npage two");
  EXPECT_EQ(only_text(files.read("b.pdf", "%PDF-1.4\nbad")), "pdf:broken: 1");
}

TEST(ReaderText, WhatNoReaderTakesIsNamedWithAWayOut) {
  Files files("reader_refused");
  const auto error = [&](const std::string& name, std::string_view bytes) { return message_of([&] { files.read(name, bytes); }); };
  EXPECT_NE(error("t.docx", zip({{"[Content_Types].xml", "x"}})).find("Office"), std::string::npos);
  EXPECT_NE(error("t.7z", "7z\xBC\xAF\x27\x1C").find(".tar.zst"), std::string::npos);
  EXPECT_NE(error("t.bin", "\0\1\2\3\4\5"sv).find("nothing here reads"), std::string::npos);
  EXPECT_NE(message_of([&] { open_reader(files.path() + "/absent"); }).find("cannot open"), std::string::npos);
  EXPECT_NE(message_of([&] { open_readers({files.path() + "/*.nothing"}); }).find("no file fits"), std::string::npos);
  ReadOptions options;
  options.kind = "warcc";
  EXPECT_NE(message_of([&] { open_readers({files.path()}, options); }).find("there are: warc, text"), std::string::npos);
  EXPECT_EQ(kind_of(files.write("x.json", "[]")), "json");
  EXPECT_GE(reader_kinds().size(), 23u);
}

TEST(ReaderText, PatternsAndFoldersInOrder) {
  Files files("reader_folders");
  for (const char* name : {"b.txt", "a.txt", ".hidden.txt", "sub/c.md", ".dot/d.txt"}) files.write(name, name);
  const auto names = [&](const std::vector<std::string>& named) {
    const auto reader = open_readers(named);
    std::string out;
    for (const Document& d : read_all(*reader).documents) out += d.text + " ";
    return out;
  };
  EXPECT_EQ(names({files.path()}), "a.txt b.txt sub/c.md ");
  EXPECT_EQ(names({files.path() + "/{b,a}.txt", files.path() + "/sub/*"}), "a.txt b.txt sub/c.md ");
  // A link to a folder is a folder, but for one that the link lies in.
  std::filesystem::create_directory_symlink("sub", files.path() + "/zlink");
  std::filesystem::create_directory_symlink("..", files.path() + "/sub/up");
  std::filesystem::create_symlink("a.txt", files.path() + "/y.txt");
  EXPECT_EQ(names({files.path()}), "a.txt b.txt sub/c.md a.txt sub/c.md ");
}

TEST(ReaderText, TinyShakespeareIsTheFile) {
  const std::string path = data_file("tinyshakespeare/input.txt");
  if (path.empty()) GTEST_SKIP() << "no tinyshakespeare/input.txt (set R1_DATA)";
  const Read read = read_file(path);
  ASSERT_EQ(read.documents.size(), 1u);
  EXPECT_EQ(read.documents[0].text.size(), 1'115'394u);
}

TEST(ReaderText, NewsPagesAreHandedOnAsHtml) {
  const std::string folder = data_file("html_articles/html");
  if (folder.empty()) GTEST_SKIP() << "no html_articles (set R1_DATA)";
  const auto reader = open_readers({folder});
  const Read read = read_all(*reader);
  EXPECT_EQ(read.documents.size(), 50u) << read.reasons();
  for (const Document& d : read.documents) {
    EXPECT_EQ(d.kind, "html");
    EXPECT_FALSE(d.title.empty()) << d.source;
  }
}

}  // namespace
}  // namespace r1::corpus
