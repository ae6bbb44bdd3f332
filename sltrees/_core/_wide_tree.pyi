"""The tree itself; its public face is in _threshold_tree.pyi. For compiled code there is _wide_tree.pxd."""

ADVICE: str
WHILE_CHANGED: str
WHILE_QUERIED: str

class WideTree:
    @property
    def borrowed(self) -> bool: ...
