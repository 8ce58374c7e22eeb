"""The machine code of the CUDA kernels: tensors are stored 16 bytes at a time, nothing lies in local memory, registers fit
the launch bounds, and no kernel grows unnoticed. It takes cuobjdump, from the CUDA toolkit or Python's nvidia packages.

usage: test_cuda_code.py [--table] [--arch sm_90] OBJECT...

--table prints a line per kernel instead of testing. An object is what nvcc made of a .cu file: a cubin or an object file.
"""

import argparse
import collections
import re
import shutil
import subprocess
import sys
from pathlib import Path

SKIPPED = 77
REGISTERS = 65536       # of a multiprocessor
USUAL_THREADS = 256     # of a block without launch bounds: CUDA_BLOCK_SIZE

# A kernel is held to the first row that its name, or file/name, matches: at least that many stores of 16 bytes, at most that many smaller
# ones (sums and statistics per channel, taps of a pool, the last elements of a tensor), at most that many instructions.
# The limits are a sixth above what nvcc 13.0 made for sm_90. ROWS stands for the rows that a thread keeps.
ROWS = "rows"
RULES = [
    (r"resident_backward_kernel<\w+, [48], (?P<rows>\d), fusion<0, false>", ROWS, 3, 1950),
    (r"resident_backward_kernel<\w+, [48], (?P<rows>\d), fusion<1, false>", ROWS, 3, 2600),
    (r"resident_backward_kernel<\w+, [48], (?P<rows>\d), fusion<1, true>", ROWS, 3, 4750),
    (r"resident_backward_kernel<\w+, [48], (?P<rows>\d), fusion<2", ROWS, 3, 6450),
    (r"resident_backward_kernel<\w+, [48], (?P<rows>\d), fusion<3, false>", ROWS, 3, 6350),
    (r"resident_backward_kernel<\w+, [48], (?P<rows>\d), fusion<3, true>", ROWS, 3, 8450),
    (r"resident_backward_kernel<\w+, [48], (?P<rows>\d), fusion<5", ROWS, 3, 4850),
    (r"resident_backward_kernel<\w+, [48], (?P<rows>\d), fusion<6", ROWS, 3, 3000),
    (r"resident_backward_kernel<\w+, 1, \d, fusion<6", 0, 19, 1500),
    (r"resident_backward_kernel<\w+, 1,", 0, 11, 3850),
    (r"resident_forward_kernel<\w+, [48], (?P<rows>\d), fusion<[01], false>", ROWS, 4, 2400),
    (r"resident_forward_kernel<\w+, [48], (?P<rows>\d), fusion<[23], false>", ROWS, 4, 5900),
    (r"resident_forward_kernel<\w+, [48], \d, fusion<\d, true>", 1, 5, 2650),
    (r"resident_forward_kernel<\w+, [48], (?P<rows>\d), fusion<5, false>", ROWS, 4, 4950),
    (r"resident_forward_kernel<\w+, [48], (?P<rows>\d), fusion<6, false>", ROWS, 4, 2750),
    (r"resident_forward_kernel<\w+, 1,", 0, 12, 2500),
    (r"gradient_kernel<\w+, [48], fusion<[01], false>", 4, 0, 950),
    (r"gradient_kernel<\w+, [48], fusion<1, true>", 4, 0, 2100),
    (r"gradient_kernel<\w+, [48], fusion<2", 4, 0, 2900),
    (r"gradient_kernel<\w+, [48], fusion<3", 4, 0, 3950),
    (r"gradient_kernel<\w+, [48], fusion<5", 4, 0, 1900),
    (r"gradient_kernel<\w+, [48], fusion<6", 4, 0, 1150),
    (r"gradient_sums_kernel<\w+, [48], fusion<6", 4, 6, 1500),
    (r"gradient_sums_kernel<\w+, [48], fusion<5", 0, 6, 2250),
    (r"gradient_sums_kernel<\w+, [48], fusion<[01]", 0, 6, 2450),
    (r"gradient_sums_kernel<\w+, [48], fusion<2", 0, 6, 3300),
    (r"gradient_sums_kernel<\w+, [48], fusion<3", 0, 6, 4300),
    (r"normalize_kernel<\w+, [48], \w+, fusion<[01]", 4, 0, 450),
    (r"normalize_kernel<\w+, [48], \w+, fusion<5", 4, 0, 1600),
    (r"normalize_kernel<\w+, [48], \w+, fusion<6", 4, 0, 600),
    (r"normalize_kernel<\w+, [48], \w+, fusion<[23]", 4, 0, 2050),
    (r"pool_kernel<\w+, [48],", 1, 1, 850),
    (r"activation(_backward)?_kernel<", 1, 1, 460),
    (r"elementwise_kernel<", 1, 6, 1150),
    (r"convert_kernel<", 1, 1, 80),
    (r"bias_kernel<\w+, [48], \w+>", 4, 0, 260),
    (r"max_kernel<\w+, [48],", 1, 1, 430),
    (r"(average|gradient|mean|spread)_kernel<\w+, [48]\b", 1, 0, 490),
    (r"update_kernel<", 1, 12, 1100),
    (r"cuda_optimizer/average_kernel$", 1, 1, 470),
    (r"stage_kernel$", 0, 40, 5350),
    (r"", 0, 40, 2000),
]


def find_cuobjdump():
    found = shutil.which("cuobjdump") or shutil.which("cuobjdump", path="/usr/local/cuda/bin")
    nvcc = shutil.which("nvcc")
    if not found and nvcc:
        found = shutil.which("cuobjdump", path=str(Path(nvcc).resolve().parent))
    if not found:
        try:
            import nvidia
            found = next((str(path) for folder in nvidia.__path__ for path in Path(folder).glob("cu*/bin/cuobjdump")), None)
        except ImportError:
            pass
    return found


def readable(names):
    """The names as in the source, without their parameters: resident_forward_kernel<bf16, 8, 8, fusion<1, false>>."""
    lines = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout.split("\n")
    for name, line in zip(names, lines):
        line = re.sub(r"^void ", "", line).replace("(anonymous namespace)::", "")
        line = re.sub(r"\((?:fused|bool|activation|pool|int)\)(\w+)", r"\1", line).replace("__nv_bfloat16", "bf16")
        yield name, re.sub(r"\(.*$", "", line).replace(" >", ">")


def dump(tool, option, arch, path):
    result = subprocess.run([tool, "-arch", arch, option, path], capture_output=True, text=True)
    return result.stdout.split("\n")


class Kernel:
    def __init__(self):
        self.registers, self.stack, self.threads, self.instructions = 0, 0, USUAL_THREADS, 0
        self.stores, self.local = collections.Counter(), 0

    def count(self, opcode):
        parts = opcode.split(".")
        self.instructions += parts[0] != "NOP"
        self.local += parts[0] in ("LDL", "STL")
        if parts[0] == "STG":
            self.stores["128" if "128" in parts else "less"] += 1


def read_object(tool, arch, path):
    """The kernels of a file, by their names."""
    kernels, kernel = collections.defaultdict(Kernel), None
    for line in dump(tool, "-sass", arch, path):
        if found := re.search(r"Function : (\S+)", line):
            kernel = kernels[found[1]]
        elif found := re.match(r"\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?\w+ )?([A-Z][\w.]*)", line):
            kernel.count(found[1])
    name = None
    for line in dump(tool, "-res-usage", arch, path):
        if found := re.match(r"\s*Function (\S+):", line):
            name = found[1]
        elif found := re.search(r"REG:(\d+) STACK:(\d+)", line):
            if name in kernels:
                kernels[name].registers, kernels[name].stack = int(found[1]), int(found[2])
    name, bounds = None, False
    for line in dump(tool, "-elf", arch, path):
        if found := re.match(r"\.nv\.info\.(\S+)", line):
            name = found[1]
        if bounds and "Value:" in line and name in kernels:
            kernels[name].threads = int(line.split()[1], 16)
        bounds = "EIATTR_MAX_THREADS" in line or (bounds and "Value:" not in line)
    return dict(readable_kernels(Path(path).name.split(".")[0], kernels))


def readable_kernels(stem, kernels):
    for name, shown in readable(list(kernels)):
        yield f"{stem}/{shown}", kernels[name]


def faults(name, kernel):
    match, wide, narrow, instructions = next((found, *row[1:]) for row in RULES if (found := re.search("(^|/)" + row[0], name)))
    wide = int(match["rows"]) if wide == ROWS else wide
    if kernel.stack or kernel.local:
        yield f"{kernel.stack} bytes and {kernel.local} instructions for local memory, expected none"
    if kernel.stores["128"] < wide:
        yield f"{kernel.stores['128']} stores of 16 bytes, expected {wide}"
    if kernel.stores["less"] > narrow:
        yield f"{kernel.stores['less']} smaller stores, expected {narrow} at most"
    if kernel.instructions > instructions:
        yield f"{kernel.instructions} instructions, expected {instructions} at most"
    if kernel.registers * kernel.threads > REGISTERS:
        yield f"{kernel.registers} registers in {kernel.threads} threads, expected {REGISTERS} in all at most"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--arch", default="sm_90")
    parser.add_argument("objects", nargs="+")
    arguments = parser.parse_args()
    tool = find_cuobjdump()
    if not tool or not shutil.which("c++filt"):
        print("skipped: no cuobjdump in PATH, beside nvcc or in Python's nvidia packages, or no c++filt in PATH")
        return SKIPPED
    kernels = [(name, kernel) for path in arguments.objects for name, kernel in read_object(tool, arguments.arch, path).items()]
    if not kernels:
        print(f"skipped: the objects have no code for {arguments.arch}")
        return SKIPPED
    if arguments.table:
        print("| kernel | registers | instructions | stores of 16 bytes | smaller stores |\n|---|---:|---:|---:|---:|")
        for name, kernel in sorted(kernels, key=lambda item: item[0]):
            print(f"| `{name}` | {kernel.registers} | {kernel.instructions} | {kernel.stores['128']} | {kernel.stores['less']} |")
        return 0
    found = [f"{name}: {fault}" for name, kernel in kernels for fault in faults(name, kernel)]
    print(*found, sep="\n")
    print(f"{len(kernels)} kernels, {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
