"""Charts as SVG, readable on light and dark: bars of one number each, and lines on logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import pandas as pd

_STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328 } .title { font-weight: 600 } .end { text-anchor: end }
.middle { text-anchor: middle } .page { fill: #ffffff } .rule { stroke: #d1d9e0 } .bar { fill: #9aa4af }
.ours, .s0 { fill: #0969da; stroke: #0969da } .s1 { fill: #bc4c00; stroke: #bc4c00 }
.s2 { fill: #1a7f37; stroke: #1a7f37 } .s3 { fill: #8250df; stroke: #8250df } polyline { stroke-width: 2 }
.line { fill: none }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .page { fill: #0d1117 } .rule { stroke: #3d444d } .bar { fill: #656c76 }
.ours, .s0 { fill: #4493f8; stroke: #4493f8 } .s1 { fill: #f0883e; stroke: #f0883e }
.s2 { fill: #3fb950; stroke: #3fb950 } .s3 { fill: #ab7df8; stroke: #ab7df8 } .line { fill: none }
}
</style>"""
_WIDTH, _LEFT, _ROW = 640, 130, 24


def bars(title: str, values: pd.Series, *, ours: str = "ours", unit: str = "") -> str:
    """A bar from zero for each value (name -> number; NaN has none), in their order; `ours` stands out."""
    values = values.dropna()
    low, high = min(0.0, values.min()), max(0.0, values.max())
    scale = (_WIDTH - _LEFT - 130) / ((high - low) or 1)
    zero = _LEFT + (60 if low < 0 else 0) - low * scale
    drawn = [f'<line class="rule" x1="{zero:.1f}" x2="{zero:.1f}" y1="32" y2="{36 + _ROW * len(values)}"/>']
    for i, (name, value) in enumerate(values.items()):
        y, left, right = 36 + i * _ROW, zero + min(0.0, value) * scale, zero + max(0.0, value) * scale
        kind, text = ("bar ours" if name == ours else "bar"), f"{value:.3g}{unit}"
        drawn += [
            f'<text class="end" x="{_LEFT - 8}" y="{y + 15}">{escape(name)}</text>',
            f'<rect class="{kind}" x="{left:.1f}" y="{y + 3}" width="{right - left:.1f}" height="{_ROW - 8}"/>',
            f'<text class="end" x="{left - 6:.1f}" y="{y + 15}">{text}</text>'
            if value < 0
            else f'<text x="{right + 6:.1f}" y="{y + 15}">{text}</text>',
        ]
    return _svg(title, 48 + _ROW * len(values), drawn)


def lines(title: str, series: Mapping[str, Sequence[tuple[float, float]]], *, across: str) -> str:
    """A line with its points for each series of (x, y), all above zero; both axes are logarithmic."""
    points = [point for line in series.values() for point in line]
    left, right, top, bottom, height = 56, _WIDTH - 24, 60, 300, 340
    x_axis, y_axis = _decades([x for x, _ in points]), _decades([y for _, y in points])

    def place(x: float, y: float) -> tuple[float, float]:
        return _between(x, x_axis, left, right), _between(y, y_axis, bottom, top)

    drawn = [f'<text class="middle" x="{(left + right) / 2}" y="{height - 6}">{escape(across)}</text>']
    for y in y_axis:
        at = place(x_axis[0], y)[1]
        drawn.append(f'<line class="rule" x1="{left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        drawn.append(f'<text class="end" x="{left - 8}" y="{at + 4:.1f}">{_short(y)}</text>')
    drawn += [
        f'<text class="middle" x="{place(x, y_axis[0])[0]:.1f}" y="{bottom + 18}">{_short(x)}</text>' for x in x_axis
    ]
    beside: float = left
    for i, (name, line) in enumerate(series.items()):
        placed = [place(x, y) for x, y in sorted(line)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        drawn.append(f'<polyline class="s{i} line" points="{path}"/>')
        drawn += [f'<circle class="s{i}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in placed]
        drawn.append(f'<rect class="s{i}" x="{beside:.1f}" y="36" width="10" height="10"/>')
        drawn.append(f'<text x="{beside + 16:.1f}" y="45">{escape(name)}</text>')
        beside += 28 + 6.5 * len(name)
    return _svg(title, height, drawn)


def _svg(title: str, height: int, drawn: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" role="img">'
    page = f'<rect class="page" width="{_WIDTH}" height="{height}"/>'
    said = f'<text class="title" x="12" y="20">{escape(title)}</text>'
    return "\n".join([head, f"<title>{escape(title)}</title>", _STYLE, page, said, *drawn, "</svg>", ""])


def _decades(values: Sequence[float]) -> list[float]:
    """Powers of ten from below the least to above the greatest."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [10.0**power for power in range(low, max(high, low + 1) + 1)]


def _between(value: float, axis: Sequence[float], low: float, high: float) -> float:
    return low + (high - low) * math.log10(value / axis[0]) / math.log10(axis[-1] / axis[0])


def _short(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
