"""Choosing among language models under a budget: routing, cascading and cascade routing."""

from .beliefs import Beliefs
from .dynamic import SmallProblem
from .envelope import Segments, hull, segments
from .estimators import (
    Diagnosis,
    Estimator,
    JointGaussianEstimator,
    LatentClassEstimator,
    LearnedEstimator,
    NoisyEstimator,
    TabulatedEstimator,
    diagnose,
)
from .expected_max import clark_max, expected_max, expected_max_correlated, nested_expected_max, normal_draws
from .frontier import Comparison, Frontier, Saving, omniscient, single_models
from .laws import Atoms, Draws, Gaussian, JointGaussian, inverse_normal_loss
from .logs import read_log
from .outcomes import Outcomes
from .pandora import PandoraRouter
from .play import Play
from .policy import BudgetWarning, Calibration, Policy
from .pooling import pool_frontiers
from .session import Schema, Session
from .strategies import Cascade, CascadeRouter, Router, ThresholdCascade
from .strategy import PlanningStrategy, Plans, Strategy
from .studies import Study, default_estimator, study

__all__ = [
    "Atoms",
    "Beliefs",
    "BudgetWarning",
    "Calibration",
    "Cascade",
    "CascadeRouter",
    "Comparison",
    "Diagnosis",
    "Draws",
    "Estimator",
    "Frontier",
    "Gaussian",
    "JointGaussian",
    "JointGaussianEstimator",
    "LatentClassEstimator",
    "LearnedEstimator",
    "NoisyEstimator",
    "Outcomes",
    "PandoraRouter",
    "PlanningStrategy",
    "Plans",
    "Play",
    "Policy",
    "Router",
    "Saving",
    "Schema",
    "Segments",
    "Session",
    "SmallProblem",
    "Strategy",
    "Study",
    "TabulatedEstimator",
    "ThresholdCascade",
    "clark_max",
    "default_estimator",
    "diagnose",
    "expected_max",
    "expected_max_correlated",
    "hull",
    "inverse_normal_loss",
    "nested_expected_max",
    "normal_draws",
    "omniscient",
    "pool_frontiers",
    "read_log",
    "segments",
    "single_models",
    "study",
]
