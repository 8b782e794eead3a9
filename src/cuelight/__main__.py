"""``python -m cuelight``, which ``torchrun -m cuelight`` needs."""

import sys

from cuelight.cli import main

sys.exit(main())
