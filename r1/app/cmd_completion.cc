// r1 options, completion, man: three views of the table of commands.
#include <algorithm>

#include "r1/app/command.h"
#include "r1/base/build_info.h"
#include "r1/base/error.h"
#include "r1/model/presets.h"
#include "r1/plan/gpu_cards.h"
#include "r1/tasks/registry.h"

namespace r1::app {
namespace {

struct Nothing {
  template <class V>
  void visit(V&) {}
};

struct CompletionConfig {
  std::string shell;
  void visit(Fields& v) { v("shell", shell, "the shell to complete in", OneOf{"bash", "zsh"}, Required{}); }
};

// What a value can be: a few words, or what stands on the machine.
enum class Values { kNone, kWords, kModels, kFiles };

struct Completion {
  Values kind = Values::kNone;
  std::string words;
};

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// FieldInfo says "one of a, b": the words of it.
std::string words_of_limits(std::string limits) {
  constexpr std::string_view kStart = "one of ";
  if (!limits.starts_with(kStart)) return "";
  limits.erase(0, kStart.size());
  std::erase_if(limits, [](char c) { return c == ',' || c == '\''; });
  return limits;
}

Completion completion_of(const FieldInfo& field) {
  static const std::vector<std::string> kModels = {"model_name_or_path", "tokenizer_name_or_path", "model", "tokenizer"};
  static const std::vector<std::string> kFiles = {"config", "output_dir", "train_files", "eval_files",    "files",
                                                  "file",   "data",       "recipe",      "load",          "prompt_file",
                                                  "code",   "tests",      "runs",        "chat_template", "paths"};
  const auto in = [&](const std::vector<std::string>& keys) { return std::find(keys.begin(), keys.end(), field.key) != keys.end(); };
  if (const std::string words = words_of_limits(field.limits); !words.empty()) return {Values::kWords, words};
  if (field.type == "bool") return {};
  if (field.key == "task") return {Values::kWords, joined(tasks::task_names())};
  if (field.key == "preset") return {Values::kWords, joined(model::preset_names())};
  if (field.key == "device") return {Values::kWords, "auto cpu cuda"};
  if (field.key == "gpu") {
    std::vector<std::string> names;
    for (const plan::GpuCard& card : plan::gpu_cards()) names.push_back(card.name);
    return {Values::kWords, joined(names)};
  }
  if (in(kModels)) return {Values::kModels, field.help.find("preset") == std::string::npos ? "" : joined(model::preset_names())};
  return {in(kFiles) ? Values::kFiles : Values::kNone, ""};
}

// What the shell's function does for such values.
std::string shell_call(const Completion& c) {
  switch (c.kind) {
    case Values::kWords:
      return str("_r1_words '", c.words, "'");
    case Values::kModels:
      return str("_r1_models '", c.words, "'");
    case Values::kFiles:
      return "_r1_files";
    case Values::kNone:
      break;
  }
  return ":";
}

const FieldInfo* find_field(const std::vector<FieldInfo>& fields, const std::string& key) {
  for (const FieldInfo& field : fields) {
    if (field.key == key) return &field;
  }
  return nullptr;
}

// What stands after the group's word: "encode decode ... " of "tokenizer"; "" of a command that is no group.
std::string members_of(const std::string& group) {
  std::string members;
  for (const Command& command : commands()) {
    if (command.name.starts_with(group + " ")) members += command.name.substr(group.size() + 1) + " ";
  }
  return members;
}

// "--key" -> what its values are, then "N" -> the N-th bare word; the rest are options.
std::string command_case(const Command& command) {
  const std::vector<FieldInfo> fields = command.fields();
  std::string options, values, bare;
  for (const FieldInfo& field : fields) {
    const bool flag = field.type == "bool";
    options += str(options.empty() ? "" : " ", "--", field.key, flag ? "" : "=");
    if (!flag) values += str("        --", field.key, ") ", shell_call(completion_of(field)), "; return;;\n");
  }
  for (size_t i = 0; i < command.positional.size(); ++i) {
    const FieldInfo* field = find_field(fields, command.positional[i]);
    if (!field) continue;
    Completion c = completion_of(*field);
    if (i == 0 && c.kind != Values::kNone) c.words = members_of(command.name) + c.words;  // r1 eval: a model, or "show"
    bare += str("        ", i, ") ", shell_call(c), "; return;;\n");
  }
  const size_t words = size_t(1 + std::count(command.name.begin(), command.name.end(), ' '));
  return str("    '", command.name, "'*)\n      options='", options, "' first=", words + 1, "\n      case \"$key\" in\n", values,
             "      esac\n      _r1_bare\n      [[ $cur != -* ]] && case \"$bare\" in\n", bare, "      esac;;\n");
}

// Words of the first place, and of the second where commands have two.
std::string group_cases() {
  std::string cases, done;
  for (const Command& command : commands()) {
    const size_t space = command.name.find(' ');
    const std::string group = command.name.substr(0, space);
    if (space == std::string::npos || done.find(group + " ") != std::string::npos) continue;
    done += group + " ";
    cases += str("    '", group, "') options='", members_of(group), "';;\n");
  }
  return cases;
}

// The shell breaks words at '=', so --key=value is three of them.
constexpr const char* kHelpers = R"sh(# bash completion of r1: source <(r1 completion bash)
_r1_words() { COMPREPLY=($(compgen -W "$1" -- "$cur")); }
_r1_files() {
  local IFS=$'\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen -f -- "$cur"))
}
_r1_models() {
  _r1_files
  local files=("${COMPREPLY[@]}")
  _r1_words "$1 $("${COMP_WORDS[0]}" models --names 2>/dev/null)"
  COMPREPLY+=("${files[@]}")
}
# How many bare words stand before this one.
_r1_bare() {
  local i
  bare=0
  for ((i = first; i < COMP_CWORD; ++i)); do
    case "${COMP_WORDS[i]}" in -*) return 0;; *) bare=$((bare + 1));; esac
  done
}
_r1() {
  local cur="${COMP_WORDS[COMP_CWORD]}" last="${COMP_WORDS[COMP_CWORD-1]}" line="${COMP_WORDS[*]:1:COMP_CWORD-1}"
  local key='' options='' first=1 bare=0 IFS=$' \t\n'
  if [[ $cur == '=' ]]; then key=$last cur=''
  elif [[ $last == '=' ]]; then key="${COMP_WORDS[COMP_CWORD-2]}"
  elif [[ $last == --* && $cur != -* ]]; then key=$last
  fi
  COMPREPLY=()
)sh";

std::string bash_script() {
  std::string names, cases;
  for (const Command& command : commands()) {
    const std::string first = command.name.substr(0, command.name.find(' ')) + " ";
    if (names.find(first) == std::string::npos) names += first;
    cases += command_case(command);
  }
  return str(kHelpers, "  case \"$line\" in\n    ''|help) options='", names, "--help --version';;\n", cases, group_cases(),
             "  esac\n"
             "  _r1_words \"$options\"\n"
             "  [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null\n"
             "  return 0\n"
             "}\n"
             "complete -F _r1 r1\n");
}

int print_completion(const CompletionConfig& config, const CommonOptions&) {
  print_text(config.shell == "zsh" ? "autoload -U +X bashcompinit && bashcompinit\n" + bash_script() : bash_script());
  return 0;
}

// troff reads a leading dot or quote as a request, and a backslash and a plain '-' as its own.
std::string roff(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (out.empty() && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else {
      out += c == '-' ? "\\-" : std::string(1, c);
    }
  }
  return out;
}

int print_man(const Nothing&, const CommonOptions&) {
  std::string text = str(".TH R1 1 \"\" \"r1 ", build_info().version, "\"\n.SH NAME\nr1 \\- the DeepSeek\\-R1 recipe in one program\n",
                         ".SH SYNOPSIS\n.B r1\n\\fIcommand\\fR [\\-\\-config recipe.yaml] [\\-\\-key=value ...]\n.SH COMMANDS\n");
  for (const Command& command : commands()) {
    text += str(".SS ", roff(command.name), "\n", roff(command.help), "\n");
    for (const FieldInfo& f : command.fields()) {
      const std::string limits = f.limits.empty() ? "" : f.limits + "; ";
      text += str(".TP\n\\fB\\-\\-", roff(f.key), "\\fR \\fI", f.type, "\\fR\n",
                  roff(str(f.help, " (", limits, f.required ? "required" : "default " + dump_json(f.default_value), ")")), "\n");
    }
  }
  text += ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage or config, 130 interrupted after a checkpoint.\n";
  print_text(text);
  return 0;
}

}  // namespace

Command cmd_options() {
  return make_command<Nothing>("options", "list every command and option, a line each", [](const Nothing&, const CommonOptions&) {
    print_text(list_options());
    return 0;
  });
}
Command cmd_completion() {
  return make_command<CompletionConfig>("completion", "print shell completion: source <(r1 completion bash)", print_completion, {"shell"});
}
Command cmd_man() {
  return make_command<Nothing>("man", "print the manual page: r1 man | man -l -", print_man);
}

}  // namespace r1::app
