"""The page: one HTML file without any other, for screen, phone and paper. All text is escaped."""

from __future__ import annotations

from html import escape
from string import Template
from typing import TYPE_CHECKING, NamedTuple

from wetloop.analysis.report.numbers import plain_columns, worded
from wetloop.analysis.report.style import inline_svg

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wetloop.analysis.report.methods import Paragraph
    from wetloop.analysis.report.numbers import Columns
    from wetloop.analysis.report.style import Panel

STYLE = """
:root { color-scheme: light dark; --ink: #1b1c1d; --grid: #d8dbe0; --page: #ffffff; --card: #f6f7f9; --dim: #5a6472;
  --warn: #9a3b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --grid: #3a424e; --page: #14171c; --card: #1c2129;
  --dim: #a4adbb; --warn: #ffb27a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem clamp(0.8rem, 3vw, 2rem); max-width: 76rem; background: var(--page);
  color: var(--ink); font: 1rem/1.5 system-ui, "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 0.2rem; } h2 { font-size: 1.25rem; margin: 2.2rem 0 0.6rem; }
h3 { font-size: 1rem; margin: 0 0 0.3rem; }
p { margin: 0.3rem 0 0.6rem; max-width: 72ch; } .dim, figcaption { color: var(--dim); }
figcaption { max-width: 36rem; font-size: 0.85rem; line-height: 1.4; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 10.5rem), 1fr)); gap: 0.5rem; }
.facts div { background: var(--card); border-radius: 6px; padding: 0.45rem 0.7rem; }
.facts dt { font-size: 0.78rem; color: var(--dim); } .facts dd { margin: 0; font-weight: 600; }
.warn { border-left: 4px solid var(--warn); margin: 0.3rem 0; padding-left: 1.8rem; } .warn li { margin: 0.15rem 0; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); gap: 1.4rem 1.6rem; }
figure { margin: 0; break-inside: avoid; } svg { display: block; width: 100%; max-width: 36rem; height: auto; }
.empty { background: var(--card); border-radius: 6px; padding: 1.5rem 1rem; color: var(--dim); margin: 0.4rem 0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.2rem 0.8rem 0.2rem 0; border-bottom: 1px solid var(--grid); vertical-align: top;
  overflow-wrap: normal; white-space: nowrap; }
td.long { white-space: normal; min-width: min(18rem, 40vw); } thead th { white-space: normal; }
td.n, th.n { text-align: right; } .parameters { columns: 24rem; font-size: 0.78rem; }
.parameters div { display: flex; justify-content: space-between; gap: 1rem; border-bottom: 1px solid var(--grid);
  break-inside: avoid; }
.parameters dt { color: var(--dim); } .parameters dd { margin: 0; text-align: right; }
@media print { :root { --ink: #000000; --grid: #cccccc; --page: #ffffff; --card: #f3f3f3; --dim: #333333;
  --warn: #7a2e00; } body { max-width: none; padding: 0; font-size: 10pt; } .figures { grid-template-columns: 1fr 1fr; }
  h2, h3 { break-after: avoid; } @page { margin: 15mm; } }
"""
LONG_TEXT = 24
PAGE = Template(
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src "
    'data:">\n<title>$title</title>\n<style>$style</style>\n</head>\n<body>\n$body\n</body>\n</html>\n'
)


class Html(NamedTuple):
    """A piece of the page that is HTML already."""

    text: str


def page(title: str, parts: Iterable[Html]) -> str:
    """Return the whole page."""
    return PAGE.substitute(title=escape(title), style=STYLE, body="\n".join(part.text for part in parts))


def heading(text: str, level: int = 2) -> Html:
    """Return a heading."""
    return Html(f"<h{level}>{escape(text)}</h{level}>")


def sentence(text: str, *, dim: bool = False) -> Html:
    """Return a paragraph."""
    return Html(f'<p class="dim">{escape(text)}</p>' if dim else f"<p>{escape(text)}</p>")


def facts(told: Mapping[str, str]) -> Html:
    """Return names and values as small cards."""
    cards = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in told.items())
    return Html(f'<dl class="facts">{cards}</dl>')


def warnings(told: Sequence[str], otherwise: str) -> Html:
    """Return what a reader is to be warned of, or that there is nothing."""
    if not told:
        return sentence(otherwise)
    items = "".join(f"<li>{escape(each)}</li>" for each in told)
    return Html(f'<ul class="warn">{items}</ul>')


def figures(panels: Iterable[Panel]) -> Html:
    """Return the figures with their captions, two beside each other where there is room."""
    return Html('<div class="figures">' + "".join(map(_figure, panels)) + "</div>")


def _figure(panel: Panel) -> str:
    drawn = f'<div class="empty">{escape(panel.empty)}</div>' if panel.empty else _drawn(panel)
    caption = "" if panel.empty else f"<figcaption>{escape(panel.caption)}</figcaption>"
    return f'<figure id="{escape(panel.name)}"><h3>{escape(panel.title)}</h3>{drawn}{caption}</figure>'


def _drawn(panel: Panel) -> str:
    return inline_svg(panel).replace('role="img"', f'role="img" aria-label="{escape(panel.title)}"', 1)


def table(columns: Columns, titles: Mapping[str, str] | None = None) -> Html:
    """Return a table; numbers stand on the right with four digits at most."""
    titles = titles or {name: name.replace("_", " ") for name in columns}
    told = plain_columns({name: columns[name] for name in titles})
    right = {name: columns[name].dtype.kind in "fiub" for name in titles}
    head = "".join(f"<th{_side(right=right[name])}>{escape(title)}</th>" for name, title in titles.items())
    rows = zip(*told.values(), strict=True)
    body = "".join(
        "<tr>" + "".join(_cell(value, right=right[name]) for name, value in zip(titles, row, strict=True)) + "</tr>"
        for row in rows
    )
    return Html(f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>')


def _cell(value: object, *, right: bool) -> str:
    text = "\N{EN DASH}" if value is None else worded(value)
    side = ' class="long"' if len(text) > LONG_TEXT else _side(right=right)
    return f"<td{side}>{escape(text)}</td>"


def _side(*, right: bool) -> str:
    return ' class="n"' if right else ""


def prose(paragraphs: Iterable[Paragraph]) -> Html:
    """Return paragraphs, each with its heading at its front."""
    told = (f"<p><strong>{escape(each.heading)}.</strong> {escape(each.text)}</p>" for each in paragraphs)
    return Html("".join(told))


def parameters(columns: Columns) -> Html:
    """Return names and values in as many columns as fit."""
    pairs = zip(columns["parameter"].tolist(), columns["value"].tolist(), strict=True)
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return Html(f'<dl class="parameters">{rows}</dl>')
