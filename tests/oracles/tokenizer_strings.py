"""The strings of the tokenizer comparison, made from an index by the same few lines here and in tests/text/tokenizer_strings.h."""
import json
import pathlib

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
GROUPS = json.loads((GOLDEN / "tokenizer_words.json").read_text(encoding="utf-8"))
MASK = (1 << 64) - 1


class Rng:
    def __init__(self, seed):
        self.state = (seed * 0x9E3779B97F4A7C15) & MASK

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def below(self, n):
        return (self.next() >> 11) % n


RANGES = [(0x20, 0x7F), (0, 0x100), (0x100, 0x600), (0x600, 0xE00), (0xE00, 0x2000), (0x2000, 0x3100), (0x3000, 0x3100), (0x4E00, 0x9FFF), (0x9F90, 0xA4D0), (0xA4D0, 0xD800),
          (0xAC00, 0xD7A4), (0xE000, 0x10000), (0x10000, 0x12000), (0x12000, 0x20000), (0x1F000, 0x1FB00), (0x20000, 0x32000), (0x32000, 0xE0000), (0xE0000, 0xE0200), (0xF0000, 0x110000)]
MARKS = [(0x300, 0x370), (0x483, 0x488), (0x591, 0x5C8), (0x610, 0x61B), (0x64B, 0x660), (0x7EB, 0x7FE), (0x898, 0x8A0), (0x8CA, 0x900), (0x93C, 0x94E), (0x9BC, 0x9FF), (0xB3C, 0xB58), (0xBBE, 0xBD8),
         (0xCBC, 0xCD7), (0xD3B, 0xD58), (0xDCA, 0xDE0), (0x0F71, 0x0F88), (0x102D, 0x103B), (0x1100, 0x1200), (0x1AB0, 0x1ACF), (0x1B34, 0x1B45), (0x1DC0, 0x1E00), (0x20D0, 0x20F1), (0x302A, 0x3030),
         (0x3099, 0x309B), (0xAC00, 0xAC40), (0xFB1D, 0xFB50), (0x11099, 0x110BB), (0x11127, 0x11135), (0x11347, 0x11358), (0x114B0, 0x114C4), (0x115AF, 0x115C1), (0x11930, 0x11944),
         (0x1D15E, 0x1D1C1), (0x1E000, 0x1E02B), (0x1E8D0, 0x1E8D7), (0x1E944, 0x1E94B), (0xF900, 0xFB00), (0xC0, 0x250), (0x1E00, 0x2000), (0x2126, 0x212C)]


def code_point(rng, ranges):
    a, b = ranges[rng.below(len(ranges))]
    c = a + rng.below(b - a)
    return chr(0xFFFD if 0xD800 <= c < 0xE000 else c)


def pick(rng, group):
    items = GROUPS[group]
    return items[rng.below(len(items))]


def make(index, added):
    """String number `index`; `added` are the contents of the added tokens, by id."""
    rng = Rng(index)
    kind = rng.below(13)
    n = 1 + rng.below(12)
    out = []
    if kind == 0:
        out = [code_point(rng, RANGES) for _ in range(n)]
    elif kind == 1:
        block = ord(code_point(rng, RANGES)) & ~0xFF
        out = [chr(0xFFFD if 0xD800 <= block < 0xE000 else block + rng.below(256)) for _ in range(n)]
    elif kind == 2:
        for _ in range(n):
            out += [pick(rng, "words"), pick(rng, "separators")]
    elif kind == 3:
        names = sorted(GROUPS)
        for _ in range(n):
            out.append(pick(rng, names[rng.below(len(names))]))
    elif kind == 4:
        for _ in range(n):
            out.append(pick(rng, "spaces"))
            if rng.below(4) == 0:
                out.append(code_point(rng, RANGES))
    elif kind == 5:
        for _ in range(n):
            out.append(str(rng.below(10 ** (1 + rng.below(12)))))
            out.append(pick(rng, "numbers"))
    elif kind == 6:
        for _ in range(n):
            out += [pick(rng, "words"), pick(rng, "contractions")]
            if rng.below(3) == 0:
                out.append(code_point(rng, RANGES))
    elif kind == 7:
        data = bytes(rng.below(256) if rng.below(2) else 0x80 + rng.below(0x78) for _ in range(3 * n))
        out = [data.decode("utf-8", "replace")]
    elif kind == 8:
        for _ in range(n):
            out.append(code_point(rng, RANGES[:6]) if rng.below(3) == 0 else code_point(rng, MARKS))
    elif kind == 9:
        for _ in range(1 + n // 2):
            token = added[rng.below(len(added))] if added else "<none>"
            cut = rng.below(8)
            if cut == 0:
                token = token[: len(token) // 2]
            elif cut == 1:
                token = token + token[-1]
            out += [pick(rng, "separators"), token, pick(rng, "words")]
    elif kind == 10:
        for _ in range(n):
            out += [pick(rng, "code"), pick(rng, "spaces") if rng.below(3) == 0 else ""]
    elif kind == 11:
        cjk = [(0x3040, 0x3100), (0x4E00, 0x9FA6), (0x9FA0, 0x9FB0), (0x3000, 0x3040), (0xFF00, 0xFFF0), (0x30, 0x3A), (0x61, 0x7B), (0x20, 0x30), (0x3400, 0x3410), (0xAC00, 0xAC10)]
        out = [code_point(rng, cjk) for _ in range(2 * n)]
    else:
        names = sorted(GROUPS)
        unit = "".join(pick(rng, names[rng.below(len(names))]) for _ in range(1 + rng.below(2)))
        out = [unit] * (1 + rng.below(120))
    return "".join(out)
