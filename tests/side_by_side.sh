#!/bin/sh
# Two pytest processes beside each other, since tests that start Ray wait for much of their time: two cores, one suite.
#   sh tests/side_by_side.sh PYTHON [options of pytest]
python=$1
shift
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
export TALARIA_TEST_RUN="$made" # the run that end-to-end tests of both halves look at lies here, made by whoever comes first
clusters=tests/e2e/test_clusters.py
"$python" -m pytest tests/unit tests/reference tests/ray "$clusters" "$@" >"$made/said.txt" 2>&1 &
others=$!
"$python" -m pytest tests/e2e --ignore "$clusters" "$@"
heavy=$?
wait "$others"
others=$?
cat "$made/said.txt"
# pytest ends with 5 where an option such as -k left no test of this half.
if [ "$heavy" -eq 5 ]; then exit "$others"; fi
if [ "$others" -eq 5 ]; then exit "$heavy"; fi
exit $((heavy > others ? heavy : others))
