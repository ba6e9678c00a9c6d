"""Ports: what the services need of the world, as Protocols.

Adapters implement them; one conformance suite holds every adapter to the same promises.
"""
