// How fast is the tokenizer? One JSON object a line: encode and decode throughput in MB/s of one thread's CPU time for text files given (or
// made-up text), load time. `ratio` is against HF tokenizers' 4.0 MB/s a thread unless --hf says what it was measured to be.
//   bench_tokenizer_notorch TOKENIZER [--hf=MB/s] [FILE...]
#include <ctime>

#include "bench/bench.h"
#include "r1/base/file.h"
#include "r1/text/tokenizer.h"

namespace {

// CPU time of this thread: the machine may be shared.
double now() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

template <class F>
double best_seconds(int rounds, F f) {
  double best = 1e30;
  for (int i = 0; i < rounds; ++i) {
    const double start = now();
    f();
    best = std::min(best, now() - start);
  }
  return best;
}

std::string made_up_text() {
  std::string text;
  uint64_t x = 1;
  const char* const words[] = {" the",  " model", " learns", " to",  " reason", ", step", " by",
                               " step", ".\n",    " 12345",  " x^2", " naïve",  " 推理",  "\n\n"};
  while (text.size() < 8 << 20) text += words[(x = x * 6364136223846793005ull + 1442695040888963407ull) >> 60 & 15 ? (x >> 33) % 14 : 8];
  return text;
}

void measure(const r1::text::Tokenizer& tokenizer, const std::string& name, const std::string& text, double hf) {
  std::vector<r1::text::TokenId> ids;
  const double cold = best_seconds(1, [&] { ids = tokenizer.encode(text); });
  const double warm = best_seconds(5, [&] { ids = tokenizer.encode(text); });
  std::string back;
  const double decode = best_seconds(5, [&] { back = tokenizer.decode_bytes(ids); });
  const double mb = double(text.size()) / 1e6;
  r1::bench::print({{"bench", "tokenizer"},
                    {"text", name},
                    {"mb", mb},
                    {"tokens", ids.size()},
                    {"encode_mb_s", mb / warm},
                    {"encode_first_mb_s", mb / cold},
                    {"decode_mb_s", mb / decode},
                    {"ratio_to_hf", mb / warm / hf},
                    {"round_trip", back == text}});
}

void run(const r1::bench::Arguments& a) {
  if (a.words().empty()) r1::fail_usage("usage: bench_tokenizer_notorch TOKENIZER [--hf=MB/s] [FILE...]");
  const std::string& path = a.words()[0];
  const double load = best_seconds(3, [&] { r1::text::Tokenizer::load(path); });
  const auto tokenizer = r1::text::Tokenizer::load(path);
  r1::bench::print({{"bench", "tokenizer_load"}, {"file", path}, {"seconds", load}, {"vocab_size", tokenizer.vocab_size()}});
  for (size_t i = 1; i < a.words().size(); ++i) measure(tokenizer, a.words()[i], r1::read_file(a.words()[i]), a.real("hf"));
  if (a.words().size() == 1) measure(tokenizer, "made up", made_up_text(), a.real("hf"));
}

}  // namespace

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] { run({argc, argv, {{"hf", "4.0"}}, 1000}); });
}
