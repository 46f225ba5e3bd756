"""Writes tests/golden/quality.json: what datatrove's filters (datatrove==0.10.1, spacy==3.8) decide on made-up texts and on the data in R1_DATA, which is
cut into documents here and in tests/corpus/quality_test.cc alike.

Run: python tests/oracles/quality_golden.py DATA tests/golden/quality.json
"""
import gzip
import json
import os
import random
import sys

from datatrove.data import Document
from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter

FILTERS = [GopherRepetitionFilter(), GopherQualityFilter(), C4QualityFilter(), FineWebQualityFilter()]
# Their reasons and ours.
OURS = {
    "gopher_short_doc": "gopher:too_few_words", "gopher_long_doc": "gopher:too_many_words", "gopher_below_avg_threshold": "gopher:short_words",
    "gopher_above_avg_threshold": "gopher:long_words", "gopher_too_many_hashes": "gopher:symbol_ratio", "gopher_too_many_ellipsis": "gopher:symbol_ratio",
    "gopher_too_many_bullets": "gopher:bullet_lines", "gopher_too_many_end_ellipsis": "gopher:ellipsis_lines",
    "gopher_below_alpha_threshold": "gopher:words_without_letters", "gopher_enough_stop_words": "gopher:stop_words",
    "dup_para_frac": "gopher:duplicate_paragraphs", "dup_para_char_frac": "gopher:duplicate_paragraph_chars", "dup_line_frac": "gopher:duplicate_lines",
    "dup_line_char_frac": "gopher:duplicate_line_chars", "lorem_ipsum": "c4:lorem_ipsum", "curly_bracket": "c4:curly_bracket",
    "too_few_sentences": "c4:too_few_sentences", "line_punct_ratio": "fineweb:line_punctuation", "short_line_ratio": "fineweb:short_lines",
    "char_dup_ratio": "fineweb:duplicate_line_chars", "list_ratio": "fineweb:list_ratio",
    **{f"top_{n}_gram": f"gopher:top_{n}_gram" for n in (2, 3, 4)}, **{f"duplicated_{n}_n_grams": f"gopher:duplicate_{n}_grams" for n in range(5, 11)},
}


def reason(filter_, text):
    """"" or our name of the reason; of C4's also the text that is left."""
    doc = Document(text=text, id="")
    try:
        decision = filter_.filter(doc)
    except ZeroDivisionError:
        return "no words"
    if isinstance(decision, tuple):
        why = decision[1]
        return OURS.get(why, {"GopherRepetitionFilter": "gopher:", "FineWebQualityFilter": "fineweb:"}.get(type(filter_).__name__, "") + why)
    return ""


def made_up():
    rng = random.Random(3)
    prose = ("The people of the town have been to the market, and they say that it was a good day to be out with the children. "
             "Nobody could remember when the river had last been so high. It isn't often that we're asked to help! Would you believe that? "
             "\"We have to wait,\" said Mr. Brown, who lives near the U.S. embassy. The well-known baker sold 1,200 loaves of bread and 3.5 litres of milk.")
    sentences = prose.replace("! ", "!|").replace(". The", ".|The").replace(". Nobody", ".|Nobody").replace(". It", ".|It").replace("? ", "?|").split("|")
    many = lambda n: " ".join(rng.choice(sentences) for _ in range(n))
    unique = lambda n: " ".join(f"{rng.choice(['The', 'A', 'That'])} {rng.choice('abcdefgh')}{i}ing of the {i}th thing and that of the other were to be with us." for i in range(n))
    yield from ["", " ", "\n\n\n", ".", "word", "# " * 60, "... " * 60, "a b c " * 30, "the " * 100, prose, prose + "\n" + prose, unique(8)]
    yield from ["\n".join("- " + s for s in unique(9).split(". ")), "\n".join("• " + s for s in unique(9).split(". "))]
    yield from ["\n".join(s + "..." for s in unique(9).split(". ")), "\n".join(s + "…" for s in unique(9).split(". "))]
    yield from [unique(9) + " { x }", unique(9) + " Lorem Ipsum dolor.", unique(9) + "\nPlease enable JavaScript to see it.\n" + unique(3)]
    yield from [unique(9) + "\nWe use cookies on this site.\nRead our Privacy Policy now.", unique(9).replace(". ", ".\n"), unique(9).replace(". ", ".\n\n")]
    yield from [unique(9).replace(". ", ".\r\n"), unique(9).replace(". ", ".\u2028"), unique(9).replace(" ", "\u00a0"), unique(6) + " " + "x" * 1200 + " the end of it."]
    yield from [unique(9).replace(".", ".[1]"), unique(9).replace(".", " [citation needed]."), unique(9).replace(".", "[edit]")]
    yield from ["这是一个没有空格的句子。" * 30, "это предложение на русском языке, и в нём много слов. " * 4, "12 34 56 78 " * 30, unique(5) + " 1 2 3 4 5" * 40]
    yield from ["extraordinarily incomprehensible internationalization " * 20, "\n".join(f"short line {i}" for i in range(60)), "\n".join(f"{i}" for i in range(200))]
    yield from [(unique(4) + "\n\n") * 2, (unique(4) + "\n") * 2, unique(4) + "\n" + "\n".join(["the same line is here again"] * 9)]
    yield from [unique(30) + " " + many(k) for k in (1, 3, 6, 10, 15, 20, 30)]
    yield from [many(k) for k in (5, 8, 12)]
    for _ in range(60):
        lines = []
        for _ in range(rng.randrange(1, 14)):
            kind = rng.randrange(9)
            lines.append([unique(1), many(1), many(2), f"Item {rng.randrange(99)}", "- " + unique(1), unique(1)[:-1], unique(1) + " ...", "", "# " + many(1)][kind])
        yield "\n".join(lines)


def blocks(lines, n):
    return ["\n".join(lines[i : i + n]) for i in range(0, len(lines) - n + 1, n)]


def of_data(root):
    """Cut alike in tests/corpus/quality_test.cc."""
    def read(name):
        with (gzip.open if name.endswith(".gz") else open)(os.path.join(root, name), "rt", encoding="utf-8", newline="\n") as file:
            return file.read()

    rows = [json.loads(line) for line in read("gsm8k/test.jsonl").split("\n") if line]
    yield "gsm8k", blocks([row["question"] + "\n" + row["answer"] for row in rows], 3)
    yield "shakespeare", blocks(read("tinyshakespeare/input.txt").split("\n"), 80)
    yield "ntrex", blocks(read("ntrex/newstest2019-ref.eng-US.first1000.txt.gz").split("\n"), 10)
    yield "wikitext", blocks(read("wikitext2/wiki.test.raw.gz").split("\n"), 20)
    articles = json.loads(read("html_articles/ground-truth.json"))
    yield "articles", [articles[key]["articleBody"] for key in sorted(articles)]


def main(root, out):
    golden = {"made_up": [], "data": {}}
    for text in made_up():
        doc = Document(text=text, id="")
        kept = C4QualityFilter().filter(doc) is True
        golden["made_up"].append({"text": text, "reasons": [reason(f, text) for f in FILTERS], "c4": doc.text if kept else ""})
    for name, texts in of_data(root):
        golden["data"][name] = [[reason(f, text) for text in texts] for f in FILTERS]
    with open(out, "w", encoding="utf-8") as file:
        # Reasons by number: the file is small.
        names = [""] + sorted(set(OURS.values()) | {"gopher:empty", "fineweb:empty", "no words"})
        golden["names"] = names
        golden["data"] = {name: ["".join(chr(48 + names.index(r)) for r in row) for row in rows] for name, rows in golden["data"].items()}
        json.dump(golden, file, ensure_ascii=True, indent=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
