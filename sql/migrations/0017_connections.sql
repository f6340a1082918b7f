-- Systems a playbook may call, the sealed values such calls need, and each call that was asked for.

create table connection(
  id uuid primary key default gen_random_uuid(),
  slug text not null unique check (slug ~ '^[a-z][a-z0-9_-]{0,63}$'),
  name jsonb not null,
  base_url text not null,
  drill_url text,                                                       -- the twin a drill may call; null: a drill never calls it
  methods text[] not null default '{GET}' check (methods <@ '{GET,HEAD,POST,PUT,PATCH,DELETE}'::text[] and methods <> '{}'),
  headers text not null default '',                                     -- "Name: value" lines; {{name}} stands for a sealed value
  disabled_at timestamptz,
  version int not null default 1, created_at timestamptz not null default clock_timestamp());

-- Passwords and tokens, sealed with the site key: written and replaced, never shown.
create table secret(
  name text primary key check (name ~ '^[a-z][a-z0-9_]{0,63}$'),
  sealed text not null, note text,
  version int not null default 1, created_at timestamptz not null, changed_at timestamptz not null, changed_by uuid references person);

-- One call a run asked for. The answer itself is an event of the run.
create table http_call(
  id bigint generated always as identity primary key,
  kind text not null check (kind in ('incident','drill','rehearsal')),
  run_id uuid not null, path text not null, occ int not null,
  connection text not null,
  idem_key text not null unique,                                        -- the same for every attempt: Idempotency-Key
  delivery text not null check (delivery in ('send','simulate')),
  permit_id uuid references permit,
  effect text not null check (effect in ('idempotent','once')),
  request jsonb not null,
  state text not null default 'pending' check (state in ('pending','claimed','done','failed','unknown','simulated','cancelled')),
  attempt int not null default 0, claim_token bigint not null default 0, claimed_by text, lease_until timestamptz,
  started_at timestamptz,                                               -- set just before a `once` call leaves
  created_at timestamptz not null, done_at timestamptz, last_status int, last_error text,
  foreign key(run_id, kind) references run(id, kind),
  -- a drill calls nothing without two signatures, a rehearsal never
  constraint drill_guard check (kind = 'incident' or delivery = 'simulate' or (kind = 'drill' and permit_id is not null)));
create index http_call_ready on http_call(id) where state = 'pending';
create index http_call_lease on http_call(lease_until) where state = 'claimed';
create index http_call_run on http_call(run_id);
create index http_call_connection on http_call(connection, id);

create table http_attempt(
  call_id bigint not null references http_call, attempt int not null, at timestamptz not null,
  outcome text not null check (outcome in ('answered','failed','unknown')), status int, error text, ms int,
  primary key(call_id, attempt));

-- A permit is asked for by one person and signed by another; until then it permits nothing.
alter table permit alter second_by drop not null, add reason text, add created_at timestamptz not null default clock_timestamp();
create index permit_run on permit(run_id);
