"""Run the command line as ``python -m aenet_gpr_cli``."""

from aenet_gpr_cli.cli.main import main

main()
