"""Sentiment of short texts: what six "models" on a laptop answered, and the texts they were asked about."""

from __future__ import annotations

import html
import io
import re
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from ..outcomes import Outcomes
from .fetch import fetch_file, shipped

VADER_URL = (
    "https://files.pythonhosted.org/packages/77/8c/4a48c10a50f750ae565e341e697d74a38075a3e43ff0df6f1ab72e186902/"
    "vaderSentiment-3.3.2.tar.gz"
)
VADER_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
VADER_INNER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
SENTIMENT_FILES = {
    "films": "movieReviewSnippets",
    "tweets": "tweets",
    "products": "amazonReviewSnippets",
    "editorials": "nytEditorialSnippets",
}
SENTIMENT_TABLE = Path(__file__).parents[1] / "data" / "sentiment.csv.gz"
SENTIMENT_SHA256 = "ca4c532a9d0214f9277e00afc139ad315882cad843d3c7d47d17a31324261d86"


def fetch_sentiment_texts() -> pd.DataFrame:
    """Fetch the 23,703 short texts of Hutto & Gilbert (2014) with their mean human ratings.

    They come out of the source distribution of `vaderSentiment` 3.3.2 on PyPI (2.5 MB, MIT licence), which carries
    the study's data. HTML entities are decoded and runs of white space become one space; nothing else is changed.

    Returns
    -------
    pandas.DataFrame
        Columns `id` (such as "tweets-0017", numbered from 1 in the order of the original file), `domain` ("films",
        "tweets", "products", "editorials"), `rating` (mean of about 20 raters, from −4, most negative, to 4) and
        `text`. One row per text, domains one after the other.

    Raises
    ------
    ConnectionError
        If the file is neither cached nor reachable; see `fetch_file`.

    References
    ----------
    Hutto & Gilbert, VADER, ICWSM 2014. Used in chapter 2, "A real pool on your laptop".
    """
    with tarfile.open(fetch_file(VADER_URL, VADER_SHA256)) as outer:
        inner = _content(outer, VADER_INNER)
    with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
        parts = [_read_domain(archive, domain, stem) for domain, stem in SENTIMENT_FILES.items()]
    return pd.concat(parts, ignore_index=True)


def _read_domain(archive: tarfile.TarFile, domain: str, stem: str) -> pd.DataFrame:
    """Read one `*_GroundTruth.txt` of the study: tab-separated id, mean rating, text."""
    member = io.BytesIO(_content(archive, f"hutto_ICWSM_2014/{stem}_GroundTruth.txt"))
    table = pd.read_csv(member, sep="\t", quoting=3, header=None, names=["key", "rating", "text"], encoding="utf-8")
    texts = [" ".join(html.unescape(text).split()) for text in table["text"]]
    names = [f"{domain}-{number:04d}" for number in range(1, len(table) + 1)]
    return pd.DataFrame({"id": names, "domain": domain, "rating": table["rating"], "text": texts})


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    if member is None:
        raise ValueError(f"{name} is no file of its archive.")
    return member.read()


def load_sentiment(*, cost: str = "tokens") -> Outcomes:
    """Load what six "models", from free to dear, answered about 3,000 short texts: positive or negative.

    Measured on 23 November 2026 with a real language model, SmolLM2-135M-Instruct, on two cores; the file
    `sentiment.md` beside the table says how each number came about. Nothing is downloaded.

    Parameters
    ----------
    cost : {"tokens", "seconds"}
        The cost of a model: tokens processed in all its calls (prompt and answer, cached or not, as an API would
        bill them; 0 for the two models that are no language models), or seconds until all calls were answered.

    Returns
    -------
    Outcomes
        `quality` is 1 for a right answer and 0 for a wrong one. `query` has the `domain` and the features of
        `sentiment_features`; its index holds the ids of `fetch_sentiment_texts`. `answer_features` has `answer` (+1
        positive, −1 negative) and `margin`, the calibrated log-odds that the text is positive: its sign is the answer,
        its size the model's confidence.

    Raises
    ------
    ValueError
        If `cost` is neither of the two, or if the file is not the one this version was made with.

    Examples
    --------
    >>> pool = load_sentiment()
    >>> len(pool), pool.models
    (3000, ('vader', 'tfidf', 'zero-shot', 'four-shot', 'vote-3', 'vote-5'))
    """
    if cost not in ("tokens", "seconds"):
        raise ValueError(f"cost must be 'tokens' or 'seconds'; got {cost!r}.")
    table = _read_sentiment()
    models = [name.removesuffix("|answer") for name in map(str, table) if name.endswith("|answer")]
    columns = {name: table[[f"{model}|{name}" for model in models]].to_numpy() for name in ("answer", "margin", cost)}
    label = np.where(table["rating"] > 0, 1, -1)
    features = [name for name in map(str, table) if "|" not in name and name != "rating"]
    return Outcomes(
        columns["answer"] == label[:, None],
        columns[cost],
        models=models,
        query=table[features],
        answer_features={name: columns[name] for name in ("margin", "answer")},
        cost_unit=cost,
    )


def _read_sentiment() -> pd.DataFrame:
    """Read the committed table, one row per query, after checking that it is the one this version was made with."""
    content = shipped(SENTIMENT_TABLE, SENTIMENT_SHA256)
    return pd.read_csv(io.BytesIO(content), compression="gzip", index_col="id")


def sentiment_features(texts: Iterable[str]) -> pd.DataFrame:
    """Describe texts by what is known before any model has been asked.

    Parameters
    ----------
    texts : iterable of str
        The texts. An empty text has zeros everywhere.

    Returns
    -------
    pandas.DataFrame
        One row per text, numbered from 0. Counts: `n_chars`, `n_words` (runs without white space), `n_exclaim`,
        `n_question`, `n_digits`, `n_capital_words` (two or more letters, all of them capitals), `n_negations` (not,
        no, never, …n't and the like), `n_contrasts` (but, though, however, …), `n_emoticons`. Share: `share_upper`
        (capitals among letters). Characters: `mean_word_length`. 0 or 1: `has_link`, `has_mention`, `has_hashtag`.

    Examples
    --------
    >>> sentiment_features(["GREAT film, but not for me :("])[["n_words", "n_capital_words", "n_negations"]]
       n_words  n_capital_words  n_negations
    0        7                1            1
    """
    return pd.DataFrame([_describe(text) for text in texts])


_NEGATION = re.compile(r"\b(?:not|no|never|none|nobody|nothing|neither|nor|cannot|without|hardly)\b|n['’]t\b", re.I)
_CONTRAST = re.compile(r"\b(?:but|though|although|however|yet|despite|while|except|still)\b", re.I)
_EMOTICON = re.compile(r"(?:[:;=]|(?<!\w)8)[-o*']?(?:[)(\]\[\\|}{@]|[dDpP](?!\w)|/(?!/))|<3|\b[xX]D\b")
_LINK = re.compile(r"https?:|www\.|\{link\}", re.I)


def _describe(text: str) -> dict[str, float]:
    words, letters = text.split(), [sign for sign in text if sign.isalpha()]
    return {
        "n_chars": len(text),
        "n_words": len(words),
        "mean_word_length": sum(map(len, words)) / max(len(words), 1),
        "n_exclaim": text.count("!"),
        "n_question": text.count("?"),
        "n_digits": sum(sign.isdigit() for sign in text),
        "share_upper": sum(sign.isupper() for sign in letters) / max(len(letters), 1),
        "n_capital_words": len(re.findall(r"\b[A-Z]{2,}\b", text)),
        "n_negations": len(_NEGATION.findall(text)),
        "n_contrasts": len(_CONTRAST.findall(text)),
        "n_emoticons": len(_EMOTICON.findall(text)),
        "has_link": int(bool(_LINK.search(text))),
        "has_mention": int(bool(re.search(r"(?<!\w)@\w", text))),
        "has_hashtag": int(bool(re.search(r"(?<!\w)#\w", text))),
    }
