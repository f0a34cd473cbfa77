"""The compiled kernels of decoding are ordinary Python: with numba switched off they give the same results."""

import os
import subprocess
import sys

PROGRAM = """
import warnings
warnings.simplefilter("ignore", RuntimeWarning)  # plain numpy scalars warn where unsigned words wrap, as they should
from state.decode import decode_chunk, LoneRecord
from state.murmur2 import partition_of
values = [
    b'{"id":"1","account_id":"gr\\xc3\\xb6\\xc3\\x9fe","occurred_at":"2024-02-29T23:59:59.987+05:30","event":"invoice_issued",'
    b'"amount":"129.90","invoice_id":"a text of more than thirty-two bytes, for the lanes","source":"crm"}',
    b'{"id":"2","account_id":"a","occurred_at":"2023-02-29T00:00:00Z","event":"refund","amount":"0.00005"}',
    b'{"id":"3","account_id":"a","occurred_at":"2023-03-01T00:00:00Z","event":"refund","amount":"-0.00"}',
    b'{"id":"4","x":' + b'["]"],' * 200 + b'[' * 300 + b']' * 300 + b'}',
    b'{"id":"5","x":' + b'[' * 300 + b']' * 300 + b'}',
]
chunk = decode_chunk("billing", [LoneRecord(value) for value in values])
print(chunk.occurred_at_ms, chunk.id_hash, chunk.item_hash, chunk.amount, chunk.rejections)
print([partition_of("account-" + "x" * size, 97) for size in range(9)])
"""


def output_of(**environment: str) -> str:
    """Return what the program prints in a process with these environment variables."""
    completed = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=True,
    )
    return completed.stdout


def test_decoding_gives_the_same_with_numba_switched_off():
    """Times, hashes, amounts, depths and partitions do not depend on the compiler."""
    plain = output_of(NUMBA_DISABLE_JIT="1")
    assert "INVALID_TIME" in plain
    assert "TOO_DEEP" in plain
    assert plain == output_of()
