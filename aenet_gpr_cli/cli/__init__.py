"""The command line: what the user types and sees. A command reads its configuration and calls its stage."""

__all__ = ["main"]
