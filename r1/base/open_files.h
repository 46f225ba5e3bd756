// The limit on open files of this process. Its soft value is often 1,024, for programs that use select(), which this one does not.
#pragma once

#include <cstdint>

namespace r1 {

// Raises the soft limit to `wanted` as far as the hard one allows; never lowers it. The limit that holds then.
int64_t allow_open_files(int64_t wanted);

}  // namespace r1
