"""The orchestrator: decides what happens to runs, one batch of commands and results at a time."""
