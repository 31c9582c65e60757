"""Turn what is known of queries and answers into beliefs.

An estimator is anything with a method ``beliefs(outcomes, ran, rows)`` that returns `Beliefs` about the queries at
positions `rows` of `outcomes` when the models in `ran` have run. It must use no more than that situation reveals:
ex-ante features, and the answers of the models that have run. Estimators know nothing of budgets or strategies.
"""

from .base import Estimator
from .diagnostics import Diagnosis, diagnose
from .joint import JointGaussianEstimator
from .latent import LatentClassEstimator
from .learned import LearnedEstimator
from .noisy import NoisyEstimator
from .tabulated import TabulatedEstimator

__all__ = [
    "Diagnosis",
    "Estimator",
    "JointGaussianEstimator",
    "LatentClassEstimator",
    "LearnedEstimator",
    "NoisyEstimator",
    "TabulatedEstimator",
    "diagnose",
]
