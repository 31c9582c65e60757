"""Data: the outcome tables that come with the package, and the originals behind them.

What the package ships is figures, not texts; it loads at once and offline: `load_sentiment`, measured on a laptop,
`load_live_run`, what a policy did live on the same laptop, and `simulate_routerbench`, drawn from a small model of a
public benchmark. The originals belong to others and are fetched
only when asked for (`fetch_sentiment_texts`, `fetch_routerbench_sample`, `fetch_routerbench`, `fetch_alpaca_eval`,
`fetch_swebench`, `fetch_mmlu_pro`, `fetch_openhands`, `fetch_repeated_samples`): once, checked against a pinned
SHA-256, and kept in the cache folder of your system (`pooch.os_cache("cascade_lib")`).

One environment variable is read: `CASCADE_LIB_MIRROR`, a folder or a base URL in which every file is looked for
before the address given here (see `fetch_file`). The hash is checked wherever a file came from, so a mirror need not
be trusted. RouterBench is published as a pickle, a format that can run code when it is read; the reader used here knows
the few names a table needs and refuses every other. Nothing is downloaded on import.

`ROUTERBENCH_MODELS` names the eleven models of RouterBench in the order of its files, `ROUTERBENCH_POOLS` the pools of
3, 5 and 11 of them on which Dekoninck et al. (2025) report.
"""

from .alpaca import ALPACA_LADDERS, fetch_alpaca_eval
from .fetch import MIRROR, fetch_file, have_file
from .live import LiveRun, load_live_run
from .mmlu_pro import MMLU_PRO_PRICES, fetch_mmlu_pro
from .openhands import OPENHANDS_BENCHMARKS, fetch_openhands, openhands_coverage
from .repeated import REPEATED_TASKS, RepeatedSamples, fetch_repeated_samples
from .routerbench import (
    ROUTERBENCH_MODELS,
    ROUTERBENCH_POOLS,
    fetch_routerbench,
    fetch_routerbench_sample,
    routerbench_is_here,
)
from .sentiment import (
    SENTIMENT_FILES,
    SENTIMENT_SHA256,
    SENTIMENT_TABLE,
    fetch_sentiment_texts,
    load_sentiment,
    sentiment_features,
)
from .simulate import simulate_routerbench
from .swebench import fetch_swebench

__all__ = [
    "ALPACA_LADDERS",
    "MIRROR",
    "MMLU_PRO_PRICES",
    "OPENHANDS_BENCHMARKS",
    "REPEATED_TASKS",
    "ROUTERBENCH_MODELS",
    "ROUTERBENCH_POOLS",
    "SENTIMENT_FILES",
    "SENTIMENT_SHA256",
    "SENTIMENT_TABLE",
    "LiveRun",
    "RepeatedSamples",
    "fetch_alpaca_eval",
    "fetch_file",
    "fetch_mmlu_pro",
    "fetch_openhands",
    "fetch_repeated_samples",
    "fetch_routerbench",
    "fetch_routerbench_sample",
    "fetch_sentiment_texts",
    "fetch_swebench",
    "have_file",
    "load_live_run",
    "load_sentiment",
    "openhands_coverage",
    "routerbench_is_here",
    "sentiment_features",
    "simulate_routerbench",
]
