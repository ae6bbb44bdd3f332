"""Ctrl-C at every place of some code where CPython heeds it, one place at a time.

CPython looks for signals when a function begins, when a loop goes back and when a call has returned; and what waits in
a call may be cut off, before it did anything. A place is an opcode at which one of these can be: one that makes a call,
one behind a call, the first one of a function, the target of a jump back.

To be found in reasonable time are as many places as `SLTREES_INTERRUPTIONS` says, spread evenly; all with "all".
"""

import dis
import os
import sys
import types

SAMPLE = os.environ.get("SLTREES_INTERRUPTIONS", "40")


def code_of(*functions):
    """The code objects of functions, methods and classes, with those nested in them."""
    found, rest = set(), list(functions)
    while rest:
        thing = rest.pop()
        if isinstance(thing, type):
            rest += [member for member in vars(thing).values() if isinstance(member, (types.FunctionType, property))]
        elif isinstance(thing, property):
            rest.append(thing.fget)
        elif isinstance(thing, types.CodeType):
            if thing not in found:
                found.add(thing)
                rest += [constant for constant in thing.co_consts if isinstance(constant, types.CodeType)]
        else:
            rest.append(getattr(thing, "__wrapped__", thing).__code__)
    return found


def places(code):
    """Offsets of a code object at which Ctrl-C can take effect.

    An interruption that comes when a call returns belongs to the call. Where what follows has another handler, as the
    way out of a `with` has, there is no opcode to raise it at.
    """
    bytecode = dis.Bytecode(code)
    instructions = list(bytecode)
    found = set()

    def handler(offset):
        return next((e.target for e in bytecode.exception_entries if e.start <= offset < e.end), None)

    for k, instruction in enumerate(instructions):
        name = instruction.opname
        if name.startswith("JUMP_BACKWARD") and handler(instruction.argval) == handler(instruction.offset):
            found.add(instruction.argval)
        if not name.startswith(("CALL", "BEFORE_WITH", "RESUME")):
            continue
        if name != "RESUME" and not _leaves_with(instructions, k):
            found.add(instruction.offset)
        if k + 1 < len(instructions) and handler(instructions[k + 1].offset) == handler(instruction.offset):
            found.add(instructions[k + 1].offset)
    return found


def _leaves_with(instructions, k):
    """Whether a call is that of an `__exit__` without an exception: those of locks never wait, others begin first."""
    before = [i for i in instructions[max(k - 4, 0) : k] if i.opname != "PRECALL"][-3:]
    return instructions[k].arg == 2 and all(i.opname == "LOAD_CONST" and i.argval is None for i in before)


class Injector:
    """Counts the places that an action passes in the calling thread, and interrupts it at one of them.

    Parameters
    ----------
    codes : set of code objects
    at : int, optional
        The place, from 0 on; by default none.

    Attributes
    ----------
    passed : int
    interrupted : bool
    """

    def __init__(self, codes, at=None):
        self._places = {code: places(code) for code in codes}
        self._at, self.passed, self.interrupted = at, 0, False

    def __enter__(self):
        self._before = sys.gettrace()
        sys.settrace(self._call)
        return self

    def __exit__(self, *exception):
        sys.settrace(self._before)

    def _call(self, frame, event, argument):
        if frame.f_code not in self._places or self.interrupted:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._opcode

    def _opcode(self, frame, event, argument):
        if event == "opcode" and not self.interrupted and frame.f_lasti in self._places[frame.f_code]:
            self.passed += 1
            if self.passed - 1 == self._at:
                self.interrupted = True
                raise KeyboardInterrupt
        return self._opcode


def interrupted_everywhere(act, codes, check):
    """Run an action once for each of its places, interrupted there, and look at what that leaves.

    Parameters
    ----------
    act : callable
        Begins anew each time. What it returns is given to `check`.
    codes : set of code objects
        Of `code_of`, in which the places are.
    check : callable
        Called as check(outcome), with what `act` returned or the KeyboardInterrupt it raised, without traceback.

    Returns
    -------
    int
        How many interruptions there were: at least 1.
    """
    with Injector(codes) as counter:
        check(act())
    assert counter.passed
    n_places = counter.passed
    n_wanted = n_places if SAMPLE == "all" else min(int(SAMPLE), n_places)
    count = 0
    for k in range(n_wanted):
        with Injector(codes, k * n_places // n_wanted) as injector:
            outcome = _outcome(act)
        if injector.interrupted:  # who waits for threads may pass fewer places than before
            count += 1
            try:
                check(outcome)
            except AssertionError as error:
                error.add_note(f"interrupted at place {k * n_places // n_wanted} of {n_places}")
                raise
    assert count
    print(f"{count} interruptions")
    return count


def _outcome(act):
    try:
        return act()
    except KeyboardInterrupt as error:
        return error.with_traceback(None)
