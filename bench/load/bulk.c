/* Bulk transfer: bytes a second through the proxy, each 4 KiB block checked by its number. */
#include "client.h"

#include <inttypes.h>

#define CHUNK (256 * 1024)

struct pipe {
  int fd;
  bool open;
  uint64_t at; /* bytes so far */
};

static uint8_t buffer[CHUNK];
static struct errors errors;

/* Downwards: looks at the number in front of each block that starts inside the chunk. */
static bool check(struct pipe *p, size_t n) {
  uint64_t at = p->at;
  size_t skip = (BULK_BLOCK - at % BULK_BLOCK) % BULK_BLOCK;
  for (size_t i = skip; i + 8 <= n; i += BULK_BLOCK) {
    uint64_t v;
    memcpy(&v, buffer + i, 8);
    if (v != (at + i) / BULK_BLOCK) return false;
  }
  return true;
}

static void fail(struct pipe *p, uint64_t *kind) {
  (*kind)++;
  close(p->fd);
  p->fd = -1;
  p->open = false;
}

static void receive(struct pipe *p) {
  ssize_t n = recv(p->fd, buffer, CHUNK, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {
    fail(p, &errors.closed);
    return;
  }
  if (!check(p, (size_t)n)) {
    fail(p, &errors.mismatch);
    return;
  }
  p->at += (uint64_t)n;
}

static void transmit(struct pipe *p) {
  uint64_t base = p->at - p->at % BULK_BLOCK;
  for (size_t i = 0; i < CHUNK; i += BULK_BLOCK) {
    uint64_t v = (base + i) / BULK_BLOCK;
    memcpy(buffer + i, &v, 8);
  }
  size_t from = p->at % BULK_BLOCK;
  ssize_t n = send(p->fd, buffer + from, CHUNK - from, MSG_NOSIGNAL);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n < 0) fail(p, &errors.closed);
  else p->at += (uint64_t)n;
}

static void run_until(int poller, const struct options *o, uint64_t end) {
  struct epoll_event list[64];
  for (;;) {
    uint64_t t = now_ns();
    if (t >= end) return;
    int n = epoll_wait(poller, list, 64, (int)((end - t) / 1000000) + 1);
    for (int i = 0; i < n; i++) {
      struct pipe *p = list[i].data.ptr;
      if (p->fd < 0) continue;
      if (!p->open) {
        int failure = 0;
        socklen_t length = sizeof failure;
        getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &failure, &length);
        if (failure != 0) {
          fail(p, &errors.connect);
          continue;
        }
        p->open = true;
        struct epoll_event e = {.events = o->up ? EPOLLOUT | EPOLLRDHUP : EPOLLIN, .data.ptr = p};
        epoll_ctl(poller, EPOLL_CTL_MOD, p->fd, &e);
        continue;
      }
      if (!o->up) receive(p);
      else if (list[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) fail(p, &errors.closed); /* the sink hangs up on a wrong block */
      else transmit(p);
    }
  }
}

static uint64_t total(const struct pipe *list, unsigned n) {
  uint64_t sum = 0;
  for (unsigned i = 0; i < n; i++) sum += list[i].at;
  return sum;
}

int bulk(const struct options *o) {
  int poller = epoll_create1(EPOLL_CLOEXEC);
  struct pipe *list = need(calloc(o->connections, sizeof *list));
  memset(buffer, 'x', sizeof buffer);
  for (unsigned i = 0; i < o->connections; i++) {
    list[i].fd = connect_loopback(o->port, 0, (int)o->receive_buffer);
    if (list[i].fd < 0) {
      errors.connect++;
      continue;
    }
    struct epoll_event e = {.events = EPOLLOUT, .data.ptr = &list[i]};
    epoll_ctl(poller, EPOLL_CTL_ADD, list[i].fd, &e);
  }
  run_until(poller, o, now_ns() + (uint64_t)(o->warmup * 1e9));
  struct watch_sample from, to;
  watch_read(&o->watch, &from);
  uint64_t start = now_ns(), before = total(list, o->connections);
  run_until(poller, o, start + (uint64_t)(o->seconds * 1e9));
  uint64_t end = now_ns(), bytes = total(list, o->connections) - before;
  watch_read(&o->watch, &to);
  if (bytes == 0 && errors_sum(&errors) == 0) errors.stuck++;
  double seconds = (double)(end - start) / 1e9;
  printf("{\"mode\":\"bulk\",\"connections\":%u,\"up\":%s,\"seconds\":%.4f,\"bytes\":%" PRIu64 ",\"mb_per_second\":%.2f,", o->connections,
         o->up ? "true" : "false", seconds, bytes, (double)bytes / 1e6 / seconds);
  report_errors(&errors);
  printf(",");
  report_watch(&from, &to);
  printf("}\n");
  return errors_sum(&errors) == 0 ? 0 : 1;
}
