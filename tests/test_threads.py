"""The pool seen from Python: equal bits for any number of threads, callers and processes."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
import threadpoolctl
from interpreter import run_python

import pyestim
from pyestim import _core
from pyestim._threads import default_num_threads

native = _core.native
N, D, K = 70_000, 3, 4  # 18 leaves of 4096 rows


@pytest.fixture(scope="module")
def sweep():
    """Return a function of a context: the statistics of one fixed mixture sweep."""
    rng = np.random.default_rng(7)
    rows = native.Rows(rng.normal(size=(N, D)), rng.uniform(size=N), np.zeros(D), np.ones(D))
    means = rng.normal(size=(2, K, D))
    factors = np.broadcast_to(np.eye(D), (2, K, D, D)).copy()
    log_offset = np.full((2, K), -np.log(K))

    def run(ctx, start=0, stop=N):
        out = np.empty((2, 2 + K + K * D + K * D * (D + 1) // 2))
        native.mixture_sweep(ctx, rows, start, stop, "full", log_offset, means, factors, False, out)
        return out

    return run


@pytest.mark.parametrize("level", native.available_levels())
@pytest.mark.parametrize("window", [(0, N), (0, 4096), (5, 4100), (8192, 60_001), (N, N)])
def test_bits_do_not_depend_on_the_number_of_threads(sweep, level, window):
    expected = sweep(native.Context(level, 1), *window)
    for n_threads in (2, 3, 7):
        ctx = native.Context(level, n_threads)
        for _ in range(3):
            assert sweep(ctx, *window).tobytes() == expected.tobytes()


def test_callers_at_the_same_time_get_the_same_bits(sweep):
    ctx = native.Context(None, 2)
    expected = sweep(ctx).tobytes()
    different = []

    def call():
        for _ in range(10):
            if sweep(ctx).tobytes() != expected:
                different.append(1)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not different


FORK = """
import os, warnings
import numpy as np
from pyestim import _core
warnings.simplefilter("ignore")  # Python warns of forks with threads; here they are the point
native, ctx = _core.native, _core.native.Context(None, 3)
rows = native.Rows(np.random.default_rng(0).normal(size=(50_000, 2)), None, np.zeros(2), np.ones(2))
def sweep():
    out = np.empty((1, 2 + 3 + 6 + 9))
    means, factors = np.arange(6.0).reshape(1, 3, 2), np.tile(np.eye(2), (1, 3, 1, 1))
    native.mixture_sweep(
        ctx, rows, 0, 50_000, "full", np.zeros((1, 3)), means, factors, False, out)
    return out.tobytes()
expected = sweep()
for _ in range(5):
    child = os.fork()
    if child == 0:
        os._exit(0 if sweep() == expected and sweep() == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert sweep() == expected
print("fine")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_can_sweep():
    assert run_python(FORK) == "fine"


@pytest.fixture
def restored_threads():
    before = pyestim.get_num_threads()
    yield
    pyestim.set_num_threads(before)


@pytest.mark.once
@pytest.mark.usefixtures("restored_threads")
class TestSetting:
    def test_set_and_get(self):
        pyestim.set_num_threads(np.int64(3))
        assert pyestim.get_num_threads() == 3
        assert pyestim.build_info()["threads"] == 3
        pyestim.set_num_threads(None)
        assert pyestim.get_num_threads() == default_num_threads()

    @pytest.mark.parametrize(
        ("n", "error", "sentence"),
        [
            (0, ValueError, "set_num_threads: n must be at least 1, got 0"),
            (-2, ValueError, "set_num_threads: n must be at least 1, got -2"),
            (1.5, TypeError, "set_num_threads: n must be an integer or None, got 1.5"),
            ("2", TypeError, "set_num_threads: n must be an integer or None, got '2'"),
        ],
    )
    def test_refusals(self, n, error, sentence):
        with pytest.raises(error, match=sentence):
            pyestim.set_num_threads(n)

    def test_threadpoolctl_limits_hold_and_are_lifted(self):
        pyestim.set_num_threads(5)
        with threadpoolctl.threadpool_limits(limits=2):
            assert pyestim.get_num_threads() == 2
        assert pyestim.get_num_threads() == 5
        with threadpoolctl.threadpool_limits(limits={"pyestim": 1}):
            assert pyestim.get_num_threads() == 1
        with threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
            assert pyestim.get_num_threads() == 5

    def test_threadpoolctl_lists_us_once(self):
        pyestim.set_num_threads(4)
        (entry,) = (i for i in threadpoolctl.threadpool_info() if i["user_api"] == "pyestim")
        assert entry["num_threads"] == 4
        assert entry["version"] == pyestim.__version__
        assert entry["filepath"] == os.path.realpath(native.__file__)


@pytest.mark.once
class TestEnvironment:
    SHOW = "import pyestim; print(pyestim.get_num_threads())"

    def test_own_variable(self):
        assert run_python(self.SHOW, PYESTIM_NUM_THREADS="3") == "3"
        assert run_python(self.SHOW, PYESTIM_NUM_THREADS="3", OMP_NUM_THREADS="1") == "3"

    @pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
    def test_bad_value_is_one_clear_sentence(self, text):
        assert run_python(self.SHOW, PYESTIM_NUM_THREADS=text) == (
            f"ValueError: PYESTIM_NUM_THREADS must be a positive integer, got '{text}'; "
            "unset it for the default."
        )

    def test_default_is_what_the_process_may_use(self, monkeypatch):
        monkeypatch.setattr("joblib.cpu_count", lambda: 6)
        assert default_num_threads({}) == 6
        assert default_num_threads({"PYESTIM_NUM_THREADS": ""}) == 6
        assert default_num_threads({"OMP_NUM_THREADS": "2"}) == 2
        assert default_num_threads({"OMP_NUM_THREADS": "4,2"}) == 4
        assert default_num_threads({"OMP_NUM_THREADS": "64"}) == 6
        assert default_num_threads({"OMP_NUM_THREADS": "nonsense"}) == 6


@pytest.mark.once
def test_blas_is_single_threaded_inside_lanes_where_it_is_called():
    blas = threadpoolctl.ThreadpoolController().select(user_api="blas")
    with blas.limit(limits=2):
        with _core.blas_in_lanes(200):
            assert {library["num_threads"] for library in blas.info()} == {1}
        with _core.blas_in_lanes(3):
            assert {library["num_threads"] for library in blas.info()} == {2}


@pytest.mark.once
def test_overlapping_needs_of_single_threaded_blas_restore_the_limit():
    blas = threadpoolctl.ThreadpoolController().select(user_api="blas")
    with blas.limit(limits=2):
        first, second = _core.single_threaded_blas(), _core.single_threaded_blas()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert {library["num_threads"] for library in blas.info()} == {1}
        second.__exit__(None, None, None)
        assert {library["num_threads"] for library in blas.info()} == {2}
