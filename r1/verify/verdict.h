// What came of checking an answer: the one list of verdicts, from the verifier to the metrics.
#pragma once

namespace r1::verify {

// kUnparsed: no answer found, or one that cannot be read or decided. kTimeout: the deadline or the work budget ran out. kCrash: the check
// itself failed (a worker died, an exception).
enum class AnswerVerdict { kRight, kWrong, kUnparsed, kTimeout, kCrash };
const char* answer_verdict_name(AnswerVerdict verdict);

}  // namespace r1::verify
