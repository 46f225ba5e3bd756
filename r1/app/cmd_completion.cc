// r1 options, completion, man: three views of the table of commands.
#include <algorithm>

#include "r1/app/command.h"
#include "r1/base/build_info.h"
#include "r1/base/error.h"

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

// One case a command: its options; the words of two-word commands come first.
std::string bash_script() {
  std::string names, cases;
  for (const Command& command : commands()) {
    std::string options;
    for (const FieldInfo& field : command.fields())
      options += str(options.empty() ? "" : " ", "--", field.key, field.type == "bool" ? "" : "=");
    names += command.name.substr(0, command.name.find(' ')) + " ";
    cases += str("    '", command.name, "'*) words='", options, "';;\n");
    if (const size_t space = command.name.find(' '); space != std::string::npos) {
      const std::string group = command.name.substr(0, space);
      if (cases.find(str("'", group, "')")) != std::string::npos) continue;
      std::string members;
      for (const Command& other : commands()) {
        if (other.name.starts_with(group + " ")) members += other.name.substr(space + 1) + " ";
      }
      cases += str("    '", group, "') words='", members, "';;\n");
    }
  }
  return str(
      "# bash completion of r1: source <(r1 completion bash)\n"
      "_r1() {\n"
      "  local line=\"${COMP_WORDS[*]:1:COMP_CWORD-1}\" cur=\"${COMP_WORDS[COMP_CWORD]}\" words='' IFS=$' \\t\\n'\n"
      "  case \"$line\" in\n    '') words='",
      names, "--help --version';;\n", cases,
      "  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
      "  [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n"
      "}\n"
      "complete -o default -F _r1 r1\n");
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
