/* Sockets, clock and byte order for the load generator and the backends: loopback only, non-blocking, no delay. */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000ull

static inline void die(const char *format, ...) {
  va_list list;
  va_start(list, format);
  vfprintf(stderr, format, list);
  va_end(list);
  fputc('\n', stderr);
  exit(2);
}

static inline uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static inline void *need(void *p) {
  if (p == NULL) die("out of memory");
  return p;
}

/* Dies with its parent, may open as many descriptors as the system allows, never dies of a closed pipe. */
static inline void process_setup(void) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_IGN);
  struct rlimit r;
  if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
  }
}

static inline void no_delay(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static inline int listen_loopback(uint16_t port, uint16_t *bound) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket: %s", strerror(errno));
  int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0) die("bind 127.0.0.1:%u: %s", port, strerror(errno));
  if (listen(fd, 4096) < 0) die("listen: %s", strerror(errno));
  socklen_t n = sizeof a;
  getsockname(fd, (struct sockaddr *)&a, &n);
  *bound = ntohs(a.sin_port);
  return fd;
}

/* Starts to connect. `source` is the last byte of a 127.0.0.x source address (0: the kernel's choice): with many
   short connections one source would run out of ports while its old ones rest in TIME_WAIT. */
static inline int connect_loopback(uint16_t port, unsigned source, int receive_buffer) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  no_delay(fd);
  if (receive_buffer > 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  if (source != 0) {
    int one = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    struct sockaddr_in s = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + source)};
    if (bind(fd, (struct sockaddr *)&s, sizeof s) < 0) {
      close(fd);
      return -1;
    }
  }
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0 && errno != EINPROGRESS) {
    close(fd);
    return -1;
  }
  return fd;
}

static inline uint16_t get16(const uint8_t *b) { return (uint16_t)(b[0] << 8 | b[1]); }
static inline uint32_t get32(const uint8_t *b) {
  return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}
static inline void put16(uint8_t *b, uint32_t v) {
  b[0] = (uint8_t)(v >> 8);
  b[1] = (uint8_t)v;
}
static inline void put32(uint8_t *b, uint32_t v) {
  b[0] = (uint8_t)(v >> 24);
  b[1] = (uint8_t)(v >> 16);
  b[2] = (uint8_t)(v >> 8);
  b[3] = (uint8_t)v;
}

/* A growing byte buffer with a read position: bytes between `at` and `end` are live. */
struct bytes {
  uint8_t *data;
  size_t at, end, cap;
};

static inline size_t bytes_left(const struct bytes *b) { return b->end - b->at; }

/* Room for n more bytes at `end`; moves what is live to the front before it grows. */
static inline uint8_t *bytes_room(struct bytes *b, size_t n) {
  if (b->cap - b->end < n) {
    if (b->at > 0) {
      memmove(b->data, b->data + b->at, b->end - b->at);
      b->end -= b->at;
      b->at = 0;
    }
    if (b->cap - b->end < n) {
      size_t cap = b->cap == 0 ? 1024 : b->cap;
      while (cap - b->end < n) cap *= 2;
      b->data = need(realloc(b->data, cap));
      b->cap = cap;
    }
  }
  return b->data + b->end;
}

static inline void bytes_append(struct bytes *b, const void *from, size_t n) {
  memcpy(bytes_room(b, n), from, n);
  b->end += n;
}

static inline void bytes_free(struct bytes *b) {
  free(b->data);
  memset(b, 0, sizeof *b);
}

/* Writes what it can: 0 all written, 1 some is left, -1 the connection is broken. */
static inline int bytes_flush(struct bytes *b, int fd) {
  while (b->at < b->end) {
    ssize_t n = send(fd, b->data + b->at, b->end - b->at, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN ? 1 : -1;
    }
    b->at += (size_t)n;
  }
  b->at = b->end = 0;
  return 0;
}

/* The bulk pattern: each 4 KiB block starts with its own number, so that a lost, repeated or moved byte is seen. */
#define BULK_BLOCK 4096u

#endif
