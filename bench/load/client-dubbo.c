/* Dubbo calls as the Java client of 3.3 makes them: 64-bit ids with a high half, eight attachments; the argument says whose call it is. */
#include "client.h"
#include "dubbo.h"

#define ID_HIGH 0xd452bd3au      /* Dubbo 3 begins at any of the 2^64 ids; all connections use the same ones */
#define MARK 16u                 /* hex digits at the beginning of the argument: connection and call */

static struct bytes frame;       /* a whole request; id and mark are set per call */
static size_t mark_at;
static unsigned size, depth;

static void put_pair(struct bytes *b, const char *key, const char *value) {
  dubbo_put_string(b, key, strlen(key));
  dubbo_put_string(b, value, strlen(value));
}

static void put_hex(uint8_t *to, uint32_t v) {
  for (int i = 0; i < 8; i++) to[i] = (uint8_t)"0123456789abcdef"[v >> (28 - 4 * i) & 15];
}

static void setup(const struct options *o) {
  size = o->size == 0 ? 100 : o->size < MARK ? MARK : o->size;
  if (size > 1023) die("dubbo: arguments of up to 1023 bytes");
  depth = o->outstanding;
  uint8_t head[DUBBO_HEAD] = {0xda, 0xbb, DUBBO_REQUEST | DUBBO_TWO_WAY | DUBBO_HESSIAN};
  bytes_append(&frame, head, sizeof head);
  const char *names[] = {"2.0.2", o->service, "1.0.0", "hello", "Ljava/lang/String;"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) dubbo_put_string(&frame, names[i], strlen(names[i]));
  char text[1024];
  for (unsigned i = 0; i < size; i++) text[i] = "0123456789abcdef"[i % 16];
  mark_at = frame.end + (size > 31 ? 2 : 1);
  dubbo_put_string(&frame, text, size);
  bytes_append(&frame, "H", 1);
  put_pair(&frame, "path", o->service);
  put_pair(&frame, "remote.application", "bench");
  put_pair(&frame, "x-env", "stable");
  put_pair(&frame, "interface", o->service);
  put_pair(&frame, "version", "1.0.0");
  put_pair(&frame, "timeout", "5000");
  put_pair(&frame, "group", "g1");
  put_pair(&frame, "id", "bench");
  bytes_append(&frame, "Z", 1);
  put32(frame.data + 4, ID_HIGH);
  put32(frame.data + 12, (uint32_t)(frame.end - DUBBO_HEAD));
}

static void request(struct conn *c, unsigned slot) {
  /* The slot can be told from the id, so replies may come in any order. */
  uint32_t id = (c->made + 1) * depth + slot;
  c->id[slot] = id;
  put32(frame.data + 8, id);
  put_hex(frame.data + mark_at, c->index);
  put_hex(frame.data + mark_at + 8, id);
  bytes_append(&c->out, frame.data, frame.end);
}

static long reply(struct conn *c, const uint8_t *b, size_t n, struct reply *r) {
  long length = dubbo_length(b, n);
  if (length <= 0) return length;
  if (n < (size_t)length) return 0;
  if (b[2] & DUBBO_REQUEST) {
    if (b[2] & DUBBO_EVENT && b[2] & DUBBO_TWO_WAY) dubbo_heartbeat_ack(&c->out, b, (size_t)length);
    else if (!(b[2] & DUBBO_EVENT)) return -1;
    return length;
  }
  uint32_t id = get32(b + 8);
  unsigned slot = id % depth;
  if (b[2] & DUBBO_EVENT || get32(b + 4) != ID_HIGH || c->sent[slot] == 0 || c->id[slot] != id) return -1;
  r->slot = (int)slot;
  r->refused = b[3] != DUBBO_OK;
  if (r->refused) return length;
  size_t header = size > 31 ? 2 : 1;
  const uint8_t *value = b + DUBBO_HEAD + 1;
  uint8_t mark[MARK];
  put_hex(mark, c->index);
  put_hex(mark + 8, id);
  r->wrong = b[DUBBO_HEAD] != DUBBO_VALUE || (size_t)length < DUBBO_HEAD + 1 + header + size || dubbo_string(value, header + size) != header + size ||
             memcmp(value + header, mark, MARK) != 0 || memcmp(value + header + MARK, frame.data + mark_at + MARK, size - MARK) != 0;
  return length;
}

const struct protocol client_dubbo = {"dubbo", setup, request, reply};
