// Lines that are no part of a text but of the page around it: cookies, JavaScript, logins, sharing, subscriptions, comments' doors, advertising.
// Short lines alone are looked at (a sentence about cookies in an article stays), in English, German, French, Spanish, Portuguese, Italian,
// Chinese and Russian.
#pragma once

#include <string_view>

namespace r1::corpus {

bool is_boilerplate_line(std::string_view line);

}  // namespace r1::corpus
