#!/bin/sh
# What the outbox's reader costs its writers: transactions a second of 8 writers (pgbench), each one row, without and with
# a hub that reads them, with polling and with the trigger that notifies. The rounds alternate; prints each, and the medians
# with their ratio. Beside the rates: seconds of CPU that the server spent on the writers and on the reader in the first half
# of the time.
#   tests/bench/postgres_outbox.sh [build/release [SECONDS [ROUNDS]]]
# WAKE=poll or WAKE=notify measures only that one; REST=100ms is the reader's `rest` instead of 10ms.
set -eu
build=$(cd "${1:-build/release}" && pwd)
seconds=${2:-10}
rounds=${3:-3}
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)
dir=$(mktemp -d)
chmod 755 "$dir"
pg() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; else "$@"; fi; }
hub=
finish() {
  [ -n "$hub" ] && kill "$hub" 2>/dev/null && wait "$hub" || true
  pg "$bin/pg_ctl" -s -D "$dir/pg/data" -m immediate stop || true
  rm -rf "$dir"
}
trap finish EXIT
mkdir "$dir/pg"
[ "$(id -u)" = 0 ] && chown postgres "$dir/pg"
cd "$dir/pg"
pg "$bin/initdb" -D "$dir/pg/data" -A trust -U weir -E UTF8 --locale=C -N >/dev/null
pg "$bin/pg_ctl" -s -w -D "$dir/pg/data" -l "$dir/pg/log" -o "-k $dir/pg -c listen_addresses=''" start
export PGHOST="$dir/pg" PGUSER=weir PGDATABASE=postgres
cat >"$dir/write.sql" <<'SQL'
insert into weir.outbox (topic, event, data) values ('orders/7', 'paid', '{"n":1,"text":"some words that make it a usual row"}');
SQL
cat >"$dir/hub.toml" <<TOML
listen = "127.0.0.1:0"
plugins = ["$build/lib/weir"]
[[plugin]]
name = "db"
library = "postgres"
config = { url = "host=$dir/pg user=weir dbname=postgres", outbox = { poll = "50ms", rest = "${REST:-10ms}", keep = "0s" } }
[[endpoint]]
path = "/ws"
[[channel]]
pattern = "orders/{id}"
from = [{ plugin = "db", subject = "orders/{id}" }]
TOML

# cpu APPLICATION: seconds of CPU that the server's processes for it have had.
cpu() {
  for pid in $(psql -Atc "select pid from pg_stat_activity where application_name = '$1'"); do
    sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null || true
  done | awk -v hz="$(getconf CLK_TCK)" '{ n += $12 + $13 } END { printf "%.2f", n / hz }'
}

# rate WAKE READER(yes|no): transactions a second, CPU of the writers, of the reader
rate() {
  psql -q -c 'drop schema if exists weir cascade' 2>/dev/null
  "$build/bin/weir-pg" init --wake "$1" >/dev/null
  if [ "$2" = yes ]; then
    "$build/bin/weir" run "$dir/hub.toml" >"$dir/hub.log" 2>&1 &
    hub=$!
    until grep -q 'db running' "$dir/hub.log"; do sleep 0.1; done
  fi
  pg "$bin/pgbench" -n -c 8 -j 2 -T "$seconds" -f "$dir/write.sql" >"$dir/pgbench" 2>/dev/null &
  bench=$!
  sleep "$((seconds / 2))"
  spent="$(cpu pgbench) $(cpu weir)"
  wait "$bench"
  echo "$(sed -n 's/^tps = \([0-9]*\).*/\1/p' "$dir/pgbench") $spent"
  if [ "$2" = yes ]; then
    # Everything that was written is read in the end.
    until [ "$(psql -Atc 'select (select max(id) from weir.outbox) = (select max(top_id) from weir.outbox_reader)')" = t ]; do sleep 0.1; done
    kill "$hub" && wait "$hub" || true
    hub=
  fi
}
median() { sort -n "$1" | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
for wake in ${WAKE:-poll notify}; do
  : >"$dir/without"
  : >"$dir/with"
  for round in $(seq "$rounds"); do
    for reader in no yes; do
      rate $wake $reader >"$dir/one"
      cat "$dir/one" >>"$dir/$([ $reader = yes ] && echo with || echo without)"
      set -- $(cat "$dir/one")
      echo "$wake, round $round, reader $reader: $1 rows/s; CPU: writers $2 s, reader $3 s"
    done
  done
  echo "$wake: $(median "$dir/without") rows/s without a reader, $(median "$dir/with") with one: ratio" \
    "$(awk "BEGIN { printf \"%.2f\", $(median "$dir/with") / $(median "$dir/without") }")"
done
