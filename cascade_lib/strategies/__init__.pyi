from .base import STOP, Moves, PlanningStrategy, Plans, Strategy
from .cascade_routing import CascadeRouter
from .cascading import Cascade, ThresholdCascade
from .pandora import PandoraRouter
from .routing import Router

__all__ = [
    "STOP",
    "Cascade",
    "CascadeRouter",
    "Moves",
    "PandoraRouter",
    "PlanningStrategy",
    "Plans",
    "Router",
    "Strategy",
    "ThresholdCascade",
]
