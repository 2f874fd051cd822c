"""One library, several instruction sets: the right one is chosen, none leaks into shared code."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from interpreter import run_python

from pyestim import _native

LIBRARY = Path(_native.__file__)
ROOT = Path(__file__).parents[1]
HIGH_LEVELS = ("v3", "v4", "wide")
# A function of a level carries it in its mangled name: _ZN7pyestim2v3...
LEVEL_IN_NAME = re.compile(r"7pyestim(?:2(v3|v4)|4(wide)|8(baseline))")
# Not in the x86-64 baseline, besides everything with a v in front (AVX, AVX2, FMA, AVX-512).
BEYOND_BASELINE = re.compile(
    r"v|(?:andn|bextr|blsi|blsmsk|blsr|bzhi|lzcnt|tzcnt|mulx|pdep|pext|rorx|sarx|shlx|shrx|movbe"
    r"|k(?:mov|and|andn|or|xor|xnor|not|shift[lr]|ortest|test|unpck|add)[bwdq]*)$"
)
AVX512 = re.compile(r"%zmm|%k[0-7]|%[xy]mm(?:1[6-9]|2[0-9]|3[01])\b")

x86_only = pytest.mark.skipif(
    "v3" not in _native.build_info()["compiled_levels"], reason="one level only"
)


def tool(name):
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} (binutils) is not installed: cannot look into the library")
    return path


@functools.cache
def disassembly():
    """(function, instruction, operands) of the whole library, as far as it is machine code."""
    symbols = subprocess.run([tool("nm"), LIBRARY], capture_output=True, text=True).stdout
    if not LEVEL_IN_NAME.search(symbols):
        pytest.skip("the library is stripped: functions have no names to tell their level from")
    text = subprocess.run(
        [tool("objdump"), "-d", "--no-show-raw-insn", LIBRARY],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    header = re.compile(r"^[0-9a-f]+ <(.+)>:$")
    instruction = re.compile(r"^ +[0-9a-f]+:\t(?:\{\w+\} )?(\w+)\s*(.*)$")
    found, function = [], ""
    for line in text.splitlines():
        if match := header.match(line):
            function = match[1]
        elif match := instruction.match(line):
            found.append((function, match[1], match[2]))
    return found


def level_of(function):
    match = LEVEL_IN_NAME.search(function)
    return next(filter(None, match.groups())) if match else "shared"


@pytest.mark.once
@x86_only
def test_no_instruction_beyond_the_baseline_in_shared_code():
    guilty = {
        (function, name)
        for function, name, _ in disassembly()
        if BEYOND_BASELINE.match(name) and level_of(function) not in HIGH_LEVELS
    }
    assert not guilty


@pytest.mark.once
@x86_only
def test_no_avx512_below_v4():
    guilty = {
        function
        for function, _, operands in disassembly()
        if AVX512.search(operands) and level_of(function) != "v4"
    }
    assert not guilty


@pytest.mark.once
@x86_only
def test_the_search_finds_what_it_looks_for():
    # Otherwise the two tests above pass because the pattern is wrong.
    wide = {level_of(f) for f, name, _ in disassembly() if BEYOND_BASELINE.match(name)}
    assert {"v3", "v4"} <= wide <= set(HIGH_LEVELS)
    assert "v4" in {level_of(f) for f, _, operands in disassembly() if AVX512.search(operands)}


def level_objects():
    """Kernel objects of the build that made the installed library."""
    made = [
        file.parent
        for file in ROOT.glob(f"build/*/{LIBRARY.name}")
        if file.read_bytes() == LIBRARY.read_bytes()
    ]
    objects = [obj for tree in made for obj in tree.glob("CMakeFiles/pyestim_kernel_*.dir/**/*.o")]
    if not objects:
        pytest.skip("the build tree of the installed library is not here: no objects to look at")
    return objects


@pytest.mark.once
def test_level_objects_share_no_function_and_start_nothing():
    for obj in level_objects():
        symbols = subprocess.run(
            [tool("nm"), "-C", obj], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        weak = [line for line in symbols if re.search(r" [WVuvwC] ", line)]
        assert not weak, f"{obj.name}: the linker keeps one copy of these for all levels"
        sections = subprocess.run(
            [tool("objdump"), "-h", obj], capture_output=True, text=True, check=True
        ).stdout
        assert ".init_array" not in sections, f"{obj.name} runs code when the library is loaded"


def test_levels_are_ordered_and_the_best_is_the_default():
    levels = _native.available_levels()
    assert levels == [name for name in _native.build_info()["compiled_levels"] if name in levels]
    assert _native.Context(None, 1).level == levels[-1]
    for level in levels:
        assert _native.Context(level, 1).level == level


@pytest.mark.once
def test_unknown_level_is_refused():
    with pytest.raises(ValueError, match=r"level must be one of .*, got 'v9'\."):
        _native.Context("v9", 1)


SHOW = "import pyestim; print(pyestim.build_info()['instruction_set'])"


@pytest.mark.once
@pytest.mark.parametrize("level", _native.available_levels())
def test_environment_forces_a_level(level):
    assert run_python(SHOW, PYESTIM_ISA=level) == level


@pytest.mark.once
def test_environment_with_an_unknown_level_is_one_clear_sentence():
    error = run_python(SHOW, PYESTIM_ISA="sse9")
    assert error.startswith("ValueError: PYESTIM_ISA must be one of ")
    assert error.endswith("got 'sse9': this build has no such level; unset it for the best level.")


@pytest.mark.once
def test_environment_with_an_unsupported_level_is_one_clear_sentence():
    compiled = _native.build_info()["compiled_levels"]
    unsupported = [name for name in compiled if name not in _native.available_levels()]
    if not unsupported:
        pytest.skip("this machine runs every level of this build")
    error = run_python(SHOW, PYESTIM_ISA=unsupported[0])
    assert "this processor or operating system does not support it" in error
