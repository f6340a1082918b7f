-- Playbooks as files with versions: drafts that people edit, submit, send back; published by a second person; never changed after that.
-- Every step of that life is a row of playbook_act. What the checker found is kept with the version; a waiver lets it pass.

create or replace function playbook_may_write() returns boolean language sql stable as $$
  select has_role('commander') or has_role('risk') or has_role('admin')
$$;
create or replace function playbook_must_write() returns void language plpgsql as $$
begin
  if not playbook_may_write() then perform refuse('MU403', 'error.playbook.role'); end if;
end $$;
create or replace function playbook_may_publish() returns boolean language sql stable as $$
  select has_role('approver') or has_role('commander') or has_role('admin')
$$;
create or replace function playbook_two_person() returns boolean language sql stable as $$
  select coalesce(setting_get('two_person'), 'true') <> 'false'
$$;

create or replace function playbook_did(playbook uuid, version int, act text, note text default null, data jsonb default '{}') returns void language sql as $$
  insert into playbook_act(playbook_id, version, act, at, by, note, data) values (playbook, version, act, app_now(), me(), nullif(note, ''), data)
$$;

-- Stores a checked document. `state` draft (import) or published (what comes with the program). The content the newest version
-- has already makes no new one. Answers slug and version.
drop function if exists playbook_store(text, jsonb, text, text, text, jsonb, text);
create function playbook_store(slug text, body jsonb, sha256 text, format text, source text, findings jsonb, state text)
returns table(playbook uuid, version int, made boolean) language plpgsql as $$
#variable_conflict use_column
declare p uuid; v playbook_version%rowtype; n int;
begin
  insert into playbook as x(slug) values (playbook_store.slug) on conflict (slug) do nothing;
  select x.id into p from playbook x where x.slug = playbook_store.slug for update;
  select * into v from playbook_version x where x.playbook_id = p order by x.version desc limit 1;
  if v.body_sha256 = playbook_store.sha256 and v.state <> 'retired' and v.readable then
    if v.state = 'draft' then
      update playbook_version x set source_text = playbook_store.source, findings = playbook_store.findings,
        revision = x.revision + case when x.source_text is distinct from playbook_store.source then 1 else 0 end
      where x.playbook_id = p and x.version = v.version and x.source_format = playbook_store.format;   -- a text of another format is not what it was made of
    end if;
    return query select p, v.version, false;
    return;
  end if;
  n := coalesce(v.version, 0) + 1;
  if playbook_store.state = 'published' then
    update playbook_version x set state = 'retired' where x.playbook_id = p and x.state = 'published';
  end if;
  insert into playbook_version(playbook_id, version, body, body_sha256, title, source_format, source_text, findings, state, created_at, created_by, published_at, published_by, authors)
  values (p, n, playbook_store.body, playbook_store.sha256, coalesce(two_languages(playbook_store.body -> 'title'), to_jsonb(playbook_store.slug)),
    playbook_store.format, playbook_store.source, coalesce(playbook_store.findings, '[]'), playbook_store.state, app_now(), me(),
    case when playbook_store.state = 'published' then app_now() end, case when playbook_store.state = 'published' then me() end, array_remove(array[me()], null));
  update playbook x set archived_at = null where x.id = p;
  perform playbook_did(p, n, 'created', null, jsonb_build_object('sha256', playbook_store.sha256));
  if playbook_store.state = 'published' then perform playbook_did(p, n, 'published'); end if;
  if me() is not null then
    perform audit('playbook.imported', playbook_store.slug || '/' || n, jsonb_build_object('sha256', playbook_store.sha256));
  end if;
  return query select p, n, true;
end $$;

-- ---- what was found, and what was waived ---------------------------------------------------------------------------------------

-- The same fault keeps its key while its line moves.
create or replace function playbook_finding_key(f jsonb) returns text language sql immutable parallel safe as $$
  select left(sha256_hex(concat_ws('|', f ->> 'id', f ->> 'path', f ->> 'message', canonical(coalesce(f -> 'args', '{}')))), 16)
$$;

-- The findings with their keys, who waived them and why; `open`: it still stands in the way (error) or was not answered (warning).
create or replace function playbook_findings(v playbook_version) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(f.f || jsonb_build_object('key', f.k, 'waived', w.list, 'has_waived', w.n > 0, 'open', f.needs = 0 or w.n < f.needs,
      'is_error', f.f ->> 'level' = 'error', 'waive', f.needs, 'needs_two', f.needs = 2,
      'can_waive', f.needs > w.n and not w.mine and v.state in ('draft','in_review') and (playbook_may_write() or playbook_may_publish())) order by f.n), '[]')
  from (select x.f, x.n, playbook_finding_key(x.f) as k, coalesce((x.f ->> 'waive')::int, case when x.f ->> 'level' = 'warning' then 1 else 0 end) as needs
        from jsonb_array_elements(v.findings) with ordinality x(f, n)) f,
  lateral (select count(*) as n, coalesce(bool_or(q.by = me()), false) as mine,
      coalesce(jsonb_agg(jsonb_build_object('by', person_ref(q.by), 'at', iso(q.at), 'reason', q.reason) order by q.at), '[]') as list
      from playbook_waiver q where q.playbook_id = v.playbook_id and q.version = v.version and q.finding = f.k) w
$$;

create or replace function playbook_blocked(v playbook_version) returns boolean language sql stable as $$
  select not v.readable or exists (select 1 from jsonb_array_elements(playbook_findings(v)) f where f ->> 'level' = 'error' and (f ->> 'open')::boolean)
$$;

create or replace function playbook_version_line(v playbook_version) returns jsonb language sql stable as $$
  select jsonb_build_object('version', v.version, 'state', v.state, 'is', jsonb_build_object(v.state, true), 'title', v.title, 'sha256', v.body_sha256, 'format', v.source_format,
    'created_at', iso(v.created_at), 'created_by', person_ref(v.created_by), 'published_at', iso(v.published_at), 'published_by', person_ref(v.published_by),
    'changed_at', iso(v.changed_at), 'changed_by', person_ref(v.changed_by), 'etag', v.version || '-' || v.revision, 'readable', v.readable,
    'discarded', v.state = 'retired' and v.published_at is null,
    'errors', (select count(*) from jsonb_array_elements(v.findings) f where f ->> 'level' = 'error'),
    'warnings', (select count(*) from jsonb_array_elements(v.findings) f where f ->> 'level' = 'warning'))
$$;

-- ---- reading ---------------------------------------------------------------------------------------------------------------------

-- Every playbook with its published version and a newer draft; bounded, for a house has dozens of them.
create or replace function playbook_list(wanted text) returns jsonb language sql stable as $$
  select jsonb_build_object('can', jsonb_build_object('import', playbook_may_write()), 'has_playbooks', count(*) > 0, 'filter', jsonb_strip_nulls(jsonb_build_object('q', wanted)),
    'playbooks', coalesce(jsonb_agg(x.line order by x.sort), '[]'))
  from (
    select jsonb_build_object('slug', p.slug, 'title', coalesce(pub.title, v.title), 'category', coalesce(pub.body, v.body) #>> '{plan,category}',
        'is_drill', coalesce(pub.body, v.body) #>> '{plan,category}' = 'exercise', 'archived', p.archived_at is not null,
        'published', case when pub.version is not null then playbook_version_line(pub) end,
        'draft', case when v.state in ('draft','in_review') then playbook_version_line(v) end,
        'runs', (select count(*) from run r where r.playbook_id = p.id), 'last_run', (select iso(max(r.created_at)) from run r where r.playbook_id = p.id)) as line,
      (case when p.archived_at is null then '0' else '1' end) || p.slug as sort
    from playbook p
    join lateral (select * from playbook_version x where x.playbook_id = p.id order by x.version desc limit 1) v on true
    left join lateral (select * from playbook_version x where x.playbook_id = p.id and x.state = 'published' order by x.version desc limit 1) pub on true
    where wanted is null or p.slug ilike '%' || wanted || '%' or v.title::text ilike '%' || wanted || '%'
    order by p.slug limit 500) x
$$;

create or replace function playbook_named(slug text, locked boolean default false) returns playbook language plpgsql as $$
declare p playbook%rowtype;
begin
  if locked then select * into p from playbook x where x.slug = playbook_named.slug for update;
  else select * into p from playbook x where x.slug = playbook_named.slug; end if;
  if p.id is null then perform refuse('MU404', 'error.playbook.unknown', '', jsonb_build_object('name', playbook_named.slug)); end if;
  return p;
end $$;

-- A version (null: the published one, else the newest).
create or replace function playbook_version_of(playbook uuid, wanted int) returns playbook_version language plpgsql stable as $$
declare v playbook_version%rowtype;
begin
  select * into v from playbook_version x where x.playbook_id = playbook_version_of.playbook and (wanted is null or x.version = wanted)
    order by (x.state = 'published') desc, x.version desc limit 1;
  if v.version is null then perform refuse('MU404', 'error.playbook.version'); end if;
  return v;
end $$;

-- The draft that is being worked on: the newest version, when it is a draft.
create or replace function playbook_open_draft(playbook uuid) returns playbook_version language sql stable as $$
  select v.* from (select * from playbook_version x where x.playbook_id = playbook order by x.version desc limit 1) v where v.state in ('draft','in_review')
$$;

-- May the caller publish it: never one of those who wrote it, where two people are asked for.
create or replace function playbook_is_mine(v playbook_version) returns boolean language sql stable as $$
  select coalesce(me() = any(v.authors) or v.created_by = me(), false)
$$;

drop function if exists playbook_get(text, int);
drop function if exists playbook_get(text, int, text);
create function playbook_get(slug text, wanted int, language text) returns table(body jsonb, document jsonb, source text, findings jsonb) language plpgsql as $$
#variable_conflict use_column
declare p playbook%rowtype; v playbook_version%rowtype; d playbook_version%rowtype; two boolean := playbook_two_person(); mine boolean; open boolean; pic playbook_picture%rowtype; found jsonb;
begin
  p := playbook_named(playbook_get.slug);
  v := playbook_version_of(p.id, wanted);
  d := playbook_open_draft(p.id);
  mine := playbook_is_mine(v);
  open := v.state in ('draft','in_review');
  found := playbook_findings(v);
  insert into playbook_picture as x(sha256, language, asked_at) values (v.body_sha256, playbook_get.language, app_now()) on conflict do nothing;
  select * into pic from playbook_picture x where x.sha256 = v.body_sha256 and x.language = playbook_get.language;
  return query select playbook_version_line(v) || jsonb_build_object('slug', p.slug, 'archived', p.archived_at is not null, 'language', v.body ->> 'language',
      'text', v.body -> 'text', 'plan', v.body -> 'plan', 'findings', found, 'has_findings', v.findings <> '[]', 'has_source', coalesce(v.source_text, '') <> '', 'has_roles', jsonb_typeof(v.body -> 'roles') = 'object' and v.body -> 'roles' <> '{}',
      'roles', (select jsonb_agg(jsonb_build_object('id', e.key, 'name', case when jsonb_typeof(e.value) = 'object' and e.value ?| array['zh','en'] then e.value else to_jsonb(e.key) end) order by e.key)
        from jsonb_each(case when jsonb_typeof(v.body -> 'roles') = 'object' then v.body -> 'roles' else '{}' end) e),
      'can', jsonb_build_object('publish', v.state = 'in_review' and playbook_may_publish() and not (two and mine),
        'publish_other', v.state = 'in_review' and two and mine, 'submit', v.state = 'draft' and playbook_may_write(),
        'withdraw', v.state = 'in_review' and (mine or playbook_may_write()), 'return', v.state = 'in_review' and playbook_may_publish(),
        'retire', v.state = 'published' and playbook_may_write(), 'discard', open and playbook_may_write(),
        'edit', playbook_may_write() and (d.version is null or d.version = v.version) and v.state in ('draft','published'),
        'import', playbook_may_write()),
      'draft_newer', case when d.version is not null and d.version <> v.version then d.version end,
      'blocked', playbook_blocked(v), 'has_open_warnings', exists (select 1 from jsonb_array_elements(found) f where f ->> 'level' = 'warning' and (f ->> 'open')::boolean), 'open_warnings', (select count(*) from jsonb_array_elements(found) f where f ->> 'level' = 'warning' and (f ->> 'open')::boolean),
      'picture', jsonb_build_object('state', pic.state, pic.state, true, 'error', pic.error_key),
      'runs', (select count(*) from run r where r.playbook_id = p.id and r.playbook_version = v.version),
      'acts', (select coalesce(jsonb_agg(jsonb_build_object('act', a.act, 'at', iso(a.at), 'by', person_ref(a.by), 'note', a.note, 'data', a.data) order by a.id desc), '[]')
        from (select * from playbook_act y where y.playbook_id = p.id and y.version = v.version order by y.id desc limit 100) a),
      'compare_with', (select max(x.version) from playbook_version x where x.playbook_id = p.id and x.version < v.version),
      'versions', (select jsonb_agg(playbook_version_line(x) || jsonb_build_object('this', x.version = v.version) order by x.version desc)
        from (select * from playbook_version y where y.playbook_id = p.id order by y.version desc limit 50) x)),
    v.body, v.source_text, found;
end $$;

-- Of what a playbook names outside itself, the things that are not here: [{"kind","name"}].
create or replace function playbook_lacks(needs jsonb) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('kind', kind, 'name', name, 'is', jsonb_build_object(kind, true)) order by kind, name), '[]') from (
    select 'role' as kind, k as name from jsonb_object_keys(case when jsonb_typeof(needs -> 'roles') = 'object' then needs -> 'roles' else '{}' end) k
      where not exists (select 1 from role_holder h join person p on p.id = h.person_id and p.active where h.role = k)
    union all select 'group', k from jsonb_array_elements_text(coalesce(needs -> 'groups', '[]')) k where not exists (select 1 from team t where t.slug = k)
    union all select 'user', k from jsonb_array_elements_text(coalesce(needs -> 'users', '[]')) k where not exists (select 1 from person t where t.login = k and t.active)
    union all select 'channel', k from jsonb_array_elements_text(coalesce(needs -> 'channels', '[]')) k
      where k not in ('email','webhook') and not exists (select 1 from endpoint e where 'webhook.' || e.slug = k and e.disabled_at is null)
    union all select 'profile', k from jsonb_array_elements_text(coalesce(needs -> 'profiles', '[]')) k where not exists (select 1 from report_profile t where t.id = k)
    union all select 'component', k from jsonb_array_elements_text(coalesce(needs -> 'components', '[]')) k where not exists (select 1 from component t where t.slug = k and not t.is_group)
    union all select 'contact', k from jsonb_array_elements_text(coalesce(needs -> 'contacts', '[]')) k where not exists (select 1 from endpoint t where t.slug = k)) x
$$;

-- Two versions for the comparison; without numbers the newest with the one before it, or with the published one.
create or replace function playbook_pair(slug text, wanted_from int, wanted_to int) returns table(body jsonb, older jsonb, newer jsonb) language plpgsql as $$
#variable_conflict use_column
declare p playbook%rowtype; a playbook_version%rowtype; b playbook_version%rowtype; n int;
begin
  p := playbook_named(playbook_pair.slug);
  select max(x.version) into n from playbook_version x where x.playbook_id = p.id;
  b := playbook_version_of(p.id, coalesce(wanted_to, n));
  a := playbook_version_of(p.id, coalesce(wanted_from,
    (select max(x.version) from playbook_version x where x.playbook_id = p.id and x.version < b.version and x.published_at is not null),
    (select max(x.version) from playbook_version x where x.playbook_id = p.id and x.version < b.version), b.version));
  return query select jsonb_build_object('slug', p.slug, 'title', b.title, 'from', playbook_version_line(a), 'to', playbook_version_line(b),
      'choices', (select jsonb_agg(jsonb_build_object('version', x.version, 'state', x.state, 'is_from', x.version = a.version, 'is_to', x.version = b.version) order by x.version desc)
        from (select * from playbook_version y where y.playbook_id = p.id order by y.version desc limit 100) x)), a.body, b.body;
end $$;

-- Runs that used a playbook, newest first; cursor = "created_at|id" of the last one shown.
create or replace function playbook_runs(slug text, wanted int, cursor text, at_most int) returns table(body jsonb, next text) language plpgsql as $$
#variable_conflict use_column
declare p playbook%rowtype; most int := coalesce(at_most, 50); v_list jsonb; v_next text;
begin
  p := playbook_named(playbook_runs.slug);
  with page as (
    select r.*, row_number() over (order by r.created_at desc, r.id desc) as n from run r
    where r.playbook_id = p.id and (wanted is null or r.playbook_version = wanted)
      and (playbook_runs.cursor is null or (r.created_at, r.id) < (split_part(playbook_runs.cursor, '|', 1)::timestamptz, split_part(playbook_runs.cursor, '|', 2)::uuid))
    order by r.created_at desc, r.id desc limit most + 1)
  select coalesce(jsonb_agg(jsonb_build_object('id', r.id, 'version', r.playbook_version, 'sha256', v.body_sha256, 'kind', r.kind, 'is_drill', r.kind <> 'incident', 'status', r.status,
      'created_at', iso(r.created_at), 'finished_at', iso(r.finished_at), 'incident', i.ref, 'incident_title', i.title) order by r.n) filter (where r.n <= most), '[]'),
    (select x.created_at || '|' || x.id from page x where x.n = most and exists (select 1 from page y where y.n > most))
  into v_list, v_next
  from page r join playbook_version v on v.playbook_id = r.playbook_id and v.version = r.playbook_version join incident i on i.id = r.incident_id;
  return query select jsonb_build_object('slug', p.slug, 'version', wanted, 'runs', v_list, 'has_runs', v_list <> '[]'), v_next;
end $$;

-- ---- editing ---------------------------------------------------------------------------------------------------------------------

-- What the editor starts from: the open draft, else the published (or newest) version. The entity tag says which, and which save of it.
create or replace function playbook_edit_get(slug text) returns table(body jsonb, document jsonb, source text, etag text) language plpgsql as $$
#variable_conflict use_column
declare p playbook%rowtype; v playbook_version%rowtype; d playbook_version%rowtype;
begin
  perform playbook_must_write();
  p := playbook_named(playbook_edit_get.slug);
  d := playbook_open_draft(p.id);
  if d.version is null then v := playbook_version_of(p.id, null); else v := d; end if;
  return query select playbook_version_line(v) || jsonb_build_object('slug', p.slug, 'from_published', d.version is null, 'in_review', v.state = 'in_review',
      'can', jsonb_build_object('save', v.state <> 'in_review'), 'findings', v.findings, 'has_findings', v.findings <> '[]'), v.body, v.source_text, v.version || '-' || v.revision;
end $$;

-- Keeps a text as the open draft, or makes the next version from it. `body` null: the text is no YAML; it is kept all the same, with the
-- document that could last be read beside it.
drop function if exists playbook_draft_save(text, text, text, jsonb, text, text, jsonb);
create function playbook_draft_save(slug text, etag text, source text, body jsonb, sha256 text, format text, findings jsonb)
returns table(version int, revision int, changed boolean) language plpgsql as $$
#variable_conflict use_column
declare p playbook%rowtype; v playbook_version%rowtype; fresh boolean; now_tag text;
begin
  perform playbook_must_write();
  p := playbook_named(playbook_draft_save.slug, true);
  v := playbook_open_draft(p.id);
  fresh := v.version is null;
  if fresh then v := playbook_version_of(p.id, null); end if;
  now_tag := v.version || '-' || v.revision;
  if playbook_draft_save.etag is not null and playbook_draft_save.etag <> '*' and playbook_draft_save.etag <> now_tag then
    perform refuse('MU412', 'error.playbook.stale', '/stale', jsonb_build_object('etag', now_tag));
  end if;
  if v.state = 'in_review' then perform refuse('MU409', 'error.playbook.in_review'); end if;
  if v.source_text is not distinct from playbook_draft_save.source and (fresh or v.findings = playbook_draft_save.findings) then
    return query select v.version, v.revision, false;
    return;
  end if;
  if fresh then
    insert into playbook_version(playbook_id, version, body, body_sha256, title, source_format, source_text, findings, state, created_at, created_by, authors, readable)
    values (p.id, (select max(x.version) + 1 from playbook_version x where x.playbook_id = p.id), coalesce(playbook_draft_save.body, v.body), coalesce(playbook_draft_save.sha256, v.body_sha256),
      coalesce(two_languages(playbook_draft_save.body -> 'title'), v.title), playbook_draft_save.format, playbook_draft_save.source, playbook_draft_save.findings, 'draft', app_now(), me(),
      array_remove(array[me()], null), playbook_draft_save.body is not null)
    returning * into v;
    perform playbook_did(p.id, v.version, 'created', null, jsonb_build_object('sha256', v.body_sha256));
    perform audit('playbook.drafted', p.slug || '/' || v.version, jsonb_build_object('sha256', v.body_sha256));
  else
    update playbook_version x set body = coalesce(playbook_draft_save.body, x.body), body_sha256 = coalesce(playbook_draft_save.sha256, x.body_sha256),
      title = coalesce(two_languages(playbook_draft_save.body -> 'title'), x.title), source_format = playbook_draft_save.format, source_text = playbook_draft_save.source,
      findings = playbook_draft_save.findings, readable = playbook_draft_save.body is not null, revision = x.revision + 1, changed_at = app_now(), changed_by = me(),
      authors = case when me() is null or me() = any(x.authors) then x.authors else x.authors || me() end
    where x.playbook_id = p.id and x.version = v.version returning * into v;
    perform playbook_did(p.id, v.version, 'changed', null, jsonb_build_object('revision', v.revision, 'sha256', v.body_sha256));
  end if;
  return query select v.version, v.revision, true;
end $$;

-- ---- the life of a version -------------------------------------------------------------------------------------------------------

create or replace function playbook_locked(slug text, wanted int) returns playbook_version language plpgsql as $$
declare p playbook%rowtype; v playbook_version%rowtype;
begin
  p := playbook_named(slug, true);
  select * into v from playbook_version x where x.playbook_id = p.id and x.version = wanted for update;
  if v.version is null then perform refuse('MU404', 'error.playbook.version'); end if;
  return v;
end $$;

-- The author asks for a look. What nobody may waive has to be mended first.
create or replace function playbook_submit(slug text, wanted int, note text) returns void language plpgsql as $$
declare v playbook_version%rowtype;
begin
  perform playbook_must_write();
  v := playbook_locked(slug, wanted);
  if v.state <> 'draft' then perform refuse('MU409', 'error.playbook.not_draft'); end if;
  if not v.readable or exists (select 1 from jsonb_array_elements(playbook_findings(v)) f where f ->> 'level' = 'error' and (f ->> 'waive')::int = 0) then
    perform refuse('MU409', 'error.playbook.findings');
  end if;
  update playbook_version x set state = 'in_review' where x.playbook_id = v.playbook_id and x.version = wanted;
  perform playbook_did(v.playbook_id, wanted, 'submitted', note);
  perform audit('playbook.submitted', slug || '/' || wanted, jsonb_strip_nulls(jsonb_build_object('note', note)));
end $$;

create or replace function playbook_withdraw(slug text, wanted int) returns void language plpgsql as $$
declare v playbook_version%rowtype;
begin
  v := playbook_locked(slug, wanted);
  if not (playbook_may_write() or playbook_is_mine(v)) then perform refuse('MU403', 'error.playbook.role'); end if;
  if v.state <> 'in_review' then perform refuse('MU409', 'error.playbook.not_in_review'); end if;
  update playbook_version x set state = 'draft' where x.playbook_id = v.playbook_id and x.version = wanted;
  perform playbook_did(v.playbook_id, wanted, 'withdrawn');
  perform audit('playbook.withdrawn', slug || '/' || wanted);
end $$;

create or replace function playbook_return(slug text, wanted int, reason text) returns void language plpgsql as $$
declare v playbook_version%rowtype;
begin
  if not playbook_may_publish() then perform refuse('MU403', 'error.playbook.publish_role'); end if;
  v := playbook_locked(slug, wanted);
  if v.state <> 'in_review' then perform refuse('MU409', 'error.playbook.not_in_review'); end if;
  update playbook_version x set state = 'draft' where x.playbook_id = v.playbook_id and x.version = wanted;
  perform playbook_did(v.playbook_id, wanted, 'returned', reason);
  perform audit('playbook.returned', slug || '/' || wanted, jsonb_build_object('reason', reason));
end $$;

-- One person lets a finding pass with a reason that is kept; where it takes two, the second is another person.
create or replace function playbook_waive(slug text, wanted int, finding text, reason text) returns void language plpgsql as $$
declare v playbook_version%rowtype; f jsonb;
begin
  if not (playbook_may_write() or playbook_may_publish()) then perform refuse('MU403', 'error.playbook.role'); end if;
  v := playbook_locked(slug, wanted);
  if v.state not in ('draft','in_review') then perform refuse('MU409', 'error.playbook.not_draft'); end if;
  select x into f from jsonb_array_elements(playbook_findings(v)) x where x ->> 'key' = finding limit 1;
  if f is null then perform refuse('MU404', 'error.playbook.finding'); end if;
  if (f ->> 'waive')::int = 0 then perform refuse('MU409', 'error.playbook.not_waivable'); end if;
  if not (f ->> 'can_waive')::boolean then perform refuse('MU409', 'error.playbook.waived'); end if;
  insert into playbook_waiver(playbook_id, version, finding, rule, by, at, reason) values (v.playbook_id, wanted, playbook_waive.finding, f ->> 'id', me(), app_now(), playbook_waive.reason);
  perform playbook_did(v.playbook_id, wanted, 'waived', reason, jsonb_build_object('rule', f ->> 'id', 'path', f ->> 'path'));
  perform audit('playbook.waived', slug || '/' || wanted, jsonb_build_object('rule', f ->> 'id', 'path', f ->> 'path', 'reason', reason));
end $$;

-- What the checker says on the day of publishing, with what is known of the house on that day; kept even when it stops the publication.
create or replace function playbook_recheck(slug text, wanted int) returns table(source text, document jsonb, state text) language plpgsql as $$
#variable_conflict use_column
declare v playbook_version%rowtype;
begin
  if not playbook_may_publish() then perform refuse('MU403', 'error.playbook.publish_role'); end if;
  v := playbook_locked(playbook_recheck.slug, wanted);
  if playbook_two_person() and playbook_is_mine(v) then perform refuse('MU403', 'error.playbook.own'); end if;
  if v.state = 'draft' then perform refuse('MU409', 'error.playbook.not_submitted'); end if;
  if v.state <> 'in_review' then perform refuse('MU409', 'error.playbook.not_in_review'); end if;
  if not v.readable then perform refuse('MU409', 'error.playbook.findings'); end if;
  return query select case when v.source_format <> 'cacao-2.0' then v.source_text end, v.body, v.state;
end $$;

-- What was found in a file of another format stays beside it. Published by a second person, never with an error left that was not waived,
-- nor with a warning nobody answered for: `let_pass` is the publisher's reason for those that are still open, kept with each of them.
-- Answers what became of it: published, or error.playbook.findings or .warnings, with the number. Earlier versions retire; runs keep the one they have.
drop function if exists playbook_publish(text, int);
drop function if exists playbook_publish(text, int, jsonb, text);
create or replace function playbook_publish(slug text, wanted int, findings jsonb, note text, let_pass text) returns table(outcome text, n int) language plpgsql as $$
#variable_conflict use_column
declare v playbook_version%rowtype; v_open jsonb; f jsonb;
begin
  v := playbook_locked(slug, wanted);
  update playbook_version x set findings = playbook_publish.findings || coalesce((select jsonb_agg(f) from jsonb_array_elements(x.findings) f where f ->> 'id' ~ '^C' and x.source_format = 'cacao-2.0'), '[]') where x.playbook_id = v.playbook_id and x.version = wanted returning * into v;
  select coalesce(jsonb_agg(distinct jsonb_build_object('key', x -> 'key', 'id', x -> 'id', 'path', x -> 'path', 'level', x -> 'level')), '[]') into v_open
  from jsonb_array_elements(playbook_findings(v)) x where (x ->> 'open')::boolean;
  if jsonb_path_exists(v_open, '$[*] ? (@.level == "error")') then return query select 'error.playbook.findings', jsonb_array_length(v_open); return; end if;
  if v_open <> '[]' and coalesce(let_pass, '') = '' then return query select 'error.playbook.warnings', jsonb_array_length(v_open); return; end if;
  for f in select x from jsonb_array_elements(v_open) x loop
    insert into playbook_waiver(playbook_id, version, finding, rule, by, at, reason) values (v.playbook_id, wanted, f ->> 'key', f ->> 'id', me(), app_now(), let_pass);
    perform playbook_did(v.playbook_id, wanted, 'waived', let_pass, jsonb_build_object('rule', f ->> 'id', 'path', f ->> 'path'));
    perform audit('playbook.waived', slug || '/' || wanted, jsonb_build_object('rule', f ->> 'id', 'path', f ->> 'path', 'reason', let_pass));
  end loop;
  update playbook_version x set state = 'retired' where x.playbook_id = v.playbook_id and x.state = 'published';
  update playbook_version x set state = 'published', published_at = app_now(), published_by = me(), approved_by = array_remove(array[me()], null)
  where x.playbook_id = v.playbook_id and x.version = wanted;
  update playbook x set archived_at = null where x.id = v.playbook_id;
  perform playbook_did(v.playbook_id, wanted, 'published', note, jsonb_build_object('sha256', v.body_sha256));
  perform audit('playbook.published', slug || '/' || wanted, jsonb_build_object('sha256', v.body_sha256, 'imported_by', v.created_by));
  return query select 'published', jsonb_array_length(v_open);
end $$;

-- Out of use: the published version, or a draft nobody wants.
drop function if exists playbook_retire(text, int);
create or replace function playbook_retire(slug text, wanted int, reason text) returns void language plpgsql as $$
declare v playbook_version%rowtype;
begin
  perform playbook_must_write();
  v := playbook_locked(slug, wanted);
  if v.state = 'retired' then perform refuse('MU409', 'error.playbook.not_published'); end if;
  update playbook_version x set state = 'retired' where x.playbook_id = v.playbook_id and x.version = wanted;
  if v.state = 'published' then update playbook x set archived_at = app_now() where x.id = v.playbook_id; end if;
  perform playbook_did(v.playbook_id, wanted, case v.state when 'published' then 'retired' else 'discarded' end, reason);
  perform audit(case v.state when 'published' then 'playbook.retired' else 'playbook.discarded' end, slug || '/' || wanted, jsonb_build_object('reason', reason));
end $$;

-- What `muster playbook pull` writes: the newest version of each playbook that is in use or being worked on.
create or replace function playbook_files(only_published boolean) returns table(slug text, version int, state text, sha256 text, format text, source text, document jsonb, readable boolean) language sql stable as $$
  select p.slug, v.version, v.state, v.body_sha256, v.source_format, v.source_text, v.body, v.readable
  from playbook p join lateral (select * from playbook_version x where x.playbook_id = p.id and (x.state = 'published' or (not only_published and x.state in ('draft','in_review')))
    order by x.version desc limit 1) v on true
  order by p.slug
$$;

-- A version with its text, for files and printed pages.
create or replace function playbook_whole(slug text, wanted int) returns table(body jsonb, document jsonb, source text, format text, sha256 text) language plpgsql as $$
declare p playbook%rowtype; v playbook_version%rowtype;
begin
  p := playbook_named(slug);
  v := playbook_version_of(p.id, wanted);
  return query select playbook_version_line(v) || jsonb_build_object('slug', p.slug,
      'history', (select coalesce(jsonb_agg(playbook_version_line(x) order by x.version desc), '[]') from (select * from playbook_version y where y.playbook_id = p.id and y.published_at is not null order by y.version desc limit 20) x),
      'drills', (select coalesce(jsonb_agg(jsonb_build_object('ref', i.ref, 'title', i.title, 'at', iso(r.created_at), 'finished_at', iso(r.finished_at), 'version', r.playbook_version, 'status', r.status) order by r.created_at desc), '[]')
        from (select * from run y where y.playbook_id = p.id and y.kind = 'drill' order by y.created_at desc limit 20) r join incident i on i.id = r.incident_id),
      'holders', (select coalesce(jsonb_object_agg(h.role, h.list), '{}') from (select x.role, jsonb_agg(jsonb_build_object('name', q.name, 'deputy', x.deputy) order by x.deputy, x.position) as list
        from role_holder x join person q on q.id = x.person_id and q.active where jsonb_typeof(v.body -> 'roles') = 'object' and v.body -> 'roles' ? x.role group by x.role) h)),
    v.body, v.source_text, v.source_format, v.body_sha256;
end $$;

-- ---- pictures --------------------------------------------------------------------------------------------------------------------

create or replace function playbook_picture_get(slug text, wanted int, language text) returns table(svg text, state text, error text) language plpgsql as $$
#variable_conflict use_column
declare p playbook%rowtype; v playbook_version%rowtype;
begin
  p := playbook_named(playbook_picture_get.slug);
  v := playbook_version_of(p.id, wanted);
  insert into playbook_picture as x(sha256, language, asked_at) values (v.body_sha256, playbook_picture_get.language, app_now()) on conflict do nothing;
  return query select x.svg, x.state, x.error_key from playbook_picture x where x.sha256 = v.body_sha256 and x.language = playbook_picture_get.language;
end $$;
