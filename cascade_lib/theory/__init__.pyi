from .distributions import Atoms, Draws, Gaussian, JointGaussian, inverse_normal_loss
from .envelope import Segments, at_price, hull, segments
from .maximum import Law, clark_max, expected_max, expected_max_correlated, nested_expected_max, normal_draws
from .sampling import RepeatedSampling, SamplingPlans

__all__ = [
    "Atoms",
    "Draws",
    "Gaussian",
    "JointGaussian",
    "Law",
    "RepeatedSampling",
    "SamplingPlans",
    "Segments",
    "at_price",
    "clark_max",
    "expected_max",
    "expected_max_correlated",
    "hull",
    "inverse_normal_loss",
    "nested_expected_max",
    "normal_draws",
    "segments",
]
