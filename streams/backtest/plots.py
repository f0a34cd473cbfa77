"""Small plots as SVG text: a line plot, bars, stacked bands. Colours follow the page, light or dark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 42
TICKS = 5

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """A named series of points; `low` and `high`, where given, are whiskers at the same x.

    Parameters
    ----------
    style
        CSS class: `main`, `other`, or `ideal` (dashed, no marks).
    """

    name: str
    points: Sequence[Point]
    style: str = "main"
    whiskers: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True, slots=True)
class Axes:
    """Ranges and titles of both axes; `is_share` writes numbers as percent."""

    x_title: str
    y_title: str
    x: tuple[float, float] = (0.0, 1.0)
    y: tuple[float, float] = (0.0, 1.0)
    is_share: bool = True

    def place(self, point: Point) -> Point:
        """Return where a point stands, in pixels from the upper left."""
        spans = [(high - low) or 1.0 for low, high in (self.x, self.y)]
        across = (point[0] - self.x[0]) / spans[0] * (WIDTH - LEFT - RIGHT)
        up = (point[1] - self.y[0]) / spans[1] * (HEIGHT - TOP - BOTTOM)
        return round(LEFT + across, 1), round(HEIGHT - BOTTOM - up, 1)


def line_plot(axes: Axes, lines: Sequence[Line], label: str) -> str:
    """Return a plot of lines; `label` is read aloud in place of the picture."""
    body = [_frame(axes)]
    for line in lines:
        places = [axes.place(point) for point in line.points]
        path = " ".join(f"{x},{y}" for x, y in places)
        body.append(f'<polyline class="line {line.style}" points="{path}"/>')
        for (x, _), (low, high) in zip(line.points, line.whiskers, strict=False):
            (left, bottom), (_, top) = axes.place((x, low)), axes.place((x, high))
            body.append(f'<line class="whisker" x1="{left}" x2="{left}" y1="{bottom}" y2="{top}"/>')
        if line.style != "ideal":
            body += [
                f'<circle class="dot {line.style}" cx="{x}" cy="{y}" r="3"><title>{_numbers(axes, point)}</title></circle>'
                for (x, y), point in zip(places, line.points, strict=True)
            ]
    return _svg("".join(body), label) + _legend([(line.style, line.name) for line in lines])


def stacked(axes: Axes, layers: Mapping[str, Sequence[float | None]], xs: Sequence[float], label: str) -> str:
    """Return layers above each other, the first at the bottom; where a layer is unknown the column is left out."""
    known = [k for k in range(len(xs)) if all(layer[k] is not None for layer in layers.values())]
    body = [_frame(axes)]
    floor = dict.fromkeys(known, 0.0)
    for name, layer in layers.items():
        top = {k: floor[k] + (layer[k] or 0.0) for k in known}
        outline = [axes.place((xs[k], top[k])) for k in known] + [axes.place((xs[k], floor[k])) for k in known[::-1]]
        path = " ".join(f"{x},{y}" for x, y in outline)
        body.append(
            f'<polygon class="area band-{escape(name)}" points="{path}"><title>{escape(name)}</title></polygon>'
        )
        floor = top
    return _svg("".join(body), label) + _legend([(f"band-{name}", name) for name in layers])


def bars(rows: Sequence[tuple[str, float, bool]], low: float, high: float, label: str) -> str:
    """Return horizontal bars of (name, value, whether it is ours) from `low` to `high`, with the value beside each."""
    step = 24
    height = step * len(rows) + 8
    body = []
    for k, (name, value, is_ours) in enumerate(rows):
        y = 4 + k * step
        length = max(min((value - low) / (high - low), 1.0), 0.0) * (WIDTH - 250)
        body.append(
            f'<text class="name" x="176" y="{y + 15}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="bar {"main" if is_ours else "other"}" x="184" y="{y + 2}" '
            f'width="{length:.1f}" height="{step - 8}" rx="2"/>'
            f'<text class="value" x="{190 + length:.1f}" y="{y + 15}">{value:.3f}</text>'
        )
    return f'<div class="bars">{_svg("".join(body), label, height)}</div>'


def _frame(axes: Axes) -> str:
    parts = []
    for k in range(TICKS + 1):
        x = axes.x[0] + (axes.x[1] - axes.x[0]) * k / TICKS
        y = axes.y[0] + (axes.y[1] - axes.y[0]) * k / TICKS
        (left, bottom), (right, level) = axes.place((x, axes.y[0])), axes.place((axes.x[1], y))
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{level}" y2="{level}"/>'
            f'<text class="tick" x="{left}" y="{bottom + 16}" text-anchor="middle">{_number(x, is_share=axes.is_share)}</text>'
            f'<text class="tick" x="{LEFT - 6}" y="{level + 4}" text-anchor="end">{_number(y, is_share=True)}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text class="title" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(axes.x_title)}</text>'
    )
    high = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text class="title" transform="translate(12 {high}) rotate(-90)" text-anchor="middle">{escape(axes.y_title)}</text>'
    )
    return "".join(parts)


def _number(value: float, *, is_share: bool) -> str:
    if not is_share:
        return f"{value:g}"
    digits = 0 if abs(value) >= 0.1 or value == 0 else 1 if abs(value) >= 0.01 else 2
    return f"{value * 100:.{digits}f} %"


def _numbers(axes: Axes, point: Point) -> str:
    return f"{_number(point[0], is_share=axes.is_share)} → {_number(point[1], is_share=True)}"


def _svg(body: str, label: str, height: int = HEIGHT) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">{body}</svg>'


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    keys = "".join(f'<span><i class="key {style}"></i>{escape(name)}</span>' for style, name in entries)
    return f'<p class="legend">{keys}</p>'
