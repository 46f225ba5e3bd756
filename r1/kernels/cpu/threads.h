// How many threads a kernel's work is worth. It changes no bits, only time.
#pragma once

namespace r1::kernels {

// `operations`: simple ones on one element, such as a multiply-add; all threads from 200,000 on, 5 to 10 us of one thread. To wake another
// takes as long, where threads spin only briefly (app/main.cc), and longer beside other busy processes.
int threads_for(double operations);
// Another number than 200,000. For tests, whose work is small.
void set_least_shared_work(double operations);
inline constexpr double kLeastSharedWork = 200000;

}  // namespace r1::kernels
