-- name: job_get(job uuid) -> one
select report_job(j)::text as body from job j where j.id = $1::uuid;
