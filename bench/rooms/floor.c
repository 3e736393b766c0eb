/* The floor of the rooms' benchmark: a WebSocket server that does nothing but one send() per viewer and message.
 *
 * Viewers on PORT, length-prefixed messages on PORT + 1. The generator's key is always the same one, and so is the
 * answer to it. What viewers say after the handshake is read and dropped.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { VIEWERS_MAX = 20000, FEED_BYTES = 1 << 20 };
static const char ANSWER[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
static int viewers[VIEWERS_MAX], viewer_count, epoll_fd;
static uint8_t shaken[65536];
static char feed[FEED_BYTES];
static size_t feed_length;

static int listen_on(int port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f000001)};
  int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (void *)&at, sizeof at) || listen(fd, 4096)) { perror("listen"); exit(1); }
  return fd;
}

static void watch(int fd) {
  struct epoll_event e = {EPOLLIN, {.fd = fd}};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
}

static void give(int fd, const char *bytes, size_t length) {
  while (length) {
    ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) { struct pollfd w = {fd, POLLOUT, 0}; poll(&w, 1, 1000); continue; }
    if (n <= 0) return;
    bytes += n, length -= n;
  }
}

static void fan_out(const char *body, size_t length) {
  static char frame[FEED_BYTES + 4];
  size_t head = length < 126 ? 2 : 4;
  frame[0] = (char)0x81;
  if (head == 2) frame[1] = length;
  else frame[1] = 126, frame[2] = length >> 8, frame[3] = length & 255;
  memcpy(frame + head, body, length);
  for (int i = 0; i < viewer_count; i++) give(viewers[i], frame, head + length);
}

static void read_feed(int fd) {
  ssize_t n = read(fd, feed + feed_length, sizeof feed - feed_length);
  if (n <= 0) exit(0);
  feed_length += n;
  size_t at = 0;
  uint32_t length;
  for (; feed_length - at >= 4; at += 4 + length) {
    memcpy(&length, feed + at, 4);
    length = ntohl(length);
    if (feed_length - at < 4 + length) break;
    fan_out(feed + at + 4, length);
  }
  memmove(feed, feed + at, feed_length -= at);
}

int main(int argc, char **argv) {
  int port = argc > 1 ? atoi(argv[1]) : 0, door = listen_on(port), feed_door = listen_on(port + 1), feed_fd = -1;
  static char request[65536];
  struct epoll_event events[512];
  epoll_fd = epoll_create1(0);
  watch(door), watch(feed_door);
  for (;;) {
    int n = epoll_wait(epoll_fd, events, 512, -1);
    for (int i = 0; i < n; i++) {
      int fd = events[i].data.fd, one = 1;
      if (fd == door || fd == feed_door) {
        int fresh = accept(fd, 0, 0);
        setsockopt(fresh, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (fd == feed_door) feed_fd = fresh;
        watch(fresh);
      } else if (fd == feed_fd) read_feed(fd);
      else if (read(fd, request, sizeof request) <= 0) close(fd);
      else if (!shaken[fd]) shaken[fd] = 1, viewers[viewer_count++] = fd, give(fd, ANSWER, sizeof ANSWER - 1);
    }
  }
}
