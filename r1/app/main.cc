// Find the command, run it, exit code. Everything else is in command.cc, so that tests reach it.
#include "r1/app/command.h"
#include "r1/base/interrupt.h"
#include "r1/base/memory.h"

int main(int argc, char** argv) {
  r1::keep_freed_memory();
  r1::install_interrupt_handler();
  return r1::app::run_program({argv + 1, argv + argc});
}
