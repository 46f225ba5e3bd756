#!/usr/bin/env python3
"""What compiling costs, from the lines of scripts/timed_compile.sh: "<CPU seconds> <object>".

    compile_times.py FILE             the sum and the slowest files
    compile_times.py FILE --check     also fails (1) when a file takes more than 30 s, or a whole cold build a fifth more than docs/results/build.md says

Machines differ, so the sum is counted in units: the time of the precompiled headers, which hold libraries that nobody edits. The baseline is
the line "baseline: <files> files, <units> units, unit <seconds> s" of docs/results/build.md. A build out of a warm compiler cache has few lines: of it
only the single files are held.
"""
import pathlib
import re
import sys

LIMIT_S, GROWTH = 30.0, 1.2
UNIT = "/cmake_pch.hxx.gch"


def read(path):
    """{object: seconds}; an object that was compiled twice counts with its shorter time (the other one was disturbed)."""
    times = {}
    for line in pathlib.Path(path).read_text().splitlines():
        seconds, _, name = line.partition(" ")
        if name.endswith((".o", ".gch")):
            times[name] = min(float(seconds), times.get(name, float("inf")))
    return times


def unit_of(times):
    """Seconds; None where the headers came out of the cache."""
    headers = [s for name, s in times.items() if name.endswith(UNIT)]
    return sum(headers) if len(headers) >= 4 else None


def faults(times, page):
    found = re.search(r"baseline: (\d+) files, ([\d.]+) units, unit ([\d.]+) s", page)
    if not found:
        return ["docs/results/build.md has no line 'baseline: ...'"]
    files, units, unit = int(found[1]), float(found[2]), float(found[3])
    here = unit_of(times)
    slower = max(1.0, here / unit) if here else 1.5  # than the machine of the baseline
    out = [f"{name} takes {s:.1f} s to compile (at most {LIMIT_S * slower:.0f}): split it, or include less" for name, s in times.items() if s > LIMIT_S * slower]
    if here and len(times) >= 0.9 * files and sum(times.values()) / here > GROWTH * units:
        out.append(f"a cold build costs {sum(times.values()) / here:.0f} units, {units:.0f} before: say why in docs/results/build.md, and set its baseline anew")
    return out


def main():
    times = read(sys.argv[1])
    total, unit = sum(times.values()), unit_of(times)
    print(f"compiled {len(times)} files in {total:.0f} CPU s" + (f"; baseline: {len(times)} files, {total / unit:.1f} units, unit {unit:.2f} s" if unit else ""))
    for name, seconds in sorted(times.items(), key=lambda item: -item[1])[:10]:
        print(f"  {seconds:6.1f}  {name}")
    if "--check" in sys.argv:
        page = (pathlib.Path(__file__).parent.parent / "docs/results/build.md").read_text()
        problems = faults(times, page)
        for problem in problems:
            print("compile times:", problem, file=sys.stderr)
        sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
