-- Pictures of playbooks, drawn by `muster work`.

-- name: picture_claim(lease int) -> many
with next as (
  select sha256, language from playbook_picture p where p.state = 'pending' or (p.state = 'claimed' and p.lease_until < clock_timestamp())
  order by p.asked_at limit 1 for update skip locked)
update playbook_picture p set state = 'claimed', claim_token = p.claim_token + 1, attempt = p.attempt + 1, lease_until = clock_timestamp() + make_interval(secs => $1::int)
from next where p.sha256 = next.sha256 and p.language = next.language
returning p.sha256, p.language, p.claim_token as token,
  (select v.body::text from playbook_version v where v.body_sha256 = p.sha256 limit 1) as document,
  (select b.slug from playbook_version v join playbook b on b.id = v.playbook_id where v.body_sha256 = p.sha256 limit 1) as slug;

-- name: picture_done(sha256 text, language text, token bigint, svg text, error text) -> exec
-- error: a word; the picture could not be made.
update playbook_picture p set state = case when $5::text is null then 'done' else 'failed' end, svg = $4::text, error_key = $5::text, done_at = app_now(), lease_until = null
where p.sha256 = $1::text and p.language = $2::text and p.claim_token = $3::bigint and p.state = 'claimed';
