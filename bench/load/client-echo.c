/* A message of fixed size and the same bytes back: the ping-pong of a TCP proxy. */
#include "client.h"

static unsigned size, depth;

static void setup(const struct options *o) {
  size = o->size < 8 ? 8 : o->size;
  depth = o->outstanding;
}

/* The message: connection and serial in the first eight bytes, the serial's low byte in the rest. */
static void request(struct conn *c, unsigned slot) {
  uint8_t *b = bytes_room(&c->out, size);
  put32(b, c->index);
  put32(b + 4, c->made);
  memset(b + 8, (int)(c->made & 0xff), size - 8);
  c->out.end += size;
  c->id[slot] = c->made;
}

static long reply(struct conn *c, const uint8_t *b, size_t n, struct reply *r) {
  if (n < size) return 0;
  unsigned slot = c->done % depth;
  r->slot = (int)slot;
  r->wrong = get32(b) != c->index || get32(b + 4) != c->id[slot] || (size > 8 && (b[8] != (c->id[slot] & 0xff) || b[size - 1] != b[8]));
  return (long)size;
}

const struct protocol client_echo = {"echo", setup, request, reply};
