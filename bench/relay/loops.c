/* The two inner loops of the relay's bench that must not be Python's: drain() reads what all viewers are sent and
   counts it by sequence number; fan() is the limit that the relay is held against: one packet in, the same packet to
   every viewer under its own key, 64 to a system call. Built as a library and called through ctypes.

   Owns no keys and no sockets: both come from its caller. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { STREAMS = 4, WINDOW = 8192, BATCH = 64, BYTES = 2048 };

struct stream {
    uint32_t ssrc;
    uint32_t used;
    int64_t first, highest;
    uint64_t packets, doubled;
    uint8_t seen[WINDOW / 8];
};

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void count(struct stream *streams, const uint8_t *packet) {
    uint32_t ssrc;
    uint16_t sequence;
    memcpy(&ssrc, packet + 8, 4);
    memcpy(&sequence, packet + 2, 2);
    sequence = ntohs(sequence);
    struct stream *one = streams;
    while (one < streams + STREAMS && one->used && one->ssrc != ssrc) one++;
    if (one == streams + STREAMS) return;
    if (!one->used) {
        one->used = 1;
        one->ssrc = ssrc;
        one->first = one->highest = sequence;
    }
    int64_t place = one->highest + (int16_t)(sequence - (uint16_t)one->highest);
    for (int64_t at = one->highest + 1; at <= place; at++) one->seen[at % WINDOW / 8] &= ~(1 << at % 8);
    if (place > one->highest) one->highest = place;
    if (place < one->first) one->first = place;
    uint8_t *byte = &one->seen[(uint64_t)place % WINDOW / 8];
    if (*byte & 1 << place % 8) one->doubled++;
    *byte |= 1 << place % 8;
    one->packets++;
}

/* Reads `n` sockets in turns for `seconds`, pausing between two turns so that nobody has to wake it; totals are
   datagrams of media, their bytes, datagrams of RTCP, and when (monotonic, in us) the last one of media was read. */
void drain(const int *fds, int n, double seconds, int pause_us, struct stream *streams, uint64_t *totals) {
    static uint8_t buffers[BATCH][BYTES];
    struct iovec parts[BATCH];
    struct mmsghdr messages[BATCH];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){buffers[i], BYTES};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    double end = now_s() + seconds;
    while (now_s() < end) {
        uint64_t before = totals[0];
        for (int i = 0; i < n; i++) {
            int got;
            while ((got = recvmmsg(fds[i], messages, BATCH, MSG_DONTWAIT, NULL)) > 0) {
                for (int k = 0; k < got; k++) {
                    const uint8_t *packet = buffers[k];
                    if (messages[k].msg_len < 12 || packet[0] < 128 || packet[0] > 191) continue;
                    if (packet[1] >= 192 && packet[1] < 224) {
                        totals[2]++;
                        continue;
                    }
                    totals[0]++;
                    totals[1] += messages[k].msg_len;
                    count(streams + (size_t)i * STREAMS, packet);
                }
                if (got < BATCH) break;
            }
        }
        if (totals[0] != before) totals[3] = (uint64_t)(now_s() * 1e6);
        usleep(pause_us);
    }
}

/* Until *stop: every datagram of `in` to `n` viewers by `out`. `protect` is libsrtp's srtp_protect. */
void fan(int in, int out, int n, const struct sockaddr_in *to, void **keys, int (*protect)(void *, void *, int *),
         volatile int *stop, uint64_t *sent) {
    static uint8_t buffers[BATCH][BYTES];
    static uint8_t packet[BYTES];
    struct iovec parts[BATCH];
    struct mmsghdr messages[BATCH];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < BATCH; i++) {
        parts[i].iov_base = buffers[i];
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_namelen = sizeof *to;
    }
    struct pollfd readable = {.fd = in, .events = POLLIN};
    while (!*stop) {
        if (poll(&readable, 1, 100) <= 0) continue;
        ssize_t size;
        while ((size = recv(in, packet, BYTES, MSG_DONTWAIT)) > 0) {
            for (int from = 0; from < n; from += BATCH) {
                int many = n - from < BATCH ? n - from : BATCH;
                for (int i = 0; i < many; i++) {
                    int length = (int)size;
                    memcpy(buffers[i], packet, size);
                    if (protect(keys[from + i], buffers[i], &length)) length = 0;
                    parts[i].iov_len = length;
                    messages[i].msg_hdr.msg_name = (void *)&to[from + i];
                }
                for (int done = 0; done < many;) {
                    int now = sendmmsg(out, messages + done, many - done, 0);
                    if (now < 0 && errno != EAGAIN && errno != EINTR) return;
                    if (now > 0) done += now, *sent += now;
                }
            }
        }
    }
}
