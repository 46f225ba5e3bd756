#!/usr/bin/env python3
"""Renders chat templates and small expressions with jinja2 in transformers' configuration and writes tests/text/golden/jinja.json.gz.

Templates: those inside the GGUF files under R1_MODELS (default ~/.cache/r1/models), R1_MODELS/*.jinja (DeepSeek-V3.1's, out of its tokenizer_config.json)
and tests/text/golden/*.jinja.
Needs: jinja2, transformers, gguf. Run from the repository's root.
"""
import copy, gzip, json, os, random, struct, sys
from pathlib import Path
from transformers.utils.chat_template_utils import _compile_jinja_template

MODELS = Path(os.environ.get("R1_MODELS", Path.home() / ".cache/r1/models"))
GOLDEN = Path("tests/text/golden")


def gguf_template(path):
    """The string under tokenizer.chat_template, read from the header alone (the file may be cut)."""
    data = path.read_bytes()[: 64 << 20]
    key = b"tokenizer.chat_template"
    at = data.find(struct.pack("<Q", len(key)) + key)
    if at < 0:
        return None
    at += 8 + len(key) + 4
    (n,) = struct.unpack_from("<Q", data, at)
    return data[at + 8 : at + 8 + n].decode()


def templates():
    found = {}
    for name in ["deepseek-r1-distill-qwen-7b.head", "qwen2.5-coder-0.5b-instruct-q4_k_m", "smollm2-135m-instruct-q4_1"]:
        path = MODELS / (name + ".gguf")
        if path.exists():
            text = gguf_template(path)
            if text:
                found[name] = text
    for path in sorted(MODELS.glob("*.jinja")) + sorted(GOLDEN.glob("*.jinja")):
        found[path.stem] = path.read_text()
    return found


def chats():
    u = lambda c: {"role": "user", "content": c}
    a = lambda c, **k: {"role": "assistant", "content": c, **k}
    s = lambda c: {"role": "system", "content": c}
    call = lambda name, args, as_text=False: {"type": "function", "id": "call00001", "function": {"name": name, "arguments": json.dumps(args) if as_text else args}}
    t = lambda c: {"role": "tool", "content": c, "tool_call_id": "call00001", "name": "get_weather"}
    tools = [
        {"type": "function", "function": {"name": "get_weather", "description": "Weather in a <city> & \"more\"", "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "St\u00e4dte, \u57ce\u5e02"}, "days": {"type": "integer", "default": 3, "minimum": 0.5}}, "required": ["city"]}}},
        {"type": "function", "function": {"name": "stop", "description": "", "parameters": {"type": "object", "properties": {}}}},
    ]
    odd = ["", " ", "\n", "  leading and trailing  ", "{{ not }} {% a %} {# tag #}", "<|im_start|>user", "tab\tand \u00a0 nbsp", "\u4f60\u597d\uff0c\u4e16\u754c", "\U0001f469\u200d\U0001f52c emoji",
           "quotes ' \" \\ back", "\u0000\u0001\u001f control", "line\r\nends\rmixed\n", "<think>\nhm\n</think>\n\nanswer", "</think> only", "a</think>b</think>c", "&<>'\"", "x" * 300, "\u2028 separators \u2029"]
    rng = random.Random(3)
    basic = [
        [u("Hi")], [s("Be brief."), u("Hi")], [u("Hi"), a("Hello!"), u("How?")], [s("S"), u("1"), a("2"), u("3"), a("4"), u("5")],
        [u("Q"), a("<think>\nstep\n</think>\n\nA"), u("Q2")], [u("Q"), a("<think>a</think>A1"), u("Q2"), a("<think>b</think>A2")],
        [s("one"), s("two"), u("x")], [a("assistant first")], [u("a"), u("b")], [u("Q"), a("A")],
    ]
    for text in odd:
        basic.append([u(text)])
        basic.append([s(text), u("q"), a(text), u(text)])
    for _ in range(12):
        chat = [s(rng.choice(odd))] if rng.random() < 0.4 else []
        for i in range(rng.randint(1, 6)):
            chat.append((u if i % 2 == 0 else a)(rng.choice(odd) + rng.choice(odd)))
        basic.append(chat)
    out = []
    for i, chat in enumerate(basic):
        out.append(dict(messages=chat, add_generation_prompt=i % 3 != 0, bos_token="<s>", eos_token="</s>"))
    for as_text in (False, True):
        for content in ("", None, "I call it."):
            for given in (tools, None):
                chat = [s("tools"), u("weather?"), a(content, tool_calls=[call("get_weather", {"city": "K\u00f6ln", "days": 2}, as_text)]), t('{"t": 21.5}'), u("and?")]
                out.append(dict(messages=chat, tools=given, add_generation_prompt=True, bos_token="<s>", eos_token="</s>"))
                two = [u("w"), a(content, tool_calls=[call("get_weather", {}, as_text), call("stop", {"x": [1, None, True, 1.0, 1e20]}, as_text)]), t("a"), t("b"), a("done")]
                out.append(dict(messages=two, tools=given, add_generation_prompt=False, bos_token="<s>", eos_token="</s>"))
    out.append(dict(messages=[u("x")], tools=tools, enable_thinking=False, add_generation_prompt=True, bos_token="", eos_token=""))
    out.append(dict(messages=[u("x")], enable_thinking=True, add_generation_prompt=True))
    out.append(dict(messages=[], add_generation_prompt=True, bos_token="<s>", eos_token="</s>"))
    out.append(dict(messages=[{"role": "other", "content": "x"}], bos_token="<s>", eos_token="</s>"))
    out.append(dict(messages=[{"role": "user"}], bos_token="<s>", eos_token="</s>"))
    out.append(dict(messages=[{"role": "user", "content": [{"type": "text", "text": "part"}, {"type": "image"}]}], bos_token="<s>", eos_token="</s>"))
    return out


VARIABLES = {
    "s": "Hello World", "e": "", "u": "\u00dcber stra\u00dfe \u4f60\u597d \u03a3\u03a3", "n": 7, "m": -3, "f": 2.5, "z": 0, "b": True, "no": None, "l": [3, 1, 2], "w": ["b", "A", "c", "a"],
    "d": {"b": 1, "a": {"x": [1, 2.0, "t"]}, "items": 5, "C": None}, "p": [{"n": "x", "v": 2, "k": {"z": 1}}, {"n": "Y", "v": 1, "k": {"z": 0}}, {"n": "x", "v": 3}], "ws": "  a b\tc\n ", "h": "<a href='x'>&\"",
    "lines": "one\n\n  two\r\nthree", "big": 123456789012, "tiny": 0.00001, "nested": [[1, [2, "q'"]], {"k": (None), "t": True}],
}


def snippets():
    out = Path("tests/oracles/jinja_snippets.txt").read_text().split("\n%%\n")
    out = [x for x in out if x.strip()]
    values = ["s", "e", "u", "n", "m", "f", "z", "b", "no", "l", "w", "d", "p", "missing", "ws", "h", "1.0", "'a'", "(1, 2)", "()", "(1,)", "{}", "range(3)", "nested", "big", "tiny"]
    for v in values:
        out.append("{{ " + v + " }}|{{ " + v + " is defined }}{{ " + v + " is none }}{{ " + v + " is string }}{{ " + v + " is mapping }}{{ " + v + " is iterable }}{{ " + v
                   + " is sequence }}{{ " + v + " is number }}{{ " + v + " is integer }}{{ " + v + " is float }}{{ " + v + " is boolean }}{{ " + v + " is true }}{{ " + v + " is callable }}")
        out.append("{% if " + v + " %}T{% else %}F{% endif %}{{ not " + v + " }}{{ " + v + " or 'x' }}{{ " + v + " and 'y' }}")
        for f in ["length", "list", "string", "int", "float", "upper", "lower", "title", "capitalize", "trim", "tojson", "first", "last", "reverse|list", "join(',')", "abs", "round", "sort", "unique|list",
                  "default('D')", "default('D', true)", "e", "sum", "min", "max", "items|list", "dictsort", "replace('l', 'L')", "wordcount", "urlencode", "count", "indent", "batch(2)|list"]:
            out.append("{{ " + v + "|" + f + " }}")
    atoms = ["n", "m", "f", "z", "b", "s", "l", "no", "missing", "d", "2", "0.5", "'x'", "[1]", "(1, 2)"]
    for x in atoms:
        for y in atoms:
            for op in ["+", "-", "*", "/", "//", "%", "**", "~", "==", "<", ">=", "in", "not in", "!="]:
                out.append("{{ " + x + " " + op + " " + y + " }}")
    for i in ["0", "-1", "5", "1:", ":2", "::2", "::-1", "-2:", "3:0:-1", "1:100", "-100:2", ":-1", "5:1", "1:5:-1", "'x'", "missing", "none", "b"]:
        for v in ["s", "l", "u", "(1, 2, 3)", "d", "missing", "n"]:
            out.append("{{ " + v + "[" + i + "] }}")
    methods = ["split()", "split('l')", "split('l', 1)", "rsplit('l', 1)", "strip()", "strip('Hd')", "lstrip()", "rstrip()", "startswith('He')", "endswith(('x', 'd'))", "replace('o', '0', 1)", "upper()", "lower()",
               "title()", "capitalize()", "swapcase()", "find('o')", "rfind('o')", "find('o', 5)", "index('z')", "count('l')", "isdigit()", "isalpha()", "isspace()", "isupper()", "islower()", "isalnum()", "zfill(14)",
               "center(15, '*')", "ljust(14, '-')", "rjust(14)", "partition(' ')", "rpartition('l')", "splitlines()", "removeprefix('He')", "removesuffix('ld')", "join(['a', 'b'])", "format(1)", "splitlines(true)",
               "nothing()", "isnumeric()", "isdecimal()", "replace('', '-')", "split('')", "encode"]
    for v in ["s", "e", "u", "ws", "lines", "'12'", "'aXb'", "l", "n"]:
        for m in methods:
            out.append("{{ " + v + "." + m + " }}")
    return out


def render(source, variables):
    template = _compile_jinja_template(source)
    rendered, spans = [], []
    env = template.environment
    with env.activate_tracker(rendered, spans):
        for block in template.generate(**variables):
            rendered.append(block)
    text = "".join(rendered)
    # character spans to byte spans
    spans = [[len(text[:a].encode()), len(text[:b].encode())] for a, b in spans]
    return text, spans


def answer(source, variables):
    try:
        text, spans = render(source, copy.deepcopy(variables))  # some filters of jinja2 change a list that they are given
        text.encode()
    except Exception as error:
        return {"error": type(error).__name__}
    return {"text": text, "spans": spans} if spans else {"text": text}


def main():
    all_chats = chats()
    result = {"variables": VARIABLES, "chats": all_chats, "templates": {}, "snippets": []}
    for name, source in templates().items():
        result["templates"][name] = {"source": source, "rendered": [answer(source, chat) for chat in all_chats]}
    seen = set()
    for source in snippets():
        if source in seen:
            continue
        seen.add(source)
        got = answer(source, VARIABLES)
        if " object at 0x" in got.get("text", "") or "<bound method" in got.get("text", "") or "built-in method" in got.get("text", ""):
            continue  # a Python object's address
        if "generator object" in got.get("text", "") or "j)" in got.get("text", ""):  # lazy objects; complex numbers
            continue
        result["snippets"].append([source, got.get("text")])
    data = json.dumps(result, ensure_ascii=True, separators=(",", ":")).encode()
    (GOLDEN / "jinja.json.gz").write_bytes(gzip.compress(data, 9, mtime=0))
    errors = sum(1 for s in result["snippets"] if s[1] is None)
    print(f"{len(result['templates'])} templates x {len(all_chats)} chats, {len(result['snippets'])} snippets ({errors} errors)", file=sys.stderr)


if __name__ == "__main__":
    main()
