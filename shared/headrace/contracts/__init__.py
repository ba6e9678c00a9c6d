"""The wire: topics, messages, and the only place where a message and a core object know each other."""
