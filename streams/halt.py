"""The one way this process ends itself: a clear line, then out, without another commit.

A failed or uncertain flush must not be followed by anything that looks orderly: an orderly stop
commits. So the process leaves at once and whoever starts it again restores from what is durable.
"""

import logging
import os
import sys
from typing import NoReturn

logger = logging.getLogger(__name__)

FAILED = 1
UNSAFE = 3
"""Stopped for safety: a restart would find the same, so a person must decide. Supervisors do not restart it."""


class Refusal(Exception):  # noqa: N818 - a refusal is an outcome a person must act on, not a fault in the code
    """The worker must not go on.

    Parameters
    ----------
    sentence
        What was expected, what was found, what to do.
    code
        Exit code of the process: ``FAILED`` or ``UNSAFE``.
    """

    def __init__(self, sentence: str, code: int = FAILED) -> None:
        super().__init__(sentence)
        self.code = code


def halt(code: int, sentence: str) -> NoReturn:
    """Log the sentence and leave the process at once, committing nothing more."""
    logger.critical("%s (exit code %d)", sentence, code)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
