"""One metric of several runs as an SVG line chart, with nothing but Python.

  python3 docs/results/plot_metric.py OUT.svg METRIC RUN=LABEL ...

METRIC: a key of the lines (of a list the largest); METRIC:LIMIT draws a dashed line at LIMIT, METRIC:LIMIT:TITLE names the chart. RUN: a run folder (its metrics.jsonl), or a file of JSON lines; FILE@RULE takes
those lines of it that say "rule": RULE.
"""
import json
import os
import sys
from html import escape

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 320, 52, 34, 16, 40
COLOURS = ["#0f766e", "#b45309", "#6d28d9", "#475569"]


def series(run, metric):
    path, _, rule = run.partition("@")
    with open(f"{path}/metrics.jsonl" if os.path.isdir(path) else path) as lines:
        rows = [json.loads(line) for line in lines]
    rows = [row for row in rows if row.get(metric) is not None and (not rule or row["rule"] == rule)]
    return [(row["step"], max(row[metric]) if isinstance(row[metric], list) else row[metric]) for row in rows]


def main():
    out, metric, runs = sys.argv[1], sys.argv[2], [a.split("=", 1) for a in sys.argv[3:]]
    metric, limit, title = (metric.split(":", 2) + ["", ""])[:3]
    curves = [(label, series(folder, metric)) for folder, label in runs]
    x_end = max(x for _, c in curves for x, _ in c)
    y_end = max(y for _, c in curves for _, y in c) * 1.05
    y_start = min(1.0, min(y for _, c in curves for _, y in c))

    def px(x):
        return LEFT + (WIDTH - LEFT - RIGHT) * x / x_end

    def py(y):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - y_start) / (y_end - y_start)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>', f'<text x="{LEFT}" y="18" font-size="14">{escape(title or metric)}</text>']
    for i in range(6):
        y = y_start + (y_end - y_start) * i / 5
        parts.append(f'<path d="M{LEFT} {py(y):.1f}H{WIDTH - RIGHT}" stroke="#e2e8f0"/><text x="{LEFT - 6}" y="{py(y) + 4:.1f}" text-anchor="end" fill="#475569">{y:.2f}</text>')
        x = x_end * i / 5
        parts.append(f'<text x="{px(x):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" fill="#475569">{x:.0f}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle" fill="#475569">step</text>')
    if limit:
        parts.append(f'<path d="M{LEFT} {py(float(limit)):.1f}H{WIDTH - RIGHT}" stroke="#94a3b8" stroke-dasharray="5 4"/>')
    for i, (label, curve) in enumerate(curves):
        path = "M" + "L".join(f"{px(x):.1f} {py(y):.1f}" for x, y in curve)
        parts.append(f'<path d="{path}" fill="none" stroke="{COLOURS[i % len(COLOURS)]}" stroke-width="1.4" stroke-linejoin="round"/>')
        parts.append(f'<text x="{WIDTH - RIGHT - 4}" y="{18 + 15 * i}" text-anchor="end" fill="{COLOURS[i % len(COLOURS)]}">{escape(label)}</text>')
    with open(out, "w") as file:
        file.write("\n".join(parts) + "\n</svg>\n")


main()
