from .policy import BudgetWarning, Calibration, Policy
from .session import Schema, Session

__all__ = ["BudgetWarning", "Calibration", "Policy", "Schema", "Session"]
