"""Base against head: a second build of the package in the same process."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


def load_build(folder: Path) -> ModuleType:
    """Import the pyestim that is installed in `folder`, beside the one already imported.

    Parameters
    ----------
    folder : Path
        Target of ``python -m pip install --no-deps --target FOLDER CHECKOUT``.

    Returns
    -------
    module : ModuleType
        The other build; ``sys.modules`` keeps the present one.
    """
    if not (folder / "pyestim" / "__init__.py").is_file():
        raise FileNotFoundError(f"load_build: expected pyestim installed in {folder}.")
    present = {name: sys.modules.pop(name) for name in _names()}
    sys.path.insert(0, str(folder))
    try:
        module = importlib.import_module("pyestim")
        # Names are imported when they are asked for: all of them now, while these are its own.
        for name in module.__all__:
            getattr(module, name)
    finally:
        sys.path.remove(str(folder))
        for name in _names():
            del sys.modules[name]
        sys.modules.update(present)
    return module


def _names() -> list[str]:
    return [name for name in sys.modules if name == "pyestim" or name.startswith("pyestim.")]
