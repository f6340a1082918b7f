-- Plans on paper, the page that says whether a copy may still be trusted, and what happens when a plan is activated.

-- How long a copy may be trusted at most: until the next review, never longer than 90 days.
create or replace function plan_pack_until(p plan) returns timestamptz language sql stable as $$
  select least(app_now() + interval '90 days', greatest(plan_next_review(p)::timestamp at time zone page_zone(), app_now() + interval '7 days'))
$$;

-- 16 signs of five random bits each; letters and digits that look alike on paper are left out. Bytes of a UUID that are not random are
-- not used.
create or replace function plan_code() returns text language sql volatile as $$
  select string_agg(substr('abcdefghjkmnpqrstuvwxyz23456789z', 1 + get_byte(b, n) % 32, 1), '') from (select decode(replace(gen_random_uuid()::text, '-', '') || replace(gen_random_uuid()::text, '-', ''), 'hex') as b) x,
    unnest('{0,1,2,3,4,5,9,10,11,12,13,14,15,16,17,18}'::int[]) n
$$;

create or replace function plan_pack_state(k plan_pack) returns text language plpgsql stable as $$
declare v plan_version%rowtype;
begin
  select * into v from plan_version x where x.plan_id = k.plan_id and x.version = k.version;
  if v.state <> 'in_force' then return 'superseded'; end if;
  if k.expires_at <= app_now() or exists (select 1 from plan_now(v) n where n.cause is not null) then return 'stale'; end if;
  return 'in_force';
end $$;

create or replace function plan_pack_line(k plan_pack) returns jsonb language sql stable as $$
  select jsonb_build_object('code', k.code, 'version', k.version, 'role', k.role, 'role_name', case when k.role is not null then plan_role_name(k.role) end, 'whole', k.role is null, 'language', k.language, 'created_at', iso(k.created_at), 'created_by', person_ref(k.created_by),
    'expires_at', iso(k.expires_at), 'expired', k.expires_at <= app_now(), 'sha256', k.content_sha256, 'state', plan_pack_state(k),
    'files', (select jsonb_agg(jsonb_build_object('format', j.kind, 'state', j.state, j.state, true, 'error', j.error_key) order by j.kind) from job j where j.subject = 'PLAN-' || upper(k.code)))
$$;

-- What the check page answers, and nothing else: in_force, superseded or stale.
create or replace function plan_check(wanted text) returns jsonb language plpgsql stable as $$
declare k plan_pack%rowtype; s text;
begin
  select * into k from plan_pack x where x.code = lower(wanted);
  if not found then perform refuse('MU404', 'error.plan.pack'); end if;
  s := plan_pack_state(k);
  return jsonb_build_object('state', s, 'is', jsonb_build_object(s, true));
end $$;

-- What a pack says, before the steps of its playbooks are put in: texts in one language with the values at approval.
create or replace function plan_pack_model(slug text, role text, lang text) returns table(model jsonb, playbooks jsonb) language plpgsql stable as $$
declare p plan%rowtype := plan_named(slug); v plan_version%rowtype; facts jsonb; v_until timestamptz := plan_pack_until(p); holders jsonb;
begin
  select * into v from plan_version x where x.plan_id = p.id and x.state = 'in_force';
  if v.version is null then perform refuse('MU409', 'error.plan.not_in_force'); end if;
  if nullif(plan_pack_model.role, '') is not null and not exists (select 1 from plan_refs(v.body) r where r.kind = 'role' and r.name = plan_pack_model.role) then
    perform refuse('MU422', 'error.plan.pack_role', '/role');
  end if;
  -- on paper stands what was approved; whether it still holds is what the code is for
  select coalesce(jsonb_object_agg(x.k, jsonb_build_object('was', x.fact, 'now', x.fact)), '{}') into facts
    from (select distinct on (c.kind, c.name) c.kind || ':' || c.name as k, c.fact from plan_cited c where c.plan_id = v.plan_id and c.version = v.version) x;
  model := jsonb_build_object('paper', 'plan', 'lang', lang, 'slug', p.slug, 'kind', p.kind, 'title', v.title, 'version', v.version, 'sha256', v.content_sha256, 'approved_at', iso(v.approved_at), 'approved_by', person_ref(v.approved_by) -> 'name',
    'institution', coalesce(site_setting('site_name'), '""'), 'owner', (select q.name from person q where q.id = p.owner_id), 'expires_at', iso(v_until), 'role', nullif(plan_pack_model.role, ''),
    'role_name', case when nullif(plan_pack_model.role, '') is not null then plan_role_name(plan_pack_model.role) end,
    'mine', (select jsonb_agg(r -> 'duty') from jsonb_array_elements(v.body -> 'roles') r where r ->> 'role' = plan_pack_model.role and r ? 'duty'),
    'my_levels', (select jsonb_agg(l -> 'id' order by n) from jsonb_array_elements(v.body -> 'levels') with ordinality x(l, n) where l ->> 'authority' = plan_pack_model.role),
    'sections', (select jsonb_agg(jsonb_build_object('id', s -> 'id', 'number', n, 'title', s -> 'title', 'from', s -> 'from', 'text', plan_text(coalesce(s #>> array['text', lang], s #>> '{text,zh}', s #>> '{text,en}'), facts, lang)) order by n)
      from jsonb_array_elements(v.body -> 'sections') with ordinality x(s, n)),
    'levels', (select jsonb_agg('{"trigger":null,"lift":null,"authority":null}' || l || jsonb_build_object('severity', l -> 'id', 'authority_name', plan_role_name(l ->> 'authority'), 'holders', facts #> array['role:' || (l ->> 'authority'), 'was', 'text']) order by n) from jsonb_array_elements(v.body -> 'levels') with ordinality x(l, n)),
    'roles', (select jsonb_agg('{"duty":null}' || r || jsonb_build_object('name', plan_role_name(r ->> 'role'), 'is_mine', coalesce(r ->> 'role' = plan_pack_model.role, false), 'holders', coalesce(facts #> array['role:' || (r ->> 'role'), 'was', 'value', 'holders'], '[]'), 'text', facts #> array['role:' || (r ->> 'role'), 'was', 'text']) order by n)
      from jsonb_array_elements(v.body -> 'roles') with ordinality x(r, n)),
    'audiences', (select jsonb_agg('{"within":null,"how":null,"by":null}' || a || jsonb_build_object('by_name', case when a ? 'by' then plan_role_name(a ->> 'by') end, 'within_words', case when a ? 'within' then duration_words((a ->> 'within')::int) end, 'is_mine', coalesce(a ->> 'by' = plan_pack_model.role, false)) order by n)
      from jsonb_array_elements(v.body -> 'audiences') with ordinality x(a, n)),
    'services', (select jsonb_agg(jsonb_build_object('name', facts #> array['service:' || s, 'was', 'text'], 'objective', facts #> array['objective:' || s, 'was', 'text']) order by n) from jsonb_array_elements_text(v.body -> 'services') with ordinality x(s, n)),
    'playbooks', (select jsonb_agg(jsonb_build_object('text', facts #> array['playbook:' || (b ->> 'slug'), 'was', 'text'], 'level', b -> 'level') order by n) from jsonb_array_elements(v.body -> 'playbooks') with ordinality x(b, n)));
  playbooks := plan_playbooks(v);
  return next;
end $$;

-- Keeps a pack under a new code and orders both its files. The same pack of the same day is not made twice.
create or replace function plan_pack_store(slug text, model jsonb) returns text language plpgsql as $$
declare p plan%rowtype := plan_named(slug, true); k plan_pack%rowtype; m jsonb; v_code text;
begin
  select * into k from plan_pack x where x.plan_id = p.id and x.version = (plan_pack_store.model ->> 'version')::int and x.role is not distinct from plan_pack_store.model ->> 'role' and x.language = plan_pack_store.model ->> 'lang'
    and x.created_at > app_now() - interval '1 day' and x.model - '{code,check_url,expires_at,printed_at}'::text[] = plan_pack_store.model - '{expires_at}'::text[] order by x.created_at desc limit 1;
  if k.code is null then
    v_code := plan_code();
    m := plan_pack_store.model || jsonb_build_object('code', v_code, 'check_url', page_url() || '/plan-check/' || v_code, 'printed_at', iso(app_now()));
    insert into plan_pack(code, plan_id, version, role, language, content_sha256, model, created_at, created_by, expires_at)
      values (v_code, p.id, (m ->> 'version')::int, m ->> 'role', m ->> 'lang', m ->> 'sha256', m, app_now(), me(), (m ->> 'expires_at')::timestamptz) returning * into k;
    perform audit('plan.printed', p.slug || '/' || k.version, jsonb_strip_nulls(jsonb_build_object('role', k.role, 'code', k.code)));
  end if;
  insert into job as x(kind, subject, model, model_sha256, ordered_by, ordered_at) select f, 'PLAN-' || upper(k.code), k.model, sha256_hex(canonical(k.model)), me(), app_now() from unnest('{html,pdf}'::text[]) f
    on conflict (kind, subject, model_sha256) do update set state = case when x.state = 'failed' then 'pending' else x.state end, attempt = case when x.state = 'failed' then 0 else x.attempt end, error_key = case when x.state = 'failed' then null else x.error_key end;
  return k.code;
end $$;

create or replace function plan_pack_get(wanted text) returns jsonb language plpgsql as $$
declare k plan_pack%rowtype; p plan%rowtype;
begin
  select * into k from plan_pack x where x.code = lower(wanted);
  if not found then perform refuse('MU404', 'error.plan.pack'); end if;
  select * into p from plan x where x.id = k.plan_id;
  return plan_pack_line(k) || jsonb_build_object('plan', p.slug, 'title', k.model -> 'title', 'check_url', k.model -> 'check_url',
    'busy', exists (select 1 from job j where j.subject = 'PLAN-' || upper(k.code) and j.state in ('pending','claimed')));
end $$;

-- The bytes of a file, base64; media null while it is being made.
create or replace function plan_pack_file(wanted text, format text) returns table(body text, status int, media text, file_name text) language plpgsql stable as $$
declare j job%rowtype;
begin
  select * into j from job x where x.subject = 'PLAN-' || upper(wanted) and x.kind = plan_pack_file.format order by x.ordered_at desc limit 1;
  if not found then perform refuse('MU404', 'error.plan.pack'); end if;
  if j.state = 'failed' then perform refuse('MU409', coalesce(j.error_key, 'error.report.document')); end if;
  if j.attachment_id is null then
    return query select plan_pack_get(wanted)::text, 202, null::text, null::text;
    return;
  end if;
  return query select translate(encode(a.bytes, 'base64'), E'\n', ''), 200, a.media, (j.model ->> 'slug') || '-v' || (j.model ->> 'version') || coalesce('-' || (j.model ->> 'role'), '') || '.' || j.kind from attachment a where a.id = j.attachment_id;
end $$;

-- ---- activation ------------------------------------------------------------------------------------------------------------------------

-- The plans in force, those of the incident's services first, and what was activated already.
create or replace function plan_of_incident(ref text, form jsonb) returns jsonb language plpgsql stable as $$
declare i incident%rowtype;
begin
  select * into i from incident x where x.ref = plan_of_incident.ref;
  if i.id is null then perform refuse('MU404', 'error.incident.unknown'); end if;
  return jsonb_build_object('ref', i.ref, 'title', i.title, 'kind', i.kind, 'drill', i.kind = 'drill', 'severity', i.severity, 'closed', i.state = 'closed', 'can', i.state <> 'closed' and incident_may_command(i),
    'activated', (select coalesce(jsonb_agg(jsonb_build_object('plan', p.slug, 'title', v.title, 'version', a.version, 'level', a.level, 'at', iso(a.at), 'by', person_ref(a.by), 'note', a.note, 'roles', a.roles) order by a.at), '[]')
      from plan_activation a join plan p on p.id = a.plan_id join plan_version v on v.plan_id = a.plan_id and v.version = a.version where a.incident_id = i.id),
    'level_choices', choices(plan_levels(), coalesce(form ->> 'level', nullif(i.severity, 'none'), 'III')),
    'plans', (select coalesce(jsonb_agg(jsonb_build_object('slug', x.slug, 'kind', x.kind, 'title', x.title, 'version', x.version, 'fits', x.fits, 'stale', x.stale, 'selected', x.slug = coalesce(form ->> 'plan', ''), 'levels', x.body -> 'levels') order by x.fits desc, x.slug), '[]')
      from (select p.slug, p.kind, v.title, v.version, v.body, exists (select 1 from incident_service b join service s on s.id = b.service_id where b.incident_id = i.id and v.body -> 'services' ? s.slug) as fits,
          exists (select 1 from plan_cause c where c.plan_id = p.id and c.cleared_at is null) as stale
        from plan p join plan_version v on v.plan_id = p.id and v.state = 'in_force' order by fits desc, p.slug limit 100) x));
end $$;

-- Activates a plan at a level: fills its roles (deputies where nobody else is there), prepares the runs of its playbooks for that
-- level, and says so on the timeline. Answers {"ref","runs":[{"run","start"}]}: the caller starts them.
create or replace function plan_activate(ref text, b jsonb) returns jsonb language plpgsql as $$
declare i incident%rowtype := incident_lock(ref); p plan%rowtype; v plan_version%rowtype; v_level text := b ->> 'level'; r record; who record; runs jsonb := '[]'; v_run uuid; filled jsonb := '[]'; people jsonb;
begin
  perform incident_must_command(i);
  perform incident_must_be_open(i);
  p := plan_named(b ->> 'plan');
  select * into v from plan_version x where x.plan_id = p.id and x.state = 'in_force';
  if v.version is null then perform refuse('MU409', 'error.plan.not_in_force', '/plan'); end if;
  if exists (select 1 from plan_activation a where a.incident_id = i.id and a.plan_id = p.id and a.level = v_level) then perform refuse('MU409', 'error.plan.activated', '/level'); end if;
  for r in select e ->> 'role' as role from jsonb_array_elements(v.body -> 'roles') with ordinality x(e, n) order by n loop
    people := '[]';
    for who in select x as person from role_people(i.id, r.role) x where r.role <> 'commander' or i.commander_id is null or x = i.commander_id loop
      if incident_role_add(i.id, r.role, who.person) then
        perform timeline_add(i.id, null, 'role_added', null, jsonb_build_object('role', r.role, 'person', person_ref(who.person)));
        if r.role = 'commander' then update incident x set commander_id = coalesce(x.commander_id, who.person) where x.id = i.id returning * into i; end if;
      end if;
      people := people || person_ref(who.person);
    end loop;
    filled := filled || jsonb_build_object('role', r.role, 'name', plan_role_name(r.role), 'people', people, 'vacant', people = '[]');
  end loop;
  perform timeline_add(i.id, null, 'plan_activated', b ->> 'note', jsonb_build_object('plan', p.slug, 'title', v.title, 'version', v.version, 'level', v_level, 'sha256', v.content_sha256));
  for r in select e ->> 'slug' as slug from jsonb_array_elements(v.body -> 'playbooks') with ordinality x(e, n)
      where array_position(plan_levels(), v_level) <= array_position(plan_levels(), coalesce(e ->> 'level', 'IV'))
        and not exists (select 1 from run u join playbook q on q.id = u.playbook_id where u.incident_id = i.id and q.slug = e ->> 'slug' and u.finished_at is null and u.kind <> 'rehearsal' and u.parent_run is null)
        and exists (select 1 from playbook q join playbook_version w on w.playbook_id = q.id and w.state = 'published' where q.slug = e ->> 'slug' and q.archived_at is null) order by n loop
    v_run := run_prepare(i.id, r.slug);
    runs := runs || jsonb_build_object('run', v_run, 'start', run_start_data(v_run));
  end loop;
  insert into plan_activation(plan_id, version, incident_id, level, at, by, note, roles, runs)
    values (p.id, v.version, i.id, v_level, app_now(), me(), b ->> 'note', filled, array(select (x ->> 'run')::uuid from jsonb_array_elements(runs) x));
  update incident x set version = version + 1 where x.id = i.id;
  return jsonb_build_object('ref', i.ref, 'runs', runs);
end $$;

-- ---- what a browser keeps for the hour without a network ------------------------------------------------------------------------------

-- Addresses for one person: the plans in force they own, have a role in, or whose services they own; open incidents they have a part in.
create or replace function crisis_pack() returns jsonb language sql stable as $$
  select jsonb_build_object('at', iso(app_now()), 'until', iso(app_now() + interval '7 days'), 'person', me(), 'pages', coalesce(jsonb_agg(x.path order by x.rank, x.path), '[]')) from (
    select '/plans/' || p.slug as path, 1 as rank from plan p join plan_version v on v.plan_id = p.id and v.state = 'in_force'
      where p.owner_id = me() or exists (select 1 from plan_refs(v.body) r join role_holder h on h.role = r.name and h.person_id = me() where r.kind = 'role')
        or exists (select 1 from service s where s.owner_id = me() and v.body -> 'services' ? s.slug)
    union select '/incidents/' || i.ref, 2 from incident i join incident_role r on r.incident_id = i.id and r.person_id = me() and r.until is null where i.state <> 'closed'
    union select '/roles', 3 union select '/plans', 4) x
$$;
