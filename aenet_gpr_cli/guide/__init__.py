"""The guide for users: a Markdown file for each topic, and how they are found."""

__all__ = ["topics"]
