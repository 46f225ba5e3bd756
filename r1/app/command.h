// A command of the program: a name, a line of help, a config and a body. One file a command, r1/app/cmd_<name>.cc:
//
//   struct EnvConfig { void visit(Fields& v) { ... } };
//   int run(const EnvConfig& config, const CommonOptions& common) { ...; return 0; }
//   Command cmd_env() { return make_command<EnvConfig>("env", "report this machine and build, for bug threads", run); }
//
// and a row in commands.cc. Parsing, --help, --print_config, --config recipe.yaml, R1_* and exit codes come from here; a body throws
// r1::Error. A command of two words ("tokenizer encode") is a row of its own. `positional` names the keys that leading bare arguments fill:
// r1 chat MODEL.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "r1/base/config_io.h"

namespace r1::app {

// What every command takes. A config that lists one of these keys itself keeps it (and the common one is left at its default).
struct CommonOptions {
  std::vector<std::string> config;
  bool quiet = false, json = false, print_config = false;
  int64_t threads = 0;
  std::string device = "auto";

  void visit(Fields& v);

 private:
  template <class T>
  static void add(Fields& v, const char* key, T& field, const char* help, Limit limit = {}) {
    if (!v.find(key)) v(key, field, help, limit);
  }
};

template <class Config>
struct Options {
  Config config;
  CommonOptions common;

  void visit(Fields& v) {
    v.group("", config);
    v.group("", common);
  }
};

// The untyped half of a command, over the list of its fields.
using Arguments = std::vector<std::string>;
struct Command {
  std::string name, help;
  std::vector<std::string> positional;
  std::function<int(const Command&, const Arguments&)> run;
  std::function<std::vector<FieldInfo>()> fields;
  std::function<std::string()> options_help;
  std::string rest = {};  // the list that takes, word by word and unread, what stands after "--": r1 sandbox run -- python3 -c ...
  // More than the options' help for words that stand with --help (r1 eval --help gsm8k); "": nothing.
  std::function<std::string(const Arguments&)> help_for = {};
  // Usage errors of the arguments, as run would throw them before it does anything: for who starts the command in other processes.
  std::function<void(const Command&, const Arguments&)> check = {};
};

// Bare leading arguments become --<positional>=...; the rest is parse_overrides().
std::vector<Setting> command_settings(const Command& command, const Arguments& arguments);
// The files named by --config or R1_CONFIG, then the environment, then the command line.
std::vector<Setting> all_settings(std::vector<Setting> environment, std::vector<Setting> overrides);
// Log level, threads; called before the body.
void apply_common(const CommonOptions& common);
void print_text(const std::string& text);  // stdout

template <class Config>
Command make_command(std::string name, std::string help, std::function<int(const Config&, const CommonOptions&)> body,
                     std::vector<std::string> positional = {}) {
  Command command{std::move(name), std::move(help), std::move(positional), {}, {}, {}};
  command.run = [body = std::move(body)](const Command& self, const Arguments& arguments) {
    Options<Config> options;
    const auto settings = all_settings(environment_settings(options), command_settings(self, arguments));
    apply_settings(options, settings);
    if (options.common.print_config) {
      print_text(config_to_yaml(options.config));
      return 0;
    }
    apply_common(options.common);
    return body(options.config, options.common);
  };
  command.check = [](const Command& self, const Arguments& arguments) {
    Options<Config> options;
    apply_settings(options, all_settings(environment_settings(options), command_settings(self, arguments)));
  };
  command.fields = [] {
    Options<Config> options;
    return config_fields(options);
  };
  command.options_help = [] {
    Options<Config> options;
    return config_help(options);
  };
  return command;
}

// ---- the table (commands.cc) ----
const std::vector<Command>& commands();

// ---- main without the process around it, for tests: parses, runs, catches, returns the exit code ----
int run_program(const Arguments& arguments);

// `command --key type`, a line an option, sorted as listed: the interface that tests/guard/options.txt freezes.
std::string list_options();

}  // namespace r1::app
