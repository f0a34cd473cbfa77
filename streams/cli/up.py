"""`bellwether up`: Kafka and Redis on this machine, until `bellwether down`."""

import argparse

from deploy.local import StackError, jars, up
from streams.cli.output import note, result
from streams.halt import Refusal
from streams.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--kafka-port",
        type=int,
        default=9092,
        metavar="PORT",
        help="port of the first broker; 0 takes a free one (default 9092)",
    )
    parser.add_argument(
        "--redis-port", type=int, default=6379, metavar="PORT", help="0 takes a free one (default 6379)"
    )
    parser.add_argument(
        "--brokers", type=int, default=1, choices=range(1, 10), metavar="N", help="number of Kafka nodes (default 1)"
    )
    parser.add_argument("--json", action="store_true", help="print the addresses as JSON")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Start the stack in BELLWETHER_DATA_DIR unless it runs there; print where it answers."""
    if not (jars.cache_folder() / "manifest.json").exists():
        note("First run: fetching Kafka (45 MB) from Maven Central; kept for the next time.")
    try:
        where, is_new = up(
            settings.data_dir, brokers=options.brokers, kafka_port=options.kafka_port, redis_port=options.redis_port
        )
    except StackError as error:
        raise Refusal(str(error)) from error
    note(
        f"Kafka and Redis {'are up' if is_new else 'were already up'}; data in {settings.data_dir}. `bellwether down` stops them."
    )
    lines = f"export BELLWETHER_KAFKA={where.kafka}\nexport BELLWETHER_REDIS_URL={where.redis_url}"
    value = {"kafka": where.kafka, "redis_url": where.redis_url, "pids": where.pids, "started": is_new}
    result(value, as_json=options.json, sentence=lines)
    return 0
