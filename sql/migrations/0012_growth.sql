-- Questions whose answers do not grow must not read tables that do: the receivers of one message (asked at every declaration and every
-- notice), the runs of a playbook, the papers of a report, reports that still wait, incidents of one grade, and when the public page
-- changed last.
create index outbox_message on outbox(message_id);
create index run_playbook on run(playbook_id, created_at);
create index job_subject on job(subject, ordered_at desc);
create index report_open on report(created_at desc, id desc) where state in ('draft','approved') and filed_at is null;
create index report_by_state on report(state, created_at desc, id desc);
create index incident_by_severity on incident(severity, declared_at desc, id desc);
create index status_incident_updated on status_incident(updated_at desc);
