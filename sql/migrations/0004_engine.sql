-- The durable engine: immutable playbook versions, runs, their events, steps, timers and effects.

create table playbook(
  id uuid primary key default gen_random_uuid(), slug text not null unique, archived_at timestamptz);

create table playbook_version(
  playbook_id uuid not null references playbook, version int not null,
  body jsonb not null, body_sha256 text not null,                       -- RFC 8785 form, hex
  title jsonb not null,
  source_format text not null check (source_format in ('muster-yaml','muster-json','cacao-2.0')),
  source_text text,
  findings jsonb not null default '[]',
  state text not null check (state in ('draft','in_review','published','retired')),
  created_at timestamptz not null default clock_timestamp(), created_by uuid references person,   -- null: came with the program
  published_at timestamptz, published_by uuid references person, approved_by uuid[] not null default '{}',
  primary key(playbook_id, version));
create index playbook_version_published on playbook_version(playbook_id, version desc) where state = 'published';

-- A published version never changes and never becomes a draft again; a correction is a new version.
create function playbook_version_guard() returns trigger language plpgsql as $$
begin
  if old.state in ('published','retired') and (new.state not in ('published','retired')
     or (new.body, new.body_sha256, new.source_format, new.source_text) is distinct from
        (old.body, old.body_sha256, old.source_format, old.source_text)) then
    raise exception 'a published playbook version never changes' using errcode = '23514';
  end if;
  return new;
end $$;
create trigger playbook_version_immutable before update on playbook_version for each row execute function playbook_version_guard();

create table run(
  id uuid primary key default gen_random_uuid(),
  incident_id uuid not null, kind text not null check (kind in ('incident','drill','rehearsal')),
  playbook_id uuid not null, playbook_version int not null,
  parent_run uuid references run, parent_path text, depth int not null default 0 check (depth <= 8),
  status text not null check (status in ('running','paused','waiting','succeeded','failed','aborted')),
  engine_version int not null, seq bigint not null default 0, last_hash text not null, state jsonb not null,
  clock_ref_real timestamptz not null, clock_ref_sim timestamptz not null,
  clock_speed numeric(8,3) not null default 1 check (clock_speed >= 0 and clock_speed <= 1000),
  created_at timestamptz not null, finished_at timestamptz,
  unique(id, kind),
  foreign key(playbook_id, playbook_version) references playbook_version,
  -- a run has the kind of its incident; only a rehearsal may differ, and a rehearsal is never real
  foreign key(incident_id) references incident,
  -- the clock of a real run is neither shifted nor sped up
  check (kind <> 'incident' or (clock_speed = 1 and clock_ref_real = clock_ref_sim)));
create index run_incident on run(incident_id);
create index run_open on run(status) where finished_at is null;

create function run_guard() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' and new.kind <> old.kind then
    raise exception 'the kind of a run never changes' using errcode = '23514';
  end if;
  if tg_op = 'INSERT' and new.kind = 'incident' and (select i.kind from incident i where i.id = new.incident_id) <> 'incident' then
    raise exception 'a drill has no real run' using errcode = '23514';
  end if;
  return new;
end $$;
create trigger run_guard before insert or update of kind on run for each row execute function run_guard();

create table run_event(
  run_id uuid not null references run, seq bigint not null, at_real timestamptz not null, at_sim timestamptz not null,
  kind text not null, path text, occ int,
  actor_kind text not null check (actor_kind in ('user','system','timer','effect','api')), actor uuid,
  reason text, dedupe_key text, body jsonb not null, prev_hash text not null, hash text not null,
  primary key(run_id, seq));
create unique index run_event_dedupe on run_event(run_id, dedupe_key) where dedupe_key is not null;
create trigger run_event_append_only before update or delete on run_event for each row execute function forbid_change();
create trigger run_event_no_truncate before truncate on run_event for each statement execute function forbid_change();

create table run_step(
  run_id uuid not null references run, path text not null, occ int not null, step_id text not null, kind text not null,
  position int not null default 0, status text not null
    check (status in ('pending','ready','active','waiting','done','failed','skipped','cancelled','overridden','expired','unknown')),
  role text, assignee uuid references person, title jsonb, detail jsonb not null default '{}',   -- items, options, text, evidence asked: what the screen needs
  due_at timestamptz, started_at timestamptz, ended_at timestamptz, started_seq bigint, ended_seq bigint, result jsonb,
  primary key(run_id, path, occ));
create index run_step_open on run_step(run_id) where ended_at is null;

create table timer(
  id bigint generated always as identity primary key,
  run_id uuid not null references run, path text not null, occ int not null, kind text not null,
  due_sim timestamptz not null, due_real timestamptz, data jsonb not null default '{}',
  state text not null default 'armed' check (state in ('armed','fired','cancelled')), fired_seq bigint);
create index timer_due on timer(due_real) where state = 'armed';
create index timer_step on timer(run_id, path, occ) where state = 'armed';

-- Idempotent commands to a run: the same key and body give the same answer; another body is a conflict.
create table command(
  run_id uuid not null references run, key text not null, actor uuid, body_sha256 text not null, result jsonb,
  at timestamptz not null default clock_timestamp(),
  primary key(run_id, key));

-- Two people may let a drill really send to drill-safe endpoints of one channel, for a time.
create table permit(
  id uuid primary key default gen_random_uuid(), run_id uuid not null references run, channel text not null,
  signed_by uuid not null references person, second_by uuid not null references person, until timestamptz not null,
  check (signed_by <> second_by));

create table instance(name text primary key, process text not null, version text not null, started_at timestamptz not null, seen_at timestamptz not null);
