-- What a hub needs, and nothing else. Without DELETE it removes nothing; UPDATE (xid) is for a restored database.
grant usage on schema :"schema" to :"role";
grant select, delete, update (xid) on :"schema".outbox to :"role";
grant select on sequence :"schema".outbox_id_seq to :"role";
grant select, insert, update on :"schema".outbox_reader to :"role";
