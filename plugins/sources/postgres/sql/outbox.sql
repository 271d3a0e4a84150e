-- The outbox of Weir: what is inserted into it is published when its transaction commits.
--
--   insert into weir.outbox (topic, event, key, data) values ('orders/7', 'paid', '7', '{"n":1}');
--
-- PostgreSQL 13 and newer. By hand: psql -v schema=weir -f outbox.sql; it may be run again at any time.
create schema if not exists :"schema";

create table if not exists :"schema".outbox (
  topic      text not null,
  event      text not null default 'message',
  key        text,
  event_id   text,
  data       json,
  created_at timestamptz not null default now(),
  xid        xid8 not null default pg_current_xact_id(),
  -- The last column: its number is taken after everything else of the row was worked out, so it is larger than that of
  -- every row that those expressions could see. CACHE 1: sessions with numbers in reserve would give out smaller ones
  -- later. Readers count on both.
  id         bigint generated always as identity (cache 1) primary key
);

comment on table :"schema".outbox is 'What Weir publishes. Rows become events when their transaction commits.';

-- By which readers find what was committed since they looked last. CREATE INDEX IF NOT EXISTS would stop all writers
-- before it looks whether there is anything to do. A setting carries the name into the block: psql looks into no $$.
select pg_catalog.set_config('weir.schema', :'schema', false);
do $$
declare place text := pg_catalog.current_setting('weir.schema');
begin
  if pg_catalog.to_regclass(pg_catalog.format('%I.outbox_xid_id', place)) is null then
    execute pg_catalog.format('create index outbox_xid_id on %I.outbox (xid, id)', place);
  end if;
end $$;

-- How far each reader is. Rows are kept until all of them have passed: delete the row of a reader that is no more.
create table if not exists :"schema".outbox_reader (
  reader     text primary key,
  seen       pg_snapshot not null,       -- it has every row that is visible in this snapshot
  reading    pg_snapshot,                -- and of those visible in this one the ones up to last_id
  last_id    bigint not null default 0,
  top_id     bigint not null default 0,  -- the greatest id that it has had
  cluster    text,                       -- where these transaction ids mean something
  holder     text,                       -- which process wrote this
  updated_at timestamptz not null default now(),
  top_xid    xid8                        -- of the row with top_id
);
alter table :"schema".outbox_reader add column if not exists top_xid xid8;  -- to a table of before

-- After a restore from a dump the numbers of transactions are those of another cluster. Rows with one that is still to
-- come here count as written now. Without such rows this does nothing.
update :"schema".outbox set xid = pg_current_xact_id() where xid >= pg_snapshot_xmax(pg_current_snapshot());
