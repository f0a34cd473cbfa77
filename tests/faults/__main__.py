"""`python -m tests.faults`: names the kernel's cache, which must happen before anything imports numba, and plays rounds."""

import os
import sys

from streams.kernel_cache import use_kernel_cache

use_kernel_cache(os.environ)

from tests.faults.rounds import main  # noqa: E402

sys.exit(main())
