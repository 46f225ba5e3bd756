"""Writes tests/golden/fasttext/: small models of every kind that fastText trains (softmax, Huffman tree, one-vs-all, negative sampling; character and
word n-grams; quantized with and without norms, pruned, quantized output) and what fastText itself predicts with them.

Run: python tests/oracles/fasttext_golden.py tests/golden/fasttext   (needs fasttext-wheel==0.9.2)
With --model FILE TEXT...: prints what fastText predicts for each line of the texts, a line of JSON each; r1's tests compare lid.176.ftz so.
"""
import gzip
import json
import os
import random
import sys
import tempfile

import fasttext


def predict(model, line, k=1):
    # The binding's own function below numpy: (probability, label) pairs. Lines end in \n there.
    return [[label.removeprefix("__label__"), float(p)] for p, label in model.f.predict(line + "\n", k, 0.0, "strict")]


def of_file(path, texts):
    model = fasttext.load_model(path)
    for text in texts:
        with (gzip.open if text.endswith(".gz") else open)(text, "rt", encoding="utf-8", newline="\n") as lines:
            for line in lines:
                print(json.dumps(predict(model, line.rstrip("\n"))[0]))


SENTENCES = {
    "en": ["the cat sat on the mat", "what is the time", "all that glitters is not gold", "she sells sea shells", "to be or not to be"],
    "de": ["die Katze sitzt auf der Matte", "wie spät ist es", "es ist nicht alles Gold was glänzt", "Übung macht den Meister", "sein oder nicht sein"],
    "fr": ["le chat est assis sur le tapis", "quelle heure est-il", "tout ce qui brille n'est pas or", "être ou ne pas être", "à bientôt mes élèves"],
    "ru": ["кошка сидит на коврике", "который час", "не всё то золото что блестит", "быть или не быть", "повторение мать учения"],
    "zh": ["猫 坐在 垫子 上", "现在 几点 了", "发光 的 未必 都是 金子", "生存 还是 毁灭", "熟能生巧"],
}
ASKED = [
    "the cat", "die Katze auf dem Tapis", "кошка is быть", "猫", "zzz qqq", "", " ", "\t the\tcat\v\f\r ", "the </s> кошка", "__label__de the cat",
    "__label__xx der", "the\u00a0cat \u3000 die", "e\u0301le\u0300ves", "𝔊old 🦆🦆", "a", "x" * 300, "the " * 200, "nul\0byte кошка", "< > <cat>",
    "THE CAT SAT", "Gold gold GOLD", "être-être n'est-ce pas", "12345 67.89 %", "sea shells sea shells sea", "не не не not",
]


def main(folder):
    os.makedirs(folder, exist_ok=True)
    rng = random.Random(7)
    with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as out:
        for _ in range(60):
            for label, sentences in SENTENCES.items():
                words = " ".join(rng.sample(sentences, 2)).split()
                rng.shuffle(words)
                # Counts of labels differ, so that a Huffman tree has a shape.
                if label == "zh" and rng.random() < 0.5:
                    continue
                out.write(f"__label__{label} {' '.join(words)}\n")
    common = dict(input=out.name, epoch=25, lr=0.5, thread=1, verbose=0, minCount=1, seed=3)
    kinds = {
        "softmax": (dict(dim=9, loss="softmax", bucket=300, wordNgrams=2, minn=2, maxn=4), None),
        "tree": (dict(dim=8, loss="hs", bucket=300, minn=1, maxn=3), None),
        "one_vs_all": (dict(dim=6, loss="ova", bucket=200, wordNgrams=3), None),
        "negative": (dict(dim=5, loss="ns", minn=0, maxn=0), None),
        "tree_quantized": (dict(dim=8, loss="hs", bucket=2000, minn=2, maxn=4), dict(qnorm=True, cutoff=300, retrain=False)),
        "softmax_quantized": (dict(dim=7, loss="softmax", bucket=1500, wordNgrams=2, minn=3, maxn=3), dict(dsub=2, qnorm=False)),
        "output_quantized": (dict(dim=8, loss="softmax", bucket=1000, wordNgrams=2), dict(dsub=3, qnorm=True, qout=True, cutoff=260)),
        "words_only": (dict(dim=6, loss="softmax", bucket=900, minn=0, maxn=0), dict(qnorm=False, cutoff=270)),
    }
    for number in range(270):  # a quantizer needs as many rows as it has centroids; of labels too
        with open(out.name, "a") as more:
            more.write(f"__label__extra{number} rare{number} the Katze\n" if number < 256 else "")
    golden = {"asked": ASKED, "models": {}}
    for name, (train, quantize) in kinds.items():
        model = fasttext.train_supervised(**common, **train)
        if quantize:
            model.quantize(input=out.name, **quantize)
        file = name + (".ftz" if quantize else ".bin")
        model.save_model(os.path.join(folder, file))
        golden["models"][file] = [predict(model, text.replace("\n", " "), 3) for text in ASKED]
    with open(os.path.join(folder, "predictions.json"), "w", encoding="utf-8") as file:
        json.dump(golden, file, ensure_ascii=True, indent=0)
    os.unlink(out.name)


if __name__ == "__main__":
    if sys.argv[1] == "--model":
        of_file(sys.argv[2], sys.argv[3:])
    else:
        main(sys.argv[1])
