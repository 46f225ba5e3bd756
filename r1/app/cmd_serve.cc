// r1 serve MODEL: the model behind HTTP, for the clients of OpenAI, Anthropic, Ollama and Triton, with a chat page at / and, for the folders that
// --runs names, a dashboard of training runs at /runs. The port is open at once; /health says 503 until the model is loaded. Ctrl-C or SIGTERM
// lets answers under way end, for stop_grace seconds.
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <thread>

#include "r1/api/runs_routes.h"
#include "r1/api/store_routes.h"
#include "r1/app/command.h"
#include "r1/app/sampling_defaults.h"
#include "r1/base/build_info.h"
#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/strings.h"
#include "r1/http/assets.h"
#include "r1/http/server.h"
#include "r1/model/footprint.h"
#include "r1/model/local_models.h"
#include "r1/serve/code_routes.h"
#include "r1/serve/dialogue_routes.h"
#include "r1/serve/routes.h"
#include "r1/stages/run.h"

namespace r1::app {
namespace {

struct ServeConfig {
  stages::InferenceArgs model;
  http::ServerConfig server;
  serve::ServiceConfig service;
  api::RunsConfig runs;
  serve::DialogueConfig dialogue;
  std::vector<std::string> served_model_name;
  std::string conversations, web_dir;
  bool web = true;
  double stop_grace = 30;

  void visit(Fields& v) {
    v.group("", model);
    v.group("", server);
    v("served_model_name", served_model_name, "what clients call the model, and other names for it; default: its folder's or file's name");
    v.alias("alias", "served_model_name");
    v("conversations", conversations, "SQLite file of the chat page's conversations; default: in the user's data folder");
    v("web", web, "the chat page at /");
    v("web_dir", web_dir, "serve the pages from this folder, read anew each time, for who works on them");
    v("stop_grace", stop_grace, "seconds that answers under way have when the server is stopped", Range{0, 3600});
    v.group("", runs);
    v.group("dialogue", dialogue);
    v.group("", service);
    v.alias("parallel", "engine.max_num_seqs");
    v.alias("max_num_seqs", "engine.max_num_seqs");
    v.alias("max_model_len", "engine.max_model_len");
    v.alias("ctx_size", "engine.max_model_len");
    v.alias("gpu_memory_utilization", "engine.gpu_memory_utilization");
    v.alias("enable_prefix_caching", "engine.enable_prefix_caching");
    v.alias("kv_cache_dtype", "engine.kv_cache_dtype");
    v.alias("attention_window", "engine.attention_window");
    v.alias("kv_eviction", "engine.kv_eviction");
    v.alias("kv_budget", "engine.kv_budget");
    v.alias("attention_sink_tokens", "engine.attention_sink_tokens");
  }
};

double seconds_since(std::chrono::steady_clock::time_point begun) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

// The folder's or file's name, without what only says how it is stored.
std::string default_name(const fs::path& model) {
  fs::path path = fs::absolute(model).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path.extension() == ".gguf" ? path.stem().string() : path.filename().string();
}

fs::path conversations_file(const std::string& given) {
  if (!given.empty()) return given;
  const char* data = std::getenv("XDG_DATA_HOME");
  const char* home = std::getenv("HOME");
  if (!data && !home) fail_usage("there is no HOME to keep the chat page's conversations in: give --conversations FILE");
  const fs::path folder = (data ? fs::path(data) : fs::path(home) / ".local" / "share") / "r1";
  make_folder(folder);
  return folder / "conversations.sqlite";
}

int64_t bytes_of(const fs::path& model) {
  if (!fs::is_directory(model)) return int64_t(fs::file_size(model));
  int64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(model))
    if (entry.is_regular_file() && (entry.path().extension() == ".safetensors" || entry.path().extension() == ".gguf"))
      bytes += int64_t(entry.file_size());
  return bytes;
}

api::OllamaModel facts_of(const serve::ServedModel& m, int64_t longest) {
  const model::ModelConfig& c = m.model->config();
  const auto written = std::chrono::file_clock::to_sys(fs::last_write_time(m.path));
  const std::string chat = m.chat ? m.chat->source() : "";
  return {.name = m.name,
          .format = fs::path(m.path).extension() == ".gguf" ? "gguf" : "safetensors",
          .family = c.family,
          .quantization = m.model->dtype() == at::kBFloat16 ? "BF16" : "F32",
          .chat_template = chat,
          .license = "",
          .digest = "",
          .bytes = bytes_of(m.path),
          .parameters = model::parameter_count(c),
          .modified = int64_t(std::chrono::duration_cast<std::chrono::seconds>(written.time_since_epoch()).count()),
          .context_length = longest,
          .hidden_size = c.hidden_size,
          .layers = c.num_hidden_layers,
          .vocab_size = c.vocab_size,
          .on_gpu = m.model->device().is_cuda(),
          .tools = chat.find("tools") != std::string::npos,
          .thinking = chat.find("think") != std::string::npos,
          .fill_in = m.tokenizer->token_id("<|fim_prefix|>").has_value()};
}

class Program {
 public:
  Program(const ServeConfig& config, const CommonOptions& common) : config_(config), common_(common) {}

  int run() {
    const auto begun = std::chrono::steady_clock::now();
    install_interrupt_handler(false);
    const fs::path path = model::find_model(config_.model.model_name_or_path);  // a wrong name is told before anything is opened
    http::Router loading;
    add_pages(loading);
    serve::add_loading_routes(loading);
    http::Server server(config_.server, std::move(loading));
    announce(server, "loading");
    load(path);
    log_info("model: loaded in ", seconds_since(begun), " s");
    serve::ServiceConfig service_config = config_.service;
    fill_sampling(service_config.sampling, loaded_->generation);
    serve::Service service(served_, service_config);
    server.replace(routes(service));
    served_.model.reset();  // the service's alone, which may let it go for other weights
    log_info("ready after ", seconds_since(begun), " s: ", server.address(), config_.web ? " (chat page; Ctrl-C ends)" : " (Ctrl-C ends)");
    announce(server, "ready");
    while (!interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    log_info("stopping; answers under way have ", config_.stop_grace, " s");
    server.stop(config_.stop_grace);
    return 0;
  }

 private:
  // For programs that start this one: the address, and when it answers.
  void announce(const http::Server& server, const char* state) const {
    if (!common_.json) return;
    print_text(dump_json(Json{{"state", state}, {"address", server.address()}, {"port", server.port()}}) + "\n");
    std::fflush(stdout);  // whoever reads the pipe waits for it
  }

  void load(const fs::path& path) {
    const auto device = tensor::parse_device(common_.device);
    loaded_ = stages::load(config_.model, device);
    served_ = {.name = config_.served_model_name.empty() ? default_name(path) : config_.served_model_name[0],
               .path = path.string(),
               .model = std::move(loaded_->model),
               .tokenizer = loaded_->tokenizer.get(),
               .chat = loaded_->chat.get(),
               .stop_ids = loaded_->stop_ids,
               .generation = loaded_->generation};
  }

  void add_pages(http::Router& router) {
    if (!config_.web) return;
    if (config_.web_dir.empty())
      http::add_assets(router, http::web_assets());
    else
      http::add_asset_folder(router, config_.web_dir);
  }

  http::Router routes(serve::Service& service) {
    http::Router router;
    add_pages(router);
    serve::RouteOptions options{.facts = facts_of(served_, service.max_model_len()), .version = build_info().version};
    if (config_.served_model_name.size() > 1)
      options.aliases.assign(config_.served_model_name.begin() + 1, config_.served_model_name.end());
    const auto document = [&options](std::vector<api::Operation> rows) {
      options.more.insert(options.more.end(), std::make_move_iterator(rows.begin()), std::make_move_iterator(rows.end()));
    };
    if (!config_.dialogue.intents.empty()) {
      serve::add_dialogue_routes(router, &service, serve::load_dialogue(config_.dialogue));
      document(serve::dialogue_operations());
    }
    serve::add_code_routes(router, service);
    document(serve::code_operations());
    if (config_.web) {
      store_ = std::make_unique<api::Store>(conversations_file(config_.conversations));
      api::add_store_routes(router, *store_);
      document(api::store_operations());
    }
    api::add_runs_routes(router, config_.runs);
    document(api::runs_operations());
    serve::add_routes(router, service, options);  // the last: /openapi.json describes them all
    return router;
  }

  const ServeConfig& config_;
  const CommonOptions& common_;
  std::optional<stages::LoadedModel> loaded_;
  serve::ServedModel served_;
  std::unique_ptr<api::Store> store_;
};

int run(const ServeConfig& config, const CommonOptions& common) {
  return Program(config, common).run();
}

}  // namespace

Command cmd_serve() {
  return make_command<ServeConfig>("serve", "the model behind HTTP: OpenAI's API and others, a chat page", run, {"model_name_or_path"});
}

}  // namespace r1::app
