"""What is said about a finished run: an HTML page, and the figures of the paper by their numbers."""

__all__ = ["figure_files", "html_page", "report_page"]
