-- The key of an event: the same one is taken twice.
-- breaks locks: one event from outside is taken once
drop index run_event_dedupe;
