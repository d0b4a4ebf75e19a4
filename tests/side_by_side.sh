#!/bin/sh
# Two pytest processes beside each other, since tests that start Ray wait for much of their time: two cores, one suite.
#   sh tests/side_by_side.sh PYTHON [options of pytest]
python=$1
shift
said=$(mktemp)
trap 'rm -f "$said"' EXIT
"$python" -m pytest tests/unit tests/reference tests/ray "$@" >"$said" 2>&1 &
others=$!
"$python" -m pytest tests/e2e "$@" # these share a run
heavy=$?
wait "$others"
others=$?
cat "$said"
# pytest ends with 5 where an option such as -k left no test of this half.
if [ "$heavy" -eq 5 ]; then exit "$others"; fi
if [ "$others" -eq 5 ]; then exit "$heavy"; fi
exit $((heavy > others ? heavy : others))
