-- Emergency plans: what a plan may cite, how a text with citations reads, and the life of a plan from its template to the version in force.

-- ---- what a plan may cite --------------------------------------------------------------------------------------------------------

create or replace function plan_fact_kinds() returns text[] language sql immutable as $$
  select '{person,role,team,service,supplier,objective,playbook,drill,report}'::text[]
$$;

-- Seconds as people say them, in both languages: days, hours, minutes, seconds; parts that are nothing are left out.
create or replace function duration_words(seconds int) returns jsonb language sql immutable as $$
  select case when seconds is null then jsonb_build_object('zh', '未定', 'en', 'not set') when seconds = 0 then jsonb_build_object('zh', '0', 'en', '0')
    else jsonb_build_object(
      'zh', concat(nullif(seconds / 86400, 0) || '天', nullif(seconds % 86400 / 3600, 0) || '小时', nullif(seconds % 3600 / 60, 0) || '分钟', nullif(seconds % 60, 0) || '秒'),
      'en', concat_ws(' ', nullif(seconds / 86400, 0) || ' d', nullif(seconds % 86400 / 3600, 0) || ' h', nullif(seconds % 3600 / 60, 0) || ' min', nullif(seconds % 60, 0) || ' s')) end
$$;

create or replace function plan_language(texts jsonb, lang text) returns text language sql immutable parallel safe as $$
  select case jsonb_typeof(texts) when 'string' then texts #>> '{}'
    else coalesce(nullif(texts ->> lang, ''), nullif(texts ->> 'zh', ''), texts ->> 'en', '') end
$$;

-- A person with job title, in one language.
create or replace function plan_person(p person, lang text) returns text language sql stable as $$
  select plan_language(p.name, lang) || case when nullif(plan_language(p.title, lang), '') is null then ''
    when lang = 'zh' then '（' || plan_language(p.title, 'zh') || '）' else ' (' || plan_language(p.title, 'en') || ')' end
$$;

-- People of a list of holders, the first ones before their deputies; nobody is said in words.
create or replace function plan_people(holders jsonb, lang text) returns text language sql stable as $$
  select case when jsonb_array_length(coalesce(holders, '[]')) = 0 then case lang when 'zh' then '空缺' else 'vacant' end
    else concat_ws(case lang when 'zh' then '，后备' else ', deputy ' end,
      coalesce((select string_agg(plan_language(h -> 'name', lang), case lang when 'zh' then '、' else ', ' end order by n)
        from jsonb_array_elements(holders) with ordinality x(h, n) where not (h ->> 'deputy')::boolean), case lang when 'zh' then '空缺' else 'vacant' end),
      (select string_agg(plan_language(h -> 'name', lang), case lang when 'zh' then '、' else ', ' end order by n)
        from jsonb_array_elements(holders) with ordinality x(h, n) where (h ->> 'deputy')::boolean)) end
$$;

create or replace function plan_holders(wanted text) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', p.id, 'login', p.login, 'name', p.name, 'deputy', h.deputy,
      'email', (select e.address from endpoint e where e.person_id = p.id and e.kind = 'email' and e.disabled_at is null order by e.created_at, e.id limit 1))
    order by h.deputy, h.position, p.login), '[]')
  from role_holder h join person p on p.id = h.person_id and p.active where h.role = wanted
$$;

-- The name of a role as the published playbooks spell it.
create or replace function plan_role_name(wanted text) returns jsonb language sql stable as $$
  select coalesce((select jsonb_build_object('zh', v.body #> array['roles', wanted, 'zh'], 'en', v.body #> array['roles', wanted, 'en'])
    from playbook_version v where v.state = 'published' and v.body #>> array['roles', wanted, 'zh'] is not null order by v.published_at desc nulls last, v.playbook_id limit 1), to_jsonb(wanted))
$$;

-- The last drill that used a playbook of this name, else the last one in which a service of this name was affected.
create or replace function plan_last_drill(wanted text) returns jsonb language sql stable as $$
  select x.d from (
    select jsonb_build_object('ref', i.ref, 'title', i.title, 'at', iso(r.finished_at), 'failed', r.status <> 'succeeded') as d, 1 as rank, r.finished_at as at
      from playbook b join run r on r.playbook_id = b.id and r.kind = 'drill' and r.finished_at is not null join incident i on i.id = r.incident_id where b.slug = wanted
    union all
    select jsonb_build_object('ref', i.ref, 'title', i.title, 'at', iso(i.closed_at), 'failed', i.resolved_at is null), 2, i.closed_at
      from service s join incident_service b on b.service_id = s.id join incident i on i.id = b.incident_id and i.kind = 'drill' and i.state = 'closed' where s.slug = wanted) x
  order by x.rank, x.at desc limit 1
$$;

-- One thing a plan may cite: {"kind","name","known","text":{zh,en},"value":{…},"at","path"}. `value` is what counts when it is asked
-- whether the thing is still as it was; `at` is when it last changed, where that is known. Null: no such kind.
create or replace function plan_fact(kind text, name text) returns jsonb language plpgsql stable as $$
declare p person%rowtype; s service%rowtype; d jsonb; v record; f jsonb; t jsonb;
begin
  if kind <> all(plan_fact_kinds()) then return null; end if;
  f := jsonb_build_object('kind', kind, 'name', name, 'known', true);
  case kind
    when 'person' then
      select * into p from person x where x.login = plan_fact.name or x.id::text = plan_fact.name;
      if found then
        t := to_jsonb((select e.address from endpoint e where e.person_id = p.id and e.kind = 'email' and e.disabled_at is null order by e.created_at, e.id limit 1));
        return f || jsonb_build_object('text', jsonb_build_object('zh', plan_person(p, 'zh') || coalesce(' ' || (t #>> '{}'), ''), 'en', plan_person(p, 'en') || coalesce(' ' || (t #>> '{}'), '')),
          'value', jsonb_build_object('active', p.active, 'name', p.name, 'title', p.title, 'email', t), 'path', '/people/' || p.id);
      end if;
    when 'role' then
      d := plan_holders(plan_fact.name);
      if d <> '[]' or exists (select 1 from role_holder h where h.role = plan_fact.name)
         or exists (select 1 from playbook_version w where w.state = 'published' and w.body -> 'roles' ? plan_fact.name) then
        return f || jsonb_build_object('text', jsonb_build_object('zh', plan_people(d, 'zh'), 'en', plan_people(d, 'en')),
          'value', jsonb_build_object('holders', (select coalesce(jsonb_agg(h - 'login'), '[]') from jsonb_array_elements(d) h)), 'path', '/roles');
      end if;
    when 'team' then
      select x.id, x.name into v from team x where x.slug = plan_fact.name;
      if found then
        select coalesce(jsonb_agg(jsonb_build_object('id', q.id, 'name', q.name, 'deputy', false) order by q.login), '[]') into d
          from team_member m join person q on q.id = m.person_id and q.active where m.team_id = v.id;
        return f || jsonb_build_object('text', jsonb_build_object('zh', plan_language(v.name, 'zh') || '：' || plan_people(d, 'zh'), 'en', plan_language(v.name, 'en') || ': ' || plan_people(d, 'en')),
          'value', jsonb_build_object('name', v.name, 'members', d), 'path', '/teams');
      end if;
    when 'service', 'supplier' then
      select * into s from service x where x.slug = plan_fact.name and (plan_fact.kind <> 'supplier' or x.kind = 'supplier');
      if found then
        return f || jsonb_build_object('text', s.name, 'path', '/services/' || s.slug, 'at', iso(s.retired_at),
          'value', jsonb_build_object('name', s.name, 'kind', s.kind, 'retired', s.retired_at is not null, 'owner', s.owner_id));
      end if;
    when 'objective' then
      select * into s from service x where x.slug = plan_fact.name;
      if found then
        return f || jsonb_build_object('text', jsonb_build_object(
            'zh', 'RTO ' || (duration_words(s.rto_seconds) ->> 'zh') || '，RPO ' || (duration_words(s.rpo_seconds) ->> 'zh'),
            'en', 'RTO ' || (duration_words(s.rto_seconds) ->> 'en') || ', RPO ' || (duration_words(s.rpo_seconds) ->> 'en')),
          'value', jsonb_build_object('rto', s.rto_seconds, 'rpo', s.rpo_seconds), 'path', '/services/' || s.slug);
      end if;
    when 'playbook' then
      select b.slug, w.version, w.body_sha256, w.title, w.state, w.published_at into v from playbook b join playbook_version w on w.playbook_id = b.id
        where b.slug = plan_fact.name and w.state in ('published','retired') order by (w.state = 'published') desc, w.version desc limit 1;
      if found then
        return f || jsonb_build_object('text', jsonb_build_object('zh', plan_language(v.title, 'zh') || '（第' || v.version || '版）', 'en', plan_language(v.title, 'en') || ' (version ' || v.version || ')'),
          'value', jsonb_build_object('version', v.version, 'sha256', v.body_sha256, 'published', v.state = 'published'), 'at', iso(v.published_at), 'path', '/playbooks/' || v.slug);
      end if;
    when 'drill' then
      if exists (select 1 from playbook b where b.slug = plan_fact.name) or exists (select 1 from service x where x.slug = plan_fact.name) then
        d := plan_last_drill(plan_fact.name);
        return f || jsonb_build_object('at', d -> 'at', 'path', '/incidents/' || (d ->> 'ref'),
          'text', case when d is null then jsonb_build_object('zh', '尚未演练', 'en', 'never drilled') else jsonb_build_object(
            'zh', concat_ws(' ', d ->> 'ref', left(d ->> 'at', 10), case when (d ->> 'failed')::boolean then '未达成' else '达成' end),
            'en', concat_ws(' ', d ->> 'ref', left(d ->> 'at', 10), case when (d ->> 'failed')::boolean then 'failed' else 'passed' end)) end,
          'value', jsonb_build_object('ref', d -> 'ref', 'failed', coalesce((d ->> 'failed')::boolean, false)));
      end if;
    when 'report' then
      select x.body, x.version, x.loaded_at into v from report_profile x where x.id = plan_fact.name order by x.version desc limit 1;
      if found then
        return f || jsonb_build_object('at', iso(v.loaded_at), 'path', null, 'value', jsonb_build_object('stages', (select jsonb_agg(jsonb_build_object('id', e -> 'id', 'deadline', e -> 'deadline')) from jsonb_array_elements(v.body -> 'stages') e)),
          'text', (select jsonb_build_object('zh', plan_language(v.body -> 'name', 'zh') || coalesce('：' || string_agg(plan_language(e -> 'name', 'zh') || ' ' || (duration_words(extract(epoch from (e #>> '{deadline,offset}')::interval)::int) ->> 'zh')
                || case when certainty_bad(e ->> 'confidence') then '（未核实）' else '' end, '；' order by n) filter (where e #>> '{deadline,offset}' is not null), ''),
              'en', plan_language(v.body -> 'name', 'en') || coalesce(': ' || string_agg(plan_language(e -> 'name', 'en') || ' ' || (duration_words(extract(epoch from (e #>> '{deadline,offset}')::interval)::int) ->> 'en')
                || case when certainty_bad(e ->> 'confidence') then ' (unverified)' else '' end, '; ' order by n) filter (where e #>> '{deadline,offset}' is not null), ''))
            from jsonb_array_elements(v.body -> 'stages') with ordinality u(e, n)));
      end if;
  end case;
  return jsonb_build_object('kind', kind, 'name', name, 'known', false, 'text', jsonb_build_object('zh', name, 'en', name), 'value', null, 'path', null);
end $$;

create or replace function plan_fact_hash(fact jsonb) returns text language sql immutable as $$
  select sha256_hex(canonical(jsonb_build_object('kind', fact -> 'kind', 'name', fact -> 'name', 'value', fact -> 'value')))
$$;

-- Why a citation no longer holds, as a word; null while it does. A later drill that passed is news, but nothing goes stale by it.
create or replace function plan_cause_of(was jsonb, now jsonb) returns text language sql stable as $$
  select case
    when was -> 'value' is not distinct from now -> 'value' then null
    when was ->> 'kind' = 'drill' then case when (now #>> '{value,failed}')::boolean and now #> '{value,ref}' is distinct from was #> '{value,ref}' then 'drill_failed' end
    when not coalesce((now ->> 'known')::boolean, false) then 'gone'
    when was ->> 'kind' = 'person' then case when not (now #>> '{value,active}')::boolean then 'contact_left' else 'contact_changed' end
    when was ->> 'kind' in ('role','team') then case when exists (
        select 1 from jsonb_array_elements(coalesce(was #> '{value,holders}', was #> '{value,members}')) h join person p on p.id::text = h ->> 'id' where not p.active)
      then 'contact_left' else 'contact_changed' end
    when was ->> 'kind' = 'supplier' or was #>> '{value,kind}' = 'supplier' then 'supplier_replaced'
    when was ->> 'kind' = 'service' then case when (now #>> '{value,retired}')::boolean then case when was #>> '{value,kind}' = 'app' then 'app_retired' else 'service_retired' end else 'service_changed' end
    when was ->> 'kind' = 'objective' then 'objective_changed'
    when was ->> 'kind' = 'playbook' then case when (now #>> '{value,published}')::boolean then 'playbook_edited' else 'playbook_retired' end
    when was ->> 'kind' = 'report' then 'rule_changed' end
$$;

-- ---- texts with citations: {{kind:name}} -----------------------------------------------------------------------------------------

create or replace function plan_citations(words text) returns table(kind text, name text) language sql immutable as $$
  select distinct m[1], m[2] from regexp_matches(coalesce(words, ''), '\{\{\s*([a-z]{1,20}):([A-Za-z0-9._-]{1,64})\s*\}\}', 'g') m
$$;

-- Everything a body cites, by the part of the plan it stands in: its sections, and the lists every plan has.
create or replace function plan_refs(body jsonb) returns table(section text, kind text, name text) language sql stable as $$
  select s ->> 'id', c.kind, c.name from jsonb_array_elements(coalesce(body -> 'sections', '[]')) s,
    lateral (select * from plan_citations(s #>> '{text,zh}') union select * from plan_citations(s #>> '{text,en}')) c
  union select 'roles', 'role', r ->> 'role' from jsonb_array_elements(coalesce(body -> 'roles', '[]')) r
  union select 'levels', 'role', r ->> 'authority' from jsonb_array_elements(coalesce(body -> 'levels', '[]')) r where r ->> 'authority' <> ''
  union select 'audiences', 'role', r ->> 'by' from jsonb_array_elements(coalesce(body -> 'audiences', '[]')) r where r ->> 'by' <> ''
  union select 'services', k, s #>> '{}' from jsonb_array_elements(coalesce(body -> 'services', '[]')) s, unnest('{service,objective}'::text[]) k
  union select 'playbooks', k, p ->> 'slug' from jsonb_array_elements(coalesce(body -> 'playbooks', '[]')) p, unnest('{playbook,drill}'::text[]) k
$$;

-- What a version cites, as it was at approval (`was`, null for drafts) and today, and the cause when it no longer holds.
create or replace function plan_now(v plan_version) returns table(section text, kind text, name text, was jsonb, now jsonb, cause text) language plpgsql stable as $$
#variable_conflict use_column
begin
  if v.approved_at is null then
    return query select r.section, r.kind, r.name, null::jsonb, plan_fact(r.kind, r.name), null::text from plan_refs(v.body) r;
  else
    return query select c.section, c.kind, c.name, c.fact, f.fact, plan_cause_of(c.fact, f.fact)
      from plan_cited c, lateral (select plan_fact(c.kind, c.name) as fact offset 0) f where c.plan_id = v.plan_id and c.version = v.version;
  end if;
end $$;

create or replace function md_plain(words text) returns text language sql immutable as $$
  select regexp_replace(words, '([\\`*_{}\[\]<>#|~])', '\\\1', 'g')
$$;

-- Markdown in one language with its citations filled in: the value at approval; where today's differs, "was → **now**".
-- facts: {"kind:name": {"was","now","cause"}}. What is not known stays as it was written, as code.
create or replace function plan_text(words text, facts jsonb, lang text) returns text language plpgsql immutable as $$
declare c record; f jsonb; shown text; t text := coalesce(words, '');
begin
  for c in select * from plan_citations(words) loop
    f := facts -> (c.kind || ':' || c.name);
    if f is null or f -> 'now' is null or f -> 'now' = 'null' or coalesce(f -> 'was', 'null') = 'null' and not (f #>> '{now,known}')::boolean then
      shown := '`' || c.kind || ':' || c.name || '`';
    elsif coalesce(f ->> 'cause', '') <> '' then
      shown := md_plain(plan_language(f #> '{was,text}', lang)) || ' → **' || md_plain(plan_language(f #> '{now,text}', lang)) || '**';
    else
      shown := md_plain(plan_language(coalesce(nullif(f #> '{was,text}', 'null'), f #> '{now,text}'), lang));
    end if;
    t := regexp_replace(t, '\{\{\s*' || c.kind || ':' || replace(c.name, '.', '\.') || '\s*\}\}', replace(shown, '\', '\\'), 'g');
  end loop;
  return t;
end $$;

-- ---- templates -----------------------------------------------------------------------------------------------------------------------

-- Stores a template as it was loaded; the same content again changes nothing.
create or replace function plan_template_store(body jsonb) returns int language plpgsql as $$
#variable_conflict use_variable
declare v_sha text := sha256_hex(canonical(body)); v record;
begin
  select t.version, t.body_sha256 into v from plan_template t where t.id = body ->> 'id' order by t.version desc limit 1;
  if v.body_sha256 = v_sha then return v.version; end if;
  insert into plan_template(id, version, body, body_sha256, loaded_at) values (body ->> 'id', coalesce(v.version, 0) + 1, body, v_sha, app_now());
  return coalesce(v.version, 0) + 1;
end $$;

create or replace function plan_templates() returns setof plan_template language sql stable as $$
  select distinct on (t.id) t.* from plan_template t order by t.id, t.version desc
$$;

-- ---- small things ---------------------------------------------------------------------------------------------------------------------

create or replace function plan_kinds() returns text[] language sql immutable as $$ select '{overall,special,onsite}'::text[] $$;
create or replace function plan_levels() returns text[] language sql immutable as $$ select '{I,II,III,IV}'::text[] $$;
create or replace function plan_groups() returns text[] language sql immutable as $$ select '{leading,executing,support}'::text[] $$;

create or replace function plan_did(v plan_version, act text, note text default null, data jsonb default '{}') returns void language sql as $$
  insert into plan_act(plan_id, version, act, at, by, note, data) values (v.plan_id, v.version, act, app_now(), me(), nullif(note, ''), data)
$$;

create or replace function plan_named(slug text, locked boolean default false) returns plan language plpgsql as $$
declare p plan%rowtype;
begin
  if locked then select * into p from plan x where x.slug = plan_named.slug for update;
  else select * into p from plan x where x.slug = plan_named.slug; end if;
  if p.id is null then perform refuse('MU404', 'error.plan.unknown', '', jsonb_build_object('name', plan_named.slug)); end if;
  return p;
end $$;

-- A version; null: the one in force, else the newest.
create or replace function plan_version_of(p plan, wanted int) returns plan_version language plpgsql stable as $$
declare v plan_version%rowtype;
begin
  select * into v from plan_version x where x.plan_id = p.id and (wanted is null or x.version = wanted)
    order by (x.state = 'in_force') desc, (x.state = 'discarded'), x.version desc limit 1;
  if v.version is null then perform refuse('MU404', 'error.plan.version'); end if;
  return v;
end $$;

create or replace function plan_open_draft(p plan) returns plan_version language sql stable as $$
  select v.* from plan_version v where v.plan_id = p.id and v.state in ('draft','in_review')
$$;

-- Fields of a form, "general.zh", as the object they stand for: {"general":{"zh":…}}. What is nested already stays.
create or replace function plan_nested(flat jsonb) returns jsonb language plpgsql immutable as $$
declare k text; v jsonb; way text[]; o jsonb := '{}';
begin
  if jsonb_typeof(flat) is distinct from 'object' then return coalesce(flat, '{}'); end if;
  for k, v in select e.key, e.value from jsonb_each(flat) e order by e.key loop
    way := string_to_array(k, '.');
    for n in 1 .. cardinality(way) - 1 loop
      if jsonb_typeof(o #> way[1:n]) is distinct from 'object' then o := jsonb_set(o, way[1:n], '{}'); end if;
    end loop;
    o := jsonb_set(o, way, v);
  end loop;
  return o;
end $$;

-- A list as it came: a list, or the rows of a form by number.
create or replace function plan_rows(given jsonb) returns jsonb language sql immutable as $$
  select case when jsonb_typeof(given) = 'array' then given else coalesce((select jsonb_agg(e.value order by e.key::int) from jsonb_each(plan_nested(given)) e where e.key ~ '^\d{1,4}$'), '[]') end
$$;

-- Both languages of a text, without the empty ones and with plain line ends; null for nothing.
create or replace function plan_words(given jsonb) returns jsonb language sql immutable as $$
  select case jsonb_typeof(given)
    when 'string' then case when btrim(given #>> '{}') <> '' then jsonb_build_object('zh', replace(given #>> '{}', E'\r\n', E'\n')) end
    when 'object' then (select jsonb_object_agg(e.key, replace(e.value, E'\r\n', E'\n')) from jsonb_each_text(given) e where e.key in ('zh','en') and btrim(coalesce(e.value, '')) <> '') end
$$;

create or replace function plan_slugs(given jsonb) returns jsonb language sql immutable as $$
  select coalesce(jsonb_agg(w order by n), '[]') from (select w, min(n) as n from (
      select w, n from jsonb_array_elements_text(case when jsonb_typeof(given) = 'array' then given else '[]' end) with ordinality x(w, n)
      union all select w, n from regexp_split_to_table(case when jsonb_typeof(given) = 'string' then given #>> '{}' else '' end, '[\s,;，；、]+') with ordinality x(w, n)) y
    where btrim(w) <> '' group by w) z
$$;

-- ---- writing ----------------------------------------------------------------------------------------------------------------------------

-- A new plan as draft 1, from a template.
create or replace function plan_create(b jsonb) returns text language plpgsql as $$
declare t plan_template%rowtype; p plan%rowtype; v plan_version%rowtype; v_kind text := b ->> 'kind'; v_owner uuid;
begin
  select * into t from plan_templates() x where x.id = b ->> 'template';
  if t.id is null then perform refuse('MU422', 'error.plan.template', '/template'); end if;
  v_kind := coalesce(v_kind, t.body #>> '{kinds,0}');
  if not t.body -> 'kinds' ? v_kind then perform refuse('MU422', 'error.plan.template_kind', '/kind'); end if;
  if exists (select 1 from plan x where x.slug = b ->> 'slug') then perform refuse('MU409', 'error.slug_taken', '/slug', jsonb_build_object('slug', b ->> 'slug')); end if;
  v_owner := case when coalesce(b ->> 'owner', '') = '' then me() else person_named(b ->> 'owner', '/owner') end;
  insert into plan(slug, kind, owner_id, review_days, review_by, review_at, created_at, created_by)
    values (b ->> 'slug', v_kind, v_owner, coalesce((t.body ->> 'review_days')::int, 365), me(), app_now(), app_now(), me()) returning * into p;
  insert into plan_version(plan_id, version, state, title, template, template_version, body, authors, created_at, created_by, changed_at, changed_by)
    values (p.id, 1, 'draft', coalesce(plan_words(b -> 'title'), t.body -> 'title'), t.id, t.version,
      jsonb_build_object('sections', (select jsonb_agg(jsonb_build_object('id', s -> 'id', 'title', s -> 'title', 'guide', s -> 'guide', 'from', s -> 'from', 'text', coalesce(s -> 'text', '{}')) order by n)
          from jsonb_array_elements(t.body -> 'sections') with ordinality x(s, n) where not s ? 'kinds' or s -> 'kinds' ? v_kind),
        'levels', coalesce(t.body -> 'levels', '[]'), 'roles', coalesce(t.body -> 'roles', '[]'), 'audiences', coalesce(t.body -> 'audiences', '[]'), 'services', '[]'::jsonb, 'playbooks', '[]'::jsonb),
      array_remove(array[me()], null), app_now(), me(), app_now(), me()) returning * into v;
  perform plan_did(v, 'created', null, jsonb_build_object('template', t.id));
  perform audit('plan.created', p.slug, jsonb_build_object('template', t.id, 'kind', v_kind));
  if b ?| '{services,playbooks}' then
    perform plan_save(p.slug, null, b - '{slug,template,kind,owner,title}'::text[]);
  end if;
  return p.slug;
end $$;

-- The parts of a draft as somebody sent them, checked, over those it has. What was not sent stays.
create or replace function plan_merge(body jsonb, b jsonb) returns jsonb language plpgsql stable as $$
declare o jsonb := body; given jsonb; bad text;
begin
  if b ? 'sections' then
    given := plan_nested(b -> 'sections');
    select k into bad from jsonb_object_keys(given) k where not exists (select 1 from jsonb_array_elements(body -> 'sections') s where s ->> 'id' = k) limit 1;
    if bad is not null then perform refuse('MU422', 'error.plan.section', '/sections', jsonb_build_object('name', bad)); end if;
    if exists (select 1 from jsonb_each(given) e where length(coalesce(e.value ->> 'zh', '')) > 20000 or length(coalesce(e.value ->> 'en', '')) > 20000) then
      perform refuse('MU422', 'error.field.long', '/sections', '{"most":20000}');
    end if;
    o := jsonb_set(o, '{sections}', (select jsonb_agg(case when given ? (s ->> 'id') then s || jsonb_build_object('text', coalesce(plan_words(given -> (s ->> 'id')), '{}')) else s end order by n)
      from jsonb_array_elements(body -> 'sections') with ordinality x(s, n)));
  end if;
  if b ? 'levels' then
    given := case when jsonb_typeof(b -> 'levels') = 'array' then b -> 'levels' else (select coalesce(jsonb_agg(e.value || jsonb_build_object('id', e.key)), '[]') from jsonb_each(plan_nested(b -> 'levels')) e) end;
    if exists (select 1 from jsonb_array_elements(given) l where coalesce(l ->> 'id', '') <> all(plan_levels())) then perform refuse('MU422', 'error.plan.level', '/levels'); end if;
    o := jsonb_set(o, '{levels}', (select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('id', l -> 'id', 'trigger', plan_words(l -> 'trigger'), 'authority', nullif(btrim(l ->> 'authority'), ''), 'lift', plan_words(l -> 'lift')))
        order by array_position(plan_levels(), l ->> 'id')), '[]')
      from jsonb_array_elements(given) l where plan_words(l -> 'trigger') is not null or nullif(btrim(l ->> 'authority'), '') is not null));
  end if;
  if b ? 'roles' then
    o := jsonb_set(o, '{roles}', (select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('role', btrim(r ->> 'role'), 'group', coalesce(nullif(r ->> 'group', ''), 'executing'), 'duty', plan_words(r -> 'duty'))) order by n), '[]')
      from jsonb_array_elements(plan_rows(b -> 'roles')) with ordinality x(r, n) where coalesce(btrim(r ->> 'role'), '') <> ''));
  end if;
  if b ? 'audiences' then
    select r ->> 'within' into bad from jsonb_array_elements(plan_rows(b -> 'audiences')) r
      where coalesce(btrim(r ->> 'within'), '') <> '' and duration_seconds(r ->> 'within') is null limit 1;
    if bad is not null then perform refuse('MU422', 'error.field.duration', '/audiences'); end if;
    o := jsonb_set(o, '{audiences}', (select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('who', plan_words(r -> 'who'), 'within', duration_seconds(nullif(btrim(r ->> 'within'), '')), 'by', nullif(btrim(r ->> 'by'), ''), 'how', plan_words(r -> 'how'))) order by n), '[]')
      from jsonb_array_elements(plan_rows(b -> 'audiences')) with ordinality x(r, n) where plan_words(r -> 'who') is not null));
  end if;
  if b ? 'services' then
    given := plan_slugs(b -> 'services');
    select s into bad from jsonb_array_elements_text(given) s where not exists (select 1 from service x where x.slug = s) limit 1;
    if bad is not null then perform refuse('MU422', 'error.plan.service', '/services', jsonb_build_object('name', bad)); end if;
    o := jsonb_set(o, '{services}', given);
  end if;
  if b ? 'playbooks' then
    -- a form sends {"slug":"level"}, an empty level for those that are not linked
    given := case when jsonb_typeof(b -> 'playbooks') = 'array' then (select coalesce(jsonb_agg(case when jsonb_typeof(p) = 'string' then jsonb_build_object('slug', p, 'level', 'IV') else p end), '[]') from jsonb_array_elements(b -> 'playbooks') p)
      else (select coalesce(jsonb_agg(jsonb_build_object('slug', e.key, 'level', e.value) order by e.key), '[]') from jsonb_each_text(b -> 'playbooks') e where coalesce(e.value, '') <> '') end;
    select p ->> 'slug' into bad from jsonb_array_elements(given) p
      where not exists (select 1 from playbook x join playbook_version w on w.playbook_id = x.id where x.slug = p ->> 'slug' and w.state = 'published') limit 1;
    if bad is not null then perform refuse('MU422', 'error.playbook.unknown', '/playbooks', jsonb_build_object('name', bad)); end if;
    if exists (select 1 from jsonb_array_elements(given) p where coalesce(p ->> 'level', 'IV') <> all(plan_levels())) then perform refuse('MU422', 'error.plan.level', '/playbooks'); end if;
    o := jsonb_set(o, '{playbooks}', (select coalesce(jsonb_agg(jsonb_build_object('slug', p -> 'slug', 'level', coalesce(p ->> 'level', 'IV')) order by n), '[]') from jsonb_array_elements(given) with ordinality x(p, n)));
  end if;
  select r.name into bad from plan_refs(o) r where r.kind = 'role' and r.name !~ '^[a-z][a-z0-9_-]{0,63}$' limit 1;
  if bad is not null then perform refuse('MU422', 'error.plan.role', '/roles', jsonb_build_object('name', bad)); end if;
  return o;
end $$;

create or replace function plan_etag(v plan_version) returns text language sql immutable as $$ select v.version || '-' || v.revision $$;

-- Keeps the parts that were sent in the open draft; without one the next version begins from the newest. Answers the version.
create or replace function plan_save(slug text, etag text, b jsonb) returns plan_version language plpgsql as $$
declare p plan%rowtype := plan_named(slug, true); v plan_version%rowtype; o jsonb; t jsonb;
begin
  if p.archived_at is not null then perform refuse('MU409', 'error.plan.archived'); end if;
  v := plan_open_draft(p);
  if v.version is null then
    v := plan_version_of(p, null);
    if etag is not null and etag <> '*' and btrim(replace(etag, 'W/', ''), '"') <> plan_etag(v) then perform refuse('MU412', 'error.stale', '', jsonb_build_object('etag', plan_etag(v))); end if;
    insert into plan_version(plan_id, version, state, title, template, template_version, body, authors, created_at, created_by, changed_at, changed_by)
      values (p.id, (select max(x.version) + 1 from plan_version x where x.plan_id = p.id), 'draft', v.title, v.template, v.template_version, v.body,
        array_remove(array[me()], null), app_now(), me(), app_now(), me()) returning * into v;
    perform plan_did(v, 'created');
  else
    if v.state = 'in_review' then perform refuse('MU409', 'error.plan.in_review'); end if;
    if etag is not null and etag <> '*' and btrim(replace(etag, 'W/', ''), '"') <> plan_etag(v) then perform refuse('MU412', 'error.stale', '', jsonb_build_object('etag', plan_etag(v))); end if;
  end if;
  o := plan_merge(v.body, b);
  t := coalesce(plan_words(b -> 'title'), v.title);
  if (o, t) is distinct from (v.body, v.title) then
    update plan_version x set body = o, title = t, revision = x.revision + 1, changed_at = app_now(), changed_by = me(),
      authors = case when me() is null or me() = any(x.authors) then x.authors else x.authors || me() end
    where x.plan_id = p.id and x.version = v.version returning * into v;
    perform plan_did(v, 'changed');
  end if;
  return v;
end $$;

-- What is wrong with a version: errors stand in the way of handing it in, warnings are shown to whoever approves.
create or replace function plan_findings(v plan_version) returns jsonb language sql stable as $$
  with f as (
    select 'error' as level, 'unknown_fact' as key, r.section, jsonb_build_object('name', r.kind || ':' || r.name) as args
      from plan_refs(v.body) r where r.kind <> 'role' and not coalesce((plan_fact(r.kind, r.name) ->> 'known')::boolean, false)
    union all select 'error', 'no_section', s ->> 'id', jsonb_build_object('name', s -> 'title') from jsonb_array_elements(v.body -> 'sections') s
      where coalesce(s -> 'text', '{}') = '{}' and s ->> 'from' is null
    union all select 'error', 'no_level', 'levels', '{}' where jsonb_array_length(coalesce(v.body -> 'levels', '[]')) = 0
    union all select 'error', 'no_trigger', 'levels', jsonb_build_object('name', l -> 'id') from jsonb_array_elements(coalesce(v.body -> 'levels', '[]')) l where not l ? 'trigger'
    union all select 'error', 'no_authority', 'levels', jsonb_build_object('name', l -> 'id') from jsonb_array_elements(coalesce(v.body -> 'levels', '[]')) l where not l ? 'authority'
    union all select 'error', 'no_role', 'roles', '{}' where jsonb_array_length(coalesce(v.body -> 'roles', '[]')) = 0
    union all select 'warning', 'vacant', 'roles', jsonb_build_object('name', x.role) from (select distinct r.name as role from plan_refs(v.body) r where r.kind = 'role') x
      where not exists (select 1 from jsonb_array_elements(plan_holders(x.role)) h where not (h ->> 'deputy')::boolean)
    union all select 'warning', 'no_deputy', 'roles', jsonb_build_object('name', x.role) from (select distinct r.name as role from plan_refs(v.body) r where r.kind = 'role') x
      where not exists (select 1 from jsonb_array_elements(plan_holders(x.role)) h where (h ->> 'deputy')::boolean)
    union all select 'warning', 'no_deadline', 'audiences', jsonb_build_object('name', a -> 'who') from jsonb_array_elements(coalesce(v.body -> 'audiences', '[]')) a where not a ? 'within'
    union all select 'warning', 'no_playbook', 'playbooks', '{}' where jsonb_array_length(coalesce(v.body -> 'playbooks', '[]')) = 0
    union all select 'warning', 'one_language', s ->> 'id', jsonb_build_object('name', s -> 'title') from jsonb_array_elements(v.body -> 'sections') s
      where coalesce(s -> 'text', '{}') <> '{}' and not (s -> 'text' ?& '{zh,en}'))
  select coalesce(jsonb_agg(jsonb_build_object('level', f.level, 'is_error', f.level = 'error', 'key', f.key, 'section', f.section,
    'name', case when f.key in ('vacant','no_deputy') then plan_role_name(f.args ->> 'name') else f.args -> 'name' end) order by f.level, f.section, f.key, f.args::text), '[]') from f
$$;

-- Hand in, take back, send back, discard: one function, for they differ in little.
create or replace function plan_move(slug text, wanted int, act text, note text) returns plan_version language plpgsql as $$
declare p plan%rowtype := plan_named(slug, true); v plan_version%rowtype := plan_version_of(p, wanted);
begin
  if v.state <> (case act when 'submitted' then 'draft' when 'discarded' then v.state else 'in_review' end) or v.state not in ('draft','in_review') then
    perform refuse('MU409', 'error.plan.state', '', jsonb_build_object('state', v.state));
  end if;
  if act = 'submitted' and exists (select 1 from jsonb_array_elements(plan_findings(v)) f where (f ->> 'is_error')::boolean) then
    perform refuse('MU422', 'error.plan.findings');
  end if;
  if act = 'discarded' and (select count(*) from plan_version x where x.plan_id = p.id and x.state <> 'discarded') = 1 then
    update plan x set archived_at = app_now() where x.id = p.id;
  end if;
  update plan_version x set state = case act when 'submitted' then 'in_review' when 'discarded' then 'discarded' else 'draft' end,
    submitted_at = case act when 'submitted' then app_now() else x.submitted_at end, submitted_by = case act when 'submitted' then me() else x.submitted_by end
  where x.plan_id = p.id and x.version = v.version returning * into v;
  perform plan_did(v, act, note);
  perform audit('plan.' || act, p.slug || '/' || v.version, jsonb_strip_nulls(jsonb_build_object('note', nullif(note, ''))));
  return v;
end $$;

-- Approves: another person than those who wrote it and who handed it in. What it cites is kept as it is now; it comes into force, and
-- the version before it is superseded at the same instant.
create or replace function plan_approve(slug text, wanted int, b jsonb) returns plan_version language plpgsql as $$
declare p plan%rowtype := plan_named(slug, true); v plan_version%rowtype := plan_version_of(p, wanted); v_now timestamptz := app_now(); v_old plan_version%rowtype;
begin
  if v.state <> 'in_review' then perform refuse('MU409', 'error.plan.state', '', jsonb_build_object('state', v.state)); end if;
  if me() is null or me() = any(v.authors) or me() = v.submitted_by then perform refuse('MU409', 'error.plan.own'); end if;
  if exists (select 1 from jsonb_array_elements(plan_findings(v)) f where (f ->> 'is_error')::boolean) then perform refuse('MU422', 'error.plan.findings'); end if;
  if coalesce(btrim(b ->> 'note'), '') = '' and plan_findings(v) <> '[]' then perform refuse('MU422', 'error.plan.note', '/note'); end if;
  select * into v_old from plan_version x where x.plan_id = p.id and x.state = 'in_force';
  if v_old.version is not null then
    v_now := greatest(v_now, lower(v_old.in_force) + interval '1 microsecond');
    update plan_version x set state = 'superseded', in_force = tstzrange(lower(x.in_force), v_now) where x.plan_id = p.id and x.version = v_old.version;
    perform plan_did(v_old, 'superseded', null, jsonb_build_object('by_version', v.version));
  end if;
  insert into plan_cited(plan_id, version, section, kind, name, fact, hash, at)
    select v.plan_id, v.version, r.section, r.kind, r.name, f.fact, plan_fact_hash(f.fact), v_now
    from plan_refs(v.body) r, lateral (select plan_fact(r.kind, r.name) as fact offset 0) f;
  update plan_version x set state = 'in_force', approved_at = v_now, approved_by = me(), in_force = tstzrange(v_now, null),
    content_sha256 = sha256_hex(canonical(jsonb_build_object('plan', p.slug, 'version', v.version, 'title', v.title, 'body', v.body,
      'facts', (select coalesce(jsonb_agg(jsonb_build_array(c.section, c.kind, c.name, c.hash) order by c.section, c.kind, c.name), '[]') from plan_cited c where c.plan_id = v.plan_id and c.version = v.version))))
  where x.plan_id = p.id and x.version = v.version returning * into v;
  update plan_cause c set cleared_at = v_now where c.plan_id = p.id and c.version <> v.version and c.cleared_at is null;
  update plan x set reviewed_at = v_now, archived_at = null where x.id = p.id;
  perform plan_did(v, 'approved', b ->> 'note', jsonb_build_object('sha256', v.content_sha256));
  perform audit('plan.approved', p.slug || '/' || v.version, jsonb_build_object('sha256', v.content_sha256));
  return v;
end $$;

-- The plan is not needed any more: nothing is in force, everything stays readable.
create or replace function plan_archive(slug text, reason text) returns plan_version language plpgsql as $$
declare p plan%rowtype := plan_named(slug, true); v plan_version%rowtype := plan_version_of(p, null);
begin
  if v.state <> 'in_force' then perform refuse('MU409', 'error.plan.state', '', jsonb_build_object('state', v.state)); end if;
  update plan_version x set state = 'superseded', in_force = tstzrange(lower(x.in_force), greatest(app_now(), lower(x.in_force) + interval '1 microsecond')) where x.plan_id = p.id and x.version = v.version returning * into v;
  update plan_cause c set cleared_at = app_now() where c.plan_id = p.id and c.cleared_at is null;
  update plan x set archived_at = app_now() where x.id = p.id;
  perform plan_did(v, 'archived', reason);
  perform audit('plan.archived', p.slug, jsonb_build_object('reason', reason));
  return v;
end $$;

-- How often it is reviewed: who says so and why. And a review that found nothing to change.
create or replace function plan_cadence(slug text, b jsonb) returns plan_version language plpgsql as $$
declare p plan%rowtype := plan_named(slug, true); v plan_version%rowtype := plan_version_of(p, null);
begin
  update plan x set review_days = (b ->> 'days')::int, review_by = me(), review_at = app_now(), review_why = b ->> 'why' where x.id = p.id;
  perform plan_did(v, 'cadence', b ->> 'why', jsonb_build_object('from', p.review_days, 'to', (b ->> 'days')::int));
  perform audit('plan.cadence', p.slug, jsonb_build_object('from', p.review_days, 'to', (b ->> 'days')::int, 'why', b ->> 'why'));
  return v;
end $$;

create or replace function plan_reviewed(slug text, note text) returns plan_version language plpgsql as $$
declare p plan%rowtype := plan_named(slug, true); v plan_version%rowtype := plan_version_of(p, null);
begin
  if v.state <> 'in_force' then perform refuse('MU409', 'error.plan.state', '', jsonb_build_object('state', v.state)); end if;
  if exists (select 1 from plan_now(v) n where n.cause is not null) then perform refuse('MU409', 'error.plan.review_stale'); end if;
  update plan x set reviewed_at = app_now() where x.id = p.id;
  perform plan_did(v, 'reviewed', note);
  return v;
end $$;

create or replace function plan_owner(slug text, who text) returns plan_version language plpgsql as $$
declare p plan%rowtype := plan_named(slug, true); v plan_version%rowtype := plan_version_of(p, null); v_to uuid := person_named(who, '/owner');
begin
  update plan x set owner_id = v_to where x.id = p.id;
  perform plan_did(v, 'owner', null, jsonb_build_object('from', person_ref(p.owner_id), 'to', person_ref(v_to)));
  perform audit('plan.owner', p.slug, jsonb_build_object('to', v_to));
  return v;
end $$;
