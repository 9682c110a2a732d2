"""The command line as a module: `python -m tradewind`."""

from tradewind.faces.cli import main

main()
