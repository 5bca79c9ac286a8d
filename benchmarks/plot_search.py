"""Quality against trials as a small SVG: a panel for each setting, a line with its 95 % band for each searcher."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

COLOURS = ("#0072b2", "#222222", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c564b", "#7f7f7f", "#b5a642")
"""Okabe and Ito's palette and three more; with the dashes that follow, 30 lines can be told apart."""
DASHES = ("", "6 3", "2 2")
WIDTH, HEIGHT, MARGIN, LEGEND = 420, 260, 46, 150


def plot(settings: Mapping[str, Mapping[str, Any]]) -> str:
    """The SVG document of a benchmark's ``settings``."""
    names = list(dict.fromkeys(name for result in settings.values() for name in result["searchers"]))
    styles = {name: (COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % 3]) for i, name in enumerate(names)}
    columns = min(2, len(settings))
    rows = math.ceil(len(settings) / columns)
    panels = [
        f'<g transform="translate({i % columns * WIDTH},{i // columns * HEIGHT})">{_panel(title, result, styles)}</g>'
        for i, (title, result) in enumerate(settings.items())
    ]
    width, height = columns * WIDTH + LEGEND, max(rows * HEIGHT, 40 + 18 * len(names))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
        f'font-size="11"><rect width="100%" height="100%" fill="white"/>{"".join(panels)}'
        f"{_legend(styles, columns * WIDTH)}</svg>\n"
    )


def _panel(title: str, result: Mapping[str, Any], styles: Mapping[str, tuple[str, str]]) -> str:
    """Accuracy of the recommendation in per cent against trials; the first round sets no limit of the axis."""
    k, rows = result["n_trials"], result["searchers"]
    curves = {name: _known(row, k) for name, row in rows.items()}
    last = max(n for curve in curves.values() for n, _, _ in curve)
    later = [(mean, half) for curve in curves.values() for n, mean, half in curve if n > k]
    low, high = min(mean - half for mean, half in later), max(mean + half for mean, half in later)

    def at(n: float, value: float) -> str:
        x = MARGIN + (WIDTH - MARGIN - 14) * (n - k) / max(1, last - k)
        y = HEIGHT - 34 - (HEIGHT - 64) * (min(max(value, low), high) - low) / max(high - low, 1e-9)
        return f"{x:.1f},{y:.1f}"

    parts = [f'<text x="{MARGIN}" y="18" font-weight="bold">{title}</text>']
    for i in range(5):
        value = low + (high - low) * i / 4
        x, y = at(k, value).split(",")
        parts.append(f'<line x1="{x}" x2="{WIDTH - 14}" y1="{y}" y2="{y}" stroke="#e0e0e0"/>')
        parts.append(f'<text x="{MARGIN - 5}" y="{y}" text-anchor="end" dominant-baseline="middle">{value:.1f}</text>')
    for n in _ticks(k, last):
        x, y = at(n, low).split(",")
        parts.append(f'<text x="{x}" y="{float(y) + 14:.1f}" text-anchor="middle">{n}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 4}" text-anchor="middle">trials</text>')
    for name, curve in curves.items():
        colour, dash = styles[name]
        band = [at(n, mean + half) for n, mean, half in curve] + [at(n, mean - half) for n, mean, half in curve[::-1]]
        line = " ".join(at(n, mean) for n, mean, _ in curve)
        parts.append(f'<polygon points="{" ".join(band)}" fill="{colour}" opacity="0.08"/>')
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-dasharray="{dash}"/>')
    return "".join(parts)


def _known(row: Mapping[str, Any], k: int) -> list[tuple[int, float, float]]:
    """(trials, mean, half width) in per cent, where they were measured."""
    triples = zip(row["accuracy"], row["half_width"], strict=True)
    return [((m + 1) * k, 100 * mean, 100 * half) for m, (mean, half) in enumerate(triples) if mean is not None]


def _ticks(first: int, last: int) -> Sequence[int]:
    """About five numbers of trials, whole rounds apart."""
    return range(first, last + 1, first * max(1, round((last - first) / first / 5)))


def _legend(styles: Mapping[str, tuple[str, str]], left: int) -> str:
    return "".join(
        f'<line x1="{left + 4}" x2="{left + 30}" y1="{30 + 18 * i}" y2="{30 + 18 * i}" stroke="{colour}" '
        f'stroke-width="2" stroke-dasharray="{dash}"/><text x="{left + 36}" y="{34 + 18 * i}">{name}</text>'
        for i, (name, (colour, dash)) in enumerate(styles.items())
    )
