-- Nothing wakes the readers; they look every so often (`poll`).
drop trigger if exists outbox_wake on :"schema".outbox;
drop function if exists :"schema".outbox_wake();
