"""Train every method on every small task with several seeds, and print the leaderboard.

    python benchmarks/baselines.py
    python benchmarks/baselines.py --tasks mnist --methods deterministic sngp --seeds 1
    python benchmarks/baselines.py --tasks cifar10 --seeds 1 --set precision=mixed_bfloat16 epochs=5

All runs share this process, because importing TensorFlow takes longer than training one of them. Runs that are finished
are not repeated, and one that was stopped goes on, so the command can be given again. Beside the run folders it writes
`leaderboard.md` and, for two moons, the uncertainty surfaces of all methods, `two_moons.png` and `.svg`.
"""

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["two_moons", "digits"], help="folders of configs/")
    parser.add_argument(
        "--methods",
        nargs="+",
        default=["deterministic", "mc_dropout", "deep_ensemble", "sngp"],
        help="scripts of baselines/",
    )
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0 to N - 1 are run")
    parser.add_argument("--output_dir", type=Path, default=ROOT / "runs" / "benchmark")
    parser.add_argument("--data_dir", type=Path, help="prepared TFDS data sets, for tasks that need them")
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="override in every configuration")
    arguments = parser.parse_args()

    import keras

    from uncertainty_suite import configuration, figures, leaderboard
    from uncertainty_suite.errors import InputError

    started_at = time.perf_counter()
    try:
        for task in arguments.tasks:
            for method in arguments.methods:
                script = configuration.load_module(ROOT / "baselines" / f"{method}.py")
                for seed in range(arguments.seeds):
                    print(f"{task}: {method}, seed {seed}", flush=True)
                    config = configuration.load(ROOT / "configs" / task / f"{method}.py")
                    config.seed = seed
                    for override in arguments.set:
                        configuration.override(config, override)
                    script.main(config, arguments.output_dir / task / method / f"seed{seed}", arguments.data_dir)
                    keras.utils.clear_session()
        table = leaderboard.render(leaderboard.read_records([arguments.output_dir]))
    except InputError as error:
        sys.exit(f"benchmarks/baselines.py: {error}")
    (arguments.output_dir / "leaderboard.md").write_text(table)
    print(f"\n{table}\n{time.perf_counter() - started_at:.0f} seconds.")
    if "two_moons" in arguments.tasks:
        runs = {method: arguments.output_dir / "two_moons" / method / "seed0" for method in arguments.methods}
        for suffix in (".png", ".svg"):
            path = figures.save(figures.two_moons_surfaces(runs), arguments.output_dir / f"two_moons{suffix}")
            print(f"Uncertainty surfaces: {path}")


if __name__ == "__main__":
    main()
