"""Prometheus and Alertmanager, as Debian packages them: found, or the test is skipped, or fails where CI runs it."""

import os
import shutil
from pathlib import Path

import pytest

ADVICE = "install Debian's packages prometheus and prometheus-alertmanager"


def program(*names: str) -> Path:
    """Return the path of the first program of these names; without one skip the test, or fail it in CI."""
    for name in names:
        if found := shutil.which(name):
            return Path(found)
    sentence = f"{names[0]}: not found — {ADVICE}"
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)


def prometheus() -> Path:
    """Return the path of Prometheus."""
    return program("prometheus")


def promtool() -> Path:
    """Return the path of Prometheus's checking tool."""
    return program("promtool")


def alertmanager() -> Path:
    """Return the path of Alertmanager, which Debian renames."""
    return program("prometheus-alertmanager", "alertmanager")


def amtool() -> Path:
    """Return the path of Alertmanager's checking tool."""
    return program("amtool")
