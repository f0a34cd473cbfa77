"""The `bellwether` command: a table of subcommands, each a module of this package that is imported only when it runs.

A command's module offers `arguments(parser)`, which declares its options, and `run(options, settings) -> int`, which
returns the exit code: 0 ok, 1 failed, 2 wrong usage, 3 stopped for safety. With `--json` it prints one object as the
last line of standard output. Progress and sentences for people go to standard error.
"""

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from typing import Protocol, cast

from streams.halt import FAILED, Refusal
from streams.kernel_cache import use_kernel_cache
from streams.settings import Settings, SettingsError

__all__ = ["COMMANDS", "main"]

USAGE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells report it

COMMANDS = {
    "demo": "watch a simulated book of accounts live months in minutes",
    "up": "start Kafka and Redis on this machine",
    "down": "stop what `up` started",
    "worker": "score accounts while their events arrive",
    "warm": "compile the kernel ahead of the first worker",
    "serve": "the query API and the live page",
    "topics": "create the topics, or check them",
    "repartition": "move an application into topics with another number of partitions",
    "produce": "send events from files into the topics",
    "replay": "run a folder of histories through a model, without Kafka",
    "backtest": "measure how well a model foresaw what happened",
    "calibrate": "fit a model's probabilities to what happened",
    "drift": "compare recent inputs with those a model was fitted on",
    "scenario": "ask what an account's scores would be if",
    "portfolio": "summarise the whole book of accounts",
    "model": "check, show, compare, publish, roll back a model",
    "explain": "say why an account scores as it does",
    "confirm": "state or confirm what people know of an account",
    "alerts": "follow and answer alerts",
    "notify": "deliver alerts to webhooks, Slack, PagerDuty, Alertmanager and by mail",
    "dead-letters": "list rejected records, or send them again",
    "doctor": "check broker, topics, Redis, versions and clock",
    "bench": "measure throughput on this machine",
}
"""Command → what it does, in the order of `--help`."""


class _Command(Protocol):
    def arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, options: argparse.Namespace, settings: Settings) -> int: ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` (by default the process's) name; return its exit code.

    Wrong usage and `--help` leave through SystemExit, as argparse does.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    use_kernel_cache(os.environ)
    parser, command = _parser(given)
    options = parser.parse_args(given)
    try:
        return command.run(options, Settings.from_environ(os.environ)) if command else _help(parser)
    except SettingsError as error:
        return _say(str(error), USAGE)
    except Refusal as refusal:
        return _say(str(refusal), refusal.code)
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:  # `bellwether … | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _parser(given: list[str]) -> tuple[argparse.ArgumentParser, _Command | None]:
    parser = argparse.ArgumentParser(
        prog="bellwether",
        description="Scores accounts while their events arrive.",
        epilog="Settings: environment variables BELLWETHER_*; see the README.",
    )
    parser.add_argument("--version", action="version", version=_version() if "--version" in given else "")
    choices = parser.add_subparsers(metavar="COMMAND")
    command = None
    for name, summary in COMMANDS.items():
        module = f"{__name__}.{name.replace('-', '_')}"
        if importlib.util.find_spec(module) is None:
            continue
        chosen = choices.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if command is None and given and given[0] == name:
            command = cast("_Command", importlib.import_module(module))
            command.arguments(chosen)
    return parser, command


def _help(parser: argparse.ArgumentParser) -> int:
    parser.print_help(sys.stderr)
    return USAGE


def _say(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr)
    return code


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415 (30 ms that only --version needs)

    return f"bellwether {version('bellwether')}"
