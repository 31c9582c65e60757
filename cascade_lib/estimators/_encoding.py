"""What is known of a query, as numbers for a learner: its features, and the answers of the models that have run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer

from .._columns import DATES, FEW_LEVELS, LABELS, NUMBERS, dated, dates, held, is_text, strings
from .._packing import exactly, listed, pack, unpack
from ..outcomes import Evidence, Outcomes
from ._words import Words, stacked

Table = np.ndarray | sparse.csr_array
Made = TypeVar("Made")

# A label with more levels than this has one column for all but the most frequent.
_MOST_LEVELS = 100
# Words are hashed into so many buckets, and these reduced to so many directions.
_BUCKETS, _DIRECTIONS, _MOST_TEXTS = 2**14, 32, 100
# Built from constants and never fitted, so that nothing of it need be stored.
_HASH = HashingVectorizer(n_features=_BUCKETS, alternate_sign=False, norm=None)
_EPOCH, _DAY, _HOUR = np.datetime64(0, "ns"), np.timedelta64(1, "D"), np.timedelta64(1, "h")


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
    words : Words, optional
        What the words of queries say of every model's quality; stands after the features, as one number for each.
    """

    def __init__(
        self,
        columns: list[str],
        features: Any,
        tables: Mapping[str, bool],
        encoded: list[str],
        answers: list[Encoder],
        words: Words | None = None,
    ) -> None:
        self.columns, self.features, self.words = columns, features, words
        self._tables, self._encoded, self._answers = tables, encoded, answers
        self._labels = [name for name, labels in tables.items() if labels]

    @classmethod
    def fitted(cls, train: Outcomes, features: BaseEstimator) -> Reader:
        """Learn how to read outcomes such as these."""
        query = train.query
        # Every query is looked at once, so that a resampled training set has no more rows than it has queries.
        once = np.sort(np.unique(keys(query), return_index=True)[1])
        features.fit(query.iloc[once])
        cells = {name: pd.Series(table.ravel()) for name, table in train.answer_features.items()}
        tables = {name: held(column) in LABELS for name, column in cells.items()}
        # Labels with many levels count only by who agrees with whom.
        encoded = [name for name, labels in tables.items() if not labels or cells[name].nunique() <= FEW_LEVELS]
        answers = [Encoder(model).fit(_frame(train, encoded, i, once)) for i, model in enumerate(train.models)]
        return cls(list(query.columns), features, tables, encoded, answers)

    @property
    def names(self) -> set[str]:
        """All features of queries and answers that it reads."""
        return {*self.columns, *self._tables}

    def known(self, query: pd.DataFrame) -> pd.DataFrame:
        """Return the features that are read, with ISO texts as dates where there were dates in training."""
        missing = [str(name) for name in self.columns if name not in query.columns]
        if missing:
            raise ValueError(
                f"outcomes.query lacks the features {', '.join(missing)}, which this estimator was fitted with: add "
                "these columns, with NaN where a value is not known, or fit without them."
            )
        moments = self.features.names_.get("dates", ()) if isinstance(self.features, Encoder) else ()
        return query[self.columns].assign(**{name: dated(query[name]) for name in moments})

    def queries(self, query: pd.DataFrame) -> Table:
        """Return the features of queries as numbers, one row each."""
        known = self.known(query)
        encoded = _numbers(self.features.transform(known), len(query))
        return encoded if self.words is None else beside([encoded, self.words.predict(self.features.words(known))])

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
        return self.of_queries + sum(self._answers[i].width for i in members) + agreements

    @property
    def of_queries(self) -> int:
        """How many numbers are known of a query before any model has run."""
        return self.features.width + (0 if self.words is None else len(self._answers))

    def stored(self) -> dict[str, object]:
        """Return it as plain values.

        Raises
        ------
        TypeError
            If the features are read by a transformer that is not known as numbers.
        """
        if not isinstance(self.features, Encoder):
            raise TypeError(
                f"a policy with the transformer {self.features!r} cannot be saved: a file holds numbers only. Use the "
                "default features, or compute the features yourself and pass them as columns of numbers."
            )
        return {
            "columns": self.columns,
            "features": self.features.stored(),
            "tables": dict(self._tables),
            "encoded": self._encoded,
            "answers": [encoder.stored() for encoder in self._answers],
            "words": None if self.words is None else self.words.stored(),
        }

    @classmethod
    def read(cls, stored: object, models: Sequence[str]) -> Reader:
        """Return what was stored, provided that every feature it reads is one that it names."""
        stored = exactly(stored, "columns", "features", "tables", "encoded", "answers", "words")
        columns, encoded = listed(stored["columns"], str), listed(stored["encoded"], str)
        tables, answers = stored["tables"], listed(stored["answers"], dict)
        if not isinstance(tables, dict) or not set(encoded) <= set(tables) or len(answers) != len(models):
            raise ValueError("the answers read are not those of the models and tables named.")
        listed(list(tables.values()), bool)
        encoders = [Encoder.read(entry, encoded, model) for model, entry in zip(models, answers, strict=True)]
        features, words = Encoder.read(stored["features"], columns), None
        if stored["words"] is not None:
            words = Words.read(stored["words"], features.words_width, len(models))
        return cls(columns, features, tables, encoded, encoders, words)


def _frame(known: Outcomes | Evidence, names: Sequence[str], i: int, rows: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({name: known.answer_features[name][rows, i] for name in names}, index=range(len(rows)))


class Encoder(BaseEstimator):
    """A transformer for data frames of numbers, labels, dates and free texts, any of which may be missing.

    Parameters
    ----------
    model : str, optional
        The model whose answers the columns tell of. Default: they tell of queries.
    random_state : int, optional
        Seed of the directions of texts.

    Examples
    --------
    >>> frame = pd.DataFrame({"prompt": [f"What is {i} plus {i}?" for i in range(40)], "hard": [True, False] * 20})
    >>> Encoder(random_state=0).fit(frame).transform(frame)[:2, [0, 1, -1]]
    array([[17.,  5.,  1.],
           [17.,  5.,  0.]])
    """

    def __init__(self, model: str | None = None, random_state: int | None = None) -> None:
        self.model = model
        self.random_state = random_state

    def fit(self, frame: pd.DataFrame, y: object = None) -> Encoder:
        """Decide what each column holds, and learn how to read it."""
        kinds = {name: self._kind(frame[name]) for name in frame}
        # In the order of the readers, which is the order of what they make.
        self.names_: dict[str, list[str]] = {
            kind: [str(name) for name in kinds if kinds[name] == kind] for kind in _READERS if kind in kinds.values()
        }
        self.readers_: dict[str, _Columns] = {
            kind: _READERS[kind].fitted(self._columns(frame, kind), self.random_state) for kind in self.names_
        }
        return self._measured()

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        """Return one row of numbers for every row of the frame."""
        blocks = [np.empty((len(frame), 0))]
        for kind, reader in self.readers_.items():
            blocks += reader.blocks(self._columns(frame, kind))
        return np.hstack(blocks)

    def words(self, frame: pd.DataFrame) -> sparse.csr_array:
        """Return the weighted words of free texts and the labels, one row for every row of the frame."""
        readers = {kind: reader for kind, reader in self.readers_.items() if isinstance(reader, _Texts | _Labels)}
        return stacked([b for kind, reader in readers.items() for b in reader.worded(self._columns(frame, kind))])

    @property
    def words_width(self) -> int:
        """How many words and labels there are."""
        return self._blank(self.words).shape[1]

    def stored(self) -> dict[str, object]:
        """Return it as plain values; the levels of labels are among them."""
        return {kind: {"names": self.names_[kind], "reader": reader.stored()} for kind, reader in self.readers_.items()}

    @classmethod
    def read(cls, stored: object, columns: Sequence[str], model: str | None = None) -> Encoder:
        """Return what was stored, provided that it reads no other columns, and none twice."""
        if not isinstance(stored, dict) or not set(stored) <= set(_READERS):
            raise ValueError(f"features must be read as {', '.join(_READERS)}.")
        entries = {kind: exactly(stored[kind], "names", "reader") for kind in _READERS if kind in stored}
        encoder = cls(model)
        encoder.names_ = {kind: listed(entry["names"], str) for kind, entry in entries.items()}
        named = [name for names in encoder.names_.values() for name in names]
        if not all(encoder.names_.values()) or len(set(named)) < len(named) or not set(named) <= set(columns):
            raise ValueError("a feature is read that is not among those named, or one is read twice.")
        encoder.readers_ = {
            kind: _READERS[kind].read(entry["reader"], len(encoder.names_[kind])) for kind, entry in entries.items()
        }
        return encoder._measured()

    def _measured(self) -> Encoder:
        """Note how many numbers are made of a row."""
        self.width = self._blank(self.transform).shape[1]
        return self

    def _blank(self, read: Callable[[pd.DataFrame], Made]) -> Made:
        """Return what is read from a row of which nothing is known."""
        names = [name for names in self.names_.values() for name in names]
        return read(pd.DataFrame(np.nan, index=[0], columns=names))

    @property
    def _what(self) -> str:
        return "the query feature" if self.model is None else f"model {self.model!r}: the answer feature"

    def _kind(self, column: pd.Series) -> str:
        """Return which reader a column is for."""
        if is_text(column):
            return "texts"
        found = held(column)
        for kind in ("numbers", "labels", "dates") if self.model is None else ("numbers", "labels"):
            if found in _HOLDS[kind]:
                return kind
        remedy = "pass a transformer as `features`, or drop the column" if self.model is None else "or leave it out"
        raise ValueError(
            f"{self._what} {column.name!r} holds {found} values: turn it into numbers or strings, {remedy}."
        )

    def _columns(self, frame: pd.DataFrame, kind: str) -> list[np.ndarray]:
        """Return the columns for one reader, provided that they hold what they held in training."""
        return [_AS[kind](self._checked(frame[name], kind)) for name in self.names_[kind]]

    def _checked(self, column: pd.Series, kind: str) -> pd.Series:
        if column.isna().all():  # which any kind may be
            return pd.Series(np.nan, index=column.index)
        found = held(column)
        if found not in _HOLDS[kind]:
            remedy = "write it as ISO dates, such as 2026-05-17T12:00Z" if kind == "dates" else "convert it"
            raise ValueError(
                f"{self._what} {column.name!r} held {kind} in training, but {found} values here: {remedy}."
            )
        if kind == "numbers" and np.isinf(_floats(column)).any():
            raise ValueError(f"{self._what} {column.name!r} has an infinite value: replace it by a number or NaN.")
        return column


@dataclass(frozen=True, eq=False)
class _Numbers:
    """Numbers as they are; where one is missing the median, with an indicator if one was missing in training."""

    medians: np.ndarray
    marked: np.ndarray

    @classmethod
    def fitted(cls, columns: Sequence[np.ndarray], seed: int | None = None) -> _Numbers:
        given = [column[~np.isnan(column)] for column in columns]
        medians = np.array([np.median(some) if some.size else 0.0 for some in given])
        return cls(medians, np.array([np.isnan(column).any() for column in columns]))

    def blocks(self, columns: Sequence[np.ndarray]) -> list[np.ndarray]:
        table = np.column_stack(columns)
        missing = np.isnan(table)
        return [np.where(missing, self.medians, table), missing[:, self.marked].astype(float)]

    def stored(self) -> dict[str, object]:
        return {"medians": pack(self.medians, "<f8"), "marked": self.marked.tolist()}

    @classmethod
    def read(cls, stored: object, n: int) -> _Numbers:
        stored = exactly(stored, "medians", "marked")
        return cls(unpack(stored["medians"], "<f8", (n,)), np.array(_switches(stored["marked"], n)))


@dataclass(frozen=True, eq=False)
class _Labels:
    """For each of the most frequent levels whether it is the label, and if there are more, whether it is a rare one."""

    levels: list[list[str]]
    rare: list[bool]

    @classmethod
    def fitted(cls, columns: Sequence[np.ndarray], seed: int | None = None) -> _Labels:
        return cls([_levels(column) for column in columns], [len(set(column)) > _MOST_LEVELS for column in columns])

    def blocks(self, columns: Sequence[np.ndarray]) -> list[np.ndarray]:
        blocks = []
        for column, levels, rare in zip(columns, self.levels, self.rare, strict=True):
            said = column[:, None] == np.array(levels, dtype=object)
            blocks += [said.astype(float), ~said.any(axis=1, keepdims=True) * 1.0] if rare else [said.astype(float)]
        return blocks

    worded = blocks

    def stored(self) -> dict[str, object]:
        return {"levels": self.levels, "rare": self.rare}

    @classmethod
    def read(cls, stored: object, n: int) -> _Labels:
        stored = exactly(stored, "levels", "rare")
        levels = _one_each(listed(stored["levels"], list), n)
        return cls([listed(labels, str, _MOST_LEVELS) for labels in levels], _switches(stored["rare"], n))


@dataclass(frozen=True, eq=False)
class _Dates:
    """Days since the first date of training, and if any date there has a time of day, the hour and the weekday."""

    first: np.ndarray
    timed: list[bool]
    numbers: _Numbers

    @classmethod
    def fitted(cls, columns: Sequence[np.ndarray], seed: int | None = None) -> _Dates:
        timed = [bool(((column - _EPOCH) % _DAY > _HOUR * 0).any()) for column in columns]
        days = [(column - _EPOCH) / _DAY for column in columns]
        first = np.array([np.nanmin(some) if not np.isnan(some).all() else 0.0 for some in days])
        numbers = _Numbers.fitted(_parts(columns, first, timed))
        # One indicator is enough for a date.
        leading = np.concatenate([[True, False, False] if times else [True] for times in timed])
        return cls(first, timed, _Numbers(numbers.medians, numbers.marked & leading))

    def blocks(self, columns: Sequence[np.ndarray]) -> list[np.ndarray]:
        return self.numbers.blocks(_parts(columns, self.first, self.timed))

    def stored(self) -> dict[str, object]:
        return {"first": pack(self.first, "<f8"), "timed": self.timed, "numbers": self.numbers.stored()}

    @classmethod
    def read(cls, stored: object, n: int) -> _Dates:
        stored = exactly(stored, "first", "timed", "numbers")
        timed = _switches(stored["timed"], n)
        return cls(unpack(stored["first"], "<f8", (n,)), timed, _Numbers.read(stored["numbers"], n + 2 * sum(timed)))


def _parts(columns: Sequence[np.ndarray], first: np.ndarray, timed: Sequence[bool]) -> list[np.ndarray]:
    """Return the numbers that each date is made of: days, or days, hour and weekday, 0 for Monday; NaN if missing."""
    parts = []
    for column, start, times in zip(columns, first, timed, strict=True):
        since = column - _EPOCH
        of_day = since % _DAY
        # 1 January 1970 was a Thursday.
        parts += [since / _DAY - start, *([of_day / _HOUR, ((since - of_day) / _DAY + 3) % 7] if times else [])]
    return parts


@dataclass(frozen=True, eq=False)
class _Texts:
    """The lengths of free texts, and where these lie along directions of hashed words; a missing one is empty."""

    words: list[tuple[np.ndarray, np.ndarray]]

    @classmethod
    def fitted(cls, columns: Sequence[np.ndarray], seed: int | None = None) -> _Texts:
        return cls([_words(column, seed) for column in columns])

    def blocks(self, columns: Sequence[np.ndarray]) -> list[np.ndarray]:
        blocks = []
        for texts, (weights, directions) in zip(columns, self.words, strict=True):
            blocks.append(np.array([[len(text), len(text.split())] for text in texts], dtype=float).reshape(-1, 2))
            blocks.append(_weighted(_HASH.transform(texts), weights) @ directions.T)
        return blocks

    def worded(self, columns: Sequence[np.ndarray]) -> list[sparse.csr_matrix[Any]]:
        return [_weighted(_HASH.transform(texts), w) for texts, (w, _) in zip(columns, self.words, strict=True)]

    def stored(self) -> dict[str, object]:
        packed = [{"weights": pack(weights, "<f8"), "directions": pack(rows, "<f8")} for weights, rows in self.words]
        return {"words": packed}

    @classmethod
    def read(cls, stored: object, n: int) -> _Texts:
        packed = listed(exactly(stored, "words")["words"], dict, _MOST_TEXTS)
        parts = [exactly(part, "weights", "directions") for part in _one_each(packed, n)]
        return cls(
            [
                (unpack(part["weights"], "<f8", (_BUCKETS,)), unpack(part["directions"], "<f8", (None, _BUCKETS)))
                for part in parts
            ]
        )


def _words(texts: np.ndarray, seed: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight of every bucket of words and the directions, none if there are no words at all."""
    counts = _HASH.transform(texts)
    within = np.bincount(counts.indices, minlength=_BUCKETS)
    weights = np.log((1 + len(texts)) / (1 + within)) + 1
    if not counts.nnz:
        return weights, np.empty((0, _BUCKETS))
    # Where all texts have the same words, the shares of variance, which are not used, are divided by 0.
    with np.errstate(invalid="ignore", divide="ignore"):
        fit = TruncatedSVD(_DIRECTIONS, random_state=seed).fit(_weighted(counts, weights))
    return weights, np.ascontiguousarray(fit.components_)


def _weighted(counts: sparse.csr_matrix[Any], weights: np.ndarray) -> sparse.csr_matrix[Any]:
    """Return sublinear counts times the weights of words, with rows of length 1; an empty text stays 0."""
    data = (1 + np.log(counts.data)) * weights[counts.indices]
    table = sparse.csr_matrix((data, counts.indices, counts.indptr), shape=counts.shape)
    length = np.sqrt(np.asarray(table.multiply(table).sum(axis=1))).ravel()
    return sparse.csr_matrix(sparse.diags(1 / np.where(length > 0, length, 1)) @ table)


def _levels(labels: np.ndarray) -> list[str]:
    """Return the labels, or if they are too many the most frequent ones, in the order of the alphabet."""
    levels, counts = np.unique(labels.astype(str), return_counts=True)
    if len(levels) > _MOST_LEVELS:
        levels = np.sort(levels[np.argsort(-counts, kind="stable")[: _MOST_LEVELS - 1]])
    return levels.tolist()


def _floats(column: pd.Series) -> np.ndarray:
    return column.to_numpy(dtype=float, na_value=np.nan)


def _one_each(entries: list[Any], n: int) -> list[Any]:
    if len(entries) != n:
        raise ValueError("there must be one entry for every feature that is read.")
    return entries


def _switches(stored: object, n: int) -> list[bool]:
    return _one_each(listed(stored, bool), n)


# For every kind of column its reader, what pandas may call what it holds, and what it is turned into first.
_Columns = _Texts | _Numbers | _Labels | _Dates
_READERS: dict[str, type[_Columns]] = {"texts": _Texts, "numbers": _Numbers, "labels": _Labels, "dates": _Dates}
_HOLDS = {"texts": LABELS, "numbers": NUMBERS, "labels": LABELS, "dates": DATES}
_AS = {"texts": strings, "numbers": _floats, "labels": strings, "dates": lambda column: dates(column).to_numpy()}


def _agreement(labels: np.ndarray) -> np.ndarray:
    """Return for each of s ≥ 2 models the share of the others that gave the same label, shape (m, s).

    A missing label, be it None, NaN, ``pd.NA`` or the empty string, agrees with none.
    """
    texts = strings(pd.Series(labels.ravel())).reshape(labels.shape)
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
    if held(column) in NUMBERS:
        with np.errstate(over="ignore"):
            # Adding 0 makes one zero of two.
            values = _floats(column).astype(np.float32).astype(float) + 0.0
    else:
        values = strings(column)
    return np.where(column.isna(), np.uint64(0), pd.util.hash_array(values, categorize=False))


def _numbers(encoded: Any, n: int) -> Table:
    """Return what a transformer made of n queries as a table of numbers."""
    try:
        thin = sparse.issparse(encoded)
        table: Table = sparse.csr_array(encoded, dtype=float) if thin else np.asarray(encoded, dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"features must turn outcomes.query into a table of numbers: {error}.") from None
    if table.ndim != 2 or table.shape[0] != n:
        raise ValueError(f"features must return one row for each of {n} queries; got shape {table.shape}.")
    return table


def beside(blocks: Sequence[Table]) -> Table:
    """Put tables side by side."""
    dense = [block for block in blocks if isinstance(block, np.ndarray)]
    if len(dense) == len(blocks):
        return np.hstack(dense)
    return sparse.hstack([sparse.csr_array(block) for block in blocks], format="csr")


class Recent(Generic[Made]):
    """Keeps what was made of a few tables of features, found again by their content."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.kept: dict[tuple[object, ...], tuple[int, Made]] = {}

    def get(self, query: pd.DataFrame, make: Callable[[pd.DataFrame], Made]) -> Made:
        """Return what was made of an equal table, or make it; the latest table is kept even if it is long."""
        hashes = pd.util.hash_pandas_object(query, categorize=False).to_numpy()
        content = (*query.columns, hashes.tobytes())
        if content not in self.kept:
            made = make(query)
            if sum(rows for rows, _ in self.kept.values()) > self.most:
                self.kept = {}
            self.kept = {**self.kept, content: (len(query), made)}
            return made
        return self.kept[content][1]
