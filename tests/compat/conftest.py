"""The engine of these tests is that of the end-to-end tests."""

from tests.e2e.conftest import house, logged

__all__ = ["house", "logged"]
