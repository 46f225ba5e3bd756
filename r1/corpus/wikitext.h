// MediaWiki's markup to plain text: what a reader of the article would read. Templates, tables, references, files and categories go, but for
// the few templates that hold words of the sentence they stand in ({{lang}}, {{convert}}, {{nowrap}}, dashes and blanks); links leave their
// text, mathematics stays as <math> has it between dollars, code is fenced. Sections that are empty then go with their headings.
//
// No recursion but for arguments of kept templates (limited), time in proportion to the text: {{{{{{ 100,000 times is only a long word.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace r1::corpus {

struct WikiNames {
  // Names of namespaces whose links are no text, in lower case: "file", "image", "category" and what the wiki calls them.
  std::set<std::string> silent = {"file", "image", "category", "media"};
};

std::string text_of_wikitext(std::string_view wikitext, const WikiNames& names = {});

// #REDIRECT [[x]] in the languages that have a word of their own is told by the dump; this is for those that only have the text.
bool is_wiki_redirect(std::string_view wikitext);

}  // namespace r1::corpus
