"""All services in one process on the embedded log and stores: `headrace dev`."""
