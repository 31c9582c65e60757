"""What is known of a query, as numbers for a learner: its features, and the answers of the models that have run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from ..outcomes import Outcomes

Table = np.ndarray | sparse.csr_array

# Labels of answers with more levels than this count only by who agrees with whom; a query feature may have this many
# levels however few the queries are.
_FEW_LEVELS = 20


class Reader:
    """What is known of a query, as numbers: its features, and the answers of the models that have run."""

    def __init__(self, train: Outcomes, features: BaseEstimator | None) -> None:
        self.columns = list(train.query.columns)
        # Every query is looked at once, so that a resampled training set has no more rows than it has queries.
        once = np.sort(np.unique(keys(train.query), return_index=True)[1])
        self._features = _Encoder("the query feature", _MEND) if features is None else features
        self._features.fit(train.query.iloc[once])
        kinds = {name: _kind(pd.Series(table.ravel())) for name, table in train.answers.items()}
        self._labels = [name for name, kind in kinds.items() if kind in _LABELS]
        many = {name for name in self._labels if pd.Series(train.answers[name].ravel()).nunique() > _FEW_LEVELS}
        self._tables, self._encoded = list(kinds), [name for name in kinds if name not in many]
        self._answers = [
            _Encoder(f"model {model!r}: the answer feature", _MEND_ANSWERS).fit(self._frame(train, i, once))
            for i, model in enumerate(train.models)
        ]

    def queries(self, query: pd.DataFrame) -> Table:
        """Return the features of queries, one row each."""
        missing = [str(name) for name in self.columns if name not in query.columns]
        if missing:
            raise ValueError(
                f"outcomes.query lacks the features {', '.join(missing)}, which this estimator was fitted with: add "
                "these columns, with NaN where a value is not known, or fit without them."
            )
        return _numbers(self._features.transform(query[self.columns]), len(query))

    def answers(self, outcomes: Outcomes, members: Sequence[int], rows: np.ndarray) -> list[np.ndarray]:
        """Return what the answers of the models `members` say, in blocks with one row for each of some queries."""
        missing = [name for name in self._tables if name not in outcomes.answers]
        if members and missing:
            raise ValueError(
                f"outcomes.answers lacks {', '.join(missing)}, which this estimator was fitted with: add these tables, "
                "with NaN where a value is not known, or fit without them."
            )
        own = [self._answers[i].transform(self._frame(outcomes, i, rows)) for i in members]
        if len(members) < 2:
            return own
        return own + [_agreement(outcomes.answers[name][rows][:, members]) for name in self._labels]

    def _frame(self, outcomes: Outcomes, i: int, rows: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame({name: outcomes.answers[name][rows, i] for name in self._encoded}, index=range(len(rows)))


class _Encoder:
    """Numbers from a data frame whose columns are numbers, with median and indicator where missing, or labels."""

    def __init__(self, what: str, mend: str) -> None:
        self._what, self._mend = what, mend

    def fit(self, frame: pd.DataFrame) -> _Encoder:
        """Learn medians and labels."""
        kinds = {name: _kind(frame[name]) for name in frame}
        for name, kind in kinds.items():
            if kind not in _NUMBERS | _LABELS:
                raise ValueError(f"{self._what} {name!r} holds {kind} values: {self._mend}.")
            levels = frame[name].nunique()
            if kind in _LABELS and levels > max(_FEW_LEVELS, len(frame) // 4):
                raise ValueError(
                    f"{self._what} {name!r} looks like free text, with {levels} different values in {len(frame)} "
                    f"queries: {self._mend}."
                )
        self._number_columns = [name for name, kind in kinds.items() if kind in _NUMBERS]
        self._label_columns = [name for name, kind in kinds.items() if kind in _LABELS]
        self._steps = []
        if self._number_columns:
            fill = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
            self._steps.append((self._as_numbers, fill.fit(self._as_numbers(frame))))
        if self._label_columns:
            mark = OneHotEncoder(max_categories=100, handle_unknown="infrequent_if_exist", sparse_output=False)
            self._steps.append((self._as_labels, mark.fit(self._as_labels(frame))))
        return self

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        """Return one row of numbers for every row of the frame."""
        return np.hstack([np.empty((len(frame), 0)), *(step.transform(read(frame)) for read, step in self._steps)])

    def _as_numbers(self, frame: pd.DataFrame) -> np.ndarray:
        columns = [self._checked(frame, name, _NUMBERS) for name in self._number_columns]
        table = np.column_stack([column.to_numpy(dtype=float, na_value=np.nan) for column in columns])
        for name in np.array(self._number_columns, dtype=object)[np.isinf(table).any(axis=0)]:
            raise ValueError(f"{self._what} {name!r} has an infinite value: replace it by a number or NaN.")
        return table

    def _as_labels(self, frame: pd.DataFrame) -> np.ndarray:
        return np.column_stack([_strings(self._checked(frame, name, _LABELS)) for name in self._label_columns])

    def _checked(self, frame: pd.DataFrame, name: str, kinds: frozenset[str]) -> pd.Series:
        """Return a column, provided that it holds what it held in training."""
        column, kind = frame[name], _kind(frame[name])
        if kind not in kinds and column.notna().any():
            then = "numbers" if kinds is _NUMBERS else "labels"
            raise ValueError(f"{self._what} {name!r} held {then} in training, but {kind} values here: convert it.")
        return column


# Kinds of columns by the names that pandas has for them.
_NUMBERS = frozenset({"integer", "floating", "mixed-integer-float", "boolean", "decimal", "empty"})
_LABELS = frozenset({"string", "categorical"})
_MEND = (
    "pass a transformer as `features`, such as a ColumnTransformer with a TfidfVectorizer for texts, or drop the column"
)
_MEND_ANSWERS = "turn it into numbers or strings, or leave it out"


def _kind(column: pd.Series) -> str:
    """Return what a column holds, leaving out what is missing."""
    return pd.api.types.infer_dtype(column, skipna=True)


def _strings(column: pd.Series) -> np.ndarray:
    """Return labels as strings, the empty one where they are missing."""
    return column.astype("string").fillna("").to_numpy(dtype=object)


def _agreement(labels: np.ndarray) -> np.ndarray:
    """Return for each of s ≥ 2 models the share of the others that gave the same label, shape (m, s).

    A missing label, be it None, NaN, ``pd.NA`` or the empty string, agrees with none.
    """
    texts = _strings(pd.Series(labels.ravel())).reshape(labels.shape)
    codes, given = pd.factorize(texts.ravel())[0].reshape(labels.shape), texts != ""
    same = (codes[:, :, None] == codes[:, None, :]) & given[:, :, None] & given[:, None, :]
    return (same.sum(axis=2) - given) / (labels.shape[1] - 1)


def keys(query: pd.DataFrame) -> np.ndarray:
    """Return a hash of every query's name and features, uint64 (n,), the same for all types that say the same.

    Names count as strings. Numbers and truth values count as numbers, to the seven digits that survive a file of single
    precision; what is missing counts as missing, whatever stands for it.
    """
    parts = [_hashed(query.index.map(str).to_series()), *(_hashed(column) for _, column in query.items())]
    return pd.util.hash_pandas_object(pd.DataFrame(np.column_stack(parts)), index=False).to_numpy()


def _hashed(column: pd.Series) -> np.ndarray:
    """Return a hash of every cell."""
    if _kind(column) in _NUMBERS:
        with np.errstate(over="ignore"):
            # Adding 0 makes one zero of two.
            values = column.to_numpy(dtype=float, na_value=np.nan).astype(np.float32).astype(float) + 0.0
    else:
        values = column.astype(object).to_numpy()
    # Hashing each value by itself is slower than by distinct values, but copes with cells that are lists or arrays.
    return np.where(column.isna(), np.uint64(0), pd.util.hash_array(values, categorize=False))


def _numbers(encoded: object, n: int) -> Table:
    """Return what a transformer made of n queries as a table of numbers."""
    try:
        table = sparse.csr_array(encoded, dtype=float) if sparse.issparse(encoded) else np.asarray(encoded, dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"features must turn outcomes.query into a table of numbers: {error}.") from None
    if table.ndim != 2 or table.shape[0] != n:
        raise ValueError(f"features must return one row for each of {n} queries; got shape {table.shape}.")
    return table


def beside(blocks: Sequence[Table]) -> Table:
    """Put tables side by side."""
    if any(sparse.issparse(block) for block in blocks):
        return sparse.hstack([sparse.csr_array(block) for block in blocks], format="csr")
    return np.hstack(blocks)
