"""Archives as Python's tarfile writes them, and their samples as the webdataset package reads them, for tests/data/webdataset_test.cc:
    python3 tests/oracles/webdataset_golden.py tests/golden/webdataset          # webdataset 1.0.2
"""
import gzip
import io
import json
import os
import sys
import tarfile

import webdataset

FOLDER = sys.argv[1]
TEXTS = {"txt", "text", "md", "html", "caption", "transcript", "cls"}


def write(name, members, form, mode="w"):
    with tarfile.open(f"{FOLDER}/{name}", mode, format=form) as tar:
        for path, data in members:
            info = tarfile.TarInfo(path)
            if data is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
                continue
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def row_of(sample):
    """A sample as docs/data.md says that it reads: r1/data/webdataset.h."""
    row, fields = {}, {"__key__": sample["__key__"].removeprefix("./")}
    for ending, data in sample.items():
        if ending.startswith("__"):
            continue
        if ending.endswith(".gz"):
            ending, data = ending[:-3], gzip.decompress(data)
        before, _, last = ending.rpartition(".")
        if last in TEXTS:
            fields[before or ("text" if last in ("txt", "text") else last)] = data.decode("utf-8-sig")
        elif last == "json":
            value = json.loads(data)
            if not before and isinstance(value, dict):
                row = value
            else:
                fields[before or "json"] = value
    return {**row, **fields}


def golden(name):
    rows = [row_of(sample) for sample in webdataset.WebDataset(f"{FOLDER}/{name}", shardshuffle=False, empty_check=False)]
    with open(f"{FOLDER}/{name}.jsonl", "w") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    return rows


def samples(prefix):
    zip_ = lambda data: gzip.compress(data, mtime=0)
    return [
        (f"{prefix}0000.json", b'{"url": "u", "text": "of the JSON", "extra": {"control": [[0, 2]]}}'),
        (f"{prefix}0000.txt", "caf\u00e9 \u4e16\n".encode()),
        (f"{prefix}0001.txt.gz", zip_(b"packed text\n" * 50)),
        (f"{prefix}0001.json.gz", zip_(b'{"n": 1, "deep": {"a": [1, null]}}')),
        (f"{prefix}0001.jpg", bytes(range(256)) * 5),
        (f"{prefix}0002.Prompt.TXT", b"what?"),
        (f"{prefix}0002.completion.txt", b"that."),
        (f"{prefix}0002.meta.json", b"[1, 2]"),
        (f"{prefix}0002.cls", b"7"),
        (f"{prefix}0003.jpg", b""),
        (f"{prefix}0004.md", b"# only\r\n"),
        (f"{prefix}0004.seg.png", b"\x89PNG"),
        (f"{prefix}0005.json", b"[3]"),
        (f"{prefix}0005.text", b"\xef\xbb\xbfmarked"),
        (f"{prefix}0006.txt", b""),
    ]


os.makedirs(FOLDER, exist_ok=True)
write("ustar.tar", samples(""), tarfile.USTAR_FORMAT)
write("folders.tar", [("train.v1", None), ("train.v1/a", None)] + samples("train.v1/a/") + samples("./train.v1/b/"), tarfile.GNU_FORMAT)
write("names.tar", [("__meta__/0.json", b"{}"), ("README", b"no ending"), (".hidden.txt", b"no")] + samples("\u00e9" * 70 + "/" + "n" * 90),
      tarfile.PAX_FORMAT)
write("long.tar.gz", samples("d" * 120 + "/" + "k" * 130), tarfile.GNU_FORMAT, "w:gz")
os.rename(f"{FOLDER}/long.tar.gz", f"{FOLDER}/long.tgz")
for name in ["ustar.tar", "folders.tar", "names.tar", "long.tgz"]:
    assert len(golden(name)) == (14 if name == "folders.tar" else 7), name
