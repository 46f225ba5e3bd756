// What is read off a model besides answers: the log-probabilities of a prompt's tokens, logits, mean hidden states. Plain forwards
// without a cache; one thread at a time (of a server, the engine's).
#pragma once

#include <vector>

#include "r1/engine/request.h"
#include "r1/model/transformer.h"

namespace r1::engine {

struct ScoredToken {
  float logprob = 0;  // natural log, temperature 1; NaN for the first token
  std::vector<TokenAlternative> top;
};

// Of each token of ids; `top` alternatives a position. The log-probabilities are those of `r1 score`, bit for bit.
std::vector<ScoredToken> score_prompt(model::Transformer& model, const std::vector<TokenId>& ids, int top);
// exp of the mean -log-probability of a text's tokens. A text longer than the model's context is taken in stretches of that many tokens, the first
// of each has nothing before it and does not count. NaN below two tokens.
double perplexity(model::Transformer& model, const std::vector<TokenId>& ids);
// Mean over the tokens of the final hidden states, fp32.
std::vector<float> mean_hidden(model::Transformer& model, const std::vector<TokenId>& ids);
// fp32 [tokens * vocab].
std::vector<float> all_logits(model::Transformer& model, const std::vector<TokenId>& ids);

}  // namespace r1::engine
