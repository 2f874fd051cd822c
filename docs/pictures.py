"""Draw the pictures of the pages anew: `python docs/pictures.py`.

Runs the code blocks of every page, as its test does, and keeps the files that they save.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

PAGES = Path(__file__).resolve().parent


def main() -> None:
    """One folder for the pictures of all pages."""
    blocks = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    for page in sorted(PAGES.glob("*.md")):
        code = "\n".join(blocks.findall(page.read_text(encoding="utf-8")))
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            exec(compile(code, page.name, "exec"), {"__name__": "__main__"})
            for picture in Path(folder).glob("*.png"):
                shutil.copy(picture, PAGES / "images" / picture.name)
            os.chdir(PAGES)


if __name__ == "__main__":
    main()
