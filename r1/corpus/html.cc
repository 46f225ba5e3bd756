#include "r1/corpus/html.h"

#include "r1/corpus/encoding.h"
#include "r1/corpus/html_content.h"
#include "r1/corpus/html_meta.h"
#include "r1/corpus/html_text.h"
#include "r1/corpus/html_tree.h"

namespace r1::corpus {

HtmlPage read_html(std::string_view bytes, const HtmlOptions& options) {
  HtmlPage page;
  page.charset = encoding_of_page(bytes, options.charset);
  const std::string utf8 = decode(bytes, page.charset);
  const HtmlTree tree(utf8);
  page.cut = tree.cut();
  const std::string stated = read_metadata(tree, page);
  const HtmlContent content(tree, options);
  page.text = text_of(tree, content, options, page.title);
  // A page that scripts fill carries its text for search engines alone.
  if (stated.size() > 300 && page.text.size() < stated.size() / 3) page.text = stated;
  return page;
}

void read_html_into(Document& document, std::string_view bytes, const HtmlOptions& options) {
  HtmlPage page = read_html(bytes, options);
  document.text = std::move(page.text);
  document.title = std::move(page.title);
  document.author = std::move(page.author);
  document.date = std::move(page.date);
  document.language = std::move(page.language);
  document.licence = std::move(page.licence);
  if (document.url.empty()) document.url = std::move(page.url);
  if (!page.site.empty()) document.extra["site"] = std::move(page.site);
  if (!page.description.empty()) document.extra["description"] = std::move(page.description);
}

}  // namespace r1::corpus
