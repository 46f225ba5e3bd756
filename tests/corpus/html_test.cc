#include "r1/corpus/html.h"

#include <gtest/gtest.h>
#include <gumbo.h>

#include "r1/corpus/encoding.h"
#include "r1/corpus/html_entities.h"
#include "r1/corpus/html_tree.h"
#include "r1/text/unicode.h"

namespace r1::corpus {
namespace {

const std::string kProse =
    "The river rose in the night, and by morning the lower fields were under water; nobody had expected it so early in the year. ";
std::string paragraphs(int n) {
  std::string all;
  for (int i = 0; i < n; ++i) all += "<p>Paragraph " + std::to_string(i) + ". " + kProse + "</p>\n";
  return all;
}
bool has(const std::string& text, std::string_view part) {
  return text.find(part) != text.npos;
}

// Text in document order, scripts and the like left out: ours and gumbo's.
std::string words_of(const HtmlTree& tree) {
  std::string all;
  std::vector<char> skip(size_t(tree.size()), 0);
  for (int32_t i = 1; i < tree.size(); ++i) {
    const Tag t = tree[i].tag;
    skip[size_t(i)] = skip[size_t(tree[i].parent)] || t == Tag::kScript || t == Tag::kStyle || t == Tag::kTitle || t == Tag::kTextarea ||
                      t == Tag::kNoscript || t == Tag::kIframe;
    if (t == Tag::kText && !skip[size_t(i)]) append_unescaped(all, tree[i].text);
  }
  return all;
}
void gumbo_words(const GumboNode* node, std::string& all) {
  if (node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_WHITESPACE || node->type == GUMBO_NODE_CDATA) all += node->v.text.text;
  if (node->type != GUMBO_NODE_ELEMENT) return;
  const GumboTag t = node->v.element.tag;
  if (t == GUMBO_TAG_SCRIPT || t == GUMBO_TAG_STYLE || t == GUMBO_TAG_TITLE || t == GUMBO_TAG_TEXTAREA || t == GUMBO_TAG_NOSCRIPT ||
      t == GUMBO_TAG_IFRAME)
    return;
  for (unsigned i = 0; i < node->v.element.children.length; ++i)
    gumbo_words(static_cast<GumboNode*>(node->v.element.children.data[i]), all);
}
std::string without_blanks(const std::string& s) {
  std::string out;
  for (char c : s)
    if (c != ' ' && c != '\n' && c != '\t' && c != '\r' && c != '\f') out += c;
  return out;
}

TEST(HtmlTree, HasTheTextThatGumboHas) {
  for (const std::string& page : {
           std::string("<p>a<p>b<li>c<li>d<table><tr><td>e<td>f<tr><td>g</table>h"),
           std::string("<!doctype html><html lang=en><head><title>T</title><meta charset=utf-8></head><body class='x y'>a &amp; b "
                       "&lt;c&gt; &copy; &notit; &#x41;&#66</body></html>after"),
           std::string("a<!-- c --><!-->b<!--->d<!x>e<?php f ?>g</x>h<3 i < j"),
           std::string("<script>if (a < b) '</div>'</script>x<style>p{}</style>y<textarea></p></textarea>z"),
           std::string("<div><span>a</div>b</span><b><p>c</b>d</p><a href=x>e<a href=y>f</a>g"),
           std::string("<ul><li>a<ul><li>b</ul><li>c</ul><dl><dt>d<dd>e<dt>f</dl>"),
           std::string("<select><option>a<option>b</select>c<svg><path/><text>d</text></svg>e"),
           std::string("<a href=\"x>y\" title='a\"b' data-x=1 / >k</a ><br/>l<img src=x>m"),
           paragraphs(3) + "<div/>x<p/>y",
       }) {
    GumboOutput* output = gumbo_parse_with_options(&kGumboDefaultOptions, page.data(), page.size());
    std::string theirs;
    gumbo_words(output->root, theirs);
    gumbo_destroy_output(&kGumboDefaultOptions, output);
    EXPECT_EQ(without_blanks(words_of(HtmlTree(page))), without_blanks(theirs)) << page;
  }
}

TEST(HtmlTree, ImpliedEnds) {
  const HtmlTree tree("<ul><li>a<li>b</ul><p>c<div>d</div>");
  std::vector<std::pair<Tag, int>> seen;
  for (int32_t i = 1; i < tree.size(); ++i)
    if (tree[i].tag != Tag::kText) seen.push_back({tree[i].tag, tree[i].depth});
  const std::vector<std::pair<Tag, int>> wanted = {{Tag::kUl, 1}, {Tag::kLi, 2}, {Tag::kLi, 2}, {Tag::kP, 1}, {Tag::kDiv, 1}};
  EXPECT_EQ(seen, wanted);
}

TEST(HtmlEntities, NamesNumbersAndAttributes) {
  EXPECT_EQ(unescaped("&eacute;&Eacute&#233;&#xE9;&#x1F600;&#128;&#0;&#xD800;&#99999999999;&nosuch;&&amp;&"),
            "éÉéé😀€\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD&nosuch;&&&");
  EXPECT_EQ(unescaped("?a=1&copy=2&lt=3&amp;b&notit;", References::kAttribute), "?a=1&copy=2&lt=3&b&notit;");
  EXPECT_EQ(unescaped("&notit; &NotEqualTilde;"), "¬it; ≂̸");
}

TEST(Charset, LabelsAndDeclarations) {
  EXPECT_EQ(encoding_of(" ISO_8859-1 "), "windows-1252");
  EXPECT_EQ(encoding_of("GB2312"), "gb18030");
  EXPECT_EQ(encoding_of("x-nothing"), "");
  EXPECT_EQ(encoding_of_page("<meta charset=Shift_JIS>\x93\xFA\x96\x7B"), "shift_jis");
  EXPECT_EQ(encoding_of_page("<meta http-equiv=Content-Type content='text/html; charset=windows-1251'>\xCF\xF0\xE8"), "windows-1251");
  EXPECT_EQ(encoding_of_page("<meta charset=latin1>日本語です"), "utf-8");  // a lie
  EXPECT_EQ(encoding_of_page("caf\xE9"), "windows-1252");
  EXPECT_EQ(encoding_of_page("caf\xE9", "koi8-r"), "koi8-r");
  EXPECT_EQ(decode("\x93\xFA\x96\x7B", "shift_jis"), "日本");
  EXPECT_EQ(decode("\xC4\xE3\xBA\xC3", "gbk"), "你好");
  EXPECT_EQ(decode("\xCF\xF0\xE8\xE2\xE5\xF2", "windows-1251"), "Привет");
  EXPECT_EQ(decode("\x93quoted\x94 \x80", "iso-8859-1"), "“quoted” €");
  EXPECT_EQ(decode(std::string("\xFF\xFE"
                               "a\0\xE9\0",
                               6),
                   "utf-16le"),
            "aé");
  EXPECT_EQ(decode("ok \xC4", "gb18030"), "ok \xEF\xBF\xBD");
  EXPECT_EQ(decode("\xFFx", "utf-8"), "\xEF\xBF\xBDx");
}

TEST(Html, ArticleWithoutWhatIsAround) {
  const std::string page =
      "<html lang=en-GB><head><title>The flood | Daily News</title><meta property=og:site_name content='Daily News'>"
      "<meta name=author content='A. Writer'><meta property=article:published_time content=2020-03-01><link rel=canonical "
      "href='https://example.org/flood'>"
      "<link rel=license href='https://creativecommons.org/licenses/by/4.0/'></head><body>"
      "<nav><a href=/>Home</a> <a href=/w>World</a></nav><div class='cookie-banner'>We use cookies. " +
      kProse +
      "</div>"
      "<main><article><h1>The flood</h1><div class=share-buttons>Share on everything</div>" +
      paragraphs(4) + "<div class=related-articles><a href=1>Another one that you may like</a></div></article></main><aside>" + kProse +
      "</aside>"
      "<div id=comments><p>First! " +
      kProse + "</p></div><footer>Copyright 2020 " + kProse + "</footer></body></html>";
  const HtmlPage read = read_html(page);
  EXPECT_EQ(read.title, "The flood");
  EXPECT_EQ(read.author, "A. Writer");
  EXPECT_EQ(read.date, "2020-03-01");
  EXPECT_EQ(read.language, "en-gb");
  EXPECT_EQ(read.url, "https://example.org/flood");
  EXPECT_EQ(read.licence, "https://creativecommons.org/licenses/by/4.0/");
  EXPECT_TRUE(read.text.starts_with("Paragraph 0. The river")) << read.text;
  EXPECT_TRUE(read.text.ends_with("in the year.")) << read.text;
  for (const char* not_text : {"Home", "cookies", "Share", "Another one", "First!", "Copyright"})
    EXPECT_FALSE(has(read.text, not_text)) << not_text;
  EXPECT_TRUE(has(read_html(page, {.comments = true}).text, "First!"));
}

TEST(Html, PagesOfOtherKinds) {
  // Only <div>s, breaks for paragraphs.
  EXPECT_EQ(read_html("<div><div>" + kProse + "<br><br>" + kProse + "</div></div>").text,
            kProse.substr(0, kProse.size() - 1) + "\n\n" + kProse.substr(0, kProse.size() - 1));
  // Plain text and a fragment.
  EXPECT_EQ(read_html("Just a line.").text, "Just a line.");
  EXPECT_EQ(read_html("").text, "");
  EXPECT_EQ(read_html("<p>Hello <b>wor</b>ld</p>").text, "Hello world");
  // A form around the whole page.
  EXPECT_TRUE(has(read_html("<body><form action=x><div class=page>" + paragraphs(3) + "</div></form>").text, "Paragraph 2"));
  // Chinese has no blanks and its own stops.
  const std::string chinese =
      "<div class=nav><a href=1>首页</a><a href=2>新闻</a></div><div "
      "class=c><p>昨夜河水上涨，清晨低处的田地都被淹没；没有人料到今年会这么早。</"
      "p><p>村民们说，他们从来没有见过这样的景象，老人们也都这么说。</p></div>";
  EXPECT_EQ(read_html(chinese).text,
            "昨夜河水上涨，清晨低处的田地都被淹没；没有人料到今年会这么早。\n\n村民们说，他们从来没有见过这样的景象，老人们也都这么说。");
  // A thread: every post is text.
  std::string thread = "<body><div id=nav><a href=/>Forum</a></div><div class=thread>";
  for (int i = 0; i < 5; ++i) thread += "<div class=post><div class=postbody>Post " + std::to_string(i) + ": " + kProse + "</div></div>";
  const std::string posts = read_html(thread + "</div>").text;
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(has(posts, "Post " + std::to_string(i)));
  // Text for search engines only.
  EXPECT_TRUE(has(read_html("<script type=application/ld+json>{\"@type\":\"NewsArticle\",\"articleBody\":\"" + kProse + kProse + kProse +
                            "\"}</script><body><div id=app></div>")
                      .text,
                  "river rose"));
}

TEST(Html, ListsTablesCodeAndFormulas) {
  const std::string page =
      "<main>" + paragraphs(2) +
      "<ul><li>one<li>two<ol start=3><li>three</ol></ul><table><tr><th>a<th>b<tr><td>1<td>2|3</table>"
      "<pre><code class=language-cpp>int f() {\n  return 1 &lt; 2;\n}\n</code></pre><p>About 10<sup>5</sup> and E=<math "
      "alttext='mc^2'><mi>m</mi></math>, <a href='https://x.org/?a=1&amp;b'>see</a> it all in here, please.</p></main>";
  const std::string text = read_html(page).text;
  EXPECT_TRUE(has(text, "- one\n- two\n  3. three")) << text;
  EXPECT_TRUE(has(text, "| a | b |\n| --- | --- |\n| 1 | 2\\|3 |")) << text;
  EXPECT_TRUE(has(text, "```cpp\nint f() {\n  return 1 < 2;\n}\n```")) << text;
  EXPECT_TRUE(has(text, "About 10^5 and E=$mc^2$, see it")) << text;
  EXPECT_TRUE(has(read_html(page, {.links = true}).text, "[see](https://x.org/?a=1&b) it"));
  EXPECT_FALSE(has(read_html(page, {.tables = false}).text, "| a"));
  EXPECT_FALSE(has(read_html(page, {.code = false}).text, "return"));
  EXPECT_FALSE(has(read_html(page, {.lists = false}).text, "two"));
}

TEST(Html, NothingStopsIt) {
  const auto many = [](std::string_view s, int n) {
    std::string all;
    for (int i = 0; i < n; ++i) all += s;
    return all;
  };
  for (const std::string& page : {many("<div>", 100000) + "deep",
                                  many("<b><p>", 100000),
                                  many("<a href=x>", 100000) + "x",
                                  many("<table><tr><td>", 50000) + "x",
                                  many("<ul><li>", 100000),
                                  many("<!--", 100000),
                                  many("<a b=\"", 100000),
                                  many("<script>", 100000),
                                  many("<title>", 100000),
                                  many("</p>", 100000),
                                  many("&", 500000),
                                  many("<svg><p>", 50000),
                                  many("<select><option>", 50000),
                                  "<p " + many("a=1 ", 200000) + ">x",
                                  many("<font color=1><p>", 50000),
                                  many("<x-y>", 100000) + many("</x-y>", 100000),
                                  many("<dd><address>", 50000),
                                  many("<form>", 100000),
                                  many("<li><div>", 100000),
                                  many("<", 500000),
                                  many("<p class='a b c d e f g h'>x", 50000),
                                  many("\xFF\xC3", 200000),
                                  many("<span>", 100000) + many("<div></span>", 100000),
                                  std::string(1000, '\0') + "<p>x"}) {
    const HtmlPage read = read_html(page);
    EXPECT_EQ(text::to_valid_utf8(read.text), read.text) << page.substr(0, 40);
  }
  EXPECT_EQ(read_html(many("<div>", 100000) + "deep").text, "deep");
  // A byte out of place in a page of UTF-8.
  EXPECT_EQ(read_html("<p>을 ééé \xEC éé").text, "을 ééé \xEF\xBF\xBD éé");
}

TEST(Html, IntoADocument) {
  Document d;
  d.url = "https://a.example/";
  read_html_into(d, "<title>T</title><link rel=canonical href=https://b.example/><meta name=description content=D>" + paragraphs(1));
  EXPECT_EQ(d.url, "https://a.example/");
  EXPECT_EQ(d.title, "T");
  EXPECT_EQ(d.extra["description"], "D");
}

}  // namespace
}  // namespace r1::corpus
