"""``python -m cuelight``, which ``torchrun -m cuelight`` needs."""

from cuelight.cli import run

run()
