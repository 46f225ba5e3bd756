#include "r1/text/bpe_train.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <queue>
#include <string_view>
#include <thread>
#include <unordered_map>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/threads.h"
#include "r1/text/pieces.h"
#include "r1/text/tokenizer_impl.h"
#include "r1/text/tokenizer_parts.h"

namespace r1::text {
namespace {

struct ViewHash {
  using is_transparent = void;
  size_t operator()(std::string_view s) const { return size_t(hash_bytes(s)); }
};
using Counts = std::unordered_map<std::string, int64_t, ViewHash, std::equal_to<>>;

// ---- pieces and how often they occur ----

// Counts the pieces of texts, one counter a thread.
class PieceCounter {
 public:
  PieceCounter(const PreTokenizer& pre, const Normalizer& normalizer) : pre_(pre), normalizer_(normalizer) {}

  void add(std::string_view text) {
    bytes_ += int64_t(text.size());
    Normalized normalized;
    if (normalizer_.may_change(text)) {
      normalized = normalizer_.run(text, false);
      text = normalized.text;
    }
    for_each_piece(pre_, text, scratch_, [&](const Piece& piece) {
      ++pieces_;
      const std::string_view key(piece.begin, size_t(piece.end - piece.begin));
      const auto it = counts_.find(key);
      it == counts_.end() ? void(counts_.emplace(key, 1)) : void(++it->second);
    });
  }

  void merge_into(PieceCounter& all) {
    for (auto& [piece, count] : counts_) all.counts_[piece] += count;
    all.bytes_ += bytes_;
    all.pieces_ += pieces_;
    counts_.clear();
  }

  const Counts& counts() const { return counts_; }
  int64_t bytes() const { return bytes_; }
  int64_t pieces() const { return pieces_; }

 private:
  const PreTokenizer& pre_;
  const Normalizer& normalizer_;
  PreTokenizer::Scratch scratch_;
  Counts counts_;
  int64_t bytes_ = 0, pieces_ = 0;
};

// A stretch of work: whole lines of a file, or whole texts.
struct Stretch {
  std::string_view bytes;
  const fs::path* jsonl = nullptr;  // the file, when its lines are JSON
};

void count_lines(std::string_view text, PieceCounter& counter) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    counter.add(text.substr(0, end));
    text.remove_prefix(end);
  }
}

void count_json_lines(const Stretch& stretch, const std::vector<std::string>& keys, PieceCounter& counter) {
  std::string_view text = stretch.bytes;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const Json json = parse_json(line, stretch.jsonl->string());
    for (const std::string& key : keys) {
      const auto it = json.find(key);
      if (!json.is_object() || it == json.end() || !it->is_string())
        fail(stretch.jsonl->string(), ": a line has no string under '", key, "' (name the fields with jsonl_keys): ", line.substr(0, 80));
      counter.add(it->get_ref<const std::string&>());
    }
  }
}

std::vector<Stretch> stretches_of(std::string_view file, const fs::path* jsonl) {
  constexpr size_t kStretch = 1 << 20;
  std::vector<Stretch> out;
  while (!file.empty()) {
    size_t end = file.size();
    if (file.size() > kStretch) end = std::min(file.find('\n', kStretch), file.size() - 1) + 1;
    out.push_back({file.substr(0, end), jsonl});
    file.remove_prefix(end);
  }
  return out;
}

// Runs count(i, counter) for i in [0, n) on several threads and merges the counters.
template <class Count>
PieceCounter count_all(size_t n, const PreTokenizer& pre, const Normalizer& normalizer, int threads, Count count) {
  PieceCounter all(pre, normalizer);
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::exception_ptr error;
  const auto work = [&] {
    PieceCounter counter(pre, normalizer);
    try {
      for (size_t i; (i = next++) < n;) count(i, counter);
    } catch (...) {
      const std::lock_guard lock(mutex);
      error = std::current_exception();
      next = n;
    }
    const std::lock_guard lock(mutex);
    counter.merge_into(all);
  };
  std::vector<std::thread> others;
  const int want = int(std::min<size_t>(size_t(threads > 0 ? threads : num_threads()), std::max<size_t>(n, 1)));
  for (int t = 1; t < want; ++t) others.emplace_back(work);
  work();
  for (std::thread& t : others) t.join();
  if (error) std::rethrow_exception(error);
  return all;
}

// ---- merging ----

uint64_t pair_of(TokenId a, TokenId b) {
  return uint64_t(uint32_t(a)) << 32 | uint32_t(b);
}

class Learner {
 public:
  Learner(const Counts& pieces, const BpeTrainOptions& options) : options_(options) {
    for (const std::string& token : options.special_tokens) new_token(token, true);
    alphabet(pieces);
    words_from(pieces);
  }

  void run() {
    count_pairs();
    const int64_t first = int64_t(spelled_.size());
    while (int64_t(spelled_.size()) < options_.vocab_size && !queue_.empty()) {
      Candidate top = queue_.top();
      queue_.pop();
      if (const int64_t now = counts_[top.pair]; now != top.count) {  // stale: back with what it is now
        top.count = now;
        queue_.push(top);
        continue;
      }
      if (top.count < 1 || top.count < options_.min_frequency) break;
      merge(top);
      if (options_.progress && merges_.size() % 256 == 0)
        options_.progress("tokens learned", int64_t(spelled_.size()) - first, options_.vocab_size - first);
    }
    if (options_.progress) options_.progress("tokens learned", int64_t(spelled_.size()) - first, int64_t(spelled_.size()) - first);
  }

  TokenizerParts parts() && {
    TokenizerParts parts;
    parts.where = "trained vocabulary";
    for (size_t id = 0; id < spelled_.size(); ++id) parts.vocabulary.emplace_back(std::move(spelled_[id]), TokenId(id));
    parts.merges = std::move(merges_);
    return parts;
  }

 private:
  struct Word {
    size_t begin;
    uint32_t length;
    int64_t count;
  };
  // A pair with the number of times it occurs and the words where it does (an index into places_).
  struct Candidate {
    int64_t count;
    uint64_t pair;
    size_t places;
    bool operator<(const Candidate& other) const { return count != other.count ? count < other.count : pair > other.pair; }
  };

  TokenId new_token(const std::string& spelled, bool special = false) {
    const auto [it, added] = ids_.emplace(spelled, TokenId(spelled_.size()));
    if (added) {
      spelled_.push_back(spelled);
      std::string bytes;
      lengths_.push_back(special || !from_byte_letters(spelled, &bytes) ? 1 : uint32_t(bytes.size()));
    }
    return it->second;
  }

  // The bytes that occur, or all, in the order of their letters.
  void alphabet(const Counts& pieces) {
    std::array<bool, 256> used{};
    used.fill(options_.byte_alphabet);
    for (const auto& [piece, count] : pieces)
      for (const char b : piece) used[uint8_t(b)] = true;
    std::vector<int> bytes;
    for (int b = 0; b < 256; ++b)
      if (used[size_t(b)]) bytes.push_back(b);
    std::ranges::sort(bytes, {}, [](int b) { return byte_letter(uint8_t(b)); });
    for (const int b : bytes) {
      const char byte = char(b);
      byte_ids_[size_t(b)] = new_token(to_byte_letters({&byte, 1}));
    }
  }

  void words_from(const Counts& pieces) {
    words_.reserve(pieces.size());
    for (const auto& [piece, count] : pieces) {
      words_.push_back({symbols_.size(), uint32_t(piece.size()), count});
      for (const char b : piece) symbols_.push_back(byte_ids_[uint8_t(b)]);
    }
  }

  void count_pairs() {
    std::unordered_map<uint64_t, std::vector<uint32_t>> where;
    for (uint32_t w = 0; w < words_.size(); ++w) {
      const TokenId* const s = symbols_.data() + words_[w].begin;
      for (uint32_t i = 0; i + 1 < words_[w].length; ++i) {
        const uint64_t pair = pair_of(s[i], s[i + 1]);
        counts_[pair] += words_[w].count;
        add_place(where[pair], w);
      }
    }
    enqueue(where);
  }

  static void add_place(std::vector<uint32_t>& places, uint32_t word) {
    if (places.empty() || places.back() != word) places.push_back(word);
  }

  void enqueue(std::unordered_map<uint64_t, std::vector<uint32_t>>& where) {
    for (auto& [pair, places] : where) {
      const int64_t count = counts_[pair];
      if (count <= 0) continue;
      queue_.push({count, pair, places_.size()});
      places_.push_back(std::move(places));
    }
    where.clear();
  }

  void merge(const Candidate& top) {
    const TokenId a = TokenId(top.pair >> 32), b = TokenId(uint32_t(top.pair));
    const TokenId result = new_token(spelled_[size_t(a)] + spelled_[size_t(b)]);
    merges_.push_back({a, b, result});
    for (const uint32_t w : places_[top.places]) merge_word(w, a, b, result);
    places_[top.places] = {};
    enqueue(where_);
  }

  // As HF's Word::merge: neighbours' counts change, the pair's own does not.
  void merge_word(uint32_t w, TokenId a, TokenId b, TokenId result) {
    TokenId* const s = symbols_.data() + words_[w].begin;
    const int64_t count = words_[w].count;
    uint32_t n = words_[w].length, out = 0;
    for (uint32_t i = 0; i < n; ++out) {
      if (s[i] != a || i + 1 >= n || s[i + 1] != b) {
        s[out] = s[i++];
        continue;
      }
      const uint64_t length = lengths_[size_t(result)];
      if (out > 0) {
        counts_[pair_of(s[out - 1], a)] -= count;
        if (short_enough(lengths_[size_t(s[out - 1])] + length)) grow(pair_of(s[out - 1], result), count, w);
      }
      if (i + 2 < n) {
        counts_[pair_of(b, s[i + 2])] -= count;
        if (short_enough(lengths_[size_t(s[i + 2])] + length)) grow(pair_of(result, s[i + 2]), count, w);
      }
      s[out] = result;
      i += 2;
    }
    words_[w].length = out;
  }

  bool short_enough(uint64_t length) const { return !options_.max_token_length || length < uint64_t(*options_.max_token_length); }
  void grow(uint64_t pair, int64_t count, uint32_t word) {
    counts_[pair] += count;
    add_place(where_[pair], word);
  }

  const BpeTrainOptions& options_;
  std::vector<std::string> spelled_;  // in byte letters, by id
  std::vector<uint32_t> lengths_;     // in bytes
  std::unordered_map<std::string, TokenId> ids_;
  std::array<TokenId, 256> byte_ids_{};
  std::vector<Word> words_;
  std::vector<TokenId> symbols_;
  std::unordered_map<uint64_t, int64_t> counts_;
  std::unordered_map<uint64_t, std::vector<uint32_t>> where_;
  std::vector<std::vector<uint32_t>> places_;
  std::priority_queue<Candidate> queue_;
  std::vector<Model::MergeRule> merges_;
};

void check_options(const BpeTrainOptions& options, const PreTokenizer& pre) {
  const int64_t least = int64_t(options.special_tokens.size()) + (options.byte_alphabet ? 256 : 1);
  if (options.vocab_size < least || options.vocab_size > 1 << 24)
    fail_usage("vocab_size is ", options.vocab_size, "; with the bytes and special tokens it must be at least ", least,
               " (and at most 16777216)");
  if (!pre.byte_level()) fail_usage("the pre_tokenizer of a trained vocabulary must end in ByteLevel");
}

template <class CountAll>
TrainResult train(const BpeTrainOptions& options, CountAll count) {
  const Json pre_spec = options.pre_tokenizer.is_null() ? byte_level_section(false, true) : options.pre_tokenizer;
  const PreTokenizer pre(pre_spec, "pre_tokenizer");
  const Normalizer normalizer(options.normalizer, "normalizer");
  check_options(options, pre);
  const PieceCounter counted = count(pre, normalizer);
  Learner learner(counted.counts(), options);
  learner.run();
  TokenizerParts parts = std::move(learner).parts();
  parts.normalizer = options.normalizer;
  parts.pre_tokenizer = pre_spec;
  parts.post_processor = byte_level_section(true, true, false);
  parts.decoder = byte_level_section(true, true);
  for (size_t i = 0; i < options.special_tokens.size(); ++i)
    parts.added.push_back({.id = TokenId(i), .content = options.special_tokens[i], .special = true});
  for (const auto& name : {options.bos, options.eos, options.pad})
    if (name && std::ranges::find(options.special_tokens, *name) == options.special_tokens.end())
      fail_usage("'", *name, "' is not among the special tokens");
  parts.bos = options.bos;
  parts.eos = options.eos;
  parts.pad = options.pad;
  const int64_t merges = int64_t(parts.merges.size());
  return {Tokenizer::from_parts(std::move(parts)), counted.bytes(), counted.pieces(), int64_t(counted.counts().size()), merges};
}

}  // namespace

TrainResult train_bpe(std::span<const fs::path> files, const BpeTrainOptions& options) {
  std::vector<MappedFile> maps;
  std::vector<Stretch> stretches;
  int64_t total = 0;
  maps.reserve(files.size());
  for (const fs::path& file : files) {
    const auto bytes = maps.emplace_back(file).bytes();
    total += int64_t(bytes.size());
    const auto more =
        stretches_of({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file.extension() == ".jsonl" ? &file : nullptr);
    stretches.insert(stretches.end(), more.begin(), more.end());
  }
  return train(options, [&](const PreTokenizer& pre, const Normalizer& normalizer) {
    int64_t done = 0;
    std::mutex mutex;
    PieceCounter all = count_all(stretches.size(), pre, normalizer, options.threads, [&](size_t i, PieceCounter& counter) {
      stretches[i].jsonl ? count_json_lines(stretches[i], options.jsonl_keys, counter) : count_lines(stretches[i].bytes, counter);
      const std::lock_guard lock(mutex);
      done += int64_t(stretches[i].bytes.size());
      if (options.progress) options.progress("bytes counted", done, total);
    });
    std::vector<std::string> texts;
    while (options.more_texts && options.more_texts(texts)) {
      PieceCounter some =
          count_all(texts.size(), pre, normalizer, options.threads, [&](size_t i, PieceCounter& counter) { counter.add(texts[i]); });
      some.merge_into(all);
      for (const std::string& text : texts) done += int64_t(text.size());
      if (options.progress) options.progress("bytes counted", done, std::max(done, total));
    }
    return all;
  });
}

TrainResult train_bpe_texts(std::span<const std::string> texts, const BpeTrainOptions& options) {
  return train(options, [&](const PreTokenizer& pre, const Normalizer& normalizer) {
    return count_all(texts.size(), pre, normalizer, options.threads, [&](size_t i, PieceCounter& counter) { counter.add(texts[i]); });
  });
}

Json pre_tokenizer_of(const std::string& family) {
  const auto with = [](std::vector<Json> members, bool use_regex = false) {
    members.push_back(byte_level_section(false, use_regex));
    return sequence_section("pretokenizers", std::move(members));
  };
  if (family == "gpt-2") return byte_level_section(false, true);
  if (family == "qwen2") return with({split_section(patterns::kQwen2)});
  if (family == "qwen3.5") return with({split_section(patterns::kQwen35)});
  if (family == "llama3") return with({split_section(patterns::kLlama3)});
  if (family == "smollm") return with({{{"type", "Digits"}, {"individual_digits", true}}}, true);
  if (family == "deepseek-v3")
    return with({split_section(patterns::kDeepSeekNumbers), split_section(patterns::kDeepSeekCjk), split_section(patterns::kDeepSeekRest)});
  fail_usage("unknown pre-tokenizer '", family, "' (known: gpt-2, qwen2, qwen3.5, llama3, smollm, deepseek-v3)");
}

}  // namespace r1::text
