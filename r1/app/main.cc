// Find the command, run it, exit code. Everything else is in command.cc, so that tests reach it.
#include "r1/app/command.h"
#include "r1/base/interrupt.h"

int main(int argc, char** argv) {
  r1::install_interrupt_handler();
  return r1::app::run_program({argv + 1, argv + argc});
}
