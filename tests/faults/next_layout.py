"""A worker of a version whose rows have another layout: the present one, but for the number of its rows. Run as a program."""

import sys

from state import layout

layout.LAYOUT_VERSION += 1  # type: ignore[misc]  # before anything takes the name over

if __name__ == "__main__":
    from streams.cli import main
    from tests.faults.worker import shorten_sessions

    shorten_sessions()
    sys.exit(main())
