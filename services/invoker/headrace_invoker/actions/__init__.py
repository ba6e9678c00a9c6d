"""The actions that are more than a webhook: one module each, over what they share (docs/actions.md).

| module | what it is |
|---|---|
| `kafka` | KAFKA: a signed message for the log |
| `github`, `gitlab`, `azure_devops` | what to ask of each, and what the answers mean |
| `pipelines` | how a pipeline is begun, found again and followed, whoever runs it |
| `client`, `answers` | JSON over the egress module, and troubles in words that a person understands |
"""
