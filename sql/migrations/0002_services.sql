-- The register of everything that can fail, and what the public sees of it.

create table service(
  id uuid primary key default gen_random_uuid(),
  slug text not null unique check (slug ~ '^[a-z][a-z0-9_-]{0,63}$'),
  kind text not null check (kind in ('business','app','system','supplier','site','team','data')),
  name jsonb not null, description jsonb,
  owner_department jsonb, owner_id uuid references person,
  importance text not null default 'normal' check (importance in ('vital','important','normal','low')),
  important_system boolean not null default false,                      -- "important information system" in the regulator's sense
  rto_seconds int check (rto_seconds between 0 and 31536000), rpo_seconds int check (rpo_seconds between 0 and 31536000),
  app jsonb,                                                            -- apps: {kind, platforms[], stores[], versions[], filings[]}
  retired_at timestamptz,
  version int not null default 1,
  created_at timestamptz not null default clock_timestamp(), changed_at timestamptz not null default clock_timestamp(),
  check (kind = 'app' or app is null));
create index service_kind on service(kind, slug) where retired_at is null;

create table component(
  id uuid primary key default gen_random_uuid(),
  slug text not null unique check (slug ~ '^[a-z][a-z0-9_-]{0,63}$'),
  name jsonb not null, description jsonb,
  service_id uuid references service, group_id uuid references component,
  is_group boolean not null default false,                              -- a heading; it has no state of its own
  position int not null default 1,
  status text not null default 'operational'
    check (status in ('operational','degraded_performance','partial_outage','major_outage','under_maintenance')),
  start_date date not null,
  created_at timestamptz not null default clock_timestamp(), updated_at timestamptz not null default clock_timestamp());

-- Every change of a component's status: the 90-day strip and the uptime figure are computed from it.
create table component_change(
  component_id uuid not null references component, at timestamptz not null, status text not null, status_incident_id uuid,
  primary key(component_id, at));
