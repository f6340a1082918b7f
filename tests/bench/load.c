/* The two bare loads of the bench.
 *   load hooks URL COUNT AT_ONCE BODY_BYTES    posts by one libcurl multi handle, prints the seconds it took
 *   load live PORT COUNT REQUEST_FILE          opens event streams; prints "open" when every one has its header; a line on standard
 *                                              input arms it; prints the real time (µs) at which the last one had an event */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int fail(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    return 1;
}

/* ---- hooks ---- */

static size_t ignore(char *data, size_t size, size_t n, void *closure)
{
    (void)data;
    (void)closure;
    return size * n;
}

static void add(CURLM *multi, CURL *easy, const char *base, long number)
{
    char url[512];

    snprintf(url, sizeof url, "%s/%ld", base, number % 100);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_multi_add_handle(multi, easy);
}

static int hooks(const char *url, long count, long at_once, size_t body_bytes)
{
    CURLM *multi = curl_multi_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    char *body = malloc(body_bytes + 1);
    long begun = 0, ended = 0, bad = 0;
    const double start = now(CLOCK_MONOTONIC);

    if (multi == NULL || body == NULL)
        return fail("memory");
    memset(body, 'x', body_bytes);
    for (; begun < at_once && begun < count; begun++) {
        CURL *easy = curl_easy_init();
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)body_bytes);
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore);
        add(multi, easy, url, begun);
    }
    while (ended < count) {
        int running, left;
        CURLMsg *message;
        curl_multi_perform(multi, &running);
        while ((message = curl_multi_info_read(multi, &left)) != NULL) {
            CURL *easy = message->easy_handle;
            long status = 0;
            curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
            bad += message->data.result != CURLE_OK || status / 100 != 2;
            ended++;
            curl_multi_remove_handle(multi, easy);
            if (begun < count)
                add(multi, easy, url, begun++);
            else
                curl_easy_cleanup(easy);
        }
        if (ended < count)
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    printf("%.6f %ld\n", now(CLOCK_MONOTONIC) - start, bad);
    return bad > 0;
}

/* ---- live ---- */

static int open_stream(int poll, int port, const char *request, size_t n, int number)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct epoll_event event = { .events = EPOLLIN, .data.u32 = (unsigned)number };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0 || send(fd, request, n, MSG_NOSIGNAL) != (ssize_t)n)
        return -1;
    return epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) == 0 ? fd : -1;
}

/* Reads until `wanted` streams have shown `needle` since the call. Gives the time of the last. */
static double wait_for(int poll, const int *fds, char *seen, int streams, int wanted, const char *needle)
{
    struct epoll_event events[256];
    char text[16384];
    int have = 0;

    memset(seen, 0, (size_t)streams);
    while (have < wanted) {
        const int n = epoll_wait(poll, events, 256, 30000);
        if (n <= 0)
            return -1;
        for (int i = 0; i < n; i++) {
            const unsigned at = events[i].data.u32;
            const ssize_t got = recv(fds[at], text, sizeof text - 1, MSG_DONTWAIT);
            if (got == 0)
                return -1;
            if (got < 0)
                continue;
            text[got] = '\0';
            if (seen[at] == 0 && strstr(text, needle) != NULL) {
                seen[at] = 1;
                have++;
            }
        }
    }
    return now(CLOCK_REALTIME);
}

static int live(int port, int count, const char *file)
{
    FILE *in = fopen(file, "r");
    char request[4096], line[64];
    int *fds = calloc((size_t)count, sizeof *fds), poll = epoll_create1(EPOLL_CLOEXEC), at = 0;
    char *seen = calloc((size_t)count, 1);

    if (in == NULL || fds == NULL || seen == NULL || poll < 0)
        return fail(file);
    const size_t n = fread(request, 1, sizeof request, in);
    fclose(in);
    while (at < count) {
        const int first = at;
        for (; at < count && at < first + 50; at++)
            if ((fds[at] = open_stream(poll, port, request, n, at)) < 0)
                return fail("open");
        if (wait_for(poll, fds, seen, count, at - first, "HTTP/1.1 200") < 0)
            return fail("header");
    }
    printf("open\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        const double last = wait_for(poll, fds, seen, count, count, "data:");
        if (last < 0)
            return fail("event");
        printf("%.0f\n", last * 1e6);
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "hooks") == 0)
        return hooks(argv[2], atol(argv[3]), atol(argv[4]), (size_t)atol(argv[5]));
    if (argc == 5 && strcmp(argv[1], "live") == 0)
        return live(atoi(argv[2]), atoi(argv[3]), argv[4]);
    fprintf(stderr, "load: what?\n");
    return 2;
}
