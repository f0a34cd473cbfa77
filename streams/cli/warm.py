"""`bellwether warm`: compiles the kernel ahead of time, so that the first worker starts at once."""

import argparse
import os
from time import monotonic

from streams.cli.output import note, result
from streams.kernel_cache import forget_old_kernels, use_kernel_cache
from streams.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Compile, saying what is being compiled; seconds when it was compiled before, about a minute when not."""
    from state.warming import warm  # noqa: PLC0415 - a second of imports that --help does not need
    from streams.scorer import load_compiled  # noqa: PLC0415

    began = monotonic()
    for step in warm(load_compiled(settings)):
        note(f"kernel: {step} … ({monotonic() - began:.0f} s)")
    forget_old_kernels(os.environ)
    seconds = round(monotonic() - began, 1)
    where = str(use_kernel_cache(os.environ))
    result(
        {"seconds": seconds, "cache": where},
        as_json=options.json,
        sentence=f"Kernel ready in {seconds} s; kept in {where}.",
    )
    return 0
