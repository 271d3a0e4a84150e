-- Wakes the readers when something was written. Its price: transactions that notify commit one after the other, because
-- the server keeps their messages in the order of commits.
create or replace function :"schema".outbox_wake() returns trigger language plpgsql as $$
begin
  perform pg_notify(tg_table_schema || '.' || tg_table_name, '');
  return null;
end $$;
drop trigger if exists outbox_wake on :"schema".outbox;
create trigger outbox_wake after insert on :"schema".outbox for each statement execute function :"schema".outbox_wake();
