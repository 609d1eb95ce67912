"""Build the site: `make docs`, or `python tools/build_docs.py`. It opens from disk, and asks no network for anything.

The pages are what is in the repository: `docs/`, `CONTRIBUTING.md` and the like as they are, with links between them
rewritten to the site's places; and what is generated here: a page a method (of its script's docstring, its
hyper-parameters and the records), a page a task, a page a family of metrics, the API, and "Which method?". Nothing is
imported that needs TensorFlow but by the notebooks, which are executed, each by a kernel of its own.
"""

import argparse
import ast
import inspect
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import claims

from uncertainty_suite import configuration, leaderboard, metrics
from uncertainty_suite.configuration import Section
from uncertainty_suite.leaderboard import Analysis, Record, Row, Table, published
from uncertainty_suite.leaderboard.publication import abouts
from uncertainty_suite.leaderboard.records import safe
from uncertainty_suite.leaderboard.rendering import (
    decimals,
    escape_markdown,
    labels,
    markdown_table,
    note,
    number,
    title,
)
from uncertainty_suite.leaderboard.tables import higher_is_better
from uncertainty_suite.metrics.__main__ import _FAMILIES as FAMILIES

ROOT = Path(__file__).parents[1]
# Pages that lie elsewhere than in docs/, by their place in the site.
ELSEWHERE = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "references.md": "references.md",
    "leaderboards/README.md": "results.md",
    "README.md": "index.md",  # for links to it; the site's first page is docs/index.md
}
_LINK = re.compile(r"(?<!\\)(\]\()([^)\s]+)(\))")
_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
_SECTIONS = ("Args:", "Attributes:", "Example:", "Examples:", "Raises:", "Returns:", "Yields:")


def main(argv: Sequence[str] | None = None) -> int:
    """Build the site; return the exit status of Sphinx, which takes every warning for an error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, default=ROOT / "build" / "docs", help="default: build/docs")
    parser.add_argument("--no_notebooks", action="store_true", help="show the notebooks' code without executing it")
    arguments = parser.parse_args(argv)
    source, html = arguments.output_dir / "source", arguments.output_dir / "html"
    shutil.rmtree(source, ignore_errors=True)
    shutil.rmtree(html, ignore_errors=True)
    stage(source)
    settings = ["-D", "nb_execution_mode=off"] if arguments.no_notebooks else []
    options = ["-W", "--keep-going", "-q", "-d", arguments.output_dir / "doctrees", *settings]
    # The notebooks' `!python` is this one.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    status = subprocess.call(
        [sys.executable, "-m", "sphinx", *map(str, options), str(source), str(html)], env=environment
    )
    if status == 0:
        print(html / "index.html")
    return status


def stage(source: Path) -> None:
    """Write the sources of all pages into a folder."""
    for path in sorted(ROOT.glob("docs/**/*")):
        if path.is_file():
            copy(path, source / path.relative_to(ROOT / "docs"), source)
    for name, place in ELSEWHERE.items():
        if name != "README.md":
            copy(ROOT / name, source / place, source)
    for name, text in generated().items():
        write(source / name, text)
    for path in ROOT.glob("leaderboards/*/*.png"):
        copy(path, source / "pictures" / path.relative_to(ROOT / "leaderboards"), source)
    index = source / "index.md"
    text = index.read_text(encoding="utf-8")
    rest = [path.stem for path in sorted(source.glob("*.md")) if not re.search(rf"^{path.stem}$", text, re.MULTILINE)]
    write(index, text.replace("<!-- further pages -->\n", "".join(f"{name}\n" for name in rest if name != "index")))


def write(path: Path, text: str) -> None:
    """Write a text into a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def copy(path: Path, place: Path, source: Path) -> None:
    """Copy a file to its place in the site; of a page, with its links rewritten and its pictures."""
    if path.suffix != ".md":
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
        return

    def rewritten(match: re.Match) -> str:
        opening, target, closing = match.groups()
        file, hash_sign, anchor = target.partition("#")
        if not file or "://" in file or file.startswith("mailto:"):
            return match[0]
        found = (path.parent / file).resolve()
        if not found.exists():
            if (place.parent / file).resolve().is_relative_to(source.resolve()):
                return match[0]  # a page that is generated, of which Sphinx knows whether it is there
            raise SystemExit(f"{path.relative_to(ROOT)} links to {target}, which is not there.")
        name = found.relative_to(ROOT).as_posix()
        above = "../" * len(place.relative_to(source).parts[1:])
        if name in ELSEWHERE:
            return f"{opening}{above}{ELSEWHERE[name]}{hash_sign}{anchor}{closing}"
        if found.suffix == ".md" and found.is_relative_to(ROOT / "docs"):
            return f"{opening}{above}{found.relative_to(ROOT / 'docs').as_posix()}{hash_sign}{anchor}{closing}"
        if found.suffix in (".png", ".svg"):
            copy(found, source / "pictures" / name, source)
            return f"{opening}{above}pictures/{name}{closing}"
        return "]"  # what the site does not have: the text alone, without its bracket, see below

    text = "".join(
        part if part.startswith("`") else _without_links(_LINK.sub(rewritten, part))
        for part in _CODE.split(path.read_text(encoding="utf-8"))
    )
    write(place, text)


def _without_links(text: str) -> str:
    """Return a text in which `[text]` without a target, as `rewritten` leaves it, is `text`."""
    return re.sub(r"\[([^\[\]\n]+)\](?![(\[:])", lambda match: match[0] if match[1] in " x" else match[1], text)


def generated() -> dict[str, str]:
    """Return the pages that are made of scripts, configurations, metrics, docstrings and records, by name."""
    records = leaderboard.read_records([ROOT / "leaderboards"])
    analyses = analyses_of(records)
    findings = list(claims.find(claims.read(ROOT / "docs/claims.json"), analyses))
    return {
        **methods(analyses, findings),
        **tasks(analyses, records),
        **metric_families(),
        **api(),
        "which_method.md": which_method(analyses),
        "claims.md": what_papers_say(findings),
    }


def analyses_of(records: Sequence[Record]) -> list[Analysis]:
    """Return the analysis of each task's table, with its headline metrics."""
    return [Analysis(table) for table in leaderboard.select(leaderboard.tables(records), None, headline=True)]


def contents(name: str, text: str, pages: Sequence[str]) -> str:
    """Return a page that lists others."""
    return f"# {name}\n\n{text}\n\n```{{toctree}}\n:maxdepth: 1\n\n" + "".join(f"{page}\n" for page in pages) + "```\n"


# A page a method.


def methods(analyses: Sequence[Analysis], findings: Sequence[claims.Finding]) -> dict[str, str]:
    """Return a page for each script, and their list."""
    papers = json.loads((ROOT / "docs/papers.json").read_text(encoding="utf-8"))
    of_papers = {paper["method"]: paper for paper in papers}
    pages = {}
    for path in sorted(ROOT.glob("baselines/*.py")):
        script = configuration.load_module(path)
        section = getattr(script, "CONFIG", None)
        parts = [f"# {path.stem}", markdown(inspect.cleandoc(script.__doc__ or ""))]
        if papers := _papers(path.stem):
            parts += ["## Papers", papers]
        if section is not None:
            parts += ["## Hyper-parameters", hyper_parameters(section)]
        parts += ["## What it changes", needs_of(path)]
        if cost := costs(path.stem, analyses):
            parts += ["## Cost", cost]
        results = [of_method(path.stem, analysis) for analysis in analyses]
        parts += ["## Results", *(filter(None, results) if any(results) else ["There are no records of it yet."])]
        if of_claims := [finding for finding in findings if finding.claim.method == path.stem]:
            parts += ["## What its papers say", claims_table(of_claims), "[What the columns are](../claims.md)."]
        parts += ["## Why our numbers differ from the paper's", *beside_paper(of_papers[path.stem], analyses)]
        parts += ["## Script", f"```python\n{path.read_text(encoding='utf-8')}```"]
        pages[f"methods/{path.stem}.md"] = "\n\n".join(parts) + "\n"
    text = "A page a method: what its script says, its hyper-parameters, and what the records say of it."
    return {**pages, "methods/index.md": contents("Methods", text, [Path(name).stem for name in pages])}


def hyper_parameters(section: Section) -> str:
    """Return the table of a section's parameters."""
    rows = ["| flag | default | meaning | values |", "|---|---|---|---|"]
    for name, one in section.parameters.items():
        cells = [f"`--config.{section.name}.{name}`", f"`{one.default}`", escape(one.meaning), escape(one.range)]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _papers(method: str) -> str:
    lines = (ROOT / "references.md").read_text(encoding="utf-8").splitlines()
    found = [line for line in lines if f"`{method}`" in line]
    cells = [[cell.strip() for cell in line.strip("|- ").split("|")] for line in found]
    return "\n".join(f"- {' '.join(cell for cell in row if cell != f'`{method}`')}" for row in cells)


def needs(path: Path) -> dict[str, str]:
    """Return what a script changes, by the blocks that it shares with `deterministic.py` and its calls."""
    text = path.read_text(encoding="utf-8")
    section = getattr(configuration.load_module(path), "CONFIG", None)
    own = re.search(r"LayerSet\(\s*[^)\s]", text)  # with layers of its own
    return {
        "layers": "own" if own else "as `deterministic`",
        "train step": "as `deterministic`" if "# Train step. [shared]" in text else "own",
        "after training": "a fit" if "loop.once(" in text else "nothing",
        "samples of a prediction": f"`{section.name}.{section.samples}`" if section and section.samples else "1",
    }


def needs_of(path: Path) -> str:
    """Return the same as a table."""
    rows = [f"| {what} | {how} |" for what, how in needs(path).items()]
    return "\n".join(["| | |", "|---|---|", *rows])


def costs(method: str, analyses: Sequence[Analysis]) -> str:
    """Return what a method costs on each task, beside what it is compared with; nothing where it is that itself."""
    lines = ["| task | compared with | training | prediction | parameters |", "|---|---|---:|---:|---:|"]
    for analysis in analyses:
        names = labels(analysis.table.rows)
        for index, row in enumerate(analysis.table.rows):
            reference = analysis.references[index]
            if row.method == method and reference not in (None, index):
                cells = [times(relative_cost(analysis, index, *cost)) for cost in _COSTS]
                compared = escape_markdown(title(names[reference]))
                lines.append(f"| {analysis.table.task} | {compared} | {' | '.join(cells)} |")
    text = "How many times the cost of what it is compared with, in FLOPs, or in seconds where they were not counted."
    return "\n".join([text, "", *lines]) if len(lines) > 2 else ""


def of_method(method: str, analysis: Analysis) -> str:
    """Return a method's results on a task, beside those of the method that it is compared with."""
    table = analysis.table
    mine = [index for index, row in enumerate(table.rows) if row.method == method]
    if not mine:
        return ""
    others = dict.fromkeys(found for index in mine if (found := analysis.references[index]) is not None)
    shown = list(dict.fromkeys([*mine, *others]))
    names = labels(table.rows)
    head = ["metric", *(escape_markdown(title(names[index])) for index in shown)]
    lines = [f"### {table.task}", "", f"| {' | '.join(head)} |", "|---" + "|---:" * len(shown) + "|"]
    for metric in table.metrics:
        cells = [cell(analysis, metric, index) for index in shown]
        if any(cells):
            lines.append(f"| {metric}{arrow(metric)} | {' | '.join(each or '—' for each in cells)} |")
    return "\n".join([*lines, "", f"{count(table)}. {note([analysis])}"])


# Beside what was published.


def beside_paper(paper: Mapping[str, Any], analyses: Sequence[Analysis]) -> Iterator[str]:
    """Yield the settings of `docs/papers.json` beside ours, and published numbers beside those of our records."""
    rows = [(one.table.task, row) for one in analyses for row in one.table.rows if row.trained_here]
    rows = [(task, row) for task, row in rows if row.method == paper["method"]]
    ours = [f"| here | {' | '.join(setting(task, row))} |" for task, row in rows]
    theirs = [
        f"| *published*: {one['source']} | {one['data']} | {one['network']} | {one['training']} |"
        for one in paper["settings"]
    ]
    if theirs:
        yield "How the method itself differs is said at the top. This is what it was trained on, and how:"
        yield "\n".join(["| | data | network | training |", "|---|---|---|---|", *theirs, *ours])
    if note := paper.get("note"):
        yield note
    entries = [one for one in published.read(ROOT / "leaderboards") if one["method"] in paper["published"]]
    if entries:
        lines = ["| task | metric | published | here |", "|---|---|---|---|"]
        for entry in entries:
            of_task = [row for task, row in rows if task == entry["task"]]
            for metric, value in entry["metrics"].items():
                here = "; ".join(filter(None, (measured(row, metric) for row in of_task))) or "no record"
                cells = [
                    entry["task"],
                    f"{metric}{arrow(metric)}",
                    f"*{value}*, {entry['method']}, {entry['model']}",
                    here,
                ]
                lines.append(f"| {' | '.join(cells)} |")
        yield "\n".join(lines)
        sources = dict.fromkeys(escape(entry["source"]) for entry in entries)
        yield "Published numbers are typed from their sources, ours are made from records, and no test compares them."
        yield "\n".join(f"- {source}" for source in sources)
    elif theirs:
        yield "We have no published number of it on a task of this suite."


def setting(task: str, row: Row) -> tuple[str, str, str]:
    """Return what a row was trained on, by which network and how, as its configuration says."""
    config = row.records[0].config
    held_out = config["dataset"].get("validation_percent", 0)
    data = f"{task}, {held_out:.0%} of it for validation" if held_out else task
    options = {name.rpartition(".")[2]: value for name, value in configuration.flatten(dict(config["model"])).items()}
    network = ", ".join([options.pop("name"), *(f"{name} {value}" for name, value in options.items())])
    if size := row.statistic("num_parameters"):
        network += f"; {size.mean:,.0f} parameters"
    optimizer = config["optimizer"]
    how = f"{optimizer['name']} at {optimizer['learning_rate']:g}, batches of {config['batch_size']}"
    return data, escape_markdown(network), f"{config['epochs']} epochs of {how}"


def measured(row: Row, metric: str) -> str:
    """Return a row's mean of a metric with its standard error, and by which network; nothing where it has none."""
    if (found := row.statistic(metric)) is None:
        return ""
    places, error = decimals(metric, [found]), found.standard_error
    text = number(found.mean, places) + (f" ± {number(error, places)}" if error is not None else "")
    return f"{text}, {row.model}"


# What papers say.


def what_papers_say(findings: Sequence[claims.Finding]) -> str:
    """Return the page of what papers say of their methods, with what the records say of it."""
    told = inspect.cleandoc(claims.__doc__ or "").partition("\n\n")[2]
    parts = ["# What papers say, and what our records show", told]
    parts.append(
        "Networks and data here are small, those of the papers are not: what is not seen here may be true there."
    )
    by_task: dict[str, list[claims.Finding]] = {}
    for finding in findings:
        by_task.setdefault(finding.analysis.table.task, []).append(finding)
    for task, of_task in by_task.items():
        parts += [f"## {task}", claims_table(of_task), f"{count(of_task[0].analysis.table)}."]
    return "\n\n".join(parts) + "\n"


def claims_table(findings: Sequence[claims.Finding]) -> str:
    """Return findings as a table."""
    lines = ["| task | method | what its paper says | metric | it | compared with | difference | |", "|---" * 8 + "|"]
    for finding in findings:
        claim, rows = finding.claim, finding.analysis.table.rows
        names = [escape_markdown(title(name)) for name in labels(rows)]
        places = decimals(claim.metric, [found for row in rows if (found := row.statistic(claim.metric))])
        mine, other, difference = (number(value, places) for value in (*finding.means, finding.difference))
        if finding.interval is not None:
            low, high = (number(value, places) for value in finding.interval)
            difference += f" [{low}, {high}]"
        verdict = finding.verdict
        if finding.detectable is not None and verdict == "not seen":
            verdict += f"; detectable from {number(finding.detectable, places)} on"
        metric = f"{claim.metric}{arrow(claim.metric)}" + (f" by {claim.by}" if claim.by else "")
        cells = [finding.analysis.table.task, names[finding.row], escape_markdown(claim.says), metric, mine]
        cells += [f"{other} ({names[finding.reference]})", difference, verdict]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def count(table: Table) -> str:
    """Return how many seeds or folds a table is of."""
    return f"Protocol {table.rows[0].records[0].protocol_version}, {table.replicates}: " + ", ".join(
        sorted({str(len(row.folds if table.num_folds > 1 else row.seeds)) for row in table.rows})
    )


def arrow(metric: str) -> str:
    """Return which direction is better, as tables have it."""
    return {True: " ↑", False: " ↓", None: ""}[higher_is_better(metric)]


def cell(analysis: Analysis, metric: str, index: int) -> str:
    """Return a mean with its standard error, in bold where the tests do not tell it from the best."""
    estimates = analysis.estimates(metric)
    estimate = estimates[index]
    if estimate is None:
        return ""
    places = decimals(metric, [each.statistic for each in estimates if each])
    error = estimate.statistic.standard_error
    text = number(estimate.statistic.mean, places) + (f" ± {number(error, places)}" if error is not None else "")
    return f"**{text}**" if estimate.best or estimate.tied else text


# A page a task.


def configuration_of(task: str) -> str:
    """Return the configuration file of a board: of `cifar10n/worst` it is `cifar10`, of `minilm/clinc_oos` the last."""
    stems = [path.stem for path in ROOT.glob("configs/*.py")]
    return max((stem for stem in stems if any(part.startswith(stem) for part in task.split("/"))), key=len, default="")


def tasks(analyses: Sequence[Analysis], records: Sequence[Record]) -> dict[str, str]:
    """Return a page for each configuration file, and their list."""
    about = abouts(ROOT / "leaderboards", records)
    others = published.read(ROOT / "leaderboards")
    pages = {}
    for path in sorted(ROOT.glob("configs/*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        parts = [f"# {path.stem}", markdown(text)]
        for analysis in analyses:
            task = analysis.table.task
            if configuration_of(task) == path.stem:
                said = [escape(about[task])] if about[task] else []
                pictures = sorted((ROOT / "leaderboards" / safe(task)).glob("*.png"))
                shown = [f"![{path.stem} of {task}](../pictures/{safe(task)}/{path.name})" for path in pictures]
                parts += [f"## Results on {task}", *said, *shown, markdown_table(analysis), note([analysis])]
        for task in dict.fromkeys(entry["task"] for entry in others if configuration_of(entry["task"]) == path.stem):
            found = [entry for entry in others if entry["task"] == task]
            parts += [f"## Published on {task}", published.markdown_table(found)]
        parts += ["## Configuration", f"```python\n{path.read_text(encoding='utf-8')}```"]
        pages[f"tasks/{path.stem}.md"] = "\n\n".join(parts) + "\n"
    text = "A page a task: what its configuration file says, and the table of its records."
    return {**pages, "tasks/index.md": contents("Tasks", text, [Path(name).stem for name in pages])}


# Which method?


def which_method(analyses: Sequence[Analysis]) -> str:
    """Return the page that helps to choose: quality with tie groups, cost, and what a method needs, for each task."""
    changes = {path.stem: needs(path) for path in sorted(ROOT.glob("baselines/*.py"))}
    compared = [analysis for analysis in analyses if len({row.method for row in analysis.table.rows}) > 1]
    parts = [
        "# Which method should I use?",
        "Begin with what your errors cost. Is a wrong probability expensive, look at the calibrated loss; are unknown "
        "inputs, at the AUROC of OOD sets; can an example be handed to a person, at failure detection (AUGRC). Of "
        "what the tests do not tell from the best, take the cheapest. All of this page is generated from the records; "
        "[another order of costs](notebooks/choose_a_method.md) takes a few lines.",
        "## By family of tasks",
        "In how many tasks a method is the best or not told from it, of those in which it was measured; then the "
        "median of its costs, as below. Counts of few tasks are rough: the tables below have the numbers.",
        *by_family(compared, changes),
        "## In short",
        "The cheapest to predict with, of those that are the best or tied with it; and how many these are.",
        in_short(compared),
        "## By task",
        "**Bold** is the best and what the tests do not tell from it. Costs are beside the method that a row is "
        "compared with: how many times its training, its prediction and its parameters (FLOPs, or seconds where they "
        "were not counted). Then what the method changes.",
    ]
    for analysis in compared:
        table = analysis.table
        names, shown = labels(table.rows), criteria(table)
        head = ["method", "training", "prediction", "parameters", *(f"{metric}{arrow(metric)}" for metric in shown)]
        head += ["layers", "train step", "after training"]
        lines = [f"| {' | '.join(head)} |", "|---" + "|---:" * (len(shown) + 3) + "|---" * 3 + "|"]
        for index, row in enumerate(table.rows):
            costs = [times(relative_cost(analysis, index, *cost)) for cost in _COSTS]
            said = changes.get(row.method, {})
            what = [said.get(name, "—") for name in ("layers", "train step", "after training")]
            cells = [cell(analysis, metric, index) or "—" for metric in shown]
            lines.append(f"| {escape_markdown(title(names[index]))} | {' | '.join([*costs, *cells, *what])} |")
        parts += [f"### {table.task}", "\n".join(lines), f"{count(table)}. {note([analysis])}"]
    return "\n\n".join(parts) + "\n"


def by_family(analyses: Sequence[Analysis], changes: Mapping[str, dict[str, str]]) -> Iterator[str]:
    """Yield a table for tasks of classes, and one for tasks with targets: how often a method is best or tied."""
    families: dict[str, list[Analysis]] = {}
    for analysis in analyses:
        families.setdefault(analysis.table.likelihood.name, []).append(analysis)
    for family, found in families.items():
        tasks_of = ", ".join(analysis.table.task for analysis in found)
        shown = list(dict.fromkeys(metric for analysis in found for metric in criteria(analysis.table)))
        best: dict[str, dict[str, list[bool]]] = {}  # of each method and metric, for each task that has it
        costs: dict[str, list[list[float]]] = {}
        for analysis in found:
            for method in {row.method for row in analysis.table.rows} & changes.keys():
                mine = [index for index, row in enumerate(analysis.table.rows) if row.method == method]
                for metric in criteria(analysis.table):
                    if have := [one for index in mine if (one := analysis.estimates(metric)[index])]:
                        of_method = best.setdefault(method, {}).setdefault(metric, [])
                        of_method.append(any(one.best or one.tied for one in have))
                for values, group in zip(costs.setdefault(method, [[] for _ in _COSTS]), _COSTS):
                    ratios = [relative_cost(analysis, index, *group) for index in mine]
                    values += [ratio for ratio in ratios if ratio is not None]
        head = ["method", *(f"{metric}{arrow(metric)}" for metric in shown), "training", "prediction", "parameters"]
        lines = [f"| {' | '.join(head)} |", "|---" + "|---:" * (len(head) - 1) + "|"]
        for method in sorted(best):
            of_metrics = [best[method].get(metric) for metric in shown]
            cells = [f"{sum(each)} of {len(each)}" if each else "—" for each in of_metrics]
            cells += [times(statistics.median(each) if each else None) for each in costs[method]]
            lines.append(f"| {method} | {' | '.join(cells)} |")
        yield f"### {_FAMILIES_OF_TASKS.get(family, family)}"
        yield f"Of {tasks_of}."
        yield "\n".join(lines)


_FAMILIES_OF_TASKS = {"categorical": "Classes", "gaussian": "Targets"}  # by likelihood
_TO_PREDICT = ("prediction_flops_per_example", "milliseconds_per_example")
_COSTS = (("train_flops", "train_seconds"), _TO_PREDICT, ("num_parameters",))


def criteria(table: Table) -> list[str]:
    """Return what to choose by: the first headline metric, the loss, the loss under shift, OOD, failure detection."""
    calibrated, loss = table.inside(table.calibrated_loss), table.inside(table.loss)
    wanted = [*table.headline[:1], calibrated if calibrated in table.metrics else loss, f"shift/mean/{table.loss}"]
    return [
        metric
        for metric in table.metrics
        if metric in wanted or (metric.startswith(("ood/", "failure/")) and higher_is_better(metric) is not None)
    ]


def in_short(analyses: Sequence[Analysis]) -> str:
    """Return a table: of each task and criterion, the cheapest method of those that are not told from the best."""
    lines = ["| task | by | take | of tied | costs |", "|---|---|---|---:|---|"]
    for analysis in analyses:
        rows, names = analysis.table.rows, labels(analysis.table.rows)
        for metric in criteria(analysis.table):
            estimates = analysis.estimates(metric)
            tied = [index for index, one in enumerate(estimates) if one and (one.best or one.tied)]
            cost = next((cost for cost in _TO_PREDICT if all(rows[index].statistic(cost) for index in tied)), None)
            if not tied or cost is None:
                continue
            chosen = min(tied, key=lambda index: rows[index].statistic(cost).mean)
            value = number(rows[chosen].statistic(cost).mean, decimals(cost, [rows[chosen].statistic(cost)]))
            cells = [analysis.table.task, f"{metric}{arrow(metric)}", escape_markdown(title(names[chosen]))]
            lines.append(f"| {' | '.join(cells)} | {len(tied)} of {len(rows)} | {value} {cost} |")
    return "\n".join(lines)


def relative_cost(analysis: Analysis, index: int, *costs: str) -> float | None:
    """Return how many times the reference's cost a row has, by the first of some costs that both have."""
    reference = analysis.references[index]
    for cost in costs if reference is not None else ():
        mine, theirs = (analysis.table.rows[each].statistic(cost) for each in (index, reference))
        if mine and theirs and theirs.mean:
            return mine.mean / theirs.mean
    return None


def times(ratio: float | None) -> str:
    """Return a ratio with two digits."""
    if ratio is None:
        return "—"
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.2g}"


# A page a family of metrics.


def metric_families() -> dict[str, str]:
    """Return a page for each family of metrics, and their list."""
    pages = {}
    for module, name in FAMILIES.items():
        tree = ast.parse((ROOT / f"uncertainty_suite/metrics/{module}.py").read_text(encoding="utf-8"))
        parts = [f"# {name}", markdown(ast.get_docstring(tree) or "")]
        for metric_name in metrics.names():
            metric = metrics.info(metric_name)
            if metric.__module__.rpartition(".")[2] == module:
                direction = {True: "higher is better", False: "lower is better", None: "neither is better"}
                low, high = (f"{end:.4g}".replace("inf", "∞") for end in metric.value_range)
                facts = {
                    "value": f"`{metric.formula}`, from {low} to {high}",
                    "direction": direction[metric.higher_is_better],
                    "needs": ", ".join(metric.needs) or "the mean prediction alone",
                    "paper": escape(metric.paper),
                    "agrees with": escape(metric.agrees),
                }
                lines = [f"- *{what}:* {text}" for what, text in facts.items() if text]
                parts += [f"## {metric_name}", markdown(inspect.getdoc(metric) or ""), "\n".join(lines)]
        pages[f"metrics/{module}.md"] = "\n\n".join(parts) + "\n"
    text = "A page a family: where it fails, what each metric is, which direction is better, its options."
    return {**pages, "metrics/index.md": contents("Metric families", text, [Path(name).stem for name in pages])}


# The API, read without importing it.


def api() -> dict[str, str]:
    """Return a page for each part of the package that says what is public, and their list."""
    pages = {}
    for path in sorted(ROOT.glob("uncertainty_suite/**/*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        public = [name for name, _ in exported(tree)]
        if path.name == "__main__.py" or module == "uncertainty_suite":
            continue
        if path.parent.name != "uncertainty_suite" and path.name != "__init__.py":
            continue  # what is public of a package stands in its __init__
        parts = [f"# {module}", markdown(ast.get_docstring(tree) or "")]
        found = dict(definitions(tree, public))
        for name in public or [name for name in found if not name.startswith("_")]:
            if name in found:
                parts += entry(found[name])
        if len(parts) == 2:
            continue
        pages[f"api/{module.partition('.')[2]}.md"] = "\n\n".join(parts) + "\n"
    text = "What is public of each part of the package, by the docstrings."
    return {**pages, "api/index.md": contents("API", text, [Path(name).stem for name in pages])}


def exported(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Yield the names in a module's `__all__`."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=names)):
                yield from ((name.value, name) for name in names if isinstance(name, ast.Constant))


def definitions(tree: ast.Module, public: Sequence[str]) -> Iterator[tuple[str, ast.AST]]:
    """Yield the functions and classes of a module, and those public ones that it has from others of the package."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("uncertainty_suite."):
            below = ROOT.joinpath(*node.module.split("."))
            path = below / "__init__.py" if below.is_dir() else below.with_suffix(".py")
            wanted = {alias.name for alias in node.names} & set(public)
            if wanted:
                yield from ((n, d) for n, d in definitions(ast.parse(path.read_text()), []) if n in wanted)


def entry(node: ast.AST, owner: str = "") -> list[str]:
    """Return what a function or class is, as Markdown."""
    doc = markdown(ast.get_docstring(node) or "")
    if isinstance(node, ast.FunctionDef):
        arguments = ast.unparse(node.args)
        result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        heading = "###" if owner else "##"
        return [f"{heading} {owner}{node.name}", f"```python\n{node.name}({arguments}){result}\n```", doc]
    parts = [f"## {node.name}", doc]
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and ast.get_docstring(each) and not each.name.startswith("_"):
            parts += entry(each, f"{node.name}.")
        elif isinstance(each, ast.FunctionDef) and each.name == "__init__" and ast.get_docstring(each):
            parts[1:1] = [f"```python\n{node.name}({ast.unparse(each.args).removeprefix('self, ')})\n```"]
            parts.append(markdown(ast.get_docstring(each) or ""))
    return parts


# Docstrings as Markdown.


def escape(text: str) -> str:
    """Return a text in which nothing outside of code is taken for markup."""
    return "".join(
        part if part.startswith("`") else re.sub(r"([<*_|\[\]#])", r"\\\1", part) for part in _CODE.split(text)
    )


def markdown(doc: str) -> str:
    """Return a docstring as Markdown: arguments as a list, examples and indented commands as code."""
    lines, out, section = doc.splitlines(), [], ""
    block: list[str] = []

    def end_block() -> None:
        while block and not block[-1].strip():
            block.pop()
        if block:
            out.extend(
                ["", "```python" if ">>>" in block[0] else "```text", *textwrap.dedent("\n".join(block)).split("\n")]
            )
            out.extend(["```", ""])
            block.clear()

    for line in lines:
        indented = line.startswith("    ")
        if line in _SECTIONS:
            end_block()
            section = line.rstrip(":")
            out += ["", f"**{section}**", ""]
        elif section and line and not indented:
            end_block()
            section = ""
            out += ["", escape(line)]
        elif section.startswith("Example") or (not section and (indented or (block and not line.strip()))):
            block.append(line)
        elif section:
            text = line[4:]
            name, colon, rest = text.partition(": ")
            if text and not text.startswith(" ") and colon and re.fullmatch(r"[\w*, ]+", name):
                out.append(f"- `{name}`: {escape(rest)}")
            elif text and not text.startswith(" ") and text.endswith(":") and re.fullmatch(r"[\w*, ]+:", text):
                out.append(f"- `{text[:-1]}`:")
            else:
                out.append(("  " if text and out and out[-1].startswith(("- ", "  ")) else "") + escape(text.strip()))
        else:
            end_block()
            out.append(re.sub(r"^\\?- ", "- ", escape(line)))
    end_block()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip()


if __name__ == "__main__":
    sys.exit(main())
