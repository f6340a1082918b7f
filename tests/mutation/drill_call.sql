-- The drill guard of calls.
-- breaks locks: a drill calls nothing without two signatures
alter table http_call drop constraint drill_guard;
