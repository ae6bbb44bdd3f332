"""The replay of state machines: it plays all of them, the same way each time, and says what failed."""

import pytest
import replay
from hypothesis.stateful import invariant


@pytest.mark.parametrize(("name", "machine"), [pytest.param(*kind, id=kind[0]) for kind in replay.kinds()])
def test_every_machine_is_played(name, machine):
    for seed in range(2):
        replay.play(machine, seed, 15)


def test_a_failure_is_found_and_comes_again():
    (machine,) = (machine for name, machine in replay.kinds() if name == "RingMachine")

    class Wrong(machine):
        @invariant()
        def is_wrong(self):
            assert self.n < 9

    def fails(seed):
        try:
            replay.play(Wrong, seed, 20)
        except AssertionError:
            return True
        return False

    outcomes = [fails(seed) for seed in range(20)]
    assert any(outcomes)
    assert outcomes == [fails(seed) for seed in range(20)]


def test_games_are_counted_and_come_again(capsys):
    totals = replay.play_many(replay.AT_ONCE, only=["RingMachine"], first=3)
    assert totals == {"RingMachine": replay.AT_ONCE}
    assert "200 actions in" in capsys.readouterr().out
    replay.main(["20", "--only", "RingMachine", "--game", "3"])
    with pytest.raises(SystemExit):
        replay.main(["20", "--only", "NoMachine"])
