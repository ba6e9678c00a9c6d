"""Faults on real servers: two processes of each service, kill -9 and SIGSTOP, and a checker that believes nobody."""
