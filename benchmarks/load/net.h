/* Connections of the load generators: what is common to HTTP/1.1 and WebSocket (RFC 6455) clients on epoll.
 *
 * They understand only what the measured servers send: bodies with a length, and frames that are whole messages.
 */
#ifndef NET_H
#define NET_H

#include <stddef.h>
#include <stdint.h>

enum { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10 }; /* RFC 6455, section 5.2 */

/* Bytes that came and were not used yet; `data` ends with a zero. */
struct buffer {
    char *data;
    size_t used, size;
};

/* Prints a message as printf does and ends the process with status 1. */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

double now(void);       /* seconds of the monotonic clock */
double cpu_seconds(void); /* user and system time of this process */

/* Raises the limit of open files to the most that this process may have. */
void raise_file_limit(void);

/* Connects to 127.0.0.1 from 127.0.0.`source`, one of 1 to 254: an address has only 28,000 ports for one server. */
int dial(int port, int source);

/* Writes all bytes; waits while the socket's buffer is full. */
void send_all(int fd, const char *data, size_t size);

/* Appends what the socket has. Returns 0 when the peer closed it. */
int receive(int fd, struct buffer *buffer);

/* Removes the first `size` bytes; the memory is released when nothing is left and `keep` is 0. */
void consume(struct buffer *buffer, size_t size, int keep);

/* The size of the head and the body of the message at the start of the buffer; 0 while it is incomplete. */
size_t http_message(const struct buffer *buffer, size_t *head);

/* Asks for a WebSocket of graphql-transport-ws; with `deflate`, offers permessage-deflate, as browsers do. */
void ws_handshake(int fd, int port, int deflate);

void ws_send(int fd, int opcode, const char *text, size_t size);

/* The first byte of the first frame and where its content begins and ends; 0 while it is incomplete. */
int ws_frame(const struct buffer *buffer, size_t at, unsigned char *first, size_t *start, size_t *end);

#endif
