"""Configurations: which keys a stage has, and the one way from YAML and the command line to them."""
