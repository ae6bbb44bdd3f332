"""What runs have in common: however they end, networks are those of the last step kept."""

from __future__ import annotations

from sltrees.cluster.messages import ClusterLostError


class Interruptible:
    """A run: it begins, iterates and finishes, unless Ctrl-C, a cluster that is lost or an error comes between.

    A subclass says

    - `begin()`: sets up all that steps need;
    - `iterate()`: steps until one of the statuses applies, which it returns;
    - `finish(status)`: leaves networks as they are to be;
    - `interrupted(conclude)`: settles what Ctrl-C cut off, so that networks are those of the last step kept, and
      returns the status; `conclude`: the history is to have the iteration;
    - `lost(error)`: the status where the cluster is gone;
    - `release()`: lets go of the network, also where settling failed: whoever looks next finishes what was being kept.
    """

    def train(self):
        """The run itself; returns its status, once networks are those of the last step kept."""
        try:
            self.begin()
            status = self.iterate()
            self.finish(status)
            return status
        except KeyboardInterrupt:
            return self.interrupted()
        except ClusterLostError as error:
            return self.lost(error)
        except BaseException:
            self.interrupted(conclude=False)
            raise
        finally:
            self.release()
