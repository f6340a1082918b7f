-- The trigger that keeps real runs out of drills.
-- breaks guards: a drill has no real run
drop trigger run_guard on run;
