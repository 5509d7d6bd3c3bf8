// What a C program does with timers of timerfd_create(2). The first argument names it; "ok" is
// written if it went well.
#include "program.h"
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

static void set(int fd, int flags, long long value, long long interval) {
	struct itimerspec s = {timespec(interval), timespec(value)};
	MUST(timerfd_settime(fd, flags, &s, NULL) == 0);
}

static uint64_t expirations(int fd) {
	uint64_t n = 0;
	MUST(read(fd, &n, sizeof n) == sizeof n);
	return n;
}

static int readable(int fd) {
	struct pollfd p = {fd, POLLIN, 0};
	return poll(&p, 1, 0) == 1;
}

static int created(clockid_t id) {
	int fd = timerfd_create(id, 0);
	MUST(fd >= 0);
	return fd;
}

static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME};

// once: one that expires once does so when its time has come, by every clock, however it is waited for.
static void once(void) {
	for (unsigned i = 0; i < 3; i++)
		for (int way = 0; way < 6; way++) {
			int fd = created(clocks[i]), absolute = way % 2;
			long long began = now(CLOCK_MONOTONIC);
			set(fd, absolute ? TFD_TIMER_ABSTIME : 0, (absolute ? now(clocks[i]) : 0) + 7 * minute, 0);
			MUST(!readable(fd));
			if (way / 2 == 1) {
				struct pollfd p = {fd, POLLIN, 0};
				MUST(poll(&p, 1, -1) == 1);
			} else if (way / 2 == 2) {
				int e = epoll_create1(0);
				struct epoll_event event = {EPOLLIN | EPOLLET, {0}};
				MUST(epoll_ctl(e, EPOLL_CTL_ADD, fd, &event) == 0);
				MUST(epoll_wait(e, &event, 1, -1) == 1);
				close(e);
			}
			MUST(expirations(fd) == 1);
			MUST(now(CLOCK_MONOTONIC) - began == 7 * minute);
			struct itimerspec s;
			MUST(timerfd_gettime(fd, &s) == 0 && s.it_value.tv_sec == 0 && s.it_value.tv_nsec == 0);
			close(fd);
		}
}

// again: one with an interval expires again and again, and counts what was not read.
static void again(void) {
	int fd = created(CLOCK_MONOTONIC);
	long long began = now(CLOCK_MONOTONIC);
	set(fd, 0, minute, 2 * minute);
	for (int i = 0; i < 5; i++) {
		MUST(expirations(fd) == 1);
		MUST(now(CLOCK_MONOTONIC) - began == (1 + 2 * i) * minute);
	}
	struct timespec t = timespec(5 * minute);
	MUST(nanosleep(&t, NULL) == 0);
	MUST(expirations(fd) == 2);
	set(fd, TFD_TIMER_ABSTIME, now(CLOCK_MONOTONIC) - 3 * minute, minute); // long ago
	MUST(expirations(fd) == 4);
	set(fd, 0, 0, 0);
}

// told: what a program is told of a timer is in lab time.
static void told(void) {
	int fd = created(CLOCK_MONOTONIC);
	struct itimerspec s, none = {{0, 0}, {0, 0}}, long_time = {{0, 0}, {3600, 5}};
	MUST(timerfd_gettime(fd, &s) == 0 && s.it_value.tv_sec == 0 && s.it_value.tv_nsec == 0);
	MUST(timerfd_settime(fd, 0, &long_time, &s) == 0 && s.it_value.tv_sec == 0 && s.it_value.tv_nsec == 0);
	MUST(timerfd_gettime(fd, &s) == 0 && s.it_value.tv_sec == 3600 && s.it_value.tv_nsec == 5 && s.it_interval.tv_sec == 0);
	struct timespec t = timespec(10 * minute);
	MUST(nanosleep(&t, NULL) == 0);
	struct itimerspec other = {{7, 8}, {1800, 0}};
	MUST(timerfd_settime(fd, 0, &other, &s) == 0 && s.it_value.tv_sec == 3000 && s.it_value.tv_nsec == 5);
	MUST(timerfd_gettime(fd, &s) == 0 && s.it_value.tv_sec == 1800 && s.it_interval.tv_sec == 7 && s.it_interval.tv_nsec == 8);
	MUST(timerfd_settime(fd, 0, &none, &s) == 0 && s.it_value.tv_sec == 1800 && s.it_interval.tv_sec == 7);
	MUST(timerfd_gettime(fd, &s) == 0 && s.it_value.tv_sec == 0 && s.it_value.tv_nsec == 0);
	t = timespec(60 * minute);
	MUST(nanosleep(&t, NULL) == 0 && !readable(fd));
}

// closed: a timer goes with its file, even if another gets its number; it is inherited.
static void closed(void) {
	int fd = created(CLOCK_MONOTONIC), number = fd;
	set(fd, 0, 5 * minute, 0);
	close(fd);
	fd = created(CLOCK_MONOTONIC);
	MUST(fd == number);
	struct timespec t = timespec(10 * minute);
	MUST(nanosleep(&t, NULL) == 0 && !readable(fd));
	close(fd);
	int p[2];
	MUST(pipe(p) == 0 && p[0] == number);
	MUST(nanosleep(&t, NULL) == 0 && !readable(p[0]));
	fd = created(CLOCK_MONOTONIC);
	long long began = now(CLOCK_MONOTONIC);
	pid_t child = fork();
	if (child == 0) {
		set(fd, 0, 5 * minute, 0);
		MUST(expirations(fd) == 1 && now(CLOCK_MONOTONIC) - began == 5 * minute);
		_exit(0);
	}
	int status;
	MUST(waitpid(child, &status, 0) == child && status == 0);
}

// wrong: what is wrong is refused as by the kernel.
static void wrong(void) {
	struct itimerspec s = {{0, 0}, {1, 0}}, bad = {{0, 0}, {0, 2000000000}};
	int fd = created(CLOCK_MONOTONIC);
	MUST(timerfd_settime(99, 0, &s, NULL) == -1 && errno == EBADF);
	MUST(timerfd_settime(1, 0, &s, NULL) == -1 && errno == EINVAL);
	MUST(timerfd_settime(fd, 64, &s, NULL) == -1 && errno == EINVAL);
	MUST(timerfd_settime(fd, 0, &bad, NULL) == -1 && errno == EINVAL);
	MUST(syscall(SYS_timerfd_settime, fd, 0, 8, NULL) == -1 && errno == EFAULT);
	MUST(syscall(SYS_timerfd_settime, fd, 0, &s, 8) == -1 && errno == EFAULT);
	MUST(timerfd_gettime(99, &s) == -1 && errno == EBADF);
	MUST(timerfd_gettime(1, &s) == -1 && errno == EINVAL);
	MUST(syscall(SYS_timerfd_gettime, fd, 8) == -1 && errno == EFAULT);
}

// running: while time runs.
static void running(void) {
	int fd = created(CLOCK_REALTIME);
	long long began = now(CLOCK_MONOTONIC);
	set(fd, 0, 10 * minute, minute);
	for (int i = 0; i < 5; i++) MUST(expirations(fd) >= 1);
	MUST(now(CLOCK_MONOTONIC) - began >= 14 * minute);
}

int main(int argc, char **argv) {
	MUST(argc > 1);
	const char *act = argv[1];
	if (!strcmp(act, "once")) once();
	else if (!strcmp(act, "again")) again();
	else if (!strcmp(act, "told")) told();
	else if (!strcmp(act, "closed")) closed();
	else if (!strcmp(act, "wrong")) wrong();
	else if (!strcmp(act, "running")) running();
	else return 2;
	say("ok\n");
	return 0;
}
