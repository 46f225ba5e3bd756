#include "r1/data/token_shards.h"

#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <exception>
#include <iterator>
#include <mutex>
#include <thread>

#include "r1/base/checked.h"
#include "r1/base/error.h"
#include "r1/base/interrupt.h"
#include "r1/base/json.h"
#include "r1/base/log.h"
#include "r1/base/threads.h"
#include "r1/data/jsonl.h"

namespace r1::data {
namespace {

// ---- one file: ids, then a row {end, checksum} a document, then the footer

constexpr char kMagic[8] = {'R', '1', 'T', 'O', 'K', 'E', 'N', 'S'};
constexpr uint32_t kVersion = 1;

struct Footer {
  uint64_t documents = 0, tokens = 0;
  uint16_t id_bytes = 0, masked = 0;
  uint32_t table_checksum = 0, version = kVersion, footer_checksum = 0;  // the last: of all before it
  char magic[8] = {};
};
static_assert(sizeof(Footer) == 40);

struct Row {
  uint64_t end = 0;  // in tokens from the file's beginning
  uint32_t checksum = 0, reserved = 0;
};
static_assert(sizeof(Row) == 16);

uint32_t checksum(std::span<const std::byte> bytes) {
  return uint32_t(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

uint32_t footer_checksum(const Footer& footer) {
  return checksum(std::as_bytes(std::span(&footer, 1)).first(offsetof(Footer, footer_checksum)));
}

template <class Stored>
constexpr Stored kNotLearned = Stored(Stored{1} << (8 * sizeof(Stored) - 1));

template <class Stored>
std::vector<std::byte> stored(const Document& document, bool masked) {
  std::vector<std::byte> bytes(document.ids.size() * sizeof(Stored));
  for (size_t i = 0; i < document.ids.size(); ++i) {
    Stored token = Stored(document.ids[i]);
    if (masked && !document.learned[i]) token |= kNotLearned<Stored>;
    std::memcpy(bytes.data() + i * sizeof token, &token, sizeof token);
  }
  return bytes;
}

template <class Stored>
Document restored(std::span<const std::byte> bytes, bool masked) {
  std::vector<Stored> tokens(bytes.size() / sizeof(Stored));
  if (!tokens.empty()) std::memcpy(tokens.data(), bytes.data(), bytes.size());
  Document document;
  document.learned.assign(tokens.size(), 1);
  document.ids.resize(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    const bool learned = !masked || !(tokens[i] & kNotLearned<Stored>);
    document.ids[i] = int32_t(learned ? tokens[i] : tokens[i] & ~kNotLearned<Stored>);
    document.learned[i] = learned;
  }
  return document;
}

Row row_at(const std::byte* table, int64_t index) {
  Row row;
  std::memcpy(&row, table + size_t(index) * sizeof(Row), sizeof(Row));
  return row;
}

uint16_t id_bytes(int64_t vocab_size, bool masked) {
  return vocab_size <= (masked ? 32'768 : 65'536) ? 2 : 4;
}

}  // namespace

ShardWriter::ShardWriter(const fs::path& path, int64_t vocab_size, bool masked) : file_(path), vocab_size_(vocab_size), masked_(masked) {}

void ShardWriter::add(const Document& d) {
  check(d.ids.size() == d.learned.size(), "[token shard] ", d.ids.size(), " ids with ", d.learned.size(), " learned flags");
  check(d.ids.size() <= UINT32_MAX, "[token shard] a document of ", d.ids.size(), " tokens is too long");
  for (const int32_t id : d.ids)
    check(id >= 0 && id < vocab_size_, "[token shard] token id ", id, " is not below the vocabulary's size ", vocab_size_);
  const bool all = std::find(d.learned.begin(), d.learned.end(), uint8_t{0}) == d.learned.end();
  check(masked_ || all, "[token shard] a document with tokens that are not learned, in a shard without a mask");
  const auto bytes = id_bytes(vocab_size_, masked_) == 2 ? stored<uint16_t>(d, masked_) : stored<uint32_t>(d, masked_);
  file_.write(std::span<const std::byte>(bytes));
  lengths_.push_back(uint32_t(d.ids.size()));
  checksums_.push_back(checksum(bytes));
  tokens_ += int64_t(d.ids.size());
}

void ShardWriter::commit() {
  const size_t past = size_t(file_.size()) % sizeof(Row);
  file_.write(std::string(past ? sizeof(Row) - past : 0, '\0'));
  std::vector<Row> table(lengths_.size());
  for (size_t i = 0; i < table.size(); ++i) table[i] = {(i ? table[i - 1].end : 0) + lengths_[i], checksums_[i], 0};
  const auto bytes = std::as_bytes(std::span(table));
  file_.write(bytes);
  Footer footer{uint64_t(documents()), uint64_t(tokens_), id_bytes(vocab_size_, masked_), masked_, checksum(bytes)};
  footer.footer_checksum = footer_checksum(footer);
  std::memcpy(footer.magic, kMagic, sizeof kMagic);
  file_.write(std::as_bytes(std::span(&footer, 1)));
  file_.commit();
}

Shard::Shard(const fs::path& path) : file_(path) {
  const std::string name = path.string();
  const auto bytes = file_.bytes();
  Footer footer;
  if (bytes.size() < sizeof footer) fail(name, ": ", bytes.size(), " bytes are no token shard");
  std::memcpy(&footer, bytes.data() + bytes.size() - sizeof footer, sizeof footer);
  if (std::memcmp(footer.magic, kMagic, sizeof kMagic) != 0) fail(name, ": not a token shard, or cut short (its end is not there)");
  if (footer.version != kVersion) fail(name, ": token shards of version ", footer.version, " are not supported (", kVersion, " is)");
  if (footer.footer_checksum != footer_checksum(footer)) fail(name, ": its last bytes are damaged (checksum)");
  if (footer.id_bytes != 2 && footer.id_bytes != 4) fail(name, ": ids of ", footer.id_bytes, " bytes are not supported (2 and 4 are)");
  const uint64_t ids = checked_mul(footer.tokens, footer.id_bytes, name, ": its size overflows");
  const uint64_t table = checked_mul(footer.documents, sizeof(Row), name, ": its size overflows");
  const uint64_t begin = checked_add(ids, (sizeof(Row) - ids % sizeof(Row)) % sizeof(Row), name, ": its size overflows");
  if (checked_add(checked_add(begin, table, name, ": its size overflows"), sizeof footer, name, ": its size overflows") != bytes.size())
    fail(name, ": ", footer.tokens, " tokens and ", footer.documents, " documents do not make ", bytes.size(), " bytes");
  if (checksum(bytes.subspan(begin, table)) != footer.table_checksum) fail(name, ": its table of documents is damaged (checksum)");
  table_ = bytes.data() + begin;
  id_bytes_ = footer.id_bytes;
  masked_ = footer.masked != 0;
  documents_ = int64_t(footer.documents);
  tokens_ = int64_t(footer.tokens);
}

Document Shard::document(int64_t index) const {
  check(index >= 0 && index < documents_, file_.path().string(), ": document ", index, " of ", documents_);
  const Row row = row_at(table_, index);
  const uint64_t begin = index ? row_at(table_, index - 1).end : 0;
  if (begin > row.end || row.end > uint64_t(tokens_)) fail(file_.path().string(), ": document ", index, " has no place in the file");
  const auto bytes = file_.bytes().subspan(begin * id_bytes_, (row.end - begin) * id_bytes_);
  if (checksum(bytes) != row.checksum)
    fail(file_.path().string(), ": document ", index, " is damaged (checksum); remove this file and start again, it will be made anew");
  return id_bytes_ == 2 ? restored<uint16_t>(bytes, masked_) : restored<uint32_t>(bytes, masked_);
}

namespace {

// ---- texts to documents

struct Round {
  std::vector<Text> texts;
  TextStream::Position after;
};

// Rounds do not depend on the number of threads: neither do the places where shards end.
bool read_round(TextStream& stream, size_t round_bytes, Round& round) {
  round.texts.clear();
  Text text;
  for (size_t bytes = 0; bytes < round_bytes && stream.next(text); bytes += round.texts.back().text.size() + sizeof(Text))
    round.texts.push_back(std::move(text));
  round.after = stream.position();
  return !round.texts.empty();
}

// Makes a round's documents on threads of its own while the next round is read.
class Making {
 public:
  Making(const Round& round, const DocumentMaker& make, int threads) : round_(round), make_(make), documents_(round.texts.size()) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
  }
  ~Making() {
    next_ = documents_.size();
    join();
  }
  // Of several bad texts the first is the error, as if one thread had read them.
  std::vector<Document> take() {
    join();
    if (error_) std::rethrow_exception(error_);
    throw_if_interrupted();  // a stop is taken between two texts; the round is made again
    return std::move(documents_);
  }

 private:
  void work() {
    for (size_t i; !interrupted() && (i = next_++) < documents_.size();) {
      try {
        documents_[i] = make_(round_.texts[i]);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (i < bad_) {
          bad_ = i;
          error_ = std::current_exception();
        }
        return;  // those before it are taken already
      }
    }
  }
  void join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  const Round& round_;
  const DocumentMaker& make_;
  std::vector<Document> documents_;
  std::atomic<size_t> next_{0};
  std::mutex mutex_;
  size_t bad_ = SIZE_MAX;
  std::exception_ptr error_;
  std::vector<std::thread> threads_;
};

// Calls take(documents, position after them) round by round, in the order of the files.
template <class Take>
void make_documents(TextStream& stream, const CorpusSpec& spec, int threads, Take take) {
  Round now, next;
  const size_t round_bytes = size_t(spec.round_bytes);
  bool more = read_round(stream, round_bytes, now);
  while (more) {
    throw_if_interrupted();
    Making making(now, spec.make, threads > 0 ? threads : num_threads());
    more = read_round(stream, round_bytes, next);
    take(making.take(), now.after);
    std::swap(now, next);
  }
}

// ---- the folder

constexpr const char* kManifest = "manifest.json";
constexpr const char* kFormat = "r1 token shards";

std::string shard_name(size_t i) {
  char text[32];
  std::snprintf(text, sizeof text, "tokens-%05zu.bin", i);
  return text;
}

int64_t modified(const fs::path& path) {
  return int64_t(fs::last_write_time(path).time_since_epoch().count());
}

// A file that has the size and time it had then is not read again to know that it is the same.
Json described(const std::string& file, const Json& before) {
  std::error_code error;
  const uint64_t bytes = fs::file_size(file, error);
  if (error) fail(file, ": cannot open: ", error.message());
  Json now = {{"bytes", bytes}, {"modified", modified(file)}};
  const bool same =
      before.is_object() && before.value("bytes", Json()) == now["bytes"] && before.value("modified", Json()) == now["modified"];
  now["sha256"] = same && before.value("sha256", Json()).is_string() ? before["sha256"] : Json(sha256_file(file));
  return now;
}

Json describe_all(const CorpusSpec& spec, const Json& before) {
  Json list = Json::array();
  for (size_t i = 0; i < spec.files.size(); ++i)
    list.push_back(described(spec.files[i], before.is_array() && i < before.size() ? before[i] : Json()));
  return list;
}

// Of all that the documents depend on.
std::string corpus_hash(const CorpusSpec& spec, const Json& files) {
  Json key = {
      {"version", kVersion}, {"maker", spec.maker}, {"vocab_size", spec.vocab_size}, {"masked", spec.masked}, {"files", Json::array()}};
  for (size_t i = 0; i < spec.files.size(); ++i) {
    const FileForm form = form_of(spec.files[i]);
    Json file = {{"rows", form != FileForm::kText}, {"sha256", files[i]["sha256"]}};
    if (form != FileForm::kText && form != FileForm::kJsonLines)
      file["form"] = int(form), file["extra"] = true;  // before, "extra" was lost of tables
    key["files"].push_back(std::move(file));
  }
  return sha256(std::string_view(dump_json(key)));
}

// What a folder holds: {"format", "version", "corpus", "tokenizer", "files", "shards": [{"file", "documents", "tokens"}], "next", "complete"}.
struct Manifest {
  fs::path folder;
  std::string corpus, tokenizer;
  Json files = Json::array(), shards = Json::array();
  TextStream::Position next = {};
  bool complete = false;

  void save() const {
    const Json json = {{"format", kFormat},
                       {"version", kVersion},
                       {"corpus", corpus},
                       {"tokenizer", tokenizer},
                       {"files", files},
                       {"shards", shards},
                       {"next", {{"file", next.file}, {"byte", next.line.byte}, {"line", next.line.line}}},
                       {"complete", complete}};
    write_file_atomic(folder / kManifest, dump_json(json, 1) + "\n");
  }
};

Manifest read_manifest(const fs::path& folder) {
  const std::string where = (folder / kManifest).string();
  const Json json = parse_json_file(where);
  if (!json.is_object() || json.value("format", Json()) != kFormat) fail(where, ": not a manifest of token shards");
  if (json_get<uint32_t>(json, "version", where) != kVersion) fail(where, ": of another version");
  Manifest m{.folder = folder,
             .corpus = json_get<std::string>(json, "corpus", where),
             .tokenizer = json.contains("tokenizer") ? json_get<std::string>(json, "tokenizer", where) : "",
             .files = json_get<Json>(json, "files", where),
             .shards = json_get<Json>(json, "shards", where),
             .complete = json_get<bool>(json, "complete", where)};
  const Json next = json_get<Json>(json, "next", where);
  if (!next.is_object() || !m.shards.is_array()) fail(where, ": 'next' or 'shards' has the wrong type");
  m.next = {json_get<int64_t>(next, "file", where), {json_get<int64_t>(next, "byte", where), json_get<int64_t>(next, "line", where)}};
  return m;
}

Shard open_shard(const Manifest& m, size_t i) {
  const std::string where = (m.folder / kManifest).string();
  const fs::path path = m.folder / shard_name(i);
  Shard shard(path);
  if (json_get<int64_t>(m.shards[i], "documents", where) != shard.documents() ||
      json_get<int64_t>(m.shards[i], "tokens", where) != shard.tokens())
    fail(path.string(), ": is not the shard that ", where, " lists");
  return shard;
}

class ShardSource : public DocumentSource {
 public:
  explicit ShardSource(std::string fingerprint) : fingerprint_(std::move(fingerprint)) {}
  void add(const Manifest& m) {
    for (size_t i = 0; i < m.shards.size(); ++i) {
      shards_.push_back(open_shard(m, i));
      ends_.push_back(size() + shards_.back().documents());
    }
  }
  int64_t size() const override { return ends_.empty() ? 0 : ends_.back(); }
  Document document(int64_t index) const override {
    const size_t i = size_t(std::upper_bound(ends_.begin(), ends_.end(), index) - ends_.begin());
    check(index >= 0 && i < shards_.size(), "[token shards] document ", index, " of ", size());
    return shards_[i].document(index - (i ? ends_[i - 1] : 0));
  }
  std::string fingerprint() const override { return fingerprint_; }

 private:
  std::string fingerprint_;
  std::vector<Shard> shards_;
  std::vector<int64_t> ends_;
};

// What the folder has of this corpus: everything, the shards up to a kill, or nothing. A damaged file is nothing, with a word.
Manifest found_in(const fs::path& folder, const CorpusSpec& spec) {
  Manifest m{.folder = folder};
  Json before;
  std::error_code ignored;
  if (fs::exists(folder / kManifest, ignored)) {
    try {
      m = read_manifest(folder);
      before = m.files;
      for (size_t i = 0; i < m.shards.size(); ++i) open_shard(m, i);
    } catch (const Error& error) {
      log_warning(error.what(), "; tokenizing again");
      m.corpus.clear();
    }
  }
  const Json files = describe_all(spec, before);
  const std::string corpus = corpus_hash(spec, files);
  if (m.corpus != corpus) m = {.folder = folder, .corpus = corpus};
  m.files = files;
  m.tokenizer = spec.tokenizer;
  return m;
}

void remove_others(const Manifest& m) {
  std::vector<fs::path> others;
  for (const auto& entry : fs::directory_iterator(m.folder)) {
    const std::string name = entry.path().filename().string();
    size_t i = 0;
    int end = 0;
    const bool shard = std::sscanf(name.c_str(), "tokens-%zu.bin%n", &i, &end) == 1 && size_t(end) == name.size();
    if ((shard && i >= m.shards.size()) || name.starts_with(".tokens-")) others.push_back(entry.path());
  }
  for (const fs::path& path : others) fs::remove(path);
}

// The shards that `m` lacks, into its folder.
void make_rest(Manifest& m, const CorpusSpec& spec, int threads) {
  TextStream stream(spec.files);
  stream.want(spec.keys, spec.also);
  stream.seek(m.next);
  std::unique_ptr<ShardWriter> writer;
  const auto close = [&](const TextStream::Position& after) {
    if (writer) {
      writer->commit();
      m.shards.push_back({{"file", shard_name(m.shards.size())}, {"documents", writer->documents()}, {"tokens", writer->tokens()}});
      writer.reset();
    }
    m.next = after;
    m.save();
  };
  make_documents(stream, spec, threads, [&](const std::vector<Document>& documents, const TextStream::Position& after) {
    if (!writer) writer = std::make_unique<ShardWriter>(m.folder / shard_name(m.shards.size()), spec.vocab_size, spec.masked);
    for (const Document& d : documents) writer->add(d);
    if (writer->tokens() >= spec.shard_tokens || writer->documents() >= kShardDocuments) close(after);
  });
  m.complete = true;
  close(stream.position());
}

std::string first_files(const std::vector<std::string>& files) {
  return str(files.empty() ? "no file" : files[0], files.size() > 1 ? str(" and ", files.size() - 1, " more") : "");
}

}  // namespace

namespace {

// A text with control tokens at some of its bytes, as the data road leaves them: {"extra": {"control": [[begin, end], ..]}}.
EncodeFunction with_control(const Json& ranges, const EncodeFunction& encode, const TokenFunction& token, const std::string& where) {
  return [&, where](std::string_view text) {
    std::vector<int32_t> ids;
    const auto plain = [&](size_t begin, size_t end) {
      if (begin == end) return;
      const auto more = encode(text.substr(begin, end - begin));
      ids.insert(ids.end(), more.begin(), more.end());
    };
    size_t at = 0;
    for (const Json& range : ranges) {
      const bool pair = range.is_array() && range.size() == 2 && range[0].is_number_integer() && range[1].is_number_integer() &&
                        range[0] >= 0 && range[1] >= 0;
      const size_t begin = pair ? range[0].get<size_t>() : 0, end = pair ? range[1].get<size_t>() : 0;
      if (begin < at || end <= begin || end > text.size()) fail(where, ": extra.control has ranges that are not of its text");
      plain(at, begin);
      const auto id = token(text.substr(begin, end - begin));
      if (!id)
        fail(where, ": its control token '", printable(text.substr(begin, end - begin)),
             "' is none of the tokenizer; the file was made for another one (augment.fim.family)");
      ids.push_back(*id);
      at = end;
    }
    plain(at, text.size());
    return ids;
  };
}

// {"extra": {"control": [..]}}; of a table `extra` may be that object's JSON text. Null where there is none.
Json control_of(const Json& row) {
  const auto it = row.find("extra");
  if (it == row.end()) return nullptr;
  Json extra = *it;
  if (extra.is_string() && extra.get_ref<const std::string&>().find("\"control\"") != std::string::npos) {
    try {
      extra = parse_json(extra.get<std::string>(), "");
    } catch (const Error&) {
      return nullptr;  // a text that only looks like it
    }
  }
  return extra.is_object() && extra.contains("control") ? extra["control"] : Json();
}

}  // namespace

DocumentMaker text_maker(std::string field, EncodeFunction encode, int32_t end_id, int32_t begin_id, TokenFunction token) {
  return [=](const Text& text) {
    const int32_t end = text.ends ? end_id : -1, begin = text.begins ? begin_id : -1;
    if (!text.row) return text_document(text.text, encode, end, begin);
    const Json row = parse_row(text.text, text.where);
    if (!row.contains(field))
      fail(text.where, ": key '", printable(field), "' is missing; found: ", keys_of(row), " (--text_field names the one to train on)");
    const std::string whole = json_get<std::string>(row, field.c_str(), text.where);
    const Json control = token ? control_of(row) : Json();
    return text_document(whole, control.is_array() ? with_control(control, encode, token, text.where) : encode, end, begin);
  };
}

namespace {
std::unique_ptr<DocumentSource> source_of(const Manifest& m, const CorpusSpec& spec) {
  auto source = std::make_unique<ShardSource>(m.corpus);
  source->add(m);
  if (source->size() == 0) fail_usage(first_files(spec.files), ": holds no text to train on");
  return source;
}
}  // namespace

std::unique_ptr<DocumentSource> found_token_shards(const fs::path& folder, const CorpusSpec& spec) {
  const Manifest m = found_in(folder, spec);
  if (!m.complete)
    fail_usage(folder.string(), ": no token shards of ", first_files(spec.files),
               " as this process reads it; every rank must have the same files and the same output_dir in reach");
  return source_of(m, spec);
}

std::unique_ptr<DocumentSource> token_shards(const fs::path& folder, const CorpusSpec& spec, int threads) {
  Manifest m = found_in(folder, spec);
  if (!m.complete) {
    make_folder(folder);
    remove_others(m);
    log_info(m.shards.empty() ? "tokenizing " : "going on with tokenizing ", first_files(spec.files), " into ", folder.string());
    make_rest(m, spec, threads);
  }
  return source_of(m, spec);
}

void write_token_manifest(const fs::path& folder, const std::vector<fs::path>& shards, const std::string& tokenizer) {
  Manifest m{.folder = folder, .tokenizer = tokenizer, .complete = true};
  std::string all;
  for (size_t i = 0; i < shards.size(); ++i) {
    check(shards[i] == folder / shard_name(i), "[token shards] ", shards[i].string(), " is not called ", shard_name(i));
    const Shard shard(shards[i]);
    m.shards.push_back({{"file", shard_name(i)}, {"documents", shard.documents()}, {"tokens", shard.tokens()}});
    all += sha256_file(shards[i]);
  }
  m.corpus = sha256(std::string_view(all));
  m.save();
}

std::vector<fs::path> token_shard_folders(const std::vector<std::string>& named, Split split) {
  const auto is_one = [](const fs::path& folder) {
    std::error_code ignored;
    if (!fs::exists(folder / kManifest, ignored)) return false;
    const Json json = parse_json_file(folder / kManifest);
    return json.is_object() && json.value("format", Json()) == kFormat;
  };
  const char* part = split == Split::kTest ? "test" : split == Split::kValidation ? "validation" : "train";
  std::vector<fs::path> folders;
  for (const std::string& name : named) {
    const std::string found = find_data(name);
    if (found.empty()) continue;
    for (const fs::path& folder : {fs::path(found), fs::path(found) / part})
      if (is_one(folder)) {
        folders.push_back(folder);
        break;
      }
  }
  return folders;
}

std::unique_ptr<DocumentSource> made_token_shards(const std::vector<fs::path>& folders, const std::string& tokenizer) {
  std::vector<Manifest> manifests;
  std::string all;
  for (const fs::path& folder : folders) {
    Manifest m = read_manifest(folder);
    if (!m.complete) fail_usage(folder.string(), ": its token shards are not all made yet; run what makes them to its end");
    if (m.tokenizer != tokenizer)
      fail_usage(folder.string(), ": its tokens were made with another tokenizer (",
                 m.tokenizer.empty() ? "the manifest does not say which" : str("hash ", m.tokenizer.substr(0, 12)), ") than the model's (",
                 tokenizer.substr(0, 12), "); train with that one, or make the tokens again");
    all += m.corpus;
    manifests.push_back(std::move(m));
  }
  auto source = std::make_unique<ShardSource>(manifests.size() == 1 ? all : sha256(std::string_view(all)));
  for (const Manifest& m : manifests) source->add(m);
  if (source->size() == 0) fail_usage(folders.empty() ? "no folder" : folders[0].string(), ": its token shards hold no document");
  return source;
}

std::vector<Document> corpus_documents(const CorpusSpec& spec, int threads) {
  TextStream stream(spec.files);
  stream.want(spec.keys, spec.also);
  std::vector<Document> all;
  make_documents(stream, spec, threads, [&](std::vector<Document> documents, const TextStream::Position&) {
    std::move(documents.begin(), documents.end(), std::back_inserter(all));
  });
  if (all.empty()) fail_usage(first_files(spec.files), ": holds no text");
  return all;
}

}  // namespace r1::data
