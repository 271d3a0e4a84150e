#!/bin/sh
# The sources once more and harder: the link is cut by the kernel, ten times under load, in a network of our own; and the
# server stands still for 20 s, noticed or not. What a source without a memory loses then is told.
# Usage: faults.sh build/release/bin/sources_test
set -eu
program=$1
# Who may not have a network of his own may still be somebody in a world of his own, where he may. It has no other users,
# and PostgreSQL runs as nobody who is root: so we go there as an ordinary one.
world="unshare --user --map-current-user --keep-caps --net"
ordinary="setpriv --reuid=nobody --regid=nogroup --clear-groups"
for own in "unshare --net" "$world" "$ordinary $world" ""; do
  [ "$own" != "$world" ] || [ "$(id -u)" != 0 ] || continue
  # shellcheck disable=SC2086  # words
  [ -z "$own" ] || ! $own ip link set lo up 2>/dev/null || break
done
if [ -z "$own" ]; then
  echo "skipped: this machine lets nobody have a network of his own (unshare --net), neither with CAP_SYS_ADMIN nor in a" \
    "user namespace"
  exit 77
fi
# shellcheck disable=SC2086,SC2016  # words; for the inner shell
WEIR_TEST_CUT=nft WEIR_TEST_FREEZE_MS=20000 exec $own sh -c '
  ip link set lo up
  nft "add table inet weir; add chain inet weir in { type filter hook input priority 0; }"
  exec "$0" --gtest_filter="*.TenCuts*:*.AFrozen*:*.Where*AreMissing*"' "$program"
