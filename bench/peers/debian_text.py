"""Real text for the speed tables: Debian's manual pages (some twenty languages), documentation and books, and the data of the tests.

debian_text.py OUT.jsonl MEGABYTES FOLDER...    FOLDER: /usr/share/man, /usr/share/doc, an unpacked package, $R1_DATA

HTML loses its tags, manual pages stay roff. Files longer than 16 kB are cut at empty lines; what occurs twice is taken once; the order is shuffled by a
fixed seed. Prints what came from where."""
import gzip
import hashlib
import html
import json
import os
import random
import re
import sys

ENDS = (".html", ".txt", ".md", ".rst", ".NEWS", ".jsonl", ".csv", ".tsv", ".xml", ".changelog")
DROPPED = re.compile(r"<(script|style|head)\b.*?</\1>|<[^>]*>", re.S | re.I)


def text_of(path):
    with open(path, "rb") as file:
        data = file.read()
    if path.endswith(".gz"):
        data = gzip.decompress(data)
    text = data.decode("utf-8")
    name = path.removesuffix(".gz")
    if name.endswith((".html", ".htm")):
        text = html.unescape(DROPPED.sub("", text))
        text = re.sub(r"\n\s*\n+", "\n\n", text)
    return text


def is_text(path):
    name = os.path.basename(path).removesuffix(".gz")
    return "/man/" in path or name.endswith(ENDS) or name in ("copyright", "README", "NEWS", "changelog", "changelog.Debian", "AUTHORS", "TODO")


def documents_of(text, most=16000):
    part = ""
    for paragraph in re.split(r"(?<=\n\n)", text):
        if part and len(part) + len(paragraph) > most:
            yield part
            part = ""
        part += paragraph
    yield part


def main(out, megabytes, folders):
    files = []
    for folder in folders:
        for root, inside, names in os.walk(folder):
            inside.sort()
            files += [os.path.join(root, name) for name in sorted(names)]
    random.Random(1).shuffle(files)
    seen, documents, size, origins = set(), [], 0, {}
    for path in files:
        if os.path.islink(path) or not is_text(path):
            continue
        try:
            text = text_of(path)
        except (UnicodeDecodeError, OSError, EOFError):
            continue
        for document in documents_of(text.replace("\0", "")):
            digest = hashlib.blake2b(document.encode(), digest_size=16).digest()
            if len(document) < 200 or digest in seen or size > megabytes * 1e6:
                continue
            seen.add(digest)
            documents.append(document)
            bytes_of = len(document.encode())
            size += bytes_of
            origin = next(folder for folder in folders if path.startswith(folder))
            origins[origin] = origins.get(origin, 0) + bytes_of
    random.Random(2).shuffle(documents)
    with open(out, "w", encoding="utf-8") as file:
        for document in documents:
            file.write(json.dumps({"text": document}, ensure_ascii=False) + "\n")
    print(json.dumps({"documents": len(documents), "bytes": size, "origins": origins}))


main(sys.argv[1], float(sys.argv[2]), sys.argv[3:])
