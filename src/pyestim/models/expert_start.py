"""Starting values of mixtures of experts: many short runs on a sample of the rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pyestim.data.experts import ExpertChunk, ExpertSource, Groups
from pyestim.data.source import DOUBLE_EPS
from pyestim.engine.drive import maximise
from pyestim.engine.stats import Stats, Vector
from pyestim.engine.stop import Stop
from pyestim.engine.sweep import LocalSweep
from pyestim.models.experts import ExpertMixture, ExpertParams
from pyestim.models.kernels import plain_chunk, plain_rows
from pyestim.models.kmeans import KMeans, KMeansParams

Labels = NDArray[np.int32]

#: Rows on which starts are looked for: this many, or so many per parameter.
SAMPLE_ROWS, SAMPLE_ROWS_PER_PARAMETER = 5_000, 20
#: Short runs for every start that is kept, and their sweeps.
RUNS_PER_START, SHORT_SWEEPS = 6, 12
#: Steps on given labels: one is exact for gaussian experts.
LABEL_STEPS = 3


class SampleSource:
    """Some rows of a source, in its working coordinates, as a source of their own.

    Parameters
    ----------
    source : ExpertSource
    indices : ndarray of int of shape (m,)
    """

    mean_eps = DOUBLE_EPS
    backend = "sample"

    def __init__(self, source: ExpertSource, indices: NDArray[np.intp]) -> None:
        self.x, self.y, z, self.weight = source.take(indices)
        own = z is not self.x
        if source.groups is None:
            chosen, self.weight = _distinct(np.column_stack([self.x, z, self.y]), self.weight)
            indices, self.x, self.y = indices[chosen], self.x[chosen], self.y[chosen]
            z = z[chosen] if own else self.x
        self.weight_sum = float(self.weight.sum())
        self.family = source.family
        self.code = (
            np.arange(len(indices))
            if source.groups is None
            else _renumbered(source.groups.code[indices])
        )
        once = self.weight
        groups = None
        if source.groups is not None:
            first = np.unique(self.code, return_index=True)[1]
            groups = Groups(self.code, first, self.weight[first])
            once = np.zeros(len(indices))
            once[first] = self.weight[first]
        rows = plain_rows(self.x, self.weight)
        gate_rows = rows if z is self.x and groups is None else plain_rows(z, once)
        responses = plain_rows(self.y, self.weight)
        self.chunk = ExpertChunk(rows, gate_rows, responses, 0, len(indices), False, groups)

    def chunks(self) -> Iterator[ExpertChunk]:
        """Yield all rows at once."""
        yield self.chunk

    @property
    def heights(self) -> Vector:
        """Responses on the scale of the linear predictors, as far as single rows tell: (m, r)."""
        if self.family == "poisson":
            return np.log(self.y + 0.5)
        if self.family == "binomial":
            return np.log((self.y[:, :1] + 0.5) / (self.y[:, 1:] + 0.5))
        if self.family == "multinomial":
            return np.equal(self.y, np.unique(self.y)).astype(np.float64)
        return self.y


def _distinct(rows: Vector, weight: Vector) -> tuple[NDArray[np.intp], Vector]:
    """First places of distinct rows, in the order of their entries, and the weights of each.

    Labels are drawn for rows in this order, so that neither the numbering of the rows nor whether
    a row is repeated or has a weight decides where a fit begins.
    """
    _, first, code = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    counted: Vector = np.bincount(code.reshape(-1), weight).astype(np.float64)
    return first, counted


def _renumbered(code: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.asarray(np.unique(code, return_inverse=True)[1]).reshape(-1)


def make_starts(
    model: ExpertMixture, source: ExpertSource, n_init: int, rng: np.random.RandomState
) -> list[ExpertParams]:
    """Return the ``n_init`` best of many short runs on a sample of the rows.

    The runs begin with labels of the rows: clusters of predictors and responses, the nearest of
    regressions through a few rows each, and labels drawn at random.

    Parameters
    ----------
    model : ExpertMixture
    source : ExpertSource
    n_init : int
    rng : numpy.random.RandomState
    """
    sample = sample_of(model, source)
    if model.n_experts == 1:
        return [from_labels(model, sample, np.zeros(len(sample.x), np.int32))]
    short: list[ExpertParams] = []
    for run in range(max(2, RUNS_PER_START * n_init)):
        kind = (_cluster_labels, _line_labels, _random_labels, _line_labels)[run % 4]
        labels = _by_group(kind(model, sample, rng), sample, model.n_experts)
        short.append(from_labels(model, sample, labels, constant_gate=run % 2 == 1))
    fit = maximise(
        model,
        LocalSweep(model, sample),
        short,
        stop=Stop(1e-8),
        accelerate=None,
        max_sweeps=SHORT_SWEEPS,
    )
    best = sorted(
        range(len(short)), key=lambda i: _rank(fit.all_reports[i].objective), reverse=True
    )
    return [fit.all_params[i] for i in best[:n_init]]


def _rank(objective: float) -> float:
    return objective if np.isfinite(objective) else -np.inf


def sample_of(model: ExpertMixture, source: ExpertSource) -> SampleSource:
    """Rows on which starts are looked for."""
    wanted = max(SAMPLE_ROWS, SAMPLE_ROWS_PER_PARAMETER * model.n_parameters)
    return SampleSource(source, source.x.spread_indices(wanted))


def from_labels(
    model: ExpertMixture, sample: SampleSource, labels: Labels, *, constant_gate: bool = False
) -> ExpertParams:
    """Steps on responsibilities of zero and one, from experts that do not depend on x."""
    params = flat_params(model, sample)
    for step in range(1 if sample.family == "gaussian" else LABEL_STEPS):
        stats = _label_sums(model, params, sample, labels)
        gate = params.gate
        if step == 0 and not (constant_gate and model.gate.gated):
            gate = model.gate.update(gate, stats)
        elif step == 0:
            counts = np.maximum(stats["resp_sum"], 1e-3 * sample.weight_sum)
            gate = model.gate.start(counts / counts.sum())
        params = ExpertParams(gate, model.experts.update(params.experts, stats))
    return params


def _label_sums(
    model: ExpertMixture, params: ExpertParams, sample: SampleSource, labels: Labels
) -> Stats:
    """Statistics of responsibilities that are zero or one; no expert is left without a row."""
    out = np.empty(model.layout.size)
    groups = sample.chunk.groups
    counted = out[: out.size if groups is None else model.layout.bounds["group_sum"][0]]
    model.sweep([params], sample.chunk, counted[None], source="labels", labels=labels)
    if groups is not None:
        out[counted.size :] = np.bincount(labels[groups.first], groups.weight, model.n_experts)
    stats = Stats(model.layout, out)
    sums = stats["resp_sum"] if groups is None else stats["group_sum"]
    np.maximum(sums, 1e-3 * sample.weight_sum / len(sample.x), out=sums)
    return stats


def flat_params(model: ExpertMixture, sample: SampleSource) -> ExpertParams:
    """Equal experts that predict the mean of all rows."""
    k, n_linear = model.n_experts, model.experts.n_linear
    coef = np.zeros((k, n_linear, 1 + model.experts.n_predictors))
    mean = np.average(sample.y, axis=0, weights=sample.weight)
    if sample.family == "gaussian":
        coef[:, :, 0] = mean
    elif sample.family == "poisson":
        coef[:, 0, 0] = np.log(max(mean[0], 1e-10))
    elif sample.family == "binomial":
        coef[:, 0, 0] = np.log((mean[0] + 1e-6) / (mean[1] + 1e-6))
    gap = sample.y - mean
    spread = np.maximum(np.average(gap * gap, axis=0, weights=sample.weight), 1e-12)
    covariances = np.broadcast_to(np.diag(spread), (k, len(mean), len(mean)))
    experts = model.experts.params(coef, covariances)
    return ExpertParams(model.gate.start(np.full(k, 1.0 / k)), experts)


# -- labels ---------------------------------------------------------------------------------------


def _cluster_labels(
    model: ExpertMixture, sample: SampleSource, rng: np.random.RandomState
) -> Labels:
    """Nearest of k-means centres of predictors and responses."""
    heights = sample.heights
    sd = heights.std(axis=0)
    both = np.column_stack([sample.x, heights / np.where(sd > 0.0, sd, 1.0)])
    k = model.n_experts
    centres = both[rng.permutation(len(both))[:k]] if len(both) >= k else both[[0] * k]
    fit = maximise(
        KMeans(k, both.shape[1]),
        LocalSweep(KMeans(k, both.shape[1]), _Plain(both, sample.weight)),
        [KMeansParams(np.ascontiguousarray(centres))],
        stop=Stop(3e-3),
        accelerate=None,
        max_sweeps=20,
    )
    gaps = [np.square(both - centre).sum(axis=1) for centre in fit.params.centres]
    return np.asarray(np.argmin(gaps, axis=0), dtype=np.int32)


class _Plain:
    """A matrix as a source."""

    mean_eps = DOUBLE_EPS
    backend = "sample"

    def __init__(self, rows: Vector, weight: Vector) -> None:
        self.weight_sum = float(weight.sum())
        self._chunk = plain_chunk(np.ascontiguousarray(rows), weight)

    def chunks(self) -> Iterator[object]:
        """Yield all rows at once."""
        yield self._chunk


def _line_labels(model: ExpertMixture, sample: SampleSource, rng: np.random.RandomState) -> Labels:
    """Nearest of regressions through a few rows (or groups) each."""
    heights = sample.heights
    design = np.column_stack([np.ones(len(sample.x)), sample.x])
    size = min(design.shape[1] + 1, max(1, len(design) // 2))
    gaps = []
    for _ in range(model.n_experts):
        few = rng.choice(len(design), size, replace=False)
        if model.grouped:
            few = np.flatnonzero(np.isin(sample.code, sample.code[few]))
        coef = np.linalg.lstsq(design[few], heights[few], rcond=1e-6)[0]
        each = np.square(heights - design @ coef).sum(axis=1)
        gaps.append(np.bincount(sample.code, each)[sample.code] if model.grouped else each)
    return np.asarray(np.argmin(gaps, axis=0), dtype=np.int32)


def _random_labels(
    model: ExpertMixture, sample: SampleSource, rng: np.random.RandomState
) -> Labels:
    return rng.randint(0, model.n_experts, len(sample.x)).astype(np.int32)


def _by_group(labels: Labels, sample: SampleSource, k: int) -> Labels:
    """Give all rows of a group the label of its first row."""
    groups = sample.chunk.groups
    return labels if groups is None else labels[groups.first][groups.code]
