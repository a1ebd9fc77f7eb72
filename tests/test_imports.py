from benchmarks.imports import pairs_of_modules, row, summarise


def test_imports_are_counted_once_between_folders_and_cycles_are_found():
    modules = {("p.a.x", "p.b.y"), ("p.a.z", "p.b.y"), ("p.b.y", "p.c"), ("p.c", "p.a.x"), ("p.a.x", "p.a.z")}
    found = summarise(modules, "p")
    assert (found.names, len(found.pairs), found.cycles) == (["a", "b", "c"], 3, [["a", "b", "c"]])
    assert row("folders", found) == "| folders | 3 | 3 | a, b, c |"
    assert summarise({("p.a.x", "p.b.y")}, "p").cycles == []


def test_no_modules_and_no_folders_of_rtsmap_import_one_another_in_a_circle():
    modules = pairs_of_modules("rtsmap")
    assert len(summarise(modules).pairs) > 500
    assert summarise(modules).cycles == summarise(modules, "rtsmap").cycles == []
    assert summarise(modules, "rtsmap.simulate").cycles == []
