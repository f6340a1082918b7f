-- The lock of the incident alone: runs that call each other could lock each other out.
-- breaks locks: and for whoever holds its incident
select mutate('run_load', 'where x.id = run_load.run) for update', 'where x.id = run_load.run)');
