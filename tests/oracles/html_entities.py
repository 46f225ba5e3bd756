#!/usr/bin/env python3
"""Writes r1/corpus/html_entities.inc from Python's table of WHATWG's named character references: python3 tests/oracles/html_entities.py"""
import html.entities
import pathlib

HEAD = ("// The named character references of HTML (WHATWG, 13.5), sorted by name; those that may lack their ';' stand twice. "
        "Made by tests/oracles/html_entities.py.")


def main():
    lines, line = [HEAD], ""
    for name, value in sorted(html.entities.html5.items()):
        row = '{"%s", "%s"},' % (name, "".join("\\x%02X" % b for b in value.encode()))
        if len(line) + len(row) + 1 > 140:
            lines.append(line)
            line = ""
        line += (" " if line else "") + row
    lines.append(line)
    root = pathlib.Path(__file__).resolve().parents[2]
    (root / "r1/corpus/html_entities.inc").write_text("\n".join(lines) + "\n")


main()
