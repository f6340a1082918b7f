-- The key of a command: the same one is written twice.
-- breaks locks: one command has one key
alter table command drop constraint command_pkey;
