/* HTTP/1.1 requests on kept-alive connections; a reply must be 200, of the announced length and with the backend's content. */
#include "client.h"

#include <strings.h>

static struct bytes head;   /* everything before the body */
static struct bytes body;
static unsigned depth;      /* requests in flight; replies come in their order */

static void setup(const struct options *o) {
  depth = o->outstanding;
  char text[4096];
  int n = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n", o->size > 0 ? "POST" : "GET", o->path, o->host);
  if (n > 0 && o->size > 0 && n < (int)sizeof text) n += snprintf(text + n, sizeof text - (size_t)n, "Content-Length: %u\r\n", o->size);
  if (n <= 0 || n > (int)sizeof text - 3) die("request head too long");
  memcpy(text + n, "\r\n", 2);
  bytes_append(&head, text, (size_t)n + 2);
  for (unsigned i = 0; i < o->size; i++) bytes_append(&body, &"0123456789abcdef"[i % 16], 1);
}

static void request(struct conn *c, unsigned slot) {
  (void)slot;
  bytes_append(&c->out, head.data, head.end);
  if (body.end > 0) bytes_append(&c->out, body.data, body.end);
}

/* Length of the body from the head's fields, -1 when there is none (a chunked reply is not expected from this backend). */
static long content_length(const uint8_t *b, size_t end) {
  static const char name[] = "content-length:";
  for (size_t i = 0; i + sizeof name < end; i++) {
    if (b[i] != '\n' || strncasecmp((const char *)b + i + 1, name, sizeof name - 1) != 0) continue;
    i += sizeof name;
    while (i < end && b[i] == ' ') i++;
    long v = 0;
    bool any = false;
    for (; i < end && b[i] >= '0' && b[i] <= '9' && v < 1l << 40; i++, any = true) v = v * 10 + (b[i] - '0');
    return any ? v : -1;
  }
  return -1;
}

/* The backend's body is the alphabet over and over. */
static bool body_right(const uint8_t *b, size_t n) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
  size_t i = 0;
  for (; i + 26 <= n; i += 26)
    if (memcmp(b + i, letters, 26) != 0) return false;
  return memcmp(b + i, letters, n - i) == 0;
}

static long reply(struct conn *c, const uint8_t *b, size_t n, struct reply *r) {
  if (n >= 9 && memcmp(b, "HTTP/1.1 ", 9) != 0) return -1;
  const uint8_t *end = n > 12 ? memmem(b, n, "\r\n\r\n", 4) : NULL;
  if (end == NULL) return n > 65536 ? -1 : 0;
  size_t size = (size_t)(end - b) + 4;
  long length = content_length(b, size);
  if (length < 0) return -1;
  if (n - size < (size_t)length) return 0;
  r->slot = (int)(c->done % depth);
  r->refused = memcmp(b + 9, "200", 3) != 0;
  r->wrong = !r->refused && !body_right(b + size, (size_t)length);
  return (long)(size + (size_t)length);
}

const struct protocol client_http = {"http", setup, request, reply};
