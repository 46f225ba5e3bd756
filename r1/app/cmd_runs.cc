// r1 runs DIR: the dashboard of training runs in a browser, without a model: curves, completions, comparison and alarms of the runs below the
// folders, as they grow. `r1 serve --runs DIR` has the same page beside a model's.
#include <chrono>
#include <cstdio>
#include <thread>

#include "r1/api/runs_routes.h"
#include "r1/app/command.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/http/assets.h"
#include "r1/http/server.h"

namespace r1::app {
namespace {

struct DashboardConfig {
  api::RunsConfig runs;
  http::ServerConfig server;

  void visit(Fields& v) {
    v.group("", runs);
    v.group("", server);
  }
};

// The page, its modules and what all pages share; there is nobody to chat with here.
const std::vector<http::Asset>& page_files() {
  static const std::vector<http::Asset> files = [] {
    std::vector<http::Asset> out;
    for (const http::Asset& asset : http::web_assets())
      if (asset.path.starts_with("/runs/") || asset.path.starts_with("/common/") || asset.path == "/base.css" || asset.path == "/icon.svg")
        out.push_back(asset);
    return out;
  }();
  return files;
}

http::Router routes(const api::RunsConfig& config) {
  http::Router router;
  http::add_assets(router, page_files());
  router.add({.method = "GET",
              .pattern = "/",
              .handler =
                  [](const http::RequestPtr&, const http::ResponderPtr& responder) {
                    responder->send({.status = 302, .body = "", .content_type = "text/plain", .headers = {{"Location", "/runs"}}});
                  },
              .open = true});
  router.add(
      {.method = "GET",
       .pattern = "/health",
       .handler = [](const http::RequestPtr&, const http::ResponderPtr& responder) { responder->send({.body = R"({"status":"ok"})"}); },
       .open = true,
       .quick = true});
  api::add_runs_routes(router, config);
  return router;
}

int run(const DashboardConfig& config, const CommonOptions& common) {
  if (config.runs.runs.empty()) fail_usage("name the folder that holds the runs: r1 runs runs");
  install_interrupt_handler(false);
  http::Server server(config.server, routes(config.runs));
  const std::string address = server.address() + "/runs";
  if (common.json) {
    print_text(dump_json(Json{{"address", address}, {"port", server.port()}}) + "\n");
    std::fflush(stdout);  // whoever reads the pipe waits for it
  } else {
    log_info("runs: ", address, " (Ctrl-C ends)");
  }
  while (!interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  server.stop(0);
  return 0;
}

}  // namespace

Command cmd_runs() {
  return make_command<DashboardConfig>("runs", "training runs in a browser: live curves, completions, comparison, alarms", run, {"runs"});
}

}  // namespace r1::app
