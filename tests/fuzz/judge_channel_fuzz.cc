// libFuzzer target: any bytes from the untrusted side of the judge. No crash, no hang, and no false pass:
//   - as a value: what decodes encodes to itself again, and is not the expected one unless it holds the secret that no input can hold;
//   - as frames of a solution in an assert run, in any order with a tester's own: no test ever passes without the tester's word and nonce;
//   - as frames of a tester that does not know the nonce: neither;
//   - as a program's output; as a completion to take a program from; as JSON.
// Run it with -use_cmp=0: else libFuzzer reads the secret off the comparisons it watches, and hands it in.
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>

#include "r1/base/error.h"
#include "r1/verify/judge/channel.h"
#include "r1/verify/judge/compare.h"
#include "r1/verify/judge/extract.h"
#include "r1/verify/judge/relay.h"
#include "r1/verify/judge/value.h"

using namespace r1::verify::judge;

namespace {

void require(bool ok) {
  if (!ok) std::abort();
}

// Drawn anew in each process, so that no input can have learned it.
const std::string& secret() {
  static const std::string s = [] {
    std::random_device random;
    std::string out;
    for (int i = 0; i < 4; ++i) out += std::to_string(random()) + "/";
    return out;
  }();
  return s;
}

Value word(std::string_view s) {
  return Value::of(s);
}
std::string say(std::vector<Value> items) {
  return encode_value(Value::list(std::move(items)));
}

void as_value(std::string_view bytes) {
  const auto value = decode_value(bytes);
  if (value) {
    const std::string again = encode_value(*value);
    const auto twice = decode_value(again);
    require(twice && encode_value(*twice) == again);
    require(!equal_values(word(secret()), *value));
    require(!equal_values(Value::list({word(secret())}), *value));
    show_value(*value, 100);
  }
  try {
    const Value json = parse_json_value(bytes, "fuzz");
    require(decode_value(encode_value(json)).has_value());
    require(!equal_values(word(secret()), json));
  } catch (const r1::Error&) {
  }
}

// The first byte of each frame says who sends it: a solution, a stranger in the tester's place, or the tester itself.
void as_frames(std::string_view bytes) {
  FrameReader reader(1 << 16);
  AssertRelay relay(secret());
  relay.from_tester(say({word("plan"), word(secret()), Value::list({word("a"), word("b"), word("c")})}));
  relay.from_tester(say({word("begin"), word(secret()), Value::of(int64_t{0})}));
  for (size_t at = 0; at < bytes.size();) {
    const size_t n = std::min<size_t>(bytes.size() - at, 1 + size_t(uint8_t(bytes[at])) % 64);
    reader.append(bytes.substr(at, n));
    at += n;
    while (auto frame = reader.next()) {
      const char who = frame->empty() ? 0 : (*frame)[0];
      if (who == 'q')
        relay.from_tester(say({word("rpc"), Value::of_bytes(frame->substr(1))}));
      else if (who == 't')
        relay.from_tester(std::string_view(*frame).substr(1));
      else
        relay.from_solution(*frame);
    }
  }
  for (const auto& result : relay.results()) require(!result);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  as_value(bytes);
  as_frames(bytes);
  for (const OutputRule rule : {OutputRule::kLines, OutputRule::kTokens, OutputRule::kExact}) {
    require(!output_difference(secret(), bytes, {rule, 1e-6}).empty());
    require(output_difference(bytes, bytes, {rule, 0}).empty());
  }
  extract_code(bytes, "python", "f");
  cut_continuation(bytes);
  return 0;
}
