#include "r1/corpus/survey.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cctype>

#include "r1/corpus/words.h"

namespace r1::corpus {
namespace {

std::string excerpt(std::string_view text) {
  if (text.size() <= Survey::kExcerpt) return std::string(text);
  size_t end = Survey::kExcerpt;
  while (end > 0 && (uint8_t(text[end]) & 0xc0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "…";
}

Survey::Sample sample_of(const Document& d, uint64_t hash) {
  return {hash, d.id(), excerpt(d.title), excerpt(d.url), excerpt(d.text), mark_value(d, "split")};
}

uint64_t hash_of(const Document& d) {
  return XXH3_64bits(d.text.data(), d.text.size()) ^ XXH3_64bits_withSeed(d.source.data(), d.source.size(), uint64_t(d.offset));
}

bool before(const Survey::Sample& a, const Survey::Sample& b) {
  return a.hash != b.hash ? a.hash < b.hash : a.id != b.id ? a.id < b.id : a.text < b.text;
}

bool wanted(const std::vector<Survey::Sample>& samples, size_t most, uint64_t hash) {
  return samples.size() < most || hash <= samples.back().hash;
}

void keep(std::vector<Survey::Sample>& samples, size_t most, Survey::Sample sample) {
  samples.insert(std::upper_bound(samples.begin(), samples.end(), sample, before), std::move(sample));
  if (samples.size() > most) samples.pop_back();
}

void count(Survey::Amount& a, const Document& d, int64_t tokens) {
  ++a.documents;
  a.bytes += int64_t(d.text.size());
  a.tokens += std::max<int64_t>(0, tokens);
}

using Amounts = std::map<std::string, Survey::Amount>;

void add_all(Amounts& to, const Amounts& from) {
  for (const auto& [name, a] : from) {
    Survey::Amount& b = to[name];
    b.documents += a.documents;
    b.bytes += a.bytes;
    b.tokens += a.tokens;
  }
}

Json amounts_json(const Amounts& all) {
  Json out = Json::object();
  for (const auto& [name, a] : all) out[name] = {a.documents, a.bytes, a.tokens};
  return out;
}

Amounts amounts_of(const Json& json) {
  Amounts out;
  for (const auto& [name, a] : json.items()) out[name] = {a.at(0).get<int64_t>(), a.at(1).get<int64_t>(), a.at(2).get<int64_t>()};
  return out;
}

Json histogram_json(const std::map<int64_t, int64_t>& all) {
  Json out = Json::array();
  for (const auto& [at, n] : all) out.push_back({at, n});
  return out;
}

std::map<int64_t, int64_t> histogram_of(const Json& json) {
  std::map<int64_t, int64_t> out;
  for (const Json& row : json) out[row.at(0).get<int64_t>()] = row.at(1).get<int64_t>();
  return out;
}

Json samples_json(const std::vector<Survey::Sample>& samples) {
  Json out = Json::array();
  for (const Survey::Sample& s : samples)
    out.push_back({{"hash", s.hash}, {"id", s.id}, {"title", s.title}, {"url", s.url}, {"text", s.text}, {"part", s.part}});
  return out;
}

std::vector<Survey::Sample> samples_of(const Json& json) {
  std::vector<Survey::Sample> out;
  for (const Json& s : json)
    out.push_back({s.at("hash").get<uint64_t>(), s.at("id").get<std::string>(), s.at("title").get<std::string>(),
                   s.at("url").get<std::string>(), s.at("text").get<std::string>(), s.at("part").get<std::string>()});
  return out;
}

}  // namespace

std::string domain_of(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return "";
  std::string_view host = url.substr(scheme + 3);
  host = host.substr(0, host.find_first_of("/?#"));
  if (const size_t user = host.rfind('@'); user != std::string_view::npos) host.remove_prefix(user + 1);
  if (const size_t port = host.rfind(':'); port != std::string_view::npos && !host.ends_with(']')) host = host.substr(0, port);
  std::string out;
  for (const char c : host) out += char(std::tolower(uint8_t(c)));
  return out.starts_with("www.") ? out.substr(4) : out;
}

std::string mark_value(const Document& d, std::string_view name) {
  for (auto mark = d.marks.rbegin(); mark != d.marks.rend(); ++mark)
    if (mark->size() > name.size() && mark->starts_with(name) && (*mark)[name.size()] == ':') return mark->substr(name.size() + 1);
  return "";
}

void Survey::kept(const Document& d, int64_t tokens) {
  const std::string part = mark_value(d, "split");
  count(parts_[part.empty() ? "all" : part], d, tokens);
  count(languages_[d.language.empty() ? "?" : d.language], d, tokens);
  count(kinds_[d.kind.empty() ? "?" : d.kind], d, tokens);
  count(licences_[d.licence.empty() ? "?" : d.licence], d, tokens);
  if (const std::string domain = domain_of(d.url); !domain.empty()) count(domains_[domain], d, tokens);
  ++lengths_[int64_t(std::bit_floor(uint64_t(count_chars(d.text))))];
  if (tokens >= 0) ++token_lengths_[int64_t(std::bit_floor(uint64_t(tokens)))];
  if (const uint64_t hash = hash_of(d); wanted(kept_, kKept, hash)) keep(kept_, kKept, sample_of(d, hash));
}

void Survey::dropped(const Document& d, const std::string& stage, const std::string& reason) {
  auto& samples = dropped_[stage + ": " + reason];
  if (const uint64_t hash = hash_of(d); wanted(samples, kDropped, hash)) keep(samples, kDropped, sample_of(d, hash));
}

void Survey::add(const Survey& other) {
  add_all(languages_, other.languages_);
  add_all(kinds_, other.kinds_);
  add_all(licences_, other.licences_);
  add_all(domains_, other.domains_);
  add_all(parts_, other.parts_);
  for (const auto& [at, n] : other.lengths_) lengths_[at] += n;
  for (const auto& [at, n] : other.token_lengths_) token_lengths_[at] += n;
  for (const Sample& s : other.kept_) keep(kept_, kKept, s);
  for (const auto& [reason, samples] : other.dropped_)
    for (const Sample& s : samples) keep(dropped_[reason], kDropped, s);
}

Json Survey::to_json() const {
  Json dropped = Json::object();
  for (const auto& [reason, samples] : dropped_) dropped[reason] = samples_json(samples);
  return {{"parts", amounts_json(parts_)},
          {"languages", amounts_json(languages_)},
          {"kinds", amounts_json(kinds_)},
          {"licences", amounts_json(licences_)},
          {"domains", amounts_json(domains_)},
          {"characters", histogram_json(lengths_)},
          {"tokens", histogram_json(token_lengths_)},
          {"kept", samples_json(kept_)},
          {"dropped", dropped}};
}

Survey Survey::from_json(const Json& json) {
  Survey s;
  s.parts_ = amounts_of(json.at("parts"));
  s.languages_ = amounts_of(json.at("languages"));
  s.kinds_ = amounts_of(json.at("kinds"));
  s.licences_ = amounts_of(json.at("licences"));
  s.domains_ = amounts_of(json.at("domains"));
  s.lengths_ = histogram_of(json.at("characters"));
  s.token_lengths_ = histogram_of(json.at("tokens"));
  s.kept_ = samples_of(json.at("kept"));
  for (const auto& [reason, samples] : json.at("dropped").items()) s.dropped_[reason] = samples_of(samples);
  return s;
}

}  // namespace r1::corpus
