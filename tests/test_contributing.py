"""The examples of CONTRIBUTING.md are true."""

import re
import textwrap

import pytest

from tests.conftest import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_its_examples_run(scripts, tmp_path):
    """In a process of their own: they register things."""
    blocks = re.findall(r"^( *)```python\n(.*?)^\1```$", TEXT, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 6
    code = "\n".join([f"folder = {str(tmp_path / 'runs')!r}", *(textwrap.dedent(block) for _, block in blocks)])
    (tmp_path / "examples.py").write_text(code)
    ended = scripts.run([str(tmp_path / "examples.py")])
    assert ended.status == 0, ended.log


NAMED = re.findall(r"`([\w/]+(?:\.py|/))`", TEXT)


@pytest.mark.parametrize("name", sorted(set(NAMED)))
def test_the_files_and_folders_that_it_names_are_there(name):
    assert (ROOT / name).exists() or (ROOT / "uncertainty_suite" / name).exists()
