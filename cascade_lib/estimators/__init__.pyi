from .base import Beliefs, Estimator, StoredEstimator, evidence_for
from .diagnostics import Diagnosis, diagnose
from .joint import JointGaussianEstimator
from .latent import LatentClassEstimator
from .learned import LearnedEstimator
from .simulated import NoisyEstimator
from .tabulated import TabulatedEstimator
from .without_spread import WithoutSpread

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
    "WithoutSpread",
    "diagnose",
    "evidence_for",
]
