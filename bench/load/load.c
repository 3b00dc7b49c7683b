/* The load generator: load MODE --port N [options]; one line of JSON when it ends. Modes and options: see usage(). */
#include "client.h"

#include <getopt.h>
#include <inttypes.h>

static void usage(void) {
  die("load http|h2|grpc|bolt|dubbo|echo|bulk|hold --port N [--connections 64] [--outstanding 1] [--seconds 2] [--warmup 0.5]\n"
      "  [--size BYTES] [--rate PER_SECOND] [--path /] [--host NAME] [--service NAME] [--up] [--unread] [--silent]\n"
      "  [--receive-buffer BYTES] [--watch PID,PID]\n"
      "http  closed loop of GETs, with --rate an open loop; --size makes them POSTs with a body of that many bytes\n"
      "h2    GETs over HTTP/2 with --outstanding streams on each connection; grpc: calls with a message of --size bytes\n"
      "bolt  rpc requests with --outstanding of them on each connection\n"
      "dubbo the same; --size up to 1023\n"
      "echo  a message of --size bytes and back\n"
      "bulk  the backend's pattern downwards, with --up upwards\n"
      "hold  connections that make one request (--silent: none) and stay open; --unread: whose reply nobody reads");
}

uint64_t errors_sum(const struct errors *e) { return e->connect + e->closed + e->status + e->mismatch + e->stuck; }

void report_errors(const struct errors *e) {
  printf("\"errors\":%" PRIu64 ",\"error_kinds\":{\"connect\":%" PRIu64 ",\"closed\":%" PRIu64 ",\"status\":%" PRIu64
         ",\"mismatch\":%" PRIu64 ",\"stuck\":%" PRIu64 "}",
         errors_sum(e), e->connect, e->closed, e->status, e->mismatch, e->stuck);
}

void report_watch(const struct watch_sample *from, const struct watch_sample *to) {
  printf("\"cpu_us\":%" PRIu64 ",\"rss_kb\":%" PRIu64 ",\"gone\":%d,\"core_us\":[", to->cpu_us - from->cpu_us, to->rss_kb, to->missing);
  long cores = sysconf(_SC_NPROCESSORS_CONF);
  for (long i = 0; i < cores && i < WATCH_CORES; i++) printf("%s%" PRIu64, i ? "," : "", to->core_us[i] - from->core_us[i]);
  printf("]");
}

static double number(const char *text, double low, double high) {
  char *end;
  double v = strtod(text, &end);
  if (end == text || *end != 0 || v < low || v > high) die("not a number from %g to %g: %s", low, high, text);
  return v;
}

int main(int argc, char **argv) {
  struct options o = {.connections = 64, .outstanding = 1, .seconds = 2, .warmup = 0.5, .path = "/", .host = "bench.local",
                      .service = "com.example.EchoService:1.0"};
  static const struct option list[] = {
      {"port", 1, 0, 'p'},    {"connections", 1, 0, 'c'}, {"outstanding", 1, 0, 'o'},    {"size", 1, 0, 'b'},   {"seconds", 1, 0, 's'},
      {"warmup", 1, 0, 'w'},  {"rate", 1, 0, 'r'},        {"path", 1, 0, 'P'},           {"host", 1, 0, 'H'},   {"service", 1, 0, 'S'},
      {"up", 0, 0, 'u'},      {"unread", 0, 0, 'n'},      {"receive-buffer", 1, 0, 'R'}, {"watch", 1, 0, 'W'},  {"silent", 0, 0, 'q'},
      {0, 0, 0, 0}};
  if (argc < 2) usage();
  const char *mode = argv[1];
  optind = 2;
  for (int k; (k = getopt_long(argc, argv, "", list, NULL)) != -1;) {
    switch (k) {
      case 'p': o.port = (uint16_t)number(optarg, 1, 65535); break;
      case 'c': o.connections = (unsigned)number(optarg, 1, 60000); break;
      case 'o': o.outstanding = (unsigned)number(optarg, 1, 4096); break;
      case 'b': o.size = (unsigned)number(optarg, 0, 1 << 24); break;
      case 's': o.seconds = number(optarg, 0, 7200); break;
      case 'w': o.warmup = number(optarg, 0, 600); break;
      case 'r': o.rate = number(optarg, 1, 1e7); break;
      case 'P': o.path = optarg; break;
      case 'H': o.host = optarg; break;
      case 'S': o.service = optarg; break;
      case 'u': o.up = true; break;
      case 'n': o.unread = true; break;
      case 'q': o.silent = true; break;
      case 'R': o.receive_buffer = (unsigned)number(optarg, 1, 1 << 30); break;
      case 'W': watch_parse(&o.watch, optarg); break;
      default: usage();
    }
  }
  if (o.port == 0 || optind != argc) usage();
  process_setup();
  if (strcmp(mode, "http") == 0) return drive(&client_http, &o);
  if (strcmp(mode, "h2") == 0) return drive(&client_h2, &o);
  if (strcmp(mode, "grpc") == 0) return drive(&client_grpc, &o);
  if (strcmp(mode, "bolt") == 0) return drive(&client_bolt, &o);
  if (strcmp(mode, "dubbo") == 0) return drive(&client_dubbo, &o);
  if (strcmp(mode, "echo") == 0) return drive(&client_echo, &o);
  if (strcmp(mode, "bulk") == 0) return bulk(&o);
  if (strcmp(mode, "hold") == 0) return hold(&o);
  usage();
}
