"""Train every method on every small task with several seeds, and print the leaderboard.

    python benchmarks/baselines.py
    python benchmarks/baselines.py --tasks mnist --methods deterministic sngp --seeds 1
    python benchmarks/baselines.py --tasks cifar10 --seeds 1 --set precision=mixed_bfloat16 epochs=5
    python benchmarks/baselines.py --tasks uci:yacht uci:boston --seeds 1 --folds 20

A task is a configuration file, `configs/<task>.py`, with its variant. All runs share this process, because importing
TensorFlow takes longer than training one of them. Runs that are finished are not repeated, and one that was stopped
goes on, so the command can be given again. Beside the run folders it writes `leaderboard.md` and, for two moons, the
uncertainty surfaces of all methods, `two_moons.png` and `.svg`.
"""

import argparse
import sys
import time
from pathlib import Path

from uncertainty_suite import configuration, datasets, figures, keras, launch, leaderboard
from uncertainty_suite.errors import InputError

ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["two_moons", "digits"], help="files of configs/, with variants")
    parser.add_argument("--methods", nargs="+", help="scripts of baselines/; by default all")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to N - 1 are run")
    parser.add_argument(
        "--folds", type=int, default=1, help="of a data set with folds, 0 to N - 1, as far as there are"
    )
    parser.add_argument("--output_dir", type=Path, default=ROOT / "runs" / "benchmark")
    parser.add_argument("--data_dir", type=Path, help="prepared TFDS data sets, for tasks that need them")
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="override in every configuration")
    arguments = parser.parse_args()
    methods = arguments.methods or sorted(path.stem for path in ROOT.glob("baselines/*.py"))
    started_at = time.perf_counter()
    try:
        for task in arguments.tasks:
            for method in methods:
                for seed in range(arguments.seeds):
                    run(task, method, seed, arguments)
        table = leaderboard.render(leaderboard.read_records([arguments.output_dir]))
    except InputError as error:
        sys.exit(f"benchmarks/baselines.py: {error}")
    (arguments.output_dir / "leaderboard.md").write_text(table)
    print(f"\n{table}\n{time.perf_counter() - started_at:.0f} seconds.")
    if "two_moons" in arguments.tasks:
        runs = {method: arguments.output_dir / "two_moons" / method / "seed0" for method in methods}
        for suffix in (".png", ".svg"):
            path = figures.save(figures.two_moons_surfaces(runs), arguments.output_dir / f"two_moons{suffix}")
            print(f"Uncertainty surfaces: {path}")


def run(task: str, method: str, seed: int, arguments: argparse.Namespace) -> None:
    """Run a method on a task with a seed, on each fold where the data set has some."""
    name, colon, variant = task.partition(":")
    script = configuration.load_module(ROOT / "baselines" / f"{method}.py")
    section = getattr(script, "CONFIG", None)
    overrides = [f"--config.{override}" for override in (f"seed={seed}", *arguments.set)]
    config = launch.get_config(f"{ROOT}/configs/{name}.py{colon}{variant}", section, method, overrides)
    has_folds = "fold" in config.dataset
    for fold in range(min(arguments.folds, datasets.folds(config.dataset.name)) if has_folds else 1):
        replicate = f"fold{fold}-seed{seed}" if has_folds else f"seed{seed}"
        if has_folds:
            config.dataset.fold = fold
        print(f"{task}: {method}, {replicate}", flush=True)
        folder = arguments.output_dir / task.replace(":", "_") / method / replicate
        script.main(config, launch.Options(output_dir=folder, data_dir=arguments.data_dir))
        keras.utils.clear_session()


if __name__ == "__main__":
    main()
