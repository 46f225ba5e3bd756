// The sandbox that exec rewards run in by default.
#include "r1/base/error.h"
#include "r1/tasks/exec_reward.h"

namespace r1::tasks {

namespace {

verify::sandbox::Policy read_policy(OptionReader& o) {
  using verify::sandbox::Layer;
  verify::sandbox::Policy policy;
  std::string list = o.text("may_miss", "");
  for (size_t begin = 0; begin < list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const std::string name = trimmed(list.substr(begin, end - begin));
    bool known = false;
    for (const Layer layer : {Layer::kNamespaces, Layer::kSeccomp, Layer::kRlimits, Layer::kCgroup, Layer::kLandlock}) {
      if (name != verify::sandbox::layer_name(layer)) continue;
      policy.may_miss.push_back(layer);
      known = true;
    }
    if (!known) fail_usage("reward exec: may_miss: unknown layer '", name, "' (r1 sandbox doctor lists them)");
    begin = end + 1;
  }
  return policy;
}

}  // namespace

std::unique_ptr<Reward> make_exec_reward(const std::string& command, OptionReader& options) {
  const auto box = std::make_shared<verify::sandbox::Sandbox>(read_policy(options));
  return make_exec_reward(command, options, [box](const auto& program, const auto& limits) { return box->run(program, limits); });
}

}  // namespace r1::tasks
