"""Examining a home: what is wrong with it and its studies, and what to do about it."""

from search.doctor.examination import examine_home
from search.doctor.findings import NOTICE, OK, PROBLEM, Finding, Place

__all__ = ["NOTICE", "OK", "PROBLEM", "Finding", "Place", "examine_home"]
