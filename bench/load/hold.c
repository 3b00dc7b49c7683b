/* Many connections that stay open: idle after one HTTP request, or with a reply that nobody reads. Prints a line when all are
   held and one when it lets go; lets go after --seconds or when its standard input ends. */
#include "client.h"

#include <inttypes.h>
#include <poll.h>

#define IN_FLIGHT 64 /* as many connections are set up at a time: the proxy's breakers are not what is measured */

enum state { IDLE, CONNECTING, WAITING, HELD, FAILED };

struct held {
  int fd;
  enum state state;
};

static struct errors errors;
static int poller;

static void fail(struct held *h, uint64_t *kind) {
  (*kind)++;
  close(h->fd);
  h->fd = -1;
  h->state = FAILED;
}

/* The reply is small and in one piece unless --unread: then it is left in the socket. */
static bool got_reply(struct held *h, bool unread) {
  static char text[65536];
  ssize_t n = recv(h->fd, text, sizeof text, unread ? MSG_PEEK : 0);
  if (n < 0 && errno == EAGAIN) return false;
  if (n <= 0) fail(h, &errors.closed);
  else if (n < 12 || memcmp(text, "HTTP/1.1 200", 12) != 0) fail(h, &errors.status);
  else h->state = HELD;
  return true;
}

static void advance(struct held *h, const struct options *o, const char *request, size_t length) {
  if (h->state == CONNECTING) {
    int failure = 0;
    socklen_t n = sizeof failure;
    getsockopt(h->fd, SOL_SOCKET, SO_ERROR, &failure, &n);
    if (failure != 0) {
      fail(h, &errors.connect);
      return;
    }
    if (o->silent) {
      h->state = HELD;
    } else if (send(h->fd, request, length, MSG_NOSIGNAL) != (ssize_t)length) {
      fail(h, &errors.closed);
      return;
    } else {
      h->state = WAITING;
    }
    struct epoll_event e = {.events = h->state == WAITING ? EPOLLIN : 0, .data.ptr = h};
    epoll_ctl(poller, EPOLL_CTL_MOD, h->fd, &e);
  } else if (h->state == WAITING && got_reply(h, o->unread)) {
    if (h->state == HELD) epoll_ctl(poller, EPOLL_CTL_DEL, h->fd, NULL);
  }
}

static uint64_t count_closed(const struct held *list, unsigned n, bool unread) {
  uint64_t closed = 0;
  char byte;
  for (unsigned i = 0; i < n; i++) {
    if (list[i].state != HELD) continue;
    ssize_t r = recv(list[i].fd, &byte, 1, MSG_PEEK);
    if (r == 0 || (r < 0 && errno != EAGAIN) || (r > 0 && !unread)) closed++;
  }
  return closed;
}

static void wait_to_release(double seconds) {
  struct pollfd in = {.fd = 0, .events = POLLIN};
  uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
  char text[64];
  for (uint64_t t; (t = now_ns()) < end;)
    if (poll(&in, 1, (int)((end - t) / 1000000) + 1) > 0 && read(0, text, sizeof text) <= 0) return;
}

int hold(const struct options *o) {
  char request[2048];
  int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\n\r\n", o->path, o->host);
  if (length >= (int)sizeof request) die("request head too long");
  poller = epoll_create1(EPOLL_CLOEXEC);
  struct held *list = need(calloc(o->connections, sizeof *list));
  unsigned begun = 0, settled = 0;
  uint64_t start = now_ns(), deadline = start + 60 * SECOND;
  while (settled < o->connections && now_ns() < deadline) {
    while (begun < o->connections && begun - settled < IN_FLIGHT) {
      struct held *h = &list[begun];
      /* 16,000 connections from each source address, well inside the range of local ports. */
      h->fd = connect_loopback(o->port, 2 + begun / 16000, (int)o->receive_buffer);
      begun++;
      h->state = CONNECTING;
      if (h->fd < 0) {
        errors.connect++;
        h->state = FAILED;
        settled++;
        continue;
      }
      struct epoll_event e = {.events = EPOLLOUT, .data.ptr = h};
      epoll_ctl(poller, EPOLL_CTL_ADD, h->fd, &e);
    }
    struct epoll_event events[128];
    int n = epoll_wait(poller, events, 128, 100);
    for (int i = 0; i < n; i++) {
      struct held *h = events[i].data.ptr;
      if (h->state != CONNECTING && h->state != WAITING) continue;
      advance(h, o, request, (size_t)length);
      if (h->state == HELD || h->state == FAILED) settled++;
    }
  }
  errors.stuck += o->connections - settled;
  unsigned held = 0;
  for (unsigned i = 0; i < begun; i++) held += list[i].state == HELD;
  printf("{\"mode\":\"hold\",\"held\":%u,\"took_ms\":%.1f,", held, (double)(now_ns() - start) / 1e6);
  report_errors(&errors);
  printf("}\n");
  fflush(stdout);
  wait_to_release(o->seconds);
  uint64_t closed = count_closed(list, begun, o->unread);
  printf("{\"mode\":\"released\",\"closed\":%" PRIu64 "}\n", closed);
  return errors_sum(&errors) + closed == 0 ? 0 : 1;
}
