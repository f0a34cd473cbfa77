"""`bellwether repartition`: the application that the settings name, into other topics with another number of partitions."""

import argparse
import asyncio

from streams.cli.output import note, quiet_client, result
from streams.halt import Refusal
from streams.settings import Settings

USAGE = 2


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--partitions", type=int, required=True, metavar="N", help="how many the new topics have")
    parser.add_argument("--prefix", required=True, help="BELLWETHER_TOPIC_PREFIX of the new topics, another than now")
    parser.add_argument("--app-id", metavar="ID", help="BELLWETHER_APP_ID of the new application (default: as now)")
    parser.add_argument("--dry-run", action="store_true", help="look and count, write nothing")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Move state and unread records, or what an earlier run left; say with which settings to go on."""
    from streams import repartition  # noqa: PLC0415 - the kernel, which --help does not need
    from streams.scorer import load_compiled  # noqa: PLC0415

    if options.prefix == settings.topic_prefix:
        raise Refusal(
            f"--prefix: expected another than BELLWETHER_TOPIC_PREFIX ({options.prefix!r}), got the same", USAGE
        )
    new = repartition.new_settings(settings, options.partitions, options.prefix, options.app_id)
    quiet_client()
    if options.dry_run:
        outcome = asyncio.run(repartition.preview(settings, new))
    else:
        outcome = asyncio.run(repartition.move(settings, new, load_compiled(settings), note))
    variables = {
        name: value
        for name, value in new.environ().items()
        if name in ("BELLWETHER_APP_ID", "BELLWETHER_PARTITIONS", "BELLWETHER_TOPIC_PREFIX")
    }
    value = {
        "moved": sum(outcome.accounts),
        "accounts": outcome.accounts,
        "carried": {topic: count for topic, count in outcome.carried.items() if count},
        "was_moved_before": outcome.is_moved,
        "dry_run": options.dry_run,
        "settings": variables,
    }
    result(value, as_json=options.json, sentence=_sentence(value))
    return 0


def _sentence(value: dict[str, object]) -> str:
    carried = ", ".join(f"{topic} {count:,}" for topic, count in dict(value["carried"]).items()) or "nothing"  # type: ignore[call-overload]
    settings = " ".join(f"{name}={text}" for name, text in dict(value["settings"]).items())  # type: ignore[call-overload]
    if value["dry_run"]:
        state = "only what was not carried before" if value["was_moved_before"] else "the state, and"
        return f"would move {state} up to so many records: {carried}\nthe new application: {settings}"
    state = "the state had been moved before" if value["was_moved_before"] else f"{value['moved']:,} accounts moved"
    return (
        f"{state}; records carried: {carried}\n"
        f"start workers and notifiers with {settings}, point producers at the new topics, then run this again: it carries"
        " what they wrote to the old ones meanwhile"
    )
