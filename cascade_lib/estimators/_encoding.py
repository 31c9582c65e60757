"""What is known of a query, as numbers for a learner: its features, and the answers of the models that have run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator

from .._packing import exactly, listed, pack, unpack
from ..outcomes import Evidence, Outcomes

Table = np.ndarray | sparse.csr_array

# Labels of answers with more levels than this count only by who agrees with whom; a query feature may have this many
# levels however few the queries are.
_FEW_LEVELS = 20
# A label with more levels than this has one column for all but the most frequent.
_MOST_LEVELS = 100


class Reader:
    """What is known of a query, as numbers: its features, and the answers of the models that have run.

    Parameters
    ----------
    columns : list of str
        The features of queries.
    features : transformer
        Turns them into numbers.
    tables : mapping of str to bool
        The features of answers, and whether each holds labels.
    encoded : list of str
        Those that are read as such, and not only for who agrees with whom.
    answers : list of Encoder
        One for each model.
    """

    def __init__(
        self,
        columns: list[str],
        features: object,
        tables: Mapping[str, bool],
        encoded: list[str],
        answers: list[Encoder],
    ) -> None:
        self.columns, self.features = columns, features
        self._tables, self._encoded, self._answers = tables, encoded, answers
        self._labels = [name for name, labels in tables.items() if labels]

    @classmethod
    def fitted(cls, train: Outcomes, features: BaseEstimator | None) -> Reader:
        """Learn how to read outcomes such as these."""
        query = train.query
        # Every query is looked at once, so that a resampled training set has no more rows than it has queries.
        once = np.sort(np.unique(keys(query), return_index=True)[1])
        features = Encoder() if features is None else features
        features.fit(query.iloc[once])
        cells = {name: pd.Series(table.ravel()) for name, table in train.answer_features.items()}
        tables = {name: _kind(column) in _LABELS for name, column in cells.items()}
        encoded = [name for name, labels in tables.items() if not labels or cells[name].nunique() <= _FEW_LEVELS]
        answers = [
            Encoder(f"model {model!r}: the answer feature", _MEND_ANSWERS).fit(_frame(train, encoded, i, once))
            for i, model in enumerate(train.models)
        ]
        return cls(list(query.columns), features, tables, encoded, answers)

    @property
    def names(self) -> set[str]:
        """All features of queries and answers that it reads."""
        return {*self.columns, *self._tables}

    def queries(self, query: pd.DataFrame) -> Table:
        """Return the features of queries, one row each."""
        missing = [str(name) for name in self.columns if name not in query.columns]
        if missing:
            raise ValueError(
                f"outcomes.query lacks the features {', '.join(missing)}, which this estimator was fitted with: add "
                "these columns, with NaN where a value is not known, or fit without them."
            )
        return _numbers(self.features.transform(query[self.columns]), len(query))

    def answers(self, evidence: Evidence, members: Sequence[int], rows: np.ndarray) -> list[np.ndarray]:
        """Return what the answers of the models `members` say, in blocks with one row for each of some queries."""
        missing = [name for name in self._tables if name not in evidence.answer_features]
        if members and missing:
            raise ValueError(
                f"outcomes.answer_features lacks {', '.join(missing)}, which this estimator was fitted with: "
                "add these tables, with NaN where a value is not known, or fit without them."
            )
        own = [self._answers[i].transform(_frame(evidence, self._encoded, i, rows)) for i in members]
        if len(members) < 2:
            return own
        return own + [_agreement(evidence.answer_features[name][rows][:, members]) for name in self._labels]

    def width(self, members: Sequence[int]) -> int:
        """Return how many numbers are known of a query once the models `members` have run, without their costs."""
        agreements = len(members) * len(self._labels) if len(members) > 1 else 0
        return self.features.width + sum(self._answers[i].width for i in members) + agreements

    def stored(self) -> dict[str, object]:
        """Return it as plain values.

        Raises
        ------
        TypeError
            If the features are read by a transformer that is not known as numbers.
        """
        if not hasattr(self.features, "stored"):
            raise TypeError(
                f"a policy with the transformer {self.features!r} cannot be saved: a file holds numbers only. Use the "
                "default features, those of cascade_lib.default_estimator for texts, or compute the features yourself "
                "and pass them as columns of numbers."
            )
        return {
            "columns": self.columns,
            "features": self.features.stored(),
            "tables": dict(self._tables),
            "encoded": self._encoded,
            "answers": [encoder.stored() for encoder in self._answers],
        }

    @classmethod
    def read(cls, stored: object, models: Sequence[str], kinds: Mapping[str, type]) -> Reader:
        """Return what was stored, provided that every feature it reads is one that it names."""
        stored = exactly(stored, "columns", "features", "tables", "encoded", "answers")
        columns, encoded = listed(stored["columns"], str), listed(stored["encoded"], str)
        tables, features, answers = stored["tables"], stored["features"], listed(stored["answers"], dict)
        if not isinstance(tables, dict) or not set(encoded) <= set(tables) or len(answers) != len(models):
            raise ValueError("the answers read are not those of the models and tables named.")
        listed(list(tables.values()), bool)
        if not isinstance(features, dict) or type(features.get("kind")) is not str or features["kind"] not in kinds:
            raise ValueError(f"features must be read by one of {', '.join(kinds)}.")
        encoders = [
            Encoder.read(entry, encoded, f"model {model!r}: the answer feature", _MEND_ANSWERS)
            for model, entry in zip(models, answers, strict=True)
        ]
        return cls(columns, kinds[features["kind"]].read(features, columns), tables, encoded, encoders)


def _frame(known: Outcomes | Evidence, names: Sequence[str], i: int, rows: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({name: known.answer_features[name][rows, i] for name in names}, index=range(len(rows)))


class Encoder:
    """Numbers from a data frame whose columns are numbers, with median and indicator where missing, or labels."""

    def __init__(self, what: str = "the query feature", mend: str | None = None) -> None:
        self._what, self._mend = what, _MEND if mend is None else mend

    def fit(self, frame: pd.DataFrame) -> Encoder:
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
        label_columns = [name for name, kind in kinds.items() if kind in _LABELS]
        numbers = self._as_numbers(frame)
        missing = np.isnan(numbers)
        self._medians = np.array(
            [np.median(some) if some.size else 0.0 for some in (c[~np.isnan(c)] for c in numbers.T)]
        )
        self._marked = missing.any(axis=0)
        self._levels = {name: _levels(self._as_labels(frame, name)) for name in label_columns}
        self._rare = [len(set(self._as_labels(frame, name))) > _MOST_LEVELS for name in label_columns]
        return self

    @property
    def width(self) -> int:
        """How many numbers it makes of a row."""
        labels = sum(map(len, self._levels.values())) + sum(self._rare)
        return len(self._number_columns) + int(self._marked.sum()) + labels

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        """Return one row of numbers for every row of the frame."""
        numbers = self._as_numbers(frame)
        missing = np.isnan(numbers)
        blocks = [np.where(missing, self._medians, numbers), missing[:, self._marked].astype(float)]
        for (name, levels), rare in zip(self._levels.items(), self._rare, strict=True):
            said = self._as_labels(frame, name)[:, None] == np.array(levels, dtype=object)
            blocks += [said.astype(float), ~said.any(axis=1, keepdims=True) * 1.0] if rare else [said.astype(float)]
        return np.hstack(blocks)

    def stored(self) -> dict[str, object]:
        """Return it as plain values; the levels of labels are among them."""
        return {
            "kind": "columns",
            "numbers": self._number_columns,
            "medians": pack(self._medians, "<f8"),
            "marked": self._marked.tolist(),
            "levels": self._levels,
            "rare": self._rare,
        }

    @classmethod
    def read(
        cls, stored: object, columns: Sequence[str], what: str = "the query feature", mend: str | None = None
    ) -> Encoder:
        """Return what was stored, provided that it reads no other columns."""
        stored = exactly(stored, "kind", "numbers", "medians", "marked", "levels", "rare")
        encoder = cls(what, mend)
        encoder._number_columns, levels = listed(stored["numbers"], str), stored["levels"]
        if not isinstance(levels, dict) or not {*encoder._number_columns, *levels} <= set(columns):
            raise ValueError("a feature is read that is not among those named.")
        encoder._levels = {name: listed(labels, str, _MOST_LEVELS) for name, labels in levels.items()}
        encoder._medians = unpack(stored["medians"], "<f8", (len(encoder._number_columns),))
        encoder._marked, encoder._rare = (
            np.array(listed(stored["marked"], bool), dtype=bool),
            listed(stored["rare"], bool),
        )
        if len(encoder._marked) != len(encoder._medians) or len(encoder._rare) != len(levels):
            raise ValueError("there must be an indicator for every number, and one for every label.")
        return encoder

    def _as_numbers(self, frame: pd.DataFrame) -> np.ndarray:
        columns = [self._checked(frame, name, _NUMBERS) for name in self._number_columns]
        table = np.empty((len(frame), len(columns)))
        for i, column in enumerate(columns):
            table[:, i] = column.to_numpy(dtype=float, na_value=np.nan)
        for name in np.array(self._number_columns, dtype=object)[np.isinf(table).any(axis=0)]:
            raise ValueError(f"{self._what} {name!r} has an infinite value: replace it by a number or NaN.")
        return table

    def _as_labels(self, frame: pd.DataFrame, name: str) -> np.ndarray:
        return _strings(self._checked(frame, name, _LABELS))

    def _checked(self, frame: pd.DataFrame, name: str, kinds: frozenset[str]) -> pd.Series:
        """Return a column, provided that it holds what it held in training."""
        column, kind = frame[name], _kind(frame[name])
        if kind not in kinds and column.notna().any():
            then = "numbers" if kinds is _NUMBERS else "labels"
            raise ValueError(f"{self._what} {name!r} held {then} in training, but {kind} values here: convert it.")
        return column


def _levels(labels: np.ndarray) -> list[str]:
    """Return the labels, or if they are too many the most frequent ones, in the order of the alphabet."""
    levels, counts = np.unique(labels.astype(str), return_counts=True)
    if len(levels) > _MOST_LEVELS:
        levels = np.sort(levels[np.argsort(-counts, kind="stable")[: _MOST_LEVELS - 1]])
    return levels.tolist()


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


class Recent:
    """Keeps what was made of a few tables of features, found again by their content."""

    def __init__(self, most: int) -> None:
        self.most, self.kept = most, {}

    def get(self, query: pd.DataFrame, make: Callable[[pd.DataFrame], object]) -> object:
        """Return what was made of an equal table, or make it; the latest table is kept even if it is long."""
        hashes = pd.util.hash_pandas_object(query, categorize=False).to_numpy()
        content = (*query.columns, hashes.tobytes())
        kept = self.kept.get(content)
        if kept is None:
            kept = make(query)
            if sum(map(len, self.kept)) > 8 * self.most:
                self.kept = {}
            self.kept = {**self.kept, content: kept}
        return kept
