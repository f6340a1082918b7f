-- What this house asks of playbooks beyond the format: read by the checker (V14, V20), set by administrators, each time with the reason.

create or replace function playbook_policy() returns jsonb language sql stable as $$
  select jsonb_build_object('four_eyes', coalesce((p ->> 'four_eyes')::boolean, false), 'drill_real', coalesce((p ->> 'drill_real')::boolean, false))
  from (select setting_get('playbook_policy', '{}') as p) x
$$;

create or replace function playbook_policy_etag() returns text language sql stable as $$
  select left(sha256_hex(coalesce((select s.value::text || iso(s.changed_at) from setting s where s.key = 'playbook_policy'), '')), 16)
$$;

-- Published playbooks that a policy would stop today: they stay as they are, and meet it with their next version.
create or replace function playbook_policy_against(policy jsonb) returns jsonb language sql stable as $$
  select coalesce(jsonb_agg(jsonb_build_object('slug', p.slug, 'version', v.version, 'title', v.title, 'four_eyes', x.four_eyes, 'drill_real', x.drill_real) order by p.slug), '[]')
  from playbook p join playbook_version v on v.playbook_id = p.id and v.state = 'published',
  lateral (select (policy ->> 'four_eyes')::boolean and exists (
        select 1 from jsonb_path_query(v.body, 'strict $.** ? (@.approve.type() == "string").by', '{}', true) b
        where coalesce((b ->> 'count')::int, 1) < 2 and not coalesce(b -> 'not' ? 'requester', false)) as four_eyes,
      not (policy ->> 'drill_real')::boolean and jsonb_path_exists(v.body, 'strict $.** ? (@.drill == "real")', '{}', true) as drill_real) x
  where x.four_eyes or x.drill_real
$$;

-- `edit` is what the form shows: what was typed when it is shown again, else what holds. Not stable: after a write it must see what was written.
create or replace function playbook_policy_doc(form jsonb) returns jsonb language sql as $$
  select p || jsonb_build_object('etag', playbook_policy_etag(), 'can', jsonb_build_object('set', has_role('admin')),
    'edit', case when coalesce(form, '{}') ? 'reason' then jsonb_build_object('four_eyes', form ? 'four_eyes', 'drill_real', form ? 'drill_real') else p end,
    'against', playbook_policy_against(p),
    'changes', (select coalesce(jsonb_agg(jsonb_build_object('at', iso(a.at), 'by', coalesce(a.actor_name, ''), 'reason', a.data -> 'reason', 'after', a.data -> 'after') order by a.seq desc), '[]')
      from (select * from audit_event e where e.action = 'playbook.policy' order by e.seq desc limit 20) a))
  from playbook_policy() p
$$;

create or replace function playbook_policy_put(doc jsonb, etag text) returns void language plpgsql as $$
declare before jsonb; after jsonb;
begin
  perform pg_advisory_xact_lock(hashtext('muster.playbook_policy'));
  if etag is not null and etag <> '*' and btrim(etag, '"') <> playbook_policy_etag() then
    perform refuse('MU412', 'error.stale', '', jsonb_build_object('etag', playbook_policy_etag()));
  end if;
  before := playbook_policy();
  after := jsonb_build_object('four_eyes', coalesce((doc ->> 'four_eyes')::boolean, false), 'drill_real', coalesce((doc ->> 'drill_real')::boolean, false));
  if before = after then return; end if;
  perform setting_put('playbook_policy', after);
  perform audit('playbook.policy', null, jsonb_build_object('before', before, 'after', after, 'reason', doc -> 'reason'));
end $$;
