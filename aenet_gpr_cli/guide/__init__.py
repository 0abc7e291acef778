"""The guide for users: a Markdown file for each topic, and how they are found and joined to a page."""

__all__ = ["guide_page", "topics"]
