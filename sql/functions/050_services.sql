-- The register of services: list, one, edit, retire, and tables in and out.

-- "30m", "4h", "1d", "90s", PT forms, seconds as a number; null for anything else.
create or replace function duration_seconds(given text) returns int language plpgsql immutable as $$
declare n numeric;
begin
  if given is null then return null; end if;
  if given ~ '^\d{1,9}$' then return given::int; end if;
  given := lower(btrim(given));
  if given ~ '^\d{1,7}(\.\d{1,3})?\s*(s|m|min|h|d|秒|分钟|分|小时|天)$' then
    n := substring(given from '^[\d.]+')::numeric * case substring(given from '[^\d.\s]+$')
      when 's' then 1 when '秒' then 1 when 'm' then 60 when 'min' then 60 when '分' then 60 when '分钟' then 60 when 'h' then 3600 when '小时' then 3600 else 86400 end;
    return case when n <= 31536000 then n::int end;
  end if;
  if given ~ '^(\d{1,4}d)?(\d{1,5}h)?(\d{1,6}m)?(\d{1,8}s)?$' and given <> '' then
    n := coalesce(substring(given from '(\d+)d')::numeric, 0) * 86400 + coalesce(substring(given from '(\d+)h')::numeric, 0) * 3600
      + coalesce(substring(given from '(\d+)m')::numeric, 0) * 60 + coalesce(substring(given from '(\d+)s')::numeric, 0);
    return case when n <= 31536000 then n::int end;
  end if;
  if given ~ '^p(\d{1,4}d)?(t(\d{1,5}h)?(\d{1,6}m)?(\d{1,8}s)?)?$' and length(given) > 2 then
    n := extract(epoch from upper(given)::interval);
    return case when n <= 31536000 then n::int end;
  end if;
  return null;
end $$;

create or replace function duration_short(seconds int) returns text language sql immutable as $$
  select case when seconds is null then null when seconds = 0 then '0s'
    else concat(nullif(seconds / 86400, 0) || 'd', nullif(seconds % 86400 / 3600, 0) || 'h', nullif(seconds % 3600 / 60, 0) || 'm', nullif(seconds % 60, 0) || 's') end
$$;

-- Lines, or a list, as a JSON list without blanks.
create or replace function lines_list(given jsonb) returns jsonb language sql immutable as $$
  select case jsonb_typeof(given) when 'array' then nullif(given, '[]')
    when 'string' then nullif(coalesce((select jsonb_agg(btrim(x) order by o) from regexp_split_to_table(given #>> '{}', E'[\\r\\n]+') with ordinality as u(x, o) where btrim(x) <> ''), '[]'), '[]') end
$$;

create or replace function list_lines(given jsonb) returns text language sql immutable as $$
  select string_agg(x, E'\n' order by o) from jsonb_array_elements_text(case jsonb_typeof(given) when 'array' then given else '[]' end) with ordinality as u(x, o)
$$;

create or replace function service_row(s service) returns jsonb language sql stable as $$
  select jsonb_build_object('id', s.id, 'slug', s.slug, 'kind', s.kind, 'name', s.name, 'importance', s.importance, 'important_system', s.important_system,
    'owner_department', s.owner_department, 'owner', person_ref(s.owner_id), 'rto_seconds', s.rto_seconds, 'rpo_seconds', s.rpo_seconds,
    'retired', s.retired_at is not null, 'is_app', s.kind = 'app')
$$;

create or replace function service_kinds() returns text[] language sql immutable as $$ select '{business,app,system,supplier,site,team,data}'::text[] $$;
create or replace function service_importances() returns text[] language sql immutable as $$ select '{vital,important,normal,low}'::text[] $$;
create or replace function app_kinds() returns text[] language sql immutable as $$ select '{native,mini_program,official_account,quick_app,web}'::text[] $$;
create or replace function app_platforms() returns text[] language sql immutable as $$ select '{ios,android,harmonyos,wechat,alipay,web,other}'::text[] $$;

-- Vital first, then by name of the address. after: JSON [rank,"slug"].
drop function if exists services_page(text, text, text, text, text, int);
create function services_page(kind text, importance text, q text, retired text, after text, most int)
returns table(body jsonb, next text) language plpgsql stable set plan_cache_mode to force_custom_plan as $$
declare
  a jsonb := nullif(after, '')::jsonb; wanted text := nullif(btrim(q), ''); take int := least(coalesce(most, 50), 200); list jsonb;
  gone boolean := coalesce(services_page.retired, '') = 'on'; k text := nullif(services_page.kind, ''); w text := nullif(services_page.importance, '');
begin
  select coalesce(jsonb_agg(service_row(x.s) || jsonb_build_object('open', coalesce((
             select jsonb_agg(jsonb_build_object('ref', i.ref, 'severity', i.severity, 'kind', i.kind, 'drill', i.kind = 'drill', 'impact', b.impact))
             from incident_service b join incident i on i.id = b.incident_id where b.service_id = (x.s).id and b.restored_at is null and i.state <> 'closed'), '[]'))
           order by x.rn) filter (where x.rn <= take), '[]'),
         case when count(*) > take then (array_agg(jsonb_build_array(service_rank((x.s).importance), (x.s).slug)::text order by x.rn))[take] end
    into list, services_page.next
    from (select s, row_number() over (order by service_rank(s.importance), s.slug) as rn from service s
      where (case when gone then s.retired_at is not null else s.retired_at is null end)
        and (gone or s.retired_at is null)
        and (k is null or s.kind = k) and (w is null or service_rank(s.importance) = service_rank(w))
        and (wanted is null or found_in(wanted, search_text(s.name, s.slug)))
        and (wanted is null or length(wanted) = 1 or search_grams(search_text(s.name, s.slug)) @> search_grams(wanted))
        and (a is null or (service_rank(s.importance), s.slug) > ((a ->> 0)::int, a ->> 1))
      order by service_rank(s.importance), s.slug limit take + 1) as x;
  services_page.body := jsonb_build_object('items', list, 'q', wanted, 'filtered', wanted is not null or k is not null or w is not null or gone, 'retired', gone,
    'kinds', choices(service_kinds(), k), 'importances', choices(service_importances(), w), 'may_edit', has_role('admin') or has_role('risk'));
  return next;
end $$;

-- The fields of the form: what was typed when it is shown again, else what is stored.
create or replace function service_edit(form jsonb, s service) returns jsonb language sql stable as $$
  select case when typed then jsonb_build_object('slug', form -> 'slug', 'name', form -> 'name',
      'description', form -> 'description',
      'owner_department', form -> 'owner_department',
      'rto', form -> 'rto', 'rpo', form -> 'rpo', 'important_system', form ? 'important_system',
      'app_stores', form -> 'app_stores', 'app_versions', form -> 'app_versions', 'app_filings', form -> 'app_filings')
    else jsonb_build_object('slug', s.slug, 'name', s.name, 'description', s.description, 'owner_department', s.owner_department,
      'rto', duration_short(s.rto_seconds), 'rpo', duration_short(s.rpo_seconds), 'important_system', coalesce(s.important_system, false),
      'app_stores', list_lines(s.app -> 'stores'), 'app_versions', list_lines(s.app -> 'versions'), 'app_filings', list_lines(s.app -> 'filings')) end
    || jsonb_build_object('kinds', choices(service_kinds(), coalesce(form ->> 'kind', s.kind, 'app')),
      'importances', choices(service_importances(), coalesce(form ->> 'importance', s.importance, 'normal')),
      'people', people_choices(case when typed then form ->> 'owner' else s.owner_id::text end),
      'app_kinds', choices(app_kinds(), case when typed then form ->> 'app_kind' else s.app ->> 'kind' end),
      'platforms', choices(app_platforms(), case when typed then form_list(form, 'app_platforms') else array(select jsonb_array_elements_text(coalesce(s.app -> 'platforms', '[]'))) end))
  from (select coalesce(form, '{}') ?| '{slug,name,description}' as typed) as t
$$;

create or replace function service_find(wanted text) returns service language plpgsql stable as $$
declare s service;
begin
  select * into s from service x where x.slug = wanted;
  if not found then perform refuse('MU404', 'error.service.unknown'); end if;
  return s;
end $$;

create or replace function service_doc(wanted text) returns jsonb language plpgsql as $$
declare s service := service_find(wanted);
begin
  return service_row(s) || jsonb_build_object('version', s.version, 'etag', s.version::text, 'description', s.description, 'app', s.app,
    'retired_at', iso(s.retired_at), 'created_at', iso(s.created_at), 'changed_at', iso(s.changed_at), 'may_edit', has_role('admin') or has_role('risk'),
    'may_declare', has_role('responder') and s.retired_at is null,
    'open', coalesce((select jsonb_agg(jsonb_build_object('ref', i.ref, 'title', i.title, 'kind', i.kind, 'drill', i.kind = 'drill', 'severity', i.severity, 'state', i.state,
        'impact', b.impact, 'since', iso(b.since), 'restored_at', iso(b.restored_at)) order by i.declared_at desc)
      from incident_service b join incident i on i.id = b.incident_id where b.service_id = s.id and i.state <> 'closed'), '[]'),
    'past', coalesce((select jsonb_agg(jsonb_build_object('ref', h.ref, 'title', h.title, 'kind', h.kind, 'drill', h.kind = 'drill', 'severity', h.severity, 'since', iso(h.since),
        'restored_at', iso(h.restored_at), 'seconds', h.seconds, 'in_time', h.seconds <= s.rto_seconds, 'late', h.seconds > s.rto_seconds) order by h.declared_at desc)
      from (select i.*, b.since, b.restored_at, extract(epoch from b.restored_at - b.since)::int as seconds
            from incident_service b join incident i on i.id = b.incident_id where b.service_id = s.id and i.state = 'closed' order by i.declared_at desc limit 10) as h), '[]'),
    'components', coalesce((select jsonb_agg(jsonb_build_object('slug', c.slug, 'name', c.name, 'status', c.status) order by c.position, c.slug)
      from component c where c.service_id = s.id), '[]'));
end $$;

create or replace function service_app(doc jsonb) returns jsonb language sql immutable as $$
  select case when doc ->> 'kind' = 'app' then jsonb_strip_nulls(jsonb_build_object('kind', doc -> 'app_kind', 'platforms', lines_list(doc -> 'app_platforms'),
    'stores', lines_list(doc -> 'app_stores'), 'versions', lines_list(doc -> 'app_versions'), 'filings', lines_list(doc -> 'app_filings'))) end
$$;

-- Checks what a field spec cannot; gives the row as it would be stored.
create or replace function service_checked(doc jsonb) returns service language plpgsql stable as $$
declare s service;
begin
  s.slug := doc ->> 'slug'; s.kind := doc ->> 'kind'; s.name := two_languages(doc -> 'name'); s.description := two_languages(doc -> 'description');
  s.owner_department := two_languages(doc -> 'owner_department'); s.importance := coalesce(doc ->> 'importance', 'normal');
  s.important_system := coalesce((doc ->> 'important_system')::boolean, false); s.app := service_app(doc);
  s.rto_seconds := duration_seconds(doc ->> 'rto'); s.rpo_seconds := duration_seconds(doc ->> 'rpo');
  if doc ? 'rto' and s.rto_seconds is null then perform refuse('MU422', 'error.field.duration', '/rto'); end if;
  if doc ? 'rpo' and s.rpo_seconds is null then perform refuse('MU422', 'error.field.duration', '/rpo'); end if;
  if doc ? 'owner' then
    select p.id into s.owner_id from person p where p.active and (p.id::text = doc ->> 'owner' or p.login = doc ->> 'owner');
    if s.owner_id is null then perform refuse('MU422', 'error.person.unknown', '/owner'); end if;
  end if;
  return s;
end $$;

create or replace function service_create(doc jsonb) returns text language plpgsql as $$
declare s service := service_checked(doc);
begin
  if s.slug in ('new', 'import', 'export') then perform refuse('MU422', 'error.slug_reserved', '/slug', jsonb_build_object('slug', s.slug)); end if;
  if exists (select 1 from service x where x.slug = s.slug) then perform refuse('MU409', 'error.slug_taken', '/slug', jsonb_build_object('slug', s.slug)); end if;
  insert into service(slug, kind, name, description, owner_department, owner_id, importance, important_system, rto_seconds, rpo_seconds, app, created_at, changed_at)
    values (s.slug, s.kind, s.name, s.description, s.owner_department, s.owner_id, s.importance, s.important_system, s.rto_seconds, s.rpo_seconds, s.app, app_now(), app_now());
  perform audit('service.created', s.slug, jsonb_build_object('kind', s.kind, 'name', s.name));
  return s.slug;
end $$;

create or replace function service_put(wanted text, doc jsonb, etag text) returns text language plpgsql as $$
declare old service; s service;
begin
  select * into old from service x where x.slug = wanted for update;
  if not found then perform refuse('MU404', 'error.service.unknown'); end if;
  perform etag_check(etag, old.version);
  s := service_checked(doc);
  update service x set kind = s.kind, name = s.name, description = s.description, owner_department = s.owner_department, owner_id = s.owner_id, importance = s.importance,
    important_system = s.important_system, rto_seconds = s.rto_seconds, rpo_seconds = s.rpo_seconds, app = s.app, version = old.version + 1, changed_at = app_now()
    where x.id = old.id;
  perform audit('service.changed', wanted, (select coalesce(jsonb_object_agg(n.key, jsonb_build_object('before', o.value, 'after', n.value)), '{}')
    from jsonb_each(to_jsonb(s)) n join jsonb_each(to_jsonb(old)) o using (key)
    where key in ('kind','name','description','owner_department','owner_id','importance','important_system','rto_seconds','rpo_seconds','app') and n.value is distinct from o.value));
  return wanted;
end $$;

create or replace function service_retire(wanted text, wish boolean) returns text language plpgsql as $$
declare s service := service_find(wanted);
begin
  if (s.retired_at is not null) = wish then return wanted; end if;
  if wish and exists (select 1 from incident_service b join incident i on i.id = b.incident_id where b.service_id = s.id and i.state <> 'closed' and b.restored_at is null) then
    perform refuse('MU409', 'error.service.in_use');
  end if;
  update service x set retired_at = case when wish then app_now() end, version = x.version + 1, changed_at = app_now() where x.id = s.id;
  perform audit(case when wish then 'service.retired' else 'service.restored' end, wanted);
  return wanted;
end $$;

-- ---- tables in ----

create or replace function service_columns() returns jsonb language sql immutable as $$
  select '{"slug":["编号","标识"],"kind":["类型"],"name_zh":["名称","中文名称"],"name_en":["英文名称"],"description_zh":["说明","中文说明"],"description_en":["英文说明"],
    "department_zh":["部门","归属部门"],"department_en":["英文部门"],"owner":["负责人"],"importance":["重要性"],"important_system":["重要信息系统"],"rto":["恢复时间目标"],
    "rpo":["恢复点目标"],"app_kind":["应用形态"],"app_platforms":["平台"],"app_stores":["分发平台"],"app_versions":["版本"],"app_filings":["备案"]}'::jsonb
$$;

-- A word of a cell as its code: codes themselves in any case, and the Chinese words.
create or replace function service_word(given text) returns text language sql immutable as $$
  select coalesce('{"业务":"business","业务服务":"business","应用":"app","移动应用":"app","系统":"system","供应商":"supplier","场所":"site","团队":"team","数据":"data",
    "关键":"vital","核心":"vital","重要":"important","一般":"normal","较低":"low","低":"low","是":"yes","否":"no","true":"yes","false":"no","1":"yes","0":"no","y":"yes","n":"no","on":"yes","off":"no",
    "客户端":"native","小程序":"mini_program","公众号":"official_account","快应用":"quick_app","网页":"web","鸿蒙":"harmonyos","安卓":"android","苹果":"ios","微信":"wechat","支付宝":"alipay","其他":"other"}'::jsonb
    ->> lower(btrim(given)), lower(btrim(given)))
$$;

create or replace function cell_list(given text) returns jsonb language sql immutable as $$
  select jsonb_agg(btrim(x) order by o) from regexp_split_to_table(given, '[|;；、\n]') with ordinality as u(x, o) where btrim(x) <> ''
$$;

-- Whether a cell holds what a field of a form may not: control characters, marks that turn the direction of writing; line breaks and
-- tabs are for the longer texts only.
create or replace function cell_control(given text, multiline boolean) returns boolean language sql immutable parallel safe as $$
  select coalesce(case when multiline then translate(replace(given, E'\r\n', E'\n'), E'\n\t', '') else given end
    ~ '[\u0001-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]', false)
$$;

-- {"canonical column": "column of the file"}; refuses a column we do not know, and a file without the one that names the rows.
create or replace function service_columns_map(columns jsonb) returns jsonb language plpgsql immutable as $$
declare known jsonb := service_columns(); m jsonb := '{}'; c text; k text;
begin
  for c in select jsonb_array_elements_text(columns) loop
    select e.key into k from jsonb_each(known) e where e.key = lower(btrim(c)) or e.value ? btrim(c);
    if k is null then
      perform refuse('MU422', 'error.import.column', '/table', jsonb_build_object('column', c));
    end if;
    if m ? k then perform refuse('MU422', 'error.import.column_twice', '/table', jsonb_build_object('column', c)); end if;
    m := m || jsonb_build_object(k, c);
  end loop;
  if not m ? 'slug' then perform refuse('MU422', 'error.import.no_slug', '/table'); end if;
  return m;
end $$;

-- Every row as it would be stored, with what would happen (new, change, same) and what is wrong with it. A column the file has not
-- leaves what is stored; an empty cell clears it.
drop function if exists services_plan(jsonb, jsonb);
create function services_plan(rows jsonb, columns jsonb)
returns table(line int, slug text, action text, faults jsonb, kind text, name jsonb, description jsonb, owner_department jsonb, owner_id uuid, importance text,
  important_system boolean, rto_seconds int, rpo_seconds int, app jsonb) language plpgsql stable as $$
declare m jsonb := service_columns_map(columns);
begin
  return query
  with cell as materialized (
    select (e ->> '_line')::int as line, btrim(e ->> (m ->> 'slug')) as slug, e ->> (m ->> 'kind') as kind, e ->> (m ->> 'name_zh') as name_zh, e ->> (m ->> 'name_en') as name_en,
      e ->> (m ->> 'description_zh') as description_zh, e ->> (m ->> 'description_en') as description_en, e ->> (m ->> 'department_zh') as department_zh,
      e ->> (m ->> 'department_en') as department_en, btrim(e ->> (m ->> 'owner')) as owner, e ->> (m ->> 'importance') as importance,
      e ->> (m ->> 'important_system') as important_system, e ->> (m ->> 'rto') as rto, e ->> (m ->> 'rpo') as rpo, e ->> (m ->> 'app_kind') as app_kind,
      e ->> (m ->> 'app_platforms') as app_platforms, e ->> (m ->> 'app_stores') as app_stores, e ->> (m ->> 'app_versions') as app_versions, e ->> (m ->> 'app_filings') as app_filings
    from jsonb_array_elements(rows) as e),
  twice as (select c.slug, min(c.line) as line from cell c where c.slug is not null group by c.slug having count(*) > 1),
  parsed as materialized (
    select c.*, s.id as old_id, to_jsonb(s) as old, t.line as first_line, p.id as person_id,
      case when m ? 'kind' then service_word(c.kind) else s.kind end as n_kind,
      case when m ? 'importance' then coalesce(service_word(c.importance), 'normal') else coalesce(s.importance, 'normal') end as n_importance,
      case when m ? 'important_system' then coalesce(service_word(c.important_system), 'no') else case when s.important_system then 'yes' else 'no' end end as n_system,
      two_languages(jsonb_build_object('zh', coalesce(btrim(c.name_zh), case when not m ? 'name_zh' then s.name ->> 'zh' end),
        'en', coalesce(btrim(c.name_en), case when not m ? 'name_en' then s.name ->> 'en' end))) as n_name,
      two_languages(jsonb_build_object('zh', case when m ? 'description_zh' then c.description_zh else s.description ->> 'zh' end,
        'en', case when m ? 'description_en' then c.description_en else s.description ->> 'en' end)) as n_description,
      two_languages(jsonb_build_object('zh', case when m ? 'department_zh' then c.department_zh else s.owner_department ->> 'zh' end,
        'en', case when m ? 'department_en' then c.department_en else s.owner_department ->> 'en' end)) as n_department,
      case when m ? 'owner' then p.id else s.owner_id end as n_owner,
      case when m ? 'rto' then duration_seconds(c.rto) else s.rto_seconds end as n_rto,
      case when m ? 'rpo' then duration_seconds(c.rpo) else s.rpo_seconds end as n_rpo,
      jsonb_strip_nulls(jsonb_build_object(
        'kind', case when m ? 'app_kind' then to_jsonb(service_word(c.app_kind)) else s.app -> 'kind' end,
        'platforms', case when m ? 'app_platforms' then (select jsonb_agg(service_word(x)) from jsonb_array_elements_text(cell_list(c.app_platforms)) x) else s.app -> 'platforms' end,
        'stores', case when m ? 'app_stores' then cell_list(c.app_stores) else s.app -> 'stores' end,
        'versions', case when m ? 'app_versions' then cell_list(c.app_versions) else s.app -> 'versions' end,
        'filings', case when m ? 'app_filings' then cell_list(c.app_filings) else s.app -> 'filings' end)) as n_app
    from cell c
    left join service s on s.slug = c.slug
    left join twice t on t.slug = c.slug
    left join person p on p.login = c.owner and p.active),
  judged as (
    select q.*, jsonb_strip_nulls(jsonb_build_object(
      'slug', case when q.slug is null then 'error.field.required' when q.slug !~ '^[a-z][a-z0-9_-]{0,63}$' then 'error.field.slug' when q.slug in ('new', 'import', 'export') then 'error.slug_reserved'
                   when q.first_line is not null then 'error.import.twice' end,
      'kind', case when q.n_kind is null then 'error.field.required' when not q.n_kind = any(service_kinds()) then 'error.import.value' end,
      'name_zh', case when cell_control(btrim(q.name_zh), false) then 'error.field.control' when q.n_name is null then 'error.import.name' when length(q.n_name ->> 'zh') > 200 then 'error.import.long' end,
      'name_en', case when cell_control(btrim(q.name_en), false) then 'error.field.control' when length(q.n_name ->> 'en') > 200 then 'error.import.long' end,
      'description_zh', case when cell_control(q.description_zh, true) then 'error.field.control' when length(q.description_zh) > 4000 then 'error.import.long' end,
      'description_en', case when cell_control(q.description_en, true) then 'error.field.control' when length(q.description_en) > 4000 then 'error.import.long' end,
      'department_zh', case when cell_control(btrim(q.department_zh), false) then 'error.field.control' when length(q.department_zh) > 100 then 'error.import.long' end,
      'department_en', case when cell_control(btrim(q.department_en), false) then 'error.field.control' when length(q.department_en) > 100 then 'error.import.long' end,
      'app_stores', case when cell_control(q.app_stores, true) then 'error.field.control' end, 'app_versions', case when cell_control(q.app_versions, true) then 'error.field.control' end,
      'app_filings', case when cell_control(q.app_filings, true) then 'error.field.control' end,
      'owner', case when q.owner is not null and q.person_id is null then 'error.import.owner' end,
      'importance', case when not q.n_importance = any(service_importances()) then 'error.import.value' end,
      'important_system', case when q.n_system not in ('yes', 'no') then 'error.import.yes_no' end,
      'rto', case when q.rto is not null and q.n_rto is null then 'error.field.duration' end, 'rpo', case when q.rpo is not null and q.n_rpo is null then 'error.field.duration' end,
      'app_kind', case when q.app_kind is not null and not service_word(q.app_kind) = any(app_kinds()) then 'error.import.value'
                       when q.n_app <> '{}' and q.n_kind <> 'app' and (q.app_kind is not null or q.app_platforms is not null or q.app_stores is not null or q.app_versions is not null or q.app_filings is not null)
                       then 'error.import.not_app' end,
      'app_platforms', case when exists (select 1 from jsonb_array_elements_text(coalesce(q.n_app -> 'platforms', '[]')) x where not x = any(app_platforms())) then 'error.import.value' end)) as f
    from parsed q)
  select j.line, j.slug, case when j.old_id is null then 'new'
      when (j.n_kind, j.n_name, j.n_description, j.n_department, j.n_owner, j.n_importance, j.n_system = 'yes', j.n_rto, j.n_rpo, case when j.n_kind = 'app' then j.n_app end)
        is distinct from (j.old ->> 'kind', j.old -> 'name', nullif(j.old -> 'description', 'null'), nullif(j.old -> 'owner_department', 'null'), (j.old ->> 'owner_id')::uuid, j.old ->> 'importance',
          (j.old ->> 'important_system')::boolean, (j.old ->> 'rto_seconds')::int, (j.old ->> 'rpo_seconds')::int, nullif(j.old -> 'app', 'null')) then 'change' else 'same' end,
    nullif(j.f, '{}'), j.n_kind, j.n_name, j.n_description, j.n_department, j.n_owner, j.n_importance, j.n_system = 'yes', j.n_rto, j.n_rpo, case when j.n_kind = 'app' then j.n_app end
  from judged j;
end $$;

create or replace function services_plan_summary(rows jsonb, columns jsonb) returns jsonb language sql stable as $$
  with plan as materialized (select * from services_plan(rows, columns)),
  bad as (select p.line, p.slug, e.key as field, e.value #>> '{}' as word from plan p, jsonb_each(p.faults) as e where p.faults is not null)
  select jsonb_build_object('rows', (select count(*) from plan), 'new', (select count(*) from plan where action = 'new' and faults is null),
    'change', (select count(*) from plan where action = 'change' and faults is null), 'same', (select count(*) from plan where action = 'same' and faults is null),
    'bad', (select count(*) from plan where faults is not null), 'faults', (select count(*) from bad),
    'faults_shown', coalesce((select jsonb_agg(jsonb_build_object('line', b.line, 'slug', b.slug, 'column', b.field, 'key', b.word) order by b.line, b.field)
      from (select * from bad order by line, field limit 200) as b), '[]'),
    'shown', coalesce((select jsonb_agg(jsonb_build_object('line', p.line, 'slug', p.slug, 'action', p.action, 'name', p.name, 'kind', p.kind, 'importance', p.importance) order by p.line)
      from (select * from plan where faults is null and action <> 'same' order by line limit 100) as p), '[]'))
$$;

-- Checks a table and keeps it for a yes; gives the import's id. What was kept and never confirmed goes after a day.
create or replace function services_import_check(rows jsonb, columns jsonb, file_name text) returns uuid language plpgsql as $$
declare made uuid;
begin
  delete from service_import i where i.created_at < app_now() - interval '1 day';
  insert into service_import(file_name, rows, summary, created_by, created_at)
    values (left(services_import_check.file_name, 200), jsonb_build_object('rows', rows, 'columns', columns), services_plan_summary(rows, columns), me(), app_now())
    returning id into made;
  return made;
end $$;

create or replace function services_import_find(wanted uuid) returns service_import language plpgsql stable as $$
declare i service_import;
begin
  select * into i from service_import x where x.id = wanted and (x.created_by = me() or has_role('admin'));
  if not found then perform refuse('MU404', 'error.import.unknown'); end if;
  return i;
end $$;

create or replace function services_import_doc(wanted uuid) returns jsonb language plpgsql as $$
declare i service_import := services_import_find(wanted);
begin
  return i.summary || jsonb_build_object('id', i.id, 'file_name', i.file_name, 'created_at', iso(i.created_at), 'done_at', iso(i.done_at), 'done', i.done_at is not null,
    'ok', i.done_at is null and (i.summary -> 'bad')::int = 0 and (i.summary -> 'new')::int + (i.summary -> 'change')::int > 0,
    'nothing', (i.summary -> 'bad')::int = 0 and (i.summary -> 'new')::int + (i.summary -> 'change')::int = 0,
    'wrong', (i.summary -> 'bad')::int > 0, 'more_faults', (i.summary -> 'faults')::int > 200, 'to_write', (i.summary -> 'new')::int + (i.summary -> 'change')::int);
end $$;

-- Stores a checked table, all of it or nothing. It is checked again: the register may have changed meanwhile.
create or replace function services_import_confirm(wanted uuid) returns void language plpgsql as $$
declare i service_import; bad int; made int; changed int;
begin
  select * into i from service_import x where x.id = wanted and (x.created_by = me() or has_role('admin')) for update;
  if not found then perform refuse('MU404', 'error.import.unknown'); end if;
  if i.done_at is not null then return; end if;
  create temporary table service_plan_now on commit drop as select * from services_plan(i.rows -> 'rows', i.rows -> 'columns');
  select count(*) into bad from service_plan_now p where p.faults is not null;
  if bad > 0 then
    update service_import x set summary = services_plan_summary(i.rows -> 'rows', i.rows -> 'columns') where x.id = i.id;
    perform refuse('MU409', 'error.import.bad', '', jsonb_build_object('n', bad));
  end if;
  update service s set kind = p.kind, name = p.name, description = p.description, owner_department = p.owner_department, owner_id = p.owner_id, importance = p.importance,
      important_system = p.important_system, rto_seconds = p.rto_seconds, rpo_seconds = p.rpo_seconds, app = p.app, version = s.version + 1, changed_at = app_now()
    from service_plan_now p where p.action = 'change' and s.slug = p.slug;
  get diagnostics changed = row_count;
  insert into service(slug, kind, name, description, owner_department, owner_id, importance, important_system, rto_seconds, rpo_seconds, app, created_at, changed_at)
    select p.slug, p.kind, p.name, p.description, p.owner_department, p.owner_id, p.importance, p.important_system, p.rto_seconds, p.rpo_seconds, p.app, app_now(), app_now()
    from service_plan_now p where p.action = 'new' order by p.line;
  get diagnostics made = row_count;
  update service_import x set done_at = app_now(), rows = '{}', summary = x.summary || jsonb_build_object('new', made, 'change', changed) where x.id = i.id;
  drop table service_plan_now;
  perform audit('services.imported', i.file_name, jsonb_build_object('new', made, 'changed', changed, 'import', i.id));
end $$;

-- ---- tables out ----

-- A cell: quoted where needed; what a spreadsheet would take for a formula gets an apostrophe.
create or replace function csv_text(given text) returns text language sql immutable parallel safe as $$
  select case when given is null then '' when t ~ '[",\r\n]' or t <> btrim(t) then '"' || replace(t, '"', '""') || '"' else t end
  from (select case when given ~ E'^[=+\\-@\\t\\r]' then '''' || given else given end as t) as x
$$;

create or replace function services_csv() returns text language sql stable as $$
  select E'\ufeff' || 'slug,kind,name_zh,name_en,description_zh,description_en,department_zh,department_en,owner,importance,important_system,rto,rpo,app_kind,app_platforms,app_stores,app_versions,app_filings' || E'\r\n'
    || coalesce(string_agg(concat_ws(',', s.slug, s.kind, csv_text(s.name ->> 'zh'), csv_text(s.name ->> 'en'), csv_text(s.description ->> 'zh'), csv_text(s.description ->> 'en'),
      csv_text(s.owner_department ->> 'zh'), csv_text(s.owner_department ->> 'en'), coalesce(p.login, ''), s.importance, case when s.important_system then 'yes' else 'no' end,
      coalesce(duration_short(s.rto_seconds), ''), coalesce(duration_short(s.rpo_seconds), ''), coalesce(s.app ->> 'kind', ''),
      csv_text(replace(list_lines(s.app -> 'platforms'), E'\n', '|')), csv_text(replace(list_lines(s.app -> 'stores'), E'\n', '|')),
      csv_text(replace(list_lines(s.app -> 'versions'), E'\n', '|')), csv_text(replace(list_lines(s.app -> 'filings'), E'\n', '|'))) || E'\r\n', '' order by s.slug), '')
  from service s left join person p on p.id = s.owner_id where s.retired_at is null
$$;
