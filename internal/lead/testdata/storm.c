// storm NAME COUNT RESTART: threads that connect to port 443 of a name while signals with a
// handler rain on them, with SA_RESTART or without; prints what connect(2) says, and what
// should never be.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { threads = 4 };
static struct sockaddr_in to;
static int count, results[256], late, unconnected;
static volatile int signals, ended;
static pthread_t all[threads];
static pthread_barrier_t over;

static void on(int s) { __sync_fetch_and_add(&signals, 1); }

static void *run(void *unused) {
	for (int i = 0; i < count; i++) {
		struct sockaddr_in a = to;
		int fd = socket(AF_INET, SOCK_STREAM | (i & 1 ? SOCK_NONBLOCK : 0), 0);
		int r = connect(fd, (void *)&a, sizeof a) ? errno : 0;
		memset(&a, 0x5a, sizeof a); /* whoever writes late is seen */
		__sync_fetch_and_add(&results[r], 1);
		if (r == EINPROGRESS || r == EINTR) {
			struct pollfd p = {fd, POLLOUT, 0};
			while (poll(&p, 1, 10000) < 0) continue;
			socklen_t n = sizeof r;
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &r, &n);
		}
		struct sockaddr_in peer;
		socklen_t n = sizeof peer;
		/* EINTR before anything was sent: see the package's documentation. */
		if (r || getpeername(fd, (void *)&peer, &n)) __sync_fetch_and_add(&unconnected, 1);
		for (unsigned k = 0; k < sizeof a; k++)
			if (((unsigned char *)&a)[k] != 0x5a) {
				__sync_fetch_and_add(&late, 1);
				break;
			}
		struct linger l = {1, 0};
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
		close(fd);
	}
	__sync_fetch_and_add(&ended, 1);
	pthread_barrier_wait(&over); /* signals may come until here */
	return 0;
}

static void *rain(void *unused) {
	while (ended < threads) {
		for (int i = 0; i < threads; i++) pthread_kill(all[i], SIGUSR1);
		usleep(50);
	}
	pthread_barrier_wait(&over);
	return 0;
}

int main(int argc, char **argv) {
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
	if (argc != 4 || getaddrinfo(argv[1], "443", &hints, &found)) return 1;
	to = *(struct sockaddr_in *)found->ai_addr;
	count = atoi(argv[2]);
	struct sigaction action = {.sa_handler = on, .sa_flags = atoi(argv[3]) ? SA_RESTART : 0};
	sigaction(SIGUSR1, &action, 0);
	pthread_barrier_init(&over, 0, threads + 1);
	pthread_t r;
	for (int i = 0; i < threads; i++) pthread_create(all + i, 0, run, 0);
	pthread_create(&r, 0, rain, 0);
	pthread_join(r, 0);
	for (int i = 0; i < threads; i++) pthread_join(all[i], 0);
	printf("signals %d late %d unconnected %d\n", signals, late, unconnected);
	for (int i = 0; i < 256; i++)
		if (results[i]) printf("%s %d\n", i ? strerrorname_np(i) : "ok", results[i]);
	return 0;
}
