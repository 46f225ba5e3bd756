// The web chat's conversations over HTTP. All of JSON; errors in the server's shape. An owner is the request's API key.
//
//   GET    /api/conversations?query=&limit=&offset=     {"conversations": [..], "more": bool}; with a query each has "match": {"message", "excerpt"}
//   POST   /api/conversations                           {"id"?, "title"?, "settings"?, "pinned"?}: makes it; the same id again answers what is there
//   GET    /api/conversations/{id}                      with all its messages
//   PATCH  /api/conversations/{id}                      {"title"?, "settings"?, "pinned"?, "leaf"?}
//   DELETE /api/conversations/{id}
//   GET    /api/conversations/{id}/export               a file that import takes
//   PUT    /api/conversations/{id}/messages/{message}   adds a message, or replaces it by a higher version
//   POST   the same                                     for navigator.sendBeacon, which can't PUT
//   DELETE /api/conversations/{id}/messages/{message}   with all that hangs under it
//   GET    /api/conversations/export                    all of them
//   POST   /api/conversations/import                    {"added", "same", "renamed"}
//
// An answer that is acknowledged is on the disk. The client stores a question before it asks the model, and the growing answer about once a
// second and at its end, so that a page or server that dies loses at most the last second of an answer that nobody acknowledged.
#pragma once

#include <vector>

#include "r1/api/openapi.h"
#include "r1/api/store.h"
#include "r1/http/router.h"

namespace r1::api {

// `store` outlives the server.
void add_store_routes(http::Router& router, Store& store);
// Their rows in /openapi.json.
std::vector<Operation> store_operations();

}  // namespace r1::api
