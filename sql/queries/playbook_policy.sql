-- name: playbook_policy(form jsonb) -> one
select d as body, d ->> 'etag' as etag from (select playbook_policy_doc(coalesce($1::jsonb, '{}')) as d) as x;

-- name: playbook_policy_put(body jsonb, etag text) -> one
select x.d as body, x.d ->> 'etag' as etag, '/settings/playbooks' as location
  from (select playbook_policy_doc('{}') as d from (select playbook_policy_put($1::jsonb, $2::text)) as y) as x;
