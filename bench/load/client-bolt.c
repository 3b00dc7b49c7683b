/* Bolt v1 calls: every connection numbers its own requests, so ids of different connections collide on purpose, and the body says whose it is. */
#include "bolt.h"
#include "client.h"

static struct bytes frame;       /* a whole request; id and the first eight body bytes are set per call */
static size_t content_at;
static unsigned size, depth;

static void put_pair(struct bytes *b, const char *key, const char *value) {
  uint8_t n[4];
  put32(n, (uint32_t)strlen(key));
  bytes_append(b, n, 4);
  bytes_append(b, key, strlen(key));
  put32(n, (uint32_t)strlen(value));
  bytes_append(b, n, 4);
  bytes_append(b, value, strlen(value));
}

static void setup(const struct options *o) {
  size = o->size == 0 ? 100 : o->size < 8 ? 8 : o->size;
  depth = o->outstanding;
  struct bytes map = {0};
  put_pair(&map, "service", o->service);
  put_pair(&map, "sofa_head_target_service", o->service);
  put_pair(&map, "sofa_head_method_name", "echo");
  uint8_t head[BOLT_REQUEST_HEAD] = {1, BOLT_REQUEST, 0, BOLT_CALL, 1};
  head[9] = 1;
  put32(head + 10, 5000);
  put16(head + 14, sizeof BOLT_REQUEST_CLASS - 1);
  put16(head + 16, (uint32_t)map.end);
  put32(head + 18, size);
  bytes_append(&frame, head, sizeof head);
  bytes_append(&frame, BOLT_REQUEST_CLASS, sizeof BOLT_REQUEST_CLASS - 1);
  bytes_append(&frame, map.data, map.end);
  content_at = frame.end;
  for (unsigned i = 0; i < size; i++) bytes_append(&frame, &"0123456789abcdef"[i % 16], 1);
  bytes_free(&map);
}

static void request(struct conn *c, unsigned slot) {
  /* The slot can be told from the id, so replies may come in any order. */
  uint32_t id = (c->made + 1) * depth + slot;
  c->id[slot] = id;
  put32(frame.data + 5, id);
  put32(frame.data + content_at, c->index);
  put32(frame.data + content_at + 4, id);
  bytes_append(&c->out, frame.data, frame.end);
}

static long reply(struct conn *c, const uint8_t *b, size_t n, struct reply *r) {
  long length = bolt_length(b, n);
  if (length <= 0) return length;
  if (n < (size_t)length) return 0;
  uint32_t id = get32(b + 5);
  uint16_t command = get16(b + 2);
  if (b[1] != BOLT_RESPONSE) {
    if (command == BOLT_HEARTBEAT && b[1] == BOLT_REQUEST) bolt_heartbeat_ack(&c->out, id);
    else if (command != BOLT_GOAWAY) return -1;
    return length;
  }
  unsigned slot = id % depth;
  if (command != BOLT_REPLY || c->sent[slot] == 0 || c->id[slot] != id) return -1;
  r->slot = (int)slot;
  r->refused = get16(b + 10) != 0;
  if (r->refused) return length;
  const uint8_t *content = b + BOLT_RESPONSE_HEAD + get16(b + 12) + get16(b + 14);
  r->wrong = get16(b + 12) != sizeof BOLT_RESPONSE_CLASS - 1 || get32(b + 16) != size || get32(content) != c->index || get32(content + 4) != id ||
             memcmp(content + 8, frame.data + content_at + 8, size - 8) != 0;
  return length;
}

const struct protocol client_bolt = {"bolt", setup, request, reply};
