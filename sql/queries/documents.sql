-- name: job_claim(lease int) -> many
with next as (
  select j.id from job j where j.state = 'pending' or (j.state = 'claimed' and j.lease_until < clock_timestamp())
  order by j.ordered_at limit 1 for update skip locked)
update job j set state = 'claimed', claim_token = j.claim_token + 1, attempt = j.attempt + 1, lease_until = clock_timestamp() + make_interval(secs => $1::int)
from next where j.id = next.id
returning j.id, j.claim_token as token, j.kind, j.subject, j.model::text as model, iso(j.ordered_at) as ordered_at,
  (select r.incident_id from report r where r.ref = j.subject) as incident,
  coalesce((select r.incident_kind <> 'incident' from report r where r.ref = j.subject), (j.model->>'drill')::boolean, false) as drill;

-- name: job_done(job uuid, token bigint, name text, media text, size bigint, sha256 text, bytes text, ms int) -> many
with mine as (select j.id, j.subject, j.ordered_by from job j where j.id = $1::uuid and j.claim_token = $2::bigint and j.state = 'claimed' for update),
kept as (
  insert into attachment(incident_id, name, media, size, sha256, bytes, added_by, added_at)
  select (select r.incident_id from report r where r.ref = m.subject), $3::text, $4::text, $5::bigint, $6::text, decode($7::text, 'base64'), m.ordered_by, app_now() from mine m
  returning id)
update job j set state = 'done', attachment_id = kept.id, done_at = app_now(), lease_until = null, error_key = null, error = null, ms = $8::int
from mine, kept where j.id = mine.id returning j.id;

-- name: job_failed(job uuid, token bigint, key text, error text, ms int, again boolean) -> exec
update job j set state = case when $6::boolean and j.attempt < 3 then 'pending' else 'failed' end, lease_until = null, error_key = $3::text, error = $4::text,
  ms = $5::int, done_at = case when $6::boolean and j.attempt < 3 then null else app_now() end
where j.id = $1::uuid and j.claim_token = $2::bigint and j.state = 'claimed';
