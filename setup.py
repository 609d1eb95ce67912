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
    classifiers=[
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    # Scripts and configurations lie beside the package, where people read and copy them, and are installed inside it.
    packages=[
        *find_packages(include=["uncertainty_suite", "uncertainty_suite.*"]),
        *("uncertainty_suite.baselines", "uncertainty_suite.configs"),
        *("uncertainty_suite.baselines.adaptation", "uncertainty_suite.baselines.decisions"),
    ],
    package_dir={"uncertainty_suite.baselines": "baselines", "uncertainty_suite.configs": "configs"},
    package_data={
        "uncertainty_suite": ["py.typed"],
        "uncertainty_suite.configs": ["tuned/*.json"],
        "uncertainty_suite.leaderboard": ["*.css", "*.html", "*.js"],
    },
    entry_points={"console_scripts": ["uncertainty-suite = uncertainty_suite.__main__:run"]},
    python_requires=">=3.11",
    install_requires=[
        "absl-py>=2.1",
        "importlib-resources>=6.0",  # tensorflow-datasets imports it and does not declare it
        "keras>=3.10",
        "matplotlib>=3.9",
        "ml-collections>=1.0",
        "numpy>=1.26",
        "pillow>=10.1",
        "protobuf>=6.31.1",  # tensorflow-metadata, which tensorflow-datasets imports, needs it and does not declare it
        "rich>=13.0",
        "scikit-learn>=1.5",
        "scipy>=1.15",
        "tensorboard>=2.20",
        "tensorflow>=2.20",
        "tensorflow-datasets>=4.9.7",
        "tokenizers>=0.20",
        "tqdm>=4.66",
    ],
    extras_require={
        "benchmarks": [  # others' sides of benchmarks/speed.py and benchmarks/peers.py
            "laplace-torch>=0.3",
            "mapie>=1.0",
            "scikit-learn>=1.8",
            "torch>=2.6",
            "torch-uncertainty[cpu]>=0.13",
        ],
        "docs": ["furo>=2024.8.6", "ipykernel>=6.29", "myst-nb>=1.1", "sphinx>=8.0"],  # `make docs`
        "keras-hub": ["keras-hub>=0.32"],  # architecture `keras_hub_bert`
        "molecules": ["rdkit>=2023.9"],  # data set `herg`
        "ray": ["ray[default,tune]>=2.40"],  # `python -m uncertainty_suite.sweep --address`
        # On no package index, so nothing may need it: `metrics.get("rm/<name>")` uses it where it is present.
        "robustness-metrics": [
            "robustness_metrics @ git+https://github.com/google-research/robustness_metrics.git",
            "pandas>=2.2",
            "tensorflow-probability>=0.25",
            "tf-keras>=2.20",
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
            "pytest-xdist>=3.8",
            "ray[default,tune]>=2.40",
            "rdkit>=2023.9",
            "ruff>=0.9",
            "safetensors>=0.4",
            "submitit>=1.5",
            "threadpoolctl>=3.5",
            "types-requests>=2.31",
            "types-tqdm>=4.66",
        ],
    },
)
