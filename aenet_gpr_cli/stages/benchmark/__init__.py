"""`benchmark`: time and memory, a process for each point."""
