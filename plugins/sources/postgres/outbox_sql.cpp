#include "outbox_sql.hpp"

#include <string_view>

#include "listener.hpp"

namespace weir::postgres {
namespace {

// {outbox} and {reader} stand for the tables, {wake} for the channel of the trigger.

// search_path: nobody's functions and operators stand in for the server's, however well they match; all other names are
// qualified. Every query here has an index made for it, and right after a bulk load, without statistics, the planner
// would not know. Nor may an index-only scan of all of (xid, id) seem cheaper than the end of the primary key, as
// without values it does; rows that are new are fetched in any case. *_timeout: a large backlog takes its time, and
// what the role has for others would end it each time; who waits too long is told by Connection::expect(). tcp_*: the
// server finds out when we are gone without a word, and lets go of the lock.
constexpr std::string_view kSetup = R"(
set search_path = pg_catalog, pg_temp;
set statement_timeout = 0; set lock_timeout = 0;
set enable_seqscan = off; set enable_indexonlyscan = off; set enable_bitmapscan = off; set enable_hashjoin = off; set enable_mergejoin = off;
set max_parallel_workers_per_gather = 0; set jit = off; set plan_cache_mode = force_generic_plan;
set default_transaction_isolation = 'read committed';
set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3; set tcp_user_timeout = 30000;
listen {wake})";

constexpr std::string_view kLock =
    "select pg_try_advisory_lock(hashtextextended('weir {outbox} ' || $1, 0::bigint)) as mine";

constexpr std::string_view kHolder = R"(
select pid, pid = $2::int and pg_terminate_backend(pid)
from pg_locks, hashtextextended('weir {outbox} ' || $1, 0::bigint) as key
where locktype = 'advisory' and granted and objsubid = 1 and database = (select oid from pg_database where datname = current_database())
  and (classid::bigint << 32 | objid::bigint) = key)";

constexpr std::string_view kEnter = R"(
insert into {reader} (reader, seen, top_id)
select $1, case when $2::bool then pg_current_snapshot() else '1:1:' end,
       case when $2::bool then coalesce((select max(id) from {outbox}), 0) else 0 end
where not exists (select from {reader} where reader = $1)
on conflict (reader) do nothing)";

constexpr std::string_view kPlace = R"(
select seen, coalesce(reading::text, ''), last_id, top_id, coalesce(cluster, ''), coalesce(holder, ''), system_identifier,
  coalesce(top_xid::text, '')
from {reader}, pg_control_system() where reader = $1)";

// See position.hpp: T and where the snapshots are cut off.
constexpr std::string_view kSurvey = R"(
with known as materialized (
  select $1::pg_snapshot as seen, coalesce($2::pg_snapshot, $1::pg_snapshot) as reading, pg_current_snapshot() as now
), again as materialized (
  select least(
    (select min(xid::text::bigint) from {outbox} where id > $3::bigint and pg_visible_in_snapshot(xid, seen)),
    (select min(x::text::bigint) from pg_snapshot_xip(now) x where pg_visible_in_snapshot(x, reading)),
    case when pg_snapshot_xmax(now) < pg_snapshot_xmax(reading) then pg_snapshot_xmax(now)::text::bigint end) as t
  from known
)
select t is not null,
  least(pg_snapshot_xmin(seen)::text::bigint, t) || ':' || least(pg_snapshot_xmax(seen)::text::bigint, t) || ':' ||
    coalesce((select string_agg(x::text, ',' order by x::text::bigint) from pg_snapshot_xip(seen) x
              where t is null or x::text::bigint < t), ''),
  least(pg_snapshot_xmin(reading)::text::bigint, t) || ':' || least(pg_snapshot_xmax(reading)::text::bigint, t) || ':' ||
    coalesce((select string_agg(x::text, ',' order by x::text::bigint) from pg_snapshot_xip(reading) x
              where t is null or x::text::bigint < t), ''),
  case when has_sequence_privilege(sequence, 'select, usage') then coalesce(pg_sequence_last_value(sequence), 0) end,
  (select seqcache from pg_sequence where seqrelid = sequence),
  exists (select from {outbox} where xid >= pg_snapshot_xmax(now)),
  exists (select from {outbox} where id = $3::bigint and xid <> $4::xid8)
from known, again, (select pg_get_serial_sequence('{outbox}', 'id')::regclass) as s(sequence))";

constexpr std::string_view kRenumber =
    "update {outbox} set xid = pg_current_xact_id() where xid >= pg_snapshot_xmax(pg_current_snapshot())";

// As sql/wake_notify.sql has it. While a reader of another name sleeps this one may, too, as its guest; so that one
// wakes its guests.
constexpr std::string_view kSleep = R"(
select case when pg_try_advisory_lock(1466263922, '{outbox}'::regclass::oid::int4) then 'own'
  when exists (select from pg_locks where locktype = 'advisory' and classid = 1466263922 and objsubid = 2
    and objid = '{outbox}'::regclass and database = (select oid from pg_database where datname = current_database())
    and mode = 'ExclusiveLock' and granted) then 'guest' else 'no' end)";
constexpr std::string_view kWake =
    "select pg_advisory_unlock(1466263922, '{outbox}'::regclass::oid::int4), pg_notify({wake text}, '')";

constexpr std::string_view kStore = R"(
insert into {reader} as r (reader, seen, reading, last_id, top_id, cluster, holder, top_xid)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (reader) do update set seen = excluded.seen, reading = excluded.reading, last_id = excluded.last_id,
  top_id = excluded.top_id, cluster = excluded.cluster, holder = excluded.holder, top_xid = excluded.top_xid,
  updated_at = now())";

// min(id + 0), because min(id) might be looked for along the primary key, through everything that is kept.
constexpr std::string_view kLook = R"(
with now as materialized (select coalesce($2::pg_snapshot, pg_current_snapshot()) as reading)
select reading, (select min(id + 0) from {outbox} where xid >= pg_snapshot_xmax($1::pg_snapshot)),
  array(select x from pg_snapshot_xip($1::pg_snapshot) x
        where pg_visible_in_snapshot(x, reading) and exists (select from {outbox} o where o.xid = x))
from now)";

// Transactions that began before `seen` may have ids from anywhere: each along (xid, id). All others have ids from the
// smallest one on ($4): along the primary key, in which only what other batches have is passed over. Conditions on xid
// that no index can serve keep the planner there.
constexpr std::string_view kPage = R"(
select id, topic, event, key, event_id, time_ms, data, size, total, xid from (
  select *, sum(least(size, {row_bytes})) over (order by id) - least(size, {row_bytes}) as before, count(*) over () as total from (
    select id, o.xid, size,
      case when fits then o.topic when $8::bool then left(o.topic, 1024) end as topic,
      case when fits then o.event end as event,
      case when fits then o.key end as key,
      case when fits then coalesce(nullif(o.event_id, ''), id::text) end as event_id,
      case when isfinite(o.created_at) then (extract(epoch from o.created_at) * 1000)::bigint else 0 end as time_ms,
      case when fits then t.data end as data
    from (
      (select late.id from unnest($5::xid8[]) as x(xid) cross join lateral (
         select id from {outbox} where xid = x.xid and id > $3::bigint and id < coalesce($4::bigint, 9223372036854775807)
         order by id limit $6::int) late
       order by id limit $6::int)
      union all
      (select id from {outbox} where $4::bigint is not null and id >= $4::bigint and id > $3::bigint
         and pg_visible_in_snapshot(xid, $2::pg_snapshot) and not pg_visible_in_snapshot(xid, $1::pg_snapshot)
       order by id limit $6::int)
      order by id limit $6::int) ids
    join {outbox} o using (id)
    cross join lateral (select o.data::text as data offset 0) t
    cross join lateral (select octet_length(o.topic) + octet_length(o.event) + coalesce(octet_length(o.key), 0)::bigint +
                          coalesce(octet_length(o.event_id), 0) + coalesce(octet_length(t.data), 0) as size offset 0) z
    cross join lateral (select $8::bool and size <= {row_bytes} as fits) f
  ) rows
) page where before < $7::bigint order by id)";

// The oldest ones only: what is kept is not looked through. Nor is what was removed just before, which stays in the
// table while somebody's old snapshot could see it.
constexpr std::string_view kClean = R"(
with gone as (
  delete from {outbox} where id in (
    select id from (select id, xid, created_at from {outbox} where id > $2::bigint order by id limit {clean_rows}) oldest
    where created_at < now() - $1::bigint * interval '1 millisecond'
      and xid < (select pg_snapshot_xmin(seen) from {reader} order by pg_snapshot_xmin(seen) limit 1))
  returning id)
select count(*), coalesce(max(id), 0) from gone)";

std::string literal_part(std::string_view text) {  // inside of '...'
  std::string out;
  for (const char c : text) out += c == '\'' ? std::string("''") : std::string(1, c);
  return out;
}

}  // namespace

OutboxSql::OutboxSql(const std::string& schema, std::int64_t row_bytes) {
  const std::string outbox = quoted_name(schema) + ".outbox";
  const auto made = [&](std::string_view text) {
    std::string out(text);
    const auto all = [&out](std::string_view name, const std::string& value) {
      for (std::size_t at = 0; (at = out.find(name, at)) != std::string::npos; at += value.size())
        out.replace(at, name.size(), value);
    };
    all("'{outbox}'", "'" + literal_part(outbox) + "'");
    all("'weir {outbox} '", "'weir " + literal_part(outbox) + " '");
    all("{outbox}", outbox);
    all("{reader}", quoted_name(schema) + ".outbox_reader");
    all("{wake}", quoted_name(schema + ".outbox"));
    all("{wake text}", "'" + literal_part(schema + ".outbox") + "'");
    all("{row_bytes}", std::to_string(row_bytes));
    all("{clean_rows}", std::to_string(kCleanRows));
    return out;
  };
  setup = made(kSetup);
  lock = made(kLock);
  holder = made(kHolder);
  enter = made(kEnter);
  place = made(kPlace);
  survey = made(kSurvey);
  renumber = made(kRenumber);
  sleep = made(kSleep);
  wake = made(kWake);
  store = made(kStore);
  prepare =
      "deallocate all; prepare " + std::string(look) + " as" + made(kLook) + "; prepare " + page + " as" + made(kPage);
  clean = made(kClean);
}

}  // namespace weir::postgres
