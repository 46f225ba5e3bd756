"""Writes tests/golden/corpus_readers.json: what Python's own readers (mailbox, email, xml.etree) see in the real files below R1_DATA that
tests/corpus reads: which messages, articles and posts there are, and hashes of the messages' texts.

    python3 tests/oracles/corpus_readers.py DATA_FOLDER"""
import bz2
import email
import email.policy
import gzip
import hashlib
import io
import json
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree


class Unclear(Exception):
    """A message whose text readers may differ about: HTML, defects, charsets that are unknown or wrong."""


def text_of(part, top=True):
    """What a reader of the message is shown, each part ending in one newline; '' if that is nothing."""
    kind = part.get_content_type()
    if part.defects or kind == "text/html" or part.get_param("format") is not None:
        raise Unclear
    if kind == "message/rfc822":
        inner = part.get_payload(0)
        text = text_of(inner, False)
        return f"{inner['subject']}\n\n{text}" if inner["subject"] else text
    if not top and part.get_content_disposition() == "attachment":
        return ""
    if kind == "message/external-body":  # where a text could be had, not the text (RFC 2046, 5.2.3)
        return ""
    if part.is_multipart():
        texts = [text for text in (text_of(p, False) for p in part.iter_parts()) if text]
        if kind in ("multipart/alternative", "multipart/signed"):
            texts = texts[:1]
        return "\n".join(texts)
    if part.get_content_maintype() != "text":
        return ""
    charset = str(part.get_content_charset("utf-8"))
    try:
        text = part.get_payload(decode=True).decode(charset)
    except (LookupError, UnicodeDecodeError, ValueError):
        raise Unclear
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip()
    return text + "\n" if text else ""


def mbox(path):
    """Offset of each message: the hash of its text, where there is no doubt what that is."""
    data = path.read_bytes()
    starts = [m.start() for m in re.finditer(rb"(?:\A|(?<=\n\n))From \S+.*\d\d:\d\d:\d\d", data)]
    out = {}
    for begin, end in zip(starts, starts[1:] + [len(data)]):
        message = email.message_from_bytes(data[data.index(b"\n", begin) + 1:end], policy=email.policy.default)
        try:
            text = text_of(message)
            digest = hashlib.sha256(text.encode()).hexdigest() if text else None
        except (Unclear, LookupError, AttributeError, ValueError, TypeError, UnicodeError):
            digest = None
        out[str(begin)] = {"sha256": digest}
    return out


def wikidump(path):
    root = ElementTree.fromstring(bz2.decompress(path.read_bytes()).decode("utf-16" if path.name.startswith("bg") else "utf-8").lstrip("\ufeff"))
    name = lambda e: e.tag.rsplit("}", 1)[-1]
    articles, pages, redirects = [], 0, 0
    for page in (e for e in root if name(e) == "page"):
        pages += 1
        fields = {name(e): e for e in page.iter()}
        if fields["ns"].text != "0":
            continue
        if "redirect" in fields or re.match(r"\s*#redirect", fields["text"].text or "", re.I):
            redirects += 1
        else:
            articles.append(next(e for e in page if name(e) == "title").text)
    return {"pages": pages, "redirects": redirects, "articles": articles}


def stackexchange(path):
    rows = [r.attrib for r in ElementTree.parse(io.BytesIO(gzip.decompress(path.read_bytes()))).getroot()]
    questions = {r["Id"] for r in rows if r["PostTypeId"] == "1"}
    return {"questions": len(questions), "answers": sum(r["PostTypeId"] == "2" and r["ParentId"] in questions for r in rows)}


def main():
    data = pathlib.Path(sys.argv[1])
    golden = {
        "mbox": mbox(data / "mbox/cpython_test_messages.mbox"),
        "wikidump": {p.name: wikidump(p) for p in sorted((data / "wikidump").glob("*.bz2"))},
        "stackexchange": stackexchange(data / "stackexchange/coffee.Posts.xml.gz"),
    }
    out = pathlib.Path(__file__).resolve().parent.parent / "golden/corpus_readers.json"
    out.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")
    print(out, {k: len(v) for k, v in golden.items()}, sum(v["sha256"] is not None for v in golden["mbox"].values()))


main()
