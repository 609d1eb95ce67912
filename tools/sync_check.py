"""Check that the blocks which training scripts share are the same in all of them, to the letter.

    python tools/sync_check.py [SCRIPT...]

A block begins with a comment such as `# Train step. [shared]` and ends before the next comment or statement that is
indented as far and follows an empty line, or before anything indented less. It is compared with the block of that name
in `baselines/deterministic.py`. A script that has to differ takes the mark off and says why.
"""

import argparse
import re
import sys
from pathlib import Path

REFERENCE = Path(__file__).resolve().parents[1] / "baselines" / "deterministic.py"
_MARK = re.compile(r"( *)# (.+)\. \[shared\]")


def blocks(text: str) -> dict[str, str]:
    """Return the shared blocks of a script, by name."""
    lines = text.splitlines()
    found = {}
    for start, line in enumerate(lines):
        match = _MARK.fullmatch(line)
        if match:
            found[match[2]] = "\n".join(lines[start : _end(lines, start, len(match[1]))]).rstrip()
    return found


def _end(lines: list[str], start: int, indentation: int) -> int:
    for index in range(start + 1, len(lines)):
        line = lines[index]
        if not line.strip():
            continue
        indented = len(line) - len(line.lstrip())
        if indented < indentation or (indented == indentation and not lines[index - 1].strip()):
            return index
    return len(lines)


def differences(script: Path) -> list[str]:
    """Return a line for each shared block of a script that is not the reference's."""
    reference = blocks(REFERENCE.read_text())
    problems = []
    for name, block in blocks(script.read_text()).items():
        if name not in reference:
            problems.append(f"{script}: '# {name}. [shared]' is no block of {REFERENCE.name}: take the mark off")
        elif block != reference[name]:
            pairs = zip([*block.splitlines(), "nothing"], [*reference[name].splitlines(), "nothing"])
            mine, theirs = next((mine, theirs) for mine, theirs in pairs if mine != theirs)
            problems.append(
                f"{script}: '# {name}. [shared]' differs from {REFERENCE.name}: '{mine.strip()}' instead of "
                f"'{theirs.strip()}'. Copy the change to all scripts, or take the mark off with the reason"
            )
    return problems


def main() -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scripts", nargs="*", type=Path, metavar="SCRIPT", help="by default all of baselines/")
    scripts = parser.parse_args().scripts or sorted(REFERENCE.parent.glob("*.py"))
    problems = [problem for script in scripts for problem in differences(script)]
    for problem in problems:
        print(problem, file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
