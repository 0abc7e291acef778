"""HTML pages, of a finished run and of the guide, and the figures of the paper by their numbers."""

__all__ = ["figure_files", "guide_page", "html_page", "report_page"]
