"""Commands: parse, load the configuration, call the stage."""
