-- Runs called by another run, and what ties a real incident to the drill it interrupted.
alter table run add parent_occ int, add parent_key text, add check ((parent_run is null) = (parent_key is null));
create index run_parent on run(parent_run) where parent_run is not null;
-- One effect has one run that is still going: a call that is repeated finds it.
create unique index run_called on run(parent_run, parent_key) where parent_run is not null and finished_at is null;

alter table incident add stopped_drill uuid references incident, add check (stopped_drill is null or kind = 'incident');
create index incident_stopped_drill on incident(stopped_drill) where stopped_drill is not null;
