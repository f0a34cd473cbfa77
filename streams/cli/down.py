"""`bellwether down`: stop the stack that `bellwether up` started; its data stays."""

import argparse

from deploy.local import StackError, down
from streams.cli.output import result
from streams.halt import Refusal
from streams.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Stop the stack in BELLWETHER_DATA_DIR; nothing running there is fine too."""
    try:
        was_running = down(settings.data_dir)
    except StackError as error:
        raise Refusal(str(error)) from error
    sentence = (
        f"Kafka and Redis have stopped; their data stays in {settings.data_dir}."
        if was_running
        else f"Nothing runs in {settings.data_dir}."
    )
    result({"stopped": was_running}, as_json=options.json, sentence=sentence)
    return 0
