"""What is made from the records: tables between markers, cards, the README, and whether they are current."""

import json
import re
import shutil

import pytest

from uncertainty_suite.errors import InputError
from uncertainty_suite.leaderboard import insertion, read_records
from uncertainty_suite.leaderboard.__main__ import main


def test_tables_are_put_between_markers_and_nothing_else_changes(boards, tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text("# A\n<!-- leaderboard: toy test/nll -->\nold\n<!-- end -->\nB <!-- x -->\n")
    assert main([str(boards), "--check", str(readme)]) == 1
    assert capsys.readouterr().err == f"leaderboard: Not current: {readme}. Give the same command with --update.\n"
    assert main([str(boards), "--update", str(readme)]) == 0
    assert capsys.readouterr().out == f"updated: {readme}\n"
    text = readme.read_text()
    assert text.startswith("# A\n<!-- leaderboard: toy test/nll -->\n\n| method ")
    assert text.endswith(".\n\n<!-- end -->\nB <!-- x -->\n")
    assert "test/nll ↓" in text
    assert "test/ece" not in text
    assert main([str(boards), "--check", str(readme)]) == 0
    assert main([str(boards), "--update", str(readme)]) == 0
    assert readme.read_text() == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "has no marker <!-- leaderboard: TASK -->."),
        ("<!-- leaderboard: toy -->\n", "a marker <!-- leaderboard: TASK --> has no <!-- end -->."),
        (
            "<!-- leaderboard: toy -->\n<!-- leaderboard: other -->\n<!-- end -->\n",
            "a marker <!-- leaderboard: TASK --> has no <!-- end -->.",
        ),
        ("<!-- leaderboard: tyo -->\n<!-- end -->\n", "Unknown task 'tyo'. Did you mean 'toy'?"),
        ("<!-- leaderboard: toy test/nl -->\n<!-- end -->\n", "Unknown metric 'test/nl'. Did you mean 'test/nll'?"),
    ],
)
def test_markers_that_are_wrong_are_refused(boards, tmp_path, text, message):
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        insertion.update([path], read_records([boards]))
    assert path.read_text() == text


def test_deleting_what_is_generated_and_building_makes_it_again(boards, tmp_path):
    arguments = ["--folder", str(boards)]
    assert main(["build", *arguments]) == 0
    made = [*boards.glob("*.*"), *boards.glob("*/cards/*")]
    assert sorted(path.name for path in made) == sorted(
        ["README.md", "index.html", *["deterministic.md", "sngp.md", "twin.md"] * 2]
    )
    before = {path: path.read_bytes() for path in made}
    assert main(["check", *arguments]) == 0
    for path in made:
        path.unlink()
    assert main(["check", *arguments]) == 1
    assert main(["build", *arguments]) == 0
    assert {path: path.read_bytes() for path in made} == before


def test_check_names_what_is_not_current(boards, capsys):
    arguments = ["--folder", str(boards)]
    main(["build", *arguments])
    card = boards / "toy" / "cards" / "sngp.md"
    card.write_text(card.read_text() + "more")
    shutil.copy(card, card.with_name("gone.md"))
    (boards / "toy" / "stranger.json").write_text("{}")
    capsys.readouterr()
    assert main(["check", *arguments]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"not current: {card}",
        f"of no record: {card.with_name('gone.md')}",
        f"of no record: {boards}/toy/stranger.json",
    ]
    assert main(["build", *arguments]) == 0
    assert not card.with_name("gone.md").exists()
    (boards / "toy" / "stranger.json").unlink()
    assert main(["check", *arguments]) == 0


def test_a_new_method_makes_it_all_out_of_date(boards, make_finished, tmp_path, capsys):
    main(["build", "--folder", str(boards)])
    main(["add", str(make_finished("new")), "--to", str(boards)])
    assert main(["check", "--folder", str(boards)]) == 1
    main(["build", "--folder", str(boards)])
    text = (boards / "README.md").read_text()
    assert "[new](toy/cards/new.md)" in text
    assert main(["check", "--folder", str(boards)]) == 0


def test_what_is_made_depends_on_the_records_alone_and_not_on_what_was_there(boards, make_finished, tmp_path):
    runs = [str(make_finished("one", task=task)) for task in ("zoo", "ark")]
    grown, at_once = tmp_path / "grown", tmp_path / "at_once"
    for run in runs:
        main(["add", run, "--to", str(grown)])
        main(["build", "--folder", str(grown)])
    main(["add", *runs, "--to", str(at_once)])
    main(["build", "--folder", str(at_once)])
    for name in ("README.md", "index.html"):
        assert (grown / name).read_bytes() == (at_once / name).read_bytes()


def test_what_somebody_wrote_about_a_task_stands_above_its_table(boards, capsys):
    (boards / "toy" / "about.txt").write_text("Photos of *toys*,\n<small> ones.\n")
    main(["build", "--folder", str(boards)])
    assert (
        "## toy\n\nPhotos of \\*toys\\*, \\<small\\> ones.\n\n<!-- leaderboard: toy -->"
        in (boards / "README.md").read_text()
    )
    assert '"about":"Photos of *toys*, \\u003csmall\\u003e ones."' in (boards / "index.html").read_text()
    assert main(["check", "--folder", str(boards)]) == 0
    (boards / "toy" / "about.txt").write_bytes(b"\xff")
    capsys.readouterr()
    assert main(["build", "--folder", str(boards)]) == 1
    assert f"{boards}/toy/about.txt: not a text" in capsys.readouterr().err


def test_cards_tell_what_is_worse_first_and_how_to_make_it_again(boards):
    main(["cards", str(boards)])
    card = (boards / "toy" / "cards" / "sngp.md").read_text()
    assert "# sngp on toy\n" in card
    assert "| seeds | 0, 1, 2 |" in card
    assert re.search(r"\| test/nll ↓ \| \*\*0\.\d+\*\* \| \[0\.\d+, 0\.\d+\] \| \[0\.\d+, 0\.\d+\] \| -0\.\d+ \[", card)
    assert "- Better than deterministic in test/accuracy, test/nll, test/brier" in card
    assert "python baselines/sngp.py --output_dir=run\n" in card
    assert "batch_size = 32\n" in card
    assert "seed =" not in card


def test_names_with_a_slash_are_tasks_like_others(fold_boards, tmp_path, capsys):
    (fold_boards / "uci_yacht" / "about.txt").write_text("Boats.")
    entry = {"task": "uci/yacht", "method": "Ensemble", "model": "MLP", "source": "a paper"}
    (fold_boards / "published.json").write_text(json.dumps([entry | {"metrics": {"test/gaussian_nll": 0.73}}]))
    readme = tmp_path / "README.md"
    readme.write_text("<!-- leaderboard: uci/yacht test/rmse -->\n<!-- end -->\n")
    arguments = [str(readme), "--folder", str(fold_boards)]
    assert main(["build", *arguments]) == 0
    assert main(["check", *arguments]) == 0
    assert "| sngp          |     6 | **" in readme.read_text()
    text = (fold_boards / "README.md").read_text()
    assert "## uci/yacht\n\nBoats.\n\n<!-- leaderboard: uci/yacht -->" in text
    assert "<!-- ranks: test/gaussian_nll -->" in text
    assert "[sngp](uci_yacht/cards/sngp.md)" in text
    assert "| Ensemble | MLP | 0.73 | a paper |" in text
    card = (fold_boards / "uci_yacht" / "cards" / "sngp.md").read_text()
    assert "# sngp on uci/yacht\n" in card
    assert "| folds | 0, 1, 2, 3, 4, 5 |\n| seeds | 0 |" in card
    assert "| metric | mean | 95 % over folds | 95 % over test examples | minus deterministic, 95 % | p |" in card
    assert "- Better than deterministic in test/rmse, test/gaussian_nll, test/crps" in card
    (fold_boards / "uci_yacht" / "cards" / "sngp.md").unlink()
    assert main(["check", *arguments]) == 1


def test_a_name_from_a_record_cannot_break_out_of_a_card(make_finished, tmp_path):
    boards = str(tmp_path / "boards")
    command = "python a.py ```` <script>"
    main(["add", str(make_finished("<b>|x", provenance={"command": command})), "--to", boards])
    main(["cards", boards])
    (path,) = (tmp_path / "boards").glob("toy/cards/*.md")
    card = path.read_text()
    assert "# \\<b\\>\\|x on toy" in card
    assert "`````\npython a.py" in card


def test_what_others_published_stands_apart(boards, capsys):
    entry = {"task": "toy", "method": "SNGP", "model": "WRN", "source": "a|b", "metrics": {"test/nll": 0.1}}
    (boards / "published.json").write_text(json.dumps([entry]))
    main(["build", "--folder", str(boards)])
    text = (boards / "README.md").read_text()
    assert "*Published elsewhere*, not run by us" in text
    assert "| SNGP | WRN | 0.1 | a\\|b |" in text
    assert '"method":"SNGP"' in (boards / "index.html").read_text()
    (boards / "published.json").write_text(json.dumps([entry | {"metrics": {"test/nll": "0.1"}}]))
    capsys.readouterr()
    assert main(["build", "--folder", str(boards)]) == 1
    message = "field [0]['metrics']['test/nll'] must be a finite number, not '0.1'"
    assert capsys.readouterr().err == f"left out: {boards}/published.json: {message}\n"
