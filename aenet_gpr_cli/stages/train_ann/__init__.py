"""`train-ann`: a committee of networks."""
