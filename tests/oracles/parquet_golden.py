"""Parquet and Arrow files as pyarrow writes them, and their rows as its to_pylist() has them, for tests/data/table_file_test.cc:
    python3 tests/oracles/parquet_golden.py tests/golden/tables          # pyarrow 26.0.1
A folder of its own instead of the golden one, and a seed after it: random tables, for the test that runs beside pyarrow."""
import datetime
import decimal
import json
import math
import os
import random
import sys
import uuid

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

FOLDER = sys.argv[1]
UTC = datetime.timezone.utc


def as_json(x, kind):
    """A value of to_pylist() as docs/data.md says that it reads. `kind`: its Arrow type."""
    if x is None:
        return None
    if pa.types.is_dictionary(kind):
        return as_json(x, kind.value_type)
    if pa.types.is_struct(kind):
        return {f.name: as_json(x[f.name], f.type) for f in kind}
    if pa.types.is_map(kind):
        if pa.types.is_string(kind.key_type):
            return {k: as_json(v, kind.item_type) for k, v in x}
        return [[as_json(k, kind.key_type), as_json(v, kind.item_type)] for k, v in x]
    if isinstance(x, list):
        return [as_json(v, kind.value_type) for v in x]
    if isinstance(x, float):
        return x if math.isfinite(x) else None
    if isinstance(x, bytes):
        return x.decode()
    if isinstance(x, uuid.UUID):
        return str(x)
    if isinstance(x, decimal.Decimal):
        return format(x, "f")
    if isinstance(x, datetime.datetime):
        zone = "Z" if x.tzinfo else ""
        x = x.astimezone(UTC).replace(tzinfo=None) if x.tzinfo else x
        unit = {"s": 0, "ms": 3, "us": 6, "ns": 9}[kind.unit]
        part = f"{x.microsecond:06d}000"[:unit]
        return x.strftime("%Y").zfill(4) + x.strftime("-%m-%dT%H:%M:%S") + ("." + part if x.microsecond else "") + zone
    if isinstance(x, datetime.date):
        return x.isoformat()
    if isinstance(x, datetime.time):
        unit = {"s": 0, "ms": 3, "us": 6, "ns": 9}[kind.unit]
        return x.strftime("%H:%M:%S") + ("." + f"{x.microsecond:06d}000"[:unit] if x.microsecond else "")
    if isinstance(x, datetime.timedelta):
        us = abs(x) // datetime.timedelta(microseconds=1)
        unit = {"s": 0, "ms": 3, "us": 6, "ns": 9}[kind.unit]
        part = f"{us % 10**6:06d}000"[:unit]
        return ("-" if x < datetime.timedelta(0) else "") + f"PT{us // 10**6}" + ("." + part if us % 10**6 else "") + "S"
    return x


def write(name, table, parquet=None, forms=("parquet",)):
    if "parquet" in forms:
        pq.write_table(table, f"{FOLDER}/{name}.parquet", **(parquet or {}))
    if "arrow" in forms:
        with pa.ipc.new_stream(f"{FOLDER}/{name}.arrow", table.schema) as out:
            out.write_table(table, max_chunksize=5)
    if "feather" in forms:
        pyarrow.feather.write_feather(table, f"{FOLDER}/{name}.feather", chunksize=7)
    with open(f"{FOLDER}/{name}.jsonl", "w") as out:
        for row in table.to_pylist():
            out.write(json.dumps({f.name: as_json(row[f.name], f.type) for f in table.schema}, ensure_ascii=False) + "\n")


def types():
    d, D = datetime, decimal.Decimal
    table = {
        "int8": pa.array([-128, 127, None], pa.int8()),
        "uint8": pa.array([0, 255, None], pa.uint8()),
        "int16": pa.array([-2**15, 2**15 - 1, None], pa.int16()),
        "uint32": pa.array([0, 2**32 - 1, None], pa.uint32()),
        "int64": pa.array([-2**63, 2**53 + 1, None], pa.int64()),
        "uint64": pa.array([2**64 - 1, 2**63, None], pa.uint64()),
        "float": pa.array([0.1, -0.0, None], pa.float32()),
        "double": pa.array([0.1, 1e300, float("nan")], pa.float64()),
        "infinite": pa.array([float("inf"), 5e-324, 3.0], pa.float64()),
        "half": pa.array([1.5, 65504.0, None], pa.float16()),
        "bool": pa.array([True, False, None]),
        "null": pa.nulls(3),
        "text": pa.array(['a"\\\n\r\t\x01\x1f/\u2028', "", "\u00e9\u4e16\U0001f600"]),
        "large": pa.array(["x", None, "y"], pa.large_string()),
        "view": pa.array(["a text of more than twelve bytes", None, "short"], pa.string()),
        "category": pa.array(["red", None, "red"]).dictionary_encode(),
        "bytes": pa.array([b"ok", b"", "\u00fc".encode()], pa.binary()),
        "fixed": pa.array([b"abcd", None, b"wxyz"], pa.binary(4)),
        "date32": pa.array([d.date(2024, 2, 29), d.date(1, 1, 1), d.date(9999, 12, 31)]),
        "date64": pa.array([d.date(1969, 12, 31), None, d.date(1900, 3, 1)], pa.date64()),
        "time32": pa.array([d.time(1, 2, 3), None, d.time(23, 59, 59, 999000)], pa.time32("ms")),
        "time64": pa.array([d.time(1, 2, 3, 4), None, d.time(0)], pa.time64("us")),
        "seconds": pa.array([d.datetime(2024, 1, 2, 3, 4, 5), None, d.datetime(1969, 12, 31, 23, 59, 59)], pa.timestamp("s")),
        "millis": pa.array([d.datetime(2024, 1, 2, 3, 4, 5, 6000), None, d.datetime(1, 1, 1)], pa.timestamp("ms")),
        "micros": pa.array([d.datetime(2024, 1, 2, 3, 4, 5, 678), None, d.datetime(1969, 12, 31, 23, 59, 59, 999999)], pa.timestamp("us")),
        "zone": pa.array([d.datetime(2024, 7, 2, 3, 4, 5, tzinfo=UTC), None, d.datetime(2000, 1, 1, tzinfo=UTC)], pa.timestamp("us", "Europe/Berlin")),
        "duration": pa.array([d.timedelta(seconds=-1.5), None, d.timedelta(days=2)], pa.duration("us")),
        "decimal": pa.array([D("-0.00000001"), None, D("12345.6")], pa.decimal128(20, 8)),
        "decimal9": pa.array([D("12.34"), None, D("-0.05")], pa.decimal128(9, 2)),
        "decimal256": pa.array([D("9" * 60), None, D("-1")], pa.decimal256(60, 0)),
        "uuid": pa.array([uuid.UUID(int=2**127 + 5).bytes, None, uuid.UUID(int=1).bytes], pa.uuid()),
    }
    write("types", pa.table(table), {"store_schema": True})
    both = {k: v for k, v in table.items() if k not in ("millis", "date64")}
    both["view"] = both["view"].cast(pa.string_view())
    write("types_arrow", pa.table(both), forms=("arrow", "feather"))


def int96():
    stamps = pa.array([datetime.datetime(1600, 1, 1), datetime.datetime(2024, 1, 2, 3, 4, 5, 678), datetime.datetime(9999, 12, 31, 23), None], pa.timestamp("us"))
    table = pa.table({"when": stamps})
    write("int96", table, {"use_deprecated_int96_timestamps": True, "store_schema": False})


MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


def nested():
    rows = [[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo\n"}], [], None, [{"role": "user", "content": None}, None]]
    deep = pa.list_(pa.list_(pa.struct([("a", pa.list_(pa.int32())), ("b", pa.map_(pa.string(), pa.float64()))])))
    table = pa.table({
        "messages": pa.array(rows, MESSAGES),
        "deep": pa.array([[[{"a": [1, None], "b": [("x", 1.0), ("y", None)]}], []], None, [None, [None]], []], deep),
        "fixed": pa.array([[1, 2], None, [3, None], [4, 5]], pa.list_(pa.int8(), 2)),
        "numbers": pa.array([[(1, "one")], [], None, [(2, None)]], pa.map_(pa.int64(), pa.string())),
        "meta": pa.array([{"source": {"url": "u", "n": 1}}, {"source": None}, None, {"source": {"url": None, "n": None}}]),
        "tags": pa.array([["a", "b"], [None], [], None], pa.large_list(pa.large_string())),
    })
    write("nested", table)
    write("nested_arrow", table, forms=("arrow", "feather"))


def groups():
    """Row groups and pages of many sizes, every codec: 40 rows."""
    table = pa.table({"i": pa.array(range(40)), "text": [f"text {i} " * (i % 7) for i in range(40)], "w": [[i] * (i % 3) for i in range(40)]})
    for k, codec in enumerate(["none", "snappy", "gzip", "zstd", "brotli", "lz4"]):
        write(f"groups_{codec}", table, {"row_group_size": [40, 7, 1, 13, 16, 39][k], "compression": codec, "data_page_version": ["1.0", "2.0"][k % 2],
                                         "use_dictionary": k % 3 == 0, "write_page_checksum": k % 2 == 1, "write_batch_size": 3, "data_page_size": 20})
        if k:
            os.remove(f"{FOLDER}/groups_{codec}.jsonl")


def batches():
    """Arrow files of five record batches, packed and not, and a stream of the same: 40 rows, each with its number's text."""
    table = pa.table({"i": pa.array(range(40)), "text": [f"text {i} " * (i % 7 + 1) for i in range(40)]})
    for name, make, packed in [("plain", pa.ipc.new_file, None), ("zstd", pa.ipc.new_file, "zstd"), ("stream", pa.ipc.new_stream, None)]:
        with make(f"{FOLDER}/batches_{name}.arrow", table.schema, options=pa.ipc.IpcWriteOptions(compression=packed)) as out:
            for begin, end in [(0, 13), (13, 14), (14, 30), (30, 39), (39, 40)]:
                out.write_table(table.slice(begin, end - begin))


def chats():
    """The same conversations as messages, as texts and as a problem."""
    rows = [[{"role": "user", "content": f"What is {i} + {i}?"}, {"role": "assistant", "content": f"{2 * i}."}] for i in range(30)]
    write("chat", pa.table({"messages": pa.array(rows, MESSAGES), "id": pa.array(range(30))}), {"row_group_size": 8})


def filled_in():
    """Documents that were cut for filling in: extra.control says where control tokens stand (docs/formats.md, "Augmented documents")."""
    P, S, M = "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"
    rows = []
    for i in range(6):
        a, b, c = f"a{i} ", f"b{i} ", f"c{i}"
        text = P + a + S + c + M + b
        starts = [0, len(P + a), len(P + a + S + c)]
        control = [[k, k + len(t)] for k, t in zip(starts, [P, S, M])]
        rows.append({"text": text, "extra": {"control": control, "code": "Python"}} if i % 2 == 0 else {"text": a + P + b, "extra": {"control": None, "code": "C"}})
    rows.append({"text": "plain", "extra": None})
    write("fim", pa.Table.from_pylist(rows), forms=("parquet", "arrow"))


def damaged():
    """What is no text, and what becomes a million times its size."""
    pq.write_table(pa.table({"i": [0, 1, 2], "image": pa.array([{"bytes": b"ok"}, {"bytes": b"\xff\xd8\xff"}, None])}), f"{FOLDER}/bytes.parquet")
    pq.write_table(pa.table({"text": ["x" * 1_000_000] * 2_000}), f"{FOLDER}/bomb.parquet", compression="zstd")
    pq.write_table(pa.table({"i": [1], "also": [2]}).rename_columns(["i", "i"]), f"{FOLDER}/twice.parquet")


def random_value(rng, kind):
    if rng.random() < 0.15:
        return None
    if pa.types.is_list(kind):
        return [random_value(rng, kind.value_type) for _ in range(rng.randrange(4))]
    if pa.types.is_struct(kind):
        return {f.name: random_value(rng, f.type) for f in kind}
    if pa.types.is_map(kind):
        return [(k, random_value(rng, kind.item_type)) for k in rng.sample(["a", "b", "\u00e9", ""], rng.randrange(4))]
    if pa.types.is_string(kind):
        return "".join(chr(rng.choice([rng.randrange(0x80), rng.randrange(0xA0, 0xD800), rng.randrange(0x10000, 0x10FFFF)])) for _ in range(rng.randrange(9)))
    if pa.types.is_boolean(kind):
        return rng.random() < 0.5
    if pa.types.is_floating(kind):
        return rng.choice([rng.gauss(0, 1e3), rng.gauss(0, 1e-300), float(rng.randrange(100)), float("inf")])
    if pa.types.is_decimal(kind):
        return decimal.Decimal(rng.randrange(-10**12, 10**12)).scaleb(-kind.scale)
    if pa.types.is_timestamp(kind):
        return datetime.datetime(1, 1, 1) + datetime.timedelta(microseconds=rng.randrange(10**17))
    if pa.types.is_date(kind):
        return datetime.date.fromordinal(rng.randrange(1, 3_000_000))
    return rng.randrange(-2**63, 2**63)


def random_kind(rng, depth):
    kinds = [pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.decimal128(20, 5), pa.timestamp("us"), pa.date32()]
    if depth == 0 or rng.random() < 0.5:
        return rng.choice(kinds)
    inner = lambda: random_kind(rng, depth - 1)
    return rng.choice([lambda: pa.list_(inner()), lambda: pa.map_(pa.string(), inner()),
                       lambda: pa.struct([(n, inner()) for n in ["x", "y"][: rng.randrange(1, 3)]])])()


def random_tables(seed):
    rng = random.Random(seed)
    for k in range(20):
        n = rng.choice([0, 1, 7, 200])
        schema = pa.schema([(f"c{i}", random_kind(rng, 3)) for i in range(rng.randrange(1, 6))])
        table = pa.table({f.name: pa.array([random_value(rng, f.type) for _ in range(n)], f.type) for f in schema}, schema)
        write(f"random{k}", table, {"row_group_size": rng.choice([1, 3, 1000]), "compression": rng.choice(["none", "snappy", "zstd"]),
                                    "use_dictionary": rng.random() < 0.5, "data_page_size": rng.choice([50, 10**6]), "write_batch_size": rng.choice([2, 1000])},
              ("parquet", "arrow") if k % 2 else ("parquet", "feather"))


os.makedirs(FOLDER, exist_ok=True)
if len(sys.argv) > 2:
    random_tables(int(sys.argv[2]))
else:
    types()
    int96()
    nested()
    groups()
    batches()
    chats()
    filled_in()
    damaged()
