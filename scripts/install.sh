# Makes .venv with simverify in it, and installs what that needs of Debian. Sourced by its
# neighbours, in the root of the repository; EXTRAS may be "[dev]".

say() { echo "simverify: $*" >&2; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        say "to run '$*' you have to be root, or to have sudo"
        exit 1
    fi
}

need_packages() {
    say "installing $* with apt"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "$@" >&2
}

find_python() {
    for python in python3 python3.11 python3.12 python3.13 /usr/bin/python3; do
        if command -v "$python" >/dev/null \
            && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            return 0
        fi
    done
    return 1
}

PATH="$PATH:/usr/sbin:/sbin"
packages=""
find_python || packages="python3"
{ [ -z "$packages" ] && "$python" -c 'import ensurepip, venv' 2>/dev/null; } \
    || packages="$packages python3-venv"
command -v ovs-vswitchd >/dev/null || packages="$packages openvswitch-switch"
# shellcheck disable=SC2086 # one word a package
[ -z "$packages" ] || need_packages $packages
find_python || { say "needs Python 3.11 or later"; exit 1; }

wanted="$("$python" -V) $EXTRAS $(cksum <pyproject.toml) $(pwd)"
if [ "$(cat .venv/made-of 2>/dev/null)" != "$wanted" ]; then
    say "making .venv"
    [ ! -f .venv/made-of ] || rm -rf .venv
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".$EXTRAS" >&2
    echo "$wanted" >.venv/made-of
fi
