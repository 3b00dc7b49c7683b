/* Drives one protocol over many connections: closed loop (a reply makes the next request) or open loop (a clock makes them). */
#include "client.h"

#include <inttypes.h>

#define EVENTS 512
#define SCRATCH (256 * 1024)
#define REOPEN_NS (50 * 1000000ull)     /* a lost connection is opened again after this long */
#define PAUSE_NS (30 * 1000000ull)      /* silence that counts as a pause */
#define OWN_STALL_NS (10 * 1000000ull)  /* ... unless this process itself was kept from running that long */
#define STUCK_NS (2 * SECOND)
#define MAX_ERRORS 100000u              /* a run that fails this often ends early */

static const struct protocol *proto;
static const struct options *opt;
static struct conn *conns;
static int poller;
static unsigned open_count;
static uint8_t scratch[SCRATCH];

static struct errors errors;
static struct histogram latency;
static uint64_t answered, bytes_in;
static bool measuring;

/* Pauses: silence between two replies, told apart from stalls of this process. */
static uint64_t last_reply, worst_own, pauses, own_stalls, longest_pause;

/* Open loop: request k is due at `epoch + k / rate` and is taken by the connection that has been free longest. */
static uint64_t epoch, due_count;
static struct conn **idle;
static unsigned idle_head, idle_count;

static uint64_t due_at(uint64_t k) { return epoch + (uint64_t)((double)k * 1e9 / opt->rate); }

static void arm(struct conn *c, bool write, int op) {
  struct epoll_event e = {.events = EPOLLIN | (write ? (unsigned)EPOLLOUT : 0u), .data.ptr = c};
  epoll_ctl(poller, op, c->fd, &e);
  c->wait_write = write;
}

static void idle_push(struct conn *c) {
  if (c->idle_listed) return;
  c->idle_listed = true;
  idle[(idle_head + idle_count++) % opt->connections] = c;
}

static void start_connect(struct conn *c) {
  c->fd = connect_loopback(opt->port, 0, (int)opt->receive_buffer);
  if (c->fd < 0) {
    errors.connect++;
    return;
  }
  arm(c, true, EPOLL_CTL_ADD);
}

static void lose(struct conn *c) {
  if (c->fd >= 0) close(c->fd);
  c->fd = -1;
  if (c->open) open_count--;
  c->open = false;
  c->in.at = c->in.end = c->out.at = c->out.end = 0;
  c->busy = c->made = c->done = 0;
  memset(c->sent, 0, opt->outstanding * sizeof *c->sent);
}

static void flush_out(struct conn *c) {
  int r = bytes_flush(&c->out, c->fd);
  if (r < 0) {
    errors.closed += c->busy ? c->busy : 1;
    lose(c);
  } else if ((r == 1) != c->wait_write) {
    arm(c, r == 1, EPOLL_CTL_MOD);
  }
}

static void send_request(struct conn *c, unsigned slot, uint64_t at) {
  c->sent[slot] = at;
  c->busy++;
  proto->request(c, slot);
  c->made++;
}

static void opened(struct conn *c) {
  int failure = 0;
  socklen_t n = sizeof failure;
  getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &failure, &n);
  if (failure != 0) {
    errors.connect++;
    lose(c);
    return;
  }
  c->open = true;
  open_count++;
  arm(c, false, EPOLL_CTL_MOD);
  if (opt->rate > 0) {
    idle_push(c);
    return;
  }
  uint64_t t = now_ns();
  for (unsigned slot = 0; slot < opt->outstanding; slot++) send_request(c, slot, t);
  flush_out(c);
}

static void note_reply_time(uint64_t t) {
  if (measuring && last_reply != 0 && t - last_reply > PAUSE_NS) {
    uint64_t gap = t - last_reply;
    if (worst_own > OWN_STALL_NS) own_stalls++;
    else {
      pauses++;
      if (gap > longest_pause) longest_pause = gap;
    }
  }
  last_reply = t;
  worst_own = 0;
}

/* Takes the whole replies at the front of b; returns what it took, -1 when the connection had to be dropped. */
static long take_replies(struct conn *c, const uint8_t *b, size_t n, uint64_t t) {
  size_t at = 0;
  while (at < n) {
    struct reply r = {.slot = -1};
    long used = proto->reply(c, b + at, n - at, &r);
    if (used == 0) break;
    bool known = used > 0 && (r.slot < 0 || (r.slot < (int)opt->outstanding && c->sent[r.slot] != 0));
    if (!known) {
      errors.mismatch++;
      lose(c);
      return -1;
    }
    at += (size_t)used;
    if (r.slot < 0) continue;
    if (r.wrong) errors.mismatch++;
    else if (r.refused) errors.status++;
    if (measuring) {
      histogram_add(&latency, t - c->sent[r.slot]);
      answered++;
    }
    c->sent[r.slot] = 0;
    c->busy--;
    c->done++;
    if (opt->rate > 0) idle_push(c);
    else send_request(c, (unsigned)r.slot, t);
  }
  return (long)at;
}

static void readable(struct conn *c) {
  bool tail = bytes_left(&c->in) > 0;
  uint8_t *to = tail ? bytes_room(&c->in, 65536) : scratch;
  ssize_t n = recv(c->fd, to, tail ? c->in.cap - c->in.end : SCRATCH, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {
    errors.closed += c->busy ? c->busy : 1;
    lose(c);
    return;
  }
  uint64_t t = now_ns();
  if (measuring) bytes_in += (uint64_t)n;
  if (tail) {
    c->in.end += (size_t)n;
    long used = take_replies(c, c->in.data + c->in.at, bytes_left(&c->in), t);
    if (used < 0) return;
    c->in.at += (size_t)used;
    if (c->in.at == c->in.end) c->in.at = c->in.end = 0;
  } else {
    long used = take_replies(c, scratch, (size_t)n, t);
    if (used < 0) return;
    if (used < n) bytes_append(&c->in, scratch + used, (size_t)(n - used));
  }
  note_reply_time(t);
  if (bytes_left(&c->out) > 0 && !c->wait_write) flush_out(c);
}

static void send_due(uint64_t t) {
  while (idle_count > 0 && due_at(due_count) <= t) {
    struct conn *c = idle[idle_head];
    idle_head = (idle_head + 1) % opt->connections;
    idle_count--;
    c->idle_listed = false;
    if (!c->open || c->busy > 0) continue;
    send_request(c, c->made % opt->outstanding, due_at(due_count++));
    flush_out(c);
  }
}

static void reopen_lost(void) {
  for (unsigned i = 0; i < opt->connections; i++)
    if (conns[i].fd < 0) start_connect(&conns[i]);
}

/* One turn: waits until something happens or until `wake`. */
static void turn(uint64_t wake) {
  struct epoll_event list[EVENTS];
  uint64_t before = now_ns();
  uint64_t wait = wake > before ? wake - before : 0;
  struct timespec limit = {.tv_sec = (time_t)(wait / SECOND), .tv_nsec = (long)(wait % SECOND)};
  int n = epoll_pwait2(poller, list, EVENTS, &limit, NULL);
  if (n < 0 && errno == ENOSYS) n = epoll_wait(poller, list, EVENTS, (int)((wait + 999999) / 1000000));
  uint64_t woke = now_ns();
  if (woke > before + wait && woke - before - wait > worst_own) worst_own = woke - before - wait;
  for (int i = 0; i < n; i++) {
    struct conn *c = list[i].data.ptr;
    if (c->fd < 0) continue;
    if (!c->open) opened(c);
    else {
      if (list[i].events & EPOLLOUT) flush_out(c);
      if (c->fd >= 0 && list[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
    }
  }
  uint64_t spent = now_ns() - woke;
  if (spent > worst_own) worst_own = spent;
}

static void run_until(uint64_t end) {
  uint64_t reopen = 0;
  for (;;) {
    uint64_t t = now_ns();
    if (t >= end || errors_sum(&errors) > MAX_ERRORS) return;
    if (open_count < opt->connections && t >= reopen) {
      reopen_lost();
      reopen = t + REOPEN_NS;
    }
    uint64_t wake = t + 10 * 1000000ull;
    if (opt->rate > 0) {
      send_due(t);
      uint64_t due = due_at(due_count);
      if (idle_count > 0 && due < wake) wake = due;
    }
    turn(wake < end ? wake : end);
  }
}

/* What is still in flight at the end: too old is an error; in an open loop what was due counts with the time it has waited so far. */
static uint64_t count_unfinished(uint64_t end) {
  uint64_t unfinished = 0;
  for (unsigned i = 0; i < opt->connections; i++)
    for (unsigned s = 0; s < opt->outstanding; s++) {
      uint64_t at = conns[i].sent[s];
      if (at == 0) continue;
      unfinished++;
      if (opt->rate > 0) histogram_add(&latency, end > at ? end - at : 0);
      else if (end - at > STUCK_NS) errors.stuck++;
    }
  if (opt->rate > 0)
    for (; due_at(due_count) < end; due_count++, unfinished++) histogram_add(&latency, end - due_at(due_count));
  return unfinished;
}

static double us(uint64_t ns) { return (double)ns / 1000.0; }

int drive(const struct protocol *p, const struct options *o) {
  proto = p;
  opt = o;
  if (p->setup != NULL) p->setup(o);
  prctl(PR_SET_TIMERSLACK, 1);
  poller = epoll_create1(EPOLL_CLOEXEC);
  conns = need(calloc(o->connections, sizeof *conns));
  idle = need(calloc(o->connections, sizeof *idle));
  for (unsigned i = 0; i < o->connections; i++) {
    struct conn *c = &conns[i];
    c->index = i;
    c->fd = -1;
    c->sent = need(calloc(o->outstanding, sizeof *c->sent));
    c->id = need(calloc(o->outstanding, sizeof *c->id));
  }
  uint64_t begin = now_ns();
  epoch = begin;
  run_until(begin + (uint64_t)(o->warmup * 1e9));

  struct watch_sample from, to;
  watch_read(&o->watch, &from);
  uint64_t start = now_ns();
  histogram_clear(&latency);
  answered = bytes_in = 0;
  last_reply = worst_own = 0;
  measuring = true;
  /* What waited through the warm-up is not carried into the measured window. */
  if (o->rate > 0)
    while (due_at(due_count) < start) due_count++;
  run_until(start + (uint64_t)(o->seconds * 1e9));
  uint64_t end = now_ns();
  watch_read(&o->watch, &to);
  uint64_t unfinished = count_unfinished(end);
  note_reply_time(end);
  if (open_count == 0 && errors_sum(&errors) == 0) errors.connect++;

  double seconds = (double)(end - start) / 1e9;
  printf("{\"mode\":\"%s\",\"connections\":%u,\"outstanding\":%u,\"seconds\":%.4f,\"requests\":%" PRIu64 ",\"rate\":%.1f,\"bytes_in\":%" PRIu64 ",",
         p->name, o->connections, o->outstanding, seconds, answered, (double)answered / seconds, bytes_in);
  report_errors(&errors);
  printf(",\"latency_us\":{\"mean\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f},",
         latency.count ? us(latency.sum) / (double)latency.count : 0.0, us(histogram_quantile(&latency, 0.5)),
         us(histogram_quantile(&latency, 0.9)), us(histogram_quantile(&latency, 0.99)), us(histogram_quantile(&latency, 0.999)), us(latency.max));
  printf("\"wanted_rate\":%.1f,\"unfinished\":%" PRIu64 ",\"pauses\":%" PRIu64 ",\"longest_pause_ms\":%.1f,\"own_stalls\":%" PRIu64 ",",
         o->rate, unfinished, pauses, (double)longest_pause / 1e6, own_stalls);
  report_watch(&from, &to);
  printf("}\n");
  return errors_sum(&errors) == 0 ? 0 : 1;
}
