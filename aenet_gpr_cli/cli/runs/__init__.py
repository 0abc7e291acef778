"""Commands for whole workflows: begin, check, run, submit, look at."""
