"""The same job from command to metrics, by our scripts and by the libraries that one would otherwise take.

    python benchmarks/peers.py --peer_python=PYTHON
    python benchmarks/peers.py --quick --only keras
    python benchmarks/peers.py --jobs mc_dropout --examples 60000 --epochs 1 --repeats 1

The size of the first is meant for twenty minutes on two cores that do nothing else. Nine tenths of its examples are
batches of 128: else libraries end an epoch with a smaller batch where ours is full, and so few steps tell that.

The job: train on `--examples` images, the last tenth of them held out, for `--epochs`; predict as many test images at
most; measure. All sides read the same arrays, train the same network (the number of parameters is compared) with the
same optimizer, batch size and epochs, and each does otherwise what its documentation has one do: `peer_torch.py`
(torch-uncertainty, and laplace-torch), `peer_keras.py` and `peer_posthoc.py` (scikit-learn and MAPIE, given
predictions) have them. Each is a command in a process of its own, imports included. They take turns, `--repeats` times.
Keras is that of our environment; the other peers are imported by `--peer_python`, since their requirements may differ
from ours, and what is not installed there is left out with a word:

    python -m venv peers && peers/bin/pip install "torch-uncertainty[cpu]" laplace-torch mapie

A row says how much faster ours is, by the clock. Below it stand the processor time of both, on which other work on the
machine has less influence, and what both found: results that are further apart than `BANDS` are no comparison, and
count as missed. The rows are the group `peers` of the record of this kind of processor, as in `speed.py`, with the
peers' versions and how busy the machine was before. The exit status is 1 if a target is missed.
"""

import argparse
import dataclasses
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from comparison import HEADER, RESULTS, Row, compare, draw_record, format_line, kind_of, write_group
from peer_job import Job

from uncertainty_suite import datasets
from uncertainty_suite.errors import InputError
from uncertainty_suite.runs import RunFolder

ROOT = Path(__file__).parent.parent
HERE = Path(__file__).parent
TASK = HERE / "peer_task.py"
HELD_OUT = 0.1
SCRIPTS = ("deterministic", "mc_dropout", "deep_ensemble", "batch_ensemble", "swag", "laplace")
POSTHOC = "posthoc"
JOBS = (*SCRIPTS, POSTHOC)
TOGETHER = 3.0  # how much faster all scripts together are to be than torch-uncertainty
BANDS = {"accuracy": 0.02, "nll": 0.1, "coverage": 0.02}  # how far results may be apart


@dataclasses.dataclass(frozen=True)
class Peer:
    """Libraries that do what our scripts do.

    Attributes:
        title: What they are called in a row.
        script: Of this folder.
        packages: What it imports, by the names in a package index.
        modules: The same, by the names in Python.
        jobs: What it is asked for, by our name of it.
        target: How much faster ours is to be.
        ours: Whether they belong to our environment.
    """

    title: str
    script: str
    packages: tuple[str, ...]
    modules: tuple[str, ...]
    jobs: dict[str, str]
    target: float
    ours: bool = False


def same(*jobs: str) -> dict[str, str]:
    """Return jobs that the peer's script calls as we do."""
    return {job: job for job in jobs}


PEERS = {
    "torch_uncertainty": Peer(
        "torch-uncertainty",
        "peer_torch.py",
        ("torch", "lightning", "torch-uncertainty"),
        ("torch_uncertainty",),
        same(*SCRIPTS[:-1]),
        target=2.0,
    ),
    "laplace": Peer(
        "torch-uncertainty and laplace-torch",
        "peer_torch.py",
        ("torch", "torch-uncertainty", "laplace-torch"),
        ("torch_uncertainty", "laplace"),
        same("laplace"),
        target=2.0,
    ),
    "keras": Peer(
        "Keras fit",
        "peer_keras.py",
        ("keras", "tensorflow"),
        ("keras",),
        same("deterministic", "mc_dropout", "deep_ensemble"),
        target=1.0,
        ours=True,
    ),
    "mapie": Peer(
        "scikit-learn and MAPIE",
        "peer_posthoc.py",
        ("scikit-learn", "mapie"),
        ("sklearn.frozen", "mapie.classification"),
        {POSTHOC: "mapie"},
        target=1.0,
    ),
}


class Side:
    """A command that does a job, over and over.

    Attributes:
        found: What came of it each time.
        processor_seconds: What each time took of all cores.
    """

    def __init__(
        self, name: str, command: Callable[[], Sequence[str]], read: Callable[[str], dict[str, float]]
    ) -> None:
        """Describe it.

        Args:
            name: What an error calls it.
            command: Makes the command of the next time.
            read: Returns what came of it, from what it printed.
        """
        self.name, self._command, self._read = name, command, read
        self.found: list[dict[str, float]] = []
        self.processor_seconds: list[float] = []

    def __call__(self) -> None:
        """Do it once.

        Raises:
            InputError: The command has failed.
        """
        before = _of_children()
        ran = subprocess.run([*self._command()], cwd=ROOT, capture_output=True, text=True)
        self.processor_seconds.append(_of_children() - before)
        if ran.returncode:
            raise InputError(f"{self.name} has failed: {_last_line(ran.stderr)}")
        self.found.append(self._read(ran.stdout))

    def quality(self) -> dict[str, float]:
        """Return the means of what it found."""
        return {name: float(np.mean([each[name] for each in self.found])) for name in self.found[0]}


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["nothing was said."])[-1]


def read_answer(output: str) -> dict[str, float]:
    """Return what `peer_job.answer` printed last."""
    return json.loads(_last_line(output))


def script_side(what: str, folder: Path) -> Side:
    """Return the side of a script of `baselines/`, which leaves the run folder of the last time."""
    run = folder / "runs" / what

    def command() -> list[str]:
        shutil.rmtree(run, ignore_errors=True)  # or it would be finished already
        return [sys.executable, f"baselines/{what}.py", f"--config={TASK}:{folder}", f"--output_dir={run}"]

    def read(output: str) -> dict[str, float]:
        metrics = RunFolder(run).results["metrics"]
        found = {name: metrics[f"test/{name}"] for name in ("accuracy", "nll", "brier", "ece")}
        return {**found, "parameters": metrics["num_parameters"]}

    return Side(f"baselines/{what}.py", command, read)


def answering_side(python: str, script: str, what: str, folder: Path) -> Side:
    """Return the side of a script that answers on stdout."""
    return Side(f"{what} of {script}", lambda: [python, str(HERE / script), what, str(folder)], read_answer)


def write_data(folder: Path, name: str, examples: int, data_dir: Path | None) -> dict[str, int]:
    """Write images and labels of all splits for all sides, and return how many there are.

    Args:
        folder: That of the job.
        name: The data set.
        examples: How many are taken of train and test each, the first; the last tenth of train is held out.
        data_dir: Folder of prepared data sets.
    """
    train, test = (datasets.get(name, split, data_dir).subset(examples) for split in ("train", "test"))
    cut = round(train.num_examples * (1 - HELD_OUT))
    arrays = {}
    for split, data, chosen in (
        ("train", train, slice(cut)),
        ("validation", train, slice(cut, None)),
        ("test", test, slice(None)),
    ):
        arrays[f"x_{split}"] = np.rint(data.features[chosen] * (255 / data.source.maximum)).astype(np.uint8)
        arrays[f"y_{split}"] = data.labels[chosen].astype(np.int64)
    np.savez(folder / "data.npz", **arrays)
    return {split: len(arrays[f"y_{split}"]) for split in ("train", "validation", "test")}


def write_predictions(folder: Path) -> None:
    """Write what our deterministic network says of validation and test, trained here unless it has been."""
    run = folder / "runs/deterministic"
    if not run.exists():
        script_side("deterministic", folder)()
    arrays = {}
    for split in ("validation", "test"):
        saved = RunFolder(run).predictions(split)
        arrays[f"{split}_probs"] = np.exp(saved["log_probs"].astype(np.float64))
        arrays[f"{split}_labels"] = saved["labels"].astype(np.int64)
    np.savez(folder / "predictions.npz", **arrays)


def versions(python: str, peer: Peer) -> dict[str, str]:
    """Return the versions of a peer's packages, having imported what it imports.

    Raises:
        InputError: It is not installed, or cannot be imported.
    """
    code = (
        "import importlib, importlib.metadata, json\n"
        f"for name in {peer.modules}: importlib.import_module(name)\n"
        f"print(json.dumps({{name: importlib.metadata.version(name) for name in {peer.packages}}}))"
    )
    try:
        ran = subprocess.run([python, "-c", code], capture_output=True, text=True)
    except OSError as error:
        raise InputError(f"{python} cannot be started: {error.strerror}.") from error
    if ran.returncode:
        raise InputError(_last_line(ran.stderr))
    return json.loads(_last_line(ran.stdout))


def unequal(ours: dict[str, float], theirs: dict[str, float]) -> list[str]:
    """Return what of the results of two sides is further apart than it may be."""
    return [
        f"{name} {ours[name]:.4f} and {theirs[name]:.4f}"
        for name, band in BANDS.items()
        if name in ours and name in theirs and not abs(ours[name] - theirs[name]) <= band
    ]


def compare_with_peers(
    what: str, peers: list[Peer], pythons: dict[str, str], folder: Path, repeats: int
) -> Iterator[dict[str, Any]]:
    """Do a job by us and by peers in turn, and return a summarized row for each of them.

    A row has the `quality` and the `processor_seconds` of both sides, too, and what of it is `unequal`.
    """
    if what == POSTHOC:
        write_predictions(folder)
        ours = answering_side(sys.executable, "peer_posthoc.py", "suite", folder)
    else:
        ours = script_side(what, folder)
    sides = {"suite": ours}
    for peer in peers:
        sides[peer.title] = answering_side(pythons[peer.title], peer.script, peer.jobs[what], folder)
    seconds = compare(sides, repeats, warm_up=False)
    for peer in peers:
        both = {"ours": ours, "theirs": sides[peer.title]}
        quality = {name: side.quality() for name, side in both.items()}
        sizes = [each.get("parameters") for each in quality.values()]
        if sizes[0] != sizes[1]:
            raise InputError(f"{what} has {sizes[0]:,.0f} parameters, and {sizes[1]:,.0f} by {peer.title}.")
        row = Row(f"job, {what}", peer.title, seconds["suite"], seconds[peer.title], "x faster", peer.target)
        apart = unequal(*quality.values())
        summary = row.summarize()
        yield summary | {
            "met": summary["met"] and not apart,
            "processor_seconds": {name: float(np.median(side.processor_seconds)) for name, side in both.items()},
            "quality": quality,
            "unequal": apart,
        }


def all_together(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the row of all scripts one after another against torch-uncertainty, where it was measured on all."""
    titles = {PEERS[name].title for name in ("torch_uncertainty", "laplace")}
    chosen = [row for row in rows if row["against"] in titles]
    if len(chosen) < len(SCRIPTS):
        return []
    ours, theirs = (np.array([sum(row[side] for row in chosen)]) for side in ("ours", "theirs"))
    row = Row(f"job, all {len(SCRIPTS)} methods", "torch-uncertainty", ours, theirs, "x faster", TOGETHER)
    return [row.summarize()]


def format_quality(row: dict[str, Any]) -> str:
    """Return in a line what both sides of a row found and took."""
    ours, theirs = row["processor_seconds"].values()
    texts = [f"processor time {ours:.1f} and {theirs:.1f} s, {theirs / ours:.2f} x"]
    of_us, of_them = row["quality"].values()
    for name in sorted(of_us.keys() & of_them.keys()):
        digits = "," if isinstance(of_us[name], int) else ".4f"  # a count, or a metric
        texts.append(f"{name} {of_us[name]:{digits}} and {of_them[name]:{digits}}")
    texts += [f"NOT EQUAL: {'; '.join(row['unequal'])}"] if row["unequal"] else []
    return f"#   {', '.join(texts)}"


def main() -> int:
    """Run the benchmark; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="two minutes: digits, 20 epochs, once; of scripts the deterministic one",
    )
    parser.add_argument("--only", nargs="+", choices=PEERS, metavar="PEER", help=f"some of {', '.join(PEERS)}")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, metavar="JOB", help=f"some of {', '.join(JOBS)}, in order")
    parser.add_argument(
        "--examples",
        type=int,
        default=6400,
        help="of train, and at most so many of test; of nine tenths that are a multiple of 128, no side has a smaller "
        "last batch",
    )
    parser.add_argument("--epochs", type=int, default=3, help="at least 3 with SWAG, which needs them")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--peer_python", default=sys.executable, help="the interpreter that has the peers' packages")
    parser.add_argument("--data_dir", type=Path, help="folder of prepared TFDS data sets, with mnist")
    parser.add_argument("--output_dir", type=Path, help="where the record and its figure are written")
    arguments = parser.parse_args()
    try:
        return run(arguments)
    except InputError as error:
        sys.exit(f"benchmarks/peers.py: {error}")


def run(arguments: argparse.Namespace) -> int:
    """Compare with all peers that there are; return the exit status."""
    jobs = arguments.jobs or (("deterministic", POSTHOC) if arguments.quick else JOBS)
    for name, least in (("examples", 500), ("epochs", 3 if "swag" in jobs else 1), ("repeats", 1)):
        if getattr(arguments, name) < least:
            raise InputError(f"--{name} is {getattr(arguments, name)}; expected {least} or more.")
    from uncertainty_suite.training.run import origin

    output_dir = arguments.output_dir or (ROOT / "runs/speed" if arguments.quick else RESULTS)
    # The command would name where the peers' interpreter lies.
    made_with = {name: value for name, value in origin().items() if name not in ("host", "command")}
    made_with |= {"load": os.getloadavg()[0], "peers": {}}
    peers, pythons = [], {}
    for name in arguments.only or PEERS:
        peer = PEERS[name]
        pythons[peer.title] = sys.executable if peer.ours else arguments.peer_python
        try:
            made_with["peers"][peer.title] = versions(pythons[peer.title], peer)
            peers.append(peer)
        except InputError as error:
            print(f"# Left out: {peer.title}. {error}", flush=True)
    if not peers:
        return 0
    data, epochs, repeats = ("digits", 20, 1) if arguments.quick else ("mnist", arguments.epochs, arguments.repeats)
    path = output_dir / f"{kind_of(made_with['hardware'])}.json"
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Job(folder, epochs).write()
        sizes = write_data(folder, data, arguments.examples, arguments.data_dir)
        made_with["job"] = {"data": data, "examples": sizes, "epochs": epochs}
        numbers = ", ".join(f"{number:,} {split}" for split, number in sizes.items())
        print(f"# {data}, {numbers}, {epochs} epochs")
        print(HEADER, flush=True)
        for what in jobs:
            having = [peer for peer in peers if what in peer.jobs]
            for row in compare_with_peers(what, having, pythons, folder, repeats) if having else ():
                rows.append(row)
                print(f"{format_line(row)}\n{format_quality(row)}", flush=True)
                write_group(path, "peers", made_with, rows)
                draw_record(path)
    for row in all_together(rows):
        rows.append(row)
        print(format_line(row))
        write_group(path, "peers", made_with, rows)
        draw_record(path)
    missed = [f"{row['what']}, {row['against']}" for row in rows if not row["met"]]
    if missed:
        print(f"Missed: {'; '.join(missed)}.")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
