"""Measure the package against its peers: `python benchmarks/run.py --quick`, or without it."""

import os
import sys
from pathlib import Path

# Peers at their best: OpenBLAS chooses its kernels for this processor, whatever the shell says.
os.environ.pop("OPENBLAS_CORETYPE", None)

# Started as a file, this folder is on the path; its modules are a package of the folder above.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.main import main  # noqa: E402

if __name__ == "__main__":
    main()
