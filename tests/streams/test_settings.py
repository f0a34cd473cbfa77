"""Settings: one declared table, every fault told at once."""

import dataclasses
import typing
from pathlib import Path

import pytest

from streams.settings import SETTINGS, Settings, SettingsError


def test_an_empty_environment_gives_the_declared_defaults() -> None:
    """The table and the class state the same defaults, and an empty variable counts as not set."""
    assert Settings.from_environ({}) == Settings()
    assert Settings.from_environ({"BELLWETHER_KAFKA": " "}) == Settings()


def test_the_table_declares_every_field_in_order() -> None:
    """No setting without a declaration, none declared in vain, each with a meaning and what is expected."""
    assert [setting.name for setting in SETTINGS] == [field.name for field in dataclasses.fields(Settings)]
    assert all(setting.meaning.endswith(".") and setting.expected for setting in SETTINGS)


def test_parsers_return_the_type_of_their_field() -> None:
    """A number's parser gives int, every other str."""
    kinds = typing.get_type_hints(Settings)
    values = {setting.name: setting.parse(setting.default) for setting in SETTINGS}
    assert {name: type(value) is int for name, value in values.items()} == {name: kinds[name] is int for name in values}


def test_settings_survive_the_way_to_a_child_process() -> None:
    """`environ` gives the variables that `from_environ` reads back to equal settings."""
    settings = Settings(kafka="a:1,b:2", app_id="x", topic_prefix="x-", clock="log", commit_min_ms=0, metrics_port=0)
    assert Settings.from_environ(settings.environ()) == settings


def test_all_faults_are_listed_with_what_to_do() -> None:
    """One line per fault: variable, expectation, what was given, meaning."""
    with pytest.raises(SettingsError) as failure:
        Settings.from_environ(
            {"BELLWETHER_KAFKA": "localhost", "BELLWETHER_CLOCK": "sun", "BELLWETHER_PARTITIONS": "0"}
        )
    assert str(failure.value).splitlines() == [
        "BELLWETHER_KAFKA: expected host:port, several separated by commas, got 'localhost' — Kafka's bootstrap servers.",
        (
            "BELLWETHER_CLOCK: expected one of wall, log, got 'sun'"
            " — Where ticks take their time from: this machine, or the events applied (replays, demonstrations)."
        ),
        "BELLWETHER_PARTITIONS: expected a whole number from 1 to 1024, got '0' — Partitions of every topic; once events are in, `bellwether repartition` moves to another number.",
    ]


def test_the_longest_interval_is_not_below_the_shortest() -> None:
    """Two settings that contradict each other are a fault of the second."""
    with pytest.raises(SettingsError) as failure:
        Settings.from_environ({"BELLWETHER_COMMIT_MIN_MS": "500", "BELLWETHER_COMMIT_MAX_MS": "400"})
    assert (
        str(failure.value)
        == "BELLWETHER_COMMIT_MAX_MS: expected at least BELLWETHER_COMMIT_MIN_MS (500), got '400' — raise it or lower the other"
    )


def test_a_misspelt_variable_is_a_fault_and_a_foreign_one_is_not() -> None:
    """A near miss is told; what Kubernetes injects for a service called bellwether is not ours."""
    with pytest.raises(SettingsError, match=r"^BELLWETHER_COMIT_MAX_MS: .* — did you mean BELLWETHER_COMMIT_MAX_MS\?$"):
        Settings.from_environ({"BELLWETHER_COMIT_MAX_MS": "400"})
    assert (
        Settings.from_environ({"BELLWETHER_SERVICE_HOST": "10.0.0.1", "BELLWETHER_PORT": "tcp://10.0.0.1:80"})
        == Settings()
    )


@pytest.mark.parametrize("given", ["a:0", "a:65536", "a:1,", "a", ":1", "a b:1"])
def test_brokers_are_host_and_port(given: str) -> None:
    """Anything that no client could connect to is refused at the door."""
    with pytest.raises(SettingsError, match=r"BELLWETHER_KAFKA: expected host:port"):
        Settings.from_environ({"BELLWETHER_KAFKA": given})


def test_names_of_topics_carry_the_prefix() -> None:
    """The changelog's name carries both, the prefix and the application id."""
    settings = Settings(app_id="eu", topic_prefix="p.")
    assert (settings.topic("usage"), settings.changelog) == ("p.usage", "p.eu-accounts-changelog")


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    """The file's content is the password, its line end is not; a child process gets the password itself."""
    (tmp_path / "password").write_text("hush\n")
    given = {
        "BELLWETHER_KAFKA_PROTOCOL": "SASL_SSL",
        "BELLWETHER_KAFKA_USER": "worker",
        "BELLWETHER_KAFKA_PASSWORD_FILE": str(tmp_path / "password"),
    }
    settings = Settings.from_environ(given)
    assert settings.kafka_password == "hush"  # noqa: S105
    assert Settings.from_environ(given | settings.environ()) == settings


def test_secrets_are_never_shown() -> None:
    """Neither the settings' own text nor a fault holds a password."""
    with pytest.raises(SettingsError) as failure:
        Settings.from_environ({"BELLWETHER_REDIS_URL": "http://user:hush@here"})
    assert "hush" not in str(failure.value)
    settings = Settings(redis_url="redis://user:hush@here:1/0", kafka_password="hush")  # noqa: S106
    assert "hush" not in repr(settings)
    assert settings.redis_address == "here:1/0"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"BELLWETHER_KAFKA_PASSWORD": "a", "BELLWETHER_KAFKA_PASSWORD_FILE": "/b"},
            "BELLWETHER_KAFKA_PASSWORD: expected it or BELLWETHER_KAFKA_PASSWORD_FILE, got both — remove one",
        ),
        (
            {"BELLWETHER_KAFKA_PASSWORD_FILE": "/no/such"},
            (
                "BELLWETHER_KAFKA_PASSWORD_FILE: expected a file that can be read, got '/no/such'"
                " (No such file or directory) — The user's password."
            ),
        ),
        (
            {"BELLWETHER_KAFKA_PROTOCOL": "SASL_SSL", "BELLWETHER_KAFKA_USER": "a"},
            (
                "BELLWETHER_KAFKA_PASSWORD: expected one with SASL_SSL, got none"
                " — set it, or BELLWETHER_KAFKA_PROTOCOL to SSL"
            ),
        ),
        (
            {"BELLWETHER_TLS_KEY": "/k"},
            "BELLWETHER_TLS_KEY: expected BELLWETHER_TLS_CERTIFICATE with it, got none — set both or neither",
        ),
    ],
)
def test_what_does_not_go_together_is_told(given: dict[str, str], sentence: str) -> None:
    """Each contradiction is one sentence that says what to do."""
    with pytest.raises(SettingsError) as failure:
        Settings.from_environ(given)
    assert str(failure.value) == sentence
