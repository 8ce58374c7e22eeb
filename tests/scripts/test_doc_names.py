"""Names in backticks in the docs exist: files, functions, structs, keys, options, scripts. And docs/architecture.md, the map
of the code, has every source file.

usage: test_doc_names.py SOURCE_FOLDER
"""

import fnmatch
import os
import re
import sys
import unittest
from pathlib import Path

SOURCE = Path(sys.argv.pop(1)).resolve()
DOCS = [SOURCE / "README.md", SOURCE / "CONTRIBUTING.md", *sorted((SOURCE / "docs").glob("*.md"))]
CODE = ("src", "include", "examples", "cuda", "proto", "tests", "scripts", "cmake", "configs", ".ci")
TEXT = {"", ".c", ".h", ".cu", ".cuh", ".cpp", ".py", ".sh", ".bash", ".ini", ".txt", ".cmake", ".proto", ".js", ".html", ".css"}
RUN_ENDINGS = r"\.(csv|onnx|safetensors|npz|html|svg|png)$"
FILE_ENDINGS = r"\.(c|h|cu|cuh|cpp|py|sh|bash|ini|cmake|proto|md|js|clang-\w+)$"

# Names that belong to others, by the program or format that they are from.
OF_OTHERS = {
    "PyTorch": {"nn.Sequential", "nn.Flatten", "clip_grad_norm_", "label_smoothing", "state_dict", "torch.compile",
                "model.parameters", "T_max", "total_iters"},
    "files of CIFAR-10 and CIFAR-100": {"data_batch_1.bin", "train.bin", "test.bin"},
    "Pillow": {"BILINEAR"},
    "Docker": {"--cpus"},
    "SLURM": {"--requeue"},
    "environment variables and files of the system": {"NO_COLOR", "LC_ALL", "LC_CTYPE", "LANG", "TERM=dumb", "TMPDIR", "PREFIX"},
}


def tracked():
    """Paths below the source folder, without what building and running leave there."""
    for folder, folders, files in os.walk(SOURCE):
        if Path(folder) == SOURCE:
            folders[:] = [name for name in folders if name in CODE or name == "docs"]
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in files + folders:
            yield str(Path(folder, name).relative_to(SOURCE))


PATHS = sorted(tracked())


def code_text():
    """All source text, without this file, which names what does not exist."""
    texts = []
    for path in PATHS:
        file = SOURCE / path
        known = path.split("/")[0] in CODE or path in ("CMakeLists.txt", ".clang-tidy", ".clang-format")
        if known and file.is_file() and file.suffix in TEXT and file.name != Path(__file__).name:
            texts.append(file.read_text(errors="replace"))
    return "\n".join(texts)


TEXTS = code_text()
STEMS = {Path(path).stem for path in PATHS}
WORDS = set(re.findall(r"\w+", TEXTS)) | STEMS | {stem.removeprefix("fuzz_") for stem in STEMS}
KEYS = set(re.findall(r"^- `([a-z]+\.\w+)`", "\n".join(p.read_text() for p in (SOURCE / "docs/reference").glob("config-*.md")),
                      re.MULTILINE))
SECTIONS = {key.split(".")[0] for key in KEYS}


def pattern_of(name):
    """A name with <placeholders> as a pattern."""
    return re.sub(r"<[^>]*>", "*", name)


def is_path(name):
    pattern = pattern_of(name.strip("./") if name.startswith("./") else name.rstrip("/"))
    return any(fnmatch.fnmatch(path, pattern) or fnmatch.fnmatch(path, "*/" + pattern) for path in PATHS)


def is_word(name):
    pattern = pattern_of(name)
    return name in WORDS if "*" not in pattern else bool(fnmatch.filter(WORDS, pattern))


def looks_like_key(name):
    return re.fullmatch(r"[a-z]+\.[a-z]\w*", name) and name.split(".")[0] in SECTIONS


def judge_path(name):
    first = name.removeprefix("./").split("/")[0]
    if "NAME" in name or first.startswith("build-"):
        return True
    in_tree = (SOURCE / first).exists() and first not in ("build", "runs", "data")
    if re.search(FILE_ENDINGS, name) or in_tree:
        return is_path(name) or name in TEXTS
    return True  # a path of somebody's machine or of a run


def judge(name):
    """Whether the name exists; True too for a name that does not look like code."""
    if any(name in names for names in OF_OTHERS.values()):
        return True
    if re.fullmatch(r"--[a-z][a-z-]*", name):
        return name in TEXTS or f'"{name[2:]}"' in TEXTS
    if re.fullmatch(r"(struct|enum) \w+", name):
        return re.search(rf"\b{name} *{{", TEXTS) is not None
    if looks_like_key(name) and not re.search(f"{FILE_ENDINGS}|{RUN_ENDINGS}", name):
        return name in KEYS
    if re.fullmatch(r"[\w.<>*-]+(/[\w.<>*-]*)+|[\w<>*-]+\.[a-z-]+", name):
        return judge_path(name)
    if re.fullmatch(r"[A-Za-z_<>*][\w<>*]*", name) and ("_" in name or "*" in name):
        return is_word(name)
    return True


def names_of(span):
    """The names in a code span: `key = value`, `--option VALUE`, `command --option` and `f(x)` hold several."""
    for part in re.split(r"[\s,=()\[\]]+", span if not re.match(r"(struct|enum) ", span) else ""):
        yield part.strip("\"'`;:")
    if re.match(r"(struct|enum) ", span):
        yield span


def spans(path):
    """(line number, code span) of a page, without its code blocks."""
    text = re.sub(r"^```.*?^```$|^    [^\n]*$", lambda block: "\n" * block[0].count("\n"), path.read_text(), flags=re.M | re.S)
    for found in re.finditer(r"`([^`]+)`", text):
        yield text.count("\n", 0, found.start()) + 1, re.sub(r"\s+", " ", found[1])


class Names(unittest.TestCase):
    def test_names_in_the_docs_exist(self):
        missing = [f"{path.relative_to(SOURCE)}:{line}: `{span}`: no {name} in the code or the tree"
                   for path in DOCS for line, span in spans(path) for name in names_of(span) if not judge(name)]
        self.assertEqual(missing, [], "\n" + "\n".join(missing))

    def test_invented_names_are_found(self):
        for name in ("transpose_the_filter", "docs/nowhere.md", "cpu_nothing.c", "model.nothing", "--no-such-option",
                     "struct nothing", "nowhere_*", "scripts/nothing", "lair_<kind>.c"):
            self.assertFalse(judge(name), name)
        for name in ("tensor_write", "docs/reference/", "cpu_pool.c", "model.kind", "--set", "struct shape", "conv2d_*",
                     "scripts/test", "layer_<kind>.c", "runs/quickstart"):
            self.assertTrue(judge(name), name)

    def test_the_map_has_every_source_file(self):
        page = SOURCE / "docs/architecture.md"
        shown = {pattern_of(name) for _, span in spans(page) for name in names_of(span) if re.search(r"\w.*\.cu?$", name)}
        files = [path for path in PATHS if re.match(r"(src|cuda)/.*\.(c|cu)$", path)]
        lost = [path for path in files if not any(
            fnmatch.fnmatch(path, name) or fnmatch.fnmatch(os.path.basename(path), name) for name in shown)]
        self.assertEqual(lost, [], "docs/architecture.md, Layout, does not say what these hold:\n" + "\n".join(lost))

    def test_the_table_of_fuzz_targets_has_each_one(self):
        page = (SOURCE / "docs/reliability.md").read_text()
        rows = re.findall(r"^\| `(\w+)` \| .+ \| ([\d,]+) \|$", page, flags=re.M)
        targets = {path.stem.removeprefix("fuzz_") for path in (SOURCE / "tests/fuzz").glob("fuzz_*.c")}
        self.assertEqual({name for name, _ in rows}, targets)
        total = re.search(r"^\| all \| \| ([\d,]+) \|$", page, flags=re.M)[1]
        self.assertEqual(sum(int(count.replace(",", "")) for _, count in rows), int(total.replace(",", "")))


if __name__ == "__main__":
    unittest.main()
