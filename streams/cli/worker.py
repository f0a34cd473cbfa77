"""`bellwether worker`: scores accounts while their events arrive, until told to stop."""

import argparse

from streams.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options: none, a worker is configured by its environment."""
    del parser


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Work until SIGTERM or Ctrl-C; return the exit code."""
    del options
    from streams import worker  # noqa: PLC0415 - a second of imports that --help does not need
    from streams.scorer import load_compiled, new_partition  # noqa: PLC0415

    compiled = load_compiled(settings)
    return worker.run(settings, lambda number: new_partition(number, settings, compiled))
