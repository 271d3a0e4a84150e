-- What a hub needs, and nothing else. Without DELETE it removes nothing; UPDATE (xid) is for a restored database; the
-- sequence shows whether commits were lost.
grant usage on schema :"schema" to :"role";
grant select, delete, update (xid) on :"schema".outbox to :"role";
grant select, insert, update on :"schema".outbox_reader to :"role";
select pg_catalog.set_config('weir.schema', :'schema', false), pg_catalog.set_config('weir.role', :'role', false);
do $$
begin
  execute pg_catalog.format('grant select on sequence %s to %I',
    pg_catalog.pg_get_serial_sequence(pg_catalog.format('%I.outbox', pg_catalog.current_setting('weir.schema')), 'id'),
    pg_catalog.current_setting('weir.role'));
end $$;
