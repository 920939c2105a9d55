#define _GNU_SOURCE
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

double cpu_seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

void raise_file_limit(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int dial(int port, int source) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000000u | (unsigned)source)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0) die("cannot open a socket: %s; raise the limit of open files (ulimit -n)", strerror(errno));
    /* The kernel chooses the port when it knows the whole pair, or it would use each port only once. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (source != 1 && bind(fd, (struct sockaddr *)&from, sizeof from) < 0)
        die("cannot use the address 127.0.0.%d: %s", source, strerror(errno));
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("cannot connect to port %d of 127.0.0.1: %s", port, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

void send_all(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN && errno != EINTR) die("cannot send: %s", strerror(errno));
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
            continue;
        }
        data += sent;
        size -= (size_t)sent;
    }
}

int receive(int fd, struct buffer *buffer) {
    for (;;) {
        if (buffer->size - buffer->used < 4096) {
            buffer->size = buffer->size ? buffer->size * 2 : 8192;
            buffer->data = realloc(buffer->data, buffer->size);
            if (!buffer->data) die("out of memory");
        }
        size_t room = buffer->size - buffer->used - 1;
        ssize_t got = recv(fd, buffer->data + buffer->used, room, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return 1;
        if (got <= 0) return 0;
        buffer->used += (size_t)got;
        buffer->data[buffer->used] = 0;
        if ((size_t)got < room) return 1;
    }
}

void consume(struct buffer *buffer, size_t size, int keep) {
    buffer->used -= size;
    if (buffer->used) {
        memmove(buffer->data, buffer->data + size, buffer->used + 1);
    } else if (!keep) {
        free(buffer->data);
        memset(buffer, 0, sizeof *buffer);
    }
}

size_t http_message(const struct buffer *buffer, size_t *head) {
    char *end = buffer->used ? strstr(buffer->data, "\r\n\r\n") : NULL;
    if (!end) return 0;
    size_t length = 0;
    *head = (size_t)(end - buffer->data) + 4;
    *end = 0; /* the search ends with the head */
    char *field = strcasestr(buffer->data, "\r\ncontent-length:");
    if (field) length = strtoul(field + 17, NULL, 10);
    *end = '\r';
    return buffer->used >= *head + length ? *head + length : 0;
}

void ws_handshake(int fd, int port, int deflate) {
    char text[512];
    int size = snprintf(
        text, sizeof text,
        "GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: graphql-transport-ws\r\n%s\r\n",
        port, deflate ? "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" : "");
    send_all(fd, text, (size_t)size);
}

void ws_send(int fd, int opcode, const char *text, size_t size) {
    char stack[2048], *frame = size + 16 > sizeof stack ? malloc(size + 16) : stack;
    size_t at = 2;
    frame[0] = (char)(0x80 | opcode);
    if (size < 126) {
        frame[1] = (char)(0x80 | size);
    } else {
        int bytes = size < 65536 ? 2 : 8;
        frame[1] = (char)(bytes == 2 ? 0xfe : 0xff);
        for (int i = bytes - 1; i >= 0; i--) frame[at++] = (char)(size >> (8 * i));
    }
    /* Frames of clients must be masked (section 5.3); a mask of zeros leaves them unchanged. */
    memset(frame + at, 0, 4);
    memcpy(frame + at + 4, text, size);
    send_all(fd, frame, at + 4 + size);
    if (frame != stack) free(frame);
}

int ws_frame(const struct buffer *buffer, size_t at, unsigned char *first, size_t *start, size_t *end) {
    const unsigned char *data = (const unsigned char *)buffer->data + at;
    size_t left = buffer->used - at;
    if (left < 2) return 0;
    size_t size = data[1] & 127, head = 2;
    if (size > 125) {
        int bytes = size == 126 ? 2 : 8;
        head += (size_t)bytes;
        if (left < head) return 0;
        size = 0;
        for (int i = 0; i < bytes; i++) size = size << 8 | data[2 + i];
    }
    if (left < head + size) return 0;
    *first = data[0];
    *start = at + head;
    *end = *start + size;
    return 1;
}
