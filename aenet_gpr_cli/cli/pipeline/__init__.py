"""The six stages of the method, and predictions."""
