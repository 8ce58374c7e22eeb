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
for header in "$work/moved"/include/trainer/*.h; do echo "#include <trainer/$(basename "$header")>"; done >"$work/consumer.c"
cat >>"$work/consumer.c" <<'C'

int main(int argc, char **argv)
{
    const char *set[] = {"train.max_steps=20"};
    struct trainer_status status;
    struct trainer_run_result result;
    struct trainer_experiment *experiment = argc == 3 ? trainer_experiment_load(argv[1], set, 1, &status) : NULL;
    if (!experiment || !trainer_run(experiment, argv[2], TRAINER_RUN_NEW, NULL, &result, &status))
        return fprintf(stderr, "%s\n", status.message), 1;
    printf("%d\n", (int)result.last.step);
    trainer_experiment_free(experiment);
}
C
cat >"$work/tiny.ini" <<'INI'
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
[backend]
device = cpu
threads = 1
INI
read -ra flags < <(pkg-config --cflags --libs trainer)
"$compiler" -std=gnu11 -Wall -Werror "$work/consumer.c" -o "$work/consumer" "${flags[@]}" || fail "does not compile"
sed -n '/^```c$/,/^```$/p' "$source/docs/installing.md" | sed '1d;$d' >"$work/documented.c"
"$compiler" -std=gnu11 -Wall -Werror "$work/documented.c" -o "$work/documented" "${flags[@]}" ||
    fail "the program of docs/installing.md does not compile"
cd "$work"
[[ $(./consumer tiny.ini run) == 20 ]] || fail "the consumer failed"
moved/bin/trainer tiny.ini --quiet --out same --set train.max_steps=20
figures() { cut -d, -f1-7 "$1/metrics.csv"; } # all but the time
mkdir there && cp tiny.ini there/mine.ini
[[ $(cd there && ../documented) == *"run    runs/mine"* ]] || fail "the program of docs/installing.md failed"
[[ $(figures run) == "$(figures same)" && $(figures run | wc -l) == 2 ]] || fail "figures: $(figures run) $(figures same)"
