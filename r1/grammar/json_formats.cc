#include "r1/grammar/json_formats.h"

#include <algorithm>
#include <iterator>

namespace r1::grammar {

namespace {

// February ends on the 28th: which years are longer is not worth the states.
#define R1_DATE \
  "[1-9][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
#define R1_TIME "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
#define R1_BYTE "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define R1_HOST "[a-z0-9](?:-?[a-z0-9]){0,20}(?:\\.[a-z0-9](?:-?[a-z0-9]){0,20}){0,4}"

constexpr struct {
  const char *name, *pattern;
} kFormats[] = {
    {"date", R1_DATE},
    {"time", R1_TIME},
    {"date-time", R1_DATE "T" R1_TIME},
    {"uuid", "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"},
    {"email", "[A-Za-z0-9]+(?:[._+-][A-Za-z0-9]+)*@[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*(?:\\.[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*)*\\.[A-Za-z]{2,10}"},
    {"ipv4", R1_BYTE "(?:\\." R1_BYTE "){3}"},
    {"ipv6",
     "[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){7}|(?:[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){0,2})?::(?:[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){0,"
     "2})?"},
    {"hostname", R1_HOST},
    {"uri", "(?:https?|ftp)://" R1_HOST "(?::[1-9][0-9]{0,3})?(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]*)*(?:\\?[A-Za-z0-9._~!$&'()*+,;=:@/?-]*)?"
            "(?:#[A-Za-z0-9._~!$&'()*+,;=:@/?-]*)?"},
    {"duration", "P(?:[1-9][0-9]{0,2}W|[1-9][0-9]{0,2}D(?:T[1-9][0-9]{0,2}H)?|T[1-9][0-9]{0,2}[HMS])"},
};

constexpr std::string_view kOthers[] = {"idn-email",    "idn-hostname", "uri-reference",         "iri",  "iri-reference",
                                        "uri-template", "json-pointer", "relative-json-pointer", "regex"};

}  // namespace

const char* format_pattern(std::string_view format) {
  for (const auto& f : kFormats)
    if (format == f.name) return f.pattern;
  return nullptr;
}

bool is_known_format(std::string_view format) {
  return format_pattern(format) || std::find(std::begin(kOthers), std::end(kOthers), format) != std::end(kOthers);
}

}  // namespace r1::grammar
