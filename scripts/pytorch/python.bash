# To be sourced by a script that needs PyTorch. Sets `python` to a Python that has it: the one that TRAINER_TORCH_PYTHON
# names, or that of an environment in the build folder, build/pytorch, which is made on first use.
#
# usage: root=... build=...; source scripts/pytorch/python.bash; find_pytorch NAME_OF_THE_SCRIPT
#        find_trainer "$@": sets `program` to the option --trainer with the build folder's program, which is built first,
#        or to nothing where the arguments have the option.

find_pytorch() {
    local name=$1
    fail() { echo "$name: $*" >&2 && exit 1; }
    python=${TRAINER_TORCH_PYTHON:-$build/pytorch/bin/python}
    if [[ -n ${TRAINER_TORCH_PYTHON:-} ]]; then
        "$python" -c 'import torch' || fail "TRAINER_TORCH_PYTHON=$python has no PyTorch"
    elif ! "$python" -c 'import torch' 2>/dev/null; then
        python3 -c 'import ensurepip, venv' 2>/dev/null || "$root/scripts/setup" --pytorch
        echo "$name: installing PyTorch in $build/pytorch" >&2
        python3 -m venv "$build/pytorch" || fail "no virtual environment: it takes Debian's python3-venv"
        # The index of PyTorch's builds without CUDA, where it can be reached, saves some gigabytes.
        "$python" -m pip install --quiet numpy
        "$python" -m pip install --quiet torch --index-url https://download.pytorch.org/whl/cpu 2>/dev/null ||
            "$python" -m pip install --quiet torch || fail "pip could not install PyTorch"
    fi
}

find_trainer() {
    local argument
    program=()
    for argument in "$@"; do
        case $argument in --trainer | --trainer=*) return ;; esac
    done
    "$root/scripts/build" trainer
    program=(--trainer "$build/trainer")
}
