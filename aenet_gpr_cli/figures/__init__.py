"""Pictures: one module for each kind, from numbers to a figure of matplotlib; nothing is read or fitted."""
