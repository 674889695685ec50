"""Studies that learn from earlier ones of the same space; no search library is imported."""

from search.study.learning.earlier import (
    EarlierStudy,
    Learned,
    learned_before,
    learned_by,
    learned_text,
)
from search.study.learning.prior import LearningDriver

__all__ = [
    "EarlierStudy",
    "Learned",
    "LearningDriver",
    "learned_before",
    "learned_by",
    "learned_text",
]
