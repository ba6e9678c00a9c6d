"""The pure core: what a workflow means. No I/O, no clock, no randomness, no logging (docs/architecture.md)."""
