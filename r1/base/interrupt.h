// Ctrl-C and SIGTERM: the first asks for a checkpoint and a clean end (exit 130), the second ends at once. Signals that arrive together
// (within 0.2 s: `timeout -s INT` and a terminal's process group send the same wish twice) count as one.
#pragma once

namespace r1 {

void install_interrupt_handler(bool announce = true);  // announce: say on stderr that the end is coming
bool interrupted();                                    // long loops ask between steps
double seconds_since_interrupt();                      // 0 if there was none
void request_interrupt();                              // what the handler does; for tests
void clear_interrupt();                                // for tests, and for a prompt that goes on after Ctrl-C (r1 chat)

// Throws Error(kInterrupted) when interrupted; for long loops with nothing to save.
void throw_if_interrupted();

}  // namespace r1
