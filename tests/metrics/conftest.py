"""Property tests try the same examples every time, so that a run is red or green for good."""

from hypothesis import settings

settings.register_profile("deterministic", derandomize=True, deadline=None, max_examples=25)
settings.load_profile("deterministic")
