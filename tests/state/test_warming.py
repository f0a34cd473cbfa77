"""Nothing is compiled while events wait."""

import os
import subprocess
import sys
from pathlib import Path

LEFT = """
import sys
from numba.core.dispatcher import Dispatcher
from scoring.compile import compile_model
from scoring.presets import load_model
from state.warming import warm
list(warm(compile_model(load_model("saas-renewal"))))
for name, module in sorted(sys.modules.items()):
    for key, value in vars(module).items() if name.startswith(("state.", "scoring.")) else ():
        if isinstance(value, Dispatcher) and value.__module__ == name and not value.signatures:
            if value.targetoptions.get("error_model") == "numpy" and "no_cpython_wrapper" not in value.targetoptions:
                print(name, key)
"""


def test_warming_compiles_whatever_a_worker_calls() -> None:
    """After it the only entry of the kernel that is not compiled, or loaded, is one for questions about a history."""
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    told = subprocess.run(
        [sys.executable, "-c", LEFT], env=environ, capture_output=True, text=True, timeout=300, check=False
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines() == ["state.score score_many"]
