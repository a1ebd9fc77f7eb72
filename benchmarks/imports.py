"""Counts the imports between the modules and folders of rtsmap, and finds cycles among them.

    python -m benchmarks.imports

An import counts once for each pair of modules or folders; imports within a folder do not count between folders, and
imports for type checkers alone do not count.
"""

from collections.abc import Iterable
from typing import NamedTuple

import grimp
import numpy as np
from scipy.sparse.csgraph import connected_components

Pair = tuple[str, str]


class Imports(NamedTuple):
    """Names, pairs (importing, imported), and the groups of names that import one another in a circle."""

    names: list[str]
    pairs: set[Pair]
    cycles: list[list[str]]


def main() -> None:
    modules = pairs_of_modules("rtsmap")
    print("| between | count | imports | cycles |\n|---|---|---|---|")
    for title, package in (("modules of `rtsmap`", None), ("folders and modules at the top", "rtsmap")):
        print(row(title, summarise(modules, package)))
    print(row("folders and modules of `rtsmap.simulate`", summarise(modules, "rtsmap.simulate")))


def pairs_of_modules(package: str) -> set[Pair]:
    """Every import of one module of the package by another."""
    graph = grimp.build_graph(package, exclude_type_checking_imports=True)
    return {(name, other) for name in graph.modules for other in graph.find_modules_directly_imported_by(name)}


def summarise(modules: set[Pair], package: str | None = None) -> Imports:
    """The imports between what lies directly in a package; between all modules without one."""
    pairs = {(_child(first, package), _child(second, package)) for first, second in modules}
    between = {(first, second) for first, second in pairs if first and second and first != second}
    names = sorted({name for pair in pairs for name in pair if name})
    return Imports(names, between, list(_cycles(names, between)))


def row(title: str, found: Imports) -> str:
    """One line of the table in Markdown."""
    cycles = "; ".join(", ".join(cycle) for cycle in found.cycles) or "none"
    return f"| {title} | {len(found.names)} | {len(found.pairs)} | {cycles} |"


def _child(module: str, package: str | None) -> str:
    if package is None:
        return module
    return module.removeprefix(f"{package}.").partition(".")[0] if module.startswith(f"{package}.") else ""


def _cycles(names: list[str], pairs: Iterable[Pair]) -> Iterable[list[str]]:
    matrix = np.zeros((len(names), len(names)), dtype=bool)
    for first, second in pairs:
        matrix[names.index(first), names.index(second)] = True
    count, groups = connected_components(matrix, connection="strong")
    for group in range(count):
        if (groups == group).sum() > 1:
            yield [name for name, of in zip(names, groups, strict=True) if of == group]


if __name__ == "__main__":
    main()
