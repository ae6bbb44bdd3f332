"""What is raised where a file is not what it should be."""


class ArchiveError(ValueError):
    """A file is not what it should be: foreign, damaged, of a newer version, or of another kind."""
