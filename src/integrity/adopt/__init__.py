"""Introducing constraints into a running system, stage by stage, and seeing how far each has come."""

from integrity.adopt.enforce import Advance, enforce
from integrity.adopt.status import Row, status

__all__ = ["Advance", "Row", "enforce", "status"]
