/* One line per event on standard error: logfmt or JSON, with a level that journald understands and, inside a request,
 * its id. Nothing personal at level info. */
#ifndef MU_LOG_H
#define MU_LOG_H

typedef enum { MU_LOG_ERROR = 3, MU_LOG_WARN = 4, MU_LOG_INFO = 6, MU_LOG_DEBUG = 7 } mu_log_level;

void mu_log_setup(const char *format /* "text" or "json" */, mu_log_level least, const char *process_name);
void mu_log_request(const char *request_id);   /* thread-local; NULL ends it */

/* mu_log(MU_LOG_INFO, "mail.sent", "to=%s code=%d", …): event name, then key=value pairs. */
void mu_log(mu_log_level level, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
