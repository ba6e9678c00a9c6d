"""What can go wrong with a server for tests: it is not to be had, or it does not run."""

from __future__ import annotations


class ServerError(Exception):
    """A server could not be had or does not answer. The message says which, why, and what to do about it."""


class MissingProgramError(ServerError):
    """A program that a server needs is not on this machine, or too old. The message says how to get it."""
