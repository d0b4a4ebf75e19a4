#!/bin/sh
# Three pytest processes beside each other, since tests that start Ray wait for much of their time: two cores, one suite.
#   sh tests/side_by_side.sh PYTHON [options of pytest]
python=$1
shift
said=$(mktemp -d)
trap 'rm -rf "$said"' EXIT
"$python" -m pytest tests/unit tests/reference "$@" >"$said/units" 2>&1 &
units=$!
"$python" -m pytest tests/ray tests/e2e/test_own_data.py tests/e2e/test_refiners.py "$@" >"$said/ray" 2>&1 &
ray=$!
# These share one undisturbed run.
"$python" -m pytest tests/e2e --ignore tests/e2e/test_own_data.py --ignore tests/e2e/test_refiners.py "$@"
worst=$?
if [ "$worst" -eq 5 ]; then none=1 worst=0; else none=0; fi
for part in units ray; do
    eval "wait \$$part"
    status=$?
    cat "$said/$part"
    # pytest ends with 5 where an option such as -k left no test of its part.
    if [ "$status" -eq 5 ]; then none=$((none + 1)); elif [ "$status" -gt "$worst" ]; then worst=$status; fi
done
if [ "$none" -eq 3 ]; then exit 5; fi
exit "$worst"
