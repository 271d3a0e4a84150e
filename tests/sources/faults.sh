#!/bin/sh
# The sources with a memory, once more and harder: the link is cut by the kernel, ten times under load, in a network of
# our own; and the server stands still for 20 s. Usage: faults.sh build/release/bin/sources_test
set -eu
program=$1
own="unshare -n"
[ "$(id -u)" = 0 ] || own="unshare -rn"
if ! $own true 2>/dev/null; then
  echo "skipped: this machine lets nobody have a network of his own (unshare -n), which takes CAP_SYS_ADMIN"
  exit 77
fi
# shellcheck disable=SC2086  # words
WEIR_TEST_CUT=nft WEIR_TEST_FREEZE_MS=20000 exec $own sh -c '
  ip link set lo up
  nft "add table inet weir; add chain inet weir in { type filter hook input priority 0; }"
  exec "$0" --gtest_filter="*DurableTest.TenCuts*:*DurableTest.AFrozen*:PostgresHubTest.TenCuts*:PostgresHubTest.AFrozen*"' "$program"
