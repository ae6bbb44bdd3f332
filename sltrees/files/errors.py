"""What is raised where a file is not what it should be."""


class ArchiveError(ValueError):
    """A file is not what it should be: foreign, damaged, of a newer version, or of another kind."""


def shortened(text):
    """Text of a foreign value as a message can hold it. Cost: O(characters)."""
    text = str(text)
    return text if len(text) <= 100 else f"{text[:97]}..."
