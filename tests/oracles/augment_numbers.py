"""Judges word problems whose numbers were changed, without the program that changed them: lines of {"before": {"question", "answer"}, "after": {...}}.
A row is wrong if its words differ, an annotation does not hold exactly, a number of the solution is not what its source has become, the label is not the
last result, or something became negative or lost its wholeness. Prints each wrong row; the last line is "rows wrong". Only the standard library."""
import json
import re
import sys
from fractions import Fraction

NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|\d+(?:\.\d+)?|\.\d+")
STEP = re.compile(r"<<([^<>=]*)=([^<>=]*)>>")


def value(text):
    return Fraction("0" + text.replace(",", "") if text.startswith(".") else text.replace(",", ""))


def numbers(text):
    return [value(n) for n in NUMBER.findall(text)]


def evaluated(expression):
    """Python's own parser, every literal a Fraction."""
    if not re.fullmatch(r"[\d+*/.() -]+", expression):
        raise ValueError(expression)
    return eval(re.sub(r"\d+\.?\d*|\.\d+", lambda m: f"Fraction('{m.group()}')", expression), {"__builtins__": {}}, {"Fraction": Fraction})


def words(text):
    return re.sub(r"\b([Aa])n?(?= \$?#)", r"\1", NUMBER.sub("#", text))


def faults(before, after):
    for key in ("question", "answer"):
        if words(before[key]) != words(after[key]):
            yield f"other words in the {key}"
    asked = list(zip(numbers(before["question"]), numbers(after["question"])))
    if all(a == b for a, b in asked):
        yield "nothing changed"
    sources = {}
    for (old, new), found in zip(asked, NUMBER.finditer(before["question"])):
        sources.setdefault(old, set()).add(new)
        if re.match(r"%|[ -]*(percent|cents?)\b", before["question"][found.end():]):
            sources.setdefault(old / 100, set()).add(new / 100)
    old_steps, new_steps = STEP.findall(before["answer"]), STEP.findall(after["answer"])
    if len(old_steps) != len(new_steps) or not new_steps:
        yield "other steps"
        return
    for (old_left, old_right), (new_left, new_right) in zip(old_steps, new_steps):
        old, new = value(old_right), value(new_right)
        if evaluated(new_left) != new:
            yield f"{new_left} is not {new_right}"
        if new < 0 or (old.denominator == 1 and new.denominator != 1):
            yield f"{old_right} became {new_right}"
        for a, b in zip(numbers(old_left), numbers(new_left)):
            # What has no source is a constant of the words, and stays.
            if b not in sources.get(a, {a}):
                yield f"operand {a} became {b}"
        sources.setdefault(old, set()).add(new)
    for a, b in zip(numbers(STEP.sub("", before["answer"])), numbers(STEP.sub("", after["answer"]))):
        if b not in sources.get(a, {a}):
            yield f"{a} in the prose became {b}"
    for text, right in re.findall(r"<<[^<>=]*=([^<>=]*)>>\$?(" + NUMBER.pattern + ")", after["answer"]):
        if value(text) != value(right):
            yield f"{text} is called {right}"
    label = after["answer"].split("####")[1].strip()
    if value(label) != value(new_steps[-1][1]):
        yield f"the label {label} is not the last result"


def main():
    rows = wrong = 0
    for line in sys.stdin:
        row = json.loads(line)
        rows += 1
        found = list(faults(row["before"], row["after"]))
        wrong += bool(found)
        if found:
            print(row["after"]["question"], found)
    print(rows, wrong)
    sys.exit(wrong > 0)


main()
