"""Fit a Gaussian mixture to real data, print the report, write the picture.

Old Faithful, Yellowstone: how long an eruption lasts, and how long the wait for the next one is.
Run it from anywhere: ``python examples/quickstart.py [PICTURE.png]``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # a picture into a file: no display is needed

from pyestim import GaussianMixture, build_info
from pyestim.datasets import load_faithful
from pyestim.plot import MixtureDisplay


def main(picture: Path) -> None:
    """Fit, report, draw."""
    X = load_faithful()
    model = GaussianMixture(n_components=2, tol=1e-8, random_state=0).fit(X)

    build = build_info()
    print(f"pyestim {build['version']}, instruction set {build['instruction_set']}\n")
    print(model.report_)
    print(f"\nBIC {model.bic(X):.2f}, {len(X)} eruptions in {model.n_components} groups:")
    for weight, (duration, wait) in zip(model.weights_, model.means_, strict=True):
        print(f"  {weight:5.1%} last {duration:.2f} min, the next follows after {wait:.1f} min")

    short, long = model.predict([[2.0, 50.0], [4.5, 80.0]])
    print(f"\nAn eruption of 2.0 min belongs to group {short}, one of 4.5 min to group {long}.")

    names = ("duration of the eruption, minutes", "wait for the next one, minutes")
    display = MixtureDisplay.from_estimator(model, X, names=names).plot()
    display.ax_.set_title("Old Faithful: two kinds of eruptions")
    display.figure_.savefig(picture, dpi=120)
    print(f"\nPicture: {picture.resolve()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("quickstart.png"))
