"""Commands that bring in and give out: potentials, data sets, schemas, completion."""
