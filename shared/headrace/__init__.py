"""Headrace: an event-driven workflow engine that speaks Port Workflows' JSON."""

__version__ = "0.1.0"
