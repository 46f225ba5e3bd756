// The worker's program (worker_pool.h): answers checks that come over the socket at descriptor 0 until that closes. argv[1] is the most
// memory it may take, in bytes; beyond that an allocation fails and the worker dies, which is that check's verdict.
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>

#include "r1/verify/check.h"
#include "r1/verify/worker_channel.h"

using namespace r1::verify;

namespace {

void limit(int resource, rlim_t most) {
  const rlimit both{most, most};
  ::setrlimit(__rlimit_resource_t(resource), &both);
}

WorkerMessage answer_to(const WorkerMessage& request) {
  WorkerMessage out;
  AnswerCheck check{AnswerVerdict::kCrash, "", "the check failed"};
  try {
    bool exhausted = false;
    check = check_texts(request.first, request.second, request.options, kLargeBudget, &exhausted);
  } catch (const std::exception& e) {
    check.reason = e.what();
  }
  out.first = std::move(check.extracted);
  out.second = std::move(check.reason);
  out.code = uint32_t(check.verdict);
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  ::syscall(SYS_close_range, 3u, ~0u, 0u);  // what the caller forgot to close on exec is not ours to hold
  limit(RLIMIT_CORE, 0);
  if (argc > 1 && std::strtoull(argv[1], nullptr, 10)) limit(RLIMIT_DATA, std::strtoull(argv[1], nullptr, 10));
  for (WorkerMessage request; receive_message(0, request, nullptr, nullptr);) {
    if (request.code == kWorkerDies) return 66;
    while (request.code == kWorkerHangs) ::pause();
    if (!send_message(0, answer_to(request), nullptr, nullptr)) break;
  }
  return 0;
}
