"""The keys of each stage, one module each."""
