-- From now on rows are kept for this reader.
insert into :"schema".outbox_reader (reader, seen) values (:'reader', '1:1:') on conflict (reader) do nothing;
