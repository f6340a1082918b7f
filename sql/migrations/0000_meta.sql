-- What has been applied. Run before every migration, so it must be safe to run again; it is not listed in its own table.
create table if not exists schema_change(
  name text primary key,                      -- migrations/0001_people.sql, functions/100_timeline.sql
  number int not null,                        -- 0 for a function file
  sha256 text not null,
  applied_at timestamptz not null default clock_timestamp(),
  program text not null);
