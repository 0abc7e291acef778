"""How work went: learning curves, active learning, time and memory."""
