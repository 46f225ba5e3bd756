#include "r1/base/open_files.h"

#include <sys/resource.h>

#include <algorithm>

namespace r1 {

int64_t allow_open_files(int64_t wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  if (const rlimit before = limit; limit.rlim_cur < rlim_t(wanted)) {
    limit.rlim_cur = std::min(rlim_t(wanted), limit.rlim_max);
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit = before;
  }
  return int64_t(std::min<rlim_t>(limit.rlim_cur, INT64_MAX));
}

}  // namespace r1
