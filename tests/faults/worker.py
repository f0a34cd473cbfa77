"""`bellwether` with a session of half the length, so that rounds wait less for others to take over. Run as a program.

It is run by its path, so that it runs the code of whatever tree `PYTHONPATH` names.
"""

import sys

SESSION_SECONDS = 5.0
HEARTBEAT_SECONDS = 1.0


def shorten_sessions() -> None:
    """Have the app of this process send heartbeats often, and the group miss them soon."""
    from streams import app  # noqa: PLC0415 - a second of imports that who only wants the figures does not need

    app.SESSION_SECONDS = SESSION_SECONDS
    app.HEARTBEAT_SECONDS = HEARTBEAT_SECONDS


if __name__ == "__main__":
    shorten_sessions()
    from streams.cli import main

    sys.exit(main())
