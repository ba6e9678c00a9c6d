"""JQ that is not in the total subset, run by killable processes."""
