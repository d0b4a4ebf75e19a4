#!/bin/sh
# Unit and reference tests beside those that start Ray, which wait for most of their time: two cores, one suite.
#   sh tests/side_by_side.sh PYTHON [options of pytest]
python=$1
shift
said=$(mktemp)
trap 'rm -f "$said"' EXIT
"$python" -m pytest tests/unit tests/reference "$@" >"$said" 2>&1 &
units=$!
"$python" -m pytest tests/ray tests/e2e "$@"
heavy=$?
wait "$units"
units=$?
cat "$said"
# pytest ends with 5 where an option such as -k left no test of this half.
if [ "$heavy" -eq 5 ]; then exit "$units"; fi
if [ "$units" -eq 5 ]; then exit "$heavy"; fi
exit $((heavy > units ? heavy : units))
