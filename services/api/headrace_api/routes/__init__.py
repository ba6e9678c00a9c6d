"""The routes, one module per resource. Each module has a `router`."""
