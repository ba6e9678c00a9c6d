"""Adapters: the ports on real things, one folder per thing."""
