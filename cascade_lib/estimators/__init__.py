"""Turn what is known of queries and answers into beliefs.

An estimator is anything with a method ``beliefs(outcomes, ran, rows)`` that returns `Beliefs` about the queries at
positions `rows` of `outcomes` when the models in `ran` have run. It must use no more than that situation reveals:
ex-ante features, and the answers of the models that have run. Estimators know nothing of budgets or strategies.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
