"""The command line: ``sltrees`` or ``python -m sltrees``."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys

from sltrees._command_line import demo, evaluate, explain, fit, info, predict
from sltrees._command_line.shared import EXIT_INTERRUPTED, EXIT_OUTPUT, EXIT_USAGE, printable
from sltrees._versions import VERSION
from sltrees.cluster.messages import ClusterLostError

COMMANDS = (demo, fit, predict, evaluate, explain, info)


def main(arguments=None):
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the process.

    Returns
    -------
    int
        Exit code: 0 after a run, 1 if the output cannot be written, 2 for bad arguments or data, 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog="sltrees", description=__doc__)
    parser.add_argument("--version", action="version", version=f"sltrees {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, TypeError, MemoryError, ImportError, ClusterLostError) as error:
        print(f"sltrees {options.command}: error: {_one_line(error)}", file=sys.stderr)
        return EXIT_USAGE
    except OSError as error:
        # whoever reads the output has gone, or the disk is full; leave nothing to be flushed at exit
        with contextlib.suppress(OSError):  # where output is captured there is no file
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(f"sltrees {options.command}: error: {_one_line(error)}", file=sys.stderr)
        return EXIT_OUTPUT
    except KeyboardInterrupt as interrupt:
        words = ": ".join([f"sltrees {options.command}: interrupted", *map(str, interrupt.args)])
        print(printable(words), file=sys.stderr)
        return EXIT_INTERRUPTED


def _one_line(error):
    return printable(" ".join(str(error).split())) or type(error).__name__


def run():
    """Run the command line, and exit: after Ctrl-C at once, whatever computation was left to end by itself."""
    code = main()
    if code == EXIT_INTERRUPTED:  # an orderly exit would wait for it
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    run()
