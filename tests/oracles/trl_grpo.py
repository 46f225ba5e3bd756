"""Golden values of GRPO by TRL's own code on small tensors made from formulas: advantages, loss, gradient, KL and clip ratios, for
tests/stages/trl_test.cc. TRL's loss is a method and its advantages are lines inside one; both run as they stand, on a trainer that has only
what they read.

Regenerate (needs the packages of requirements.txt): python tests/oracles/trl_grpo.py > tests/golden/trl_grpo.json
"""
import collections
import inspect
import json
import math
import sys
import textwrap
import types

import torch
import trl
from trl.trainer import grpo_trainer
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.utils import nanstd

NAN = float("nan")
PROMPT, LENGTHS, WIDTH, MAX_LENGTH = 3, [2, 5, 3, 6], 6, 8


def numbers(n, scale, phase):
    return [scale * math.sin(1.7 * i + phase) for i in range(n)]


def stub(**extra):
    trainer = GRPOTrainer.__new__(GRPOTrainer)
    reduce = types.SimpleNamespace(num_processes=1, process_index=0, gather=lambda x: x, reduce=lambda x, reduction: x, sync_gradients=True)
    fields = dict(
        accelerator=reduce, model=types.SimpleNamespace(training=True), aux_loss_enabled=False, top_entropy_quantile=1.0,
        off_policy_mask_threshold=None, use_vllm=False, vllm_importance_sampling_correction=False, _entropy_bonus_enabled=False,
        use_adaptive_entropy=False, current_gradient_accumulation_steps=1, max_completion_length=MAX_LENGTH,
        _metrics=collections.defaultdict(lambda: collections.defaultdict(list)),
        args=types.SimpleNamespace(use_bias_correction_kl=False, delta=None, steps_per_generation=1),
        multi_objective_aggregation="sum_then_normalize")
    fields.update(extra)
    for name, value in fields.items():
        object.__setattr__(trainer, name, value)
    return trainer


def advantages(rewards, group, scale):
    """The lines of TRL between its weighted sum of rewards and its last word on them."""
    source = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    begin = source.index("        unscorable_mask = ")
    end = source.index("advantages = torch.nan_to_num(advantages, nan=0.0)")
    end = source.index("\n", end)
    scope = dict(torch=torch, nanstd=nanstd, rewards_per_func=torch.tensor(rewards, dtype=torch.float64).view(-1, 1), num_generations=group,
                 device="cpu", self=stub(scale_rewards=scale, reward_weights=torch.ones(1, dtype=torch.float64), reward_funcs=[None]))
    exec(textwrap.dedent(source[begin:end]), scope)
    zero = scope["is_std_zero"].double().mean().item()
    return scope["advantages"].tolist(), zero


def loss_case(loss_type, level, beta, epsilon, epsilon_high, truncated, **more):
    batch = len(LENGTHS)
    mask = torch.tensor([[1 if t < n else 0 for t in range(WIDTH)] for n in LENGTHS])
    if truncated:  # mask_truncated_completions: the last completion was cut off
        mask[-1] = 0
    old = torch.tensor(numbers(batch * WIDTH, 0.5, 0.3), dtype=torch.float64).view(batch, WIDTH) - 1
    logp = old + torch.tensor(numbers(batch * WIDTH, 0.35, 1.1), dtype=torch.float64).view(batch, WIDTH)
    ref = old + torch.tensor(numbers(batch * WIDTH, 0.2, 2.2), dtype=torch.float64).view(batch, WIDTH)
    entropy = torch.tensor(numbers(batch * WIDTH, 0.4, 0.7), dtype=torch.float64).view(batch, WIDTH) + 1
    given = torch.tensor([1.25, -0.5, 0.75, -1.5], dtype=torch.float64)
    logp.requires_grad_(True)
    options = dict(use_bias_correction_kl=False, delta=None, steps_per_generation=1, sapo_temperature_pos=1.0, sapo_temperature_neg=1.05)
    options.update({name: value for name, value in more.items() if name in options})
    trainer = stub(loss_type=loss_type, importance_sampling_level=level, beta=beta, epsilon_low=epsilon, epsilon_high=epsilon_high or epsilon,
                   args=types.SimpleNamespace(**options),
                   **{name: value for name, value in more.items() if name not in options})
    object.__setattr__(trainer.accelerator, "pad_across_processes", lambda x, dim, pad_index: x)
    object.__setattr__(trainer, "_get_per_token_logps_and_entropies", lambda *a, **k: (logp, entropy, None))
    inputs = dict(prompt_ids=torch.zeros(batch, PROMPT, dtype=torch.long), prompt_mask=torch.ones(batch, PROMPT, dtype=torch.long),
                  completion_ids=torch.zeros(batch, WIDTH, dtype=torch.long), completion_mask=mask, advantages=given,
                  old_per_token_logps=old, ref_per_token_logps=ref, num_items_in_batch=mask.sum())
    loss = trainer._compute_loss(trainer.model, inputs)
    loss.backward()
    metrics = {name: values[-1] for name, values in trainer._metrics["train"].items() if not math.isnan(values[-1])}
    pick = lambda x: [x[i, :n].tolist() for i, n in enumerate(LENGTHS)]
    return dict(loss_type=loss_type, importance_sampling_level=level, beta=beta, epsilon=epsilon, epsilon_high=epsilon_high, truncated=truncated,
                advantages=given.tolist(), logp=pick(logp.detach()), old=pick(old), ref=pick(ref), entropy=pick(entropy),
                options=more, max_completion_length=MAX_LENGTH, loss=loss.item(), gradient=pick(logp.grad),
                metrics={k: metrics[k] for k in ("kl", "entropy", "clip_ratio/low_mean", "clip_ratio/high_mean", "clip_ratio/region_mean",
                                                 "cispo_clip_ratio") if k in metrics})


GROUPS = [
    ([1, 0, 0, 0, 1, 1, 1, 1], 4), ([0.3, -0.7, 2.5, 1e-3, 0.25, 0.75], 3), ([1.1] * 8, 8), ([0.95, 0.95, 0.1, 0.1, 0.7, 0.7], 2),
    ([1, NAN, 0, 0, NAN, 2, 1, 0.5], 4), ([100, 101, 99, 100.5], 4), ([-1, 1, -1, 1, 0.5, -0.5], 2), ([0.2, 0.4, 0.4, 0.2, 0.2, 1.0], 3),
]


def main():
    cases = []
    for rewards, group in GROUPS:
        for scale in ("group", "batch", "none"):
            values, zero = advantages(rewards, group, scale)
            cases.append(dict(rewards=[None if math.isnan(r) else r for r in rewards], group=group, scale=scale, advantages=values,
                              frac_zero_std=zero if scale != "batch" else None))  # with "batch" TRL tells the batch's deviation
    losses = [loss_case(loss_type, level, beta, epsilon, high, truncated)
              for loss_type in ("grpo", "dapo", "dr_grpo") for level in ("token", "sequence") for beta in (0.0, 0.04)
              for epsilon, high in ((0.2, 0.0), (0.1, 0.28)) for truncated in (False, True)]
    losses += [loss_case(loss_type, level, beta, 0.2, 1.1 if loss_type == "cispo" else 0.28, truncated)
               for loss_type in ("bnpo", "cispo", "sapo", "luspo") for level in ("token", "sequence") for beta in (0.0, 0.04)
               for truncated in (False, True)]
    losses += [loss_case("sapo", "token", 0.0, 0.2, 0.0, False, sapo_temperature_pos=2.0, sapo_temperature_neg=3.5)]
    losses += [loss_case(loss_type, level, 0.04, 0.1, 0.2, True, **more)
               for loss_type in ("grpo", "dapo") for level in ("token", "sequence")
               for more in (dict(delta=1.22), dict(use_bias_correction_kl=True), dict(off_policy_mask_threshold=0.02),
                            dict(top_entropy_quantile=0.37))]
    json.dump(dict(made_by=f"trl {trl.__version__}, torch {torch.__version__}", advantages=cases, losses=losses), sys.stdout)
    print()


if __name__ == "__main__":
    main()
