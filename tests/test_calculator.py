"""What two models save at the quality of the expensive one, against other ways to compute it."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from cascade_book.calculator import cheap_share, savings


@pytest.mark.parametrize("gap", [0.001, 0.02, 0.1])
@pytest.mark.parametrize("spread", [0.02, 0.1, 0.5])
def test_the_cheap_answers_that_are_kept_lose_nothing_in_all(gap, spread):
    share = cheap_share(gap, spread)
    lost, _ = quad(lambda u: (gap + spread * u) * norm.pdf(u), -12, norm.ppf(share), epsabs=1e-13)
    assert lost == pytest.approx(0, abs=1e-10)
    assert 0 < share < 1


@pytest.mark.parametrize(
    ("gap", "spread", "share"), [(0.1, 0.0, 0), (0.0, 0.0, 1), (0.0, 0.3, 1), (-0.1, 0.2, 1), (0.5, 1e-9, 0)]
)
def test_without_skill_nothing_is_kept_and_without_a_gap_everything(gap, spread, share):
    assert cheap_share(gap, spread) == share


def test_more_skill_saves_more():
    skill = np.linspace(0, 1, 21)
    saved = np.array([savings((1.0, 5.0), (0.7, 0.85), each, each) for each in skill])
    assert (np.diff(saved, axis=0) > 0).all()


def test_routing_without_skill_saves_nothing_and_the_cascade_loses_the_cheap_call():
    assert savings((1.0, 5.0), (0.7, 0.85), 0.0, 0.0) == (0.0, -1.0)


def test_at_equal_prices_there_is_nothing_to_save():
    routing, cascade = savings((2.0, 2.0), (0.7, 0.85), 0.3, 0.6)
    assert routing == 0
    assert cascade < 0


def test_only_the_cheap_call_is_paid_where_both_models_are_as_good():
    assert savings((1.0, 5.0), (0.8, 0.8), 0.1, 0.1) == (4.0, 4.0)


def test_only_the_answer_of_the_cheap_model_is_known_after_its_call():
    (worse, better), before, after = (0.7, 0.85), 0.1, 0.4
    spread = np.sqrt(after * worse * (1 - worse) + before * better * (1 - better))
    _, cascade = savings((1.0, 5.0), (worse, better), before, after)
    assert cascade == pytest.approx(5 * cheap_share(better - worse, spread) - 1)
