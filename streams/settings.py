"""Process settings from the environment, `BELLWETHER_*`, declared in one table.

Facts about a model (weights, bands, rules) are in the model file and nowhere else; facts about a process (where the
brokers are, how often to commit) are here and nowhere else.

SettingsError (ValueError)
    One or more variables are wrong. All of them are listed, one sentence each.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, Self

PREFIX = "BELLWETHER_"
FILE = "_FILE"
"""Behind the name of a secret: the path of the file that holds it."""
KAFKA_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
HOST_PORT = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):([0-9]{1,5})")


class SettingsError(ValueError):
    """Settings are wrong; the message has one line per fault."""


@dataclass(frozen=True)
class Setting:
    """One variable of the environment.

    Attributes
    ----------
    name
        Field of `Settings`; the variable is `BELLWETHER_` and the name in capitals.
    default
        As it would be written in the environment.
    expected
        Range or form, with the unit: completes "expected …".
    meaning
        One sentence for people.
    parse
        Text → value; None when the text is not as expected.
    is_secret
        Never shown; may also be read from a file, whose path the variable with `_FILE` behind it names.
    """

    name: str
    default: str
    expected: str
    meaning: str
    parse: Callable[[str], str | int | None]
    is_secret: bool = False

    @property
    def variable(self) -> str:
        """Name in the environment."""
        return PREFIX + self.name.upper()


def _whole(name: str, default: int, low: int, high: int, unit: str, meaning: str) -> Setting:
    def parse(text: str) -> int | None:
        return int(text) if re.fullmatch(r"[0-9]{1,9}", text) and low <= int(text) <= high else None

    return Setting(name, str(default), f"a whole number from {low} to {high}{unit and ' '}{unit}", meaning, parse)


def _choice(name: str, default: str, choices: tuple[str, ...], meaning: str) -> Setting:
    return Setting(
        name, default, "one of " + ", ".join(choices), meaning, lambda text: text if text in choices else None
    )


def _path(name: str, meaning: str) -> Setting:
    return Setting(name, "", "nothing, or the path of a file", meaning, str)


def _servers(text: str) -> str | None:
    servers = [server.strip() for server in text.split(",")]
    matches = [HOST_PORT.fullmatch(server) for server in servers]
    return ",".join(servers) if all(match and 0 < int(match[2]) < 65_536 for match in matches) else None


def _kafka_name(text: str) -> str | None:
    return text if KAFKA_NAME.fullmatch(text) and text not in {".", ".."} else None


SETTINGS = (
    Setting(
        "kafka", "127.0.0.1:9092", "host:port, several separated by commas", "Kafka's bootstrap servers.", _servers
    ),
    _choice(
        "kafka_protocol",
        "PLAINTEXT",
        ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
        "How Kafka is spoken to: SSL encrypts, SASL tells the user.",
    ),
    _choice(
        "kafka_mechanism",
        "SCRAM-SHA-512",
        ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"),
        "How the user's password is proved, with a protocol of SASL.",
    ),
    Setting("kafka_user", "", "a user's name", "Who we are to Kafka, with a protocol of SASL.", str),
    Setting("kafka_password", "", "a password", "The user's password.", str, is_secret=True),
    _path("tls_ca", "Authorities (PEM) whose certificates Kafka and Redis may show; empty: those of the system."),
    _path("tls_certificate", "Our certificate (PEM) where Kafka or Redis asks for one; may hold its key too."),
    _path("tls_key", "The certificate's key (PEM), not encrypted, where it is a file of its own."),
    Setting(
        "redis_url",
        "redis://127.0.0.1:6379/0",
        "an address that begins with redis://, rediss:// or unix://",
        "Redis that holds the read model; its user and password are part of it.",
        lambda text: text if re.match(r"(rediss?|unix)://.", text) else None,
        is_secret=True,
    ),
    Setting(
        "app_id",
        "bellwether",
        "1 to 100 letters, digits, dots, dashes or underscores",
        "Names the consumer group, the transactional ids and the changelog topic; workers with the same id share the work.",
        _kafka_name,
    ),
    Setting(
        "instance_id",
        "",
        "nothing, or up to 100 letters, digits, dots, dashes or underscores",
        "Name of this worker alone; one that comes back under its name within 28 s finds its partitions as it left them.",
        lambda text: _kafka_name(text) if text else "",
    ),
    Setting(
        "topic_prefix",
        "",
        "nothing, or up to 100 letters, digits, dots, dashes or underscores",
        "Put before every topic's name, for a Kafka cluster shared with others.",
        lambda text: _kafka_name(text) if text else "",
    ),
    Setting(
        "model",
        "saas-renewal",
        "the name of a preset or the path of a model file",
        "Model an application begins with; `model publish` changes it.",
        lambda text: text or None,
    ),
    _choice(
        "clock",
        "wall",
        ("wall", "log"),
        "Where ticks take their time from: this machine, or the events applied (replays, demonstrations).",
    ),
    _whole("tick_seconds", 5, 1, 3600, "seconds", "Time between two ticks of a partition."),
    _whole(
        "commit_min_ms",
        50,
        0,
        60_000,
        "milliseconds",
        "Time between two flushes of a partition when there is little to do.",
    ),
    _whole("commit_max_ms", 5000, 10, 60_000, "milliseconds", "Time between two flushes of a partition under backlog."),
    _whole("metrics_port", 9464, 0, 65_535, "(0: none)", "Port of the worker's Prometheus metrics."),
    _whole(
        "partitions",
        8,
        1,
        1024,
        "",
        "Partitions of every topic; once events are in, `bellwether repartition` moves to another number.",
    ),
    _whole(
        "replication",
        1,
        1,
        7,
        "copies",
        "Copies of every topic; 3 or more also demand that two have a write before it counts.",
    ),
    _whole(
        "poison_limit",
        500,
        1,
        1_000_000,
        "dead letters",
        "A worker stops at this many dead letters within 1 000 consecutive records of a partition; above 1 000 it never does.",
    ),
    _whole(
        "future_skew_seconds",
        600,
        0,
        86_400,
        "seconds",
        "How far an event's own time may lie after its record's before it is a dead letter.",
    ),
    Setting(
        "data_dir",
        "~/.bellwether",
        "the path of a folder",
        "Where `bellwether up` keeps Kafka's and Redis's data.",
        lambda text: text or None,
    ),
    _choice("log_level", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"), "Least severe log line that is written."),
    _choice(
        "log_format", "console", ("console", "json"), "How log lines are written: for people, or one JSON object each."
    ),
    _choice(
        "score_history",
        "off",
        ("off", "on"),
        "Whether each account's health at the end of every UTC day is written to `score-history`.",
    ),
)


@dataclass(frozen=True)
class Settings:
    """The settings of one process; `SETTINGS` says what each means, its unit, range and default."""

    kafka: str = "127.0.0.1:9092"
    kafka_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    kafka_user: str = ""
    kafka_password: str = field(default="", repr=False)
    tls_ca: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    redis_url: str = field(default="redis://127.0.0.1:6379/0", repr=False)
    app_id: str = "bellwether"
    instance_id: str = ""
    topic_prefix: str = ""
    model: str = "saas-renewal"
    clock: Literal["wall", "log"] = "wall"
    tick_seconds: int = 5
    commit_min_ms: int = 50
    commit_max_ms: int = 5000
    metrics_port: int = 9464
    partitions: int = 8
    replication: int = 1
    poison_limit: int = 500
    future_skew_seconds: int = 600
    data_dir: str = "~/.bellwether"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["console", "json"] = "console"
    score_history: Literal["off", "on"] = "off"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings from `environ`, usually `os.environ`; an empty variable counts as not set.

        Raises
        ------
        SettingsError
            Listing every fault, a misspelt variable included.
        """
        values, faults = {}, _misspelt(environ)
        for setting in SETTINGS:
            given, fault = _given(setting, environ)
            value = setting.parse(given or setting.default)
            if fault:
                faults.append(fault)
            elif value is None:
                shown = "something else (not shown)" if setting.is_secret else repr(given)
                faults.append(f"{setting.variable}: expected {setting.expected}, got {shown} — {setting.meaning}")
            values[setting.name] = value
        faults += _contradictions(values)
        if faults:
            raise SettingsError("\n".join(faults))
        return cls(**values)  # type: ignore[arg-type]  # each parser returns the type of its field; a test checks it

    def topic(self, name: str) -> str:
        """Return the name in Kafka of the topic that Bellwether calls `name`."""
        return self.topic_prefix + name

    @property
    def changelog(self) -> str:
        """Name in Kafka of the table's changelog topic."""
        return self.topic(f"{self.app_id}-accounts-changelog")

    @property
    def redis_address(self) -> str:
        """Where Redis is, without user and password, to be shown."""
        return self.redis_url.rpartition("@")[2]

    def environ(self) -> dict[str, str]:
        """Return the variables that give a child process these settings."""
        values = {f"{PREFIX}{each.name.upper()}": str(getattr(self, each.name)) for each in fields(self)}
        # A secret that we read from a file is handed on itself; both at once would be a fault.
        return values | {setting.variable + FILE: "" for setting in SETTINGS if setting.is_secret}


def _given(setting: Setting, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the text that was given for a setting, empty for none, and what is wrong with how."""
    given = environ.get(setting.variable, "").strip()
    path = environ.get(setting.variable + FILE, "").strip() if setting.is_secret else ""
    if not path:
        return given, None
    if given:
        return given, f"{setting.variable}: expected it or {setting.variable}{FILE}, got both — remove one"
    try:
        return Path(path).read_text(encoding="utf-8").strip(), None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not text"
        return (
            "",
            f"{setting.variable}{FILE}: expected a file that can be read, got {path!r} ({why}) — {setting.meaning}",
        )


def _contradictions(values: Mapping[str, str | int | None]) -> list[str]:
    """Return what is wrong with settings that are right one by one."""
    faults = []
    low, high = values["commit_min_ms"], values["commit_max_ms"]
    if isinstance(low, int) and isinstance(high, int) and low > high:
        faults.append(
            f"BELLWETHER_COMMIT_MAX_MS: expected at least BELLWETHER_COMMIT_MIN_MS ({low}), got '{high}' — raise it or lower the other"
        )
    if str(values["kafka_protocol"]).startswith("SASL"):
        faults += [
            f"{PREFIX}{name.upper()}: expected one with {values['kafka_protocol']}, got none — set it, or BELLWETHER_KAFKA_PROTOCOL to SSL"
            for name in ("kafka_user", "kafka_password")
            if not values[name]
        ]
    if values["tls_key"] and not values["tls_certificate"]:
        faults.append("BELLWETHER_TLS_KEY: expected BELLWETHER_TLS_CERTIFICATE with it, got none — set both or neither")
    return faults


def _misspelt(environ: Mapping[str, str]) -> list[str]:
    # Only near misses are faults: Kubernetes injects variables such as BELLWETHER_SERVICE_HOST for a service of our name.
    known = [setting.variable for setting in SETTINGS]
    known += [setting.variable + FILE for setting in SETTINGS if setting.is_secret]
    near = {
        variable: difflib.get_close_matches(variable, known, 1, 0.9)
        for variable in sorted(environ)
        if variable.startswith(PREFIX) and variable not in known
    }
    return [
        f"{given}: expected a known setting, got an unknown name — did you mean {meant[0]}?"
        for given, meant in near.items()
        if meant
    ]
