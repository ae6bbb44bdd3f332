"""Tables in Markdown, and the places in pages of `docs` that scripts write them to."""

import re


def table(head, body):
    """A Markdown table with aligned columns: text to the left in the first, to the right in the others."""
    widths = [max(3, *(len(line[column]) for line in [head, *body])) for column in range(len(head))]

    def line(cells):
        padded = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        return f"| {' | '.join([cells[0].ljust(widths[0]), *padded[1:]])} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(head), line(rule), *map(line, body)])


def markers(name):
    """The lines between which a page has the text of this name."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def rewrite(path, text, name="table"):
    """Put a text between the markers of a page; ValueError if it does not have them once each, in this order."""
    begin, end = markers(name)
    page = path.read_text(encoding="utf-8")
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise ValueError(f"{path} must have one line {begin} and after it one line {end}")
    pattern = re.compile(re.escape(begin) + ".*" + re.escape(end), flags=re.DOTALL)
    path.write_text(pattern.sub(lambda _: f"{begin}\n\n{text}\n\n{end}", page), encoding="utf-8")
