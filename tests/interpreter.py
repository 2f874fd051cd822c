"""Fresh interpreters, for what is decided when the package is imported."""

from __future__ import annotations

import os
import subprocess
import sys


def run_python(code: str, **environment: str) -> str:
    """Return what the code printed; if it raised, the last line of the traceback."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=120,
    )
    return (result.stderr if result.returncode else result.stdout).strip().splitlines()[-1]
