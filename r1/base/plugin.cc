#include "r1/base/plugin.h"

#include <dlfcn.h>

#include <cstdlib>
#include <string_view>

namespace r1 {

namespace fs = std::filesystem;

std::vector<fs::path> plugin_folders() {
  std::vector<fs::path> folders;
  if (const char* named = std::getenv("R1_PLUGINS"))
    for (std::string_view rest = named; !rest.empty();) {
      const size_t colon = rest.find(':');
      if (const std::string_view one = rest.substr(0, colon); !one.empty()) folders.emplace_back(one);
      rest = colon == std::string_view::npos ? "" : rest.substr(colon + 1);
    }
  std::error_code failed;
  if (const fs::path program = fs::read_symlink("/proc/self/exe", failed); !failed) {
    folders.push_back(program.parent_path());
    folders.push_back(program.parent_path().parent_path() / "lib");
  }
  return folders;
}

fs::path find_plugin(const std::string& file) {
  std::error_code ignored;
  for (const fs::path& folder : plugin_folders())
    if (fs::is_regular_file(folder / file, ignored)) return folder / file;
  return {};
}

void* open_library(const std::string& name, std::string& fault) {
  void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char* why = dlerror();
    fault = why ? why : "unknown error";
  }
  return library;
}

void* find_symbol(void* library, const char* name) {
  return dlsym(library, name);
}

}  // namespace r1
