#!/usr/bin/env bash
# What TRAINER_BACKEND=auto finds of CUDA, on a machine that exists only as a folder: cmake/TrainerCudaFind.cmake as a
# script, with stand-ins for nvcc, the libraries and Python.
set -euo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2 && exit 1; }
unset CUDA_HOME CUDA_PATH CUDNN_ROOT CUDNN_PATH

cat >"$work/find.cmake" <<'CMAKE'
cmake_minimum_required(VERSION 3.20)
set(CMAKE_FIND_LIBRARY_PREFIXES lib)
set(CMAKE_FIND_LIBRARY_SUFFIXES .so)
include(${SOURCE}/cmake/TrainerCudaFind.cmake)
file(WRITE ${RESULT} "${TRAINER_CUDA_MISSING}\n${TRAINER_NVCC_VERSION} ${TRAINER_CUDNN_VERSION}\n\
${TRAINER_CUBLASLT_LIBRARY}\n${TRAINER_CUDNN_LIBRARY}\n${TRAINER_CUDNN_INCLUDE}\n")
CMAKE

root=$work/root toolkit=$work/root/usr/local/cuda
stand_in() { mkdir -p "$(dirname "$1")" && { echo '#!/bin/sh' && cat; } >"$1" && chmod +x "$1"; }
nvcc() { stand_in "$toolkit/bin/nvcc" <<<"echo 'Cuda compilation tools, release $1, V$1.88'"; }
library() { # FOLDER HEADER LIBRARY
    mkdir -p "$1/include" "$1/lib"
    touch "$1/include/$2" "$1/lib/$3"
}
cudnn() { # FOLDER VERSION LIBRARY
    library "$1" cudnn.h "$3"
    local version
    read -ra version <<<"${2//./ }"
    printf '#define CUDNN_%s %s\n' MAJOR "${version[0]}" MINOR "${version[1]}" PATCHLEVEL "${version[2]}" >"$1/include/cudnn_version.h"
}
stand_in "$root/usr/bin/python3" <<<'exit 1'

# look [-D...]: fills missing, versions, cublaslt, cudnn and include. Every path is looked for below the root.
look() {
    cmake -DSOURCE="$source" -DRESULT="$work/result" -DCMAKE_FIND_ROOT_PATH="$root" -DCMAKE_FIND_ROOT_PATH_MODE_PROGRAM=ONLY \
        -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY "$@" -P "$work/find.cmake" ||
        fail "cmake"
    { read -r missing && read -r versions && read -r cublaslt && read -r cudnn && read -r include; } <"$work/result"
}
lacks() { [[ $missing == *"$1"* ]] || fail "expected '$1', found '$missing'"; }

echo "no nvcc, or one that is too old"
look && lacks 'no nvcc in PATH'
nvcc 11.8 && look && lacks 'CUDA 12.0 or later is needed'
lacks 'is of 11.8'
nvcc 13.0

echo "a library that is missing is named with the variable for it"
look && lacks 'no cublasLt.h with its library'
lacks '-DTRAINER_CUBLASLT_ROOT=FOLDER'
library "$toolkit" cublasLt.h libcublasLt.so
look && lacks 'no cudnn.h with its library'
lacks '-DTRAINER_CUDNN_ROOT=FOLDER'
touch "$toolkit/include/cudnn.h"
look && lacks 'no cudnn.h with its library' # a header alone will not do

echo "cuDNN of the system, too old and right"
rm "$toolkit/include/cudnn.h"
cudnn "$root/usr" 8.9.7 libcudnn.so
look && lacks 'cuDNN 9 or later is needed'
lacks 'is 8.9.7'
cudnn "$root/usr" 9.19.0 libcudnn.so
look
[[ -z $missing && $versions == '13.0 9.19.0' && $cudnn == "$root/usr/lib/libcudnn.so" && $include == "$root/usr/include" ]] ||
    fail "found $missing $versions $cudnn $include"
[[ $(realpath "$cublaslt") == "$toolkit/lib/libcublasLt.so" ]] || fail "cuBLASLt: $cublaslt"

echo "cuDNN of Python's packages, where nothing else has one"
rm "$root/usr/lib/libcudnn.so"
packages=/home/venv/nvidia
cudnn "$root$packages/cudnn" 9.20.1 libcudnn.so.9
stand_in "$root/usr/bin/python3" <<<"echo $packages"
look
[[ -z $missing && $versions == '13.0 9.20.1' && $cudnn == "$root$packages/cudnn/lib/libcudnn.so.9" ]] || fail "$missing $versions $cudnn"

echo "a folder that is named comes first"
cudnn "$root/opt/cudnn" 10.0.0 libcudnn.so
look -DTRAINER_CUDNN_ROOT=/opt/cudnn
[[ -z $missing && $versions == '13.0 10.0.0' && $cudnn == "$root/opt/cudnn/lib/libcudnn.so" ]] || fail "$missing $versions $cudnn"
