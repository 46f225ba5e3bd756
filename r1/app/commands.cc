// The table of commands, in the order --help shows them.
#include "r1/app/command.h"

namespace r1::app {

Command cmd_env();
Command cmd_options();
Command cmd_completion();
Command cmd_man();

const std::vector<Command>& commands() {
  static const std::vector<Command> all = {
      cmd_env(),
      cmd_options(),
      cmd_completion(),
      cmd_man(),
  };
  return all;
}

}  // namespace r1::app
