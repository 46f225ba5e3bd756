// The files of deploy/ against this program and against each other: flags and environment variables are options, ports, probes, labels,
// claims, secrets and the autoscaler's metric meet.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "r1/app/command.h"
#include "r1/base/file.h"
#include "r1/dist/ranks.h"
#include "r1/serve/routes.h"

namespace r1::app {
namespace {

const fs::path kDeploy = fs::path(R1_SOURCE_DIR) / "deploy";

// Keys of `r1 serve`.
const std::set<std::string>& options() {
  static const std::set<std::string> all = [] {
    std::set<std::string> keys;
    std::istringstream lines(list_options());
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with("serve --")) keys.insert(line.substr(8, line.find(' ', 8) - 8));
    return keys;
  }();
  return all;
}

std::vector<YAML::Node> documents(const fs::path& file) {
  return YAML::LoadAll(read_file(kDeploy / file));
}
YAML::Node document(const fs::path& file) {
  const auto all = documents(file);
  EXPECT_EQ(all.size(), 1u) << file;
  return all.at(0);
}
YAML::Node deployment() {
  return document("kubernetes/base/deployment.yaml");
}
YAML::Node pod_spec() {
  return deployment()["spec"]["template"]["spec"];
}
YAML::Node container() {
  return pod_spec()["containers"][0];
}
std::vector<std::string> strings(const YAML::Node& list) {
  return list.as<std::vector<std::string>>();
}

// The values of --key=value arguments; each key must be an option of serve.
std::multimap<std::string, std::string> flags(const std::vector<std::string>& arguments, const std::string& where) {
  std::multimap<std::string, std::string> out;
  for (const std::string& a : arguments) {
    if (!a.starts_with("--")) continue;
    const size_t equals = a.find('=');
    const std::string key = a.substr(2, equals == std::string::npos ? equals : equals - 2);
    EXPECT_NE(equals, std::string::npos) << where << ": " << a << ": written --key=value, so that one argument is one option";
    EXPECT_TRUE(options().contains(key)) << where << ": r1 serve has no option --" << key;
    out.emplace(key, equals == std::string::npos ? "" : a.substr(equals + 1));
  }
  return out;
}
std::multimap<std::string, std::string> pod_flags() {
  return flags(strings(container()["args"]), "deployment.yaml");
}
std::string flag(const std::multimap<std::string, std::string>& all, const std::string& key) {
  EXPECT_EQ(all.count(key), 1u) << key;
  const auto at = all.find(key);
  return at == all.end() ? "" : at->second;
}

// A rank a pod: as many as the ranks are told, which find the first by the service's name.
TEST(Deploy, TheRanksOfATrainingJobMeet) {
  const auto all = documents("kubernetes/train-job.yaml");
  ASSERT_EQ(all.size(), 2u);
  const YAML::Node service = all[0], job = all[1], pod = job["spec"]["template"]["spec"], container = pod["containers"][0];
  std::map<std::string, std::string> environment;
  for (const YAML::Node& e : container["env"]) environment[e["name"].as<std::string>()] = e["value"].as<std::string>();
  const auto name = service["metadata"]["name"].as<std::string>();
  EXPECT_EQ(job["spec"]["completionMode"].as<std::string>(), "Indexed");
  EXPECT_EQ(job["spec"]["completions"].as<std::string>(), environment.at("WORLD_SIZE"));
  EXPECT_EQ(job["spec"]["parallelism"].as<std::string>(), environment.at("WORLD_SIZE"));
  EXPECT_EQ(environment.at("MASTER_ADDR"), job["metadata"]["name"].as<std::string>() + "-0." + name);
  EXPECT_EQ(pod["subdomain"].as<std::string>(), name);
  // A container that is started again counts, so a limit below the number of ranks would end the job at its first lost pod.
  EXPECT_GE(job["spec"]["backoffLimit"].as<int>(), 1000 * job["spec"]["completions"].as<int>());
  EXPECT_TRUE(job["spec"]["activeDeadlineSeconds"]);
  EXPECT_EQ(container["resources"]["limits"]["cpu"].as<std::string>(), container["resources"]["requests"]["cpu"].as<std::string>());
  EXPECT_EQ(service["spec"]["clusterIP"].as<std::string>(), "None");
  EXPECT_EQ(service["spec"]["selector"]["job-name"].as<std::string>(), job["metadata"]["name"].as<std::string>());
  environment["JOB_COMPLETION_INDEX"] = "3";
  const dist::Ranks ranks = dist::ranks_of([&](const char* key) -> std::optional<std::string> {
    const auto at = environment.find(key);
    return at == environment.end() ? std::nullopt : std::optional(at->second);
  });
  EXPECT_EQ(ranks.rank, 3);
  EXPECT_EQ(ranks.size, 4);
  EXPECT_EQ(ranks.address, environment.at("MASTER_ADDR"));
  for (const auto& argument : strings(container["args"])) {
    if (!argument.starts_with("--")) continue;
    EXPECT_NE(list_options().find("\npretrain " + argument.substr(0, argument.find('=')) + " "), std::string::npos) << argument;
  }
}

TEST(Deploy, TheRanksOfASlurmJobHaveTheirCpusAndGoOn) {
  const std::string script = read_file(kDeploy / "slurm" / "pretrain.sbatch");
  std::map<std::string, std::string> asked;
  const std::regex option("#SBATCH --([a-z-]+)(?:=([^\n]*))?");
  for (std::sregex_iterator at(script.begin(), script.end(), option), end; at != end; ++at) asked[(*at)[1]] = (*at)[2];
  EXPECT_TRUE(asked.contains("requeue"));
  EXPECT_EQ(asked["open-mode"], "append");
  EXPECT_TRUE(asked["signal"].starts_with("TERM@"));
  const size_t srun = script.find("exec srun ");
  ASSERT_NE(srun, std::string::npos);
  const std::string command = script.substr(srun, script.find('\n', srun) - srun);
  EXPECT_TRUE(command.ends_with(" r1 \"$@\"")) << command;
  EXPECT_NE(command.find("--cpus-per-task=\"$SLURM_CPUS_PER_TASK\""), std::string::npos) << command;
  EXPECT_NE(command.find("--kill-on-bad-exit=1"), std::string::npos) << command;
  // The usage in its comment is a command of this program.
  const std::regex usage("sbatch [^\n]*pretrain.sbatch (\\w+) ([^\n]*)"), flag("--([a-z_]+)=");
  std::smatch words;
  ASSERT_TRUE(std::regex_search(script, words, usage));
  const std::string stage = words[1], rest = words[2];
  for (std::sregex_iterator f(rest.begin(), rest.end(), flag), end; f != end; ++f)
    EXPECT_NE(list_options().find("\n" + stage + " --" + std::string((*f)[1]) + " "), std::string::npos) << (*f)[1];
}

TEST(Deploy, EveryYamlFileIsReadAndNamesAKind) {
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(kDeploy / "kubernetes")) {
    if (entry.path().extension() != ".yaml") continue;
    ++files;
    for (const YAML::Node& d : YAML::LoadAll(read_file(entry.path())))
      if (entry.path().filename() != "adapter_rules.yaml") {
        EXPECT_TRUE(d["kind"] && d["apiVersion"]) << entry.path();
      }
  }
  EXPECT_GE(files, 11);
  for (const auto& resource : strings(document("kubernetes/base/kustomization.yaml")["resources"]))
    EXPECT_TRUE(fs::exists(kDeploy / "kubernetes/base" / resource)) << resource;
}

TEST(Deploy, ThePodsFlagsAreTheProgramsAndAreTheSafeOnes) {
  const YAML::Node c = container();
  EXPECT_EQ(strings(c["command"]), std::vector<std::string>{"/usr/local/bin/r1"});
  const auto arguments = strings(c["args"]);
  EXPECT_EQ(arguments.at(0), "serve");
  const auto given = flags(arguments, "deployment.yaml");
  EXPECT_EQ(flag(given, "host"), "0.0.0.0");
  EXPECT_EQ(flag(given, "port"), "8080");
  EXPECT_FALSE(flag(given, "api_key_file").empty()) << "a server that other machines reach asks for a key";
  EXPECT_GE(given.count("allowed_hosts"), 1u);
  // Answers under way end before the pod is killed.
  const YAML::Node pod = pod_spec();
  EXPECT_GE(pod["terminationGracePeriodSeconds"].as<int>(), std::stoi(flag(given, "stop_grace")) + 10);
  // A service called r1 would set R1_PORT=tcp://.. in the pod, which the program would read as its option.
  EXPECT_EQ(pod["enableServiceLinks"].as<bool>(), false);
}

TEST(Deploy, ProbesAskHealthOnTheServersPort) {
  const YAML::Node c = container();
  ASSERT_EQ(c["ports"].size(), 1u);
  EXPECT_EQ(c["ports"][0]["name"].as<std::string>(), "http");
  EXPECT_EQ(c["ports"][0]["containerPort"].as<int>(), 8080);
  for (const char* probe : {"startupProbe", "readinessProbe", "livenessProbe"}) {
    ASSERT_TRUE(c[probe]) << probe;
    EXPECT_EQ(c[probe]["httpGet"]["path"].as<std::string>(), "/health") << probe;
    EXPECT_EQ(c[probe]["httpGet"]["port"].as<std::string>(), "http") << probe;
    EXPECT_GE(c[probe]["timeoutSeconds"].as<int>(), 2) << probe << ": a busy engine answers late, not never";
  }
  // A model that loads slowly is not killed; one that hangs is, after a minute or so.
  const auto seconds = [&](const char* probe) { return c[probe]["periodSeconds"].as<int>() * c[probe]["failureThreshold"].as<int>(); };
  EXPECT_GE(seconds("startupProbe"), 300);
  EXPECT_GE(seconds("livenessProbe"), 30);
  EXPECT_LE(seconds("readinessProbe"), 30);
}

TEST(Deploy, ThePodHasNoRightsItDoesNotNeed) {
  const YAML::Node pod = pod_spec(), c = container();
  EXPECT_TRUE(pod["securityContext"]["runAsNonRoot"].as<bool>());
  EXPECT_GT(pod["securityContext"]["runAsUser"].as<int>(), 0);
  EXPECT_EQ(pod["securityContext"]["seccompProfile"]["type"].as<std::string>(), "RuntimeDefault");
  EXPECT_FALSE(pod["automountServiceAccountToken"].as<bool>());
  EXPECT_FALSE(c["securityContext"]["allowPrivilegeEscalation"].as<bool>());
  EXPECT_TRUE(c["securityContext"]["readOnlyRootFilesystem"].as<bool>());
  EXPECT_EQ(strings(c["securityContext"]["capabilities"]["drop"]), std::vector<std::string>{"ALL"});
  EXPECT_TRUE(c["resources"]["limits"]["memory"]);
}

TEST(Deploy, VolumesClaimsAndSecretsMeet) {
  const YAML::Node pod = pod_spec(), c = container();
  std::map<std::string, YAML::Node> volumes;
  for (const YAML::Node& v : pod["volumes"]) volumes[v["name"].as<std::string>()] = v;
  std::map<std::string, bool> mounts;  // path, whether it can be written
  for (const YAML::Node& m : c["volumeMounts"]) {
    EXPECT_TRUE(volumes.contains(m["name"].as<std::string>())) << m["name"];
    mounts[m["mountPath"].as<std::string>()] = !(m["readOnly"] && m["readOnly"].as<bool>());
  }
  EXPECT_EQ(mounts.size(), volumes.size());
  const auto given = pod_flags();
  const auto below = [&](const std::string& file, bool written) {
    for (const auto& [path, writable] : mounts)
      if (file.starts_with(path + "/") && (writable || !written)) return true;
    return false;
  };
  EXPECT_TRUE(below(flag(given, "model_name_or_path"), false));
  EXPECT_TRUE(below(flag(given, "api_key_file"), false));
  EXPECT_TRUE(below(flag(given, "conversations"), true)) << "the root file system cannot be written";
  EXPECT_EQ(volumes["models"]["persistentVolumeClaim"]["claimName"].as<std::string>(),
            document("kubernetes/base/pvc.yaml")["metadata"]["name"].as<std::string>());
  const YAML::Node secret = volumes["api-keys"]["secret"];
  EXPECT_EQ(flag(given, "api_key_file"), "/etc/r1/" + secret["items"][0]["path"].as<std::string>());
  const YAML::Node monitor = document("kubernetes/monitoring/servicemonitor.yaml")["spec"]["endpoints"][0];
  EXPECT_EQ(monitor["authorization"]["credentials"]["name"].as<std::string>(), secret["secretName"].as<std::string>());
  EXPECT_EQ(monitor["path"].as<std::string>(), "/metrics");
  EXPECT_EQ(monitor["port"].as<std::string>(), "http");
}

TEST(Deploy, SelectorsFindThePods) {
  const YAML::Node labels = deployment()["spec"]["template"]["metadata"]["labels"];
  const auto finds = [&](const YAML::Node& selector) {
    EXPECT_GT(selector.size(), 0u);
    for (const auto& entry : selector) EXPECT_EQ(labels[entry.first.as<std::string>()].as<std::string>(""), entry.second.as<std::string>());
  };
  finds(deployment()["spec"]["selector"]["matchLabels"]);
  const YAML::Node service = document("kubernetes/base/service.yaml");
  finds(service["spec"]["selector"]);
  EXPECT_EQ(service["spec"]["ports"][0]["targetPort"].as<std::string>(), "http");
  EXPECT_EQ(service["spec"]["ports"][0]["port"].as<int>(), 8080);
  EXPECT_EQ(pod_flags().find("allowed_hosts")->second, service["metadata"]["name"].as<std::string>());
  finds(document("kubernetes/base/pdb.yaml")["spec"]["selector"]["matchLabels"]);
  const YAML::Node policy = document("kubernetes/base/networkpolicy.yaml")["spec"];
  finds(policy["podSelector"]["matchLabels"]);
  EXPECT_EQ(strings(policy["policyTypes"]), (std::vector<std::string>{"Ingress", "Egress"}));
  EXPECT_EQ(policy["egress"].size(), 0u) << "the server calls nobody";
  for (const YAML::Node& rule : policy["ingress"]) EXPECT_EQ(rule["ports"][0]["port"].as<int>(), 8080);
  finds(document("kubernetes/monitoring/servicemonitor.yaml")["spec"]["selector"]["matchLabels"]);
}

TEST(Deploy, TheAutoscalersNumberIsOneThatMetricsHas) {
  const YAML::Node spec = document("kubernetes/base/hpa.yaml")["spec"];
  EXPECT_EQ(spec["scaleTargetRef"]["name"].as<std::string>(), deployment()["metadata"]["name"].as<std::string>());
  const std::string metric = spec["metrics"][0]["pods"]["metric"]["name"].as<std::string>();
  serve::Numbers numbers;
  for (serve::Histogram* h : {&numbers.first_token, &numbers.between_tokens, &numbers.total, &numbers.queued}) h->counts = {0};
  const std::string text = serve::metrics(numbers, "m", 1);
  EXPECT_NE(text.find("\n" + metric + " "), std::string::npos) << metric << " in\n" << text;
  const YAML::Node rule = document("kubernetes/monitoring/adapter_rules.yaml")["rules"]["custom"][0];
  EXPECT_EQ(rule["name"]["as"].as<std::string>(), metric);
  EXPECT_TRUE(rule["seriesQuery"].as<std::string>().starts_with(metric + "{"));
  // More pods come long before the queue refuses requests.
  const int64_t limit = std::stoll(flag(pod_flags(), "max_queue"));
  EXPECT_LT(std::stoll(spec["metrics"][0]["pods"]["target"]["averageValue"].as<std::string>()), limit);
}

TEST(Deploy, OverlaysAddFlagsThatExist) {
  for (const std::string variant : {"cpu", "gpu"}) {
    const YAML::Node k = document("kubernetes/overlays/" + variant + "/kustomization.yaml");
    EXPECT_TRUE(fs::exists(kDeploy / "kubernetes/overlays" / variant / k["resources"][0].as<std::string>() / "kustomization.yaml"));
    std::vector<std::string> added;
    bool gpu = false;
    for (const YAML::Node& patch : k["patches"]) {
      EXPECT_EQ(patch["target"]["name"].as<std::string>(), "r1");
      for (const YAML::Node& op : YAML::Load(patch["patch"].as<std::string>())) {
        const std::string path = op["path"].as<std::string>();
        if (path == "/spec/template/spec/containers/0/args/-") added.push_back(op["value"].as<std::string>());
        gpu = gpu || path.ends_with("/limits/nvidia.com~1gpu");
      }
    }
    EXPECT_EQ(flag(flags(added, variant), "device"), variant == "gpu" ? "cuda" : "cpu");
    EXPECT_EQ(gpu, variant == "gpu");
  }
}

TEST(Deploy, TheImageRunsTheServerAsNobody) {
  const std::string text = read_file(kDeploy / "Dockerfile");
  std::map<std::string, std::vector<std::string>> steps;
  std::istringstream lines(std::regex_replace(text, std::regex("\\\\\n"), " "));
  for (std::string line; std::getline(lines, line);)
    if (const size_t space = line.find(' '); space != std::string::npos && line[0] != '#')
      steps[line.substr(0, space)].push_back(line.substr(space + 1));
  EXPECT_EQ(steps["FROM"].size(), 2u) << "what builds it stays out of it";
  ASSERT_EQ(steps["USER"].size(), 1u);
  const YAML::Node security = pod_spec()["securityContext"];
  EXPECT_EQ(steps["USER"][0], security["runAsUser"].as<std::string>() + ":" + security["runAsGroup"].as<std::string>());
  EXPECT_EQ(steps["EXPOSE"], std::vector<std::string>{"8080"});
  const auto entry = YAML::Load(steps["ENTRYPOINT"].at(0)).as<std::vector<std::string>>();
  EXPECT_EQ(entry.at(1), "serve");
  const auto given = flags(entry, "Dockerfile");
  EXPECT_EQ(flag(given, "port"), "8080");
  EXPECT_NE(steps["HEALTHCHECK"].at(0).find("127.0.0.1/8080"), std::string::npos);
  EXPECT_NE(steps["HEALTHCHECK"].at(0).find("GET /health "), std::string::npos);
  for (const char* script : {"setup.sh", "build.sh"}) {
    EXPECT_NE(text.find(std::string("scripts/") + script), std::string::npos);
    EXPECT_TRUE(fs::exists(fs::path(R1_SOURCE_DIR) / "scripts" / script));
  }
}

TEST(Deploy, TheUnitsFlagsAndEnvironmentAreTheProgramsAndItIsHardened) {
  const std::string text = read_file(kDeploy / "systemd/r1.service");
  std::multimap<std::string, std::string> unit;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (const size_t equals = line.find('='); equals != std::string::npos && line[0] != '#')
      unit.emplace(line.substr(0, equals), line.substr(equals + 1));
  const auto value = [&](const std::string& key) {
    EXPECT_EQ(unit.count(key), 1u) << key;
    return unit.count(key) ? unit.find(key)->second : "";
  };
  std::istringstream words(value("ExecStart"));
  const std::vector<std::string> command{std::istream_iterator<std::string>(words), {}};
  EXPECT_EQ(command.at(0), "/usr/local/bin/r1");
  EXPECT_EQ(command.at(1), "serve");
  const auto given = flags(command, "r1.service");
  EXPECT_EQ(flag(given, "host"), "127.0.0.1");
  EXPECT_EQ(flag(given, "port"), "8080");
  EXPECT_TRUE(value("LoadCredential").starts_with("api_keys:"));
  EXPECT_EQ(flag(given, "api_key_file"), "${CREDENTIALS_DIRECTORY}/api_keys");
  EXPECT_GT(std::stoi(value("TimeoutStopSec")), std::stoi(flag(given, "stop_grace")));
  for (const auto& [key, wanted] : std::map<std::string, std::string>{{"DynamicUser", "yes"},
                                                                      {"NoNewPrivileges", "yes"},
                                                                      {"ProtectSystem", "strict"},
                                                                      {"ProtectHome", "yes"},
                                                                      {"PrivateTmp", "yes"},
                                                                      {"PrivateDevices", "yes"},
                                                                      {"CapabilityBoundingSet", ""},
                                                                      {"RestrictNamespaces", "yes"}})
    EXPECT_EQ(value(key), wanted) << key;
  // Environment variables that the files tell people to set.
  const std::regex variable("\\bR1_([A-Z_]+)=");
  int found = 0;
  for (std::sregex_iterator m(text.begin(), text.end(), variable), end; m != end; ++m, ++found) {
    std::string key = (*m)[1];
    for (char& c : key) c = char(std::tolower(c));
    EXPECT_TRUE(options().contains(key)) << "R1_" << (*m)[1];
  }
  EXPECT_GE(found, 1);
}

// Keys of a command of several words.
std::set<std::string> options_of(const std::string& command) {
  std::set<std::string> keys;
  std::istringstream lines(list_options());
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(command + " --"))
      keys.insert(line.substr(command.size() + 3, line.find(' ', command.size() + 3) - command.size() - 3));
  return keys;
}

TEST(Deploy, TheDataJobsFlagsAreTheProgramsAndTheirNumbersMeet) {
  const auto jobs = documents("kubernetes/data-job.yaml");
  ASSERT_EQ(jobs.size(), 2u);
  const YAML::Node first = jobs[0]["spec"], pod = first["template"]["spec"]["containers"][0];
  EXPECT_EQ(first["completionMode"].as<std::string>(), "Indexed");
  EXPECT_EQ(first["completions"].as<int>(), first["parallelism"].as<int>());
  const auto words = strings(pod["args"]);
  EXPECT_EQ(words[0] + " " + words[1], "data run");
  const auto known = options_of("data run");
  EXPECT_TRUE(known.contains("worker"));  // R1_WORKER
  std::string output, of;
  for (const std::string& word : words) {
    if (!word.starts_with("--")) continue;
    const size_t equals = word.find('=');
    const std::string key = word.substr(2, equals - 2);
    EXPECT_TRUE(known.contains(key)) << key;
    if (key == "output_dir") output = word.substr(equals + 1);
    if (key == "of") of = word.substr(equals + 1);
  }
  EXPECT_EQ(of, first["completions"].as<std::string>());
  ASSERT_EQ(pod["env"].size(), 1u);
  EXPECT_EQ(pod["env"][0]["name"].as<std::string>(), "R1_WORKER");
  const auto merge = strings(jobs[1]["spec"]["template"]["spec"]["containers"][0]["args"]);
  EXPECT_EQ(merge, (std::vector<std::string>{"data", "merge", output}));
  for (const YAML::Node& job : jobs) {
    const YAML::Node spec = job["spec"]["template"]["spec"];
    EXPECT_TRUE(spec["securityContext"]["runAsNonRoot"].as<bool>());
    EXPECT_TRUE(spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"].as<bool>());
    EXPECT_EQ(spec["volumes"][0]["persistentVolumeClaim"]["claimName"].as<std::string>(), "r1-data");
  }
}

TEST(Deploy, TheSlurmScriptsFlagsAreTheProgram) {
  const std::string script = read_file(kDeploy / "slurm" / "data_array.sbatch");
  const std::regex command("r1 (data [a-z]+)([^\n]*)"), flag("--([a-z_]+)=");
  int commands = 0;
  for (std::sregex_iterator at(script.begin(), script.end(), command), end; at != end; ++at, ++commands) {
    const auto known = options_of((*at)[1]);
    ASSERT_FALSE(known.empty()) << (*at)[1];
    const std::string rest = (*at)[2];
    for (std::sregex_iterator f(rest.begin(), rest.end(), flag); f != end; ++f) EXPECT_TRUE(known.contains((*f)[1])) << (*f)[1];
  }
  EXPECT_EQ(commands, 2);
}

}  // namespace
}  // namespace r1::app
