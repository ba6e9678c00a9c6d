"""Headrace: the api package."""
