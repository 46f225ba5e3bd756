#include <cooperative_groups.h>

#include <algorithm>

#include "r1/kernels/cuda/launch.cuh"
#include "r1/kernels/cuda/numbers.cuh"
#include "r1/kernels/cuda/sampling.h"

namespace r1::kernels::cuda {

namespace {

namespace cg = cooperative_groups;
using u64 = unsigned long long;

constexpr int kWarps = 16, kThreads = kWarps * kWarp;
constexpr int kBins = kThreads, kBinBits = 9;  // of a histogram: one a thread
constexpr int kMaxBlocks = 8;                  // of a cluster
constexpr int kStep = 4 * kWarp;               // values that a warp takes at once
constexpr int kListed = 2 * kThreads;          // tokens that a block puts in order
constexpr int kMaxRange = int(kMaxSampledVocab / (kMaxBlocks * kWarps));
static_assert(kMaxRange % kStep == 0 && 1 << kBinBits == kBins);

constexpr float kOut = -INFINITY;
constexpr float kUnit = 0x1p44f;        // of a weight; 2^44 times the largest vocabulary is below 2^63
constexpr float kWeightless = -45.5f;   // 2 to this rounds to no unit
constexpr unsigned kPad = 0xffffffffu;  // after a row's end: a NaN whose key is 0, below all others

// Keys order floats: larger float, larger key; 0 and -0 have one.
__device__ __forceinline__ unsigned key_of(float z) {
  const unsigned bits = __float_as_uint(z + 0.0f);
  return bits ^ (unsigned(int(bits) >> 31) | 0x80000000u);
}
__device__ __forceinline__ float value_of(unsigned key) {
  return __uint_as_float(key & 0x80000000u ? key ^ 0x80000000u : ~key);
}
constexpr unsigned kLeastKey = 1;  // of what is no padding

// random_uniform() of base/rng.h.
__device__ double uniform(u64 seed, u64 stream, u64 index) {
  unsigned c[4] = {unsigned(index), unsigned(index >> 32), unsigned(stream), unsigned(stream >> 32)};
  unsigned k[2] = {unsigned(seed), unsigned(seed >> 32)};
  for (int round = 0; round < 10; ++round) {
    const u64 a = u64{0xD2511F53} * c[0], b = u64{0xCD9E8D57} * c[2];
    const unsigned next[4] = {unsigned(b >> 32) ^ c[1] ^ k[0], unsigned(b), unsigned(a >> 32) ^ c[3] ^ k[1], unsigned(a)};
    for (int i = 0; i < 4; ++i) c[i] = next[i];
    k[0] += 0x9E3779B9;
    k[1] += 0xBB67AE85;
  }
  return double((u64(c[0]) | u64(c[1]) << 32) >> 11) * 0x1p-53;
}

__device__ __forceinline__ u64 inclusive_sum(u64 x, int lane) {
#pragma unroll
  for (int offset = 1; offset < kWarp; offset *= 2) {
    const u64 below = __shfl_up_sync(kAllLanes, x, offset);
    if (lane >= offset) x += below;
  }
  return x;
}

// Where a target lies among bins: the one with before <= target < before + size.
struct Found {
  int bin;
  u64 before, size;
};

struct Shared {
  SamplingRow row;
  double uniform;
  u64 arrived[kWarps];
  unsigned limbs[3][kBins];  // zero between passes
  // What a block tells the others. Two, in turn: what was written before a barrier is read until the next one.
  u64 exchange[2][kBins];
  u64 warp_total[kWarps], warp_before[kWarps];
  Found found;
  // Of the first block, for all: the likeliest tokens or those of a bin, as packed() has them. A count for each time it is used.
  u64 list[kListed];
  unsigned listed[4];
};
constexpr int kSharedBytes = int((sizeof(Shared) + 15) / 16 * 16);
static_assert(kSharedBytes + kMaxRange * kWarps * int(sizeof(float)) <= 227 * 1024);

// A token and its value as a number that is larger for the likelier one.
__device__ __forceinline__ u64 packed(float z, int id) {
  return u64(key_of(z)) << 32 | ~unsigned(id);
}
__device__ __forceinline__ float listed_value(u64 token) {
  return value_of(unsigned(token >> 32));
}
__device__ __forceinline__ int listed_id(u64 token) {
  return int(~unsigned(token));
}

// A thread's own bin of all, and its place: sums over the bins below it.
struct Bins {
  u64 mine = 0, before = 0, total = 0;
};

struct Extremes {
  float max = 0;
  int id = 0;     // of the first maximum; 0 if nothing is above -infinity
  float low = 0;  // least of those above -infinity
  __device__ bool finite() const { return fabsf(max) < INFINITY; }
};

// Within 2^-22 of it; exact at 0.
__device__ __forceinline__ float exp2_near(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

struct Weight {
  float max, inverse_temperature, slope;
  __device__ Weight(float most, float inverse) : max(most), inverse_temperature(inverse), slope(inverse * 1.44269504f) {}
  // Also of padding.
  __device__ __forceinline__ bool none(float z) const { return !((z - max) * slope > kWeightless); }
  __device__ __forceinline__ u64 operator()(float z) const {
    const float x = (z - max) * slope;
    return x > kWeightless ? __float2ull_rn(exp2_near(x) * kUnit) : 0;
  }
};

// Bins of equal width from the maximum down, the last one for all that is left.
struct Scale {
  float max, per_unit;
  __device__ Scale(float from, float range) : max(from), per_unit(range > 0 ? float(kBins) / range : 0.0f) {}
  __device__ __forceinline__ int bin(float z) const {
    const float x = (max - z) * per_unit;
    return x < float(kBins - 1) ? int(x) : kBins - 1;
  }
};

// The values in rank order up to one: the key of its value, and count or mass of what is above and of all that is equal.
struct Cut {
  unsigned key;
  u64 before, size;
};

enum class Sum { kCount, kMass };

// A cluster's row, as one of its threads sees it. Every warp owns `range` values, and warps have them in order of ids over the whole
// cluster. Functions are called by all threads of the cluster, in step.
struct Row {
  cg::cluster_group cluster;
  Shared& s;
  float* z;          // this warp's, in shared memory
  int first, range;  // id of z[0]
  int blocks, block, warp, lane, thread;
  int phase = 0, lists = 0;

  template <class T>
  __device__ T* of_block(T* mine, int other) {
    return cluster.map_shared_rank(mine, other);
  }

  // f(four values, index of the first), in order of ids over the warp's lanes; all lanes run alike.
  template <class F>
  __device__ __forceinline__ void each(F f) const {
    for (int i = 4 * lane; i < range; i += kStep) {
      float v[4];
      load<float, 4>(z + i, v);
      f(v, i);
    }
  }

  __device__ Bins scan(u64 mine) {
    const u64 upto = inclusive_sum(mine, lane);
    if (lane == kWarp - 1) s.warp_total[warp] = upto;
    __syncthreads();
    Bins bins{mine, upto - mine, 0};
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const u64 total = s.warp_total[w];
      if (w < warp) bins.before += total;
      bins.total += total;
    }
    __syncthreads();
    return bins;
  }

  __device__ Found locate(const Bins& bins, u64 target) {
    if (bins.before <= target && target - bins.before < bins.mine) s.found = {thread, bins.before, bins.mine};
    __syncthreads();
    const Found found = s.found;
    __syncthreads();
    return found;
  }

  // Bin w: the weights of the cluster's warp w.
  template <class W>
  __device__ Bins sums_in_order(W weight) {
    u64 sum = 0;
    each([&](const float(&v)[4], int) {
#pragma unroll
      for (int j = 0; j < 4; ++j) sum += weight(v[j]);
    });
    sum = inclusive_sum(sum, lane);
    if (lane == kWarp - 1) s.exchange[phase][warp] = sum;
    cluster.sync();
    const u64 mine = thread < blocks * kWarps ? of_block(s.exchange[phase], thread / kWarps)[thread % kWarps] : 0;
    phase ^= 1;
    return scan(mine);
  }

  // Where the sum of weights in order of ids passes the target: one lane calls found(id).
  template <class W, class F>
  __device__ void find_in_order(const Bins& bins, u64 target, W weight, F found) {
    const Found at = locate(bins, target);
    if (at.bin != block * kWarps + warp) return;
    u64 before = at.before;
    for (int i = 4 * lane; i < range; i += kStep) {
      float v[4];
      load<float, 4>(z + i, v);
      u64 w[4], own = 0;
#pragma unroll
      for (int j = 0; j < 4; ++j) own += w[j] = weight(v[j]);
      const u64 upto = before + inclusive_sum(own, lane);
      if (upto - own <= target && target < upto) {
        u64 sum = upto - own;
        int j = 0;
        while (j < 3 && sum + w[j] <= target) sum += w[j++];
        found(first + i + j);
      }
      before = __shfl_sync(kAllLanes, upto, kWarp - 1);
      if (target < before) return;
    }
  }

  // Of a thread's values, whatever their order.
  __device__ Extremes extremes(float max, int id, float low, bool broken) {
    const unsigned key = broken ? 0xffffffffu : key_of(max);
    const unsigned most = __reduce_max_sync(kAllLanes, key);
    const unsigned least_id = __reduce_min_sync(kAllLanes, key == most ? unsigned(id) : 0xffffffffu);
    const unsigned least = __reduce_min_sync(kAllLanes, key_of(low));
    if (lane == 0) {
      s.exchange[phase][warp] = u64(most) << 32 | ~least_id;
      s.exchange[phase][kWarps + warp] = least;
    }
    cluster.sync();
    u64 best = 0, lowest = 0xffffffffu;
    for (int i = lane; i < blocks * kWarps; i += kWarp) {
      const u64* other = of_block(s.exchange[phase], i / kWarps) + i % kWarps;
      best = max_of(best, other[0]);
      lowest = min_of(lowest, other[kWarps]);
    }
    phase ^= 1;
#pragma unroll
    for (int offset = kWarp / 2; offset > 0; offset /= 2) {
      best = max_of(best, __shfl_xor_sync(kAllLanes, best, offset));
      lowest = min_of(lowest, __shfl_xor_sync(kAllLanes, lowest, offset));
    }
    Extremes e;
    e.max = value_of(unsigned(best >> 32));
    e.id = e.max > kOut ? int(~unsigned(best)) : 0;
    e.low = value_of(unsigned(lowest));
    return e;
  }
  __device__ static u64 max_of(u64 a, u64 b) {
    return a > b ? a : b;
  }
  __device__ static u64 min_of(u64 a, u64 b) {
    return a < b ? a : b;
  }

  template <Sum kSum>
  __device__ __forceinline__ void add(int bin, u64 amount) {
    if constexpr (kSum == Sum::kCount) {
      atomicAdd(&s.limbs[0][bin], unsigned(amount));
    } else {
      const unsigned low = unsigned(amount) & 0xffffu, middle = unsigned(amount >> 16) & 0xffffu, high = unsigned(amount >> 32);
      if (low) atomicAdd(&s.limbs[0][bin], low);
      if (middle) atomicAdd(&s.limbs[1][bin], middle);
      if (high) atomicAdd(&s.limbs[2][bin], high);
    }
  }

  // Count or mass of the values of each bin; bin_of(z, key) < 0: of none. A block's values are below 2^16 in number and weigh up to 2^44
  // each: limbs of 16, 16 and 12 bits have room for their sums.
  template <Sum kSum, class B>
  __device__ Bins histogram(const Weight& weight, B bin_of) {
    each([&](const float(&v)[4], int) {
      int bin[4];
      u64 amount[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        bin[j] = bin_of(v[j], key_of(v[j]));
        amount[j] = bin[j] < 0 ? 0 : kSum == Sum::kCount ? 1 : weight(v[j]);
      }
      // All in one bin, as in a flat row: each for itself would wait for the others.
      const int one = __shfl_sync(kAllLanes, bin[0], 0);
      if (__all_sync(kAllLanes, one >= 0 && bin[0] == one && bin[1] == one && bin[2] == one && bin[3] == one)) {
        const u64 sum = inclusive_sum(amount[0] + amount[1] + amount[2] + amount[3], lane);
        if (lane == kWarp - 1) add<kSum>(one, sum);
      } else {
#pragma unroll
        for (int j = 0; j < 4; ++j)
          if (amount[j] > 0) add<kSum>(bin[j], amount[j]);
      }
    });
    __syncthreads();
    u64 own = s.limbs[0][thread];
    s.limbs[0][thread] = 0;
    if constexpr (kSum == Sum::kMass) {
      own += (u64(s.limbs[1][thread]) << 16) + (u64(s.limbs[2][thread]) << 32);
      s.limbs[1][thread] = s.limbs[2][thread] = 0;
    }
    s.exchange[phase][thread] = own;
    cluster.sync();
    u64 mine = 0;
    for (int b = 0; b < blocks; ++b) mine += of_block(s.exchange[phase], b)[thread];
    phase ^= 1;
    return scan(mine);
  }

  // The tokens whose value is in, on the first block's list, which has room for kListed; all are told how many there are.
  template <class P>
  __device__ int gather(P in) {
    u64* list = of_block(s.list, 0);
    unsigned* count = of_block(&s.listed[lists++], 0);
    each([&](const float(&v)[4], int i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const bool take = in(v[j]);
        const unsigned lanes = __ballot_sync(kAllLanes, take);
        if (lanes == 0) continue;
        const int leader = __ffs(lanes) - 1;
        unsigned at = 0;
        if (lane == leader) at = atomicAdd(count, unsigned(__popc(lanes)));
        at = __shfl_sync(kAllLanes, at, leader) + unsigned(__popc(lanes & ((1u << lane) - 1)));
        if (take && at < unsigned(kListed)) list[at] = packed(v[j], first + i + j);
      }
    });
    cluster.sync();
    return int(*count);
  }

  // The first block's: its list from the likeliest down.
  __device__ void sort(int count) {
    int size = 2;
    while (size < count) size *= 2;
    for (int i = thread; i < size; i += kThreads)
      if (i >= count) s.list[i] = 0;
    __syncthreads();
    for (int run = 2; run <= size; run *= 2)
      for (int step = run / 2; step > 0; step /= 2) {
        if (thread < size / 2) {
          const int a = 2 * thread - (thread & (step - 1)), b = a + step;
          const u64 x = s.list[a], y = s.list[b];
          if ((x < y) == ((a & run) == 0)) s.list[a] = y, s.list[b] = x;
        }
        __syncthreads();
      }
  }
  // Sums over the sorted list, two tokens a thread; weight(token) of those that there are.
  template <class W>
  __device__ Bins sums_of_list(int count, W weight) {
    u64 sum = 0;
    for (int i = 2 * thread; i < min(count, 2 * thread + 2); ++i) sum += weight(s.list[i]);
    return scan(sum);
  }
  struct Listed {
    u64 token, before, size;
  };
  template <class W>
  __device__ Listed find_in_list(const Bins& bins, u64 target, W weight) {
    const Found at = locate(bins, target);
    const u64 one = weight(s.list[2 * at.bin]);
    if (target - at.before < one) return {s.list[2 * at.bin], at.before, one};
    return {s.list[2 * at.bin + 1], at.before + one, at.size - one};
  }

  // Which token of a bin it is at which the sum from the largest down passes the target, for all blocks; false if the bin has too many.
  __device__ bool find_in_bin(const Scale& scale, const Weight& weight, unsigned least, const Found& at, u64 target, Listed& result) {
    const float middle = scale.max - (float(at.bin) + 0.5f) / scale.per_unit;
    if (at.size / max_of(weight(middle), 1) > 2 * kListed) return false;  // far more than there is room for
    const int count = gather([&](float v) { return scale.bin(v) == at.bin && !weight.none(v) && key_of(v) >= least; });
    if (count > kListed) return false;
    const auto one = [&](u64 token) { return weight(listed_value(token)); };
    if (block == 0) {
      sort(count);
      result = find_in_list(sums_of_list(count, one), target - at.before, one);
      if (thread == 0) {
        s.exchange[phase][0] = result.token;
        s.exchange[phase][1] = result.before + at.before;
        s.exchange[phase][2] = result.size;
      }
    }
    cluster.sync();
    const u64* first_block = of_block(s.exchange[phase], 0);
    result = {first_block[0], first_block[1], first_block[2]};
    phase ^= 1;
    return true;
  }

  // Of all values with at least this key.
  template <Sum kSum>
  __device__ Bins histogram(const Scale& scale, const Weight& weight, unsigned least) {
    return histogram<kSum>(weight, [&](float v, unsigned key) { return key >= least ? scale.bin(v) : -1; });
  }

  // The value at which the sum from the largest down passes the target; bins: those values' histogram.
  template <Sum kSum>
  __device__ Cut cut(const Scale& scale, const Weight& weight, unsigned least, const Bins& bins, u64 target) {
    const Found at = locate(bins, target);
    // Keys that the bin's values lie between. What rounds across a bin's border is inside, so whose bin it is is asked again.
    unsigned high = key_of(scale.max), low = least;
    if (scale.per_unit > 0) {
      const double width = 1 / double(scale.per_unit), max = double(scale.max);
      high = min(high, key_of(__double2float_ru(max - at.bin * width * (1 - 1e-6)) + 0.0f));
      if (at.bin < kBins - 1) low = ::max(low, key_of(__double2float_rd(max - (at.bin + 1) * width * (1 + 1e-6)) + 0.0f));
    } else if (at.bin == 0) {
      low = high;  // nothing but the maximum
    }
    Cut result{high, at.before, at.size};
    while (low < high) {
      const int bits = kWarp - __clz(int(high - low)), shift = bits > kBinBits ? bits - kBinBits : 0;
      const Bins finer = histogram<kSum>(weight, [&](float v, unsigned key) {
        return key >= low && key <= high && scale.bin(v) == at.bin ? int((high - key) >> shift) : -1;
      });
      const Found in = locate(finer, target - result.before);
      result.before += in.before;
      result.size = in.size;
      const unsigned top = high - (unsigned(in.bin) << shift), span = (1u << shift) - 1;
      low = top - low > span ? top - span : low;
      high = top;
    }
    result.key = high;
    return result;
  }
};

// Bytes on their way into a warp's memory: one lane starts the copy, all wait. A multiple of 16, as both addresses.
__device__ void start_copy(u64* arrived, float* to, const float* from, unsigned bytes) {
  const unsigned barrier = unsigned(__cvta_generic_to_shared(arrived)), place = unsigned(__cvta_generic_to_shared(to));
  asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(barrier) : "memory");
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(place), "l"(from),
               "r"(bytes), "r"(barrier)
               : "memory");
}
__device__ void await_copy(u64* arrived) {
  const unsigned barrier = unsigned(__cvta_generic_to_shared(arrived));
  unsigned done = 0;
  while (!done)
    asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], 0; selp.u32 %0, 1, 0, p; }"
                 : "=r"(done)
                 : "r"(barrier)
                 : "memory");
}

// How many of a warp's values are there.
__device__ int values_of(const Row& r, int vocab) {
  return max(0, min(vocab - r.first, r.range));
}

// Rows that begin at a multiple of 16 bytes: the copy is started, and other things may be done before it is waited for.
__device__ void start_row(Row& r, const float* logits, int vocab) {
  const int end = values_of(r, vocab), copied = end & ~3;
  if (copied > 0 && r.lane == 0) start_copy(&r.s.arrived[r.warp], r.z, logits + r.first, unsigned(copied) * sizeof(float));
  for (int at = copied + r.lane; at < r.range; at += kWarp) r.z[at] = at < end ? __ldg(logits + r.first + at) : __uint_as_float(kPad);
  __syncwarp();
}
__device__ Extremes finish_row(Row& r, int vocab) {
  const int end = values_of(r, vocab);
  if (end > 3) await_copy(&r.s.arrived[r.warp]);
  float most = kOut, low = INFINITY;
  int id = vocab;
  bool broken = false;
  r.each([&](const float(&v)[4], int i) {
    const bool whole = i + 4 <= end;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (!whole && i + j >= end) continue;
      broken |= !(v[j] < INFINITY);
      if (v[j] > most) most = v[j], id = r.first + i + j;
      if (v[j] > kOut) low = fminf(low, v[j]);
    }
  });
  return r.extremes(most, id, low, broken);
}

// Reads any row.
__device__ Extremes read_row(Row& r, const float* logits, int vocab) {
  constexpr int kAtOnce = 4;  // steps whose loads are all on their way
  float max = kOut, low = INFINITY;
  int id = vocab;
  bool broken = false;
  const int end = values_of(r, vocab);
  const float* from = logits + r.first;
  for (int base = 0; base < r.range; base += kAtOnce * kStep) {
    const auto index = [&](int n, int j) { return base + n * kStep + j * kWarp + r.lane; };
    float v[kAtOnce][4];
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) {
#pragma unroll
      for (int j = 0; j < 4; ++j) v[n][j] = index(n, j) < end ? __ldg(from + index(n, j)) : __uint_as_float(kPad);
    }
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) {
      if (base + n * kStep >= r.range) break;
      const bool whole = base + (n + 1) * kStep <= end;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        r.z[index(n, j)] = v[n][j];
        if (!whole && index(n, j) >= end) continue;
        const float x = v[n][j];
        broken |= !(x < INFINITY);
        if (x > max) max = x, id = r.first + index(n, j);
        if (x > kOut) low = fminf(low, x);
      }
    }
  }
  __syncwarp();
  return r.extremes(max, id, low, broken);
}

__device__ Extremes extremes_of(Row& r) {
  float max = kOut, low = INFINITY;
  int id = 0x7fffffff;
  r.each([&](const float(&v)[4], int i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (v[j] > max) max = v[j], id = r.first + i + j;
      if (v[j] > kOut) low = fminf(low, v[j]);
    }
  });
  return r.extremes(max, id, low, false);
}

// Penalties, then bans, in place. Rounded as the host does: a product is not contracted with a sum.
__device__ void adjust(Row& r, float* values, int vocab) {
  const SamplingRow& p = r.s.row;
  const int first = r.block * kWarps * r.range, mine = min(vocab - first, kWarps * r.range);
  for (int i = r.thread; i < p.counted; i += kThreads) {
    TokenCount count = p.counts[i];
    for (int c = 0; c < p.changes; ++c)
      if (p.change[c].place == i) count = p.change[c].count;
    const int at = count.id - first;
    if (count.id < 0 || at < 0 || at >= mine) continue;
    float x = values[at];
    if (p.repetition_penalty != 1) x = x < 0 ? __fmul_rn(x, p.repetition_penalty) : __fdiv_rn(x, p.repetition_penalty);
    if (count.made > 0) x = __fsub_rn(x, float(__dadd_rn(__dmul_rn(p.frequency_penalty, double(count.made)), p.presence_penalty)));
    values[at] = x + 0.0f;
  }
  __syncthreads();
  for (int i = r.thread; i < p.bans; i += kThreads) {
    const int id = p.banned[i], at = id - first;
    if (id >= 0 && at >= 0 && at < mine) values[at] = kOut;
  }
  __syncthreads();
}

__device__ float logprob_of(float z, const Weight& weight, u64 total) {
  return float(double(__fmul_rn(z - weight.max, weight.inverse_temperature)) - log(double(total) / double(kUnit)));
}

// The likeliest tokens, of equal ones those with the smallest ids.
__device__ void top_tokens(Row& r, const Extremes& e, const Weight& weight, u64 total, int vocab, TopToken* out) {
  const int wanted = min(r.s.row.top, vocab);
  const float range = e.max - e.low;
  const Scale scale(e.max, fminf(range, fmaxf(32.0f, range / 64)));
  const Bins bins = r.histogram<Sum::kCount>(scale, weight, kLeastKey);
  const auto put = [&](int place, u64 token) { out[place] = {listed_id(token), logprob_of(listed_value(token), weight, total)}; };
  const Found last = r.locate(bins, u64(wanted - 1));
  if (last.before + last.size <= kListed) {
    const int count = r.gather([&](float v) { return v == v && scale.bin(v) <= last.bin; });
    if (r.block > 0) return;
    r.sort(count);
    if (r.thread < wanted) put(r.thread, r.s.list[r.thread]);
    return;
  }
  const Cut cut = r.cut<Sum::kCount>(scale, weight, kLeastKey, bins, u64(wanted - 1));
  const float value = value_of(cut.key);
  const int above = int(cut.before), ties = wanted - above;
  const Bins equal = r.sums_in_order([&](float z) { return z == value ? u64{1} : u64{0}; });
  if (r.thread / kWarps == r.block) r.s.warp_before[r.thread % kWarps] = equal.before;
  __syncthreads();
  unsigned seen = unsigned(r.s.warp_before[r.warp]);
  u64* list = r.of_block(r.s.list, 0);
  unsigned* count = r.of_block(&r.s.listed[r.lists++], 0);
  r.each([&](const float(&v)[4], int i) {
    unsigned own = 0;
    bool any = false;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      any |= v[j] >= value;
      own += v[j] == value;
    }
    if (!__any_sync(kAllLanes, any)) return;
    unsigned rank = seen + unsigned(inclusive_sum(own, r.lane)) - own;
    seen = __shfl_sync(kAllLanes, rank + own, kWarp - 1);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const u64 token = packed(v[j], r.first + i + j);
      if (v[j] > value) list[atomicAdd(count, 1u)] = token;
      if (v[j] == value && rank++ < unsigned(ties)) list[above + int(rank) - 1] = token;
    }
  });
  r.cluster.sync();
  if (r.block > 0) return;
  r.sort(wanted);
  if (r.thread < wanted) put(r.thread, r.s.list[r.thread]);
}

__device__ u64 target_of(double u, u64 total) {
  const u64 target = u64(u * double(total));
  return target < total ? target : total - 1;
}

// What less than this sum before it is kept by top-p.
__device__ u64 last_kept(double top_p, u64 total) {
  const u64 reach = u64(ceil(top_p * double(total)));
  return reach > 0 ? Row::min_of(reach, total) - 1 : 0;
}

// The first block's draw from its list, which holds all that is kept. top_k > 0: `total` is of what that leaves, else it is given.
template <class F>
__device__ void draw_from_list(Row& r, int count, const Weight& weight, u64 total, F found) {
  const SamplingRow& p = r.s.row;
  r.sort(count);
  const u64 least = p.top_k > 0 ? r.s.list[p.top_k - 1] >> 32 : 0;  // what is equal to the k-th stays
  const auto one = [&](u64 token) { return token >> 32 >= least ? weight(listed_value(token)) : u64{0}; };
  const Bins sums = r.sums_of_list(count, one);
  u64 kept = sums.total;
  if (p.top_p < 1) {
    const Row::Listed last = r.find_in_list(sums, Row::min_of(last_kept(p.top_p, p.top_k > 0 ? kept : total), kept - 1), one);
    kept = last.before + last.size;
  }
  if (p.min_p > 0) {
    const Bins likely = r.sums_of_list(count, [&](u64 token) {
      return double(expf((listed_value(token) - weight.max) * weight.inverse_temperature)) >= p.min_p ? one(token) : u64{0};
    });
    kept = Row::min_of(kept, likely.total);
  }
  const Row::Listed drawn = r.find_in_list(sums, target_of(r.s.uniform, kept), one);
  if (r.thread == 0) found(listed_id(drawn.token));
}

// A draw from what top-k, top-p and min-p keep, from the likeliest down. If that is few, they are put in order; else what is kept is where a
// rank begins, so it is known by its mass.
template <class F>
__device__ void draw_truncated(Row& r, const Extremes& e, F found) {
  const SamplingRow& p = r.s.row;
  const Weight weight{e.max, p.inverse_temperature};
  const float range = e.max - e.low;
  unsigned least = kLeastKey;
  if (p.top_k > 0) {
    const Scale scale(e.max, fminf(range, fmaxf(32.0f, range / 64)));
    const Bins bins = r.histogram<Sum::kCount>(scale, weight, least);
    const Found last = r.locate(bins, u64(p.top_k - 1));
    if (last.before + last.size <= kListed) {
      const int count = r.gather([&](float v) { return v == v && scale.bin(v) <= last.bin; });
      if (r.block == 0) draw_from_list(r, count, weight, 0, found);
      return;
    }
    least = r.cut<Sum::kCount>(scale, weight, least, bins, u64(p.top_k - 1)).key;
  }
  const Scale scale(e.max, fminf(range, -kWeightless / weight.slope));
  const Bins bins = r.histogram<Sum::kMass>(scale, weight, least);
  const u64 last = last_kept(p.top_p, bins.total);
  if (p.top_k == 0) {
    int deepest = kBins - 1;  // the bin with the last that is kept
    if (p.top_p < 1) deepest = r.locate(bins, last).bin;
    if (p.min_p > 0) deepest = min(deepest, scale.bin(e.max + float(log(p.min_p)) / p.inverse_temperature) + 1);
    // As many as there may be, by the mass of each bin.
    const float middle = e.max - (float(r.thread) + 0.5f) / scale.per_unit;
    u64 about = 0;
    if (r.thread <= deepest && bins.mine > 0) about = Row::min_of(bins.mine / Row::max_of(weight(middle), 1) + 1, 2 * kListed);
    if (r.scan(about).total <= kListed) {
      const int count = r.gather([&](float v) { return scale.bin(v) <= deepest && !weight.none(v); });
      if (count <= kListed) {
        if (r.block == 0) draw_from_list(r, count, weight, bins.total, found);
        return;
      }
    }
  }
  u64 kept = bins.total;
  if (p.top_p < 1) {
    Row::Listed token;
    if (r.find_in_bin(scale, weight, least, r.locate(bins, last), last, token)) {
      kept = token.before + token.size;
    } else {
      const Cut cut = r.cut<Sum::kMass>(scale, weight, least, bins, last);
      const u64 one = weight(value_of(cut.key));
      kept = cut.before + ((last - cut.before) / one + 1) * one;
    }
  }
  if (p.min_p > 0) {
    const Bins likely = r.sums_in_order([&](float z) {
      const float x = (z - e.max) * p.inverse_temperature;
      return key_of(z) >= least && double(expf(x)) >= p.min_p ? weight(z) : u64{0};
    });
    kept = Row::min_of(kept, likely.total);
  }
  const u64 target = target_of(r.s.uniform, kept);
  Row::Listed token;
  if (r.find_in_bin(scale, weight, least, r.locate(bins, target), target, token)) {
    if (r.block == 0 && r.thread == 0) found(listed_id(token.token));
    return;
  }
  const Cut cut = r.cut<Sum::kMass>(scale, weight, least, bins, target);
  const float value = value_of(cut.key);
  const u64 tie = (target - cut.before) / weight(value);
  const auto is_tie = [&](float z) { return z == value ? u64{1} : u64{0}; };
  r.find_in_order(r.sums_in_order(is_tie), tie, is_tie, found);
}

__device__ void put(const Sampling& a, int64_t row, const SampledRow& result) {
  a.results[row] = result;
  if (a.tokens) a.tokens[row] = result.token;
}

__device__ void sample_row(Row& r, const Sampling& a, int64_t row, const float* logits, float* values, const Extremes& e) {
  const SamplingRow& p = r.s.row;
  const int vocab = int(a.vocab);
  const Weight model{e.max, p.inverse_temperature};
  Bins sums;
  const bool scores = p.logprob || p.top > 0;
  if (scores) sums = r.sums_in_order(model);
  const u64 total = sums.total;
  if (p.top > 0) top_tokens(r, e, model, total, vocab, a.top + row * kMaxTopTokens);
  const auto found = [&](int id) { put(a, row, {id, p.logprob ? logprob_of(logits[id], model, total) : NAN, 0}); };
  const bool leads = r.block == 0 && r.thread == 0;
  if (p.forced >= 0) {
    if (leads) found(p.forced);
    return;
  }
  const bool adjusted = p.counted > 0 || p.bans > 0;
  if (adjusted) adjust(r, values, vocab);
  const Extremes own = adjusted ? extremes_of(r) : e;
  if (p.greedy || !own.finite()) {
    if (leads) found(own.id);
  } else if (p.top_k > 0 || p.top_p < 1 || p.min_p > 0) {
    draw_truncated(r, own, found);
  } else {
    const Weight weight{own.max, p.inverse_temperature};
    if (adjusted || !scores) sums = r.sums_in_order(weight);
    r.find_in_order(sums, target_of(r.s.uniform, sums.total), weight, found);
  }
}

struct RowsByValue {
  SamplingRow row[kRowsByValue];
};

__global__ void __launch_bounds__(kThreads, 2) sample_rows(Sampling a, int range, const __grid_constant__ RowsByValue rows) {
  extern __shared__ __align__(16) unsigned char memory[];
  Shared& s = *reinterpret_cast<Shared*>(memory);
  float* values = reinterpret_cast<float*>(memory + kSharedBytes);
  const cg::cluster_group cluster = cg::this_cluster();
  const int blocks = int(cluster.num_blocks()), block = int(cluster.block_rank());
  const int thread = int(threadIdx.x), warp = thread / kWarp;
  const int64_t row = blockIdx.x / unsigned(blocks);
  Row r{cluster, s, values + warp * range, (block * kWarps + warp) * range, range, blocks, block, warp, thread % kWarp, thread};

  const SamplingRow* given = a.rows ? a.rows + row : &rows.row[row];
  const float* logits = a.logits + given->logits_row * a.row_stride;
  const bool aligned = reinterpret_cast<uintptr_t>(logits) % 16 == 0;
  if (aligned) start_row(r, logits, int(a.vocab));
  constexpr int kWords = sizeof(SamplingRow) / sizeof(u64);
  static_assert(sizeof(SamplingRow) % sizeof(u64) == 0 && kWords <= kThreads);
  if (thread < kWords) reinterpret_cast<u64*>(&s.row)[thread] = reinterpret_cast<const u64*>(given)[thread];
  if (thread == kThreads - 1) {
    s.uniform = uniform(given->seed, given->stream, given->index);
    for (unsigned& listed : s.listed) listed = 0;
  }
  for (int l = 0; l < 3; ++l) s.limbs[l][thread] = 0;
  // There is a barrier in this: all of the above is there.
  const Extremes e = aligned ? finish_row(r, int(a.vocab)) : read_row(r, logits, int(a.vocab));
  if (e.finite()) {
    sample_row(r, a, row, logits, values, e);
  } else if (block == 0 && thread == 0) {
    put(a, row, {0, NAN, 1});
  }
  cluster.sync();  // others may read this block's memory until here, and the counts
  if (block == 0 && thread < s.row.changes) s.row.counts[s.row.change[thread].place] = s.row.change[thread].count;
}

}  // namespace

void sample(const Sampling& a, Stream stream) {
  if (a.count == 0) return;
  check(a.vocab > 0 && a.vocab <= kMaxSampledVocab, "[sampling] expected a vocabulary of 1 to ", kMaxSampledVocab, " tokens, got ",
        a.vocab);
  check(a.rows || a.count <= kRowsByValue, "[sampling] expected up to ", kRowsByValue, " rows from the host, got ", a.count);
  RowsByValue rows;
  if (!a.rows) std::copy_n(a.rows_here, a.count, rows.row);
  const OnDevice on(stream.device);
  // More blocks are faster for few rows; what a block has less than this is not worth one.
  int blocks = 1;
  while (blocks < kMaxBlocks && a.vocab > int64_t(blocks) * kWarps * kStep) blocks *= 2;
  const int64_t warps = int64_t(blocks) * kWarps, range = ((a.vocab + warps - 1) / warps + kStep - 1) / kStep * kStep;
  const int bytes = kSharedBytes + int(range) * kWarps * int(sizeof(float));
  check_cuda(cudaFuncSetAttribute(sample_rows, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  kSharedBytes + kMaxRange * kWarps * int(sizeof(float))),
             "shared memory of sampling");
  cudaLaunchAttribute cluster;
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {unsigned(blocks), 1, 1};
  cudaLaunchConfig_t launch{};
  launch.gridDim = dim3(unsigned(a.count) * unsigned(blocks));
  launch.blockDim = dim3(kThreads);
  launch.dynamicSmemBytes = size_t(bytes);
  launch.stream = handle_of(stream);
  launch.attrs = &cluster;
  launch.numAttrs = 1;
  check_cuda(cudaLaunchKernelEx(&launch, sample_rows, a, int(range), rows), "sampling");
}

}  // namespace r1::kernels::cuda
