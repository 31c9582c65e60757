"""Choosing among language models under a budget: routing, cascading and cascade routing.

The names here are those that most users need; each is loaded when it is first used. All others are in the rooms
`theory`, `estimators`, `strategies`, `evaluation`, `deploy`, `live` and `datasets`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
