"""The invoker: performs attempts of actions, at most once per claim, and reports what became of them."""
