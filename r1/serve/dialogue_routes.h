// The routes of support dialogues (docs/dialogue.md):
//   POST   /v1/dialogue             one turn: {session?, message, stream?, reply?} -> state, intent, slots, action, reply
//   GET    /v1/dialogue/domain      what it is about: intents, slots
//   GET    /v1/dialogue/{session}   the tracked state
//   DELETE /v1/dialogue/{session}
// What is done is the policy's decision (api/dialogue.h). What is said is the domain's text, or, if asked for, that text in the served model's
// words; where the model cannot answer, the domain's text stands in and the answer says so.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "r1/api/dialogue_store.h"
#include "r1/api/openapi.h"
#include "r1/base/config.h"
#include "r1/http/router.h"
#include "r1/serve/service.h"

namespace r1::serve {

struct DialogueConfig {
  std::string intents;             // folder of r1 intent train; "": there are no dialogues
  std::string domain;              // YAML or JSON file
  std::string reply = "template";  // where a request says nothing: template | model
  int64_t max_sessions = 4096, session_timeout = 1800;

  void visit(Fields& v);
};

struct DialogueParts {
  std::shared_ptr<const api::Dialogue> dialogue;
  std::shared_ptr<api::DialogueStore> store;
  api::Dialogue::Classifier classify;
  std::string intents_version;  // of the intent model, told in answers
  std::string reply = "template";
};

// Loads the intent model (on the CPU, where a message takes some milliseconds) and the domain, which must have an intent in common.
DialogueParts load_dialogue(const DialogueConfig& config);

// `service` may be null: then replies are the domain's. It outlives the router.
void add_dialogue_routes(http::Router& router, Service* service, const DialogueParts& parts);
std::vector<api::Operation> dialogue_operations();

}  // namespace r1::serve
