from .baselines import omniscient, single_models
from .bootstrap import Comparison, Saving
from .exact import FiniteProblem
from .frontier import Frontier, Leaves
from .merge import merge_frontiers
from .sampling import sampling_frontier
from .simulate import Play, walk
from .studies import Study, study

__all__ = [
    "Comparison",
    "FiniteProblem",
    "Frontier",
    "Leaves",
    "Play",
    "Saving",
    "Study",
    "merge_frontiers",
    "omniscient",
    "sampling_frontier",
    "single_models",
    "study",
    "walk",
]
