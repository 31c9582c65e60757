from .base import Beliefs, Estimator, StoredEstimator, evidence_for
from .diagnostics import Diagnosis, diagnose
from .joint import JointGaussianEstimator
from .latent import LatentClassEstimator
from .learned import LearnedEstimator
from .simulated import NoisyEstimator
from .tabulated import TabulatedEstimator

__all__ = [
    "Beliefs",
    "Diagnosis",
    "Estimator",
    "JointGaussianEstimator",
    "LatentClassEstimator",
    "LearnedEstimator",
    "NoisyEstimator",
    "StoredEstimator",
    "TabulatedEstimator",
    "diagnose",
    "evidence_for",
]
