"""Settings of the property tests."""

from hypothesis import settings

# The first example of a test may compile a kernel, and the machine may be busy: time is no verdict.
settings.register_profile("state", deadline=None)
settings.load_profile("state")
