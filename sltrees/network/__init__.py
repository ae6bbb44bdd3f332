"""What a network is, how it is drawn, and what it says."""

from sltrees.network.network import ShiftedReLUNetwork

__all__ = ["ShiftedReLUNetwork"]
