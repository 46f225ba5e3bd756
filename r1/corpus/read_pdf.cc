// PDF through poppler's `pdftotext`, run as a process of its own with limits on time, memory and output: what is in a PDF is a stranger's
// program. Without it PDF is refused with the way out. The pages' form feeds become empty lines.
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "r1/base/error.h"
#include "r1/corpus/encoding.h"
#include "r1/corpus/memory_file.h"
#include "r1/corpus/reader_parts.h"

namespace r1::corpus {
namespace {

constexpr int kMaxSeconds = 60;
constexpr rlim_t kMaxMemory = rlim_t{2} << 30;

std::string program_in_path(const std::string& name) {
  const char* path = std::getenv("PATH");
  const std::string_view folders = path ? path : "";
  for (size_t at = 0; at <= folders.size();) {
    const size_t end = std::min(folders.find(':', at), folders.size());
    const std::string file = std::string(folders.substr(at, end - at)) + "/" + name;
    if (end > at && access(file.c_str(), X_OK) == 0) return file;
    at = end + 1;
  }
  return "";
}

// What the program writes for these bytes; reason if there is nothing to have.
std::string converted(const std::string& program, const std::string& pdf, size_t most, std::string& out) {
  const MemoryFile file("PDF", pdf, true);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail("cannot make a pipe: ", std::strerror(errno));
  Descriptor from(ends[0]), to(ends[1]);
  const std::string name = file.path();
  // all that allocates is done before fork()
  const char* const arguments[] = {program.c_str(), "-enc", "UTF-8", "-q", name.c_str(), "-", nullptr};
  const pid_t child = fork();
  if (child < 0) fail("cannot start ", program, ": ", std::strerror(errno));
  if (child == 0) {
    const auto limit = [](auto what, rlim_t value) {
      const struct rlimit r { value, value };
      setrlimit(what, &r);
    };
    setpgid(0, 0);
    limit(RLIMIT_CPU, kMaxSeconds);
    limit(RLIMIT_AS, kMaxMemory);
    limit(RLIMIT_CORE, 0);
    const int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(to.get(), 1);
    dup2(null, 2);
    execv(program.c_str(), const_cast<char* const*>(arguments));
    _exit(127);
  }
  to.close();
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(kMaxSeconds);
  std::string reason;
  std::string buffer(size_t{1} << 16, '\0');
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    pollfd waits{.fd = from.get(), .events = POLLIN, .revents = 0};
    const int ready = left > 0 ? poll(&waits, 1, int(left)) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      reason = "pdf:time";
      break;
    }
    const ssize_t n = read(from.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    out.append(buffer.data(), size_t(n));
    if (out.size() > most) {
      reason = "too_large";
      break;
    }
  }
  if (!reason.empty()) kill(-child, SIGKILL), kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (reason.empty() && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) reason = out.empty() ? "pdf:broken" : "";
  return reason;
}

class Pdf : public Reader {
 public:
  Pdf(Input input, const Opening& opening, std::string program)
      : input_(std::move(input)), opening_(opening), program_(std::move(program)) {}

  bool next(Document& d, Counts& counts) override {
    if (done_) return false;
    done_ = true;
    bool cut = false;
    const std::string bytes = input_.rest(size_t(kMaxWholeBytes), cut);
    std::string text;
    const std::string reason = cut ? "too_large" : converted(program_, bytes, size_t(opening_.options.max_document_bytes), text);
    if (!reason.empty()) {
      counts.broken(input_.name() + "#0", reason, int64_t(bytes.size()));
      return false;
    }
    d.source = input_.name();
    d.kind = "pdf";
    d.licence = opening_.licence;
    d.text = with_plain_line_ends(to_utf8(text));
    std::ranges::replace(d.text, '\f', '\n');
    return true;
  }

 private:
  Input input_;
  Opening opening_;
  std::string program_;
  bool done_ = false;
};

}  // namespace

std::unique_ptr<Reader> read_pdf(Input input, const Opening& opening) {
  const std::string program = program_in_path("pdftotext");
  if (program.empty())
    fail_usage(
        input.name(),
        ": is a PDF, which is read through `pdftotext`; that is not in the PATH: install poppler-utils, or turn it into text elsewhere");
  return std::make_unique<Pdf>(std::move(input), opening, program);
}

}  // namespace r1::corpus
