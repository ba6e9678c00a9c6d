"""The total subset of JQ: programs that can neither loop nor grow, compiled to closures (docs/expressions.md)."""
