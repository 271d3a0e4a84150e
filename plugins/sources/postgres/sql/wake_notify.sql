-- Wakes a reader that sleeps when something was written. Transactions that notify commit one after the other, because the
-- server keeps their messages in the order of commits; so nobody does while the reader is awake. A reader that sleeps
-- holds this advisory lock, and gets it only when no transaction is under way that has found it awake; then it looks once
-- more.
-- It runs with the rights and the search_path of whoever writes: every name in it is qualified, and it has no operators.
create or replace function :"schema".outbox_wake() returns trigger language plpgsql as $$
begin
  if not pg_catalog.pg_try_advisory_xact_lock_shared(1466263922, tg_relid::pg_catalog.int4) then  -- "Weir"
    perform pg_catalog.pg_notify(pg_catalog.format('%s.%s', tg_table_schema, tg_table_name), '');
  end if;
  return null;
end $$;
-- A trigger that is there stays: making one stops all writers.
select pg_catalog.set_config('weir.schema', :'schema', false);
do $$
declare place text := pg_catalog.current_setting('weir.schema');
begin
  if not exists (select from pg_catalog.pg_trigger where tgname = 'outbox_wake'
      and tgrelid = pg_catalog.to_regclass(pg_catalog.format('%I.outbox', place))::pg_catalog.oid) then
    execute pg_catalog.format('create trigger outbox_wake after insert on %I.outbox for each statement '
                              'execute function %I.outbox_wake()', place, place);
  end if;
end $$;
