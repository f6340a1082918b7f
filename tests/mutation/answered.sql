-- A repeated command is not recognised.
-- breaks locks: a key that was answered knows its answer
select mutate('run_load', 'and c.key = run_load.key', 'and false');
