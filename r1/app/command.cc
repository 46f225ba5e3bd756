#include "r1/app/command.h"

#include <ATen/Parallel.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "r1/app/familiar_commands.h"
#include "r1/base/build_info.h"
#include "r1/base/error.h"
#include "r1/base/log.h"
#include "r1/base/log_repeats.h"
#include "r1/base/terminal.h"
#include "r1/base/threads.h"

namespace r1::app {
namespace {

// After "--" stand another program's words.
bool wants_help(const Arguments& arguments) {
  const auto end = std::find(arguments.begin(), arguments.end(), "--");
  return std::any_of(arguments.begin(), end, [](const std::string& a) { return a == "--help" || a == "-h"; });
}

size_t words(const std::string& name) {
  return 1 + size_t(std::count(name.begin(), name.end(), ' '));
}

std::string first_words(const Arguments& arguments, size_t n) {
  std::string text;
  for (size_t i = 0; i < n && i < arguments.size(); ++i) text += (i ? " " : "") + arguments[i];
  return text;
}

const Command* find_command(const Arguments& arguments) {
  for (const Command& command : commands()) {
    if (first_words(arguments, words(command.name)) == command.name) return &command;
  }
  return nullptr;
}

std::string table_of(const std::string& prefix) {
  std::string text;
  for (const Command& command : commands()) {
    if (!command.name.starts_with(prefix)) continue;
    std::string left = "  " + command.name;
    left.resize(std::max<size_t>(left.size() + 2, 22), ' ');
    text += left + command.help + "\n";
  }
  return text;
}

// Help for a person is broken between words; a program that reads it gets an option a line.
void print_help(const std::string& text) {
  print_text(isatty(STDOUT_FILENO) ? wrapped(text, terminal_columns(STDOUT_FILENO)) : text);
}

std::string overview() {
  return str(
      "r1: the DeepSeek-R1 recipe in one program\n\nusage: r1 <command> [--config recipe.yaml] [--key=value ...]\n\n", table_of(""),
      "\nr1 <command> --help lists the command's options. Each also reads R1_<KEY> from the environment; --key wins over R1_KEY, that\n"
      "over the recipe, that over the default. Exit codes: 0 done, 1 failed, 2 wrong usage or config, 130 interrupted after a "
      "checkpoint.\n");
}

std::string command_help(const Command& command) {
  std::string usage = "usage: r1 " + command.name;
  for (const auto& key : command.positional) usage += " [" + key + "]";
  const std::string rest = command.rest.empty() ? "" : " -- <" + command.rest + ">";
  return str("r1 ", command.name, ": ", command.help, "\n\n", usage, " [--key=value ...]", rest, "\n\n", command.options_help());
}

// "gen" means generate and "evaluate" eval, though the words are far apart.
std::string nearest_command(const std::string& given, const std::vector<std::string>& names) {
  const std::string nearest = nearest_name(given, names);
  if (!nearest.empty() || given.size() < 3) return nearest;
  for (const std::string& name : names)
    if (name.starts_with(given) || given.starts_with(name)) return name;
  return "";
}

[[noreturn]] void fail_unknown(const Arguments& arguments) {
  std::vector<std::string> names;
  bool is_group = false;
  for (const Command& command : commands()) {
    names.push_back(command.name);
    is_group = is_group || command.name.starts_with(arguments[0] + " ");
  }
  if (is_group && arguments.size() == 1) fail_usage("'", arguments[0], "' needs one of its commands:\n", table_of(arguments[0] + " "));
  const std::string given = is_group ? first_words(arguments, 2) : arguments[0];
  if (const std::string answer = familiar_command(given); !answer.empty()) fail_usage("no command '", given, "' here: ", answer);
  const std::string nearest = nearest_command(given, names);
  fail_usage("unknown command '", given, "'", nearest.empty() ? "" : str(", did you mean '", nearest, "'?"), " (r1 --help lists them)");
}

int dispatch(const Arguments& arguments) {
  if (arguments.empty()) fail_usage("no command given\n\n", overview());
  const std::string& first = arguments[0];
  if (first == "--version" || first == "-V" || first == "version") return print_text(version_line() + "\n"), 0;
  const Command* command = find_command(first == "help" ? Arguments(arguments.begin() + 1, arguments.end()) : arguments);
  if (first == "help" && command) return print_help(command_help(*command)), 0;
  if (first == "--help" || first == "-h" || (first == "help" && arguments.size() == 1)) return print_help(overview()), 0;
  if (!command && arguments.size() == 2 && wants_help(arguments)) {
    if (const std::string table = table_of(first + " "); !table.empty()) return print_help(table), 0;
  }
  if (!command) fail_unknown(arguments);
  const Arguments rest(arguments.begin() + std::ptrdiff_t(words(command->name)), arguments.end());
  if (wants_help(rest)) {
    const std::string more = command->help_for ? command->help_for(rest) : "";
    return print_help(more.empty() ? command_help(*command) : more), 0;
  }
  return command->run(*command, rest);
}

}  // namespace

std::vector<Setting> command_settings(const Command& command, const Arguments& arguments) {
  Arguments named;
  size_t bare = 0;
  auto end = command.rest.empty() ? arguments.end() : std::find(arguments.begin(), arguments.end(), "--");
  while (bare < size_t(end - arguments.begin()) && bare < command.positional.size() &&
         (arguments[bare] == "-" || !arguments[bare].starts_with("-"))) {
    named.push_back(str("--", command.positional[bare], "=", arguments[bare]));
    ++bare;
  }
  named.insert(named.end(), arguments.begin() + std::ptrdiff_t(bare), end);
  std::vector<Setting> settings = parse_overrides(named);
  if (end != arguments.end()) settings.push_back({command.rest, "--", Json(Arguments(end + 1, arguments.end()))});
  return settings;
}

std::vector<Setting> all_settings(std::vector<Setting> environment, std::vector<Setting> overrides) {
  // The last one that names files counts: R1_CONFIG, then each --config.
  Json files = Json::array();
  for (const auto* source : {&environment, &overrides}) {
    Json named = Json::array();
    for (const Setting& setting : *source) {
      if (setting.key != "config") continue;
      if (setting.value.is_boolean()) fail_usage("--config: needs a value (a YAML file)");
      for (const Json& file : string_items(setting)) named.push_back(file);
    }
    if (!named.empty()) files = named;
  }
  std::vector<Setting> settings;
  for (const Json& file : files) {
    for (Setting& setting : read_yaml(file.get<std::string>())) settings.push_back(std::move(setting));
  }
  for (auto* source : {&environment, &overrides}) settings.insert(settings.end(), source->begin(), source->end());
  return settings;
}

void apply_common(const CommonOptions& common) {
  set_log_level(common.quiet ? LogLevel::kWarning : LogLevel::kInfo);
  set_num_threads(int(common.threads));
  at::set_num_threads(num_threads());
}

void print_text(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

int run_program(const Arguments& arguments) {
  const CountRepeatedWarnings counts;
  try {
    const int code = dispatch(arguments);
    if (std::fflush(stdout) != 0 || std::ferror(stdout)) fail("cannot write to stdout: the results are incomplete");
    return code;
  } catch (const Error& error) {
    // A stop that was asked for is no error.
    if (error.kind() == ErrorKind::kInterrupted) log_line(LogLevel::kInfo, error.what());
    if (error.kind() != ErrorKind::kInterrupted) log_error(error.what());
    return error.exit_code();
  } catch (const std::exception& error) {
    log_error(foreign_message(error.what()));
  }
  return 1;
}

std::string list_options() {
  std::string text;
  for (const Command& command : commands()) {
    text += str(command.name, "\n");
    for (const FieldInfo& field : command.fields()) text += str(command.name, " --", field.key, " ", field.type, "\n");
  }
  return text;
}

void CommonOptions::visit(Fields& v) {
  add(v, "config", config, "YAML recipe; later files win");
  add(v, "device", device, "cpu, cuda, cuda:N; auto: the GPU if there is one");
  add(v, "threads", threads, "CPU threads; 0: all that this process may use", Range{0, 4096});
  add(v, "json", json, "results as JSON on stdout");
  add(v, "quiet", quiet, "warnings and errors only");
  add(v, "print_config", print_config, "print the resolved config as YAML and stop");
}

}  // namespace r1::app
