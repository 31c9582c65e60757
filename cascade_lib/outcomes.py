"""What every model did on every query: the data that everything else starts from.

`Outcomes` is a validated, immutable pair of tables, quality and cost, with names and features. `Evidence` is what
can be seen of it once some models have run. Neither knows of estimates, budgets or strategies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from . import _checks
from ._checks import Table
from ._columns import normal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FOUR_DIGITS = "{:.4g}".format
# The columns that a long table always has; a feature of one of these names gets a prefix there.
_COLUMNS = ("query", "model", "quality", "cost")

Cells = Sequence[Sequence[object]] | np.ndarray | pd.DataFrame
"""A table of numbers or labels."""


class _Copied:
    """A field that hands out copies, for a data frame cannot be made read-only."""

    def __get__(self, outcomes: Outcomes | None, owner: type) -> pd.DataFrame:
        if outcomes is None:
            raise AttributeError("query")  # a class has none, and the field no default
        return outcomes._query.copy()

    def __set__(self, outcomes: Outcomes, value: pd.DataFrame) -> None:
        object.__setattr__(outcomes, "_query", value)


@dataclass(frozen=True, eq=False, repr=False)
class Outcomes:
    r"""The quality :math:`q_i(x)` and cost :math:`c_i(x)` of k models on n queries.

    Parameters
    ----------
    quality : array_like, shape (n, k)
        How good the answer of model i to query x is, e.g. 1 = right and 0 = wrong. Finite.
    cost : array_like, shape (n, k)
        What that answer cost, in `cost_unit`. Finite and not negative; zero is allowed.
    models : sequence of k distinct str, optional
        Names of the columns. Default: ``model-0``, ``model-1``, …
    query : pandas.DataFrame with n rows, optional
        Ex-ante features: what is known of a query before any model has been called. Its index names the queries; rows
        with equal names are copies of one query. Numbers are kept as float64, labels and texts as str, dates as
        datetime64[ns], those with a time zone in UTC, and names of columns as str, so that a query is the same
        whichever type of column it came in.
    answer_features : mapping of str to array_like of shape (n, k), optional
        Post-hoc features: what is known of an answer once it has been given, e.g. its margin. NaN means missing.
    cost_unit : str, optional
        The unit of `cost`, shown on axes and in tables, e.g. ``"tokens"`` or ``"USD"``.

    Raises
    ------
    TypeError
        If a table is not made of numbers, or `query` is not a data frame.
    ValueError
        If shapes disagree, a table is empty, an entry of quality or cost is NaN or infinite, a cost is negative, a name
        of a model or of a column occurs twice, or a query has no name. The message names the argument, the first bad
        row and model, and the mend.

    Notes
    -----
    The arrays are copied and read-only, and `query` hands out copies, so that no later step can change the data under
    an analysis.

    Examples
    --------
    >>> outcomes = Outcomes([[0, 1], [1, 1]], [[1, 5], [1, 7]], models=["small", "large"], cost_unit="tokens")
    >>> outcomes
    Outcomes: 2 queries × 2 models, cost in tokens
           quality  cost
    small      0.5     1
    large        1     6
    """

    quality: np.ndarray
    cost: np.ndarray
    models: tuple[str, ...]
    answer_features: Mapping[str, np.ndarray]
    cost_unit: str
    if TYPE_CHECKING:
        _query: pd.DataFrame
    query: _Copied = _Copied()

    def __init__(
        self,
        quality: Table,
        cost: Table,
        models: Sequence[str] | None = None,
        query: pd.DataFrame | None = None,
        answer_features: Mapping[str, Cells] | None = None,
        cost_unit: str = "",
    ) -> None:
        """Check and freeze everything that is handed in."""
        quality = _checks.table("quality", quality)
        models = _checks.names(models, quality.shape[1])
        cost = _checks.table("cost", cost, quality.shape)
        checked = {
            "quality": _checks.finite("quality", quality, models),
            "cost": _checks.non_negative("cost", cost, models),
            "models": models,
            "query": query_frame(query, len(quality)),
            "answer_features": _answer_tables(answer_features, quality.shape),
            "cost_unit": cost_unit,
        }
        for field, value in checked.items():
            object.__setattr__(self, field, value)

    def _with(self, **changed: Any) -> Outcomes:
        """Return the same with other fields, which were checked when this was built; their arrays become read-only."""
        fields: dict[str, Any] = {
            "quality": self.quality,
            "cost": self.cost,
            "models": self.models,
            "query": self._query,
        }
        fields |= {"answer_features": self.answer_features, "cost_unit": self.cost_unit} | changed
        for array in (fields["quality"], fields["cost"], *fields["answer_features"].values()):
            array.flags.writeable = False
        other = object.__new__(type(self))
        for field, value in fields.items():
            object.__setattr__(other, field, value)
        return other

    def __reduce__(self) -> tuple[type[Outcomes], tuple[object, ...]]:
        """Let workers of a parallel run have a copy: it is built anew, and so checked and frozen."""
        return type(self), (
            self.quality,
            self.cost,
            self.models,
            self._query,
            dict(self.answer_features),
            self.cost_unit,
        )

    def __len__(self) -> int:
        """Return the number of queries, n."""
        return len(self.quality)

    @property
    def k(self) -> int:
        """The number of models."""
        return len(self.models)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all there is in it, equal for equal outcomes, also in another process or from another file.

        Examples
        --------
        >>> Outcomes([[0, 1]], [[1, 5]]).fingerprint == Outcomes([[0.0, 1.0]], [[1.0, 5.0]]).fingerprint
        True
        """
        tables = {"quality": self.quality, "cost": self.cost, **self.answer_features}
        return _hash_of_all(tables, self.models, self._query, self.cost_unit)

    def evidence(self, ran: ArrayLike, *, truth: bool = False) -> Evidence:
        """Return what can be seen of these outcomes once some models have run on every query.

        Parameters
        ----------
        ran : bool array_like, shape (k,)
            The models that have run.
        truth : bool
            Whether to add the outcomes themselves, for an estimator that simulates; see `Evidence.truth`.

        Raises
        ------
        ValueError
            If `ran` does not hold one truth value for each model.

        Examples
        --------
        >>> pool = Outcomes([[0, 1], [1, 1]], [[1, 5], [1, 7]], models=["small", "large"])
        >>> pool.evidence([True, False])
        Evidence: 2 queries × 2 models; have run: small
        """
        ran = np.array(ran)
        if ran.shape != (self.k,) or ran.dtype != bool:
            raise ValueError(
                f"ran must say True or False for each of the {self.k} models; got {ran.dtype} of shape {ran.shape}."
            )
        return Evidence(ran, self.models, self._query, self.cost, self.answer_features, self.cost_unit, self, truth)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Mean quality and mean cost of every model, one row per model."""
        columns = {"quality": self.quality.mean(axis=0), "cost": self.cost.mean(axis=0)}
        return pd.DataFrame(columns, index=list(self.models))

    def __repr__(self) -> str:
        """Return the size of the tables and the mean quality and cost of every model."""
        return f"{self._headline()}\n{self.summary.to_string(float_format=_FOUR_DIGITS)}"

    def _repr_html_(self) -> str:
        return f"<p>{self._headline()}</p>{self.summary.to_html(float_format=_FOUR_DIGITS)}"

    def _headline(self) -> str:
        unit = f", cost in {self.cost_unit}" if self.cost_unit else ""
        return f"Outcomes: {len(self)} queries × {self.k} models{unit}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the models in the plane of cost and quality with the hull that mixing them reaches."""
        from . import plots

        return plots.plane(self, ax=ax)

    def take(self, rows: ArrayLike) -> Outcomes:
        """Return the queries `rows` (positions or a boolean mask of length n), in that order.

        Examples
        --------
        >>> len(Outcomes([[0.0], [1.0], [2.0]], [[1.0], [1.0], [1.0]]).take([2, 0]))
        2
        """
        wanted = np.asarray(rows)
        at = np.arange(len(self))[wanted if wanted.size else wanted.astype(int)].reshape(-1)
        if not len(at):
            raise ValueError("rows names no query: at least one is needed.")
        answers = MappingProxyType({name: values[at] for name, values in self.answer_features.items()})
        return self._with(
            quality=self.quality[at], cost=self.cost[at], query=self._query.iloc[at], answer_features=answers
        )

    def select(self, models: Sequence[str]) -> Outcomes:
        """Return the pool that has only the models named, in the order named.

        Raises
        ------
        TypeError
            If `models` is a single string.
        ValueError
            If a name is not in the pool, occurs twice or there is none; the message lists those that are.

        Examples
        --------
        >>> Outcomes([[0, 1]], [[1, 5]], models=["small", "large"]).select(["large"]).models
        ('large',)
        """
        models = _checks.names(models, len(models))
        unknown = [name for name in models if name not in self.models]
        if unknown or not models:
            raise ValueError(f"models not in this pool: {', '.join(unknown)}. It has: {', '.join(self.models)}.")
        columns = [self.models.index(name) for name in models]
        answers = MappingProxyType({name: values[:, columns] for name, values in self.answer_features.items()})
        return self._with(
            quality=self.quality[:, columns], cost=self.cost[:, columns], models=models, answer_features=answers
        )

    def split(self, *shares: float, seed: int) -> tuple[Outcomes, ...]:
        """Split the queries at random into disjoint parts whose sizes have the given shares.

        Copies of one query, i.e. rows with the same name, stay together. Within a part the rows keep their order: if
        the table is sorted, by topic say, then so is every part, and its first rows are no random sample of it.

        Parameters
        ----------
        *shares : float
            Positive, adding up to 1, e.g. ``split(0.4, 0.2, 0.4, seed=0)``.
        seed : int
            Seed of the shuffle.

        Raises
        ------
        ValueError
            If the shares are not positive, do not add up to 1, or leave a part without any query.

        Examples
        --------
        >>> pool = Outcomes([[0.0]] * 10, [[1.0]] * 10)
        >>> [len(part) for part in pool.split(0.5, 0.3, 0.2, seed=0)]
        [5, 3, 2]
        """
        if not shares or min(shares) <= 0 or not np.isclose(sum(shares), 1):
            raise ValueError(f"shares must be positive and add up to 1; got {shares}, which add up to {sum(shares):g}.")
        names, distinct = pd.factorize(self._query.index)
        order = np.random.default_rng(seed).permutation(len(distinct))
        sizes = np.cumsum(np.bincount(names)[order])
        parts = np.split(order, np.searchsorted(sizes, np.round(np.cumsum(shares)[:-1] * len(self)), side="right"))
        if not all(len(part) for part in parts):
            raise ValueError(
                f"{len(self)} queries, {len(distinct)} of them distinct, are too few for the shares {shares}: a part "
                "would be empty."
            )
        return tuple(self.take(np.isin(names, part)) for part in parts)

    def resample(self, n: int | None = None, *, seed: int) -> Outcomes:
        """Draw `n` queries with replacement (default: as many as there are).

        Examples
        --------
        >>> len(Outcomes([[0.0], [1.0]], [[1.0], [1.0]]).resample(100, seed=0))
        100
        """
        size = len(self) if n is None else n
        if size < 1:
            raise ValueError(f"n must be at least 1; got {size}.")
        return self.take(np.random.default_rng(seed).integers(len(self), size=size))

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        query_features: Sequence[str] = (),
        answer_features: Sequence[str] = (),
        cost_unit: str = "",
    ) -> Outcomes:
        """Build outcomes from a long table: one row per query and model.

        Parameters
        ----------
        frame : pandas.DataFrame
            Columns ``query``, ``model``, ``quality`` and ``cost``, one row for every pair of query and model, in any
            order of rows. Queries and models keep the order in which they first appear.
        query_features : sequence of str
            Columns known before any call; they must not differ between the rows of one query. A prefix ``query:`` is
            taken off their names.
        answer_features : sequence of str
            Columns known after the call, one value per query and model. A prefix ``answer:`` is taken off.
        cost_unit : str
            The unit of the column ``cost``.

        Raises
        ------
        ValueError
            If a column is missing, a pair of query and model occurs twice or never, or a query feature differs within
            one query. The message names the first offender.

        Examples
        --------
        >>> log = pd.DataFrame({"query": ["a", "a"], "model": ["small", "large"], "quality": [0, 1], "cost": [1, 5]})
        >>> Outcomes.from_frame(log).quality
        array([[0., 1.]])
        """
        wanted = ["query", "model", "quality", "cost", *query_features, *answer_features]
        missing = [column for column in wanted if column not in frame.columns]
        if missing:
            raise ValueError(
                f"the frame lacks the columns {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}."
            )
        _refuse_incomplete_pairs(frame)
        _refuse_varying_features(frame, query_features)
        queries, models = frame["query"].unique(), [str(name) for name in frame["model"].unique()]
        cells = frame.assign(model=frame["model"].astype(str)).set_index(["query", "model"])
        grid = cells.reindex(pd.MultiIndex.from_product([queries, models]))
        shape = (len(queries), len(models))
        features = frame.drop_duplicates("query").set_index("query")[list(query_features)]
        features.columns = [str(name).removeprefix("query:") for name in features]
        tables = {name: grid[name].to_numpy().reshape(shape) for name in answer_features}
        return cls(
            grid["quality"].to_numpy().reshape(shape),
            grid["cost"].to_numpy().reshape(shape),
            models=models,
            query=features,
            answer_features={str(name).removeprefix("answer:"): table for name, table in tables.items()},
            cost_unit=cost_unit,
        )

    def to_frame(self) -> pd.DataFrame:
        """Return a long table with one row per query and model: the inverse of `from_frame`.

        Where a feature has the name of another column, it is written as ``query:NAME`` or ``answer:NAME``.

        Examples
        --------
        >>> Outcomes([[0, 1]], [[1, 5]], models=["small", "large"]).to_frame()
           query  model  quality  cost
        0      0  small      0.0   1.0
        1      0  large      1.0   5.0
        """
        names = np.repeat(self._query.index.to_numpy(), self.k), np.tile(self.models, len(self))
        columns = dict(zip(_COLUMNS, (*names, self.quality.ravel(), self.cost.ravel()), strict=True))
        for name, values in self._query.items():
            columns[f"query:{name}" if name in _COLUMNS else str(name)] = np.repeat(values.to_numpy(), self.k)
        for name, table in self.answer_features.items():
            columns[f"answer:{name}" if name in columns else name] = table.ravel()
        return pd.DataFrame(columns)


@dataclass(frozen=True, eq=False, repr=False)
class Evidence:
    """What can be seen of n queries once the same models have run on all of them; made by `Outcomes.evidence`.

    It has no quality, and of the models that have not run neither costs nor answers, so that estimates made from it
    cannot use them. A table is only made when it is asked for.

    Parameters
    ----------
    ran : bool array, shape (k,)
        The models that have run.
    models : tuple of k str
        Their names.
    cost_unit : str
        The unit of costs.

    Examples
    --------
    >>> answers = {"says": [["yes", "no"], ["no", "no"]]}
    >>> pool = Outcomes([[0, 1], [1, 1]], [[1, 5], [1, 7]], models=["small", "large"], answer_features=answers)
    >>> now = pool.evidence([True, False])
    >>> now.cost
    array([[ 1., nan],
           [ 1., nan]])
    >>> now.answer_features["says"].tolist()
    [['yes', nan], ['no', nan]]
    >>> hasattr(now, "quality"), hasattr(now, "truth")
    (False, False)
    """

    ran: np.ndarray
    models: tuple[str, ...]
    _query: pd.DataFrame
    _cost: np.ndarray
    _answers: Mapping[str, np.ndarray]
    cost_unit: str = ""
    _source: Outcomes | None = None
    _shows_truth: bool = False

    def __post_init__(self) -> None:
        """Freeze the models that have run."""
        self.ran.flags.writeable = False

    def __len__(self) -> int:
        """Return the number of queries, n."""
        return len(self._cost)

    @property
    def k(self) -> int:
        """The number of models."""
        return len(self.models)

    @property
    def query(self) -> pd.DataFrame:
        """What is known of the queries before any call; a copy that shares its memory."""
        return self._query.copy(deep=False)

    @cached_property
    def cost(self) -> np.ndarray:
        """What the models that have run have cost, shape (n, k); NaN for the others."""
        return self._shown(self._cost)

    @cached_property
    def answer_features(self) -> Mapping[str, np.ndarray]:
        """What is known of the answers of the models that have run, each table (n, k); NaN for the others."""
        return MappingProxyType({name: self._shown(table) for name, table in self._answers.items()})

    @cached_property
    def fingerprint(self) -> str:
        """A hash for caches: that of the outcomes, the same in every state; of live queries, of all that is seen."""
        if self._source is not None:
            return self._source.fingerprint
        return _hash_of_all({"cost": self.cost, **self.answer_features}, self.models, self._query, self.cost_unit)

    @property
    def truth(self) -> Outcomes:
        """The outcomes themselves, only for estimators that say ``simulated = True``.

        Raises
        ------
        AttributeError
            For all others, and for live queries.
        """
        if not self._shows_truth or self._source is None:
            raise AttributeError(
                "this evidence does not show the truth: an estimator that simulates asks for it by the class attribute "
                "`simulated = True` (or outcomes.evidence(ran, truth=True) where you call it yourself), and live "
                "queries have none."
            )
        return self._source

    def __repr__(self) -> str:
        """Return the size of the tables and the models that have run."""
        ran = ", ".join(np.array(self.models)[self.ran]) or "none"
        return f"Evidence: {len(self)} queries × {self.k} models; have run: {ran}"

    def _shown(self, table: np.ndarray) -> np.ndarray:
        """Return a table without the entries of models that have not run, as float or, if not of numbers, object."""
        shown = np.full(table.shape, np.nan, dtype=float if table.dtype.kind in "bf" else object)
        shown[:, self.ran] = table[:, self.ran]
        shown.flags.writeable = False
        return shown


def _hash_of_all(tables: Mapping[str, np.ndarray], models: tuple[str, ...], query: pd.DataFrame, cost_unit: str) -> str:
    shape = (len(query), len(models))
    parts = [repr((shape, models, list(tables), list(query), cost_unit)).encode()]
    parts += [_hashes(table.ravel()).tobytes() for table in tables.values()]
    parts.append(pd.util.hash_pandas_object(query, categorize=False).to_numpy().tobytes())
    return hashlib.blake2b(b"".join(parts), digest_size=16).hexdigest()


def query_frame(query: pd.DataFrame | None, n: int) -> pd.DataFrame:
    """Return a copy of n queries' features with one type for all of a kind; its index names the queries."""
    if query is None:
        return pd.DataFrame(index=pd.RangeIndex(n))
    if not isinstance(query, pd.DataFrame):
        raise TypeError(f"query must be a pandas DataFrame with {n} rows; got {type(query).__name__}.")
    if len(query) != n:
        raise ValueError(f"query has {len(query)} rows, but quality has {n}: one row of features per query is needed.")
    if query.index.hasnans:
        raise ValueError(f"the query in row {query.index.isna().argmax()} has no name: give it one in the index.")
    names = [str(name) for name in query.columns]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise ValueError(f"query has several columns named {repeated[0]!r}: rename or drop all but one.")
    columns = {name: normal(query.iloc[:, i]) for i, name in enumerate(names)}
    return pd.DataFrame(columns, index=query.index.copy())


def _hashes(values: np.ndarray) -> np.ndarray:
    return pd.util.hash_array(values, categorize=False)


def _answer_tables(answers: Mapping[str, Cells] | None, shape: tuple[int, ...]) -> Mapping[str, np.ndarray]:
    tables = {}
    for name, values in (answers or {}).items():
        given = values if isinstance(values, np.ndarray) else np.array(values, dtype=object)
        if given.shape != shape:
            raise ValueError(
                f"answer_features[{name!r}] has shape {given.shape}, but {shape} is expected: (queries, models)."
            )
        tables[str(name)] = normal(pd.Series(given.ravel(), name=name)).to_numpy(copy=True).reshape(shape)
        tables[str(name)].flags.writeable = False
    return MappingProxyType(tables)


def _refuse_incomplete_pairs(frame: pd.DataFrame) -> None:
    counts = pd.crosstab(frame["query"], frame["model"])
    rows, columns = np.nonzero(counts.to_numpy() != 1)
    if len(rows):
        query, model = counts.index[rows[0]], counts.columns[columns[0]]
        count = counts.to_numpy()[rows[0], columns[0]]
        mend = "fill it in or drop the query" if count == 0 else "keep one of them"
        raise ValueError(f"query {query!r} has {count} rows for model {model!r} instead of one: {mend}.")


def _refuse_varying_features(frame: pd.DataFrame, features: Sequence[str]) -> None:
    for name in features:
        distinct = frame.groupby("query", sort=False)[name].nunique(dropna=False)
        if (distinct > 1).any():
            raise ValueError(
                f"the query feature {name!r} takes several values within query {distinct.idxmax()!r}; "
                "list it under answer_features if it depends on the model."
            )
