"""What is read off finished runs: pages, tables, the figures of the paper."""
