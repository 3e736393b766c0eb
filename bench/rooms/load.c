/* The viewers of the rooms' benchmark: thousands of WebSocket clients, and who speaks to them, in one epoll loop.
 *
 * Reads commands from standard input, answers each with one line of JSON. A message carries a marker byte, the
 * monotonic time at which it was sent and a running number, so every delivery is timed, and lost or doubled ones are
 * counted per viewer. It never looks at anything else that a server says.
 *
 *   server HOST PORT PATH JOIN             JOIN 1: viewers say {"op":"join"...} and are in when something came back;
 *                                          2: they subscribe as NATS has it
 *   feed raw|nats|ws|post PORT PATH COUNT  how messages are sent: length-prefixed; as NATS has it; to a socket that
 *                                          publishes what it gets; as chat.post of COUNT people (their cookies follow,
 *                                          one a line)
 *   connect N AT_ONCE SMALL                N more viewers; SMALL of them with a small receive buffer
 *   flight SECONDS BURST SIZE              BURST messages, the next when all viewers have all of them
 *   pace RATE SECONDS SIZE                 RATE messages a second
 *   stall / unstall                        viewers with a small buffer stop (begin again) to read
 *   number N                               the next message is number N
 *   cut / again AT_ONCE RATE EPOCH         drop all viewers; all come back with their offsets while RATE goes on
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { VIEWERS_MAX = 12000, FEEDS_MAX = 64, CARRY = 32, MARK = '^', STAMP = 27, WINDOW = 2048, READ = 1 << 18 };
enum { PER_ADDRESS = 5000, SMALL_BUFFER = 4096, BUCKETS = 4096, QUIET_MS = 3000, LOOK_NS = 250000, STUCK_S = 150 };
enum phase { OFF, CONNECTING, SHAKING, JOINING, IN };

struct viewer {
  int fd;
  enum phase phase;
  bool small, feeds;
  uint8_t carry_length;
  char carry[CARRY];
  uint32_t top;      /* newest number seen */
  uint32_t first;    /* numbers from here on are due */
  uint32_t distinct; /* of those due, how many came */
  uint64_t began_ns;
  uint64_t seen[WINDOW / 64];
};

static struct viewer viewers[VIEWERS_MAX + FEEDS_MAX];
static int viewer_count, feed_count, epoll_fd, raw_fd = -1;
static char host[64], path[128], cookies[FEEDS_MAX][256];
static int port, joins;
static enum { RAW, NATS, SOCKET, POST } feed_kind;
static uint32_t next_number = 1, base_number;
static uint64_t delivered, doubled, lost, refused, gone;
static uint32_t latency[BUCKETS], join_latency[BUCKETS];
static bool stalled;
static char buffer[READ + CARRY];

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* Latencies: buckets of 1 % width from 10 us on. */
static double bucket_us[BUCKETS];
static int bucket_of(double us) {
  int low = 0, high = BUCKETS - 1;
  while (low < high) {
    int middle = (low + high) / 2;
    if (bucket_us[middle] < us) low = middle + 1; else high = middle;
  }
  return low;
}
static double quantile_ms(const uint32_t *histogram, double q) {
  uint64_t all = 0, sum = 0;
  for (int i = 0; i < BUCKETS; i++) all += histogram[i];
  for (int i = 0; i < BUCKETS; i++)
    if ((sum += histogram[i]) && sum >= all * q) return bucket_us[i] / 1000;
  return 0;
}

static uint64_t hex(const char *from, int digits) {
  uint64_t value = 0;
  while (digits--) {
    char c = *from++;
    value = value << 4 | (c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return value;
}

static void count(struct viewer *v, uint32_t number) {
  if (v->feeds || number < v->first) return;
  uint32_t slot = number % WINDOW;
  if (number > v->top) {
    for (uint32_t n = number - v->top > WINDOW ? number - WINDOW : v->top + 1; n <= number; n++)
      v->seen[n % WINDOW / 64] &= ~(1ull << (n % 64));
    v->top = number;
  } else if (v->top - number >= WINDOW || v->seen[slot / 64] >> (slot % 64) & 1) {
    doubled++;
    return;
  }
  v->seen[slot / 64] |= 1ull << (slot % 64);
  v->distinct++;
  if (!(stalled && v->small)) delivered++;
}

static void scan(struct viewer *v, char *from, char *end, uint64_t at) {
  char *p = from;
  double before = -1;
  int bucket = 0;
  while ((p = memchr(p, MARK, end - p)) && end - p >= STAMP) {
    if (p[17] != '.' || p[26] != 'Z') { p++; continue; }
    uint32_t number = hex(p + 18, 8);
    double us = (double)(int64_t)(at - hex(p + 1, 16)) / 1000;
    if (us != before) bucket = bucket_of(us), before = us;
    if (!v->feeds && number >= base_number && !(stalled && v->small)) latency[bucket]++;
    count(v, number);
    p += STAMP;
  }
  v->carry_length = 0;
  if (p) memcpy(v->carry, p, v->carry_length = end - p);
}

static void say(int fd, const char *bytes, size_t length) {
  while (length) {
    ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) { struct pollfd w = {fd, POLLOUT, 0}; poll(&w, 1, 1000); continue; }
    if (n <= 0) return;
    bytes += n, length -= n;
  }
}

static size_t masked(char *out, const char *body, size_t length) { /* a text frame under the mask 0 */
  size_t at = 0;
  out[at++] = (char)0x81;
  if (length < 126) out[at++] = (char)(0x80 | length);
  else out[at++] = (char)0xfe, out[at++] = length >> 8, out[at++] = length & 255;
  memset(out + at, 0, 4);
  memcpy(out + at + 4, body, length);
  return at + 4 + length;
}

static void watch(struct viewer *v, uint32_t events, int how) {
  struct epoll_event e = {events, {.u32 = v - viewers}};
  epoll_ctl(epoll_fd, how, v->fd, &e);
}

static void dial(struct viewer *v, int to_port) {
  int index = v - viewers, one = 1, small = SMALL_BUFFER;
  struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(to_port)};
  from.sin_addr.s_addr = htonl(0x7f000002 + index / PER_ADDRESS);
  inet_pton(AF_INET, host, &to.sin_addr);
  v->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (v->fd < 0) { perror("socket"); exit(1); }
  setsockopt(v->fd, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &one, sizeof one);
  setsockopt(v->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (v->small) setsockopt(v->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  if (bind(v->fd, (void *)&from, sizeof from)) { perror("bind"); exit(1); }
  connect(v->fd, (void *)&to, sizeof to);
  v->phase = CONNECTING, v->carry_length = 0, v->began_ns = now_ns();
  watch(v, EPOLLOUT, EPOLL_CTL_ADD);
}

static void ask(struct viewer *v, const char *where, const char *cookie) {
  char request[1024];
  int n = snprintf(request, sizeof request,
    "GET %s HTTP/1.1\r\nHost: %s:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s%s%s\r\n",
    where, host, port, *cookie ? "Cookie: " : "", cookie, *cookie ? "\r\n" : "");
  say(v->fd, request, n);
  v->phase = SHAKING;
  watch(v, EPOLLIN, EPOLL_CTL_MOD);
}

static char resume_epoch[64];
static int waiting_in, came_in, lost_in; /* viewers being connected; how many are in, or failed */
static void is_in(struct viewer *v) {
  v->phase = IN;
  if (v->feeds) return;
  waiting_in--, came_in++;
  join_latency[bucket_of((now_ns() - v->began_ns) / 1000.0)]++;
}

static void join(struct viewer *v) {
  if (!joins) { is_in(v); return; }
  char body[160], frame[200];
  if (*resume_epoch && !v->feeds)
    snprintf(body, sizeof body, "{\"op\":\"join\",\"epoch\":\"%s\",\"since\":%u}", resume_epoch, v->top);
  else snprintf(body, sizeof body, joins == 2 ? "CONNECT {\"verbose\":false}\r\nSUB room 1\r\nPING\r\n" : "{\"op\":\"join\"}");
  say(v->fd, frame, masked(frame, body, strlen(body)));
  v->phase = JOINING;
}

static void drop(struct viewer *v) {
  if (v->phase != IN && v->phase != OFF && !v->feeds) waiting_in--, lost_in++;
  else if (v->phase == IN) gone++;
  close(v->fd);
  v->phase = OFF;
}

/* Servers drop who does not answer. 0x89 is no ASCII, and as a length it is followed by a brace. */
static void answer_ping(struct viewer *v, const char *from, const char *end) {
  const char *p = memchr(from, 0x89, end - from);
  if (!p || end - p < 6 || p[1] != 4) return;
  char pong[10] = {(char)0x8a, (char)0x84};
  memcpy(pong + 6, p + 2, 4);
  say(v->fd, pong, sizeof pong);
}

static void readable(struct viewer *v, uint64_t at) {
  memcpy(buffer, v->carry, v->carry_length);
  ssize_t n = recv(v->fd, buffer + v->carry_length, READ, 0);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) { drop(v); return; }
  char *from = buffer, *end = buffer + v->carry_length + n;
  if (v->phase == SHAKING) {
    char *head_end = memmem(from, end - from, "\r\n\r\n", 4);
    if (!head_end || !memmem(from, 13, " 101", 4)) { drop(v); return; }
    from = head_end + 4;
    join(v);
    if (from == end) return;
  }
  if (v->phase == JOINING) {
    if (joins == 2 && !memmem(from, end - from, "PONG", 4)) return;
    if (joins == 1 && !memmem(from, end - from, "\"joined\"", 8)) { drop(v); return; }
    is_in(v);
  }
  if (v->feeds && feed_kind == POST)
    for (char *p = from; (p = memmem(p, end - p, "\"error\"", 7)); p++) refused++;
  answer_ping(v, buffer + v->carry_length, end);
  scan(v, from, end, at);
}

/* Looks a few thousand times a second instead of being woken: waking a sleeper is work that the kernel charges to who
 * sends, and viewers elsewhere never do it. It blurs the times by LOOK_NS at most. */
static void turn(int wait_ms) {
  struct epoll_event events[512];
  int n = epoll_wait(epoll_fd, events, 512, 0);
  if (!n && wait_ms) {
    nanosleep(&(struct timespec){0, LOOK_NS}, 0);
    n = epoll_wait(epoll_fd, events, 512, 0);
  }
  for (int i = 0; i < n; i++) {
    struct viewer *v = &viewers[events[i].data.u32];
    if (v->phase == OFF) continue;
    if (v->phase == CONNECTING) {
      int failure = 0;
      socklen_t size = sizeof failure;
      getsockopt(v->fd, SOL_SOCKET, SO_ERROR, &failure, &size);
      if (failure) drop(v);
      else ask(v, path, "");
    } else if (stalled && v->small) {
      watch(v, 0, EPOLL_CTL_MOD);
    } else readable(v, now_ns());
  }
}

/* Publishing. */

static void publish(int burst, int size) {
  static char out[1 << 17], body[20000], pad[16384];
  /* Words, as the whole service takes a long run of one letter for a flood. */
  static const char words[] = "and then we looked at bowls cups plates lamps rugs chairs while somebody asked about glaze ";
  if (!*pad) for (size_t i = 0; i < sizeof pad - 1; i++) pad[i] = words[i % (sizeof words - 1)];
  size_t length = 0;
  for (int i = 0; i < burst; i++) {
    uint32_t number = next_number++;
    char mark[STAMP + 1];
    snprintf(mark, sizeof mark, "%c%016llx.%08xZ", MARK, (unsigned long long)now_ns(), number);
    if (feed_kind == POST) { /* the event around the text is some 120 bytes */
      struct viewer *v = &viewers[VIEWERS_MAX + number % feed_count];
      int n = snprintf(body, sizeof body, "{\"op\":\"chat.post\",\"id\":\"m%u\",\"text\":\"%s %.*s\"}", number, mark, size - 150, pad);
      say(v->fd, out, masked(out, body, n));
      continue;
    }
    int n = snprintf(body, sizeof body, "{\"t\":\"chat\",\"id\":\"%012u\",\"by\":{\"id\":\"0123456789ab\",\"name\":\"Guest 12\","
      "\"standing\":\"viewer\"},\"text\":\"%s %.*s\",\"at\":1790000000000}", number, mark, size - 148, pad);
    if (feed_kind == SOCKET) length += masked(out + length, body, n);
    else if (feed_kind == NATS) length += sprintf(out + length, "PUB room %d\r\n%s\r\n", n, body);
    else {
      uint32_t prefix = htonl(n);
      memcpy(out + length, &prefix, 4);
      memcpy(out + length + 4, body, n);
      length += 4 + n;
    }
  }
  if (length) say(feed_kind == RAW || feed_kind == NATS ? raw_fd : viewers[VIEWERS_MAX].fd, out, length);
}

static uint64_t listeners(void) {
  uint64_t n = 0;
  for (int i = 0; i < viewer_count; i++) n += viewers[i].phase == IN && !(stalled && viewers[i].small);
  return n;
}

static void begin(void) {
  memset(latency, 0, sizeof latency);
  delivered = doubled = lost = refused = gone = 0;
  base_number = next_number;
  for (int i = 0; i < viewer_count; i++) viewers[i].first = next_number, viewers[i].distinct = 0;
}

/* Until everything that was sent has come, or nothing comes any more. */
static void settle(uint64_t due) {
  uint64_t known = delivered, quiet_since = now_ns(), began = quiet_since;
  while (delivered < due && now_ns() - began < STUCK_S * 1000000000ull) {
    turn(10);
    if (delivered != known) known = delivered, quiet_since = now_ns();
    if (now_ns() - quiet_since > QUIET_MS * 1000000ull) return;
  }
}

static void report(double seconds) {
  uint32_t sent = next_number - base_number;
  for (int i = 0; i < viewer_count; i++)
    if (!(stalled && viewers[i].small)) lost += sent - viewers[i].distinct;
  printf("{\"sent\":%u,\"delivered\":%llu,\"lost\":%llu,\"doubled\":%llu,\"refused\":%llu,\"gone\":%llu,\"seconds\":%.4f,"
    "\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}\n", sent, (unsigned long long)delivered, (unsigned long long)lost,
    (unsigned long long)doubled, (unsigned long long)refused, (unsigned long long)gone, seconds,
    quantile_ms(latency, .5), quantile_ms(latency, .99), quantile_ms(latency, 1));
}

static void flight(double seconds, int burst, int size) {
  begin();
  uint64_t began = now_ns(), all = listeners();
  while (now_ns() - began < seconds * 1e9 && !gone) {
    publish(burst, size);
    settle((next_number - base_number) * all);
    if (delivered < (next_number - base_number) * all) break;
  }
  report((now_ns() - began) / 1e9);
}

static void pace(double rate, double seconds, int size) {
  begin();
  uint64_t began = now_ns(), all = listeners();
  for (;;) {
    double past = (now_ns() - began) / 1e9;
    if (past >= seconds) break;
    double wait_s = (next_number - base_number) / rate - past;
    if (wait_s <= 0) publish(1, size);
    else turn(wait_s > .001 ? (int)(wait_s * 1000) : 0);
  }
  settle((next_number - base_number) * all);
  report((now_ns() - began) / 1e9);
}

static void bring_in(int from, int to, int at_once, double rate) {
  uint64_t began = now_ns(), sent = 0;
  memset(join_latency, 0, sizeof join_latency);
  came_in = lost_in = waiting_in = 0;
  for (int next = from; (next < to || waiting_in) && now_ns() - began < STUCK_S * 1000000000ull;) {
    while (next < to && waiting_in < at_once) waiting_in++, dial(&viewers[next++], port);
    turn(1);
    if (rate > 0 && sent / rate < (now_ns() - began) / 1e9) publish(1, 200), sent++;
  }
  double seconds = (now_ns() - began) / 1e9;
  printf("{\"in\":%d,\"failed\":%d,\"seconds\":%.4f,\"join_p50_ms\":%.3f,\"join_p99_ms\":%.3f}\n", came_in, lost_in,
    seconds, quantile_ms(join_latency, .5), quantile_ms(join_latency, .99));
}

static void add_viewers(int more, int at_once, int small) {
  int from = viewer_count;
  viewer_count += more;
  for (int i = from; i < viewer_count; i++) viewers[i].top = next_number - 1, viewers[i].first = next_number, viewers[i].small = i - from < small;
  bring_in(from, viewer_count, at_once, 0);
}

static void again(int at_once, double rate, const char *epoch) {
  snprintf(resume_epoch, sizeof resume_epoch, "%s", epoch);
  bring_in(0, viewer_count, at_once, rate);
  settle((uint64_t)(next_number - base_number) * viewer_count);
  report(0);
}

static void open_feed(const char *kind, int feed_port, const char *where, int people) {
  feed_kind = !strcmp(kind, "raw") ? RAW : !strcmp(kind, "nats") ? NATS : !strcmp(kind, "ws") ? SOCKET : POST;
  if (feed_kind == RAW || feed_kind == NATS) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(feed_port)};
    int one = 1;
    inet_pton(AF_INET, host, &to.sin_addr);
    raw_fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(raw_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(raw_fd, (void *)&to, sizeof to)) { perror("feed"); exit(1); }
    const char hello[] = "CONNECT {\"verbose\":false}\r\n";
    if (feed_kind == NATS) say(raw_fd, hello, sizeof hello - 1);
  } else for (feed_count = 0; feed_count < (feed_kind == POST ? people : 1); feed_count++) {
    struct viewer *v = &viewers[VIEWERS_MAX + feed_count];
    int wanted_joins = joins;
    char line[256] = "";
    if (feed_kind == POST && fgets(line, sizeof line, stdin)) line[strcspn(line, "\n")] = 0;
    strcpy(cookies[feed_count], line);
    v->feeds = true;
    dial(v, port);
    struct pollfd ready = {v->fd, POLLOUT, 0};
    poll(&ready, 1, 5000);
    ask(v, where, cookies[feed_count]);
    if (feed_kind == SOCKET) joins = 0;
    for (uint64_t began = now_ns(); v->phase != IN && v->phase != OFF && now_ns() - began < 5000000000ull;) turn(10);
    joins = wanted_joins;
    if (v->phase != IN) { fprintf(stderr, "a feed was refused\n"); exit(1); }
  }
  printf("{}\n");
}

static void stop_reading(bool stop) {
  stalled = stop;
  for (int i = 0; i < viewer_count; i++)
    if (viewers[i].small && viewers[i].phase == IN) watch(&viewers[i], stop ? 0 : EPOLLIN, EPOLL_CTL_MOD);
  if (!stop) { for (int i = 0; i < 50; i++) turn(20); }
  printf("{}\n");
}

static void cut(void) {
  begin();
  for (int i = 0; i < viewer_count; i++) if (viewers[i].phase != OFF) close(viewers[i].fd), viewers[i].phase = OFF;
  printf("{}\n");
}

int main(void) {
  char line[1024], a[64], b[128];
  double x, y;
  int n, m, k;
  bucket_us[0] = 10;
  for (int i = 1; i < BUCKETS; i++) bucket_us[i] = bucket_us[i - 1] * 1.01;
  epoll_fd = epoll_create1(0);
  setvbuf(stdout, NULL, _IOLBF, 0);
  setvbuf(stdin, NULL, _IONBF, 0);
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "server %63s %d %127s %d", host, &port, path, &joins) == 4) printf("{}\n");
    else if (sscanf(line, "feed %63s %d %127s %d", a, &n, b, &m) == 4) open_feed(a, n, b, m);
    else if (sscanf(line, "connect %d %d %d", &n, &m, &k) == 3) add_viewers(n, m, k);
    else if (sscanf(line, "flight %lf %d %d", &x, &n, &m) == 3) flight(x, n, m);
    else if (sscanf(line, "pace %lf %lf %d", &x, &y, &n) == 3) pace(x, y, n);
    else if (sscanf(line, "again %d %lf %63s", &n, &x, a) == 3) again(n, x, a);
    else if (sscanf(line, "number %d", &n) == 1) next_number = n, printf("{}\n");
    else if (!strncmp(line, "cut", 3)) cut();
    else if (!strncmp(line, "stall", 5)) stop_reading(true);
    else if (!strncmp(line, "unstall", 7)) stop_reading(false);
    else { fprintf(stderr, "what? %s", line); return 1; }
  }
  return 0;
}
