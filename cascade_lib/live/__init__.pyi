from .endpoint import Endpoint, Local
from .limits import Limits
from .results import QueryResult, Run
from .runner import CostBoundWarning, run, run_sync

__all__ = ["CostBoundWarning", "Endpoint", "Limits", "Local", "QueryResult", "Run", "run", "run_sync"]
