#!/bin/sh
# The kernel tests under AddressSanitizer and UndefinedBehaviorSanitizer: builds the extension with them in a temporary copy
# of the tree and runs tests/kernels, or what is given, there.
#
#   tests/sanitize.sh [pytest arguments]        PYTHON chooses the interpreter, CC the compiler
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R "$root/csrc" "$root/src" "$root/tests" "$root/setup.py" "$root/pyproject.toml" "$root/README.md" "$root/LICENSE" "$copy"
cd "$copy"
rm -f src/microweights/kernels/_c.*

# -fno-sanitize=alignment: kernels load vectors from any address, by memcpy.
export MICROWEIGHTS_CFLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined"
export MICROWEIGHTS_LDFLAGS="-fsanitize=address,undefined"
"$python" setup.py -q build_ext --inplace

# The interpreter is not instrumented, so the library has to come first. Python's own small blocks would hide overruns.
# detect_leaks=0: the interpreter keeps memory until the end.
LD_PRELOAD=$("${CC:-gcc}" -print-file-name=libasan.so) \
ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0:allocator_may_return_null=1 \
UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
PYTHONMALLOC=malloc PYTHONPATH=src \
"$python" -m pytest -p no:cacheprovider "${@:-tests/kernels}"
