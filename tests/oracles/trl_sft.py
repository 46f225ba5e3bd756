"""Golden masks of supervised fine-tuning by TRL's own code: which tokens of a conversation are learned, with assistant_only_loss (templates
that mark {% generation %}) and with completion_only_loss (a prompt and its completion), for tests/stages/trl_test.cc. The rows go through
SFTTrainer's own preparation, as in a run; the tokenizer is made here and is in the file.

Regenerate (needs the packages of requirements.txt): python tests/oracles/trl_sft.py > tests/golden/trl_sft.json
"""
import json
import sys

import tokenizers
import trl
from datasets import Dataset
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEXT = ["the cat sat on the mat and looked at the other cat", "What is two plus two? It is four.", "user assistant system\n", "Grüße, naïve café; 你好"]

CHATML = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
          "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
MARKED = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}\n"
          "{% else %}{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
DEFAULT_SYSTEM = "{% if messages[0].role != 'system' %}<|im_start|>system\nBe brief.<|im_end|>\n{% endif %}"
PLAIN_WORDS = ("{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}{% generation %}{{ m.content + eos_token }}{% endgeneration %}"
               "{% else %}{{ m.content }}{% endif %}\n\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}")
TEMPLATES = {"chatml": CHATML, "marked": MARKED, "marked_system": DEFAULT_SYSTEM + MARKED, "chatml_system": DEFAULT_SYSTEM + CHATML,
             "words": PLAIN_WORDS}


def say(role, content):
    return {"role": role, "content": content}


CONVERSATIONS = [
    [say("user", "What is two plus two?"), say("assistant", "It is four.")],
    [say("system", "Be kind."), say("user", "the cat"), say("assistant", "sat on the mat"), say("user", "and?"), say("assistant", "looked\nat it")],
    [say("user", "Grüße"), say("assistant", "naïve café; 你好 🙂")],
    [say("assistant", "the first word"), say("user", " x "), say("assistant", "  two  spaces  ")],
    [say("user", ""), say("assistant", "to nothing")],
]


def make_tokenizer():
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(TEXT * 3, trainer)
    return tokenizer


def learned(tokenizer, row, assistant_only):
    """TRL's input_ids and where its labels are not -100."""
    trainer = SFTTrainer.__new__(SFTTrainer)
    for name, value in dict(_is_vlm=False, _is_vision_dataset=False, chat_template=None, completion_only_loss="prompt" in row).items():
        object.__setattr__(trainer, name, value)
    args = SFTConfig(output_dir="none", assistant_only_loss=assistant_only, report_to="none", bf16=False, use_cpu=True, packing=False)
    example = trainer._prepare_dataset(Dataset.from_list([row]), tokenizer, args, False, None, "train")[0]
    return list(example["input_ids"]), [int(label != -100) for label in example["labels"]]


def main():
    made = make_tokenizer()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token=SPECIAL[0], additional_special_tokens=SPECIAL[1:])
    cases = []
    for name, template in TEMPLATES.items():
        tokenizer.chat_template = template
        for messages in CONVERSATIONS:
            if "{% generation %}" in template:
                row = {"messages": messages}
                ids, mask = learned(tokenizer, row, assistant_only=True)
                cases.append(dict(template=name, loss="assistant_only", row=row, ids=ids, learned=mask))
            if sum(m["role"] == "assistant" for m in messages) == 1 and "{% generation %}" not in template:
                row = {"prompt": messages[:-1], "completion": messages[-1:]}
                ids, mask = learned(tokenizer, row, assistant_only=False)
                cases.append(dict(template=name, loss="completion_only", row=row, ids=ids, learned=mask))
    json.dump(dict(made_by=f"trl {trl.__version__}, tokenizers {tokenizers.__version__}", tokenizer=json.loads(made.to_str()), eos=SPECIAL[0],
                   templates=TEMPLATES, cases=cases), sys.stdout, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
