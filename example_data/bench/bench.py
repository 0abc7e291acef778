"""Measure what the commands cost, as CSV, and compare with an earlier version.

Run as ``make bench [QUICK=1] [ROWS="fit_ec md"] [AGAINST=FILE.csv|REF] [REPEATS=N] [PROFILE=1]``. Each row
is a process of its own; what it reads is made before, unmeasured, and kept in the work folder.
``AGAINST=REF`` checks that commit out and runs both versions alternately. The work folder of a version that
was changed and not committed is made anew, as its artefacts may be those of another change.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench_data import files
from bench_process import CHILD, Cost, RowError, Tree, fresh, machine, shares, tree_here, tree_of
from bench_rows import LM, ONLY, RECIPES, SIZES, TIMESTEP, Row, Size, chosen, forecast, limit_flops, needs
from bench_table import Result, compare, read, write

ROOT = Path(__file__).resolve().parents[2]
SHORT = 10.0  # seconds; rows that take less are measured three times, of which the least counts
NAMES = {"cholesky": "dense Cholesky", "copies": "JᵀJ and its factor", "forces": "JᵀJ and its factor"}


@dataclass
class Bench:
    """One version with its data: makes artefacts, measures rows."""

    tree: Tree
    size: Size
    paths: dict[str, Path]
    say: Callable[[str], None] = print
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where its artefacts are."""
        return self.tree.work / self.size.name

    def words(self, text: str, **more: str) -> list[str]:
        """Return the words of a command, names in braces filled in."""
        made = {name: self.folder / f"{name}.h5" for name in RECIPES}
        values = made | self.paths | {k: str(v) for k, v in vars(self.size).items()} | {"child": CHILD} | more
        steps = str(self.size.iterations[-1])
        words: list[str] = []
        for word in text.split():
            if word.startswith("?"):
                if not self.tree.knows(word[1:].split("=")[0]):
                    words.pop()
                    continue
                word = word[1:]
            words.append(word.format(**({"steps": steps} | values)))
        return words

    def make(self, name: str) -> None:
        """Make an artefact that is not there."""
        output = self.folder / f"{name}.h5"
        if not output.exists():
            self.say(f"  {self.tree.commit}: makes {name}")
            self.tree.run([*self.words(RECIPES[name]), "-o", str(output)])

    def once(self, row: Row, words: list[str], *, profile: Path | None = None) -> Cost:
        """Run a row in an empty folder; what it writes becomes the artefact of its name."""
        place = fresh(self.folder / "row")
        output = place / "out.h5"
        takes_output = words[0] not in ("show", "--help") and not words[0].endswith(".py")
        cost = self.tree.run(
            [*words, *(["-o", str(output)] if takes_output else [])], row.threads, profile=profile
        )
        if row.output:
            output.replace(self.folder / f"{row.output}.h5")
        return cost

    def difference(self, row: Row, text: str, counts: tuple[int, int]) -> Cost:
        """Return the cost of one iteration or step: of two runs, the difference over that of their counts."""
        low, high = (self.once(row, self._counted(row, text, n)) for n in counts)
        if high.cpu <= low.cpu:
            raise RowError(
                f"{counts[1]} took {high.cpu:.3g} s, not more than {counts[0]} ({low.cpu:.3g} s): "
                "the machine is too busy, or something was compiled; run it again"
            )
        n = counts[1] - counts[0]
        return Cost((high.cpu - low.cpu) / n, (high.wall - low.wall) / n, high.mib)

    def _counted(self, row: Row, text: str, n: int) -> list[str]:
        if row.iterations:
            return self.words(f"{text} --set {LM}={n} {ONLY}")
        counted = {"%N%": str(n), "%FS%": f"{TIMESTEP:g}", "%PS%": f"{1e-3 * TIMESTEP * n:.7f}"}
        for sign, value in counted.items():
            text = text.replace(sign, value)
        return self.words(text)

    def errors(self, row: Row) -> dict[str, float]:
        """Return the errors on the test set of the model that a row made."""
        if not row.split:
            return {}
        output = self.folder / "row" / "metrics.h5"
        command = f"evaluate {{{row.split}}} {{{row.output}}} --set plots=false --set sigma=none"
        self.tree.run([*self.words(command), "-o", str(output)])
        found = json.loads(output.with_suffix(".json").read_text(encoding="utf-8"))
        total = next(iter(found.values()))
        total = total.get("total", total)
        return {
            "energy_mae_mev": 1000 * total["energy_mae"],
            "force_norm_mae": total["force_norm_mae"],
            "force_component_mae": total["force_component_mae"],
        }

    def measure(self, row: Row, repeats: int) -> Result:
        """Measure a row; where it cannot run, the result says why."""
        result = Result(row.name, row.about, self.size.name, self.tree.commit, threads=row.threads)
        try:
            self._measure(row, result, repeats)
            self._limit(row, result)
        except RowError as error:
            result.note = f"cannot: {error}"
        return replace(result, **self.facts)  # type: ignore[arg-type]

    def _measure(self, row: Row, result: Result, repeats: int) -> None:
        text = row.words
        for name in needs(text):
            self.make(name)
        if row.md and not self.tree.has_command("md"):
            text, result.note = row.without_md, "by ASE, there being no command md"
        costs: list[Cost] = []
        if row.iterations or row.md:
            counts = row.iterations or (self.size.md_steps if row.md == "small" else self.size.md_steps_large)
            result.unit = "step" if row.md else "iteration"
            costs = [self.difference(row, text, counts) for _ in range(repeats or 1)]
        elif row.ladder:
            costs = [self._climb(row, text, result)]
        else:
            costs = [self.once(row, self.words(text))]
            while len(costs) < (repeats or (3 if costs[0].cpu < SHORT else 1)):
                costs.append(self.once(row, self.words(text)))
            vars(result).update(self.errors(row))
        result.repeats = len(costs)
        result.cpu_s, result.wall_s = min(c.cpu for c in costs), min(c.wall for c in costs)
        result.peak_mib = max(c.mib for c in costs)

    def _climb(self, row: Row, text: str, result: Result) -> Cost:
        """Train longer and longer until the stated errors are reached; return the cost of that training."""
        for n in self.size.iterations:
            cost = self.once(row, self.words(f"{text} --set {LM}={n} {ONLY}"))
            found = self.errors(row)
            reached = row.target is None or (
                found["energy_mae_mev"] <= row.target[0] and found["force_norm_mae"] <= row.target[1]
            )
            if reached:
                break
        vars(result).update(found)
        if self.size.published and row.target:
            goal = f"{row.target[0]} meV / {row.target[1]} eV/Å"
            result.note = f"{goal} {'reached' if reached else 'not reached'} with {n} iterations"
        return cost

    def _limit(self, row: Row, result: Result) -> None:
        weights, steps, members = 0, 1.0, 1
        if row.limit in ("copies", "forces"):
            path = str(self.folder / f"{row.output}.h5")
            printed = self.tree.output([sys.executable, str(CHILD), "size", path]).split()
            weights, steps, members = int(printed[0]), float(printed[1]), int(printed[2])
            steps = 1.0 if row.iterations else steps
        flops = limit_flops(row, self.size, weights, steps, members)
        if flops and result.cpu_s and "dgemm_gflops" in self.facts:
            result.limit = NAMES[row.limit]
            result.limit_s = flops / (1e9 * float(self.facts["dgemm_gflops"]))
            result.of_limit = result.limit_s / result.cpu_s

    def profile(self, row: Row) -> list[str]:
        """Return where the time of a row goes, measured by cProfile in another run."""
        counts = row.iterations or (self.size.md_steps if row.md == "small" else self.size.md_steps_large)
        try:
            text = row.without_md if row.md and not self.tree.has_command("md") else row.words
            words = self._counted(row, text, counts[1]) if row.iterations or row.md else self.words(text)
            path = self.folder / "profile"
            self.once(row, words, profile=path)
            return [f"{row.name}: {row.about}", *(f"  {line}" for line in shares(path)), ""]
        except RowError as error:
            return [f"{row.name}: cannot: {error}", ""]


def bench_of(tree: Tree, size: Size, data: Path) -> Bench:
    """Return a version ready to be measured; its folder is emptied where the commands are others now."""
    folder = tree.work / size.name
    stamp, made_by = folder / "made_by", f"{size}\n{RECIPES}"
    if tree.commit.endswith("-dirty") or not stamp.exists() or stamp.read_text(encoding="utf-8") != made_by:
        fresh(folder)
        stamp.write_text(made_by, encoding="utf-8")
    try:
        return Bench(tree, size, files(size, data / size.name, tree))
    except RowError as error:
        raise SystemExit(
            f"data of {size.name}: {error}; name a folder with the published sets (AENET_GPR_DATA=FOLDER), "
            "or take the embedded ones (QUICK=1)"
        ) from None


def warm(bench: Bench, rows: list[Row]) -> None:
    """Run the rows on a handful of structures, so that nothing is compiled while time is taken."""
    tiny = bench_of(bench.tree, SIZES["tiny"], bench.tree.work / "data")
    tiny.say = lambda _: None
    for row in rows:
        if "tiny" in row.sizes:
            tiny.measure(row, 1)


def line_of(result: Result) -> str:
    """Return a result as it is shown while the benchmark runs."""
    if result.cpu_s is None:
        return f"{result.row:<20} {result.note}"
    errors = (
        ""
        if result.energy_mae_mev is None
        else (f", {result.energy_mae_mev:.2f} meV, {result.force_norm_mae:.4f} eV/Å")
    )
    limit = "" if result.of_limit is None else f", {result.of_limit:.2f} of the limit ({result.limit})"
    note = f" ({result.note})" if result.note else ""
    return (
        f"{result.row:<20} {result.cpu_s:.4g} s CPU, {result.wall_s:.4g} s wall a {result.unit}, "
        f"{result.peak_mib:.0f} MiB{errors}{limit}{note}"
    )


def main() -> None:
    """Measure, write and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="embedded data, minutes; default: published sets"
    )
    parser.add_argument("--rows", default="", help="names of rows, or their beginnings; default: all")
    parser.add_argument("--against", default="", help="an earlier table (CSV), or a git reference")
    parser.add_argument("--repeats", type=int, default=0, help="of each row; default: 3 of the short ones")
    parser.add_argument(
        "--profile", action="store_true", help="say where the time goes, in another run of each"
    )
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=Path("runs") / "bench")
    options = parser.parse_args()
    size = SIZES["tiny" if options.tiny else "quick" if options.quick else "full"]
    rows, folder = chosen(options.rows, size.name), options.output.resolve()
    table = options.against if options.against.endswith(".csv") else ""
    earlier = read(Path(table)) if table else []
    trees = [tree_here(ROOT, folder / "work")]
    if options.against and not table:
        trees.append(tree_of(options.against, ROOT, folder / "work"))
    each = forecast(rows, size.name) * (2 if options.profile else 1) + (
        0 if options.tiny else 8.0 * len(rows)
    )
    minutes = each * len(trees) / 60  # eight seconds a row: the run that warms
    names = ", ".join(tree.commit for tree in trees)
    print(f"{len(rows)} rows of {names}: about {minutes:.0f} min on a quiet core", flush=True)
    if len(trees) > 1:
        print(f"(an earlier version may take longer; its work tree stays in {trees[1].source})")
    benches = [bench_of(tree, size, folder / "work" / "data") for tree in trees]
    facts, start = machine(trees[0]), time.perf_counter()
    rate = facts["dgemm_gflops"]
    print(
        f"{facts['cpu_model']}, {facts['cores']} cores, load {facts['load']}, dgemm {rate} GF/s", flush=True
    )
    results: list[list[Result]] = [[] for _ in benches]
    tag = "" if size.published else f"_{size.name}"
    for bench in benches:
        bench.facts = facts
        if not options.tiny:
            warm(bench, rows)
    for k, row in enumerate(rows):
        for bench, found in zip(benches, results):
            found.append(bench.measure(row, options.repeats))
            clock = f"{(time.perf_counter() - start) / 60:5.1f} min"
            print(f"[{k + 1}/{len(rows)} {clock}] {bench.tree.commit:<15} {line_of(found[-1])}", flush=True)
            write(folder / f"{bench.tree.commit}{tag}.csv", found)
            if options.profile:
                path = folder / f"{bench.tree.commit}{tag}_profile.txt"
                with path.open("w" if k == 0 else "a", encoding="utf-8") as file:
                    file.write("\n".join([*bench.profile(row), ""]))
    print("\n".join(f"wrote {folder / (tree.commit + tag)}.csv" for tree in trees))
    if len(results) > 1:
        earlier = results[1]
    if earlier:
        print("\n".join(compare(earlier, results[0])))
    if any(result.cpu_s is None for result in results[0]):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
