"""Outgoing HTTP: the one door for calls of workflows (docs/egress.md). Nothing else imports aiohttp."""
