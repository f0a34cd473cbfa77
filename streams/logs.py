"""How processes write their logs: a line for people, or one JSON object a line; one fact a line in both.

What a line speaks of stands in fields of its own, so that lines of several processes can be brought together:
``partition``, ``sequence`` (of the journal: which flush), ``alert_id``, ``topic``, ``offset``. Give them by
``logger.info("…", extra={"partition": 3})``. No line holds a password; addresses are shown without user and password.
"""

import logging
import logging.config
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from state.flush import Flush
from streams.settings import Settings

logger = logging.getLogger(__name__)

FIELDS: Final = ("partition", "sequence", "alert_id", "topic", "offset")
"""What lines are brought together by."""
NOISY: Final = {"faust": "WARNING", "mode": "WARNING", "aiokafka": "WARNING"}
"""Libraries that print tables at every rebalance → what is kept of them unless everything is wanted."""


class ConsoleLine(logging.Formatter):
    """A line for people: time, process, level, sentence, and the fields in brackets."""

    def __init__(self) -> None:
        super().__init__("[%(asctime)s] [%(process)s] [%(levelname)s] %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line; an exception's trace is added behind it by logging."""
        named = " ".join(f"{name}={value}" for name, value in fields_of(record).items())
        return super().formatMessage(record) + (f" [{named}]" if named else "")


class JsonLine(logging.Formatter):
    """One JSON object: ``at`` (RFC 3339, UTC), ``level``, ``logger``, ``process``, ``message``, fields, ``exception``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object as text without a line end in it."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, Any] = {
            "at": at,
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields of a line, in the order of FIELDS, those that were given."""
    return {name: value for name in FIELDS if (value := record.__dict__.get(name)) is not None}


def configuration(settings: Settings) -> dict[str, Any]:
    """Return what `logging.config.dictConfig` takes: everything to standard error, in the form that the settings say."""
    form = JsonLine if settings.log_format == "json" else ConsoleLine
    quiet = {} if settings.log_level == "DEBUG" else {name: {"level": level} for name, level in NOISY.items()}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": form}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "loggers": quiet,
        "root": {"level": settings.log_level, "handlers": ["stderr"]},
    }


def configure(settings: Settings) -> None:
    """Have this process log as the settings say."""
    logging.config.dictConfig(configuration(settings))


def log_flush(partition: int, flush: Flush) -> None:
    """Write a line for each alert of a committed flush, and at DEBUG one for the flush."""
    for message in flush.alerts:
        # A record's CloudEvents headers: "<alert id>-<sequence>" and "io.bellwether.alert.<state>".
        headers = dict(message.headers)
        alert_id = headers["ce_id"].decode().rpartition("-")[0]
        became = headers["ce_type"].decode().rpartition(".")[2]
        extra = {"partition": partition, "sequence": flush.sequence, "alert_id": alert_id}
        logger.info("alert %s", became, extra=extra)
    logger.debug(
        "committed %d rows, %d scores, %d alerts, %d dead letters",
        *(len(flush.changelog), len(flush.scores), len(flush.alerts), len(flush.dead_letters)),
        extra={"partition": partition, "sequence": flush.sequence},
    )
