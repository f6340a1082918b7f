-- The public status page, and the drafts for regulators.

-- What the public is told of an incident. A drill cannot have one: the composite key and the check see to it.
create table status_incident(
  id uuid primary key default gen_random_uuid(), code text not null unique,          -- short opaque code in public URLs
  incident_id uuid not null, incident_kind text not null default 'incident' check (incident_kind = 'incident'),
  title jsonb not null,
  status text not null default 'investigating' check (status in ('investigating','identified','monitoring','resolved','postmortem')),
  impact text not null default 'minor' check (impact in ('none','minor','major','critical')),
  started_at timestamptz not null, monitoring_at timestamptz, resolved_at timestamptz,
  created_at timestamptz not null, updated_at timestamptz not null,
  unique(incident_id),
  foreign key(incident_id, incident_kind) references incident(id, kind));
create index status_incident_recent on status_incident(created_at desc);
create index status_incident_unresolved on status_incident(created_at desc) where resolved_at is null;

create table status_update(
  id uuid primary key default gen_random_uuid(), status_incident_id uuid not null references status_incident,
  status text not null, body jsonb not null, affected jsonb not null default '[]',   -- [{component, old_status, new_status}]
  created_at timestamptz not null, display_at timestamptz not null, created_by uuid);
create index status_update_of on status_update(status_incident_id, display_at desc);

-- Report profiles as loaded from playbooks/regulators; a change is a new version.
create table report_profile(
  id text not null, version int not null, body jsonb not null, body_sha256 text not null, loaded_at timestamptz not null,
  primary key(id, version));

create table report(
  id uuid primary key default gen_random_uuid(), ref text not null unique,            -- RPT-2026-0007
  incident_id uuid not null, incident_kind text not null,
  profile text not null, profile_version int not null, stage text not null,
  number int not null default 1,                                                       -- progress reports: 1, 2, …
  state text not null default 'draft' check (state in ('draft','approved','sent','filed','not_reportable')),
  level text, certainty text,                                                          -- classification result and its certainty
  anchor text, anchor_at timestamptz, due_at timestamptz, due_certainty text,
  fields jsonb not null default '{}',                                                  -- {id: {value, provenance, by, at}}
  classification jsonb not null default '{}',                                          -- facts used, rules met, facts missing
  run_id uuid, path text, occ int,
  created_at timestamptz not null, created_by uuid, changed_at timestamptz not null,
  approved_by uuid references person, approved_at timestamptz, frozen jsonb, frozen_sha256 text,
  sent_at timestamptz, message_id uuid references message,
  filed_at timestamptz, filing jsonb,                                                  -- {number, channel, note, by}
  recheck_at timestamptz default '-infinity',                                          -- when facts and anchors are read again; null: never
  version int not null default 1,
  unique(incident_id, profile, stage, number),
  foreign key(profile, profile_version) references report_profile,
  foreign key(incident_id, incident_kind) references incident(id, kind),
  -- a drill's report is never filed and never sent
  check (incident_kind = 'incident' or state in ('draft','approved','not_reportable')));
create index report_incident on report(incident_id);
create index report_list on report(created_at desc, id);
create index report_recheck on report(recheck_at) where recheck_at is not null;

-- Facts or times of an incident changed: its drafts are looked at again soon.
create function report_recheck() returns trigger language plpgsql as $$
begin
  update report r set recheck_at = '-infinity' where r.incident_id = new.id and r.state = 'draft';
  return null;
end $$;
create trigger incident_report_recheck after update of facts, occurred_at, detected_at, resolved_at on incident
  for each row when ((old.facts, old.occurred_at, old.detected_at, old.resolved_at) is distinct from
                     (new.facts, new.occurred_at, new.detected_at, new.resolved_at)) execute function report_recheck();

-- The public page keeps its name in the interface of the status page however often it is renamed.
insert into setting(key, value) values ('page_id', to_jsonb(left(replace(gen_random_uuid()::text, '-', ''), 12)));
