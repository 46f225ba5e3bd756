#include "r1/corpus/licence.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <vector>

#include "r1/base/strings.h"

namespace r1::corpus {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostLicence = size_t{1} << 17;

// Lower case, every run of other characters than letters, digits and dots as one blank.
std::string plain(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, kMostLicence)) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) || c == '.')
      out += char(std::tolower(byte));
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  }
  return out;
}

// All of `needs` (separated by '|') stand in the text; the first rule that fits tells. More special ones stand first.
struct Rule {
  std::string_view name, needs;
};
constexpr Rule kRules[] = {
    {"AGPL-3.0", "gnu affero general public license|version 3 19 november 2007"},
    {"LGPL-3.0", "gnu lesser general public license|version 3 29 june 2007"},
    {"LGPL-2.1", "gnu lesser general public license|version 2.1 february 1999"},
    {"LGPL-2.0", "gnu library general public license|version 2 june 1991"},
    {"GPL-3.0", "gnu general public license|version 3 29 june 2007"},
    {"GPL-2.0", "gnu general public license|version 2 june 1991"},
    {"Apache-2.0", "apache license|version 2.0"},
    {"MPL-2.0", "mozilla public license version 2.0"},
    {"EPL-2.0", "eclipse public license v 2.0"},
    {"BSL-1.0", "boost software license version 1.0"},
    {"CC0-1.0", "cc0 1.0 universal"},
    {"CC-BY-SA-4.0", "attribution sharealike 4.0 international"},
    {"CC-BY-NC-4.0", "attribution noncommercial 4.0 international"},
    {"CC-BY-4.0", "attribution 4.0 international"},
    {"CC-BY-SA-3.0", "attribution sharealike 3.0 unported"},
    {"Unlicense", "this is free and unencumbered software released into the public domain"},
    {"Artistic-2.0", "the artistic license 2.0"},
    {"PSF-2.0", "psf license agreement for python|python software foundation license version 2"},
    {"PSF-2.0", "python software foundation license version 2"},
    {"Zlib",
     "this software is provided as is without any express or implied warranty|altered source versions must be plainly marked as such"},
    {"Zlib", "this software is provided as is without any express or implied warranty|altered source versions must be plainly marked"},
    {"BSD-4-Clause",
     "redistribution and use in source and binary forms|all advertising materials mentioning features or use of this software"},
    {"BSD-3-Clause", "redistribution and use in source and binary forms|endorse or promote products derived from"},
    {"BSD-2-Clause", "redistribution and use in source and binary forms|redistributions in binary form must reproduce"},
    {"ISC",
     "permission to use copy modify and or distribute this software for any purpose with or without fee is hereby granted provided that "
     "the above"},
    {"ISC",
     "permission to use copy modify and distribute this software for any purpose with or without fee is hereby granted provided that the "
     "above"},
    {"0BSD", "permission to use copy modify and or distribute this software for any purpose with or without fee is hereby granted"},
    {"MIT-0", "permission is hereby granted free of charge to any person obtaining a copy|so the software is provided as is"},
    {"MIT",
     "permission is hereby granted free of charge to any person obtaining a copy|the above copyright notice and this permission notice"},
    {"WTFPL", "do what the fuck you want to public license"},
};

}  // namespace

std::string declared_licence(std::string_view source) {
  constexpr std::string_view kMark = "SPDX-License-Identifier:";
  const std::string_view head = source.substr(0, 4096);
  const size_t at = head.find(kMark);
  if (at == std::string_view::npos) return "";
  std::string_view rest = head.substr(at + kMark.size());
  rest = trim(rest.substr(0, rest.find('\n')));
  for (const std::string_view end : {"*/", "-->", "#}", "\"\"\""})
    if (rest.ends_with(end)) rest = trim(rest.substr(0, rest.size() - end.size()));
  if (rest.empty() || rest.size() > 100) return "";
  return std::ranges::all_of(
             rest, [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '.' || c == '+' || c == ' ' || c == '(' || c == ')'; })
             ? std::string(rest)
             : "";
}

std::string licence_of_text(std::string_view text) {
  if (const std::string declared = declared_licence(text); !declared.empty()) return declared;
  const std::string words = plain(text);
  for (const Rule& rule : kRules) {
    bool fits = true;
    for (size_t at = 0; fits && at <= rule.needs.size();) {
      const size_t end = std::min(rule.needs.find('|', at), rule.needs.size());
      fits = words.find(rule.needs.substr(at, end - at)) != std::string::npos;
      at = end + 1;
    }
    if (fits) return std::string(rule.name);
  }
  return "";
}

bool is_licence_name(std::string_view name) {
  std::string upper(name);
  std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return char(std::toupper(c)); });
  for (const std::string_view begin : {"LICENSE", "LICENCE", "COPYING", "UNLICENSE"})
    if (upper.starts_with(begin)) {
      const std::string_view rest = std::string_view(upper).substr(begin.size());
      return rest.empty() || rest == ".MD" || rest == ".TXT" || rest == ".RST" || rest.starts_with('-') || rest.starts_with('_');
    }
  return false;
}

std::string FolderLicences::of(const fs::path& file) {
  std::error_code failed;
  const fs::path whole = fs::absolute(file, failed);
  return failed ? "" : of_folder(whole.parent_path(), 0);
}

std::string FolderLicences::of_folder(const fs::path& folder, int depth) {
  constexpr int kMostLevels = 32;
  if (const auto known = seen_.find(folder.string()); known != seen_.end()) return known->second;
  std::vector<fs::path> named;
  bool root = depth == kMostLevels || folder == folder.root_path();
  std::error_code failed;
  for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end; entry.increment(failed)) {
    const std::string name = entry->path().filename().string();
    root |= name == ".git";
    std::error_code ignored;
    if (is_licence_name(name) && entry->is_regular_file(ignored)) named.push_back(entry->path());
  }
  std::ranges::sort(named);
  std::string licence;
  for (const fs::path& path : named) {
    std::ifstream in(path, std::ios::binary);
    std::string text(kMostLicence, '\0');
    in.read(text.data(), std::streamsize(text.size()));
    text.resize(size_t(in.gcount()));
    const std::string one = licence_of_text(text);
    // two files, two licences to choose from
    if (!one.empty() && licence.find(one) == std::string::npos) licence += (licence.empty() ? "" : " OR ") + one;
  }
  if (licence.empty() && named.empty() && !root) licence = of_folder(folder.parent_path(), depth + 1);
  return seen_[folder.string()] = licence;
}

}  // namespace r1::corpus
