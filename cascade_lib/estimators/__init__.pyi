from .base import Beliefs, Estimator
from .diagnostics import Diagnosis, diagnose
from .joint import JointGaussianEstimator
from .latent import LatentClassEstimator
from .learned import LearnedEstimator, default_estimator
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
    "TabulatedEstimator",
    "WithoutSpread",
    "default_estimator",
    "diagnose",
]
