/*
 * HTTP/2 in clear by prior knowledge: GETs, or gRPC calls with one message each way, on streams of their own. The first request of a
 * connection fills the table of the peer, the others name its entries, as clients do. A reply must have :status 200, the backend's
 * content, and (gRPC) trailers behind it. Requests of up to 1023 bytes: the peer's windows, never below 65,535, are then not looked at.
 */
#include "client.h"
#include "h2.h"

struct call {
  uint32_t stream;
  uint32_t bytes; /* of content so far */
  uint32_t length; /* gRPC: what the prefix of the message says */
  bool ok;        /* :status 200, and content that is right so far */
};

static const struct options *opt;
static bool grpc;
static struct call *calls;         /* outstanding for each connection */
static uint32_t *received;         /* content of each connection that was not granted again */
static struct bytes first, later;  /* header blocks */
static struct bytes message;       /* what a call sends */

static void blocks(void) {
  uint8_t entries = 0;
  h2_indexed(&first, grpc ? 3 : 2); /* POST, GET */
  h2_indexed(&first, 6);            /* http */
  if (!grpc && strcmp(opt->path, "/") == 0) h2_indexed(&first, 4);
  else h2_literal(&first, 4, NULL, grpc && strcmp(opt->path, "/") == 0 ? "/bench.Echo/Call" : opt->path), entries++;
  h2_literal(&first, 1, NULL, opt->host), entries++;
  h2_literal(&first, 58, NULL, "bench"), entries++; /* user-agent */
  if (grpc) {
    h2_literal(&first, 31, NULL, "application/grpc"), entries++;
    h2_literal(&first, 0, "te", "trailers"), entries++;
  } else {
    h2_literal(&first, 19, NULL, "*/*"), entries++; /* accept */
  }
  h2_indexed(&later, grpc ? 3 : 2);
  h2_indexed(&later, 6);
  if (!grpc && strcmp(opt->path, "/") == 0) h2_indexed(&later, 4);
  for (uint8_t i = entries; i > 0; i--) h2_indexed(&later, (uint8_t)(61 + i)); /* the oldest has the highest index */
}

static void setup(const struct options *o) {
  opt = o;
  if (strlen(o->path) > 100 || strlen(o->host) > 100 || o->size > 1023) die("h2: path and host up to 100 bytes, --size up to 1023");
  calls = need(calloc((size_t)o->connections * o->outstanding, sizeof *calls));
  received = need(calloc(o->connections, sizeof *received));
  blocks();
  if (!grpc) return;
  uint8_t prefix[GRPC_PREFIX] = {0};
  put32(prefix + 1, o->size);
  bytes_append(&message, prefix, sizeof prefix);
  for (unsigned i = 0; i < o->size; i++) bytes_append(&message, &"0123456789abcdef"[i % 16], 1);
}

static void setup_grpc(const struct options *o) {
  grpc = true;
  setup(o);
}

static void request(struct conn *c, unsigned slot) {
  uint32_t stream = 2 * c->made + 1;
  calls[c->index * opt->outstanding + slot] = (struct call){.stream = stream};
  bool fresh = c->made == 0;
  if (fresh) {
    received[c->index] = 0;
    bytes_append(&c->out, H2_PREFACE, H2_PREFACE_SIZE);
    h2_begin(&c->out);
  }
  const struct bytes *block = fresh ? &first : &later;
  h2_frame(&c->out, (uint32_t)block->end, H2_HEADERS, H2_END_HEADERS | (grpc ? 0 : H2_END_STREAM), stream);
  bytes_append(&c->out, block->data, block->end);
  if (!grpc) return;
  h2_frame(&c->out, (uint32_t)message.end, H2_DATA, H2_END_STREAM, stream);
  bytes_append(&c->out, message.data, message.end);
}

/* The backend's content is the alphabet over and over; of a gRPC message behind its prefix. */
static bool content_right(struct call *call, const uint8_t *b, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    uint32_t at = call->bytes + i;
    if (grpc && at < GRPC_PREFIX) {
      if (at == 0 && b[i] != 0) return false;
      if (at > 0) call->length = call->length << 8 | b[i];
      continue;
    }
    if (b[i] != (uint8_t)('a' + (grpc ? at - GRPC_PREFIX : at) % 26)) return false;
  }
  return true;
}

static long reply(struct conn *c, const uint8_t *b, size_t n, struct reply *r) {
  if (n < H2_HEAD) return 0;
  uint32_t length = h2_length(b);
  if (length > H2_MAX_FRAME) return -1;
  if (n < H2_HEAD + length) return 0;
  long whole = (long)(H2_HEAD + length);
  if (h2_control(&c->out, b, length)) return whole;
  if (b[3] == H2_GOAWAY) return -1;
  struct call *call = NULL;
  unsigned slot = 0;
  for (; slot < opt->outstanding && call == NULL; slot++)
    if (calls[c->index * opt->outstanding + slot].stream == h2_stream(b)) call = &calls[c->index * opt->outstanding + slot];
  if (call == NULL) return -1;
  slot--;
  const uint8_t *f = b + H2_HEAD;
  bool end = b[4] & H2_END_STREAM;
  if (b[3] == H2_HEADERS) {
    if (!(b[4] & H2_END_HEADERS) || length == 0) return -1;
    size_t at = (b[4] & H2_PADDED ? 1u : 0u) + (b[4] & H2_PRIORITY ? 5u : 0u);
    while (at < length && (f[at] & 0xe0) == 0x20) at++; /* size updates of less than 31 bytes */
    /* :status 200 is entry 8 of the static table. What is behind content are trailers, which end the reply. */
    if (call->bytes == 0) call->ok = at < length && f[at] == 0x88 && !end;
    else if (!end) return -1;
  } else if (b[3] == H2_DATA) {
    if (b[4] & H2_PADDED) return -1;
    if (!content_right(call, f, length)) call->ok = false;
    call->bytes += length;
    received[c->index] += length;
    if (received[c->index] >= H2_GRANT) {
      h2_word(&c->out, H2_WINDOW_UPDATE, 0, received[c->index]);
      received[c->index] = 0;
    }
    if (end && grpc) call->ok = false; /* the status of the call is missing */
  } else if (b[3] == H2_RST_STREAM) {
    /* NO_ERROR behind a whole reply cannot come: requests are complete. */
    call->ok = false;
    end = true;
  } else {
    return -1;
  }
  if (!end) return whole;
  if (grpc && call->bytes != call->length + GRPC_PREFIX) call->ok = false;
  call->stream = 0;
  r->slot = (int)slot;
  r->refused = !call->ok && call->bytes == 0;
  r->wrong = !call->ok || call->bytes == 0;
  return whole;
}

const struct protocol client_h2 = {"h2", setup, request, reply};
const struct protocol client_grpc = {"grpc", setup_grpc, request, reply};
