// Libraries that the program works without and opens when it first needs them (dlopen): its own plug-ins, libr1_*.so, and such as the
// system may have. One that was opened stays open until the end.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace r1 {

// Where plug-ins are looked for, in this order: the folders of $R1_PLUGINS (with colons between), the program's own, ../lib beside it.
std::vector<std::filesystem::path> plugin_folders();
// The first of these folders that has the file; "" if none has.
std::filesystem::path find_plugin(const std::string& file);

// dlopen: a path, or a name that the system's loader knows. Null: `fault` says why.
void* open_library(const std::string& name, std::string& fault);
// dlsym; null if it is not in there.
void* find_symbol(void* library, const char* name);

}  // namespace r1
