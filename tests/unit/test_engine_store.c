/* The store around the engine, against a real PostgreSQL: runs of the library playbooks played to their end, keys, refusals, two
 * people at once, replay after every run, and a process killed at each failpoint. MUSTER_TEST_URL as in test_db.c. */
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "test_help.h"

#include "conf.h"
#include "crypto.h"
#include "db.h"
#include "json.h"
#include "log.h"
#include "migrate.h"
#include "playbook.h"
#include "run.h"
#include "str.h"
#include "timers.h"

#define WHY "because it must be so"

static const char *url;
static char own_url[600], own_name[64];

typedef struct { mu_arena *arena; mu_problem problem; mu_db *db; mu_tx *tx; char run[64], incident[64]; } fixture;

static char *
on(const char *where, const char *sql)
{
    static char text[4000];
    PGconn *conn = PQconnectdb(where);
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);

    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    snprintf(text, sizeof text, "%s", status == PGRES_TUPLES_OK && PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    PQfinish(conn);
    return text;
}

static char *
file_text(mu_arena *arena, const char *name, size_t *ret_n)
{
    FILE *file = fopen(mu_printf(arena, "%s/%s", SOURCE_DIR, name), "rb");
    char *text = mu_alloc(arena, MU_PLAYBOOK_BYTES);

    assert_non_null(file);
    *ret_n = fread(text, 1, MU_PLAYBOOK_BYTES - 1, file);
    fclose(file);
    return text;
}

static void
store_playbook(fixture *f, const char *name)
{
    mu_findings findings;
    mu_playbook *pb;
    const mu_rows *rows;
    json_t *doc;
    size_t n;
    char *text = file_text(f->arena, name, &n);

    mu_findings_start(&findings, f->arena);
    if (mu_playbook_read(f->arena, text, n, &findings, &doc, &pb) != MU_OK)
        fail_msg("%s: %s", name, mu_json_text(f->arena, mu_findings_json(&findings)));
    assert_int_equal(mu_one(f->tx, Q_playbook_store, ARGS(mu_playbook_id(pb), mu_json_text(f->arena, doc), mu_playbook_hash(f->arena, doc), "muster-yaml", text, "[]",
        "published"), &rows), MU_OK);
}

static void
begin(fixture *f)
{
    f->problem = (mu_problem){ .arena = f->arena };
    assert_int_equal(mu_tx_begin(f->db, f->arena, &f->problem, &f->tx), MU_OK);
}

static void
check(fixture *f, mu_err err)
{
    if (err != MU_OK)
        fail_msg("%s: %s %s", mu_err_code(err), f->problem.first != NULL && f->problem.first->key != NULL ? f->problem.first->key : "",
            f->problem.detail != NULL ? f->problem.detail : "");
}

static int
make_database(void **state)
{
    fixture f = { .arena = mu_arena_new((size_t)64 * 1024 * 1024) };
    char sql[128];
    size_t n;
    int demo;
    const mu_rows *rows;

    (void)state;
    url = getenv("MUSTER_TEST_URL");
    if (url == NULL) {
        mu_arena_free(f.arena);
        return 0;
    }
    snprintf(own_name, sizeof own_name, "t_unit_store_%d", (int)getpid());
    snprintf(sql, sizeof sql, "create database %s", own_name);
    on(url, sql);
    snprintf(own_url, sizeof own_url, "%s dbname=%s", url, own_name);
    url = own_url;
    f.problem.arena = f.arena;
    check(&f, mu_migrate(url, false, &f.problem));
    check(&f, mu_demo_load(url, &demo, &f.problem));
    f.db = mu_db_new(url, "test");
    begin(&f);
    store_playbook(&f, "playbooks/incident/mobile-banking-outage.yaml");
    store_playbook(&f, "playbooks/incident/payment-outage.yaml");
    store_playbook(&f, "playbooks/drill/tabletop.yaml");
    check(&f, mu_one(f.tx, Q_profile_store, ARGS(file_text(f.arena, "playbooks/regulators/nfra-it-incident.json", &n)), &rows));
    check(&f, mu_one(f.tx, Q_profile_store, ARGS(file_text(f.arena, "playbooks/regulators/cac-cyber.json", &n)), &rows));
    check(&f, mu_commit(f.tx));
    mu_db_close(f.db);
    mu_arena_free(f.arena);
    return 0;
}

static int
drop_database(void **state)
{
    char sql[128];

    (void)state;
    url = getenv("MUSTER_TEST_URL");
    mu_run_cache_clear();
    if (url == NULL)
        return 0;
    snprintf(sql, sizeof sql, "drop database %s with (force)", own_name);
    on(url, sql);
    return 0;
}

static int
set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    *state = f;
    if (url == NULL)
        return 0;
    f->arena = mu_arena_new((size_t)256 * 1024 * 1024);
    f->problem.arena = f->arena;
    f->db = mu_db_new(url, "test");
    return 0;
}

static int
tear_down(void **state)
{
    fixture *f = *state;

    mu_arena_free(f->arena);
    if (f->db != NULL)
        mu_db_close(f->db);
    free(f);
    return 0;
}

static fixture *
need(void **state)
{
    if (url == NULL)
        skip();
    return *state;
}

/* -- runs ------------------------------------------------------------------------------------------------------------------- */

static void
declare(fixture *f, const char *kind, const char *playbook)
{
    const mu_rows *made;
    json_t *data;
    const char *start;

    begin(f);
    check(f, mu_one(f->tx, Q_incident_declare, ARGS(mu_printf(f->arena,
        "{\"title\":\"Store test\",\"kind\":\"%s\",\"severity\":\"II\",\"services\":[\"mobile-banking\"],\"playbook\":\"%s\"}", kind, playbook)), &made));
    start = mu_col(made, "start");
    snprintf(f->run, sizeof f->run, "%s", mu_col(made, "run"));
    snprintf(f->incident, sizeof f->incident, "%s", mu_col(made, "incident"));
    check(f, mu_json_parse(f->arena, start, strlen(start), &f->problem, &data));
    check(f, mu_run_start(f->tx, f->run, data, NULL, NULL, NULL));
    check(f, mu_commit(f->tx));
}

static json_t *
person(fixture *f, const char *login)
{
    char *id = on(url, mu_printf(f->arena, "select id from person where login = '%s'", login));

    return mu_json_own(f->arena, json_pack("{s:s, s:s, s:s, s:b}", "kind", "user", "id", id, "name", login, "commander", mu_same(login, "wang.min") || mu_same(login, "zhou.kai")));
}

static mu_err
tell(fixture *f, const char *kind, const char *path, const char *login, const char *reason, const char *data, const char *key)
{
    const char *hash = path == NULL ? NULL : strchr(path, '#');          /* path#2: the second time */
    int64_t occ = 1;
    json_t *event = mu_json_own(f->arena, json_pack("{s:s, s:s*}", "kind", kind, "reason", reason)), *tree, *actor;
    bool machine = mu_same(login, "timer") || mu_same(login, "effect");

    actor = machine ? mu_json_own(f->arena, json_pack("{s:s}", "kind", login)) : person(f, login);
    begin(f);
    if (hash != NULL)
        assert_true(mu_parse_int(hash + 1, 1, 1000, &occ));
    if (path != NULL) {
        json_object_set_new(event, "path", json_stringn(path, hash == NULL ? strlen(path) : (size_t)(hash - path)));
        json_object_set_new(event, "occ", json_integer(occ));
    }
    if (data != NULL) {
        check(f, mu_json_parse(f->arena, data, strlen(data), &f->problem, &tree));
        json_object_set(event, "data", tree);
    }
    TRY(mu_run_event(f->tx, f->run, event, actor, key, NULL));
    return mu_commit(f->tx);
}

#define OK(...) check(f, tell(f, __VA_ARGS__))

static void
replays(fixture *f)
{
    json_t *report;

    begin(f);
    check(f, mu_run_replay(f->tx, f->run, &report));
    mu_rollback(f->tx);
    if (!mu_json_bool(report, "equal", false))
        fail_msg("%s", mu_json_text(f->arena, report));
}

static const char *
step(fixture *f, const char *path)
{
    return on(url, mu_printf(f->arena, "select status from run_step where run_id = '%s' and path = '%s' order by occ desc limit 1", f->run, path));
}

/* As the sender does when all is delivered. */
static void
deliver(fixture *f, const char *path)
{
    const char *key = mu_strdup(f->arena, on(url, mu_printf(f->arena,
        "update outbox set state = 'done', done_at = app_now() where run_id = '%s' and path = '%s' and state = 'pending' returning regexp_replace(idem_key, '\\|[^|]*$', '')", f->run, path)));

    OK("effect_done", path, "effect", NULL, mu_printf(f->arena, "{\"key\":\"%s\",\"result\":{\"sent\":1}}", key), mu_printf(f->arena, "effect/%s", key));
}

static void
tick(fixture *f, const char *path, const char *login, const char *const *items)
{
    for (size_t i = 0; items[i] != NULL; i++)
        OK("item_check", path, login, NULL, mu_printf(f->arena, "{\"item\":\"%s\",\"state\":\"done\"}", items[i]), NULL);
}

#define TICK(path, login, ...) tick(f, path, login, (const char *const[]){ __VA_ARGS__, NULL })

static void
test_story(void **state)
{
    fixture *f = need(state);

    declare(f, "incident", "mobile-banking-outage");
    assert_string_equal(step(f, "confirm"), "active");
    replays(f);
    TICK("confirm", "li.qiang", "login", "scope", "freeze");
    OK("item_check", "confirm", "li.qiang", NULL, "{\"item\":\"count\",\"state\":\"done\",\"values\":{\"users\":120000}}", NULL);
    OK("decide", "classify", "wang.min", NULL, "{\"value\":\"II\"}", NULL);
    OK("approve", "activate", "gao.feng", NULL, NULL, NULL);
    assert_string_equal(step(f, "respond/inform/publish"), "done");         /* the status page changed in the same transaction */
    assert_string_equal(step(f, "respond/inform/tell_staff"), "waiting");
    assert_string_equal(step(f, "respond/regulate/nfra_first"), "active");
    assert_string_equal(on(url, "select status from component where slug = 'mobile-banking'"), "major_outage");
    assert_string_equal(on(url, mu_printf(f->arena, "select count(*) from report where incident_id = '%s' and run_id is not null", f->incident)), "1");
    replays(f);
    deliver(f, "respond/inform/tell_staff");
    OK("task_done", "respond/inform/hotline", "sun.li", NULL, "{\"evidence\":[{\"kind\":\"link\",\"ref\":\"https://intranet.example/script\"}]}", NULL);
    OK("task_done", "respond/restore/mitigate", "li.qiang", NULL,
        "{\"values\":{\"cause\":\"release\",\"healthy\":false},\"evidence\":[{\"kind\":\"link\",\"ref\":\"https://git.example/rollback\"}]}", NULL);
    for (int round = 0; round < 2; round++)
        OK("task_done", round == 0 ? "respond/restore/try_again/mitigate_again" : "respond/restore/try_again/mitigate_again#2", "li.qiang", NULL,
            "{\"values\":{\"healthy\":false},\"evidence\":[{\"kind\":\"link\",\"ref\":\"https://git.example/throttle\"}]}", NULL);
    OK("approve", "respond/restore/still_down/then/switch_site/fail_over/permit_switch", "wang.min", NULL, NULL, NULL);
    TICK("respond/restore/still_down/then/switch_site/fail_over/switch", "li.qiang", "lag", "stop_writes", "promote", "route", "probe");
    TICK("respond/restore/verify", "li.qiang", "login", "pay", "queue");
    assert_string_equal(on(url, "select status from component where slug = 'mobile-banking'"), "operational");
    OK("approve", "respond/regulate/nfra_first", "gao.feng", NULL, NULL, NULL);
    OK("report_filed", "respond/regulate/nfra_first", "ma.rui", NULL, "{\"number\":\"2026-17\",\"channel\":\"phone\"}", NULL);
    OK("decide", "respond/regulate/cyber", "zhao.hui", NULL, "{\"value\":false}", NULL);
    TICK("wrap_up/close_and_review/close", "liu.yang", "unfreeze", "compensate", "notes");
    OK("task_done", "wrap_up/close_and_review/review", "zhao.hui", NULL, "{\"values\":{\"date\":\"2026-11-27\",\"actions\":\"3\"}}", NULL);
    assert_string_equal(on(url, mu_printf(f->arena, "select status from run where id = '%s'", f->run)), "succeeded");
    assert_string_equal(on(url, mu_printf(f->arena, "select count(*) from timer where run_id = '%s' and state = 'armed'", f->run)), "0");
    assert_string_equal(on(url, mu_printf(f->arena, "select count(*) from run_step where run_id = '%s' and status = 'pending'", f->run)), "0");
    replays(f);
}

static void
test_drill(void **state)
{
    fixture *f = need(state);

    declare(f, "drill", "mobile-banking-outage");
    TICK("confirm", "li.qiang", "login", "scope", "freeze", "count");
    OK("decide", "classify", "wang.min", NULL, "{\"value\":\"I\"}", NULL);
    OK("approve", "activate", "gao.feng", NULL, NULL, NULL);
    assert_string_equal(step(f, "respond/inform/publish"), "done");
    assert_string_equal(on(url, mu_printf(f->arena, "select count(*) from status_incident where incident_id = '%s'", f->incident)), "0");
    assert_string_equal(on(url, mu_printf(f->arena, "select count(*) from outbox where incident_id = '%s' and delivery = 'send' and not drill_safe", f->incident)), "0");
    OK("approve", "respond/regulate/nfra_first", "gao.feng", NULL, NULL, NULL);
    assert_string_equal(step(f, "respond/regulate/nfra_first"), "done");    /* signed is as far as it goes */
    replays(f);
}

static void
test_keys_and_refusals(void **state)
{
    fixture *f = need(state);
    const char *seq;

    declare(f, "incident", "payment-outage");
    OK("item_check", "locate", "li.qiang", NULL, "{\"item\":\"rates\",\"state\":\"done\"}", "key-1");
    seq = mu_strdup(f->arena, on(url, mu_printf(f->arena, "select seq from run where id = '%s'", f->run)));
    OK("item_check", "locate", "li.qiang", NULL, "{\"item\":\"rates\",\"state\":\"done\"}", "key-1");
    assert_string_equal(on(url, mu_printf(f->arena, "select seq from run where id = '%s'", f->run)), seq);
    assert_int_equal(tell(f, "item_check", "locate", "li.qiang", NULL, "{\"item\":\"unknown\",\"state\":\"done\"}", "key-1"), MU_CONFLICT);
    assert_string_equal(f->problem.first->key, "error.key_reused");
    mu_rollback(f->tx);
    assert_int_equal(tell(f, "skip", "locate", "he.ping", WHY, NULL, NULL), MU_FORBIDDEN);
    mu_rollback(f->tx);
    assert_int_equal(tell(f, "item_check", "locate", "li.qiang", NULL, "{\"item\":\"zzz\",\"state\":\"done\"}", NULL), MU_NOT_FOUND);
    assert_string_equal(f->problem.first->pointer, "/item");
    mu_rollback(f->tx);
    replays(f);
}

/* The clock is moved, the pump fires what is due: a reminder, then one role after the other, once each. */
static void
test_timers(void **state)
{
    fixture *f = need(state);
    char *count;

    declare(f, "incident", "mobile-banking-outage");
    count = mu_printf(f->arena, "select coalesce(string_agg(kind || ' ' || coalesce(body #>> '{data,role}', ''), ',' order by seq), '') from run_event "
        "where run_id = '%s' and kind in ('deadline_warned','deadline_missed','escalated')", f->run);
    on(url, "update test_clock set shift = '4 minutes'");
    while (mu_timers_fire(f->db, f->arena) > 0)
        ;
    assert_string_equal(on(url, count), "deadline_warned ");
    on(url, "update test_clock set shift = '5 minutes 1 second'");
    while (mu_timers_fire(f->db, f->arena) > 0)
        ;
    assert_string_equal(on(url, count), "deadline_warned ,deadline_missed ,escalated duty");
    assert_string_equal(on(url, mu_printf(f->arena, "select count(*) from outbox o join message m on m.id = o.message_id where o.run_id = '%s' and m.purpose = 'escalation'", f->run)), "1");
    on(url, "update test_clock set shift = '11 minutes'");
    while (mu_timers_fire(f->db, f->arena) > 0)
        ;
    assert_string_equal(on(url, count), "deadline_warned ,deadline_missed ,escalated duty,escalated commander");
    assert_string_equal(step(f, "confirm"), "active");
    on(url, "update test_clock set shift = '0'");
    replays(f);
}

static void
test_replay_sees_tampering(void **state)
{
    fixture *f = need(state);
    json_t *report;

    declare(f, "incident", "payment-outage");
    on(url, mu_printf(f->arena, "update run_step set detail = detail || '{\"status\":\"done\"}' where run_id = '%s' and path = 'locate'", f->run));
    on(url, mu_printf(f->arena, "update run set state = jsonb_set(state, '{vars,level,value}', '\"I\"') where id = '%s'", f->run));
    begin(f);
    check(f, mu_run_replay(f->tx, f->run, &report));
    mu_rollback(f->tx);
    assert_false(mu_json_bool(report, "equal", true));
    assert_true(json_array_size(json_object_get(report, "differences")) >= 2);
}

/* -- two at once -------------------------------------------------------------------------------------------------------------- */

typedef struct { char run[64]; int who; mu_err err; json_t *actor; } rival;

static void *
rivals_tick(void *closure)
{
    rival *r = closure;
    mu_arena *arena = mu_arena_new((size_t)64 * 1024 * 1024);
    mu_db *db = mu_db_new(url, "rival");

    for (int i = 0; i < 10 && r->err == MU_OK; i++) {
        mu_problem problem = { .arena = arena };
        json_t *event = mu_json_own(arena, json_pack("{s:s, s:{s:s}}", "kind", "note_added", "data", "text", "me too"));
        mu_tx *tx;
        r->err = mu_tx_begin(db, arena, &problem, &tx);
        if (r->err == MU_OK)
            r->err = mu_run_event(tx, r->run, event, r->actor, mu_printf(arena, "n-%d-%d", r->who, i), NULL);
        if (r->err == MU_OK)
            r->err = mu_commit(tx);
    }
    mu_arena_free(arena);
    mu_db_close(db);
    return NULL;
}

static void
test_rivals(void **state)
{
    fixture *f = need(state);
    rival rivals[4];
    pthread_t threads[4];

    declare(f, "incident", "payment-outage");
    for (int i = 0; i < 4; i++) {
        rivals[i] = (rival){ .who = i, .err = MU_OK, .actor = person(f, "li.qiang") };
        snprintf(rivals[i].run, sizeof rivals[i].run, "%s", f->run);
        assert_int_equal(pthread_create(&threads[i], NULL, rivals_tick, &rivals[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(rivals[i].err, MU_OK);
    }
    assert_string_equal(on(url, mu_printf(f->arena, "select count(*) from run_event where run_id = '%s' and kind = 'note_added'", f->run)), "40");
    replays(f);
}

/* -- killed ------------------------------------------------------------------------------------------------------------------- */

#ifdef MU_FAILPOINTS
/* The child dies at the point; what it had not committed is gone, and the same command with the same key does it once. */
static void
killed_at(fixture *f, const char *point)
{
    pid_t child;
    int status;

    declare(f, "incident", "payment-outage");
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        fixture own = { .arena = mu_arena_new((size_t)64 * 1024 * 1024), .db = mu_db_new(url, "victim") };
        snprintf(own.run, sizeof own.run, "%s", f->run);
        setenv("MUSTER_FAIL", mu_printf(own.arena, "%s:1", point), 1);
        (void)tell(&own, "item_check", "locate", "li.qiang", NULL, "{\"item\":\"rates\",\"state\":\"done\"}", "once");
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    replays(f);
    OK("item_check", "locate", "li.qiang", NULL, "{\"item\":\"rates\",\"state\":\"done\"}", "once");
    assert_string_equal(on(url, mu_printf(f->arena, "select count(*) from run_event where run_id = '%s' and kind = 'item_check'", f->run)), "1");
    replays(f);
}

static void
test_killed(void **state)
{
    static const char *const points[] = { "run_loaded", "run_applied", "run_written" };
    fixture *f = need(state);

    for (size_t i = 0; i < MU_COUNT(points); i++)
        killed_at(f, points[i]);
}
#endif

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = { T(test_story), T(test_drill), T(test_keys_and_refusals), T(test_timers), T(test_replay_sees_tampering), T(test_rivals),
#ifdef MU_FAILPOINTS
        T(test_killed),
#endif
    };

    mu_log_setup("text", MU_LOG_ERROR, "test");
    if (!mu_crypto_start())
        return 1;
    return cmocka_run_group_tests(tests, make_database, drop_database);
}
