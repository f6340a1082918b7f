-- The clock of a drill or a rehearsal: it may run faster, stand still, and leap forward, never back. A real run has no clock of its own;
-- the table's check says the same.

-- Run time and real time of a run. In a real run they are the same; a drill's clock may be shifted, sped up or stopped.
create or replace function run_sim(r run, at timestamptz) returns timestamptz language sql stable as $$
  select to_ms(r.clock_ref_sim + (at - r.clock_ref_real) * r.clock_speed::float8)
$$;
create or replace function run_real(r run, at timestamptz) returns timestamptz language sql stable as $$
  select case when r.clock_speed > 0 then to_ms(r.clock_ref_real + (at - r.clock_ref_sim) / r.clock_speed::float8) end
$$;

-- When something of this transition really happened: the clock of a drill is no measure of it, for it may have been moved since.
create or replace function run_stamp(r run, at timestamptz, now timestamptz) returns timestamptz language sql immutable as $$
  select case when at is null then null when r.kind = 'incident' then at else now end
$$;

-- All runs that share a clock: the run, those it was called by, and those called by them.
create or replace function run_family(run uuid) returns setof run language sql stable as $$
  with recursive up as (
    select r.* from run r where r.id = run_family.run union all select p.* from up join run p on p.id = up.parent_run),
  down as (
    select u.* from up u where u.parent_run is null union all select c.* from down join run c on c.parent_run = down.id)
  select d.* from down d where d.finished_at is null
$$;

create or replace function run_clock_due(runs uuid[]) returns timestamptz language sql stable as $$
  select min(t.due_sim) from timer t where t.run_id = any(runs) and t.state = 'armed'
$$;

-- body: speed (absent: as it is), leap (seconds forward), next (leap to the next moment at which something is due), reason. Gives, for each
-- run, the event it learns by: [{"run","event"}], callers first.
create or replace function run_clock(run uuid, body jsonb) returns jsonb language plpgsql as $$
declare
  r run%rowtype; v_ref text; v_runs uuid[]; v_now timestamptz := to_ms(app_now()); v_sim timestamptz; v_speed numeric := (body ->> 'speed')::numeric; v_leap numeric; v_due timestamptz;
begin
  perform run_duty(run_clock.run);
  select x.* into r from run x where x.id = run_clock.run for update;
  if r.kind = 'incident' then perform refuse('MU409', 'error.run.clock_real', ''); end if;
  if r.finished_at is not null then perform refuse('MU409', 'error.run.over', ''); end if;
  v_runs := array(select f.id from run_family(r.id) f order by f.depth, f.created_at, f.id);
  perform 1 from run x where x.id = any(v_runs) order by x.depth, x.id for update;
  v_sim := run_sim(r, v_now);
  v_speed := coalesce(v_speed, r.clock_speed);
  v_leap := coalesce((body ->> 'leap')::numeric, 0);
  if coalesce((body ->> 'next')::boolean, false) then
    v_due := run_clock_due(v_runs);
    if v_due is null then perform refuse('MU409', 'error.run.clock_nothing', ''); end if;
    v_leap := greatest(v_leap, ceil(extract(epoch from v_due - v_sim) * 1000) / 1000);
  end if;
  if v_leap < 0 or v_leap > 2592000 then perform refuse('MU422', 'error.run.leap', '/leap'); end if;
  if v_leap = 0 and v_speed = r.clock_speed then perform refuse('MU422', 'error.run.clock_same', '/speed'); end if;
  update run x set clock_ref_sim = run_sim(x, v_now) + make_interval(secs => v_leap::float8), clock_ref_real = v_now, clock_speed = v_speed where x.id = any(v_runs);
  update timer t set due_real = run_real(x, t.due_sim) from run x where t.run_id = x.id and x.id = any(v_runs) and t.state = 'armed';
  update run_step s set due_at = run_real(x, (s.detail ->> 'due_at')::timestamptz) from run x
    where s.run_id = x.id and x.id = any(v_runs) and s.ended_at is null and s.detail ? 'due_at';
  return (select jsonb_agg(jsonb_build_object('run', id, 'event', jsonb_build_object('kind', 'clock_changed', 'reason', body -> 'reason', 'data',
      jsonb_build_object('speed', v_speed, 'leap', v_leap, 'was', jsonb_build_object('speed', r.clock_speed, 'at', iso(v_sim))))) order by n)
    from unnest(v_runs) with ordinality x(id, n));
end $$;

-- The clock as the run's page shows it; null for a real run.
create or replace function run_clock_view(r run) returns jsonb language sql stable as $$
  select case when r.kind <> 'incident' then jsonb_build_object('speed', trim_scale(r.clock_speed), 'stopped', r.clock_speed = 0, 'real', r.clock_speed = 1, 'now', iso(run_sim(r, app_now())),
    'next', (select iso(min(t.due_sim)) from timer t where t.run_id = r.id and t.state = 'armed')) end
$$;
