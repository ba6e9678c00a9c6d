"""Blueprints and entities, pure: what may be saved, what a write results in, which event it is (docs/catalog.md)."""
