"""The command line itself: help, exit codes, sentences."""

import subprocess
import sys
import time
from collections.abc import Mapping

import pytest

from deploy.local.processes import free_ports
from streams.cli import COMMANDS, main


def bellwether(*arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", *arguments],
        capture_output=True,
        text=True,
        env=environ,
        timeout=60,
        check=False,
    )


def test_help_imports_no_command() -> None:
    """`--help` lists the commands and answers at once: nothing heavy is imported."""
    code = "import sys; from streams.cli import main\ntry: main(['--help'])\nfinally: print([m for m in ('numpy', 'aiokafka', 'faust', 'rich') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert COMMANDS["produce"] in done.stdout


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """No command is wrong usage: help on standard error, exit code 2."""
    assert main([]) == 2
    assert "COMMAND" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["nonsense"], ["topics"], ["topics", "drop"], ["up", "--brokers", "0"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    """Unknown commands and options end with 2, as argparse does."""
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    assert exited.value.code == 2


def test_wrong_settings_are_exit_code_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Faulty settings stop every command before it does anything."""
    monkeypatch.setenv("BELLWETHER_TICK_SECONDS", "soon")
    assert main(["down"]) == 2
    assert capsys.readouterr().err.startswith(
        "BELLWETHER_TICK_SECONDS: expected a whole number from 1 to 3600 seconds, got 'soon'"
    )


@pytest.mark.parametrize(
    "command",
    [["topics", "check"], ["dead-letters", "list"], ["dead-letters", "replay"], ["produce", "-", "--topic", "usage"]],
)
def test_an_unreachable_broker_is_one_sentence(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command that needs Kafka ends with 1 within ten seconds, one sentence and no traceback."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    monkeypatch.setenv("BELLWETHER_KAFKA", address)
    began = time.monotonic()
    assert main(command) == 1
    assert time.monotonic() - began < 10
    said = capsys.readouterr().err
    assert (
        said
        == f"{address}: no Kafka broker answers — start one (`bellwether up`), or set BELLWETHER_KAFKA to where it runs\n"
    )


def test_a_reader_that_leaves_early_is_no_error() -> None:
    """`bellwether … | head` ends without a traceback."""
    code = "import os, sys; from streams.cli import main; r, w = os.pipe(); os.close(r); os.dup2(w, 1); sys.exit(main(['down', '--json']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
