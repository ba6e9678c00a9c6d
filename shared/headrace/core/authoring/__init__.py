"""From a workflow document to its graph, and what is wrong with it: reading, checking, the inputs of a start."""
