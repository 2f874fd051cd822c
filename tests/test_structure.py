"""The layers and the sizes that keep the code readable (csrc/README.md, CONTRIBUTING)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]
CSRC, PACKAGE = ROOT / "csrc", ROOT / "src" / "pyestim"

if not (CSRC.is_dir() and PACKAGE.is_dir()):
    pytest.skip("the sources are not beside the tests", allow_module_level=True)

NATIVE = sorted(file for file in CSRC.rglob("*") if file.suffix in (".cpp", ".hpp"))
NATIVE_TESTS = sorted((ROOT / "tests" / "cpp").glob("*.?pp"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PYTHON = sorted(file for file in PACKAGE.rglob("*.py"))
MAX_FILE, MAX_BINDING, MAX_FUNCTION = 400, 200, 40


def name(file):
    return str(file.relative_to(ROOT))


# -- native layers ---------------------------------------------------------------------------------

NATIVE_LAYERS = {"math": 0, "component": 1, "gate": 1, "kernel": 2, "core": 3, "bind": 4}
# Kernel files are compiled once per instruction level: no header whose inline functions or
# templates would then exist in several versions of which the linker keeps one.
HEADERS_OF_KERNELS = {"stddef.h", "stdint.h", "cstddef", "cstdint", "float.h"}


def includes(file):
    return re.findall(r'^ *# *include [<"]([^>"]+)[>"]', file.read_text(), re.MULTILINE)


@pytest.mark.parametrize("file", NATIVE, ids=name)
def test_includes_never_point_upwards(file):
    layer = NATIVE_LAYERS[file.relative_to(CSRC).parts[0]]
    for header in includes(file):
        if "/" in header and header.split("/")[0] in NATIVE_LAYERS:
            assert NATIVE_LAYERS[header.split("/")[0]] <= layer, f"includes {header}"


@pytest.mark.parametrize("file", NATIVE, ids=name)
def test_only_the_binding_knows_python(file):
    if file.relative_to(CSRC).parts[0] != "bind":
        assert not re.search(r"pybind11|Python\.h|numpy/", file.read_text())


def is_level_file(file):
    return file.relative_to(CSRC).parts[0] not in ("core", "bind") and file.stem != "dispatch"


LEVEL_FILES = [file for file in NATIVE if is_level_file(file)]


@pytest.mark.parametrize("file", LEVEL_FILES, ids=name)
def test_level_files_use_no_library_code(file):
    text = file.read_text()
    # What only compilers without the builtins see cannot reach the ELF linker.
    text = re.sub(r"#if !defined\(__GNUC__\)\n(?:#include <\w+\.h>\n)+#endif", "", text)
    system = set(re.findall(r"^#include <([^>]+)>", text, re.MULTILINE))
    assert system <= HEADERS_OF_KERNELS
    assert not re.search(r"\bstd::", re.sub(r"//.*", "", text))


@pytest.mark.parametrize("file", LEVEL_FILES, ids=name)
def test_kernels_neither_allocate_nor_throw_nor_print(file):
    code = re.sub(r"//.*", "", file.read_text())
    assert not re.search(r"\b(?:malloc|calloc|realloc|free|new|delete|throw|printf|abort)\b", code)


def test_one_file_owns_threads():
    creates = re.compile(r"std::(?:j?thread\b(?!::)|async)")
    assert {file.name for file in NATIVE if creates.search(file.read_text())} == {"lanes.cpp"}


def test_the_gil_is_released_on_one_line():
    lines = [
        line
        for file in NATIVE
        for line in file.read_text().splitlines()
        if re.search(r"gil_scoped_release|Py_BEGIN_ALLOW_THREADS|PyEval_SaveThread", line)
    ]
    assert len(lines) == 1


# -- Python layers ---------------------------------------------------------------------------------

# A package may import from those of a lower or the same number.
PYTHON_LAYERS = {
    "_version": 0,
    "_threads": 0,
    "_native": 0,
    "_core": 1,
    "engine": 2,
    "data": 2,
    "backend": 2,
    "models": 3,
    "penalised": 3,
    "testing": 4,
    "estimators": 4,
    "datasets": 4,
    "metrics": 4,
    "plot": 5,
}
MAY_USE_SKLEARN = {"estimators", "plot"}


def imported(file, *, top_only=False):
    """Modules that a file imports, relative ones resolved."""
    tree = ast.parse(file.read_text())
    nodes = tree.body if top_only else ast.walk(tree)
    package = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts[:-1])
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1]
            module = ".".join([*parts, node.module or ""]).strip(".") if node.level else node.module
            yield module
            if module == "pyestim":
                yield from (f"pyestim.{alias.name}" for alias in node.names)


def package_of(file):
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize("file", [f for f in PYTHON if f != PACKAGE / "__init__.py"], ids=name)
def test_imports_never_point_upwards(file):
    own = package_of(file)
    assert own in PYTHON_LAYERS, f"give {own} a layer"
    for module in imported(file):
        if module.startswith("pyestim.") and (other := module.split(".")[1]) in PYTHON_LAYERS:
            assert PYTHON_LAYERS[other] <= PYTHON_LAYERS[own], f"imports {module}"


@pytest.mark.parametrize("file", PYTHON, ids=name)
def test_scikit_learn_stays_in_the_estimators(file):
    uses = [module for module in imported(file) if module.split(".")[0] == "sklearn"]
    assert not uses or package_of(file) in MAY_USE_SKLEARN or file.stem == "progress"


@pytest.mark.parametrize("file", PYTHON, ids=name)
def test_optional_dependencies_are_imported_when_needed(file):
    heavy = {"matplotlib", "pandas", "dask", "cupy", "torch"}
    assert not heavy & {module.split(".")[0] for module in imported(file, top_only=True)}


# -- sizes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", [*NATIVE, *NATIVE_TESTS, *PYTHON, *TESTS], ids=name)
def test_files_are_short(file):
    limit = MAX_BINDING if file.parent == CSRC / "bind" else MAX_FILE
    assert len(file.read_text().splitlines()) <= limit


def python_functions(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            yield node.name, (body[-1].end_lineno - body[0].lineno + 1 if body else 0)


def native_functions(file):
    """Functions at namespace or class scope, told by the formatting.

    From the last line before `}` that is indented as little, which is where the signature begins.
    """
    lines = file.read_text().splitlines()
    other = re.compile(r" *(?:namespace|struct|class|enum|union|extern|using|#)\b|.*=[^()]*\{$")
    for end, line in enumerate(lines):
        if match := re.match(r"( {0,2})\}", line):
            outer = re.compile(rf" {{0,{len(match[1])}}}[^ ]")
            start = next((i for i in range(end - 1, -1, -1) if outer.match(lines[i])), 0)
            if not other.match(lines[start]):
                body = next((i for i in range(start, end) if lines[i].endswith("{")), end)
                yield lines[start].strip(), end - body - 1


@pytest.mark.parametrize("file", PYTHON, ids=name)
def test_python_functions_are_short(file):
    long = [(function, n) for function, n in python_functions(file) if n > MAX_FUNCTION]
    assert not long


@pytest.mark.parametrize("file", NATIVE, ids=name)
def test_native_functions_are_short(file):
    long = [(function, n) for function, n in native_functions(file) if n > MAX_FUNCTION]
    assert not long
