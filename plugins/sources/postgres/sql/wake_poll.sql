-- Nothing wakes the readers; they look every so often (`poll`). DROP TRIGGER IF EXISTS would stop all writers before it
-- looks.
select pg_catalog.set_config('weir.schema', :'schema', false);
do $$
declare place text := pg_catalog.current_setting('weir.schema');
begin
  if exists (select from pg_catalog.pg_trigger where tgname = 'outbox_wake'
      and tgrelid = pg_catalog.to_regclass(pg_catalog.format('%I.outbox', place))::pg_catalog.oid) then
    execute pg_catalog.format('drop trigger outbox_wake on %I.outbox', place);
  end if;
end $$;
drop function if exists :"schema".outbox_wake();
