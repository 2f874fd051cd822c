"""What the native module says to arguments that do not fit: who, expected, got; never a crash."""

from __future__ import annotations

import numpy as np
import pytest

from pyestim._core import native

pytestmark = pytest.mark.once

N, D, K = 10, 2, 3


@pytest.fixture
def ctx():
    return native.Context(None, 1)


def rows(**changed):
    arguments = {
        "X": np.arange(N * D, dtype=np.float64).reshape(N, D),
        "sample_weight": None,
        "centre": np.zeros(D),
        "scale": np.ones(D),
    }
    return native.Rows(**{**arguments, **changed})


def mixture(**changed):
    arguments = {
        "rows": rows(),
        "start": 0,
        "stop": N,
        "family": "full",
        "log_offset": np.zeros((1, K)),
        "means": np.zeros((1, K, D)),
        "factors": np.tile(np.eye(D), (1, K, 1, 1)),
        "accurate": False,
        "out": np.empty((1, 2 + K + K * D + K * 3)),
    }
    return {**arguments, **changed}


def single(**changed):
    arguments = mixture()
    arguments.pop("out")
    for name in ("log_offset", "means", "factors"):
        arguments[name] = arguments[name][0]
    return {**arguments, **changed}


def assign(**changed):
    arguments = mixture(source="nearest")
    for name in ("log_offset", "factors"):
        arguments.pop(name)
    return {**arguments, **changed}


def frozen(array):
    array.flags.writeable = False
    return array


def unaligned(n, d):
    return np.frombuffer(bytearray(8 * n * d + 1), np.uint8)[1:].view(np.float64).reshape(n, d)


ROWS = [
    ({"X": [[1.0]]}, TypeError, "Rows: X must be a numpy array, got <class 'list'>."),
    ({"X": np.zeros((2, 2), np.int64)}, TypeError, "native byte order, got int64."),
    ({"X": np.zeros((2, 2), ">f8")}, TypeError, "native byte order, got >f8."),
    ({"X": np.zeros((2, 2), complex)}, TypeError, "native byte order, got complex128."),
    ({"X": np.zeros(3)}, ValueError, "Rows: X must have 2 axes, got shape (3,)."),
    (
        {"X": np.zeros((3, 0))},
        ValueError,
        "Rows: X must have an entry on axis 1, got shape (3, 0).",
    ),
    ({"X": unaligned(3, 2)}, ValueError, "Rows: X must be aligned, got an unaligned array."),
    ({"sample_weight": np.ones(4)}, ValueError, "sample_weight must have shape (10,), got (4,)."),
    ({"sample_weight": np.ones(N, np.float32)}, TypeError, "must have dtype float64, got float32."),
    ({"sample_weight": np.ones(2 * N)[::2]}, ValueError, "must be C-contiguous and aligned"),
    ({"centre": np.zeros(3)}, ValueError, "Rows: centre must have shape (2,), got (3,)."),
    ({"scale": None}, TypeError, "Rows: scale must be a numpy array, got <class 'NoneType'>."),
]


@pytest.mark.parametrize(("changed", "error", "sentence"), ROWS)
def test_rows(changed, error, sentence):
    with pytest.raises(error) as caught:
        rows(**changed)
    assert sentence in str(caught.value)


def test_rows_take_any_strides_and_read_only_arrays():
    x = np.arange(48, dtype=np.float32).reshape(6, 8)
    for view in (x, x.T, x[::-1, ::2], np.broadcast_to(x[0], (5, 8)), frozen(x.copy()), x[:0]):
        made = native.Rows(view, None, np.zeros(view.shape[1]), np.ones(view.shape[1]))
        assert (made.n_rows, made.n_features, made.dtype) == (*view.shape, np.float32)


MIXTURE = [
    ({"start": 3, "stop": 2}, ValueError, "start, stop must be a range within 0..10, got 3..2."),
    ({"stop": 11}, ValueError, "start, stop must be a range within 0..10, got 0..11."),
    ({"start": -1}, ValueError, "got -1..10."),
    ({"family": "round"}, ValueError, "family must be one of 'full', 'tied', 'diag', 'spherical'"),
    ({"means": np.zeros((1, K, 5))}, ValueError, "means must have shape (1, 3, 2), got (1, 3, 5)."),
    ({"means": np.zeros((K, D))}, ValueError, "means must have 3 axes, got shape (3, 2)."),
    ({"means": np.zeros((0, K, D))}, ValueError, "means must have an entry on axis 0"),
    ({"log_offset": np.zeros(K)}, ValueError, "log_offset must have shape (1, 3), got (3,)."),
    ({"factors": np.ones((1, K, D))}, ValueError, "factors must have shape (1, 3, 2, 2)"),
    ({"out": np.empty((1, 4))}, ValueError, "out must have shape (1, 20), got (1, 4)."),
    (
        {"out": frozen(np.empty((1, 20)))},
        ValueError,
        "out must be writable, got a read-only array.",
    ),
    ({"out": np.empty((1, 40))[:, ::2]}, ValueError, "out must be C-contiguous and aligned"),
    ({"out": None}, TypeError, "out must be a numpy array"),
]


@pytest.mark.parametrize(("changed", "error", "sentence"), MIXTURE)
def test_mixture_sweep(ctx, changed, error, sentence):
    with pytest.raises(error) as caught:
        native.mixture_sweep(ctx, **mixture(**changed))
    assert str(caught.value).startswith("mixture_sweep: ")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("family", "shape"), [("tied", "(1, 2, 2)"), ("diag", "(1, 3, 2)"), ("spherical", "(1, 3)")]
)
def test_factors_have_the_shape_of_their_family(ctx, family, shape):
    with pytest.raises(ValueError, match="factors must have shape") as caught:
        native.mixture_sweep(ctx, **mixture(family=family))
    assert f"shape {shape}, got (1, 3, 2, 2)." in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "error", "sentence"),
    [
        ({"log_prob": np.empty(9)}, ValueError, "log_prob must have shape (10,), got (9,)."),
        ({"resp": np.empty((10, 4))}, ValueError, "resp must have shape (10, 3), got (10, 4)."),
        ({"labels": np.empty(10, np.int32)}, TypeError, "labels must have dtype int64, got int32."),
        ({"start": 4, "log_prob": np.empty(10)}, ValueError, "must have shape (6,), got (10,)."),
        ({"family": "diag"}, ValueError, "factors must have shape (3, 2), got (3, 2, 2)."),
    ],
)
def test_mixture_rows(ctx, changed, error, sentence):
    with pytest.raises(error) as caught:
        native.mixture_rows(ctx, **single(**changed))
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "error", "sentence"),
    [
        ({"source": "guess"}, ValueError, "one of 'nearest', 'labels', 'given', 'random'"),
        ({"source": "labels"}, TypeError, "labels must be a numpy array, got <class 'NoneType'>."),
        ({"source": "random", "seeds": np.zeros(1, np.int64)}, TypeError, "have dtype uint64"),
        (
            {"source": "given", "responsibilities": np.ones((N, 2))},
            ValueError,
            "responsibilities must have shape (10, 3), got (10, 2).",
        ),
        (
            {"source": "given", "responsibilities": np.ones((N, K), np.float32)},
            TypeError,
            "responsibilities must have dtype float64, got float32.",
        ),
        (
            {"source": "given", "responsibilities": unaligned(N, K)},
            ValueError,
            "responsibilities must be aligned",
        ),
    ],
)
def test_assign_sweep(ctx, changed, error, sentence):
    with pytest.raises(error) as caught:
        native.assign_sweep(ctx, **assign(**changed))
    assert sentence in str(caught.value)


def test_labels_beyond_the_components_ignore_the_row(ctx):
    labels = np.array([0, 1, 2, 3, -1, 2**31 - 1, -(2**31), 0, 0, 0], np.int32)
    arguments = assign(source="labels", labels=labels)
    native.assign_sweep(ctx, **arguments)
    np.testing.assert_array_equal(arguments["out"][0, 2 : 2 + K], [4, 1, 1])


def experts(**changed):
    arguments = {
        "rows": rows(),
        "gate_rows": None,
        "responses": rows(X=np.zeros((N, 1)), **ONE),
        "start": 0,
        "stop": N,
        "family": "gaussian",
        "gate_coef": np.zeros((1, K, 1)),
        "expert_coef": np.zeros((1, K, 1, 1 + D)),
        "factor": np.ones((1, K, 1, 1)),
        "log_norm": np.zeros((1, K)),
        "out": np.empty((1, 2 + K + K * 3 + K * 6 + K)),
    }
    return {**arguments, **changed}


ONE = {"centre": np.zeros(1), "scale": np.ones(1)}
EXPERTS = [
    ({"family": "gamma"}, ValueError, "'gaussian', 'poisson', 'binomial', 'multinomial', got"),
    ({"source": "random"}, ValueError, "source must be one of 'posterior', 'labels', 'given'"),
    ({"expert_coef": np.zeros((1, K, 1, 5))}, ValueError, "shape (1, 3, 1, 3), got (1, 3, 1, 5)."),
    ({"gate_coef": np.zeros((1, K, 2))}, ValueError, "gate_coef must have shape (1, 3, 1), got"),
    ({"gate_rows": rows(X=np.zeros((4, D)))}, ValueError, "gate_rows must have 10 rows, got 4."),
    ({"responses": rows()}, ValueError, "responses must have 1 columns, got 2."),
    ({"family": "binomial"}, ValueError, "responses must have 2 columns, got 1."),
    (
        {"family": "poisson", "expert_coef": np.zeros((1, K, 2, 1 + D))},
        ValueError,
        "expert_coef must have one predictor of each expert, got 2.",
    ),
    ({"factor": None}, ValueError, "factor, log_norm must be arrays for densities of gaussian"),
    ({"out": np.empty((1, 4))}, ValueError, "out must have shape (1, 35), got (1, 4)."),
]


@pytest.mark.parametrize(("changed", "error", "sentence"), EXPERTS)
def test_experts_sweep(ctx, changed, error, sentence):
    with pytest.raises(error) as caught:
        native.experts_sweep(ctx, **experts(**changed))
    assert str(caught.value).startswith("experts_sweep: ")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (
            lambda c: native.kmeans_sweep(
                c, rows(), 0, N, np.zeros((1, K, D)), False, np.empty((1, 3))
            ),
            ValueError,
            "kmeans_sweep: out must have shape (1, 11), got (1, 3).",
        ),
        (
            lambda c: native.column_moments(c, rows(), 0, N, np.empty(3)),
            ValueError,
            "column_moments: out must have shape (9,), got (3,).",
        ),
        (
            lambda c: native.kmeans_plusplus(
                c, np.zeros((4, 2)), None, 5, np.zeros((1, 5, 2)), np.empty((1, 5), np.int64)
            ),
            ValueError,
            "n_clusters must be between 1 and the number of rows, 4, got 5.",
        ),
        (
            lambda c: native.factorise(c, np.zeros((1, 2, 3)), np.empty((1, 2, 3)), np.empty(1)),
            ValueError,
            "factorise: cov must have shape (1, 2, 2), got (1, 2, 3).",
        ),
        (
            lambda c: native.apply_exp(c, np.zeros(3), np.empty(3), "fast"),
            ValueError,
            "apply_exp: variant must be 'full' or 'neg', got fast.",
        ),
    ],
)
def test_the_other_functions(ctx, call, error, sentence):
    with pytest.raises(error) as caught:
        call(ctx)
    assert sentence in str(caught.value)


def test_context_refuses_no_threads(ctx):
    with pytest.raises(ValueError, match="n_threads must be at least 1, got 0"):
        native.Context(None, 0)
    with pytest.raises(ValueError, match="n_threads must be at least 1, got -3"):
        ctx.n_threads = -3
