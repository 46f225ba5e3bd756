"""Golden values of distillation's loss by TRL's own generalized_jsd_loss on logits made from a formula: loss and gradient, for
tests/ops/divergence_test.cc.

Regenerate (needs the packages of requirements.txt): python tests/oracles/trl_gkd.py > tests/golden/trl_gkd.json
"""
import json
import math

import torch
import trl
from trl.experimental.gkd.gkd_trainer import GKDTrainer

TOKENS, VOCAB = 5, 11


def logits(phase, scale):
    values = [scale * math.sin(1.7 * i + phase) for i in range(TOKENS * VOCAB)]
    return torch.tensor(values, dtype=torch.float64).view(1, TOKENS, VOCAB)


cases = []
for beta in (0, 1, 0.5, 0.1, 0.9):
    for temperature in (1.0, 2.0, 0.7):
        for scale in (1.0, 12.0):
            student, teacher = logits(0.3, scale).requires_grad_(True), logits(1.1, 1.5 * scale)
            labels = torch.tensor([[3, -100, 5, 1, 0]])
            loss = GKDTrainer.generalized_jsd_loss(student, teacher, labels=labels, beta=beta, temperature=temperature)
            loss.backward()
            cases.append({"beta": beta, "temperature": temperature, "scale": scale, "loss": loss.item(),
                          "gradient": [[float(f"{g:.10g}") for g in row] for row in student.grad[0].tolist()]})
print(json.dumps({"trl": trl.__version__, "labels": [3, -100, 5, 1, 0], "vocab": VOCAB, "cases": cases}))
