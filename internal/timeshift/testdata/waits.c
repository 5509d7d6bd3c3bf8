// Every way in which a C program waits for some time, each in a thread of its own:
// wait number i is over i+1 minutes after the first. When it is over, its name and
// the time are written, as the wall clock and the monotonic clock say it.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static long first; // seconds that the first wait takes
static int pipes[2];

static struct timespec after(clockid_t id, long s) {
	struct timespec t;
	if (clock_gettime(id, &t)) abort();
	t.tv_sec += s;
	return t;
}

#define EXPECT(what) ((what) ? 0 : (fprintf(stderr, "%s: %s: %s\n", __func__, #what, strerror(errno)), 1))

static int w_sleep(long s) { return EXPECT(sleep(s) == 0); }
static int w_nanosleep(long s) {
	struct timespec t = {s, 0};
	return EXPECT(nanosleep(&t, NULL) == 0);
}
static int w_clock_nanosleep(long s) {
	struct timespec t = {s, 0};
	return EXPECT(clock_nanosleep(CLOCK_REALTIME, 0, &t, NULL) == 0);
}
static int w_clock_nanosleep_monotonic_abs(long s) {
	struct timespec t = after(CLOCK_MONOTONIC, s);
	return EXPECT(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == 0);
}
static int w_clock_nanosleep_realtime_abs(long s) {
	struct timespec t = after(CLOCK_REALTIME, s);
	return EXPECT(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL) == 0);
}
static int w_clock_nanosleep_boottime_abs(long s) {
	struct timespec t = after(CLOCK_BOOTTIME, s);
	return EXPECT(clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &t, NULL) == 0);
}
static int w_cond_timedwait(long s) {
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t c = PTHREAD_COND_INITIALIZER;
	struct timespec t = after(CLOCK_REALTIME, s);
	pthread_mutex_lock(&m);
	return EXPECT(pthread_cond_timedwait(&c, &m, &t) == ETIMEDOUT);
}
static int w_cond_timedwait_monotonic(long s) {
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t c;
	pthread_condattr_t a;
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&c, &a);
	struct timespec t = after(CLOCK_MONOTONIC, s);
	pthread_mutex_lock(&m);
	return EXPECT(pthread_cond_timedwait(&c, &m, &t) == ETIMEDOUT);
}
static int w_mutex_timedlock(long s) {
	static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_lock(&m);
	struct timespec t = after(CLOCK_REALTIME, s);
	return EXPECT(pthread_mutex_timedlock(&m, &t) == ETIMEDOUT);
}
static int w_sem_timedwait(long s) {
	sem_t m;
	sem_init(&m, 0, 0);
	struct timespec t = after(CLOCK_REALTIME, s);
	return EXPECT(sem_timedwait(&m, &t) == -1 && errno == ETIMEDOUT);
}
static int w_futex_wait(long s) {
	int word = 1;
	struct timespec t = {s, 0};
	return EXPECT(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, &t, NULL, 0) == -1 && errno == ETIMEDOUT);
}
static int w_poll(long s) {
	struct pollfd f = {pipes[0], POLLIN, 0};
	return EXPECT(poll(&f, 1, s * 1000) == 0);
}
static int w_poll_nothing(long s) { return EXPECT(poll(NULL, 0, s * 1000) == 0); }
static int w_ppoll(long s) {
	struct pollfd f = {pipes[0], POLLIN, 0};
	struct timespec t = {s, 0};
	return EXPECT(ppoll(&f, 1, &t, NULL) == 0);
}
static int w_select(long s) {
	fd_set r, w;
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(pipes[0], &r);
	struct timeval t = {s, 0};
	return EXPECT(select(pipes[0] + 1, &r, &w, NULL, &t) == 0) + EXPECT(!FD_ISSET(pipes[0], &r));
}
static int w_pselect(long s) {
	fd_set r;
	FD_ZERO(&r);
	FD_SET(pipes[0], &r);
	struct timespec t = {s, 0};
	return EXPECT(pselect(pipes[0] + 1, &r, NULL, NULL, &t, NULL) == 0) + EXPECT(!FD_ISSET(pipes[0], &r));
}
static int epoll_of_pipe(void) {
	int e = epoll_create1(0);
	struct epoll_event v = {EPOLLIN, {0}};
	epoll_ctl(e, EPOLL_CTL_ADD, pipes[0], &v);
	return e;
}
static int w_epoll_wait(long s) {
	struct epoll_event v;
	return EXPECT(epoll_wait(epoll_of_pipe(), &v, 1, s * 1000) == 0);
}
static int w_epoll_pwait(long s) {
	struct epoll_event v;
	sigset_t none;
	sigemptyset(&none);
	return EXPECT(epoll_pwait(epoll_of_pipe(), &v, 1, s * 1000, &none) == 0);
}
#ifdef SYS_epoll_pwait2
static int w_epoll_pwait2(long s) {
	struct epoll_event v;
	struct timespec t = {s, 0};
	return EXPECT(syscall(SYS_epoll_pwait2, epoll_of_pipe(), &v, 1, &t, NULL, 0) == 0);
}
#endif
static int w_sigtimedwait(long s) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	struct timespec t = {s, 0};
	return EXPECT(sigtimedwait(&set, NULL, &t) == -1 && errno == EAGAIN);
}
static int w_semtimedop(long s) {
	int id = semget(IPC_PRIVATE, 1, 0600);
	struct sembuf op = {0, -1, 0};
	struct timespec t = {s, 0};
	int bad = EXPECT(semtimedop(id, &op, 1, &t) == -1 && errno == EAGAIN);
	semctl(id, 0, IPC_RMID);
	return bad;
}
static int w_thrd_sleep(long s) {
	struct timespec t = {s, 0};
	return EXPECT(thrd_sleep(&t, NULL) == 0);
}

static struct { const char *name; int (*wait)(long); } waits[] = {
#define W(name) {#name, w_##name}
	W(sleep), W(nanosleep), W(clock_nanosleep), W(clock_nanosleep_monotonic_abs), W(clock_nanosleep_realtime_abs),
	W(clock_nanosleep_boottime_abs), W(cond_timedwait), W(cond_timedwait_monotonic), W(mutex_timedlock), W(sem_timedwait),
	W(futex_wait), W(poll), W(poll_nothing), W(ppoll), W(select), W(pselect), W(epoll_wait), W(epoll_pwait),
#ifdef SYS_epoll_pwait2
	W(epoll_pwait2),
#endif
	W(sigtimedwait), W(semtimedop), W(thrd_sleep),
};
enum { N = sizeof waits / sizeof waits[0] };

static void *run(void *arg) {
	long i = (long)arg;
	if (waits[i].wait(first + 60 * i)) exit(1);
	struct timespec wall, mono;
	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	char line[200];
	int n = snprintf(line, sizeof line, "%s %ld.%09ld %ld.%09ld\n", waits[i].name, wall.tv_sec, wall.tv_nsec, mono.tv_sec, mono.tv_nsec);
	if (write(1, line, n) != n) exit(1);
	return NULL;
}

int main(int argc, char **argv) {
	first = atol(argv[1]);
	if (pipe(pipes)) return 1;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	struct timespec mono;
	clock_gettime(CLOCK_MONOTONIC, &mono);
	printf("begin %ld %ld.%09ld\n", (long)time(NULL), mono.tv_sec, mono.tv_nsec);
	fflush(stdout);
	pthread_t threads[N];
	for (long i = 0; i < N; i++)
		if (pthread_create(&threads[i], NULL, run, (void *)i)) return 1;
	for (int i = 0; i < N; i++) pthread_join(threads[i], NULL);
	return 0;
}
