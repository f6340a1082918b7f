-- What the first page asks at every visit must not grow with the archive: messages one has not acknowledged, clocks that run, grave
-- incidents that ended lately.
create index outbox_to_ack on outbox(person_id, id desc) where ack_token is not null and acked_at is null;
create index incident_clock_running on incident_clock(due_at) where stopped_at is null;
create index incident_resolved on incident(resolved_at desc) where resolved_at is not null;
create index incident_role_of on incident_role(incident_id, id);
