# To be sourced from the repository root by bash, zsh or sh:  . ./activate.sh
# Makes the environment .venv if it is missing or out of date, activates it, and sets what the commands below need.

_larp_fail() {
    echo "larp: $1" >&2
    unset -f _larp_fail _larp_python _larp_install
    return 1
}

_larp_python() {
    for _larp_name in python3.11 python3.12 python3 python; do
        if "$_larp_name" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' >/dev/null 2>&1; then
            echo "$_larp_name"
            return 0
        fi
    done
    return 1
}

# The marker is written last and holds what was installed: an interrupted or outdated installation is done again.
_larp_install() {
    _larp_wanted=$(cat pyproject.toml constraints.txt | cksum)
    if [ -x .venv/bin/python ] && [ "$(cat .venv/.larp-installed 2>/dev/null)" = "$_larp_wanted" ]; then
        return 0
    fi
    echo "larp: installing into .venv, a few minutes the first time"
    [ -x .venv/bin/python ] || "$1" -m venv --clear .venv || return 1
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]' || return 1
    printf '%s\n' "$_larp_wanted" >.venv/.larp-installed
}

if [ ! -f pyproject.toml ] || [ ! -f pipeline/definitions.py ]; then
    _larp_fail "source activate.sh from the repository root: cd there first"
    return 1
fi
if ! _larp_name=$(_larp_python); then
    _larp_fail "needs Python 3.11 or 3.12; install one of them so that python3.11 or python3.12 is on the PATH"
    return 1
fi
if ! _larp_install "$_larp_name"; then
    _larp_fail "the installation into .venv failed, see above; source activate.sh again to go on"
    return 1
fi

. .venv/bin/activate
export LARP_DATA="${LARP_DATA:-$PWD/data}"
export DAGSTER_HOME="$PWD"
export DAGSTER_CLI_JOB_EXECUTE_MODULE_NAME=pipeline.definitions
# Dagster praises its newer commands on every use of the older ones; its advice changes nothing here.
export PYTHONWARNINGS="ignore:Function \`job_execute_command\`:FutureWarning,ignore:Function \`dev_command\`:FutureWarning,ignore:Function \`PipesMessageReader:Warning"

echo "larp: ready. Run everything:  dagster job execute -j train_all"
echo "      Tables will be in       $LARP_DATA/reports"
echo "      Look at it in the web:  dagster dev"
unset _larp_name _larp_wanted
unset -f _larp_fail _larp_python _larp_install
