-- The lock of the run alone.
-- breaks locks: it waits for whoever holds the run
select mutate('run_load', 'where x.id = run_load.run for update', 'where x.id = run_load.run');
