"""The configurations of docs/your_data.md make a row of a leaderboard, on files such as people have."""

import re

import numpy as np
import pytest
from PIL import Image

import uncertainty_suite
from tests.conftest import ROOT
from tests.tiny import load_script
from uncertainty_suite import launch, training
from uncertainty_suite.datasets import sources
from uncertainty_suite.errors import InputError
from uncertainty_suite.leaderboard.__main__ import main as leaderboard
from uncertainty_suite.registry import Registry
from uncertainty_suite.sweep.__main__ import main as sweep

TEXT = (ROOT / "docs" / "your_data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^`(\w+\.py)`, beside .*?^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """Registered names do not outlive a test."""
    registry = Registry("data set")
    registry._entries = dict(sources._REGISTRY._entries)
    monkeypatch.setattr(sources, "_REGISTRY", registry)


def make_houses(folder):
    """With a byte order mark, Windows' ends of lines, quoted commas and missing values."""
    rng = np.random.default_rng(0)
    lines = ["id,Größe,rooms,city,price"]
    for i in range(200):
        size, rooms, city = rng.normal(80, 20), rng.integers(1, 6), rng.choice(["Oslo, Norway", "Köln"])
        lines.append(f'{i},{size:.1f},{"" if i % 20 == 3 else rooms},"{city}",{size * 1000 + rng.normal(0, 5000):.0f}')
    (folder / "houses.csv").write_bytes(("\ufeff" + "\r\n".join(lines)).encode())


def make_pets(folder):
    """200 images of any size and mode, and some of no class."""
    rng = np.random.default_rng(0)
    modes = ("RGB", "L", "RGBA", "P")
    for name, count in (("pets/große Katzen", 100), ("pets/dogs (2)", 100), ("birds", 20)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (*rng.integers(20, 50, 2), 3), dtype=np.uint8)
            pixels[..., 0] //= 4 if "Katzen" in name else 1
            Image.fromarray(pixels).convert(modes[i % 4]).save(folder / name / f"image {i}.png")


def make_spectra(folder):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 120)
    names = np.array(["quartz", "mica", "feldspar"])[y]
    np.savez(folder / "spectra.npz", x=rng.normal(size=(120, 30)) + y[:, np.newaxis], y=names)


FEWER = {"pets.py": ["--config.evaluation.corruptions=('contrast',)", "--config.evaluation.severities=(3,)"]}


def make_reviews(folder):
    rng = np.random.default_rng(0)
    words = {"good": ["great", "schön", "fun,"], "bad": ["dull", '"long"', "noisy"]}
    lines = ["id,review,sentiment"]
    for i in range(150):
        sentiment = ("good", "bad")[i % 2]
        text = " ".join(rng.choice([*words[sentiment], "the", "film", "was"], 12)).replace('"', '""')
        lines.append(f'{i},"{text}",{sentiment}')
    (folder / "reviews.csv").write_text("\r\n".join(lines), encoding="utf-8")


MAKE = {"houses.py": make_houses, "pets.py": make_pets, "reviews.py": make_reviews, "spectra.py": make_spectra}


def test_the_page_has_a_configuration_for_each_kind_of_files():
    assert [name for name, _ in BLOCKS] == list(MAKE)


@pytest.mark.parametrize(("name", "text"), BLOCKS)
def test_from_files_to_a_row(name, text, tmp_path, capsys, forget_models):
    MAKE[name](tmp_path)
    config_file = tmp_path / name
    config_file.write_text(text, encoding="utf-8")
    fewer = ["--config.epochs=2", *FEWER.get(name, [])]
    config = launch.get_config(config_file, None, "deterministic", fewer)
    run = tmp_path / "run"
    metrics = load_script("deterministic").main(config, training.Options(output_dir=run))["metrics"]
    assert leaderboard(["add", str(run), "--to", str(tmp_path / "records")]) in (0, None)
    assert leaderboard([str(tmp_path / "records")]) in (0, None)
    printed = capsys.readouterr().out
    assert f"### {name.removesuffix('.py')}" in printed
    assert "| deterministic |     1 |" in printed
    if name == "pets.py":
        assert {"shift/mean/accuracy", "ood/birds/auroc", "ood/noise_uniform/auroc"} <= metrics.keys()
        assert metrics["test/accuracy"] > 0.7  # the classes differ in colour


def test_no_run_goes_on_with_data_that_have_changed(tmp_path, stopped_at, capsys, forget_models):
    make_houses(tmp_path)
    config_file = tmp_path / "houses.py"
    config_file.write_text(dict(BLOCKS)["houses.py"], encoding="utf-8")

    def run(where, file=config_file):
        config = launch.get_config(file, None, "deterministic", ["--config.epochs=2"])
        return load_script("deterministic").main(config, training.Options(output_dir=tmp_path / where))

    with stopped_at(1):
        run("stopped")
    results = run("finished")
    assert run("finished") == results
    several = [str(config_file), "--methods=deterministic", "--set", "epochs=2", f"--output_dir={tmp_path / 'sweep'}"]
    assert sweep(several) == 0
    rows = (tmp_path / "houses.csv").read_text(encoding="utf-8")
    (tmp_path / "houses.csv").write_text(rows.replace("Köln", "Zürich"), encoding="utf-8")
    for where in ("stopped", "finished"):
        before = (tmp_path / where / "provenance.json").read_bytes()
        with pytest.raises(InputError, match=rf"The data set 'houses' has changed \(its split '\w+'\) .*{where}"):
            run(where)
        assert (tmp_path / where / "provenance.json").read_bytes() == before
    with pytest.raises(InputError, match="has changed"):
        uncertainty_suite.load(tmp_path / "finished")
    assert sweep([*several, "--dry_run"]) == 1
    assert "sweep/houses/deterministic/seed0 was made." in capsys.readouterr().err
    assert run("anew")["data_fingerprint"]["train"] != results["data_fingerprint"]["train"]


def test_what_cannot_be_measured_or_read_is_said_before_there_is_a_folder(tmp_path):
    make_pets(tmp_path)
    (tmp_path / "pets.py").write_text(dict(BLOCKS)["pets.py"], encoding="utf-8")

    def refused(*overrides):
        config = launch.get_config(tmp_path / "pets.py", None, "deterministic", list(overrides))
        with pytest.raises(InputError) as error:
            load_script("deterministic").main(config, training.Options(output_dir=tmp_path / "run"))
        assert not (tmp_path / "run").exists()
        return str(error.value)

    assert refused("--config.evaluation.shifts=('birds',)", "--config.evaluation.ood_far=()") == (
        "config.evaluation.shifts has 'birds', whose examples have no labels to measure by. Name it in "
        "config.evaluation.predict_only or ood_far."
    )
    assert refused("--config.batch_size=500").endswith("(144 examples). Give 144 or less, as --config.batch_size=144.")
    (tmp_path / "pets/dogs (2)/image 3.png").write_bytes(b"nothing")
    assert "dogs (2)/image 3.png is no image that can be read (" in refused()
