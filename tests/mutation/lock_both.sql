-- Two transitions of one run at once.
-- breaks locks: a second one of the same run waits for it
select mutate('run_load', 'for update', '');
