#include "r1/verify/verify.h"

#include <algorithm>

#include "r1/verify/choice.h"
#include "r1/verify/worker_pool.h"

namespace r1::verify {

struct Verifier::Pool : WorkerPool {
  using WorkerPool::WorkerPool;
};

Verifier::Verifier(VerifyOptions options)
    : options_(options), pool_(std::make_unique<Pool>(std::max(1, options.workers), options.equality)) {}
Verifier::~Verifier() = default;

int64_t Verifier::most_memory(const VerifyOptions& options) {
  return std::max(1, options.workers) * kWorkerBytes;
}

int64_t Verifier::replaced() const {
  return pool_->replaced();
}

AnswerCheck Verifier::check_in_worker(std::string_view gold, std::string_view answer, Fault fault) const {
  AnswerCheck out = pool_->check(gold, answer, options_.deadline, WorkerFault(fault));
  if (out.extracted.empty()) out.extracted = answer.substr(0, 2'000);
  return out;
}

AnswerCheck Verifier::check(std::string_view gold, std::string_view answer) const {
  bool cut = false;
  marked_text(gold, &cut);
  if (cut) return {AnswerVerdict::kUnparsed, "", "the known answer is cut off: a box or answer tag in it does not close"};
  const ExtractedAnswer g = extract_gold(gold);
  ExtractedAnswer a;
  AnswerCheck out = check_against(g.text, answer, a);
  out.place = a.place;
  out.gold = g.text.substr(0, 2'000);
  return out;
}

// `a`: what was taken for the answer, and where from.
AnswerCheck Verifier::check_against(const std::string& gold, std::string_view answer, ExtractedAnswer& a) const {
  const auto rest = after_thought(answer);
  if (!rest) return {AnswerVerdict::kUnparsed, "", "a thought that does not end"};
  bool cut = false;
  const bool marks = marked_text(*rest, &cut, options_.boxes).has_value();
  if (cut) return {AnswerVerdict::kUnparsed, "", "a box or answer tag that does not close"};
  if (!options_.marked_only && !marks && rest->size() < 2'000 && !gold.empty()) {  // a bare text answer, a date
    const std::string text = normalized_text(*rest);
    if (!text.empty() && text == normalized_text(gold)) {
      a.place = AnswerPlace::kPhrase;
      return {AnswerVerdict::kRight, std::string(*rest), "same text"};
    }
  }
  auto found = options_.marked_only ? extract_marked(*rest, options_.boxes) : extract_answer(answer, options_.boxes);
  if (option_letter(gold)) {
    if (const auto choice = extract_choice(answer, options_.marked_only)) {
      if (choice->letter)
        found = ExtractedAnswer{std::string(1, choice->letter), choice->place};
      else if (choice->place == AnswerPlace::kPhrase)
        return {AnswerVerdict::kUnparsed, choice->text, "more than one option named"};
    } else if (found && option_letter(found->text, true)) {
      return {AnswerVerdict::kUnparsed, found->text, "no option that is named as the answer"};
    }
  }
  if (!found) return {AnswerVerdict::kUnparsed, "", "no answer found"};
  a = std::move(*found);
  if (a.text.size() > kMaxAnswerBytes) return {AnswerVerdict::kUnparsed, a.text.substr(0, 200), "an answer longer than 20,000 bytes"};
  bool exhausted = false;
  AnswerCheck out = check_texts(gold, a.text, options_.equality, kSmallBudget, &exhausted);
  return exhausted ? check_in_worker(gold, a.text) : out;
}

}  // namespace r1::verify
