"""Deterministic network on mnist."""

from pathlib import Path

from uncertainty_suite import configuration


def get_config():
    return configuration.load(Path(__file__).with_name("task.py")).lock()
