#!/bin/sh
# The kernel tests under AddressSanitizer and UndefinedBehaviorSanitizer: builds the extension with them in a temporary copy
# of the tree and runs tests/kernels, or what is given, there. Fails if a test does or if a sanitizer has anything to say.
#
#   tests/sanitize.sh [pytest arguments]        PYTHON chooses the interpreter, CC the compiler
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python}
[ $# -gt 0 ] || set -- tests/kernels tests/capture tests/test_tape.py
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R "$root/csrc" "$root/src" "$root/tests" "$root/setup.py" "$root/pyproject.toml" "$root/README.md" "$root/LICENSE" "$copy"
cd "$copy"
rm -f src/microweights/kernels/_c.*

export MICROWEIGHTS_CFLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fsanitize-recover=address,undefined"
export MICROWEIGHTS_LDFLAGS="-fsanitize=address,undefined"
"$python" setup.py -q build_ext --inplace

# The interpreter is not instrumented, so the sanitizer's library comes first, and as it never frees all it has
# (detect_leaks), leaks are not looked for. A child that a test sends over an edge may die (handle_segv). NumPy takes its arrays
# from malloc, byte for byte: every overrun shows. What is freed stays resident for a while, so that is not measured.
status=0
LD_PRELOAD=$("${CC:-gcc}" -print-file-name=libasan.so) \
ASAN_OPTIONS=detect_leaks=0:halt_on_error=0:handle_segv=0:log_path="$copy/report" \
UBSAN_OPTIONS=print_stacktrace=1:log_path="$copy/report" \
PYTHONMALLOC=malloc PYTHONPATH=src \
"$python" -m pytest -p no:cacheprovider --deselect tests/capture/test_networks.py::test_many_replays_take_no_memory "$@" || status=$?

if ls report.* >/dev/null 2>&1; then
    cat report.*
    status=1
fi
exit $status
