/* The least a server can do with this kernel's sockets: what no server in one process exceeds.
 *
 *     bare PORT        prints `ready` and serves until its input ends
 *
 * It answers each HTTP request with the same few bytes. To a request for /fan it sends one prebuilt WebSocket frame to
 * each other connection, one `send` each.
 */
#define _GNU_SOURCE
#include "net.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 65536, LISTENER = MOST, INPUT };

static const char answer[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"data\":{\"n\":1}}";

static struct buffer buffers[MOST];

/* The size of an event with a result of a few digits, as an api node sends it. */
static char frame[2 + 120] = {(char)0x81, 120};

static void fan_out(int asked_by) {
    for (int fd = 0; fd < MOST; fd++)
        if (fd != asked_by && buffers[fd].size) send_all(fd, frame, sizeof frame);
}

static void on_data(int fd) {
    size_t head, size;
    if (!receive(fd, buffers + fd)) {
        close(fd);
        free(buffers[fd].data);
        memset(buffers + fd, 0, sizeof *buffers);
        return;
    }
    while ((size = http_message(buffers + fd, &head))) {
        if (strstr(buffers[fd].data, " /fan ")) fan_out(fd);
        send_all(fd, answer, sizeof answer - 1);
        consume(buffers + fd, size, 1);
    }
}

static void accept_one(int listener, int epoll) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
    if (fd < 0) return;
    if (fd >= MOST) die("more than %d connections", MOST);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    buffers[fd] = (struct buffer){.data = calloc(1, 8192), .size = 8192};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){EPOLLIN, {.u32 = (uint32_t)fd}});
}

int main(int count, char **words) {
    struct epoll_event events[512];
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, epoll = epoll_create1(EPOLL_CLOEXEC);
    if (count != 2) die("expected a port");
    at.sin_port = htons((uint16_t)atoi(words[1]));
    raise_file_limit();
    memset(frame + 2, 'x', sizeof frame - 2);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) die("cannot listen on %s", words[1]);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &(struct epoll_event){EPOLLIN, {.u32 = LISTENER}});
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &(struct epoll_event){EPOLLIN, {.u32 = INPUT}});
    puts("ready");
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(epoll, events, 512, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.u32 == INPUT) return 0;
            if (events[i].data.u32 == LISTENER) accept_one(listener, epoll);
            else on_data((int)events[i].data.u32);
        }
    }
}
