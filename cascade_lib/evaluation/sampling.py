"""Sequences of samples on questions that they were not planned on."""

from __future__ import annotations

import numpy as np

from ..outcomes import Outcomes
from ..theory.sampling import RepeatedSampling, SamplingPlans
from .frontier import Frontier, Leaves


def sampling_frontier(
    plans: SamplingPlans, sampled: RepeatedSampling, outcomes: Outcomes, *, name: str = "repeated sampling"
) -> Frontier:
    """Return what the best sequences for all prices are expected to spend and to achieve on some questions.

    Parameters
    ----------
    plans : SamplingPlans
        From questions set aside for planning.
    sampled : RepeatedSampling
        The questions to judge on, with the same models.
    outcomes : Outcomes
        The same questions with one sample of every model, expected or drawn: what other curves are made of, so that all
        can be compared.

    Returns
    -------
    Frontier
        Its least cost is 0, where no model is asked and no question is answered.

    Raises
    ------
    ValueError
        If the numbers of questions or models differ.

    Examples
    --------
    >>> pool = RepeatedSampling([[0.5, 0.9], [0.2, 0.4]], [1.0, 5.0], most=3)
    >>> once = Outcomes([[0.5, 0.9], [0.2, 0.4]], [[1.0, 5.0]] * 2)
    >>> float(sampling_frontier(pool.plans(), pool, once).quality_at(2.0).round(4))
    0.6545
    """
    n = len(outcomes)
    if (len(sampled.weight), sampled.k) != (n, outcomes.k):
        raise ValueError(
            f"sampled has {len(sampled.weight)} questions and {sampled.k} models, outcomes {n} and {outcomes.k}: both "
            "must be of the same questions and models."
        )
    cost, quality = np.transpose([sampled.outcome(sequence) for sequence in plans.sequences], (1, 2, 0))
    parts = len(plans.sequences)
    every = Leaves(
        np.repeat(np.arange(n), parts), np.tile(plans.high, n), np.tile(plans.low, n), cost.ravel(), quality.ravel()
    )
    return Frontier.from_leaves(name, outcomes, every)
