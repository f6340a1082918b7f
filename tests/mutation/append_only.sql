-- The trigger that keeps events as they were.
-- breaks guards: events of a run do not change
drop trigger run_event_append_only on run_event;
