"""Deterministic network on CIFAR-10; see task.py for the variant wide_resnet_28_10."""

from pathlib import Path

from uncertainty_suite import configuration


def get_config(variant=""):
    return configuration.load(Path(__file__).with_name("task.py"), variant).lock()
