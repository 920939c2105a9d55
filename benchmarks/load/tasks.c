/* Keeps tasks in flight and measures them: an HTTP request each, then a subscription or a second HTTP request, or
 * either of them alone.
 *
 *     tasks --port P --count N [--in-flight K] [--batch B] [--sockets S] [--first N] [--request R --body T]
 *           [--id-after T] [--subscribe T | --follow R] [--item T] [--expect-response T] [--expect-result T]
 *
 * --request    method and path of the first request, as "POST /graphql"; without it, the subscription is all.
 * --body       its body. `@` is replaced by the batch's numbers, each written as `--item` (default "@"), with commas.
 * --id-after   the text before each id in the response; an id ends with a quotation mark.
 * --subscribe  payload of the subscription. `@` is replaced by the ids in quotation marks, or by the numbers.
 * --follow     method and path of the second request; `@` is replaced by the id.
 * --expect-response, --expect-result   a text that comes once for each task of the batch in the response, and in all
 *              items of the subscription (or the second response) together. Anything else ends the run with status 1.
 *
 * Task number i has the number FIRST + i. Prints one line of JSON: seconds, tasks, p50_ms and p99_ms of a request or a
 * batch from its start to its end, and cpu_seconds of this process.
 */
#include "net.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

static struct {
    const char *port, *count, *in_flight, *batch, *sockets, *first;
    const char *request, *body, *id_after, *subscribe, *follow, *item, *expect_response, *expect_result;
} given = {.in_flight = "1", .batch = "1", .sockets = "1", .first = "0", .body = "", .item = "@"};

/* A place for one request or batch in flight. It has an HTTP connection of its own and shares a WebSocket. */
struct slot {
    int http, socket, number, follows;
    double began;
    long results;
    struct buffer in;
};

static struct socket {
    int fd, open;
    struct buffer in;
} *sockets;

static int port, in_flight, batch, socket_count;
static long total, started, ended, first;
static struct slot *slots;
static double *spans;
static struct buffer text, list; /* what is written next */

static void add(struct buffer *to, const char *bytes, size_t size) {
    if (to->used + size + 1 > to->size) {
        to->size = (to->used + size + 1) * 2;
        to->data = realloc(to->data, to->size);
        if (!to->data) die("out of memory");
    }
    memcpy(to->data + to->used, bytes, size);
    to->data[to->used += size] = 0;
}

/* Appends a template with `@` replaced. */
static void fill(struct buffer *to, const char *template, const char *value, size_t size) {
    const char *mark = strchr(template, '@');
    if (!mark) {
        add(to, template, strlen(template));
        return;
    }
    add(to, template, (size_t)(mark - template));
    add(to, value, size);
    add(to, mark + 1, strlen(mark + 1));
}

static long occurrences(const char *where, const char *what) {
    long count = 0;
    for (size_t size = strlen(what); (where = strstr(where, what)); where += size) count++;
    return count;
}

static void send_request(struct slot *slot, const char *request, const char *value, size_t value_size, int with_body) {
    static struct buffer body, line;
    char head[256];
    body.used = line.used = text.used = 0;
    add(&body, "", 0);
    if (with_body) fill(&body, given.body, value, value_size);
    fill(&line, request, value, value_size);
    int size = snprintf(head, sizeof head,
                        " HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: */*\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n", port, body.used);
    add(&text, line.data, line.used);
    add(&text, head, (size_t)size);
    add(&text, body.data, body.used);
    send_all(slot->http, text.data, text.used);
}

static void subscribe(struct slot *slot) {
    char head[96];
    text.used = 0;
    int size = snprintf(head, sizeof head, "{\"id\":\"%d\",\"type\":\"subscribe\",\"payload\":", slot->number);
    add(&text, head, (size_t)size);
    fill(&text, given.subscribe, list.data, list.used);
    add(&text, "}", 1);
    ws_send(sockets[slot->socket].fd, TEXT, text.data, text.used);
}

/* Starts the slot's next batch, if any is left. */
static void start(struct slot *slot) {
    if (started == total) return;
    list.used = 0;
    for (int i = 0; i < batch; i++) {
        char number[24];
        int size = snprintf(number, sizeof number, "%ld", first + started + i);
        if (i) add(&list, ",", 1);
        fill(&list, given.item, number, (size_t)size);
    }
    started += batch;
    slot->results = slot->follows = 0;
    slot->began = now();
    if (given.request) send_request(slot, given.request, list.data, list.used, 1);
    else subscribe(slot);
}

static void end(struct slot *slot) {
    spans[ended / batch] = (now() - slot->began) * 1000;
    ended += batch;
    start(slot);
}

static void check(const char *expected, long came, const char *where) {
    if (expected && came != batch)
        die("expected %s %d times and got it %ld times in: %.400s", expected, batch, came, where);
}

/* A whole response came: the second step follows. */
static void on_response(struct slot *slot, const char *body) {
    if (slot->follows) {
        check(given.expect_result, given.expect_result ? occurrences(body, given.expect_result) : 0, body);
        end(slot);
        return;
    }
    check(given.expect_response, given.expect_response ? occurrences(body, given.expect_response) : 0, body);
    if (!given.subscribe && !given.follow) {
        end(slot);
        return;
    }
    int found = 0;
    list.used = 0;
    for (const char *id = body; (id = strstr(id, given.id_after)); found++) {
        id += strlen(given.id_after);
        size_t size = strcspn(id, "\"");
        if (given.follow) {
            slot->follows = 1;
            send_request(slot, given.follow, id, size, 0);
            return;
        }
        add(&list, found ? ",\"" : "\"", found ? 2 : 1);
        add(&list, id, size);
        add(&list, "\"", 1);
    }
    if (found != batch) die("expected %d ids in the response and found %d: %.400s", batch, found, body);
    subscribe(slot);
}

static void on_http(struct slot *slot) {
    size_t head, size;
    if (!receive(slot->http, &slot->in)) die("the server closed an HTTP connection");
    if (!(size = http_message(&slot->in, &head))) return;
    slot->in.used -= size; /* one request at a time: nothing follows; the bytes stay where they are */
    on_response(slot, slot->in.data + head);
}

static void on_message(struct socket *socket, char *message) {
    if (strstr(message, "\"connection_ack\"")) {
        socket->open = 2;
        return;
    }
    if (strstr(message, "\"type\":\"ping\"")) {
        ws_send(socket->fd, TEXT, "{\"type\":\"pong\"}", 15);
        return;
    }
    char *id = strstr(message, "\"id\":\"");
    int number = id ? atoi(id + 6) : -1;
    if (number < 0 || number >= in_flight) die("expected a message of an operation and got: %.400s", message);
    struct slot *slot = slots + number;
    if (strstr(message, "\"type\":\"next\"")) {
        if (given.expect_result) slot->results += occurrences(message, given.expect_result);
    } else if (strstr(message, "\"type\":\"complete\"")) {
        check(given.expect_result, slot->results, message);
        end(slot);
    } else {
        die("expected next or complete and got: %.400s", message);
    }
}

static void on_socket(struct socket *socket) {
    size_t at = 0, start_of, end_of;
    unsigned char opcode;
    if (!receive(socket->fd, &socket->in)) die("the server closed a WebSocket");
    if (!socket->open) {
        if (!(at = http_message(&socket->in, &start_of))) return;
        if (strncmp(socket->in.data, "HTTP/1.1 101", 12)) die("no WebSocket: %.200s", socket->in.data);
        socket->open = 1;
        ws_send(socket->fd, TEXT, "{\"type\":\"connection_init\"}", 26);
    }
    while (ws_frame(&socket->in, at, &opcode, &start_of, &end_of)) {
        char *content = socket->in.data + start_of, after = socket->in.data[end_of];
        socket->in.data[end_of] = 0;
        if ((opcode & 15) == PING) ws_send(socket->fd, PONG, content, end_of - start_of);
        if ((opcode & 15) == CLOSE) die("the server ended a WebSocket: %.200s", content + 2);
        if ((opcode & 15) == TEXT) on_message(socket, content);
        socket->in.data[end_of] = after;
        at = end_of;
    }
    consume(&socket->in, at, 1);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void read_arguments(int count, char **words) {
    static const struct { const char *name; const char **value; } names[] = {
        {"port", &given.port}, {"count", &given.count}, {"in-flight", &given.in_flight}, {"batch", &given.batch},
        {"sockets", &given.sockets}, {"first", &given.first}, {"request", &given.request}, {"body", &given.body},
        {"id-after", &given.id_after}, {"subscribe", &given.subscribe}, {"follow", &given.follow},
        {"item", &given.item}, {"expect-response", &given.expect_response}, {"expect-result", &given.expect_result},
    };
    enum { NAMES = sizeof names / sizeof *names };
    struct option options[NAMES + 1] = {{0}};
    for (int i = 0; i < NAMES; i++) options[i] = (struct option){names[i].name, required_argument, NULL, 256 + i};
    for (int chosen; (chosen = getopt_long(count, words, "", options, NULL)) != -1;) {
        if (chosen == '?') exit(2);
        *names[chosen - 256].value = optarg;
    }
    if (!given.port || !given.count || !(given.request || given.subscribe))
        die("expected --port, --count, and --request or --subscribe");
    if (given.request && (given.subscribe || given.follow) && !given.id_after)
        die("expected --id-after, which says where the ids are in a response");
    port = atoi(given.port);
    in_flight = atoi(given.in_flight);
    batch = atoi(given.batch);
    socket_count = given.subscribe ? atoi(given.sockets) : 0;
    first = atol(given.first);
    total = atol(given.count) / batch * batch;
    if (port < 1 || in_flight < 1 || batch < 1 || total < 1 || socket_count < 0) die("expected positive numbers");
}

int main(int count, char **words) {
    struct epoll_event events[256];
    int epoll = epoll_create1(EPOLL_CLOEXEC), open = 0;
    read_arguments(count, words);
    raise_file_limit();
    slots = calloc((size_t)in_flight, sizeof *slots);
    sockets = calloc((size_t)socket_count + 1, sizeof *sockets);
    spans = calloc((size_t)(total / batch), sizeof *spans);
    /* The events of slots are numbered from 0, those of WebSockets follow. */
    for (int i = 0; i < in_flight; i++) {
        slots[i] = (struct slot){.number = i, .socket = socket_count ? i % socket_count : 0};
        if (!given.request) continue;
        slots[i].http = dial(port, 1);
        epoll_ctl(epoll, EPOLL_CTL_ADD, slots[i].http, &(struct epoll_event){EPOLLIN, {.u32 = (uint32_t)i}});
    }
    for (int i = 0; i < socket_count; i++) {
        sockets[i].fd = dial(port, 1);
        epoll_ctl(epoll, EPOLL_CTL_ADD, sockets[i].fd,
                  &(struct epoll_event){EPOLLIN, {.u32 = (uint32_t)(in_flight + i)}});
        ws_handshake(sockets[i].fd, port, 0);
    }
    double began = 0, cpu = 0;
    while (ended < total) {
        if (!began && open == socket_count) {
            began = now();
            cpu = cpu_seconds();
            for (int i = 0; i < in_flight; i++) start(slots + i);
        }
        int ready = epoll_wait(epoll, events, 256, 60000);
        if (!ready) die("the server was silent for 60 s; %ld of %ld tasks had ended", ended, total);
        for (int i = 0; i < ready; i++) {
            int who = (int)events[i].data.u32;
            if (who < in_flight) on_http(slots + who);
            else on_socket(sockets + who - in_flight);
        }
        if (!began)
            for (int i = open = 0; i < socket_count; i++) open += sockets[i].open == 2;
    }
    double seconds = now() - began;
    size_t spans_count = (size_t)(total / batch);
    qsort(spans, spans_count, sizeof *spans, by_size);
    printf("{\"seconds\": %.6f, \"tasks\": %ld, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"cpu_seconds\": %.6f}\n", seconds,
           total, spans[spans_count / 2], spans[spans_count * 99 / 100], cpu_seconds() - cpu);
    return 0;
}
