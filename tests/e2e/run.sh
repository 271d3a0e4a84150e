#!/bin/sh
# Runs one end-to-end test file. Without the built hub or the npm packages it is skipped (77), so that a plain ctest stays
# useful; ./dev test sees to both and sets WEIR_E2E=required, so that nothing is skipped there.
here=$(cd "$(dirname "$0")" && pwd)
missing=
[ -x "$WEIR_BIN" ] || missing="the hub ($WEIR_BIN)"
[ -d "$here/node_modules/ws" ] || missing="${missing:+$missing and }the npm packages of tests/e2e"
if [ -n "$missing" ]; then
  echo "end-to-end tests need $missing; ./dev test provides it" >&2
  [ "$WEIR_E2E" = required ] && exit 1
  exit 77
fi
case $1 in
  *.py) exec /usr/bin/python3 "$1" -v ;;
  *) exec node --test --test-reporter=spec "$1" ;;
esac
