// The Python side of the judge, one text: it runs inside sandboxes and is started before it knows what for. It reads one frame at a time
// from descriptor 3 and answers there (channel.h, value.h). Three parts:
//   launcher_py.cc  wire form; compiles and runs programs of any language, calls Python functions, each test in a process of its own
//   solution_py.cc  the untrusted half of an assert test: holds the submission's module and does what it is asked with its objects
//   tester_py.cc    the trusted half: runs the test code, in another sandbox, against stand-ins for the submission's objects
//
// Frames to a launcher, and its answers (values of value.h):
//   [warm]                                          imports what programs often import; [ready]
//   [python, source]                                compiles; [ok] | [bad, text]
//   [program, [[path, bytes]..], [argv..] or [], argv, seconds]   writes files, compiles if there is a command; [ok] | [bad, text] | [slow]
//   [run, input bytes, seconds, output bytes]       runs what was compiled; [ran, reason, status, output, end of stderr, seconds]
//                                                   reason: exit (status: code), signal (status: number), timeout, output
//   [module, prelude, source, name]                 runs a module; [ok] | [bad, text] | [raised, type, text]
//   [call, function, [arguments], seconds, bytes]   calls a function of it; [value, value] | [raised, type, text] | [ran, reason, status]
//   [serve]                                         becomes the untrusted half; [ok]; then requests of a tester, see solution_py.cc
//   [tester, nonce, ...]                            becomes the trusted half, see tester_py.cc
// The launcher shares its process or its user with untrusted code, so nothing it says is believed: its answers are data to compare with
// expected values that never enter the sandbox. Only a tester, whose sandbox holds no untrusted code, is believed.
#pragma once

#include <string>

namespace r1::verify::judge {

extern const char* const kLauncherPython;
extern const char* const kSolutionPython;
extern const char* const kTesterPython;

std::string python_source();

}  // namespace r1::verify::judge
