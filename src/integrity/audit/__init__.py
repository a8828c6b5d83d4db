"""The audit: reads existing collections, never writes to them, and says what breaks which rule where."""

from integrity.audit.baseline import Baseline
from integrity.audit.engine import audit, plans
from integrity.audit.options import Options
from integrity.audit.pace import Pace
from integrity.audit.plan import Plan, describe
from integrity.audit.result import AuditResult, CollectionResult, Compared, Progress
from integrity.audit.state import State
from integrity.audit.workers import Workers, Workplace

__all__ = [
    "AuditResult",
    "Baseline",
    "CollectionResult",
    "Compared",
    "Options",
    "Pace",
    "Plan",
    "Progress",
    "State",
    "Workers",
    "Workplace",
    "audit",
    "describe",
    "plans",
]
