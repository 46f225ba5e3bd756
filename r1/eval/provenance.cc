#include "r1/eval/provenance.h"

#include <algorithm>
#include <map>
#include <set>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/strings.h"

namespace r1::eval {
namespace {

const std::set<std::string> kTextSide = {
    "config.json",         "generation_config.json", "tokenizer.json",          "tokenizer_config.json", "tokenizer.model",
    "chat_template.jinja", "chat_template.json",     "special_tokens_map.json", "added_tokens.json",     "vocab.json",
    "merges.txt"};

bool tells(const fs::path& file) {
  const std::string name = file.filename().string();
  return kTextSide.contains(name) || name.ends_with(".gguf") || (name.starts_with("model") && name.ends_with(".safetensors"));
}

// NAME-00001-of-00003.gguf: the parts beside it; else the file itself.
std::vector<fs::path> gguf_parts(const fs::path& file) {
  const std::string name = file.filename().string();
  const size_t of = name.rfind("-of-");
  if (of == std::string::npos || of < 6) return {file};
  std::vector<fs::path> parts;
  const fs::path folder = file.has_parent_path() ? file.parent_path() : ".";
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string other = entry.path().filename().string();
    if (other.size() == name.size() && other.starts_with(name.substr(0, of - 5)) && other.ends_with(name.substr(of)))
      parts.push_back(entry.path());
  }
  return parts;
}

std::vector<fs::path> files_of(const fs::path& model) {
  if (!fs::is_directory(model)) return gguf_parts(model);
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(model))
    if (entry.is_regular_file() && tells(entry.path())) files.push_back(entry.path());
  return files;
}

}  // namespace

Json model_facts(const fs::path& model) {
  std::map<std::string, std::string> hashes;
  for (const fs::path& file : files_of(model)) hashes[file.filename().string()] = sha256_file(file);
  std::string all;
  for (const auto& [name, hash] : hashes) all += name + " " + hash + "\n";
  return {{"path", fs::absolute(model).lexically_normal().string()}, {"sha256", sha256(std::string_view(all))}, {"files", hashes}};
}

Json data_facts(const std::vector<std::string>& files) {
  Json out = Json::array();
  for (const std::string& file : files) {
    std::error_code ignored;
    const bool regular = fs::is_regular_file(file, ignored);  // a pipe is read once
    out.push_back({{"path", fs::absolute(file).lexically_normal().string()}, {"sha256", regular ? Json(sha256_file(file)) : Json()}});
  }
  return out;
}

std::string shell_word(const std::string& word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
    return std::isalnum(c) || c >= 0x80 || std::string_view("_-./:,=@%+").find(char(c)) != std::string_view::npos;
  });
  if (plain) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string command_line() {
  std::error_code ignored;
  if (!fs::exists("/proc/self/cmdline", ignored)) return "";
  const std::string words = read_file("/proc/self/cmdline");
  std::string out;
  for (size_t at = 0, end; at < words.size(); at = end + 1) {
    end = std::min(words.find('\0', at), words.size());
    const std::string word = words.substr(at, end - at);
    out += (out.empty() ? "" : " ") + shell_word(word);
  }
  return out;
}

std::string now_utc() {
  return utc_time();
}

}  // namespace r1::eval
