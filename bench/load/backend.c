/* Backends behind the proxies under test: backend http|bolt|dubbo|echo|source|sink [--port 0] [--size 128] [--seconds 3600].
   Prints {"port":N} once it listens on loopback. Everything a protocol answers is appended to `out` and written once per read. */
#include "bolt.h"
#include "dubbo.h"
#include "net.h"
#include "h2.h"

#include <getopt.h>
#include <strings.h>

#define EVENTS 512
#define SCRATCH (256 * 1024)
#define CHUNK (64 * 1024)
#define MAX_HEAD 65536u
#define MAX_UNSENT (1024 * 1024)

struct peer {
  int fd;
  uint32_t armed;       /* what epoll watches: EPOLLOUT while a write is stuck, EPOLLIN unless the peer is far behind */
  struct bytes in, out; /* in: the tail of a request that came in parts */
  uint64_t skip;        /* http: bytes of the request's body still to come; h2: the preface came */
  uint64_t at;          /* source and sink: bytes so far */
  uint64_t stream_left; /* http: bytes of a large reply still to make */
  size_t stream_at;     /* where in the alphabet the large reply stands; h2: content to be granted again */
};

/* Takes what is whole in b, answers into p->out; bytes taken, or -1 to hang up. */
typedef long (*take_fn)(struct peer *p, const uint8_t *b, size_t n);

static int poller;
static unsigned reply_size = 128;
static struct bytes reply; /* http: the whole fixed reply */
static uint8_t scratch[SCRATCH];
static uint8_t alphabet[26 * 2521]; /* a little under 64 KiB, a whole number of alphabets */

static void append_head(struct bytes *out, uint64_t length) {
  char text[256];
  int n = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\nContent-Length: %llu\r\n\r\n", (unsigned long long)length);
  bytes_append(out, text, (size_t)n);
}

static void setup_http(void) {
  for (size_t i = 0; i < sizeof alphabet; i++) alphabet[i] = (uint8_t)('a' + i % 26);
  append_head(&reply, reply_size);
  for (unsigned left = reply_size; left > 0;) {
    unsigned n = left < sizeof alphabet ? left : (unsigned)sizeof alphabet;
    bytes_append(&reply, alphabet, n);
    left -= n;
  }
}

static uint64_t request_length(const uint8_t *b, size_t n) {
  static const char name[] = "\ncontent-length:";
  for (size_t i = 0; i + sizeof name < n; i++)
    if (b[i] == '\n' && strncasecmp((const char *)b + i, name, sizeof name - 1) == 0) return strtoull((const char *)b + i + sizeof name - 1, NULL, 10);
  return 0;
}

/* Makes the next piece of a large reply when the last one has been written. */
static void stream(struct peer *p) {
  while (p->stream_left > 0 && bytes_left(&p->out) < CHUNK) {
    size_t n = sizeof alphabet - p->stream_at;
    if (n > p->stream_left) n = (size_t)p->stream_left;
    bytes_append(&p->out, alphabet + p->stream_at, n);
    p->stream_at = (p->stream_at + n) % sizeof alphabet;
    p->stream_left -= n;
  }
}

/* GET /bytes/N answers N bytes, anything else the fixed reply; request bodies with a length are skipped. */
static long take_http(struct peer *p, const uint8_t *b, size_t n) {
  size_t at = 0;
  while (at < n) {
    if (p->skip > 0) {
      size_t s = p->skip < n - at ? (size_t)p->skip : n - at;
      p->skip -= s;
      at += s;
      if (p->skip > 0) break;
      bytes_append(&p->out, reply.data, reply.end);
      continue;
    }
    if (p->stream_left > 0) return -1; /* nothing may follow a large reply until it has left */
    const uint8_t *end = memmem(b + at, n - at, "\r\n\r\n", 4);
    if (end == NULL) return n - at > MAX_HEAD ? -1 : (long)at;
    size_t size = (size_t)(end - (b + at)) + 4;
    if (b[at] == 'G') {
      if (size > 11 && memcmp(b + at + 4, "/bytes/", 7) == 0) {
        p->stream_left = strtoull((const char *)b + at + 11, NULL, 10);
        p->stream_at = 0;
        append_head(&p->out, p->stream_left);
        stream(p);
      } else {
        bytes_append(&p->out, reply.data, reply.end);
      }
    } else {
      p->skip = request_length(b + at, size);
      if (p->skip == 0) bytes_append(&p->out, reply.data, reply.end);
    }
    at += size;
  }
  return (long)at;
}

static long take_bolt(struct peer *p, const uint8_t *b, size_t n) {
  size_t at = 0;
  while (at < n) {
    long length = bolt_length(b + at, n - at);
    if (length < 0) return -1;
    if (length == 0 || n - at < (size_t)length) break;
    const uint8_t *f = b + at;
    at += (size_t)length;
    uint16_t command = get16(f + 2);
    if (f[1] == BOLT_RESPONSE) continue; /* the answer to a heartbeat of ours; we send none */
    if (command == BOLT_HEARTBEAT) {
      bolt_heartbeat_ack(&p->out, get32(f + 5));
      continue;
    }
    if (command != BOLT_CALL) return -1;
    if (f[1] == BOLT_ONEWAY) continue;
    uint32_t size = get32(f + 18);
    uint8_t *r = bytes_room(&p->out, BOLT_RESPONSE_HEAD + sizeof BOLT_RESPONSE_CLASS + size);
    memset(r, 0, BOLT_RESPONSE_HEAD);
    r[0] = r[4] = r[9] = 1;
    r[3] = BOLT_REPLY;
    memcpy(r + 5, f + 5, 4);
    put16(r + 12, sizeof BOLT_RESPONSE_CLASS - 1);
    put32(r + 16, size);
    memcpy(r + BOLT_RESPONSE_HEAD, BOLT_RESPONSE_CLASS, sizeof BOLT_RESPONSE_CLASS - 1);
    memcpy(r + BOLT_RESPONSE_HEAD + sizeof BOLT_RESPONSE_CLASS - 1, f + length - size, size);
    p->out.end += BOLT_RESPONSE_HEAD + sizeof BOLT_RESPONSE_CLASS - 1 + size;
  }
  return (long)at;
}

/* Returns the first argument, a string, with the attachment that a Java server adds. */
static long take_dubbo(struct peer *p, const uint8_t *b, size_t n) {
  static const uint8_t attachments[] = {'H', 5, 'd', 'u', 'b', 'b', 'o', 5, '2', '.', '0', '.', '2', 'Z'};
  size_t at = 0;
  while (at < n) {
    long length = dubbo_length(b + at, n - at);
    if (length < 0) return -1;
    if (length == 0 || n - at < (size_t)length) break;
    const uint8_t *f = b + at, *end = f + length, *v = f + DUBBO_HEAD;
    at += (size_t)length;
    if (!(f[2] & DUBBO_REQUEST)) continue; /* the answer to a heartbeat of ours; we send none */
    if (f[2] & DUBBO_EVENT) {
      if (f[2] & DUBBO_TWO_WAY) dubbo_heartbeat_ack(&p->out, f, (size_t)length);
      continue;
    }
    if (!(f[2] & DUBBO_TWO_WAY)) continue;
    for (int i = 0; i < 5; i++) {
      size_t skip = dubbo_string(v, (size_t)(end - v));
      if (skip == 0) return -1;
      v += skip;
    }
    size_t size = dubbo_string(v, (size_t)(end - v));
    if (size == 0) return -1;
    uint8_t head[DUBBO_HEAD + 1] = {0xda, 0xbb, DUBBO_HESSIAN, DUBBO_OK};
    memcpy(head + 4, f + 4, 8);
    put32(head + 12, (uint32_t)(1 + size + sizeof attachments));
    head[DUBBO_HEAD] = DUBBO_VALUE;
    bytes_append(&p->out, head, sizeof head);
    bytes_append(&p->out, v, size);
    bytes_append(&p->out, attachments, sizeof attachments);
  }
  return (long)at;
}

/* Heads of replies, and trailers, for the first reply of a connection and for those that find its entries in the table. */
static bool grpc;
static struct bytes h2_first, h2_later, trailers_first, trailers_later, h2_content;

static void setup_h2(void) {
  char length[16];
  snprintf(length, sizeof length, "%u", reply_size);
  h2_indexed(&h2_first, 8); /* :status 200 */
  h2_literal(&h2_first, 54, NULL, "bench");
  h2_literal(&h2_first, 31, NULL, grpc ? "application/grpc" : "text/plain");
  if (!grpc) h2_literal(&h2_first, 28, NULL, length);
  h2_literal(&trailers_first, 0, "grpc-status", "0");
  h2_indexed(&h2_later, 8);
  /* With trailers three entries as well, and theirs is the last one. */
  for (uint8_t i = 64; i > (grpc ? 62 : 61); i--) h2_indexed(&h2_later, i);
  h2_indexed(&trailers_later, 62);
  if (grpc) {
    uint8_t prefix[GRPC_PREFIX] = {0};
    put32(prefix + 1, reply_size);
    bytes_append(&h2_content, prefix, sizeof prefix);
  }
  for (unsigned i = 0; i < reply_size; i++) bytes_append(&h2_content, alphabet + i % 26, 1);
  if (h2_content.end > H2_MAX_FRAME) die("h2: --size up to %d", H2_MAX_FRAME - GRPC_PREFIX);
}

static void answer_h2(struct peer *p, uint32_t stream) {
  bool fresh = p->at++ == 0;
  const struct bytes *head = fresh ? &h2_first : &h2_later, *tail = fresh ? &trailers_first : &trailers_later;
  h2_frame(&p->out, (uint32_t)head->end, H2_HEADERS, H2_END_HEADERS, stream);
  bytes_append(&p->out, head->data, head->end);
  h2_frame(&p->out, (uint32_t)h2_content.end, H2_DATA, grpc ? 0 : H2_END_STREAM, stream);
  bytes_append(&p->out, h2_content.data, h2_content.end);
  if (!grpc) return;
  h2_frame(&p->out, (uint32_t)tail->end, H2_HEADERS, H2_END_HEADERS | H2_END_STREAM, stream);
  bytes_append(&p->out, tail->data, tail->end);
}

/* Answers each request when it has ended; windows of the peer are not looked at, so replies are small. */
static long take_h2(struct peer *p, const uint8_t *b, size_t n) {
  size_t at = 0;
  if (p->skip == 0) {
    if (n < H2_PREFACE_SIZE) return memcmp(b, H2_PREFACE, n) == 0 ? 0 : -1;
    if (memcmp(b, H2_PREFACE, H2_PREFACE_SIZE) != 0) return -1;
    p->skip = 1;
    at = H2_PREFACE_SIZE;
    h2_begin(&p->out);
  }
  while (n - at >= H2_HEAD) {
    const uint8_t *f = b + at;
    uint32_t length = h2_length(f);
    if (length > H2_MAX_FRAME) return -1;
    if (n - at < H2_HEAD + length) break;
    at += H2_HEAD + length;
    if (h2_control(&p->out, f, length) || f[3] == H2_GOAWAY || f[3] == H2_RST_STREAM) continue;
    if (f[3] == H2_DATA) {
      p->stream_at += length;
      if (p->stream_at >= H2_GRANT) {
        h2_word(&p->out, H2_WINDOW_UPDATE, 0, (uint32_t)p->stream_at);
        p->stream_at = 0;
      }
    } else if (f[3] != H2_HEADERS || !(f[4] & H2_END_HEADERS)) {
      return -1;
    }
    if (f[4] & H2_END_STREAM) answer_h2(p, h2_stream(f));
  }
  return (long)at;
}

static long take_echo(struct peer *p, const uint8_t *b, size_t n) {
  bytes_append(&p->out, b, n);
  return (long)n;
}

/* Hangs up when a block does not carry its own number: the sender sees that as an error. */
static long take_sink(struct peer *p, const uint8_t *b, size_t n) {
  size_t at = (BULK_BLOCK - p->at % BULK_BLOCK) % BULK_BLOCK;
  for (; at + 8 <= n; at += BULK_BLOCK) {
    uint64_t v;
    memcpy(&v, b + at, 8);
    if (v != (p->at + at) / BULK_BLOCK) return -1;
  }
  p->at += n;
  return (long)n;
}

static void fill_source(struct peer *p) {
  static uint8_t block[BULK_BLOCK];
  while (bytes_left(&p->out) < 4 * CHUNK) {
    uint64_t v = p->at / BULK_BLOCK;
    memcpy(block, &v, 8);
    bytes_append(&p->out, block, BULK_BLOCK);
    p->at += BULK_BLOCK;
  }
}

static void hang_up(struct peer *p) {
  close(p->fd);
  bytes_free(&p->in);
  bytes_free(&p->out);
  free(p);
}

static void arm(struct peer *p, uint32_t what, int op) {
  struct epoll_event e = {.events = what, .data.ptr = p};
  epoll_ctl(poller, op, p->fd, &e);
  p->armed = what;
}

/* False when the connection is gone. */
static bool flush_out(struct peer *p, bool source) {
  for (;;) {
    if (source) fill_source(p);
    int r = bytes_flush(&p->out, p->fd);
    if (r < 0) return false;
    if (r == 0 && p->stream_left > 0) {
      stream(p);
      continue;
    }
    /* A client that never reads must not make this process grow. */
    uint32_t what = (r == 1 || source ? EPOLLOUT : 0u) | (bytes_left(&p->out) < MAX_UNSENT ? EPOLLIN : 0u);
    if (what != p->armed) arm(p, what, EPOLL_CTL_MOD);
    return true;
  }
}

static bool readable(struct peer *p, take_fn take) {
  bool tail = bytes_left(&p->in) > 0;
  uint8_t *to = tail ? bytes_room(&p->in, 65536) : scratch;
  ssize_t n = recv(p->fd, to, tail ? p->in.cap - p->in.end : SCRATCH, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (n <= 0) return false;
  if (tail) {
    p->in.end += (size_t)n;
    long used = take(p, p->in.data + p->in.at, bytes_left(&p->in));
    if (used < 0) return false;
    p->in.at += (size_t)used;
    if (p->in.at == p->in.end) p->in.at = p->in.end = 0;
  } else {
    long used = take(p, scratch, (size_t)n);
    if (used < 0) return false;
    if (used < n) bytes_append(&p->in, scratch + used, (size_t)(n - used));
  }
  return true;
}

static void accept_all(int listener, bool source) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    no_delay(fd);
    struct peer *p = need(calloc(1, sizeof *p));
    p->fd = fd;
    arm(p, source ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_ADD);
  }
}

int main(int argc, char **argv) {
  unsigned port = 0, seconds = 3600;
  static const struct option list[] = {{"port", 1, 0, 'p'}, {"size", 1, 0, 'b'}, {"seconds", 1, 0, 's'}, {0, 0, 0, 0}};
  const char *mode = argc > 1 ? argv[1] : "";
  optind = 2;
  for (int k; argc > 1 && (k = getopt_long(argc, argv, "", list, NULL)) != -1;) {
    unsigned v = optarg != NULL ? (unsigned)strtoul(optarg, NULL, 10) : 0;
    if (k == 'p') port = v;
    else if (k == 'b') reply_size = v;
    else if (k == 's') seconds = v;
    else mode = "";
  }
  bool source = strcmp(mode, "source") == 0;
  take_fn take = strcmp(mode, "http") == 0   ? take_http
                 : strcmp(mode, "h2") == 0 ? take_h2
                 : strcmp(mode, "grpc") == 0 ? take_h2
                 : strcmp(mode, "bolt") == 0 ? take_bolt
                 : strcmp(mode, "dubbo") == 0 ? take_dubbo
                 : strcmp(mode, "echo") == 0 ? take_echo
                 : strcmp(mode, "sink") == 0 ? take_sink
                 : source                    ? take_sink
                                             : NULL;
  if (take == NULL || port > 65535 || seconds == 0) die("backend http|h2|grpc|bolt|dubbo|echo|source|sink [--port N] [--size BYTES] [--seconds N]");
  process_setup();
  alarm(seconds);
  setup_http();
  grpc = strcmp(mode, "grpc") == 0;
  if (take == take_h2) setup_h2();
  poller = epoll_create1(EPOLL_CLOEXEC);
  uint16_t bound;
  int listener = listen_loopback((uint16_t)port, &bound);
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
  printf("{\"port\":%u}\n", bound);
  fflush(stdout);
  for (;;) {
    struct epoll_event events[EVENTS];
    int n = epoll_wait(poller, events, EVENTS, -1);
    if (n < 0 && errno != EINTR) die("epoll: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
      struct peer *p = events[i].data.ptr;
      if (p == NULL) {
        accept_all(listener, source);
        continue;
      }
      bool alive = !(events[i].events & (EPOLLHUP | EPOLLERR));
      if (alive && events[i].events & EPOLLIN) alive = readable(p, take);
      if (alive && (source || bytes_left(&p->out) > 0 || p->armed != EPOLLIN)) alive = flush_out(p, source);
      if (!alive) hang_up(p);
    }
  }
}
