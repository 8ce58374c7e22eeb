"""A folder of src/ includes headers of the folders below it only. The order is the line with arrows in docs/architecture.md.

usage: test_directions.py SOURCE_FOLDER
"""

import re
import sys
import unittest
from pathlib import Path

SOURCE = Path(sys.argv.pop(1)).resolve()
PAGE = SOURCE / "docs/architecture.md"

# Files that may include a folder above their own: (file, folder).
EXCEPTIONS = {
    ("src/backend/prepared.h", "program"),  # a program that is ready to run on a backend
    ("src/backend/cpu/shared/cpu_rewrite.c", "program"),  # a backend's passes over a program
}


def levels():
    """The level of each folder, from the page."""
    line = next(line for line in PAGE.read_text().splitlines() if line.startswith("util  <-"))
    return {name.strip(): level for level, names in enumerate(line.split("<-")) for name in names.split(",")}


def sources():
    """(path, its folder) of each file of C in src/, and of each public header: those belong to the library's interface."""
    for path in sorted(SOURCE.glob("src/*/**/*.[ch]")):
        yield path, path.relative_to(SOURCE).parts[1]
    for path in sorted(SOURCE.glob("include/trainer/*.h")):
        yield path, "library"


def included(path):
    """The folders whose headers a file includes."""
    for name in re.findall(r'^#include ["<]([^">]+)[">]', path.read_text(), re.MULTILINE):
        if name.startswith("trainer/"):
            yield name, "library"
        elif (SOURCE / "src" / name).exists():
            yield name, name.split("/")[0]


def wrong_way(path, folder, other, level):
    shown = str(path.relative_to(SOURCE))
    return other != folder and level[other] >= level[folder] and (shown, other) not in EXCEPTIONS


class Directions(unittest.TestCase):
    def test_every_folder_has_a_level(self):
        folders = {path.name for path in (SOURCE / "src").iterdir() if path.is_dir()}
        self.assertEqual(folders - set(levels()), set(), "docs/architecture.md, the line with arrows, lacks these")
        self.assertEqual(set(levels()) - folders - {"main"}, set(), "src/ lacks these")

    def test_includes_point_downwards(self):
        level = levels()
        found = [f"{path.relative_to(SOURCE)} ({folder}) includes {name} ({other})"
                 for path, folder in sources() for name, other in included(path)
                 if wrong_way(path, folder, other, level)]
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_exceptions_are_needed(self):
        level = levels()
        used = {(str(path.relative_to(SOURCE)), other) for path, folder in sources()
                for _, other in included(path) if other != folder and level[other] >= level[folder]}
        self.assertEqual(EXCEPTIONS - used, set())

    def test_public_headers_include_public_ones_only(self):
        self.assertEqual([name for path in SOURCE.glob("include/trainer/*.h") for name, folder in included(path)
                          if folder != "library"], [])

    def test_an_upward_include_is_found(self):
        self.assertTrue(wrong_way(SOURCE / "src/util/memory.c", "util", "cli", levels()))
        self.assertFalse(wrong_way(SOURCE / "src/cli/cli.c", "cli", "util", levels()))


if __name__ == "__main__":
    unittest.main()
