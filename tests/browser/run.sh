#!/usr/bin/env bash
# Runs a test of this folder with the Python that has Selenium: R1_BROWSER_PYTHON, the one of scripts/setup.sh browser, or python3. Exits with 77 if it
# must be skipped.   run.sh chat_test.py [test names]
. "$(dirname "$0")/../../scripts/common.sh"
python=${R1_BROWSER_PYTHON:-}
if [ -z "$python" ]; then
  if [ -x "$R1_DEPS/browser/bin/python" ]; then python=$R1_DEPS/browser/bin/python; else python=python3; fi
fi
export PYTHONDONTWRITEBYTECODE=1
# A browser beside a busy compiler may lose a race that has nothing to do with the page: what fails is run once more.
status=0
"$python" "tests/browser/$@" || status=$?
[ "$status" = 0 ] || [ "$status" = 77 ] || { status=0; "$python" "tests/browser/$@" || status=$?; }
exit "$status"
