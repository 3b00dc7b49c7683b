/* What a protocol gives the load generator: how to write a request and how to read and judge a reply. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include "histogram.h"
#include "net.h"
#include "watch.h"

struct options {
  uint16_t port;
  unsigned connections;
  unsigned outstanding;   /* requests in flight on one connection */
  unsigned size;          /* bytes of a body or message the client sends */
  double seconds, warmup; /* measured time, and the time before it that is not measured */
  double rate;            /* requests a second over all connections; 0: closed loop */
  const char *path;       /* http: request target */
  const char *host;       /* http: Host */
  const char *service;    /* rpc: service name */
  bool up;                /* bulk: the client sends */
  bool unread;            /* hold: send a request, read nothing */
  bool silent;            /* hold: send nothing */
  unsigned receive_buffer; /* bytes for SO_RCVBUF, 0: the system's */
  struct watch watch;
};

/* Why requests failed; their sum is the `errors` of the report. */
struct errors {
  uint64_t connect;  /* could not connect */
  uint64_t closed;   /* the peer closed or reset while requests were in flight */
  uint64_t status;   /* a well-formed reply that says no */
  uint64_t mismatch; /* a reply with wrong id, length or content, or not parsable */
  uint64_t stuck;    /* no reply for longer than anything should take */
};

struct conn {
  int fd;
  unsigned index;
  bool open;            /* connected; false while connecting or waiting to be reopened */
  bool wait_write;      /* EPOLLOUT is armed */
  bool idle_listed;     /* open loop: stands in the list of free connections */
  struct bytes in, out; /* in: only the tail of a reply that came in parts */
  unsigned busy;        /* requests in flight */
  uint32_t made, done;  /* requests written and answered on this connection since it opened */
  uint64_t *sent;       /* per slot: when it was sent, in an open loop when it was due; 0: free */
  uint32_t *id;         /* per slot: what the protocol put there to recognise the reply */
};

struct reply {
  int slot;        /* which request it answers, -1: none (a heartbeat) */
  bool refused;    /* its status says no */
  bool wrong;      /* its content is not what was asked for */
};

struct protocol {
  const char *name;
  void (*setup)(const struct options *o);
  void (*request)(struct conn *c, unsigned slot);
  /* Reads one reply from b: bytes taken, 0 if more are needed, -1 if this cannot be a reply. */
  long (*reply)(struct conn *c, const uint8_t *b, size_t n, struct reply *r);
};

extern const struct protocol client_http, client_bolt, client_dubbo, client_echo, client_h2, client_grpc;

/* Each runs to its end and prints one line of JSON; the return value is the exit code. */
int drive(const struct protocol *p, const struct options *o);
int bulk(const struct options *o);
int hold(const struct options *o);

void report_errors(const struct errors *e);
uint64_t errors_sum(const struct errors *e);
void report_watch(const struct watch_sample *from, const struct watch_sample *to);

#endif
