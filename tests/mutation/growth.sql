-- The index that finds what was sent for a step: each transition would read the whole outbox.
-- breaks growth: writing two transitions
drop index outbox_step;
