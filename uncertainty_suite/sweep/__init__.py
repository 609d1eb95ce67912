"""Many runs: scripts x tasks x settings x seeds, one after another or side by side, and searches of hyper-parameters.

`python -m uncertainty_suite.sweep` is the command, and `docs/sweep.md` says what it does. Planning a sweep imports no
TensorFlow.
"""
