"""How commands speak: people on standard error, one JSON object on the last line of standard output."""

import logging
import sys
from collections.abc import Mapping

import orjson


def note(sentence: str) -> None:
    """Tell the person at the terminal something."""
    print(sentence, file=sys.stderr, flush=True)


def result(value: Mapping[str, object], *, as_json: bool, sentence: str) -> None:
    """Report what came of the command: `value` as one line of JSON, or `sentence` for people."""
    print(orjson.dumps(value).decode() if as_json else sentence, flush=True)


def quiet_client() -> None:
    """Keep the Kafka client from logging connection errors that the command itself reports in one sentence."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
