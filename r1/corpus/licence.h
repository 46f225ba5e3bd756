// Licences as SPDX names (https://spdx.org/licenses): what a source file declares, and what the text of a LICENSE file is. Only well known texts
// are told; anything else is "", not a guess.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

namespace r1::corpus {

// "SPDX-License-Identifier: MIT" within the first lines of a source file: "MIT".
std::string declared_licence(std::string_view source);

// Of a licence's whole text.
std::string licence_of_text(std::string_view text);

// Is this name of a file one that holds a licence (LICENSE, LICENCE.md, COPYING, LICENSE-MIT)?
bool is_licence_name(std::string_view name);

// The licence of the folder that a file is in: of the nearest LICENSE or COPYING upwards, no further than a folder with a .git in it. Remembers
// folders it has seen.
class FolderLicences {
 public:
  std::string of(const std::filesystem::path& file);

 private:
  std::string of_folder(const std::filesystem::path& folder, int depth);
  std::map<std::string, std::string> seen_;
};

}  // namespace r1::corpus
