-- What a service needs that writes: it can neither read events nor say what is the server's to say.
grant usage on schema :"schema" to :"writer_role";
grant insert (topic, event, key, event_id, data) on :"schema".outbox to :"writer_role";
