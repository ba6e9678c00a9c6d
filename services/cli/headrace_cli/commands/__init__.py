"""One module per group of commands: it reads arguments, asks the client, and hands the answer to a renderer."""
