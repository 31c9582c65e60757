"""Choosing among language models under a budget: routing, cascading and cascade routing."""

from .beliefs import Beliefs
from .envelope import Segments, hull, segments
from .estimators import Estimator, JointGaussianEstimator, NoisyEstimator, TabulatedEstimator
from .expected_max import clark_max, expected_max, expected_max_correlated, nested_expected_max, normal_draws
from .frontier import Comparison, Frontier, omniscient, single_models
from .laws import Atoms, Draws, Gaussian, JointGaussian
from .outcomes import Outcomes
from .play import Plans, Play
from .policy import Policy
from .strategies import Cascade, CascadeRouter, Router, ThresholdCascade
from .strategy import Strategy

__all__ = [
    "Atoms",
    "Beliefs",
    "Cascade",
    "CascadeRouter",
    "Comparison",
    "Draws",
    "Estimator",
    "Frontier",
    "Gaussian",
    "JointGaussian",
    "JointGaussianEstimator",
    "NoisyEstimator",
    "Outcomes",
    "Plans",
    "Play",
    "Policy",
    "Router",
    "Segments",
    "Strategy",
    "TabulatedEstimator",
    "ThresholdCascade",
    "clark_max",
    "expected_max",
    "expected_max_correlated",
    "hull",
    "nested_expected_max",
    "normal_draws",
    "omniscient",
    "segments",
    "single_models",
]
