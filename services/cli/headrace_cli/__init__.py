"""The command line: `headrace`. It speaks to the API like any other client, and starts the engine itself for some."""
