"""Rules that decide, at every price, which model to run next or whether to stop."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
