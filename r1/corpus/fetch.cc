#include "r1/corpus/fetch.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <ctime>
#include <deque>
#include <optional>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/open_files.h"
#include "r1/base/progress.h"
#include "r1/base/rng.h"
#include "r1/base/strings.h"
#include "r1/corpus/fetch_http.h"
#include "r1/corpus/fetch_ledger.h"
#include "r1/corpus/fetch_list.h"
#include "r1/corpus/fetch_part.h"
#include "r1/corpus/fetch_robots.h"
#include "r1/corpus/fetch_sites.h"
#include "r1/corpus/fetch_warc.h"
#include "r1/corpus/reader.h"

namespace r1::corpus {
namespace {

constexpr double kLongestBackoff = 60;
constexpr int64_t kMostErrorBody = 64 << 10;  // is read to its end, so that the connection can be used again
constexpr int64_t kProgressBytes = 1 << 20;   // a try that brought so much counts as a first one
constexpr size_t kFinishedAtOnce = 64;
constexpr int kRobotsRedirects = 5;  // RFC 9309, 2.3.1.2

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// "bytes 5-9/10": first, last, total (-1: "*").
struct ContentRange {
  int64_t first = 0, last = 0, total = -1;
};
std::optional<ContentRange> content_range(std::string_view text) {
  if (!same_word(text.substr(0, 6), "bytes ")) return std::nullopt;
  const char* at = text.data() + 6;
  const char* end = text.data() + text.size();
  ContentRange out;
  const auto number = [&](int64_t& value, char then) {
    const auto [stop, error] = std::from_chars(at, end, value);
    const bool ok = error == std::errc() && value >= 0 && (then ? stop != end && *stop == then : stop == end);
    at = ok ? stop + (then ? 1 : 0) : end;
    return ok;
  };
  if (!number(out.first, '-') || !number(out.last, '/') || out.last < out.first) return std::nullopt;
  if (std::string_view(at, size_t(end - at)) == "*") return out;
  if (!number(out.total, '\0') || out.total <= out.last) return std::nullopt;
  return out;
}
// The total of "bytes */10"; -1 if it is something else.
int64_t unsatisfied_total(std::string_view text) {
  int64_t total = -1;
  if (!text.starts_with("bytes */")) return -1;
  const auto [stop, error] = std::from_chars(text.data() + 8, text.data() + text.size(), total);
  return error == std::errc() && stop == text.data() + text.size() ? total : -1;
}

bool is_html(std::string_view content_type) {
  const std::string_view type = trim(content_type.substr(0, content_type.find(';')));
  return same_word(type, "text/html") || same_word(type, "application/xhtml+xml");
}

// A validator that If-Range may name: a strong ETag, else a date.
std::string validator_of(const PartOrigin& origin) {
  return !origin.etag.empty() && !origin.etag.starts_with("W/") ? origin.etag : origin.last_modified;
}

// Do these speak of the same bytes, as far as both say something?
bool same_origin(const PartOrigin& before, const PartOrigin& after) {
  const bool etags = !before.etag.empty() && !after.etag.empty();
  if (etags && before.etag != after.etag) return false;
  if (!etags && !before.last_modified.empty() && !after.last_modified.empty() && before.last_modified != after.last_modified) return false;
  return before.size < 0 || after.size < 0 || before.size == after.size;
}

std::string digest_of_file(const fs::path& file, const char* algorithm) {
  Digest digest(algorithm);
  const MappedFile map(file);
  for (size_t at = 0; at < map.size(); at += size_t{8} << 20) {
    throw_if_interrupted();
    digest.update(map.bytes().subspan(at, std::min(size_t{8} << 20, map.size() - at)));
  }
  return digest.hex();
}

}  // namespace

// What becomes of an answer, as its head decides it.
enum class Verdict {
  kNone,    // no head came
  kFile,    // its body goes to the part
  kPage,    // its body is kept, for a record
  kRobots,  // its body is kept, for rules
  kRedirect,
  kStatus,   // an error of the server's
  kRestart,  // the bytes that are there are of something else: from nothing
  kWhole,    // 416: all of it is there
  kTooLarge,
  kHtmlInstead,
  kAskRobots,  // it is a page, against its name
};

struct FetchJob : HttpReceiver {
  const FetchItem* item = nullptr;  // null: the robots.txt of `robots_of`
  Site* robots_of = nullptr;
  Site* site = nullptr;        // whom it is being asked of
  std::unique_ptr<Url> moved;  // where a redirect has sent it
  int64_t tries = 0, redirects = 0, wrong_checksums = 0;
  bool from_nothing = false;  // no Range next time
  bool as_page = false;       // robots.txt is to be asked, whatever its name says

  // Of the answer under way.
  struct Answer {
    class Fetcher* fetcher = nullptr;
    Verdict verdict = Verdict::kNone;
    HttpHead head;
    std::unique_ptr<FetchPart> part;
    int64_t begun_at = 0;  // bytes that were there
    bool ranged = false;   // a Range was asked for
    std::string body;
    int64_t unwanted = 0;  // bytes of an error's body
  };
  std::unique_ptr<Answer> answer;

  bool head(const HttpHead& head) override;
  bool body(std::string_view bytes) override;
};

class Fetcher {
 public:
  explicit Fetcher(const FetchConfig& config)
      : config_(config),
        root_(config.output),
        parts_(root_ / ".fetch"),
        max_bytes_(config.max_bytes.empty() ? INT64_MAX : parse_bytes(config.max_bytes, "--max_bytes")),
        product_(config.robots_agent.empty() ? product_of_user_agent(config.user_agent) : config.robots_agent),
        sites_(config.per_host, config.delay),
        rng_(uint64_t(std::chrono::steady_clock::now().time_since_epoch().count()), uint64_t(::getpid())) {
    check_config();
    list_ = read_fetch_list(config.urls, config.base_url);
    if (list_.items.empty()) fail_usage("there is no URL in the list");
    make_folder(parts_);
    lock_.emplace(parts_ / "lock", root_.string() + ": another process fetches into this folder right now");
    remove_temporaries();
    ledger_.emplace(root_ / "fetch.jsonl");
    finish_noted(parts_, root_, [&](const Json& row) { ledger_->add(row); });
    pages_.emplace(root_, page_ends());
  }

  FetchCounts run() {
    counts_.urls = int64_t(list_.items.size());
    counts_.repeated = list_.repeated;
    try {
      begin();
      loop();
    } catch (...) {
      client_.reset();  // before the jobs that it speaks of
      try {
        place_finished();
        pages_->sync();
        ledger_->tidy();
      } catch (const Error&) {  // it stands line by line already; what ended the work is the news
      }
      throw;
    }
    client_.reset();
    pages_->sync();
    ledger_->tidy();
    return counts_;
  }

  bool head(FetchJob& job, const HttpHead& head) {
    FetchJob::Answer& a = *job.answer;
    a.head = head;
    a.verdict = verdict(job, head);
    switch (a.verdict) {
      case Verdict::kRestart:
      case Verdict::kTooLarge:
      case Verdict::kHtmlInstead:
      case Verdict::kAskRobots:
        return false;
      default:
        return true;
    }
  }

  bool body(FetchJob& job, std::string_view bytes) {
    FetchJob::Answer& a = *job.answer;
    switch (a.verdict) {
      case Verdict::kFile:
        if (a.part->size() + int64_t(bytes.size()) > max_bytes_) return a.verdict = Verdict::kTooLarge, false;
        a.part->append(bytes);
        return true;
      case Verdict::kPage:
        if (int64_t(a.body.size() + bytes.size()) > std::min(max_bytes_, kMaxDocumentBytes)) return a.verdict = Verdict::kTooLarge, false;
        a.body += bytes;
        return true;
      case Verdict::kRobots:
        a.body += bytes;
        return a.body.size() <= Robots::kMaxBytes;
      default:
        a.unwanted += int64_t(bytes.size());
        return a.unwanted <= kMostErrorBody;
    }
  }

 private:
  void check_config() const {
    if (config_.urls.empty()) fail_usage("missing: a file of URLs (or - for standard input)");
    for (const std::string& header : config_.header) {
      const size_t colon = header.find(':');
      const std::string name = lower_ascii(trim(std::string_view(header).substr(0, colon)));
      if (colon == std::string::npos || name.empty() || name.find_first_of(" \t") != std::string::npos ||
          std::ranges::any_of(header, [](unsigned char c) { return c < 0x20 && c != '\t'; }))
        fail_usage("--header '", printable(header), "': expected 'Name: value'");
      for (const char* own : {"range", "if-range", "accept-encoding", "user-agent", "transfer-encoding", "content-length"})
        if (name == own) fail_usage("--header ", own, ": is set by the fetching itself", name == "user-agent" ? "; say --user_agent" : "");
    }
    if (std::ranges::any_of(config_.user_agent, [](unsigned char c) { return c < 0x20; }))
      fail_usage("--user_agent: has control characters");
    if (config_.robots != "off" && product_.empty())
      fail_usage("--user_agent '", printable(config_.user_agent),
                 "': begins with no product's name, by which robots.txt could speak to it; ", "say --robots_agent NAME");
  }

  void remove_temporaries() const {
    for (const fs::path& folder : {root_, parts_})
      for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
        const std::string name = entry.path().filename().string();
        if (folder == root_ ? name.starts_with(".fetch.jsonl.") && name.ends_with(".tmp") : name.ends_with(".new"))
          ::unlink(entry.path().c_str());
      }
  }

  std::map<std::string, int64_t> page_ends() const {
    std::map<std::string, int64_t> ends;
    for (const std::string& url : ledger_->urls()) {
      const Json row = *ledger_->find(url);
      if (!row.contains("offset")) continue;
      int64_t& end = ends[row.value("file", "")];
      end = std::max(end, row.value("offset", int64_t{0}) + row.value("length", int64_t{0}));
    }
    return ends;
  }

  // What is there already, and jobs for the rest.
  void begin() {
    HttpOptions options;
    options.parallel = config_.parallel;
    options.connect_timeout = config_.connect_timeout;
    options.stall_timeout = config_.timeout;
    options.max_time = config_.max_time;
    options.bytes_per_second = config_.rate.empty() ? 0 : parse_bytes(config_.rate, "--rate");
    options.user_agent = config_.user_agent;
    options.ca_file = ca_file();
    client_.emplace(options);
    allow_open_files(3 * config_.parallel + int64_t(kFinishedAtOnce) + 64);
    bar_.emplace("fetch", counts_.urls, "URL");
    for (const FetchItem& item : list_.items) {
      throw_if_interrupted();
      if (is_there(item)) {
        ++counts_.there;
        continue;
      }
      if (std::error_code ignored; fs::exists(root_ / item.file, ignored) && !is_own(item)) {
        count_failed(item, "in_the_way", root_.string() + "/" + item.file + " is there and was not fetched from here; move it away", 0);
        continue;
      }
      FetchJob& job = jobs_.emplace_back();
      job.item = &item;
      ++open_;
      sites_.add(sites_.of(item.url.origin()), &job);
    }
  }

  // --ca_file, or what the environment says to curl and OpenSSL; "": the system's.
  std::string ca_file() const {
    std::string file = config_.ca_file;
    for (const char* name : {"CURL_CA_BUNDLE", "SSL_CERT_FILE"})
      if (const char* value = std::getenv(name); file.empty() && value) file = value;
    if (!file.empty() && ::access(file.c_str(), R_OK) != 0) fail_usage("--ca_file ", printable(file), ": cannot be read");
    return file;
  }

  // The file at the item's place came from its URL: the ledger says so.
  bool is_own(const FetchItem& item) const {
    const std::optional<Json> row = ledger_->find(item.url.shown);
    return row && row->value("status", "") == "done" && row->value("file", "") == item.file;
  }

  bool is_there(const FetchItem& item) {
    const std::optional<Json> row = ledger_->find(item.url.shown);
    std::error_code none;
    if (row && row->value("status", "") == "done") {
      const std::string file = row->value("file", "");
      const auto size = fs::file_size(root_ / file, none);
      if (none) return false;
      if (row->contains("offset")) {
        if (int64_t(size) < row->value("offset", int64_t{0}) + row->value("length", int64_t{0})) return false;
      } else if (int64_t(size) != row->value("bytes", int64_t{-1}) || file != item.file) {
        return false;
      }
      if (!item.sha256.empty() && row->value("sha256", "") != item.sha256) return false;
      return item.md5.empty() || row->value("md5", "") == item.md5 ||
             (!row->contains("offset") && digest_of_file(root_ / file, "md5") == item.md5);
    }
    // Brought here by somebody else, and what it should be.
    if ((item.sha256.empty() && item.md5.empty()) || !fs::is_regular_file(root_ / item.file, none)) return false;
    if (!item.md5.empty() && digest_of_file(root_ / item.file, "md5") != item.md5) return false;
    const std::string sha = digest_of_file(root_ / item.file, "sha256");
    if (!item.sha256.empty() && sha != item.sha256) return false;
    Json found = {{"url", item.url.shown}, {"file", item.file}, {"status", "done"}};
    found["bytes"] = fs::file_size(root_ / item.file);
    found["sha256"] = sha;
    if (!item.md5.empty()) found["md5"] = item.md5;
    found["fetched"] = utc_time();
    ledger_->add(found);
    return true;
  }

  void loop() {
    while (open_ > 0) {
      throw_if_interrupted();
      Site* site = nullptr;
      while (client_->active() < config_.parallel) {
        FetchJob* job = sites_.next(now(), site);
        if (!job) break;
        job->site = site;
        if (!start(*job)) sites_.ended(*site);
      }
      const bool room = client_->active() < config_.parallel;
      const double wait = std::clamp(room ? sites_.next_time() - now() : 0.1, 0.0, 0.1);
      for (const HttpEnd& end : client_->wait(wait)) {
        auto& job = static_cast<FetchJob&>(*end.receiver);
        Site& asked = *job.site;
        ended(job, end);
        job.answer.reset();
        sites_.ended(asked);
      }
      if (finished_.size() >= kFinishedAtOnce || (!finished_.empty() && (client_->active() == 0 || now() - finished_since_ > 0.5)))
        place_finished();
      show();
    }
    show();
  }

  void show() {
    const double t = now();
    if (t - shown_at_ < 0.1 && open_ > 0) return;
    const int64_t bytes = client_->bytes_received();
    if (t - rate_at_ >= 1) {
      rate_ = 0.5 * rate_ + 0.5 * double(bytes - rate_bytes_) / (t - rate_at_);
      rate_at_ = t;
      rate_bytes_ = bytes;
    }
    shown_at_ = t;
    std::string note = human_bytes(double(bytes)) + "  " + human_bytes(rate_) + "/s";
    if (counts_.failed) note += str("  ", counts_.failed, " failed");
    bar_->update(counts_.urls - open_, note);
  }

  const Url& url_of(const FetchJob& job) const { return job.moved ? *job.moved : job.item->url; }

  bool asks_robots(const FetchJob& job) const {
    if (!job.item || config_.robots == "off") return false;
    return config_.robots == "on" || job.as_page || !job.item->data_file;
  }

  // False: no request was begun (the job has ended, waits for robots.txt, or was whole already).
  bool start(FetchJob& job) {
    Site& site = *job.site;
    if (!site.given_up.empty() && job.item) return failed(job, site.given_up, site.why), false;
    if (asks_robots(job)) {
      if (site.robots_state != Site::RobotsState::kKnown) {
        site.for_robots.push_back(&job);
        if (site.robots_state == Site::RobotsState::kUnknown) ask_robots(site);
        return false;
      }
      if (!site.robots_fault.empty()) return failed(job, "robots_unreachable", site.robots_fault), false;
      if (!site.robots.allows(url_of(job).target())) return refused(job), false;
    }
    job.answer = std::make_unique<FetchJob::Answer>();
    FetchJob::Answer& a = *job.answer;
    a.fetcher = this;
    std::vector<std::string> headers = {"Accept: */*", "Accept-Encoding: identity"};
    if (job.item) {
      if (fs::exists(parts_ / (FetchPart::key_of(job.item->url.text) + ".part"))) {
        open_part(job);
        FetchPart& part = *a.part;
        const PartOrigin& origin = part.origin();
        const std::string validator = validator_of(origin);
        const bool checked = !job.item->sha256.empty() || !job.item->md5.empty();
        if (job.from_nothing || (validator.empty() && !checked) || (origin.size >= 0 && part.size() > origin.size)) part.cut(0);
        if (origin.size >= 0 && part.size() == origin.size && part.size() > 0) {
          whole(job);
          job.answer.reset();
          return false;
        }
        a.begun_at = part.size();
        if (part.size() > 0) {
          a.ranged = true;
          headers.push_back(str("Range: bytes=", part.size(), "-"));
          if (!validator.empty()) headers.push_back("If-Range: " + validator);
        }
      }
      // what the user adds may be a secret: it goes to no other site than the list named
      if (!job.moved || job.moved->origin() == job.item->url.origin())
        headers.insert(headers.end(), config_.header.begin(), config_.header.end());
    }
    job.from_nothing = false;
    client_->get(url_of(job), headers, job);
    return true;
  }

  void open_part(FetchJob& job) {
    if (!job.answer->part) job.answer->part = std::make_unique<FetchPart>(parts_, job.item->url.text, !job.item->md5.empty());
  }

  // ---- robots.txt ----

  void ask_robots(Site& site) {
    site.robots_state = Site::RobotsState::kAsked;
    FetchJob& job = jobs_.emplace_back();
    job.robots_of = &site;
    job.moved = std::make_unique<Url>(parse_url(site.origin + "/robots.txt"));
    sites_.add(site, &job, true);
  }

  void robots_known(FetchJob& job, Robots robots, const std::string& fault = "") {
    Site& site = *job.robots_of;
    site.robots_state = Site::RobotsState::kKnown;
    site.robots = std::move(robots);
    site.robots_fault = fault;
    const double delay = site.robots.crawl_delay();
    if (delay > config_.max_wait) {
      site.robots_fault = str("its robots.txt wants ", delay, " s between two requests, more than --max_wait");
    } else {
      site.delay = std::max(site.delay, delay);
    }
    for (auto waiting = site.for_robots.rbegin(); waiting != site.for_robots.rend(); ++waiting) sites_.add(site, *waiting, true);
    site.for_robots.clear();
  }

  // ---- an answer's head ----

  Verdict verdict(FetchJob& job, const HttpHead& head) {
    const int status = head.status;
    if (status == 301 || status == 302 || status == 303 || status == 307 || status == 308)
      return head.fields.get("Location").empty() ? Verdict::kStatus : Verdict::kRedirect;
    if (!job.item) return status >= 200 && status < 300 ? Verdict::kRobots : Verdict::kStatus;
    if (status == 416 && job.answer->ranged) return whole_416(job, head) ? Verdict::kWhole : Verdict::kRestart;
    if (status != 200 && status != 203 && status != 206) return Verdict::kStatus;

    const bool html = is_html(head.fields.get("Content-Type"));
    const std::string_view path = job.item->url.path;
    if (html && has_packed_ending(path) && job.item->sha256.empty() && job.item->md5.empty()) return Verdict::kHtmlInstead;
    if (html && config_.robots == "auto" && !asks_robots(job)) return Verdict::kAskRobots;
    if (config_.as == "warc" || (config_.as == "auto" && html && !job.item->data_file && !job.item->named)) {
      if (job.answer->ranged && status == 206) return Verdict::kRestart;
      return head.content_length > std::min(max_bytes_, kMaxDocumentBytes) ? Verdict::kTooLarge : Verdict::kPage;
    }
    return take_file(job, head);
  }

  bool whole_416(const FetchJob& job, const HttpHead& head) const {
    const FetchPart& part = *job.answer->part;
    const std::string_view etag = head.fields.get("ETag");
    return unsatisfied_total(head.fields.get("Content-Range")) == part.size() && !etag.empty() && etag == part.origin().etag;
  }

  // Where the body's bytes belong. What a Content-Range says counts, whichever of 200 and 206 the status is: there are servers that send a part
  // as 200, and such that begin before the byte that was asked for.
  Verdict take_file(FetchJob& job, const HttpHead& head) {
    open_part(job);
    FetchJob::Answer& a = *job.answer;
    FetchPart& part = *a.part;
    PartOrigin origin{job.item->url.text, std::string(head.fields.get("ETag")), std::string(head.fields.get("Last-Modified")),
                      head.content_length};
    if (a.ranged || head.status == 206) {
      const std::optional<ContentRange> range = content_range(head.fields.get("Content-Range"));
      if (range) {
        origin.size = range->total;
        if (!a.ranged || range->first > part.size() || !same_origin(part.origin(), origin)) return Verdict::kRestart;
        if (range->total > max_bytes_) return Verdict::kTooLarge;
        if (range->first < part.size()) part.cut(range->first);
        return Verdict::kFile;
      }
      if (head.status == 206) return Verdict::kRestart;
    }
    if (head.content_length > max_bytes_) return Verdict::kTooLarge;
    part.restart(origin);
    a.begun_at = 0;
    return Verdict::kFile;
  }

  // ---- an answer's end ----

  void ended(FetchJob& job, const HttpEnd& end) {
    FetchJob::Answer& a = *job.answer;
    Site& site = *job.site;
    if (a.verdict == Verdict::kNone) {
      if (end.why == HttpEnd::Why::kUnreachable) ++site.unreachable;
      return no_answer(job, end);
    }
    site.unreachable = 0;
    switch (a.verdict) {
      case Verdict::kRedirect:
        return redirected(job);
      case Verdict::kStatus:
        return status(job);
      case Verdict::kRestart:
        job.from_nothing = true;
        return retry(job, "range", "the server sends another part than was asked for, or the file has changed", 0);
      case Verdict::kWhole:
        return whole(job);
      case Verdict::kTooLarge:
        if (a.part) a.part->drop();
        return failed(job, "too_large", "more than " + human_bytes(double(a.part ? max_bytes_ : std::min(max_bytes_, kMaxDocumentBytes))));
      case Verdict::kHtmlInstead:
        return failed(job, "html_instead", "the server answers with a page (text/html) where a packed file was meant");
      case Verdict::kAskRobots:
        job.as_page = true;
        return again(job);
      case Verdict::kRobots:
        if (end.why != HttpEnd::Why::kDone && end.why != HttpEnd::Why::kUnwanted) return no_answer(job, end);
        return robots_known(job, Robots::parse(a.body, product_));
      case Verdict::kPage:
        if (end.why != HttpEnd::Why::kDone) return no_answer(job, end);
        return page_whole(job, end);
      case Verdict::kFile:
        if (end.why != HttpEnd::Why::kDone) return no_answer(job, end);
        return whole(job);
      case Verdict::kNone:
        break;
    }
  }

  // The connection failed, before or within the answer.
  void no_answer(FetchJob& job, const HttpEnd& end) {
    const FetchJob::Answer& a = *job.answer;
    // Where every try brings a good piece, a large file comes in over the worst line.
    if (a.verdict == Verdict::kFile && a.part->size() - a.begun_at >= kProgressBytes && !validator_of(a.part->origin()).empty() && a.ranged)
      job.tries = 0;
    switch (end.why) {
      case HttpEnd::Why::kRefused:
        return failed(job, "refused_connection", end.error);
      case HttpEnd::Why::kTooLong:
        return failed(job, "too_long", end.error);
      case HttpEnd::Why::kUnreachable:
        return retry(job, "unreachable", end.error, 0);
      case HttpEnd::Why::kStalled:
        return retry(job, "stalled", end.error, 0);
      default:
        return retry(job, "broken", end.error, 0);
    }
  }

  void status(FetchJob& job) {
    const HttpHead& head = job.answer->head;
    const int code = head.status;
    const std::string reason = str("http_", code);
    const bool again_later = code == 408 || code == 425 || code == 429 || code >= 500;
    if (again_later) {
      const double asked = retry_after(head);
      if (asked > config_.max_wait) {
        const std::string text = str("answers ", code, " and asks to come back in ", human_time(asked), ", more than --max_wait");
        give_up(*job.site, reason, text);
        return failed(job, reason, text);
      }
      return retry(job, reason, str("answers ", code), asked, code == 429 || code == 503);
    }
    if (!job.item) return robots_known(job, Robots());  // 4xx: there are no rules
    failed(job, reason, str("answers ", code));
  }

  // Seconds; 0 if the server does not say.
  static double retry_after(const HttpHead& head) {
    const std::string text(head.fields.get("Retry-After"));
    if (text.empty()) return 0;
    if (text.find_first_not_of("0123456789") == std::string::npos) return text.size() > 9 ? 1e9 : std::stod(text);
    const int64_t date = parse_http_date(text);
    // Its own clock may be wrong: its Date counts, if it says one.
    const std::string its_date(head.fields.get("Date"));
    const int64_t its_now = its_date.empty() ? -1 : parse_http_date(its_date);
    return date < 0 ? 0 : std::max(0.0, double(date - (its_now < 0 ? int64_t(std::time(nullptr)) : its_now)));
  }

  void redirected(FetchJob& job) {
    const Url from = url_of(job);
    std::unique_ptr<Url> to;
    try {
      to = std::make_unique<Url>(parse_url(job.answer->head.fields.get("Location"), from.text));
    } catch (const Error& error) {
      return redirect_failed(job, str("is sent to ", error.what()));
    }
    if (++job.redirects > (job.item ? config_.redirects : kRobotsRedirects))
      return redirect_failed(job, str("more than ", job.redirects - 1, " redirects, the last to ", printable(to->shown)));
    if (from.scheme == "https" && to->scheme == "http" && !config_.allow_downgrade)
      return redirect_failed(job, str("is sent from https to ", printable(to->shown), "; --allow_downgrade follows"));
    job.moved = std::move(to);
    again(job);
  }
  void redirect_failed(FetchJob& job, const std::string& text) {
    if (!job.item) return robots_known(job, Robots());  // RFC 9309: as if there were none
    failed(job, "redirect", text);
  }

  // At once, where it is now.
  void again(FetchJob& job) { sites_.add(sites_.of(url_of(job).origin()), &job, true); }

  // From its beginning, after a while; `asked`: seconds the server wants; `all`: everybody who waits for this site waits so long.
  void retry(FetchJob& job, const std::string& reason, const std::string& text, double asked, bool all = false) {
    if (++job.tries > config_.retries) {
      Site& site = *job.site;
      if (reason == "unreachable" && site.unreachable > config_.retries) give_up(site, reason, text);
      return failed(job, reason, str(text, " (", job.tries, job.tries == 1 ? " try)" : " tries)"));
    }
    const double backoff = std::min(kLongestBackoff, config_.retry_wait * std::exp2(double(std::min<int64_t>(job.tries - 1, 30))));
    const double jitter = rng_.uniform();
    const double wait = asked > 0 ? asked + std::min(1.0, 0.1 * asked) * jitter : backoff * (0.5 + 0.5 * jitter);
    if (all) sites_.pause(*job.site, now() + wait);
    job.redirects = 0;
    job.moved = job.item ? nullptr : std::make_unique<Url>(parse_url(job.robots_of->origin + "/robots.txt"));
    sites_.add_later(sites_.of(url_of(job).origin()), &job, now() + wait);
  }

  void give_up(Site& site, const std::string& reason, const std::string& text) const {
    site.given_up = reason;
    site.why = text + "; nothing more was asked of this site";
  }

  void page_whole(FetchJob& job, const HttpEnd& end) {
    FetchJob::Answer& a = *job.answer;
    const std::string sha = sha256(a.body);
    std::string md5;
    if (!job.item->md5.empty()) {
      Digest digest("md5");
      digest.update(std::as_bytes(std::span(a.body)));
      md5 = digest.hex();
    }
    if (!checksums_hold(job, sha, md5)) return;
    if (a.part) a.part->drop();  // it was no page before
    Json row = row_of(job, "done");
    row["bytes"] = a.body.size();
    row["sha256"] = sha;
    if (!md5.empty()) row["md5"] = md5;
    const WarcWriter::Place place = pages_->add(
        {.url = url_of(job).shown, .date = row["fetched"].get<std::string>(), .head = a.head.text, .body = a.body, .peer = end.peer});
    row["file"] = place.file;
    row["offset"] = place.offset;
    row["length"] = place.length;
    done(job, row, int64_t(a.body.size()));
  }

  // All bytes of the file have come, as far as the connection knows.
  void whole(FetchJob& job) {
    FetchJob::Answer& a = *job.answer;
    FetchPart& part = *a.part;
    const int64_t size = part.origin().size;
    if (size >= 0 && part.size() != size) {
      if (part.size() > size) job.from_nothing = true;
      return retry(job, "size", str("has ", part.size(), " bytes where ", size, " were announced"), 0);
    }
    const FetchPart::Digests digests = part.digests();
    if (!checksums_hold(job, digests.sha256, digests.md5)) {
      part.drop();
      return;
    }
    Json row = row_of(job, "done");
    row["file"] = job.item->file;
    row["bytes"] = part.size();
    row["sha256"] = digests.sha256;
    if (!digests.md5.empty()) row["md5"] = digests.md5;
    if (!part.origin().etag.empty()) row["etag"] = part.origin().etag;
    if (!part.origin().last_modified.empty()) row["last_modified"] = part.origin().last_modified;
    if (size < 0) row["length_known"] = false, ++counts_.unsized;
    part.begin_sync();
    if (finished_.empty()) finished_since_ = now();
    finished_.push_back({&job, std::move(a.part), std::move(row)});
  }

  // Whole files to their places, several at a time: the first fsync writes the journal for all of them, and small files would wait for little
  // else. Whoever is killed before finds the parts whole.
  void place_finished() {
    for (Finished& f : finished_) {
      f.part->finish(root_ / f.job->item->file, f.row);
      done(*f.job, f.row, f.part->size());
      f.part->done();
    }
    finished_.clear();
  }

  // False: they do not, and what follows of it is done. What came over several connections may have been mixed by others on the way: once more,
  // from nothing.
  bool checksums_hold(FetchJob& job, const std::string& sha256, const std::string& md5) {
    const bool sha_wrong = !job.item->sha256.empty() && sha256 != job.item->sha256;
    const bool md5_wrong = !job.item->md5.empty() && md5 != job.item->md5;
    if (!sha_wrong && !md5_wrong) return true;
    const std::string text =
        sha_wrong ? "its SHA-256 is " + sha256 + ", not " + job.item->sha256 : "its MD5 is " + md5 + ", not " + job.item->md5;
    job.from_nothing = true;
    ++job.wrong_checksums < 2 ? retry(job, "checksum", text, 0) : failed(job, "checksum", text);
    return false;
  }

  // ---- what became of a URL ----

  Json row_of(const FetchJob& job, const char* status) const {
    Json row = {{"url", job.item->url.shown}, {"status", status}};
    if (job.moved) row["final_url"] = job.moved->shown;
    if (job.answer && job.answer->head.status) {
      row["http"] = job.answer->head.status;
      if (const auto type = job.answer->head.fields.get("Content-Type"); !type.empty()) row["type"] = printable(type);
    }
    row["fetched"] = utc_time();
    row["tries"] = job.tries + 1;
    return row;
  }

  void done(const FetchJob& job, const Json& row, int64_t bytes) {
    ledger_->add(row);
    ++counts_.done;
    counts_.bytes += bytes;
    close(job);
  }

  void count(const FetchItem& item, const std::string& reason, const std::string& text) {
    FetchCounts::Reason& r = counts_.reasons[reason];
    ++r.urls;
    if (r.examples.size() < FetchCounts::kExamples) r.examples.push_back(printable(item.url.shown) + ": " + text);
  }

  void count_failed(const FetchItem& item, const std::string& reason, const std::string& text, int http) {
    Json row = {{"url", item.url.shown}, {"status", "failed"}, {"reason", reason}, {"error", text}};
    if (http) row["http"] = http;
    row["fetched"] = utc_time();
    ledger_->add(row);
    ++counts_.failed;
    count(item, reason, text);
  }

  void failed(FetchJob& job, const std::string& reason, const std::string& text) {
    if (!job.item) {  // its pages say it
      robots_known(job, Robots::nothing(), "its robots.txt cannot be had, so that nothing may be fetched: " + text);
      return;
    }
    count_failed(*job.item, reason, text, job.answer ? job.answer->head.status : 0);
    close(job);
  }

  void refused(FetchJob& job) {
    ledger_->add({{"url", job.item->url.shown},
                  {"status", "refused"},
                  {"reason", "robots"},
                  {"error", "robots.txt forbids it"},
                  {"fetched", utc_time()}});
    ++counts_.refused;
    count(*job.item, "robots", "robots.txt forbids it");
    close(job);
  }

  void close(const FetchJob&) { --open_; }

  const FetchConfig& config_;
  fs::path root_, parts_;
  int64_t max_bytes_;
  std::string product_;
  FetchList list_;
  std::optional<FileLock> lock_;
  std::optional<Ledger> ledger_;
  std::optional<WarcWriter> pages_;
  std::deque<FetchJob> jobs_;
  struct Finished {
    FetchJob* job;
    std::unique_ptr<FetchPart> part;
    Json row;
  };
  std::vector<Finished> finished_;
  double finished_since_ = 0;
  Sites sites_;
  Rng rng_;
  FetchCounts counts_;
  std::optional<Progress> bar_;
  int64_t open_ = 0, rate_bytes_ = 0;
  double shown_at_ = 0, rate_at_ = now(), rate_ = 0;
  std::optional<HttpClient> client_;  // last: it goes before the jobs
};

bool FetchJob::head(const HttpHead& head) {
  return answer->fetcher->head(*this, head);
}
bool FetchJob::body(std::string_view bytes) {
  return answer->fetcher->body(*this, bytes);
}

void FetchConfig::visit(Fields& v) {
  v("urls", urls, "files of URLs, a line each (.gz and .zst too; - for standard input), or URLs; after a URL: sha256=HEX md5=HEX out=NAME");
  v("output", output, "folder; what was begun there goes on", Required{});
  v("base_url", base_url, "what lines without http:// are below: https://data.commoncrawl.org/");
  v("as", as, "pages (text/html) become WARC records and the rest files (auto), all become files, or all records",
    OneOf{"auto", "files", "warc"});
  v("parallel", parallel, "requests at once", Range{1, 1000});
  v("per_host", per_host, "of them to one site", Range{1, 1000});
  v("rate", rate, "bytes a second of all together: 20MB; without it as fast as they come");
  v("delay", delay, "seconds between two requests to a site", Range{0, 3600});
  v("max_bytes", max_bytes, "larger files are not fetched: 2GB");
  v("connect_timeout", connect_timeout, "seconds for the connection", Range{0.01, 3600});
  v("timeout", timeout, "seconds without a byte", Range{0.01, 86400});
  v("max_time", max_time, "seconds for one answer; 0: any", Range{0, 1e7});
  v("retries", retries, "after connections that fail and answers 408, 425, 429 and 5xx", Range{0, 1000});
  v("retry_wait", retry_wait, "seconds before the first; twice as many before each further one, up to 60", Range{0, 3600});
  v("max_wait", max_wait, "a site that asks to wait longer (Retry-After, Crawl-delay) is given up", Range{0, 1e6});
  v("redirects", redirects, "that are followed", Range{0, 100});
  v("allow_downgrade", allow_downgrade, "follow redirects from https to http");
  v("robots", robots, "heed robots.txt: for pages but not for data files (auto), for all, or not at all", OneOf{"auto", "on", "off"});
  v("robots_agent", robots_agent, "the name that robots.txt knows this crawler by; by default the first word of the user agent");
  v("user_agent", user_agent, "who asks; add an address to write to");
  v("header", header, "a header of every request to a site of the list: 'Authorization: Bearer ..'");
  v("ca_file", ca_file, "certificates (PEM) to trust in place of the system's");
}

Json FetchCounts::to_json() const {
  Json out = {{"urls", urls},       {"done", done},         {"there", there}, {"failed", failed},
              {"refused", refused}, {"repeated", repeated}, {"bytes", bytes}, {"unsized", unsized}};
  out["reasons"] = Json::object();
  for (const auto& [name, reason] : reasons) out["reasons"][name] = {{"urls", reason.urls}, {"examples", reason.examples}};
  return out;
}

FetchCounts fetch(const FetchConfig& config) {
  FetchCounts counts = Fetcher(config).run();
  check(counts.urls == counts.done + counts.there + counts.failed + counts.refused,
        "[fetch] the counts do not add up: ", dump_json(counts.to_json()));
  return counts;
}

}  // namespace r1::corpus
