-- Reading plans: a version with its facts then and now, the list, what is due; and the walk that notices what went stale and tells the
-- owner once.

create or replace function plan_next_review(p plan) returns date language sql stable as $$
  select (coalesce(p.reviewed_at, p.created_at) at time zone page_zone())::date + p.review_days
$$;

create or replace function plan_version_line(v plan_version) returns jsonb language sql stable as $$
  select jsonb_build_object('version', v.version, 'state', v.state, 'is', jsonb_build_object(v.state, true), 'title', v.title, 'etag', plan_etag(v), 'sha256', v.content_sha256,
    'short', left(v.content_sha256, 12), 'created_at', iso(v.created_at), 'created_by', person_ref(v.created_by), 'changed_at', iso(v.changed_at), 'changed_by', person_ref(v.changed_by),
    'submitted_at', iso(v.submitted_at), 'submitted_by', person_ref(v.submitted_by), 'approved_at', iso(v.approved_at), 'approved_by', person_ref(v.approved_by),
    'in_force_from', iso(lower(v.in_force)), 'in_force_to', iso(upper(v.in_force)))
$$;

-- The parts of a version, each with its citations then and now. Every member is there, if only as null: a template looks for a missing one
-- further out.
create or replace function plan_parts(v plan_version) returns jsonb language plpgsql stable as $$
declare o jsonb; facts jsonb; lines jsonb; causes jsonb;
begin
  select coalesce(jsonb_object_agg(x.k, jsonb_build_object('was', x.was, 'now', x.now, 'cause', x.cause)), '{}') into facts
    from (select distinct on (n.kind, n.name) n.kind || ':' || n.name as k, n.was, n.now, n.cause from plan_now(v) n) x;
  select coalesce(jsonb_object_agg(s.section, s.list), '{}'), coalesce(jsonb_object_agg(s.section, s.causes) filter (where s.causes is not null), '{}') into lines, causes from (
    select n.section, jsonb_agg(jsonb_build_object('kind', n.kind, 'name', n.name, 'known', n.now -> 'known', 'path', n.now -> 'path', 'was', n.was -> 'text', 'now', n.now -> 'text',
        'kept', n.was is not null, 'changed', n.cause is not null, 'cause', n.cause) order by n.kind, n.name) as list,
      jsonb_agg(jsonb_build_object('cause', n.cause, 'kind', n.kind, 'name', n.name, 'label', coalesce(n.was -> 'text', n.now -> 'text'), 'was', n.was -> 'text', 'now', n.now -> 'text', 'path', n.now -> 'path',
        'since', coalesce(nullif(n.now ->> 'at', ''), (select iso(c.since) from plan_cause c where c.plan_id = v.plan_id and c.version = v.version and c.section = n.section and c.kind = n.kind and c.name = n.name and c.cleared_at is null order by c.id limit 1))) order by n.kind, n.name)
        filter (where n.cause is not null) as causes
    from plan_now(v) n group by n.section) s;
  o := jsonb_build_object('facts', facts, 'causes', causes, 'lines', lines);
  return o || jsonb_build_object(
    'sections', (select jsonb_agg(jsonb_build_object('id', s -> 'id', 'number', n, 'title', s -> 'title', 'from', s -> 'from', 'guide', s -> 'guide', 'written', coalesce(s -> 'text', '{}') <> '{}',
        'text', (select jsonb_object_agg(l.k, plan_text(l.w, facts, l.k)) from jsonb_each_text(coalesce(s -> 'text', '{}')) l(k, w)),
        'lines', lines -> (s ->> 'id'), 'causes', causes -> (s ->> 'id'), 'stale', causes ? (s ->> 'id')) order by n)
      from jsonb_array_elements(v.body -> 'sections') with ordinality x(s, n)),
    'levels', (select jsonb_agg('{"trigger":null,"lift":null,"authority":null}' || l || jsonb_build_object('is', jsonb_build_object(l ->> 'id', true), 'severity', l -> 'id', 'authority_name', plan_role_name(l ->> 'authority'), 'holders', facts -> ('role:' || (l ->> 'authority')),
        'playbooks', (select jsonb_agg(jsonb_build_object('slug', p -> 'slug', 'text', coalesce(nullif(facts #> array['playbook:' || (p ->> 'slug'), 'was', 'text'], 'null'), facts #> array['playbook:' || (p ->> 'slug'), 'now', 'text'])) order by m)
          from jsonb_array_elements(v.body -> 'playbooks') with ordinality y(p, m) where array_position(plan_levels(), l ->> 'id') <= array_position(plan_levels(), p ->> 'level'))) order by n)
      from jsonb_array_elements(v.body -> 'levels') with ordinality x(l, n)),
    'roles', (select jsonb_agg('{"duty":null}' || r || jsonb_build_object('name', plan_role_name(r ->> 'role'), 'was', facts #> array['role:' || (r ->> 'role'), 'was', 'text'], 'now', facts #> array['role:' || (r ->> 'role'), 'now', 'text'],
        'shown', coalesce(nullif(facts #> array['role:' || (r ->> 'role'), 'was', 'text'], 'null'), facts #> array['role:' || (r ->> 'role'), 'now', 'text']),
        'changed', coalesce(facts #>> array['role:' || (r ->> 'role'), 'cause'], '') <> '', 'people', plan_holders(r ->> 'role'),
        'vacant', not exists (select 1 from jsonb_array_elements(plan_holders(r ->> 'role')) h where not (h ->> 'deputy')::boolean),
        'no_deputy', not exists (select 1 from jsonb_array_elements(plan_holders(r ->> 'role')) h where (h ->> 'deputy')::boolean)) order by n)
      from jsonb_array_elements(v.body -> 'roles') with ordinality x(r, n)),
    'audiences', (select jsonb_agg('{"within":null,"how":null,"by":null}' || a || jsonb_build_object('by_name', case when a ? 'by' then plan_role_name(a ->> 'by') end, 'within_words', case when a ? 'within' then duration_words((a ->> 'within')::int) end) order by n)
      from jsonb_array_elements(v.body -> 'audiences') with ordinality x(a, n)),
    'services', (select jsonb_agg(jsonb_build_object('slug', s, 'name', facts #> array['service:' || s, 'now', 'text'], 'was', facts #> array['objective:' || s, 'was', 'text'], 'now', facts #> array['objective:' || s, 'now', 'text'],
        'changed', coalesce(facts #>> array['objective:' || s, 'cause'], '') <> '', 'gone', coalesce(facts #>> array['service:' || s, 'cause'], '') <> '', 'kept', v.approved_at is not null) order by n)
      from jsonb_array_elements_text(v.body -> 'services') with ordinality x(s, n)),
    'playbooks', (select jsonb_agg(jsonb_build_object('slug', p -> 'slug', 'level', p -> 'level', 'was', facts #> array['playbook:' || (p ->> 'slug'), 'was', 'text'], 'now', facts #> array['playbook:' || (p ->> 'slug'), 'now', 'text'],
        'was_version', facts #> array['playbook:' || (p ->> 'slug'), 'was', 'value', 'version'], 'now_version', facts #> array['playbook:' || (p ->> 'slug'), 'now', 'value', 'version'],
        'changed', coalesce(facts #>> array['playbook:' || (p ->> 'slug'), 'cause'], '') <> '', 'drill', facts #> array['drill:' || (p ->> 'slug'), 'now', 'text'], 'drill_path', facts #> array['drill:' || (p ->> 'slug'), 'now', 'path'],
        'drill_failed', coalesce(facts #>> array['drill:' || (p ->> 'slug'), 'cause'], '') <> '', 'kept', v.approved_at is not null) order by n)
      from jsonb_array_elements(v.body -> 'playbooks') with ordinality x(p, n)));
end $$;

-- One version as a document.
create or replace function plan_doc(p plan, v plan_version) returns jsonb language plpgsql stable as $$
declare parts jsonb := plan_parts(v); d plan_version%rowtype := plan_open_draft(p); found jsonb; mine boolean := coalesce(me() = any(v.authors) or me() = v.submitted_by, false); edit boolean := has_role('risk');
begin
  found := case when v.state in ('draft','in_review','in_force') then plan_findings(v) else '[]' end;
  return plan_version_line(v) || parts || jsonb_build_object('slug', p.slug, 'kind', p.kind, 'owner', person_ref(p.owner_id), 'owner_left', not coalesce((select x.active from person x where x.id = p.owner_id), false),
    'archived', p.archived_at is not null, 'archived_at', iso(p.archived_at), 'template', v.template,
    'stale', v.state = 'in_force' and parts -> 'causes' <> '{}',
    'all_causes', (select coalesce(jsonb_agg(c || jsonb_build_object('section', e.key, 'section_name', (select s -> 'title' from jsonb_array_elements(v.body -> 'sections') s where s ->> 'id' = e.key), 'part', case when e.key in ('roles','levels','audiences','services','playbooks') then e.key end) order by e.key, c ->> 'kind', c ->> 'name'), '[]')
      from jsonb_each(parts -> 'causes') e, jsonb_array_elements(e.value) c),
    'part_causes', (select jsonb_object_agg(e.key, e.value) from jsonb_each(parts -> 'causes') e where e.key in ('roles','levels','audiences','services','playbooks')),
    'findings', found, 'has_findings', found <> '[]', 'blocked', exists (select 1 from jsonb_array_elements(found) f where (f ->> 'is_error')::boolean),
    'review', jsonb_build_object('days', p.review_days, 'by', person_ref(p.review_by), 'at', iso(p.review_at), 'why', p.review_why, 'last', iso(p.reviewed_at), 'next', plan_next_review(p),
      'overdue', v.state = 'in_force' and plan_next_review(p) < (app_now() at time zone page_zone())::date),
    'can', jsonb_build_object('edit', edit and p.archived_at is null and (d.version is null or d.version = v.version and v.state = 'draft'), 'submit', edit and v.state = 'draft', 'withdraw', edit and v.state = 'in_review',
      'discard', edit and v.state in ('draft','in_review'), 'return', has_role('approver') and v.state = 'in_review', 'approve', has_role('approver') and v.state = 'in_review' and not mine,
      'approve_other', v.state = 'in_review' and mine, 'review', edit and v.state = 'in_force', 'archive', edit and v.state = 'in_force', 'cadence', edit, 'print', v.state = 'in_force'),
    'people', case when edit then people_choices(p.owner_id::text) end,
    'draft_newer', case when d.version is not null and d.version <> v.version then d.version end,
    'newer', (select x.version from plan_version x where x.plan_id = p.id and x.state = 'in_force' and x.version > v.version),
    'compare_with', (select max(x.version) from plan_version x where x.plan_id = p.id and x.version < v.version and x.state <> 'discarded'),
    'versions', (select jsonb_agg(plan_version_line(x) || jsonb_build_object('this', x.version = v.version) order by x.version desc) from (select * from plan_version y where y.plan_id = p.id order by y.version desc limit 50) x),
    'acts', (select jsonb_agg(jsonb_build_object('act', a.act, 'version', a.version, 'at', iso(a.at), 'by', person_ref(a.by), 'note', a.note) order by a.id desc) from (select * from plan_act y where y.plan_id = p.id order by y.id desc limit 60) a),
    'packs', (select coalesce(jsonb_agg(plan_pack_line(x) order by x.created_at desc), '[]') from (select * from plan_pack y where y.plan_id = p.id order by y.created_at desc limit 20) x),
    'activations', (select coalesce(jsonb_agg(jsonb_build_object('ref', i.ref, 'title', i.title, 'kind', i.kind, 'drill', i.kind = 'drill', 'level', a.level, 'severity', a.level, 'at', iso(a.at), 'by', person_ref(a.by), 'version', a.version) order by a.at desc), '[]')
      from (select * from plan_activation y where y.plan_id = p.id order by y.at desc limit 20) a join incident i on i.id = a.incident_id));
end $$;

create or replace function plan_page(slug text, wanted int) returns jsonb language plpgsql as $$
declare p plan%rowtype := plan_named(slug);
begin
  return plan_doc(p, plan_version_of(p, wanted));
end $$;

-- Documents of the playbooks a version links: of the version that was approved where there is one, else the one published today.
create or replace function plan_playbooks(v plan_version) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('slug', b.slug, 'title', w.title, 'version', w.version, 'document', w.body) order by x.n), '[]')
  from jsonb_array_elements(v.body -> 'playbooks') with ordinality x(p, n)
  join playbook b on b.slug = x.p ->> 'slug'
  join lateral (select * from playbook_version y where y.playbook_id = b.id and y.state in ('published','retired')
      order by (y.version = (select (c.fact #>> '{value,version}')::int from plan_cited c where c.plan_id = v.plan_id and c.version = v.version and c.section = 'playbooks' and c.kind = 'playbook' and c.name = b.slug)) desc nulls last,
        (y.state = 'published') desc, y.version desc limit 1) w on true
$$;

-- ---- the form of a draft ---------------------------------------------------------------------------------------------------------------

-- What the form shows: what was typed when it is shown again, else what is stored.
create or replace function plan_edit(slug text, form jsonb) returns jsonb language plpgsql stable as $$
declare p plan%rowtype := plan_named(slug); v plan_version%rowtype := plan_open_draft(p); typed boolean := coalesce(form, '{}') ? 'sections'; s jsonb; l jsonb; r jsonb; a jsonb; b jsonb;
begin
  if v.version is null then v := plan_version_of(p, null); end if;
  if v.state = 'in_review' then perform refuse('MU409', 'error.plan.in_review'); end if;
  s := case when typed then plan_nested(form -> 'sections') else '{}' end;
  l := case when typed then plan_nested(form -> 'levels') else (select coalesce(jsonb_object_agg(x ->> 'id', x), '{}') from jsonb_array_elements(v.body -> 'levels') x) end;
  r := case when typed then plan_rows(form -> 'roles') else v.body -> 'roles' end;
  a := case when typed then plan_rows(form -> 'audiences') else (select coalesce(jsonb_agg(x || jsonb_build_object('within', duration_short((x ->> 'within')::int)) order by n), '[]') from jsonb_array_elements(v.body -> 'audiences') with ordinality y(x, n)) end;
  b := case when typed then coalesce(form -> 'playbooks', '{}') else (select coalesce(jsonb_object_agg(x ->> 'slug', x ->> 'level'), '{}') from jsonb_array_elements(v.body -> 'playbooks') x) end;
  return jsonb_build_object('slug', p.slug, 'kind', p.kind, 'version', v.version, 'state', v.state, 'fresh', v.state <> 'draft', 'etag', plan_etag(v),
    'title', case when typed then form -> 'title' else v.title end,
    'services', case when typed then form ->> 'services' else (select string_agg(x, ' ' order by n) from jsonb_array_elements_text(v.body -> 'services') with ordinality y(x, n)) end,
    'sections', (select jsonb_agg(jsonb_build_object('id', x -> 'id', 'number', n, 'title', x -> 'title', 'guide', x -> 'guide', 'from', x -> 'from', 'text', coalesce(s -> (x ->> 'id'), x -> 'text'),
        'zh', coalesce(s #>> array[x ->> 'id', 'zh'], x #>> '{text,zh}'), 'en', coalesce(s #>> array[x ->> 'id', 'en'], x #>> '{text,en}')) order by n) from jsonb_array_elements(v.body -> 'sections') with ordinality y(x, n)),
    'levels', (select jsonb_agg(jsonb_build_object('id', k, 'trigger', coalesce(l #> array[k, 'trigger'], '{}'), 'trigger_zh', l #>> array[k, 'trigger', 'zh'], 'trigger_en', l #>> array[k, 'trigger', 'en'], 'lift_zh', l #>> array[k, 'lift', 'zh'], 'lift_en', l #>> array[k, 'lift', 'en'],
        'authority', l #>> array[k, 'authority']) order by n) from unnest(plan_levels()) with ordinality y(k, n)),
    'roles', (select jsonb_agg(jsonb_build_object('n', n, 'role', x -> 'role', 'duty_zh', x #> '{duty,zh}', 'duty_en', x #> '{duty,en}', 'groups', choices(plan_groups(), coalesce(x ->> 'group', 'executing'))) order by n)
      from (select x, n from jsonb_array_elements(r) with ordinality y(x, n) union all select '{}', jsonb_array_length(r) + k from generate_series(1, 3) k) z),
    'audiences', (select jsonb_agg(jsonb_build_object('n', n, 'who_zh', x #> '{who,zh}', 'who_en', x #> '{who,en}', 'within', x -> 'within', 'by', x -> 'by', 'how_zh', x #> '{how,zh}', 'how_en', x #> '{how,en}') order by n)
      from (select x, n from jsonb_array_elements(a) with ordinality y(x, n) union all select '{}', jsonb_array_length(a) + k from generate_series(1, 2) k) z),
    'playbooks', (select jsonb_agg(jsonb_build_object('slug', q.slug, 'title', q.title, 'linked', coalesce(b ->> q.slug, '') <> '', 'levels', choices(plan_levels(), coalesce(b ->> q.slug, ''))) order by coalesce(b ->> q.slug, '') = '', q.slug)
      from (select x.slug, w.title from playbook x join playbook_version w on w.playbook_id = x.id and w.state = 'published' where x.archived_at is null order by (coalesce(b ->> x.slug, '') = ''), x.slug limit 300) q),
    'known_roles', (select jsonb_agg(jsonb_build_object('role', x.role, 'name', plan_role_name(x.role)) order by x.role) from (select distinct h.role from role_holder h) x),
    'kinds', to_jsonb(plan_fact_kinds()));
end $$;

create or replace function plan_new(form jsonb) returns jsonb language sql stable as $$
  select jsonb_build_object('slug', form -> 'slug', 'title', form -> 'title', 'services', form -> 'services', 'people', people_choices(coalesce(form ->> 'owner', me()::text)), 'kinds', choices(plan_kinds(), coalesce(form ->> 'kind', 'special')),
    'templates', (select coalesce(jsonb_agg(jsonb_build_object('id', t.id, 'title', t.body -> 'title', 'about', t.body -> 'about', 'kinds', t.body -> 'kinds', 'selected', t.id = coalesce(form ->> 'template', 'cn-special')) order by t.id), '[]') from plan_templates() t))
$$;

-- ---- the list --------------------------------------------------------------------------------------------------------------------------------

create or replace function plan_row(p plan) returns jsonb language sql stable as $$
  select jsonb_build_object('slug', p.slug, 'kind', p.kind, 'title', coalesce(f.title, n.title), 'owner', person_ref(p.owner_id), 'archived', p.archived_at is not null,
    'in_force', f.version, 'approved_at', iso(f.approved_at), 'short', left(f.content_sha256, 12), 'draft', case when n.state in ('draft','in_review') then n.version end, 'draft_state', case when n.state in ('draft','in_review') then n.state end,
    'services', f.body -> 'services', 'stale', coalesce(c.n, 0), 'next_review', plan_next_review(p), 'overdue', f.version is not null and plan_next_review(p) < (app_now() at time zone page_zone())::date,
    'last_activation', (select iso(max(a.at)) from plan_activation a where a.plan_id = p.id))
  from (select 1) one
  left join lateral (select * from plan_version v where v.plan_id = p.id and v.state = 'in_force') f on true
  left join lateral (select * from plan_version v where v.plan_id = p.id order by v.version desc limit 1) n on true
  left join lateral (select count(*) as n from plan_cause x where x.plan_id = p.id and x.cleared_at is null) c on true
$$;

-- By short name. state: in_force, draft, in_review, stale, overdue, none (nothing in force), archived. after: the last short name.
create or replace function plan_list(kind text, state text, q text, after text, most int) returns table(body jsonb, next text) language plpgsql stable as $$
declare take int := least(coalesce(most, 50), 200); k text := nullif(plan_list.kind, ''); s text := nullif(plan_list.state, ''); w text := nullif(btrim(plan_list.q), ''); list jsonb; v_today date := (app_now() at time zone page_zone())::date;
begin
  select coalesce(jsonb_agg(plan_row(x.p) order by x.n) filter (where x.n <= take), '[]'), case when count(*) > take then (array_agg((x.p).slug order by x.n))[take] end into list, plan_list.next
  from (select p, row_number() over (order by p.slug) as n from plan p
    where (after is null or p.slug > after) and (k is null or p.kind = k)
      and (w is null or found_in(w, p.slug) or exists (select 1 from plan_version v where v.plan_id = p.id and found_in(w, v.title::text)))
      and case coalesce(s, '') when 'archived' then p.archived_at is not null when '' then p.archived_at is null
        when 'stale' then exists (select 1 from plan_cause c where c.plan_id = p.id and c.cleared_at is null)
        when 'overdue' then plan_next_review(p) < v_today and exists (select 1 from plan_version v where v.plan_id = p.id and v.state = 'in_force')
        when 'none' then p.archived_at is null and not exists (select 1 from plan_version v where v.plan_id = p.id and v.state = 'in_force')
        else exists (select 1 from plan_version v where v.plan_id = p.id and v.state = s) end
    order by p.slug limit take + 1) x;
  plan_list.body := jsonb_build_object('items', list, 'q', w, 'filtered', k is not null or s is not null or w is not null, 'kinds', choices(plan_kinds(), k),
    'states', choices('{in_force,stale,overdue,draft,in_review,none,archived}'::text[], s), 'may_edit', has_role('risk'), 'stale_total', (select count(distinct c.plan_id) from plan_cause c where c.cleared_at is null));
  return next;
end $$;

create or replace function plans_csv() returns text language sql stable as $$
  select E'\ufeffslug,kind,title_zh,title_en,owner,version_in_force,approved_at,sha256,draft,stale_causes,next_review,services\r\n'
    || coalesce(string_agg(concat_ws(',', csv_text(r ->> 'slug'), r ->> 'kind', csv_text(plan_language(r -> 'title', 'zh')), csv_text(plan_language(r -> 'title', 'en')), csv_text(coalesce(r #>> '{owner,login}', '')), coalesce(r ->> 'in_force', ''),
      coalesce(r ->> 'approved_at', ''), coalesce(r ->> 'short', ''), coalesce(r ->> 'draft', ''), r ->> 'stale', r ->> 'next_review',
      csv_text(coalesce((select string_agg(s, '|') from jsonb_array_elements_text(json_list(r -> 'services')) s), ''))) || E'\r\n', '' order by r ->> 'slug'), '')
  from (select plan_row(p) as r from plan p where p.archived_at is null) x
$$;

-- Roles of a plan with the people who fill them: the sheet that hangs on the wall.
create or replace function plan_roles_csv(slug text) returns text language plpgsql stable as $$
declare p plan%rowtype := plan_named(slug); v plan_version%rowtype := plan_version_of(p, null);
begin
  return E'\ufeffgroup,role,name_zh,name_en,deputy,person_zh,person_en,email,duty_zh,duty_en\r\n' || coalesce((
    select string_agg(concat_ws(',', r ->> 'group', r ->> 'role', csv_text(plan_language(plan_role_name(r ->> 'role'), 'zh')), csv_text(plan_language(plan_role_name(r ->> 'role'), 'en')),
      case when h is null then '' when (h ->> 'deputy')::boolean then 'yes' else 'no' end, csv_text(coalesce(plan_language(h -> 'name', 'zh'), '')), csv_text(coalesce(plan_language(h -> 'name', 'en'), '')), csv_text(coalesce(h ->> 'email', '')),
      csv_text(coalesce(r #>> '{duty,zh}', '')), csv_text(coalesce(r #>> '{duty,en}', ''))) || E'\r\n', '' order by n, m)
    from jsonb_array_elements(v.body -> 'roles') with ordinality x(r, n) left join lateral jsonb_array_elements(plan_holders(r ->> 'role')) with ordinality y(h, m) on true), '');
end $$;

-- ---- what went stale ---------------------------------------------------------------------------------------------------------------------------

create or replace function plan_cause_words(cause text) returns jsonb language sql immutable as $$
  select case cause
    when 'contact_left' then '{"zh":"联系人已离岗","en":"a contact has left"}' when 'contact_changed' then '{"zh":"联系人或职责有变动","en":"a contact has changed"}'
    when 'supplier_replaced' then '{"zh":"供应商已更换","en":"a supplier was replaced"}' when 'app_retired' then '{"zh":"应用已下线","en":"an app was retired"}'
    when 'service_retired' then '{"zh":"服务已停用","en":"a service was retired"}' when 'service_changed' then '{"zh":"服务信息有变动","en":"a service has changed"}'
    when 'objective_changed' then '{"zh":"恢复目标已调整","en":"an objective was changed"}' when 'playbook_edited' then '{"zh":"处置流程已改版","en":"a playbook was edited"}'
    when 'playbook_retired' then '{"zh":"处置流程已停用","en":"a playbook was retired"}' when 'drill_failed' then '{"zh":"演练未达成目标","en":"a drill failed"}'
    when 'rule_changed' then '{"zh":"监管报送规则已更新","en":"a reporting rule has changed"}' else '{"zh":"引用的对象已不存在","en":"something it cites is gone"}' end::jsonb
$$;

-- Looks at every version in force: writes causes that are new, clears those that are over. Answers how many are new. Several processes
-- may do it at once: each plan is one process's for the moment.
create or replace function plan_look() returns int language plpgsql as $$
declare p plan%rowtype; v plan_version%rowtype; made int := 0; k int;
begin
  for p in select * from plan x where exists (select 1 from plan_version y where y.plan_id = x.id and y.state = 'in_force') order by x.id for update skip locked loop
    select * into v from plan_version y where y.plan_id = p.id and y.state = 'in_force';
    with seen as (select n.section, n.kind, n.name, n.cause, coalesce((n.now ->> 'at')::timestamptz, app_now()) as since, plan_fact_hash(n.now) as hash from plan_now(v) n where n.cause is not null),
    over as (update plan_cause c set cleared_at = app_now() where c.plan_id = p.id and c.version = v.version and c.cleared_at is null
      and not exists (select 1 from seen s where (s.section, s.kind, s.name, s.cause) = (c.section, c.kind, c.name, c.cause)))
    insert into plan_cause(plan_id, version, section, kind, name, cause, since, seen_at, hash)
      select p.id, v.version, s.section, s.kind, s.name, s.cause, greatest(least(s.since, app_now()), lower(v.in_force)), app_now(), s.hash from seen s
      on conflict (plan_id, version, section, kind, name, cause) where cleared_at is null do nothing;
    get diagnostics k = row_count;
    made := made + k;
    perform plan_tell(p, v);
  end loop;
  return made;
end $$;

-- Tells the owner of what nobody was told yet, in one message; whoever holds the risk role where the owner has left.
create or replace function plan_tell(p plan, v plan_version) returns void language plpgsql as $$
declare ids bigint[]; zh text; en text;
begin
  select array_agg(c.id order by c.id), string_agg(distinct '· ' || (plan_cause_words(c.cause) ->> 'zh') || '：' || plan_language(f.fact -> 'text', 'zh') || '（' || plan_part_name(v, c.section, 'zh') || '）', E'\n'),
      string_agg(distinct '· ' || (plan_cause_words(c.cause) ->> 'en') || ': ' || plan_language(f.fact -> 'text', 'en') || ' (' || plan_part_name(v, c.section, 'en') || ')', E'\n') into ids, zh, en
    from plan_cause c join plan_cited f using (plan_id, version, section, kind, name) where c.plan_id = p.id and c.version = v.version and c.told_at is null and c.cleared_at is null;
  if ids is null then return; end if;
  perform message_send(null, 'plan_stale', jsonb_build_object('zh', '应急预案需要更新：' || plan_language(v.title, 'zh'), 'en', 'An emergency plan is out of date: ' || plan_language(v.title, 'en')),
    jsonb_build_object('zh', '《' || plan_language(v.title, 'zh') || '》第' || v.version || E'版引用的内容已变化：\n' || zh || E'\n请修订后提交审批。\n' || page_url() || '/plans/' || p.slug,
      'en', 'What version ' || v.version || ' of "' || plan_language(v.title, 'en') || E'" cites has changed:\n' || en || E'\nPlease revise it and hand it in.\n' || page_url() || '/plans/' || p.slug),
    jsonb_build_object('plan', p.slug, 'version', v.version),
    case when (select x.active from person x where x.id = p.owner_id) then jsonb_build_array(jsonb_build_object('person', p.owner_id)) else '[{"role":"risk"}]' end,
    jsonb_build_object('key', 'plan_stale|' || p.id || '|' || ids[1], 'event', 'plan.stale'));
  update plan_cause c set told_at = app_now() where c.id = any(ids);
end $$;

-- A part's name in words: the title of a section, or what a list is called.
create or replace function plan_part_name(v plan_version, part text, lang text) returns text language sql stable as $$
  select coalesce((select plan_language(s -> 'title', lang) from jsonb_array_elements(v.body -> 'sections') s where s ->> 'id' = part),
    case lang when 'zh' then case part when 'roles' then '职责与人员' when 'levels' then '启动分级' when 'audiences' then '告知对象' when 'services' then '适用范围' else '处置流程' end
      else case part when 'roles' then 'roles and people' when 'levels' then 'activation levels' when 'audiences' then 'audiences' when 'services' then 'scope' else 'playbooks' end end)
$$;

-- Causes, newest first: those that hold and those that are over. after: JSON [since, id].
create or replace function plan_causes(open boolean, after text, most int) returns table(body jsonb, next text) language plpgsql stable as $$
declare a jsonb := nullif(after, '')::jsonb; take int := least(coalesce(most, 50), 200); list jsonb;
begin
  select coalesce(jsonb_agg(plan_cause_row(x.c) order by x.n) filter (where x.n <= take), '[]'), case when count(*) > take then (array_agg(jsonb_build_array(iso((x.c).since), (x.c).id)::text order by x.n))[take] end into list, plan_causes.next
  from (select c, row_number() over (order by date_trunc('milliseconds', c.since) desc, c.id desc) as n from plan_cause c
    where (not coalesce(open, false) or c.cleared_at is null) and (a is null or (date_trunc('milliseconds', c.since), c.id) < ((a ->> 0)::timestamptz, (a ->> 1)::bigint))
    order by date_trunc('milliseconds', c.since) desc, c.id desc limit take + 1) x;
  plan_causes.body := jsonb_build_object('items', list, 'only_open', coalesce(open, false));
  return next;
end $$;

create or replace function plan_cause_row(c plan_cause) returns jsonb language sql stable as $$
  select jsonb_build_object('plan', p.slug, 'title', v.title, 'version', c.version, 'section', c.section, 'section_name', jsonb_build_object('zh', plan_part_name(v, c.section, 'zh'), 'en', plan_part_name(v, c.section, 'en')),
    'cause', c.cause, 'kind', c.kind, 'name', c.name, 'was', f.fact -> 'text', 'since', iso(c.since), 'seen_at', iso(c.seen_at), 'told_at', iso(c.told_at), 'cleared_at', iso(c.cleared_at), 'owner', person_ref(p.owner_id))
  from plan p, plan_version v, plan_cited f where p.id = c.plan_id and v.plan_id = c.plan_id and v.version = c.version
    and (f.plan_id, f.version, f.section, f.kind, f.name) = (c.plan_id, c.version, c.section, c.kind, c.name)
$$;

create or replace function plan_causes_csv() returns text language sql stable as $$
  select E'\ufeffplan,version,section,cause,kind,name,was,since,told_at,cleared_at\r\n'
    || coalesce(string_agg(concat_ws(',', csv_text(r ->> 'plan'), r ->> 'version', csv_text(pick(r -> 'section_name')), r ->> 'cause', r ->> 'kind', csv_text(r ->> 'name'), csv_text(pick(r -> 'was')), r ->> 'since', coalesce(r ->> 'told_at', ''), coalesce(r ->> 'cleared_at', '')) || E'\r\n', '' order by r ->> 'since' desc, r ->> 'plan', r ->> 'name'), '')
  from (select plan_cause_row(c) as r from plan_cause c order by c.since desc limit 100000) x
$$;

-- For the risk team's page: what is stale, what is to be reviewed, what waits for approval, what has nothing in force.
create or replace function plan_due() returns table(kind text, weight int, due date, subject text, path text, title jsonb, reason_key text, params jsonb) language sql stable as $$
  select 'plan_stale', 80, (min(c.since) at time zone page_zone())::date, p.slug, '/plans/' || p.slug, v.title, 'plan.due.stale', jsonb_build_object('n', count(*))
    from plan_cause c join plan p on p.id = c.plan_id join plan_version v on v.plan_id = c.plan_id and v.version = c.version where c.cleared_at is null group by p.slug, v.title
  union all select 'plan_review', 50, plan_next_review(p), p.slug, '/plans/' || p.slug, v.title, 'plan.due.review', jsonb_build_object('date', plan_next_review(p))
    from plan p join plan_version v on v.plan_id = p.id and v.state = 'in_force' where plan_next_review(p) <= (app_now() at time zone page_zone())::date + 30
  union all select 'plan_approval', 60, (v.submitted_at at time zone page_zone())::date, p.slug, '/plans/' || p.slug || '/versions/' || v.version, v.title, 'plan.due.approval', jsonb_build_object('n', v.version)
    from plan p join plan_version v on v.plan_id = p.id and v.state = 'in_review'
  union all select 'plan_none', 70, null, p.slug, '/plans/' || p.slug, v.title, 'plan.due.none', '{}'
    from plan p join lateral (select * from plan_version x where x.plan_id = p.id order by x.version desc limit 1) v on true
    where p.archived_at is null and not exists (select 1 from plan_version x where x.plan_id = p.id and x.state in ('in_force','in_review'))
$$;
