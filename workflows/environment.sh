# Sourced by the scripts beside it: makes .venv in the checkout, with adaprep and the extra named in $1.
# Where CI=true, packages come in the versions of workflows/constraints.txt; ADAPREP_CONSTRAINTS=FILE names another file.
# Needs Python 3.11 or newer; on Debian and Ubuntu, as root, what is missing is installed.

find_python() {
    for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

make_environment() {
    local extra="${1:-}" python constraints="${ADAPREP_CONSTRAINTS:-}"
    if [ -z "$constraints" ] && [ "${CI:-}" = true ]; then
        constraints=workflows/constraints.txt
    fi
    if ! python=$(find_python) && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get -qq update && apt-get -qq install -y python3 python3-venv >/dev/null
        python=$(find_python) || true
    fi
    if [ -z "$python" ]; then
        echo "Python 3.11 or newer with venv is needed. Install it (Debian, Ubuntu: apt install python3 python3-venv), or set PYTHON." >&2
        exit 1
    fi
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    if [ "$extra" = dev ] && [ -f "$constraints" ]; then
        install_named "$constraints"
    fi
    install ${constraints:+--constraint "$constraints"} --editable ".${extra:+[$extra]}"
}

# Some containers forbid to keep compiled modules: every process would compile anew what it imports, for seconds.
unset PYTHONDONTWRITEBYTECODE

install() { # Python compiles what it imports, which is a small part
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile "$@"
}

# All that a file of constraints names, in two halves side by side and without a search. What is not to be had
# here, as on another system, is left to the installation that follows.
install_named() {
    local large='^(torch|triton|nvidia-.*|cuda-.*)==' rest='^[a-z0-9]'
    install --no-deps $(grep -E "$large" "$1") &
    install --no-deps $(grep -E "$rest" "$1" | grep -vE "$large") || true
    wait $! || true
}

build_docs() {
    .venv/bin/python -m sphinx --builder html --fail-on-warning --keep-going --quiet docs build/docs
}
