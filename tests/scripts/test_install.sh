#!/usr/bin/env bash
# An installation in a folder of its own: the program, its pages, completion, and the library as another project uses it.
#
# usage: test_install.sh BUILD COMPILER
set -euo pipefail
build=$(cd "$1" && pwd) compiler=$2
source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2 && exit 1; }
prefix=$work/prefix

echo "the program and what comes with it"
cmake --install "$build" --prefix "$prefix" >"$work/log" || fail "cmake --install: $(cat "$work/log")"
trainer=$prefix/bin/trainer
"$trainer" summary "$prefix/share/trainer/configs/quickstart.ini" --set data.path=nowhere \
    --set data.image_size=28 --set data.channels=1 --set data.classes=10 | grep -q 'max-pool' ||
    fail "the installed program does not sum up the installed config"
bash -c "source '$prefix/share/bash-completion/completions/trainer' && complete -p trainer" >/dev/null ||
    fail "no completion for bash"
[[ $(head -1 "$prefix"/share/zsh/*/_trainer) == '#compdef trainer' ]] || fail "no completion for zsh"

# folders_lack PROGRAM: a folder of NVIDIA's libraries, beside the loader's own, that does not stand in the program.
folders_lack() {
    local file folder
    grep -o '[^ ]*/lib\(cudnn\|cublasLt\)\.so[^ ]*' "$build/trainer.pc" | while read -r file; do
        folder=$(dirname "$(realpath -s "$file")")
        [[ $folder =~ ^(/usr)?/lib(64)?(/[a-z0-9_]+-linux-gnu)?$ ]] && continue
        readelf -d "$1" | grep 'RUNPATH' | tr '[]' '::' | grep -qF ":$folder:" || echo "$folder"
    done
}
if readelf -d "$trainer" | grep -q 'NEEDED.*libcudnn'; then
    echo "built with CUDA: its libraries are found wherever they are"
    [[ -z $(folders_lack "$trainer") ]] || fail "$trainer lacks $(folders_lack "$trainer")"
    ! env -u LD_LIBRARY_PATH ldd "$trainer" | grep 'not found' || fail "the loader does not find the libraries above"
fi

echo "manual pages: one for each subcommand, and roff has no complaint"
pages=$prefix/share/man
[[ -e $pages/man1/trainer.1 && -e $pages/man5/trainer-config.5 ]] || fail "pages: $(find "$pages")"
"$trainer" help | sed -n '/^subcommands:/,/^$/s/^  \([a-z]*\) .*/\1/p' >"$work/subcommands"
[[ $(wc -l <"$work/subcommands") -gt 5 ]] || fail "subcommands: $(cat "$work/subcommands")"
while read -r subcommand; do
    [[ -e $pages/man1/trainer-$subcommand.1 ]] || fail "no page about $subcommand"
done <"$work/subcommands"
if command -v groff >/dev/null; then
    groff -man -Tascii -ww -z "$pages"/man?/* 2>"$work/complaints"
    [[ ! -s $work/complaints ]] || fail "groff: $(head -5 "$work/complaints")"
    groff -man -Tascii "$pages/man5/trainer-config.5" | sed 's/.\x08//g; s/\x1b\[[0-9;]*m//g' >"$work/config"
    grep -q 'train.max_steps' "$work/config" && grep -q 'Default: 1500' "$work/config" || fail "page: $(cat "$work/config")"
else
    echo "groff is not installed: not rendered"
fi

echo "the library, also after the installation was moved"
mv "$prefix" "$work/moved"
PKG_CONFIG_PATH=$(dirname "$(find "$work/moved" -name trainer.pc)")
export PKG_CONFIG_PATH
[[ $(pkg-config --modversion trainer) == "$("$work/moved/bin/trainer" --version | cut -d' ' -f2)" ]] || fail "version"
headers=("$work"/moved/include/trainer/*.h)
read -ra flags < <(pkg-config --cflags --libs trainer)
read -ra header_flags < <(pkg-config --cflags trainer)
warnings=(-Wall -Wextra -Wpedantic -Werror)
cd "$work"
cat >tiny.ini <<'INI'
[data]
dataset = synthetic
synthetic_train = 40
synthetic_test = 20
synthetic_size = 4
normalization = channel
[model]
hidden =
[optimizer]
learning_rate = 0.1
[train]
batch_size = 10
max_steps = 20
[backend]
device = cpu
threads = 1
INI
figures() { cut -d, -f1-7 "$1/metrics.csv"; } # all but the time

if [[ -e $build/trainer_mpi.so ]] && command -v mpirun >/dev/null; then
    echo "two ranks under mpirun, whose module is found"
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 mpirun --bind-to none -n 2 \
        moved/bin/trainer tiny.ini --set train.slices=2 --out ranks >log 2>&1 || fail "mpirun: $(cat log)"
    grep -q '^2 ranks on ' log || fail "mpirun: $(cat log)"
fi

echo "the names of its functions, and none of its inside"
library=$(dirname "$PKG_CONFIG_PATH")/libtrainer.a
grep -ohE '\btrainer_[a-z_]+\(' "${headers[@]}" | tr -d '(' | sort -u >declared
nm -g --defined-only "$library" | awk 'NF == 3 { print $3 }' | sort | diff - declared || fail "names, beside the declared ones"
echo 'double memory_alloc, network_build, status_fail, trainer_step;' >collides.c

echo "each public header alone, in C and in C++"
cxx=$(command -v "${CXX:-c++}") || echo "no C++ compiler: not tried in C++"
for header in "${headers[@]}"; do
    echo "#include <trainer/$(basename "$header")>" >alone.c
    "$compiler" -std=c11 "${warnings[@]}" -fsyntax-only "${header_flags[@]}" alone.c || fail "$header alone"
    [[ -z $cxx ]] || "$cxx" -std=c++11 -x c++ "${warnings[@]}" -fsyntax-only "${header_flags[@]}" alone.c || fail "$header in C++"
done

echo "the examples, one of which is in docs/installing.md"
for example in "$source"/examples/*.c; do
    "$compiler" -std=c11 "${warnings[@]}" "$example" collides.c -o "$(basename "$example" .c)" "${flags[@]}" || fail "$example"
done
sed -n '/^```c$/,/^```$/p' "$source/docs/installing.md" | sed '1d;$d' | diff - "$source/examples/train.c" ||
    fail "docs/installing.md shows another program than examples/train.c"
[[ -z $(folders_lack ./train) ]] || fail "train lacks $(folders_lack ./train)"
moved/bin/trainer tiny.ini --quiet --out run
[[ $(./train tiny.ini weights.safetensors) == "step 20: "*"test accuracy $(tail -1 run/metrics.csv | awk -F, '
    NR == 1 { printf "%.1f", 100 * $6 }') %" ]] || fail "train: $(./train tiny.ini weights.safetensors) $(cat run/metrics.csv)"
cmp weights.safetensors run/checkpoints/step_00000020.safetensors || fail "train has other weights than the program"
code=0
./train nowhere.ini weights.safetensors 2>error || code=$?
[[ $code == 2 && $(cat error) == "nowhere.ini: cannot open: No such file or directory" ]] || fail "train: $code $(cat error)"
cp "$source/tests/fixtures/pictures/jpeg_420.jpg" a.png
if moved/bin/trainer predict run a.png --csv --top 1 >table 2>error; then
    [[ $(./predict run a.png) == "a.png: $(tail -1 table | cut -d, -f2), "* ]] || fail "predict: $(./predict run a.png) $(cat table)"
else
    grep 'no libjpeg-turbo' error || fail "predict: $(cat error)"
fi

echo "a program in C++ that uses every header"
printf '#include <trainer/%s>\n' "${headers[@]##*/}" >consumer.cpp
cat >>consumer.cpp <<'CPP'

#include <cstdlib>
#include <string>
#include <vector>

static void expect(bool good, const char *what, const trainer_status &status)
{
    if (good) return;
    std::fprintf(stderr, "%s: %s\n", what, status.message);
    std::exit(EXIT_FAILURE);
}

int main()
{
    trainer_status status;
    const char *set[] = {"train.max_steps=30"};
    trainer_experiment *experiment = trainer_experiment_load("tiny.ini", nullptr, 0, &status);
    expect(experiment != nullptr && trainer_experiment_set(experiment, set, 1, &status), "experiment", status);
    char *steps = trainer_experiment_get(experiment, "train.max_steps", &status);
    expect(steps != nullptr && std::string(steps) == "30", "get", status);
    std::free(steps);
    trainer_run_result result;
    expect(trainer_run(experiment, "cpp", TRAINER_RUN_NEW, nullptr, &result, &status), "run", status);

    trainer_session *session = trainer_session_resume(nullptr, "run", &status);
    expect(session != nullptr && trainer_session_steps(session) == 20, "resume", status);
    trainer_session_free(session);
    session = trainer_session_create(experiment, &status);
    expect(session != nullptr && trainer_session_step(session, 1000) == 30, "session", status);
    trainer_evaluation last;
    expect(trainer_session_evaluate(session, &last, &status) && last.test.loss == result.last.test.loss, "last", status);
    expect(trainer_session_save(session, "cpp.safetensors", &status), "save", status);
    trainer_session_free(session);

    trainer_predictor *predictor = trainer_predictor_open("cpp.safetensors", nullptr, 0, &status);
    expect(predictor != nullptr, "open", status);
    trainer_image_format format = trainer_predictor_format(predictor);
    std::vector<uint8_t> pixels(static_cast<size_t>(2 * format.channels * format.height * format.width));
    std::vector<double> scores(static_cast<size_t>(2 * trainer_predictor_classes(predictor)));
    trainer_predictor_scores(predictor, pixels.data(), 2, scores.data());
    expect(scores[0] == scores[scores.size() / 2], "scores", status);
    trainer_predictor_free(predictor);
    trainer_experiment_free(experiment);
    std::printf("%s\n", trainer_version_number() == TRAINER_VERSION_NUMBER ? trainer_version_text() : "another version");
}
CPP
if [[ -n $cxx ]]; then
    "$cxx" -std=c++11 "${warnings[@]}" consumer.cpp -o consumer "${flags[@]}" || fail "does not compile in C++"
    [[ $(./consumer) == "$(pkg-config --modversion trainer)" ]] || fail "the program in C++"
    moved/bin/trainer tiny.ini --quiet --out same --set train.max_steps=30
    [[ $(figures cpp) == "$(figures same)" && $(figures cpp | wc -l) == 2 ]] || fail "$(figures cpp) $(figures same)"
fi
