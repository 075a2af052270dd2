"""Fixtures for the log of ratings."""

from tests.support.postgres import database, new_database

__all__ = ["database", "new_database"]
