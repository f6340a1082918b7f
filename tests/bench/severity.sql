-- What the server sends for the same, statement by statement. Each client has 250 incidents of its own.
\set at :client_id * 250 + :n % 250 + 1
\set high (:n / 250) % 2
\set version 1 + :n / 250
\set n :n + 1
begin;
select person, name, login, roles, must_change, session from session_open(:token, 'bearer', 'responder', 'zh', 'bench', '127.0.0.1');
select r::text as body, r->>'etag' as etag, r->>'runs' as runs, jsonb_build_object('kind', 'user', 'id', me(), 'name', person_label(me()), 'commander', true)::text as actor
  from incident_severity('INC-2025-' || lpad(:at::text, 5, '0'), :version || '-0', jsonb_build_object('severity', case :high::int when 0 then 'I' else 'II' end,
    'reason', 'The error rate of payments rose again after the change of 10:40')) r;
commit;
