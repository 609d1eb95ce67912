"""Install the suite: `pip install .`, or `pip install -e ".[test]"` to work on it."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "uncertainty_suite/__init__.py").read_text())[1]

setup(
    name="uncertainty-suite",
    version=VERSION,
    description="Benchmarks and baselines for predictive uncertainty and robustness on TensorFlow and Keras 3",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["uncertainty_suite", "uncertainty_suite.*"]),
    package_data={"uncertainty_suite": ["py.typed"], "uncertainty_suite.leaderboard": ["*.css", "*.html", "*.js"]},
    python_requires=">=3.11",
    install_requires=[
        "absl-py>=2.1",
        "importlib-resources>=6.0",  # tensorflow-datasets imports it and does not declare it
        "keras>=3.10",
        "matplotlib>=3.9",
        "ml-collections>=1.0",
        "numpy>=1.26",
        "rich>=13.0",
        "scikit-learn>=1.5",
        "scipy>=1.15",
        "tensorboard>=2.18",
        "tensorflow>=2.18",
        "tensorflow-datasets>=4.9.7",
        "tokenizers>=0.20",
        "tqdm>=4.66",
    ],
    extras_require={
        "benchmarks": ["torch>=2.6"],  # PyTorch's side of benchmarks/speed.py
        "ray": ["ray[default,tune]>=2.40"],  # `python -m uncertainty_suite.sweep --address`
        # On no package index, so nothing may need it: `metrics.get("rm/<name>")` uses it where it is present.
        "robustness-metrics": [
            "robustness_metrics @ git+https://github.com/google-research/robustness_metrics.git",
            "pandas>=2.2",
            "tensorflow-probability>=0.25",
            "tf-keras>=2.18",
        ],
        # Playwright drives the Chromium that the system has; its own browsers are not needed.
        "slurm": ["submitit>=1.5"],  # `python -m uncertainty_suite.sweep --engine slurm`
        "text": ["safetensors>=0.4"],  # trained weights of `models/pretrained.py`
        "test": [
            "codespell>=2.3",
            "hypothesis>=6.100",
            "mypy>=1.13",
            "playwright>=1.40",
            "pre-commit>=4.0",
            "pytest>=8.2",
            "pytest-xdist>=3.6",
            "ray[default,tune]>=2.40",
            "ruff>=0.9",
            "safetensors>=0.4",
            "submitit>=1.5",
            "threadpoolctl>=3.5",
            "types-requests>=2.31",
            "types-tqdm>=4.66",
        ],
    },
)
