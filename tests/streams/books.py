"""A simulated book as a folder of histories."""

from pathlib import Path

from streams.demo.book import Book


def written(book: Book, folder: Path) -> Path:
    """Write a book's events into a folder, one file a topic, in the order of arrival."""
    events: dict[str, list[bytes]] = {}
    for found in book.events():
        events.setdefault(found.topic, []).append(found.value)
    for topic, lines in events.items():
        (folder / f"{topic}.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    return folder
