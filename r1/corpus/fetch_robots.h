// robots.txt as RFC 9309 has it: which paths of a site a crawler may fetch. Groups by product token (all that name it count together; those for
// "*" only where none does), the longest matching pattern decides, at equal length the allowing one; '*' stands for any bytes, '$' at the end
// for the end. Crawl-delay, which the RFC does not know, is read too, as is what the RFC lets a reader forgive: a missing colon, common
// misspellings, a byte order mark.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace r1::corpus {

class Robots {
 public:
  // No more of a file is read (the RFC's limit); a line cut by it does not count.
  static constexpr size_t kMaxBytes = 500 * 1024;

  Robots() = default;  // all is allowed
  static Robots nothing();
  // What the file says to the crawler of this product token ("r1-data-fetch"; the case of letters is all one).
  static Robots parse(std::string_view text, std::string_view product);

  // Of a path with its query ("/a/b?c=d"), as it stands in a URL. /robots.txt itself is always allowed.
  bool allows(std::string_view path) const;
  // Seconds between requests that the site wishes; 0: it says nothing.
  double crawl_delay() const { return crawl_delay_; }

 private:
  struct Rule {
    std::string pattern;  // in normal form
    bool allow = false;
  };
  std::vector<Rule> rules_;
  double crawl_delay_ = 0;
};

// "MyBot/1.0 (+https://example.org)" -> "MyBot".
std::string product_of_user_agent(std::string_view user_agent);

}  // namespace r1::corpus
