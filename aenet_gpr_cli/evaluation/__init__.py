"""Error measures, and measurements of time and memory."""
