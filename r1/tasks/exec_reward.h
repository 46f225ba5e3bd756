// exec:<command> - a user's own program as reward, in the sandbox (verify/sandbox; docs/rewards.md has the protocol for its author).
//
// One run a group: the program gets one JSON object a completion on stdin, a line each, then the end of input, and writes one JSON object a
// line on stdout, in the same order: {"reward": x} or {"reward": null} (does not apply); other keys are ignored. Input keys: id, question,
// prompt, messages, gold, task (what the task's reward needs besides), completion, tokens, truncated, verdict, accuracy, extracted.
//
// The command is split at blanks ('..' and ".." hold together; no shell) and found by PATH. The first word that names a file here on the
// host is the user's program: its folder is seen read-only at /reward, and the word becomes /reward/<file>. It starts in /box, empty and
// writable. No network, no other file of the user's.
//
// A run that takes too long, dies, exits with a status other than 0, or writes anything but exactly one such line for each completion
// gives nothing for the whole group: no reward is ever made up. It is counted by kind (take_failures) in completions: timeout, crash,
// memory, output, not_started, malformed. What the program wrote to stderr is in the first warning of each kind.
//
// Options (for all exec rewards of a run): timeout (10 s a group), memory_mb (1024), output_kb (1024), processes (64), may_miss (layers of
// the sandbox that this machine may lack: "cgroup,landlock").
#pragma once

#include "r1/tasks/options.h"
#include "r1/tasks/reward.h"
#include "r1/verify/sandbox/sandbox.h"

namespace r1::tasks {

inline constexpr const char* kExecPrefix = "exec:";

// Throws if the command is empty or not quoted properly, or if the sandbox lacks a layer that may not be missing: before any training.
std::unique_ptr<Reward> make_exec_reward(const std::string& command, OptionReader& options);

// With another way to run a program, for tests.
using ProgramRunner = std::function<verify::sandbox::Outcome(const verify::sandbox::Program&, const verify::sandbox::Limits&)>;
std::unique_ptr<Reward> make_exec_reward(const std::string& command, OptionReader& options, ProgramRunner run);

// The pieces, for tests.
std::vector<std::string> split_command(const std::string& command);
// The protocol's lines for `count` completions. Throws Error saying what is wrong with which line.
std::vector<std::optional<double>> parse_exec_output(const std::string& output, size_t count);

}  // namespace r1::tasks
