/* Many WebSockets that wait, as benchmarks/sockets.py does, at a tenth of its cost.
 *
 *     crowd PORT COUNT PAYLOAD     COUNT sockets with one subscription each; `@` in PAYLOAD is the socket's number in hex
 *     crowd PORT COUNT PAYLOAD 3   likewise, from 127.0.0.3 on and with numbers that no crowd from lower addresses has
 *     crowd PORT COUNT -           COUNT bare connections that wait for any byte (bare.c sends them)
 *
 * WebSockets offer permessage-deflate, as browsers do, but cannot read compressed messages: use short results.
 * Prints `ready` when all wait; `done` when all have a result, if they get any; after a line of input or its end, one
 * line of JSON with the numbers of sockets that were waiting, done and lost.
 */
#include "net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { AT_ONCE = 64, PER_ADDRESS = 20000, INPUT = -1 };

enum state { ASKED, OPENED, WAITING, DONE, LOST };

static struct waiter {
    int fd;
    enum state state;
    struct buffer in;
} *waiters;

static const char *payload;
static int port, count, first = 1, opened, waiting, done, lost, epoll;

static void subscribe(int number) {
    char text[4096], *mark = strchr(payload, '@');
    int before = mark ? (int)(mark - payload) : (int)strlen(payload), size;
    size = snprintf(text, sizeof text, "{\"id\":\"1\",\"type\":\"subscribe\",\"payload\":%.*s", before, payload);
    if (mark) size += snprintf(text + size, sizeof text - (size_t)size, "%032x%s", number + (first - 1) * PER_ADDRESS, mark + 1);
    size += snprintf(text + size, sizeof text - (size_t)size, "}");
    if ((size_t)size >= sizeof text) die("the payload is too long");
    ws_send(waiters[number].fd, TEXT, text, (size_t)size);
    waiters[number].state = WAITING;
    waiting++;
}

static void on_message(int number, const char *message) {
    struct waiter *waiter = waiters + number;
    if (strstr(message, "\"type\":\"ping\"")) {
        ws_send(waiter->fd, TEXT, "{\"type\":\"pong\"}", 15);
    } else if (waiter->state == OPENED && strstr(message, "\"connection_ack\"")) {
        subscribe(number);
    } else if (waiter->state == WAITING && strstr(message, "\"next\"")) {
        waiter->state = DONE;
        done++;
    }
}

static void on_data(int number) {
    struct waiter *waiter = waiters + number;
    size_t at = 0, start, end;
    unsigned char first;
    if (!receive(waiter->fd, &waiter->in)) {
        lost++;
        waiter->state = LOST;
        close(waiter->fd);
        return;
    }
    if (*payload == '-') {
        done += waiter->state == WAITING;
        waiter->state = DONE;
        consume(&waiter->in, waiter->in.used, 0);
        return;
    }
    if (waiter->state == ASKED) {
        if (!(at = http_message(&waiter->in, &start))) return;
        if (strncmp(waiter->in.data, "HTTP/1.1 101", 12)) die("no WebSocket: %.200s", waiter->in.data);
        waiter->state = OPENED;
        ws_send(waiter->fd, TEXT, "{\"type\":\"connection_init\"}", 26);
    }
    while (ws_frame(&waiter->in, at, &first, &start, &end)) {
        char after = waiter->in.data[end];
        waiter->in.data[end] = 0;
        if (first & 0x40) die("cannot read compressed messages: use short results");
        if ((first & 15) == PING) ws_send(waiter->fd, PONG, waiter->in.data + start, end - start);
        if ((first & 15) == TEXT) on_message(number, waiter->in.data + start);
        waiter->in.data[end] = after;
        at = end;
    }
    consume(&waiter->in, at, 0);
}

static void open_next(void) {
    struct waiter *waiter = waiters + opened;
    waiter->fd = dial(port, first + opened / PER_ADDRESS);
    epoll_ctl(epoll, EPOLL_CTL_ADD, waiter->fd, &(struct epoll_event){EPOLLIN, {.u32 = (uint32_t)opened}});
    if (*payload == '-') {
        waiter->state = WAITING;
        waiting++;
    } else {
        ws_handshake(waiter->fd, port, 1);
    }
    opened++;
}

int main(int words_count, char **words) {
    struct epoll_event events[512];
    int told_ready = 0, told_done = 0;
    if (words_count != 4 && words_count != 5) die("expected PORT, COUNT, PAYLOAD and perhaps the first address");
    port = atoi(words[1]);
    count = atoi(words[2]);
    payload = words[3];
    if (words_count == 5) first = atoi(words[4]);
    raise_file_limit();
    waiters = calloc((size_t)count, sizeof *waiters);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &(struct epoll_event){EPOLLIN, {.u32 = (uint32_t)INPUT}});
    for (;;) {
        while (opened < count && opened - waiting < AT_ONCE) open_next();
        if (waiting == count && !told_ready++) puts("ready"), fflush(stdout);
        if (done == count && !told_done++) puts("done"), fflush(stdout);
        int ready = epoll_wait(epoll, events, 512, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.u32 == (uint32_t)INPUT) {
                printf("{\"waiting\": %d, \"done\": %d, \"lost\": %d}\n", waiting, done, lost);
                return 0;
            }
            on_data((int)events[i].data.u32);
        }
    }
}
