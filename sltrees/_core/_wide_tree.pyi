"""The tree itself; its public face is in _threshold_tree.pyi. For compiled code there is _wide_tree.pxd."""

class WideTree:
    @property
    def borrowed(self) -> bool: ...
