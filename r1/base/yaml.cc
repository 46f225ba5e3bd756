// The YAML half of config_io.h.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <set>
#include <sstream>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/base/file.h"

namespace r1 {
namespace {

// Walks one document; counts nodes, because anchors let a small file stand for a huge one.
class Walker {
 public:
  explicit Walker(std::string_view where) : where_(where) {}

  // Maps become dotted settings, all else is a leaf.
  void flatten(const YAML::Node& node, const std::string& prefix, int depth, std::vector<Setting>& out) {
    each_pair(node, depth, [&](const std::string& key, const YAML::Node& key_node, const YAML::Node& value) {
      const std::string full = prefix + key;
      if (value.IsMap()) {
        flatten(value, full + ".", depth + 1, out);
      } else {
        out.push_back({full, at(key_node), to_json(value, depth + 1)});
      }
    });
  }

  Json to_json(const YAML::Node& node, int depth) {
    count(node, depth);
    if (node.IsNull() || !node.IsDefined()) return nullptr;
    if (node.IsScalar()) return is_null(node) ? Json(nullptr) : Json(node.Scalar());
    Json result = node.IsMap() ? Json::object() : Json::array();
    if (node.IsMap()) {
      each_pair(node, depth,
                [&](const std::string& key, const YAML::Node&, const YAML::Node& value) { result[key] = to_json(value, depth + 1); });
    } else {
      for (const auto& item : node) result.push_back(to_json(item, depth + 1));
    }
    return result;
  }

  std::string at(const YAML::Node& node) const { return str(where_, ":", node.Mark().line + 1); }

 private:
  template <class Body>
  void each_pair(const YAML::Node& node, int depth, Body body) {
    count(node, depth);
    std::set<std::string> seen;
    for (const auto& pair : node) {
      if (!pair.first.IsScalar()) fail_usage(at(pair.first), ": a key must be a plain word");
      if (!seen.insert(pair.first.Scalar()).second) fail_usage(at(pair.first), ": duplicate key '", printable(pair.first.Scalar()), "'");
      body(pair.first.Scalar(), pair.first, pair.second);
    }
  }

  // "~" and "null" unquoted; yaml-cpp gives quoted scalars the tag "!".
  static bool is_null(const YAML::Node& node) {
    const auto& text = node.Scalar();
    return node.Tag() != "!" && (text == "~" || text == "null" || text == "Null" || text == "NULL" || text.empty());
  }

  void count(const YAML::Node& node, int depth) {
    if (depth > kMaxYamlDepth) fail_usage(at(node), ": nested deeper than ", kMaxYamlDepth, " levels");
    if (++nodes_ > kMaxYamlNodes) fail_usage(where_, ": more than ", kMaxYamlNodes, " values (do anchors repeat?)");
  }

  std::string_view where_;
  size_t nodes_ = 0;
};

template <class Body>
auto guarded(std::string_view where, Body body) {
  try {
    return body();
  } catch (const YAML::Exception& error) {
    fail_usage(where, ":", error.mark.line + 1, ": not valid YAML: ", error.msg);
  }
}

class NoEvents : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// Not YAML::LoadAll: on some broken files its parser yields documents without end.
bool has_second_document(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  NoEvents events;
  return parser.HandleNextDocument(events) && parser.HandleNextDocument(events);
}

YAML::Node load(std::string_view text, std::string_view where) {
  if (text.size() > kMaxYamlBytes) fail_usage(where, ": ", text.size(), " bytes; a config has at most ", kMaxYamlBytes);
  return guarded(where, [&] {
    const std::string copy(text);
    if (has_second_document(copy))
      fail_usage(where, ": expected one YAML document; there is a second one (---), or text that belongs to none");
    return YAML::Load(copy);
  });
}

std::string read_config_file(const std::filesystem::path& path) {
  try {
    return read_file(path);
  } catch (const Error& error) {
    fail_usage(error.what());
  }
}

}  // namespace

std::vector<Setting> parse_yaml(std::string_view text, std::string_view where) {
  const auto root = load(text, where);
  return guarded(where, [&] {
    std::vector<Setting> settings;
    if (!root.IsDefined() || root.IsNull()) return settings;
    if (!root.IsMap()) fail_usage(where, ": expected 'key: value' lines");
    Walker(where).flatten(root, "", 0, settings);
    return settings;
  });
}

std::vector<Setting> read_yaml(const std::filesystem::path& path) {
  return parse_yaml(read_config_file(path), path.string());
}

Json parse_yaml_document(std::string_view text, std::string_view where) {
  const auto root = load(text, where);
  return guarded(where, [&] { return Walker(where).to_json(root, 0); });
}

}  // namespace r1
