"""What is raised where a file is not what it should be, and how its messages show what they quote."""

from __future__ import annotations

from sltrees._validation import MAX_INTEGER


class ArchiveError(ValueError):
    """A file is not what it should be: foreign, damaged, of a newer version, or of another kind."""


def shortened(value):
    """A value as a message may show it: at most 100 characters. Cost: O(value)."""
    return cut(repr(value) if not isinstance(value, int) or abs(value) <= MAX_INTEGER else "a larger integer")


def cut(text):
    """The beginning of a text, at most 100 characters. Cost: O(characters)."""
    text = str(text)
    return text if len(text) <= 100 else f"{text[:97]}..."
