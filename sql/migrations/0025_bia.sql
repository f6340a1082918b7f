-- Business impact analysis: what a service's outage does over time, by category, at normal and at peak times; who said so; who approved
-- what of it; campaigns that ask many owners at once, and links for owners without an account.

-- The scale of an analysis. A scheme that is in use never changes again: another version is made of it.
create table bia_scheme(
  id uuid primary key default gen_random_uuid(),
  slug text not null check (slug ~ '^[a-z][a-z0-9_-]{0,31}$'), version int not null check (version > 0),
  name jsonb not null, note jsonb,
  state text not null default 'draft' check (state in ('draft','in_use','retired')),
  revision int not null default 1,
  created_at timestamptz not null, created_by uuid references person, used_at timestamptz, used_by uuid references person, retired_at timestamptz,
  unique(slug, version),
  check (state = 'draft' or used_at is not null));
create unique index bia_scheme_one_in_use on bia_scheme(slug) where state = 'in_use';
create unique index bia_scheme_one_draft on bia_scheme(slug) where state = 'draft';

create table bia_category(
  scheme_id uuid not null references bia_scheme on delete cascade, slug text not null check (slug ~ '^[a-z][a-z0-9_]{0,23}$'),
  position int not null, name jsonb not null, hint jsonb,
  anchors jsonb not null default '{}',                                  -- level -> what that level means here, {"2":{"zh":…,"en":…}}
  primary key(scheme_id, slug));
create table bia_profile(
  scheme_id uuid not null references bia_scheme on delete cascade, slug text not null check (slug ~ '^[a-z][a-z0-9_]{0,23}$'),
  position int not null, name jsonb not null, hint jsonb,
  primary key(scheme_id, slug));
create table bia_bucket(
  scheme_id uuid not null references bia_scheme on delete cascade, seconds int not null check (seconds between 60 and 31536000),
  primary key(scheme_id, seconds));
create table bia_level(
  scheme_id uuid not null references bia_scheme on delete cascade, level smallint not null check (level between 0 and 9),
  name jsonb not null, tolerable boolean not null,
  primary key(scheme_id, level));

create function bia_scheme_frozen() returns trigger language plpgsql as $$
declare wanted uuid;
begin
  if tg_table_name = 'bia_scheme' then
    if old.state <> 'draft' and (tg_op = 'DELETE'
        or (new.id, new.slug, new.version, new.name, new.note, new.created_at, new.used_at) is distinct from (old.id, old.slug, old.version, old.name, old.note, old.created_at, old.used_at)
        or new.state = 'draft') then
      raise exception 'a scheme that is in use is never changed' using errcode = '23514';
    end if;
  else
    wanted := case when tg_op = 'DELETE' then old.scheme_id else new.scheme_id end;
    if exists (select 1 from bia_scheme s where s.id = wanted and s.state <> 'draft')
       or (tg_op = 'UPDATE' and exists (select 1 from bia_scheme s where s.id = old.scheme_id and s.state <> 'draft')) then
      raise exception 'a scheme that is in use is never changed' using errcode = '23514';
    end if;
  end if;
  return case when tg_op = 'DELETE' then old else new end;
end $$;
create trigger bia_scheme_frozen before update or delete on bia_scheme for each row execute function bia_scheme_frozen();
create trigger bia_category_frozen before insert or update or delete on bia_category for each row execute function bia_scheme_frozen();
create trigger bia_profile_frozen before insert or update or delete on bia_profile for each row execute function bia_scheme_frozen();
create trigger bia_bucket_frozen before insert or update or delete on bia_bucket for each row execute function bia_scheme_frozen();
create trigger bia_level_frozen before insert or update or delete on bia_level for each row execute function bia_scheme_frozen();

-- One analysis of one service. Only a draft is edited; an approved one is replaced by the next version, never overwritten.
create table bia(
  id uuid primary key default gen_random_uuid(),
  service_id uuid not null references service, version int not null check (version > 0),
  scheme_id uuid not null references bia_scheme,
  state text not null default 'draft' check (state in ('draft','submitted','approved','superseded','discarded')),
  previous_id uuid references bia,                                      -- the approved version it is compared with
  no_change boolean not null default false,                             -- "as before" was said in one act
  rto_seconds int check (rto_seconds between 0 and 31536000), rpo_seconds int check (rpo_seconds between 0 and 31536000),
  wrt_seconds int check (wrt_seconds between 0 and 31536000),           -- from "systems are back" to "business is back"
  mbco_percent int check (mbco_percent between 0 and 100),              -- least acceptable service while it recovers
  exception_reason text, exception_until date,                          -- asked for when the objectives do not fit; the approver signs it
  -- derived from the ratings, never typed: last tolerable, first intolerable; null: not known, or beyond the last bucket
  mtpd_ok_seconds int, mtpd_bad_seconds int, derived jsonb, flags text[] not null default '{}',
  note text,
  revision int not null default 1,
  authors uuid[] not null default '{}',
  created_at timestamptz not null, changed_at timestamptz not null,
  submitted_at timestamptz, submitted_by uuid references person,
  approved_at timestamptz, approved_by uuid references person, superseded_at timestamptz,
  difference jsonb, difference_sha256 text,                             -- what the approver signed
  due date,                                                             -- of the next review, by the cadence in force at approval
  unique(service_id, version), unique(id, scheme_id),
  check (mtpd_ok_seconds < mtpd_bad_seconds),
  check (state <> 'approved' or (approved_at is not null and approved_by is not null and mtpd_ok_seconds is not null and difference is not null)),
  check (approved_by is null or (approved_by is distinct from submitted_by and not approved_by = any(authors))),
  check ((exception_reason is null) = (exception_until is null)));
create unique index bia_one_approved on bia(service_id) where state = 'approved';
create unique index bia_one_open on bia(service_id) where state in ('draft','submitted');
create index bia_strictest on bia(mtpd_ok_seconds nulls last, mtpd_bad_seconds nulls last, service_id) where state = 'approved';
create index bia_flags on bia using gin(flags) where state = 'approved';
create index bia_due_index on bia(due) where state = 'approved';
create index bia_submitted_index on bia(submitted_at) where state = 'submitted';

create function bia_frozen() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    raise exception 'an analysis is never deleted' using errcode = '23514';
  end if;
  if old.state in ('approved','superseded','discarded') and not (old.state = 'approved' and new.state = 'superseded')
     or (new.id, new.service_id, new.version, new.scheme_id, new.created_at) is distinct from (old.id, old.service_id, old.version, old.scheme_id, old.created_at)
     or old.state = 'approved' and (to_jsonb(new) - '{state,superseded_at}'::text[]) is distinct from (to_jsonb(old) - '{state,superseded_at}'::text[]) then
    raise exception 'an approved analysis is never changed' using errcode = '23514';
  end if;
  return new;
end $$;
create trigger bia_frozen before update or delete on bia for each row execute function bia_frozen();

-- One cell of the matrix: how bad it is when the outage has lasted that long. No row: nobody has said, which is not zero.
create table bia_rating(
  bia_id uuid not null, scheme_id uuid not null, profile text not null, category text not null, bucket int not null,
  level smallint not null, amount bigint check (amount >= 0), reason text,
  by uuid references person, at timestamptz not null,
  primary key(bia_id, profile, category, bucket),
  foreign key(bia_id, scheme_id) references bia(id, scheme_id),
  foreign key(scheme_id, profile) references bia_profile, foreign key(scheme_id, category) references bia_category,
  foreign key(scheme_id, bucket) references bia_bucket, foreign key(scheme_id, level) references bia_level);

create function bia_rating_frozen() returns trigger language plpgsql as $$
declare wanted uuid := case when tg_op = 'DELETE' then old.bia_id else new.bia_id end;
begin
  if not exists (select 1 from bia b where b.id = wanted and b.state = 'draft')
     or (tg_op = 'UPDATE' and new.bia_id <> old.bia_id) then
    raise exception 'only a draft is rated' using errcode = '23514';
  end if;
  return case when tg_op = 'DELETE' then old else new end;
end $$;
create trigger bia_rating_frozen before insert or update or delete on bia_rating for each row execute function bia_rating_frozen();

-- Everything that happened to an analysis, in order. link_id: the act of somebody who has no account and came by a link.
create table bia_act(
  id bigint generated always as identity primary key,
  bia_id uuid not null references bia,
  act text not null check (act in ('created','saved','copied','no_change','submitted','withdrawn','returned','approved','superseded','discarded')),
  at timestamptz not null, by uuid references person, link_id uuid, note text, data jsonb not null default '{}');
create index bia_act_of on bia_act(bia_id, id);
create trigger bia_act_append_only before update or delete on bia_act for each row execute function forbid_change();
create trigger bia_act_no_truncate before truncate on bia_act for each statement execute function forbid_change();

-- Many analyses asked for at once.
create table bia_campaign(
  id uuid primary key default gen_random_uuid(),
  name jsonb not null, note text, scheme_id uuid not null references bia_scheme,
  due date not null, link_days int not null default 30 check (link_days between 1 and 180),
  created_at timestamptz not null, created_by uuid references person, closed_at timestamptz, closed_by uuid references person);
create index bia_campaign_order on bia_campaign(created_at desc, id desc);

-- One service in a campaign, and who answers for it now. What it has come to is seen from these times and from the analysis itself.
create table bia_request(
  id uuid primary key default gen_random_uuid(),
  campaign_id uuid not null references bia_campaign, service_id uuid not null references service,
  person_id uuid references person,                                     -- null: nobody is known who could be asked
  bia_id uuid references bia,
  created_at timestamptz not null, sent_at timestamptz, opened_at timestamptz, started_at timestamptz,
  chased_at timestamptz, chases int not null default 0, returned_at timestamptz, withdrawn_at timestamptz,
  unique(campaign_id, service_id));
create index bia_request_service on bia_request(service_id, created_at desc);
create index bia_request_bia on bia_request(bia_id);

-- A link lets one person answer for one service until a day. The word in the address is this id and a signature under the site key over
-- it, the service and the day: nothing here can be turned into a link without that key.
create table bia_link(
  id uuid primary key default gen_random_uuid(),
  request_id uuid not null references bia_request, service_id uuid not null references service, person_id uuid not null references person,
  created_at timestamptz not null, created_by uuid references person, expires_at timestamptz not null,
  revoked_at timestamptz, revoked_by uuid references person, opened_at timestamptz, opens int not null default 0,
  check (expires_at > created_at));
create index bia_link_request on bia_link(request_id);

-- Who was asked, told again, replaced: append-only, as acts on an analysis are.
create table bia_request_act(
  id bigint generated always as identity primary key,
  request_id uuid not null references bia_request,
  act text not null check (act in ('asked','chased','delegated','revoked','opened','withdrawn')),
  at timestamptz not null, by uuid references person, person_id uuid references person, note text);
create index bia_request_act_of on bia_request_act(request_id, id);
create trigger bia_request_act_append_only before update or delete on bia_request_act for each row execute function forbid_change();
create trigger bia_request_act_no_truncate before truncate on bia_request_act for each statement execute function forbid_change();

-- How often this institution looks again, who said so and why. The newest row for a group of services holds; older ones stay to be read.
create table bia_cadence(
  id bigint generated always as identity primary key,
  applies_to text not null check (applies_to in ('all','important_system','vital','important','normal','low')),
  months int check (months between 1 and 60),                           -- null: taken back
  reason text not null check (length(reason) >= 10),
  set_by uuid not null references person, set_at timestamptz not null);
create index bia_cadence_latest on bia_cadence(applies_to, id desc);
create trigger bia_cadence_append_only before update or delete on bia_cadence for each row execute function forbid_change();
create trigger bia_cadence_no_truncate before truncate on bia_cadence for each statement execute function forbid_change();

-- What rules say an objective must not pass, with source and certainty; loaded from the files that come with the program.
create table ceiling(
  id text primary key check (id ~ '^[a-z0-9][a-z0-9.-]{0,63}$'),
  position int not null, body jsonb not null, loaded_at timestamptz not null);
