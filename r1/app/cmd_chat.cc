// r1 chat MODEL: talk to a model. Answers stream; Ctrl-C stops the answer, not the program; Ctrl-D or /quit leaves. With input from a pipe
// every line is a turn and only answers go to stdout. A model without a chat template gets each line as a prompt of its own.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
// readline wants stdio first.
#include <readline/history.h>
#include <readline/readline.h>

#include <iostream>
#include <optional>

#include "r1/app/command.h"
#include "r1/app/sampling_defaults.h"
#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/data/prompt.h"
#include "r1/data/thought.h"
#include "r1/engine/completion.h"
#include "r1/stages/run.h"

namespace r1::app {
namespace {

const engine::SamplingOptions kOwnSampling{.temperature = 0.6, .top_p = 0.95};

struct ChatConfig {
  stages::InferenceArgs model;
  engine::EngineConfig engine;
  std::string system_prompt, prompt_suffix, think = "auto", load;
  engine::SamplingOptions sampling = engine::SamplingOptions::of_model(kOwnSampling);
  int64_t max_new_tokens = 2048;
  uint64_t seed = 0;

  void visit(Fields& v) {
    v.group("", model);
    v("system_prompt", system_prompt, "system message");
    v("prompt_suffix", prompt_suffix, "text after every rendered prompt, where the answer begins");
    v("think", think, "on: the answer begins with <think>; off: with an empty thought; auto: as the model likes",
      OneOf{"auto", "on", "off"});
    v("load", load, "conversation to go on with (what /save wrote)");
    v("max_new_tokens", max_new_tokens, "longest answer, in tokens", Range{1, 1e9});
    v.group("", sampling);
    v("seed", seed, "same seed, same conversation", Range{0, 1.8e19});
    v.group("engine", engine);
  }
};

constexpr const char* kHelp =
    "/system TEXT     set the system message (nothing: none)   /clear   forget the conversation\n"
    "/retry           answer the last message anew             /think on|off|auto\n"
    "/save FILE       keep the conversation as JSON            /load FILE\n"
    "/help  /quit     \"\"\" begins and ends a message of several lines; Ctrl-C stops an answer\n";

// Ctrl-C while typing throws the line away, as a shell does.
int forget_line() {
  if (!interrupted()) return 0;
  clear_interrupt();
  std::fputs("\n", stdout);
  rl_replace_line("", 0);
  rl_on_new_line();
  rl_redisplay();
  return 0;
}

class Input {
 public:
  explicit Input(bool terminal) : terminal_(terminal) { rl_signal_event_hook = forget_line; }
  // One message; none at the end of input.
  std::optional<std::string> message() {
    auto line = read(">>> ");
    if (!line || !line->starts_with("\"\"\"")) return line;
    std::string text = line->substr(3);
    for (size_t end; (end = text.find("\"\"\"")) == std::string::npos;) {
      const auto more = read("... ");
      if (!more) return text;
      text += (text.empty() ? "" : "\n") + *more;
      if ((end = text.find("\"\"\"")) != std::string::npos) return text.substr(0, end);
    }
    return text.substr(0, text.find("\"\"\""));
  }

 private:
  std::optional<std::string> read(const char* prompt) {
    if (!terminal_) {
      std::string line;
      if (!std::getline(std::cin, line)) return std::nullopt;
      if (line.ends_with('\r')) line.pop_back();  // lines of a file from Windows
      return line;
    }
    char* line = readline(prompt);
    if (!line) return std::nullopt;
    std::string text = line;
    std::free(line);
    if (!text.empty()) add_history(text.c_str());
    return text;
  }
  bool terminal_;
};

stages::LoadedModel load_model(const stages::InferenceArgs& args, tensor::Device device) {
  return stages::load(args, device);
}

class Chat {
 public:
  Chat(const ChatConfig& config, const CommonOptions& common)
      : config_(config),
        quiet_(common.quiet),
        terminal_(isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)),
        loaded_(load_model(config.model, tensor::parse_device(common.device))),
        engine_(*loaded_.model, config.engine),
        prompts_(*loaded_.tokenizer, loaded_.chat.get(), {}, loaded_.stop_ids),
        think_(config.think),
        sampling_(config.sampling) {
    fill_sampling(sampling_, loaded_.generation);
    sampling_.params(config.max_new_tokens);  // refuses what is out of range before anybody types
    if (!config.system_prompt.empty()) set_system(config.system_prompt);
    if (!config.load.empty()) load(config.load);
  }

  int run() {
    install_interrupt_handler(/*announce=*/false);
    std::signal(SIGTERM, SIG_DFL);  // Ctrl-C stops an answer; whoever sends SIGTERM means the program
    if (terminal_ && !quiet_)
      print_text(str("talking to ", config_.model.model_name_or_path, loaded_.chat ? "" : " (no chat template: each line is a prompt)",
                     "; /help\n"));
    Input input(terminal_);
    while (const auto line = input.message()) {
      if (interrupted() && !terminal_) return int(ErrorKind::kInterrupted);
      clear_interrupt();
      if (line->empty()) continue;
      // The one more place besides main that catches: a mistake in one turn must not cost the conversation.
      try {
        if (line->front() == '/') {
          if (!command(*line)) break;
        } else {
          messages_.push_back({"user", *line});
          answer();
        }
      } catch (const Error& error) {
        log_error(error.what());
        if (!messages_.empty() && messages_.back().role == "user") messages_.pop_back();
      }
    }
    if (terminal_) print_text("\n");
    return 0;
  }

 private:
  // False: leave.
  bool command(const std::string& line) {
    const size_t space = line.find(' ');
    const std::string name = line.substr(0, space), rest = space == std::string::npos
                                                               ? ""
                                                               : line.substr(line.find_first_not_of(' ', space) == std::string::npos
                                                                                 ? line.size()
                                                                                 : line.find_first_not_of(' ', space));
    if (name == "/quit" || name == "/exit" || name == "/bye") return false;
    if (name == "/help")
      print_text(kHelp);
    else if (name == "/clear")
      clear();
    else if (name == "/system")
      set_system(rest);
    else if (name == "/retry")
      retry();
    else if (name == "/think")
      set_think(rest);
    else if (name == "/save")
      save(rest);
    else if (name == "/load")
      load(rest);
    else
      fail_usage("unknown command ", name, "; /help lists them (a message that begins with / goes between \"\"\")");
    return true;
  }

  void clear() {
    std::erase_if(messages_, [](const data::Message& m) { return m.role != "system"; });
    retries_ = 0;
  }
  void set_system(const std::string& text) {
    std::erase_if(messages_, [](const data::Message& m) { return m.role == "system"; });
    if (!text.empty()) messages_.insert(messages_.begin(), {"system", text});
  }
  void set_think(const std::string& how) {
    if (how != "on" && how != "off" && how != "auto") fail_usage("/think on, off or auto");
    think_ = how;
  }
  void retry() {
    while (!messages_.empty() && messages_.back().role == "assistant") messages_.pop_back();
    if (messages_.empty() || messages_.back().role != "user") fail_usage("/retry: nothing was asked yet");
    ++retries_;
    answer();
  }
  void save(const std::string& path) const {
    if (path.empty()) fail_usage("/save FILE");
    Json json = {{"messages", data::to_json(messages_)}};
    if (variables_.is_object()) json.update(variables_);
    write_file_atomic(path, dump_json(json, 2) + "\n");
    if (terminal_) print_text(str("saved ", messages_.size(), " messages\n"));
  }
  void load(const std::string& path) {
    if (path.empty()) fail_usage("/load FILE");
    data::Conversation loaded = data::conversation_from_json(parse_json_file(path), path, data::TemplateKeys::kAll);
    messages_ = std::move(loaded.messages);
    variables_ = std::move(loaded.variables);
    if (terminal_) print_text(str("loaded ", messages_.size(), " messages\n"));
  }

  std::vector<text::TokenId> prompt() const {
    const text::Tokenizer& t = *loaded_.tokenizer;
    std::vector<text::TokenId> ids = loaded_.chat ? prompts_.chat_prompt({messages_, variables_})
                                                  : t.encode(messages_.back().content, {.add_special_tokens = t.add_bos()});
    std::string suffix = config_.prompt_suffix;
    if (think_ != "auto") {
      const std::string tail = t.decode({ids.end() - std::min<int64_t>(16, int64_t(ids.size())), ids.end()});
      suffix += data::thought_suffix(tail + suffix, think_ == "on");
    }
    const auto more = t.encode(suffix, {.parse_special = true});
    ids.insert(ids.end(), more.begin(), more.end());
    return ids;
  }

  engine::CompletionRequest request() const {
    engine::CompletionRequest r;
    r.prompt = prompt();
    r.stop = sampling_.stop;
    // The answer gets what the context and the cache have left.
    const auto& c = engine_.config();
    const int64_t room = std::min(c.max_model_len, c.num_blocks * c.block_size) - int64_t(r.prompt.size());
    check(room > 0, "the conversation has ", r.prompt.size(), " tokens and fills the context of ", c.max_model_len, "; /clear begins anew");
    r.sampling = sampling_.params(std::min(config_.max_new_tokens, room));
    r.sampling.seed = config_.seed + uint64_t(retries_) + messages_.size() * 1000003;
    r.sampling.stop_ids = prompts_.stop_ids();
    return r;
  }

  void answer() {
    const engine::CompletionRequest r = request();
    engine::CompletionOptions options;
    options.on_text = [](size_t, int, const std::string& piece) {
      return std::fwrite(piece.data(), 1, piece.size(), stdout) == piece.size() && std::fflush(stdout) == 0;
    };
    options.on_step = [](int64_t, int64_t, const engine::EngineStats&) { return !interrupted(); };
    const auto start = std::chrono::steady_clock::now();
    const engine::Completion c = complete(engine_, *loaded_.tokenizer, {r}, options)[0][0];
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (terminal_) clear_interrupt();
    print_text("\n");
    messages_.push_back({"assistant", c.text});
    if (!loaded_.chat) messages_.clear();
    if (terminal_ && !quiet_)
      std::fprintf(stderr, "\033[2m%zu tokens, %.1f/s%s\033[0m\n", c.ids.size(), double(c.ids.size()) / seconds,
                   c.finish == engine::FinishReason::kLength ? ", cut at max_new_tokens or the end of the context" : "");
  }

  const ChatConfig& config_;
  bool quiet_, terminal_;
  stages::LoadedModel loaded_;
  engine::Engine engine_;
  data::PromptMaker prompts_;
  std::string think_;
  data::Messages messages_;
  Json variables_;  // what a loaded conversation says to the template beside its messages
  engine::SamplingOptions sampling_;
  int64_t retries_ = 0;
};

int run(const ChatConfig& config, const CommonOptions& common) {
  ChatConfig c = config;
  c.engine.max_num_seqs = 1;
  return Chat(c, common).run();
}

}  // namespace

Command cmd_chat() {
  return make_command<ChatConfig>("chat", "talk to a model", run, {"model_name_or_path"});
}

}  // namespace r1::app
