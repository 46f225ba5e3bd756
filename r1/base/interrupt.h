// Ctrl-C and SIGTERM: the first asks for a checkpoint and a clean end (exit 130), the second ends at once.
#pragma once

namespace r1 {

void install_interrupt_handler();
bool interrupted();         // long loops ask between steps
void request_interrupt();   // what the handler does; for tests

}  // namespace r1
