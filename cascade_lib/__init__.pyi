from .deploy.policy import Policy
from .estimators.diagnostics import diagnose
from .estimators.joint import JointGaussianEstimator
from .estimators.latent import LatentClassEstimator
from .estimators.learned import LearnedEstimator
from .estimators.simulated import NoisyEstimator
from .estimators.tabulated import TabulatedEstimator
from .evaluation.baselines import omniscient, single_models
from .evaluation.frontier import Frontier
from .evaluation.merge import merge_frontiers
from .evaluation.studies import study
from .live.endpoint import Endpoint, Local
from .live.runner import run, run_sync
from .logs import read_log
from .outcomes import Evidence, Outcomes
from .strategies.cascade_routing import CascadeRouter
from .strategies.cascading import Cascade, ThresholdCascade
from .strategies.pandora import PandoraRouter
from .strategies.routing import Router

__all__ = [
    "Cascade",
    "CascadeRouter",
    "Endpoint",
    "Evidence",
    "Frontier",
    "JointGaussianEstimator",
    "LatentClassEstimator",
    "LearnedEstimator",
    "Local",
    "NoisyEstimator",
    "Outcomes",
    "PandoraRouter",
    "Policy",
    "Router",
    "TabulatedEstimator",
    "ThresholdCascade",
    "diagnose",
    "merge_frontiers",
    "omniscient",
    "read_log",
    "run",
    "run_sync",
    "single_models",
    "study",
]
