"""Every way of holding G has the members that `GramSystem` says, and they take what it says."""

import inspect

import numpy as np
import pytest
from protocols import deviations

from sltrees.execution.inline import InlineExecutor
from sltrees.gram import HELD_AS
from sltrees.gram.protocol import GramSystem


def made(name):
    """A system of each kind, of a G that they all know."""
    matrix = np.array([[2.0, 1.0], [1.0, 3.0]])
    if name == "array":
        gram = HELD_AS[name](np.eye(2), width=1)
        gram._products = matrix
        gram.counts[...] = [[1, 1], [0, 1]]
        return gram, matrix
    arguments = [lambda v: matrix @ v, matrix.diagonal, 2]
    if name == "sketch":
        arguments.append(lambda executor: 1.1 * matrix)
    if name == "preconditioned":
        arguments.append(lambda indices: lambda rows, some: matrix[rows][:, indices[some]])
    return HELD_AS[name](*arguments), matrix


@pytest.mark.parametrize("name", HELD_AS)
def test_each_way_of_holding_g_is_a_gram_system(name):
    gram, _ = made(name)
    assert deviations(HELD_AS[name], GramSystem, gram) == []


@pytest.mark.parametrize("name", HELD_AS)
def test_members_do_what_the_protocol_says(name):
    gram, matrix = made(name)
    with InlineExecutor() as executor:
        gram.refresh(executor)
        assert np.array_equal(gram.diagonal, [2.0, 3.0])
        assert gram.trace == 5.0
        assert gram.norm == pytest.approx(np.linalg.norm(matrix, 2), rel=0.3)
        assert np.allclose(gram.product(np.array([1.0, -1.0])), [1.0, -2.0])
        g = gram.solve(1.0, np.array([1.0, 2.0]), executor)
        assert np.allclose(matrix @ g + g, [1.0, 2.0], rtol=1e-6)
        state = gram.solver_state()
        assert isinstance(state, gram.state_class)
        assert state[:2] == (state.n_made, state.n_cg_steps)
        assert state.n_cg_steps == gram.n_cg_steps
        other, _ = made(name)
        other.refresh(executor)
        assert other.make_preconditioner(state, executor)
        other.resume(state)
        assert other.solver_state() == state
        assert not gram.is_singular(executor)
    assert gram.bytes_needed(100, 2) > gram.bytes_needed(50)


def test_a_class_that_lacks_a_member_or_takes_something_else_is_told():
    class Poor:
        pairs = None

        def solve(self, c, executor):
            """Without a right side."""

    found = deviations(Poor, GramSystem, Poor())
    assert "product is missing" in found
    assert "n_cg_steps is missing" in found
    assert any(line.startswith("solve takes (self, c, executor)") for line in found)
    assert len(inspect.getmembers(GramSystem, inspect.isfunction)) > 5
