"""`bellwether worker`: scores accounts while their events arrive, and copies scores and alerts into Redis."""

import argparse
from time import monotonic

from streams.cli.output import note
from streams.settings import Settings

ROLES = ("score", "project")
TOLD_SECONDS = 2.0
"""Loading a kernel that was compiled before takes less, and nobody needs to hear of it."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options; what else there is to configure is in the environment."""
    parser.add_argument(
        "--roles",
        type=_roles,
        default=frozenset(ROLES),
        metavar="ROLE,…",
        help="score (events to scores and alerts), project (those into Redis), or both, which is the default",
    )
    parser.add_argument(
        "--cpu",
        type=int,
        metavar="N",
        help="fetch and apply on this CPU only (Linux): an eighth more events a second where nothing else needs it",
    )


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Work until SIGTERM or Ctrl-C; return the exit code."""
    from state.warming import warm  # noqa: PLC0415 - a second of imports that --help does not need
    from streams import worker  # noqa: PLC0415
    from streams.measuring import expose  # noqa: PLC0415
    from streams.scorer import load_compiled, new_partition  # noqa: PLC0415

    is_projecting = "project" in options.roles
    if "score" not in options.roles:
        return worker.run(settings, None, expose(settings, None), is_projecting=is_projecting)
    compiled = load_compiled(settings)
    # Before any partition is owned: compiling takes a minute, in which no heartbeat would be sent and nobody served.
    began = monotonic()
    for step in warm(compiled):
        if (seconds := monotonic() - began) > TOLD_SECONDS:
            note(f"kernel: {step} … ({seconds:.0f} s)")
    return worker.run(
        settings,
        lambda number: new_partition(number, settings, compiled),
        expose(settings, compiled),
        is_projecting=is_projecting,
        cpu=options.cpu,
    )


def _roles(text: str) -> frozenset[str]:
    roles = frozenset(part.strip() for part in text.split(","))
    if not roles <= set(ROLES):
        raise argparse.ArgumentTypeError(f"expected score, project or score,project, got {text!r}")
    return roles
