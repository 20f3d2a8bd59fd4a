/* One HTTP/1.1 client in C, so that it costs little beside the server: one thread, epoll, keep-alive
 * connections, each with one request under way.
 *
 *   load HOST PORT CONNECTIONS SECONDS REQUEST-FILE [RATE]
 *
 * Sends the file's bytes again and again and reads the answers by their Content-Length, or in chunks
 * up to the last one. With RATE, so many a second are sent, each at its own time, as far as there are
 * connections, and at the end all answers are waited for; without it, each connection asks again as
 * soon as it is answered.
 * Prints one line of JSON: answers, those that were not 200, those of them that were 429 or 503 with
 * Retry-After, and of both kinds latencies in microseconds, in RATE's case from when they were due. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (1 << 20)
#define MOST_LATENCIES (1 << 24)
#define LONGEST_WAIT_NS 10000000000LL

struct connection {
  int fd;
  long long begun;
  size_t sent, filled;
  char *buffer;
};

struct outcome {
  size_t count;
  unsigned *latencies;
};

static char *request;
static size_t request_size, failures;
static struct outcome good, refused;
static struct connection **idle; /* a ring: who rests longest is taken first */
static size_t idle_first, idle_count, connections;
static double rate;

static void die(const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
  exit(1);
}

static long long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void read_request(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) die(path);
  request = malloc(64 << 20);
  request_size = fread(request, 1, 64 << 20, file);
  fclose(file);
}

static void send_more(struct connection *c) {
  while (c->sent < request_size) {
    ssize_t n = send(c->fd, request + c->sent, request_size - c->sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) die("send");
    c->sent += n;
  }
}

static void begin(struct connection *c, long long due) {
  c->begun = due;
  c->sent = c->filled = 0;
  send_more(c);
}

/* The size of the whole answer, or 0 while that is not known. */
static size_t answer_size(struct connection *c) {
  c->buffer[c->filled] = 0;
  char *end = strstr(c->buffer, "\r\n\r\n");
  if (!end) return 0;
  char *length = strcasestr(c->buffer, "\r\ncontent-length:");
  if (!length || length > end) {
    int ended = c->filled > 7 && !memcmp(c->buffer + c->filled - 7, "\r\n0\r\n\r\n", 7);
    return ended ? c->filled : 0;
  }
  return (size_t)(end + 4 - c->buffer) + strtoul(length + 17, NULL, 10);
}

static void count(struct outcome *outcome, long long begun) {
  if (outcome->count < MOST_LATENCIES) outcome->latencies[outcome->count] = (now_ns() - begun) / 1000;
  outcome->count++;
}

static void judge(struct connection *c) {
  int is_refusal = !memcmp(c->buffer + 9, "429", 3) || !memcmp(c->buffer + 9, "503", 3);
  if (!memcmp(c->buffer + 9, "200", 3)) count(&good, c->begun);
  else if (rate && is_refusal && strcasestr(c->buffer, "\r\nretry-after:")) count(&refused, c->begun);
  else if (!failures++) fprintf(stderr, "%.*s\n", (int)c->filled, c->buffer);
}

static void rest(struct connection *c) {
  idle[(idle_first + idle_count++) % connections] = c;
}

static struct connection *wake(void) {
  struct connection *c = idle[idle_first];
  idle_first = (idle_first + 1) % connections;
  idle_count--;
  return c;
}

static void receive(struct connection *c) {
  for (;;) {
    ssize_t n = recv(c->fd, c->buffer + c->filled, BUFFER - 1 - c->filled, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) die("the server closed a connection");
    c->filled += n;
    size_t whole = answer_size(c);
    if (!whole || c->filled < whole) continue;
    judge(c);
    if (rate) rest(c);
    else begin(c, now_ns());
    return;
  }
}

static int by_value(const void *a, const void *b) {
  unsigned x = *(unsigned *)a, y = *(unsigned *)b;
  return (x > y) - (x < y);
}

static void report_outcome(const char *name, struct outcome *outcome) {
  size_t n = outcome->count < MOST_LATENCIES ? outcome->count : MOST_LATENCIES;
  qsort(outcome->latencies, n, sizeof *outcome->latencies, by_value);
  unsigned p50 = n ? outcome->latencies[n / 2] : 0, p99 = n ? outcome->latencies[n * 99 / 100] : 0;
  unsigned longest = n ? outcome->latencies[n - 1] : 0;
  printf("\"%s\": {\"count\": %zu, \"p50_us\": %u, \"p99_us\": %u, \"longest_us\": %u}, ", name,
         outcome->count, p50, p99, longest);
}

static void report(double seconds) {
  printf("{");
  report_outcome("good", &good);
  report_outcome("refused", &refused);
  printf("\"failures\": %zu, \"seconds\": %.6f}\n", failures, seconds);
}

/* What is due by now, on connections that are idle; a request keeps its time while it waits for one. */
static void send_due(long long start) {
  static size_t sent;
  while (idle_count && sent < (now_ns() - start) / 1e9 * rate)
    begin(wake(), start + (long long)(sent++ / rate * 1e9));
}

static void follow(int events, int timeout_ms) {
  struct epoll_event ready[64];
  int n = epoll_wait(events, ready, 64, timeout_ms);
  for (int i = 0; i < n; i++) {
    struct connection *c = ready[i].data.ptr;
    if (c->begun && c->sent < request_size) send_more(c);
    if (ready[i].events & EPOLLIN) receive(c);
    else if (ready[i].events & (EPOLLERR | EPOLLHUP)) die("connection");
  }
}

int main(int argc, char **argv) {
  if (argc != 6 && argc != 7) die("usage: load HOST PORT CONNECTIONS SECONDS REQUEST-FILE [RATE]");
  connections = atoi(argv[3]);
  int events = epoll_create1(0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
  inet_pton(AF_INET, argv[1], &address.sin_addr);
  read_request(argv[5]);
  rate = argc == 7 ? atof(argv[6]) : 0;
  good.latencies = malloc(MOST_LATENCIES * sizeof *good.latencies);
  refused.latencies = malloc(MOST_LATENCIES * sizeof *refused.latencies);
  idle = malloc(connections * sizeof *idle);
  struct connection *all = calloc(connections, sizeof *all);
  for (size_t i = 0; i < connections; i++) {
    struct connection *c = all + i;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    c->buffer = malloc(BUFFER);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) die("connect");
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event interest = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    epoll_ctl(events, EPOLL_CTL_ADD, c->fd, &interest);
  }
  long long start = now_ns(), until = start + (long long)(atof(argv[4]) * 1e9);
  for (size_t i = 0; i < connections; i++) {
    if (rate) rest(all + i);
    else begin(all + i, start);
  }
  while (now_ns() < until) {
    if (rate) send_due(start);
    follow(events, rate ? 1 : 100);
  }
  until += LONGEST_WAIT_NS;
  while (rate && idle_count < connections && now_ns() < until) follow(events, 100);
  if (rate && idle_count < connections) {
    errno = ETIMEDOUT;
    die("not all was answered");
  }
  report((now_ns() - start) / 1e9);
  return 0;
}
