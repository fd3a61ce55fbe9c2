"""``python -m wetloop`` is the same as ``wetloop``."""

import sys

from wetloop.cli.main import main

sys.exit(main())
