"""Print the lowest versions of the dependencies that `setup.py` allows, so that they can be tried: `make test-minimum`.

By hand, with `python tools/minimum_requirements.py > minimum.txt`, it is `pip install . --constraint minimum.txt`.
"""

import ast
from pathlib import Path

SETUP = Path(__file__).parents[1] / "setup.py"


def minimum_requirements(text: str) -> list[str]:
    """Return `name==version` for each dependency of a setup.py, whose bounds are written `name>=version`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.keyword) and node.arg == "install_requires":
            return [requirement.replace(">=", "==") for requirement in ast.literal_eval(node.value)]
    raise SystemExit("setup.py has no install_requires.")


if __name__ == "__main__":
    print("\n".join(minimum_requirements(SETUP.read_text(encoding="utf-8"))))
