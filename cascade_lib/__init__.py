"""Choosing among language models under a budget: routing, cascading and cascade routing."""

from .beliefs import Beliefs
from .envelope import Segments, hull, segments
from .estimators import Estimator, TabulatedEstimator
from .frontier import Comparison, Frontier, omniscient, single_models
from .outcomes import Outcomes
from .play import Plans, Play
from .policy import Policy
from .strategies import Router, Strategy

__all__ = [
    "Beliefs",
    "Comparison",
    "Estimator",
    "Frontier",
    "Outcomes",
    "Plans",
    "Play",
    "Policy",
    "Router",
    "Segments",
    "Strategy",
    "TabulatedEstimator",
    "hull",
    "omniscient",
    "segments",
    "single_models",
]
