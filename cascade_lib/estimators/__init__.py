"""Turn what is known of queries and answers into beliefs.

An estimator is anything with a method ``beliefs(evidence, rows=None)`` that returns `Beliefs` about the queries at
positions `rows`. The `Evidence` holds no more than can be seen when the models in ``evidence.ran`` have run: ex-ante
features, and costs and answers of these models. Estimators know nothing of budgets or strategies.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
