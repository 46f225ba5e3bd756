// What a run tells about its documents beside their counts: languages, lengths, domains, kinds, tokens, and a few of those kept and dropped
// to look at. Each shard has one, and they add up to the same whatever the order: samples are those with the least hashes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "r1/corpus/document.h"

namespace r1::corpus {

class Survey {
 public:
  static constexpr size_t kKept = 24, kDropped = 4;  // samples in all, and of each stage and reason
  static constexpr size_t kExcerpt = 600;            // bytes of each

  struct Amount {
    int64_t documents = 0, bytes = 0, tokens = 0;
  };
  struct Sample {
    uint64_t hash = 0;
    std::string id, title, url, text, part;
  };

  // `tokens` -1: not counted.
  void kept(const Document& document, int64_t tokens);
  void dropped(const Document& document, const std::string& stage, const std::string& reason);
  void add(const Survey& other);
  Json to_json() const;
  static Survey from_json(const Json& json);

  const std::map<std::string, Amount>& languages() const { return languages_; }
  const std::map<std::string, Amount>& kinds() const { return kinds_; }
  const std::map<std::string, Amount>& licences() const { return licences_; }
  const std::map<std::string, Amount>& domains() const { return domains_; }
  const std::map<std::string, Amount>& parts() const { return parts_; }  // of the split; "all" where there is none
  // By the power of two that is the characters' (or tokens') next lower one.
  const std::map<int64_t, int64_t>& lengths() const { return lengths_; }
  const std::map<int64_t, int64_t>& token_lengths() const { return token_lengths_; }
  const std::vector<Sample>& kept_samples() const { return kept_; }
  const std::map<std::string, std::vector<Sample>>& dropped_samples() const { return dropped_; }  // "stage: reason"

 private:
  std::map<std::string, Amount> languages_, kinds_, licences_, domains_, parts_;
  std::map<int64_t, int64_t> lengths_, token_lengths_;
  std::vector<Sample> kept_;
  std::map<std::string, std::vector<Sample>> dropped_;
};

// "https://www.example.org:80/a" -> "example.org"; "" where there is no host.
std::string domain_of(std::string_view url);
// The value behind `name` and a colon among a document's marks, the last one: "train" of "split:train"; "" if there is none.
std::string mark_value(const Document& document, std::string_view name);

}  // namespace r1::corpus
