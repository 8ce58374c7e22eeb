#!/usr/bin/env bash
# Completion as a shell does it: the script is sourced, and asked for what may follow a command line.
#
# usage: test_completion.sh BUILD
set -euo pipefail
build=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2 && exit 1; }
export PATH=$build:$PATH
cd "$work"
mkdir runs configs "two words"
touch configs/a.ini configs/b.ini configs/notes.txt mine.ini "two words/c.ini"

source <(trainer completion bash)
complete -p trainer >/dev/null || fail "bash has no completion for trainer"

# offers LINE: what bash would show after it, sorted, in one line. Words are cut where bash cuts them.
offers() {
    local line=$1
    line=${line//=/ = }
    read -ra COMP_WORDS <<<"$line"
    [[ $1 == *' ' || $1 == *' = ' ]] && COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    COMPREPLY=()
    _trainer trainer "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    printf '%s\n' "${COMPREPLY[@]}" | sort | paste -sd ' '
}
expect() { # expect LINE WORDS
    local found
    found=$(offers "$1")
    [[ $found == "$2" ]] || fail "after '$1': expected '$2', found '$found'"
}

echo "bash: subcommands, options, files"
expect 'trainer su' 'summary'
expect 'trainer summary --s' '--set'
expect 'trainer summary --' '--help --ops --set --version'
expect 'trainer sweep --q' '--quiet'
expect 'trainer summary configs/' 'configs/a.ini configs/b.ini'
expect 'trainer mi' 'mine.ini'
expect 'trainer summary m' 'mine.ini'
expect 'trainer help gr' 'gradcheck'
expect 'trainer completion ' 'bash words zsh'
expect 'trainer plot r' 'runs'
expect 'trainer mine.ini --out r' 'runs'
expect 'trainer summary mine.ini ' ''
[[ $(offers 'trainer ') == *gradcheck* && $(offers 'trainer ') == *mine.ini* ]] || fail "first word: $(offers 'trainer ')"

echo "bash: keys and what they take"
expect 'trainer mine.ini --set train.max' 'train.max_steps='
expect 'trainer train mine.ini -s train.max' 'train.max_steps='
expect 'trainer summary mine.ini --set=train.max' 'train.max_steps='
expect 'trainer mine.ini --set data.resize=' 'crop pad stretch'
expect 'trainer mine.ini --set data.dataset=sy' 'synthetic'
expect 'trainer mine.ini --set=model.batchnorm_batch_stats_only=t' 'true'
expect 'trainer mine.ini --set data.path=r' 'runs'
expect 'trainer mine.ini --set sweep.' ''
expect 'trainer sweep mine.ini --set sweep.halving=' 'off on'

echo "bash: where '=' does not part words"
COMP_WORDBREAKS=${COMP_WORDBREAKS//=/}
COMP_WORDS=(trainer mine.ini --set data.dataset=sy) COMP_CWORD=3
_trainer trainer data.dataset=sy --set
[[ ${COMPREPLY[*]} == data.dataset=synthetic ]] || fail "found ${COMPREPLY[*]}"

if ! command -v zsh >/dev/null; then
    echo "zsh: skipped, it is not installed"
    exit
fi
echo "zsh: the same, typed into a terminal of its own"
mkdir functions
trainer completion zsh >functions/_trainer
# `trainer` is a function there that prints its arguments; a line is typed up to its tab, then entered.
cat >type.zsh <<'ZSH'
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PROMPT=; fpath=($PWD/functions \$fpath); autoload -Uz compinit; compinit -u -d $PWD/dump"
zpty -w shell "trainer() { print -r -- \"got <\$*>\" }; bindkey '^I' complete-word; unsetopt beep"
for line in "$@"; do zpty -w shell "$line"$'\t'; done
zpty -w shell "exit"
zpty -r shell answer '*got-nothing*'
print -r -- "$answer"
ZSH
typed=() wanted=()
line() { typed+=("trainer $1") wanted+=("got <$2>"); } # line TYPED COMPLETED
line 'summ' 'summary'
line 'summary --se' 'summary --set'
line 'summary mi' 'summary mine.ini'
line 'summary configs/a' 'summary configs/a.ini'
line 'mine.ini --set train.max_s' 'mine.ini --set train.max_steps='
line 'mine.ini --set data.dataset=sy' 'mine.ini --set data.dataset=synthetic'
line 'mine.ini --set=data.dataset=sy' 'mine.ini --set=data.dataset=synthetic'
line 'help --format mark' 'help --format markdown'
line 'plot r' 'plot runs'
timeout 60 zsh -f type.zsh "${typed[@]}" >shown || fail "zsh did not end"
for want in "${wanted[@]}"; do grep -qaF "$want" shown || fail "zsh lacks '$want': $(cat -v shown)"; done
