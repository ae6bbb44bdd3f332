"""The figure of docs/development/architecture.md, as an SVG file beside this script, from the list on that page.

python docs/figures/make_layers_figure.py
"""

import ast
import re
from html import escape
from pathlib import Path

FIGURE = Path(__file__).parent / "layers.svg"
ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "development" / "architecture.md"

WIDTH, MARGIN, TEXT_FROM = 900, 44, 668
BAND, GAP, BOX = 40, 8, 26  # heights of a layer, between layers, and of a box in it
CHARACTER = 7.8  # width of one, monospaced at 13 px
INK, GREY, BAND_FILL = "#222222", "#666666", "#f3f3f3"
KINDS = {  # fill and border
    "folder": ("#d7e8f4", "#0072b2"),
    "file": ("#ffffff", "#8a8a8a"),
    "compiled": ("#fbe9c8", "#e69f00"),
}


def layers_of(page):
    """The layers that the page lists, lowest first.

    Parameters
    ----------
    page : str
        Its text.

    Returns
    -------
    layers : list of list of str
    remarks : list of str
        One for each layer.
    """
    (block,) = re.findall(r"^LAYERS = (\[\n.*?^\])", page, flags=re.MULTILINE | re.DOTALL)
    return ast.literal_eval(block), re.findall(r"# (.*)$", block, flags=re.MULTILINE)


def kind_of(name):
    """What a package or module is drawn as: a key of `KINDS`."""
    if name == "_core":
        return "compiled"
    return "folder" if (ROOT / "sltrees" / name).is_dir() else "file"


def draw(layers, remarks):
    """The figure: the highest layer at the top.

    Parameters
    ----------
    layers : list of list of str
    remarks : list of str

    Returns
    -------
    str
        SVG.
    """
    height = MARGIN + len(layers) * (BAND + GAP) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        ' role="img" aria-label="The layers of sltrees, the highest at the top">',
        f'<rect width="{WIDTH}" height="{height}" rx="6" fill="#ffffff"/>',
        f'<g font-family="sans-serif" font-size="12" fill="{GREY}">',
        f'<text x="{MARGIN}" y="26">sltrees itself: the face, which imports from all below it</text>',
        f'<path d="M 22 {MARGIN} V {height - 52}" stroke="{GREY}" fill="none"/>',
        f'<path d="M 17 {height - 54} h 10 l -5 9 z"/>',
        f'<text transform="translate(15 {height / 2:g}) rotate(-90)" text-anchor="middle">imports</text>',
    ]
    for place, (names, remark) in enumerate(zip(reversed(layers), reversed(remarks), strict=True)):
        y = MARGIN + place * (BAND + GAP)
        parts += [f'<rect x="{MARGIN - 6}" y="{y}" width="{WIDTH - MARGIN - 4}" height="{BAND}" fill="{BAND_FILL}"/>']
        parts += [f'<text x="{TEXT_FROM}" y="{y + 25}">{escape(remark)}</text>']
        x = MARGIN
        for name in names:
            width = len(name) * CHARACTER + 14
            parts += box(x, y + (BAND - BOX) / 2, width, name, kind_of(name))
            x += width + 8
    y, x = height - 34, MARGIN
    for label in KINDS:
        width = len(label) * CHARACTER + 14
        parts += box(x, y, width, label, label)
        x += width + 8
    return "\n".join([*parts, "</g>", "</svg>", ""])


def box(x, y, width, text, kind):
    """A box with a text in it: list of SVG elements."""
    fill, border = KINDS[kind]
    return [
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{BOX}" rx="4" fill="{fill}" stroke="{border}"/>',
        f'<text x="{x + width / 2:g}" y="{y + 17:g}" font-family="monospace" font-size="13" fill="{INK}"'
        f' text-anchor="middle">{escape(text)}</text>',
    ]


if __name__ == "__main__":
    FIGURE.write_text(draw(*layers_of(PAGE.read_text(encoding="utf-8"))), encoding="utf-8")
