// What a C program does that is hard for whoever answers its questions about time.
// The first argument names it; "ok" is written where it went well.
#include "program.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

extern char **environ;

static atomic_int signals;
static void handler(int s) { (void)s; signals++; now(CLOCK_MONOTONIC); }

static void handle(int signal, int flags) {
	struct sigaction a = {.sa_handler = handler, .sa_flags = flags};
	MUST(sigaction(signal, &a, NULL) == 0);
}

// storm: a signal every fraction of a millisecond, with a handler that is not
// restarted after, while the time is asked for.
static void storm(void) {
	handle(SIGALRM, 0);
	pid_t self = getpid(), sender = fork();
	if (sender == 0)
		while (kill(self, SIGALRM) == 0) usleep(300);
	long long last = 0;
	while (signals < 1000) {
		struct timeval tv = {-1, -1};
		struct timezone tz = {-1, -1};
		time_t t = -1;
		long long wall = now(CLOCK_REALTIME);
		MUST(gettimeofday(&tv, &tz) == 0 && tv.tv_sec > 0 && tv.tv_usec >= 0 && tz.tz_minuteswest == 0);
		MUST(syscall(SYS_gettimeofday, NULL, &tz) == 0);
		MUST(time(&t) > 0 && t > 0);
		MUST(wall >= last && tv.tv_sec >= wall / 1000000000 && t >= tv.tv_sec);
		last = wall;
	}
	MUST(kill(sender, SIGKILL) == 0);
	say("ok\n");
}

// interrupts: waits that a signal interrupts say so, and how much is left of them.
static pthread_t first;
static void *interrupter(void *arg) {
	atomic_int *done = arg;
	while (!*done) {
		usleep(2000);
		pthread_kill(first, SIGUSR1);
	}
	return NULL;
}
static void interrupts(int flags) {
	handle(SIGUSR1, flags);
	first = pthread_self();
	atomic_int done = 0;
	pthread_t t;
	MUST(pthread_create(&t, NULL, interrupter, &done) == 0);
	struct timespec hour = {3600, 0};
	for (int i = 0; i < 20; i++) {
		struct timespec left = {-1, -1};
		MUST(nanosleep(&hour, &left) == -1 && errno == EINTR && left.tv_sec >= 3500 && left.tv_sec <= 3600);
		left.tv_sec = -1;
		MUST(clock_nanosleep(CLOCK_MONOTONIC, 0, &hour, &left) == EINTR && left.tv_sec >= 3500 && left.tv_sec <= 3600);
		struct timespec at;
		MUST(clock_gettime(CLOCK_MONOTONIC, &at) == 0);
		at.tv_sec += 3600;
		MUST(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR);
		MUST(clock_gettime(CLOCK_REALTIME, &at) == 0);
		at.tv_sec += 3600;
		MUST(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL) == EINTR);
		MUST(poll(NULL, 0, 3600000) == -1 && errno == EINTR);
		struct timeval tv = {3600, 0};
		MUST(select(0, NULL, NULL, NULL, &tv) == -1 && errno == EINTR);
		struct epoll_event e;
		int fd = epoll_create1(0);
		MUST(epoll_wait(fd, &e, 1, 3600000) == -1 && errno == EINTR);
		close(fd);
	}
	done = 1;
	pthread_join(t, NULL);
	say("ok\n");
}

// remainders: whoever sleeps on after a signal sleeps no longer than it meant to.
static void *once(void *arg) {
	(void)arg;
	struct timespec t = {20 * 60, 0};
	MUST(nanosleep(&t, NULL) == 0);
	pthread_kill(first, SIGUSR1);
	return NULL;
}
static void remainders(void) {
	first = pthread_self();
	for (int way = 0; way < 4; way++) {
		handle(SIGUSR1, way % 2 ? SA_RESTART : 0);
		long long began = now(CLOCK_MONOTONIC);
		pthread_t t;
		MUST(pthread_create(&t, NULL, once, NULL) == 0);
		struct timespec left = {3600, 0};
		long failed = way < 2 ? syscall(SYS_nanosleep, &left, &left) : syscall(SYS_clock_nanosleep, CLOCK_REALTIME, 0, &left, &left);
		MUST(failed && errno == EINTR);
		MUST(now(CLOCK_MONOTONIC) - began == 1200000000000LL);
		MUST(left.tv_sec == 2400 && left.tv_nsec == 0);
		MUST(nanosleep(&left, NULL) == 0);
		MUST(now(CLOCK_MONOTONIC) - began == 3600000000000LL);
		pthread_join(t, NULL);
	}
	say("ok\n");
}

// patience: a wait without end is not ended although one with an end was begun
// before, and ended otherwise.
static void patience(void) {
	int p[2];
	MUST(pipe(p) == 0);
	int fd = epoll_create1(0);
	struct epoll_event e = {EPOLLIN, {0}};
	MUST(epoll_ctl(fd, EPOLL_CTL_ADD, p[0], &e) == 0);
	char c;
	for (int way = 0; way < 3; way++) {
		MUST(write(p[1], "x", 1) == 1);
		struct pollfd f = {p[0], POLLIN, 0};
		fd_set r;
		FD_ZERO(&r);
		FD_SET(p[0], &r);
		struct timeval tv = {60, 0};
		switch (way) {
		case 0: MUST(epoll_wait(fd, &e, 1, 60000) == 1); break;
		case 1: MUST(poll(&f, 1, 60000) == 1); break;
		case 2: MUST(select(p[0] + 1, &r, NULL, NULL, &tv) == 1); break;
		}
		MUST(read(p[0], &c, 1) == 1);
		if (fork() == 0) { // writes after two minutes
			struct timespec t = {120, 0};
			MUST(nanosleep(&t, NULL) == 0);
			MUST(write(p[1], "x", 1) == 1);
			exit(0);
		}
		long long began = now(CLOCK_MONOTONIC);
		switch (way) {
		case 0: MUST(epoll_wait(fd, &e, 1, -1) == 1); break;
		case 1: MUST(poll(&f, 1, -1) == 1); break;
		case 2: MUST(select(p[0] + 1, &r, NULL, NULL, NULL) == 1); break;
		}
		MUST(now(CLOCK_MONOTONIC) - began == 120000000000LL);
		MUST(read(p[0], &c, 1) == 1);
		MUST(wait(NULL) > 0);
	}
	say("ok\n");
}

// forwards: no clock goes backwards in any thread, nor from one thread to another.
static atomic_llong seen[12];
static atomic_int stop, looks;
static void *look(void *arg) {
	static const clockid_t ids[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_TAI};
	(void)arg;
	while (!stop)
		for (unsigned i = 0; i < sizeof ids / sizeof ids[0]; i++) {
			long long before = seen[ids[i]], is = now(ids[i]);
			if (is < before) {
				fprintf(stderr, "clock %d: %lld after %lld\n", ids[i], is, before);
				exit(1);
			}
			while (before < is && !atomic_compare_exchange_weak(&seen[ids[i]], &before, is)) continue;
			if (++looks == 3000) say("enough\n");
		}
	return NULL;
}
static void forwards(void) {
	pthread_t t[4];
	for (int i = 0; i < 4; i++) MUST(pthread_create(&t[i], NULL, look, NULL) == 0);
	say("begin\n");
	char c;
	MUST(read(0, &c, 1) >= 0);
	stop = 1;
	for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
	say("ok\n");
}

// churn: threads that come, ask for the time, wait a moment and go.
static void *brief(void *arg) {
	*(long long *)arg = now(CLOCK_REALTIME);
	return NULL;
}
static void churn(void) {
	long long start = now(CLOCK_REALTIME);
	for (int i = 0; i < 300; i++) {
		pthread_t t[10];
		long long at[10] = {0};
		for (int j = 0; j < 10; j++) MUST(pthread_create(&t[j], NULL, brief, &at[j]) == 0);
		for (int j = 0; j < 10; j++) {
			pthread_join(t[j], NULL);
			MUST(at[j] == start);
		}
	}
	say("ok\n");
}

// leaderless: the first thread ends, the others go on.
static void *later(void *arg) {
	(void)arg;
	char name[40];
	snprintf(name, sizeof name, "/proc/self/task/%d/stat", getpid());
	for (char text[300] = ""; !strstr(text, ") Z");) { // until it has ended
		FILE *f = fopen(name, "r");
		MUST(f && fgets(text, sizeof text, f));
		fclose(f);
		usleep(100);
	}
	say("begin\n");
	long long began = now(CLOCK_REALTIME);
	MUST(sleep(60) == 0);
	MUST(now(CLOCK_REALTIME) - began == 60000000000LL);
	say("ok\n");
	exit(0);
}

// families: processes made in every way, several deep, live on the clock.
static void child(void) {
	MUST(now(CLOCK_REALTIME) == atoll(getenv("NOW")));
	_exit(7);
}
static void *in_a_thread(void *arg) {
	execv("/proc/self/exe", arg);
	return NULL;
}
static void families(char *self) {
	char text[40], *args[] = {self, "child", NULL};
	snprintf(text, sizeof text, "%lld", now(CLOCK_REALTIME));
	setenv("NOW", text, 1);
	for (int way = 0; way < 6; way++) {
		pid_t pid = -1;
		switch (way) {
		case 0: if ((pid = fork()) == 0) child(); break;
		case 1: if ((pid = fork()) == 0) execv("/proc/self/exe", args); break;
		case 2: if ((pid = vfork()) == 0) { execv("/proc/self/exe", args); _exit(1); } break;
		case 3: MUST(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, args, environ) == 0); break;
		case 4: // executed by another thread than the first
			if ((pid = fork()) == 0) {
				pthread_t t;
				MUST(pthread_create(&t, NULL, in_a_thread, args) == 0);
				pause();
			}
			break;
		case 5: // a grandchild, whose end its parent passes on
			if ((pid = fork()) == 0) {
				pid_t grandchild = fork();
				if (grandchild == 0) child();
				int status;
				MUST(waitpid(grandchild, &status, 0) == grandchild);
				_exit(WEXITSTATUS(status));
			}
			break;
		}
		int status;
		MUST(waitpid(pid, &status, 0) == pid);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 7) {
			fprintf(stderr, "way %d: status %x\n", way, status);
			exit(1);
		}
	}
	MUST(execve("/no/such/program", args, environ) == -1 && errno == ENOENT);
	MUST(now(CLOCK_REALTIME) == atoll(text)); // one that failed changes nothing
	say("ok\n");
}

// faults: pointers that lead nowhere are refused as the kernel does.
static void faults(void) {
	MUST(syscall(SYS_clock_gettime, CLOCK_REALTIME, 8) == -1 && errno == EFAULT);
	MUST(syscall(SYS_gettimeofday, 8, NULL) == -1 && errno == EFAULT);
	MUST(syscall(SYS_clock_gettime, 99, 8) == -1 && errno == EINVAL);
	struct timespec bad = {0, 2000000000};
	MUST(nanosleep(&bad, NULL) == -1 && errno == EINVAL);
	MUST(nanosleep((void *)8, NULL) == -1 && errno == EFAULT);
	MUST(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &bad, NULL) == EINVAL);
	MUST(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, (void *)8, NULL) == EFAULT);
	struct timespec zero = {0, 0}, left = {5, 5};
	MUST(nanosleep(&zero, &left) == 0);
	MUST(poll(NULL, 0, 0) == 0);
	struct timespec cpu;
	MUST(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0 && cpu.tv_sec < 60); // is not shifted
	say("ok\n");
}

// standstill: while lab time stands, a wait is not over, although the kernel's clock
// goes on: it is a signal that ends it, and nothing has been waited for.
static void standstill(void) {
	handle(SIGALRM, SA_RESTART);
	pid_t self = getpid();
	struct timespec nap = {0, 150000000}, left;
	struct timeval tv;
	struct epoll_event e;
	int word = 1, fd = epoll_create1(0);
	sigset_t none;
	sigemptyset(&none);
	sigaddset(&none, SIGUSR2);
	for (int way = 0; way < 9; way++) {
		pid_t sender = fork();
		if (sender == 0) {
			asleep(self);
			for (int i = 0; i < 4; i++) usleep(50000); // so short waits are the kernel's to end
			kill(self, SIGALRM);
			_exit(0);
		}
		left = nap;
		errno = 0;
		switch (way) {
		case 0: MUST(nanosleep(&nap, &left) == -1); break;
		case 1: MUST((errno = clock_nanosleep(CLOCK_REALTIME, 0, &nap, &left)) != 0); break;
		case 2: MUST(poll(NULL, 0, 150) == -1); break;
		case 3: MUST(syscall(SYS_ppoll, NULL, 0, &left, NULL, 0) == -1); break;
		case 4: tv.tv_sec = 0; tv.tv_usec = 150000; MUST(select(0, NULL, NULL, NULL, &tv) == -1); MUST(tv.tv_sec == 0 && tv.tv_usec == 150000); break;
		case 5: MUST(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &left, NULL) == -1); break;
		case 6: MUST(epoll_wait(fd, &e, 1, 150) == -1); break;
		case 7: MUST(sigtimedwait(&none, NULL, &nap) == -1); break;
		case 8: MUST(syscall(SYS_futex, &word, 0, 1, &nap, NULL, 0) == -1); break;
		}
		MUST(errno == EINTR && signals == way + 1);
		MUST(left.tv_sec == 0 && left.tv_nsec == 150000000);
		while (waitpid(sender, NULL, 0) == -1) MUST(errno == EINTR);
	}
	say("ok\n");
}

// poller: looks every millisecond, in some way, whether half an hour is over.
static void poller(const char *way) {
	int word = 1, fd = epoll_create1(0);
	struct epoll_event e;
	struct timespec t = {0, 1000000};
	struct timeval tv = {0, 1000};
	long long began = now(CLOCK_MONOTONIC);
	say("begin\n");
	while (now(CLOCK_MONOTONIC) < began + 1800000000000LL) {
		if (!strcmp(way, "usleep")) usleep(1000);
		else if (!strcmp(way, "epoll_wait")) epoll_wait(fd, &e, 1, 1);
		else if (!strcmp(way, "poll")) poll(NULL, 0, 1);
		else if (!strcmp(way, "select")) select(0, NULL, NULL, NULL, &tv), tv.tv_usec = 1000;
		else MUST(!strcmp(way, "futex") && syscall(SYS_futex, &word, 0, 1, &t, NULL, 0) == -1);
	}
	char text[60];
	snprintf(text, sizeof text, "%lld\n", (now(CLOCK_MONOTONIC) - began) / 1000000000);
	say(text);
}

// tell: a line with the time for every line, after a sleep that is a real one.
static void tell(void) {
	char c;
	do {
		long long wall = now(CLOCK_REALTIME), mono = now(CLOCK_MONOTONIC);
		struct timespec t = {0, 1000000};
		MUST(nanosleep(&t, NULL) == 0);
		MUST(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL) == 0);
		char text[100];
		snprintf(text, sizeof text, "now %lld.%09lld %lld.%09lld\n", wall / 1000000000, wall % 1000000000, mono / 1000000000, mono % 1000000000);
		say(text);
	} while (read(0, &c, 1) == 1);
}

// ticker: some sleeps of a minute, each until a time.
static void ticker(int n) {
	struct timespec at;
	MUST(clock_gettime(CLOCK_MONOTONIC, &at) == 0);
	say("begin\n");
	for (int i = 0; i < n; i++) {
		at.tv_sec += 60;
		MUST(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == 0);
		char text[40];
		snprintf(text, sizeof text, "%lld\n", now(CLOCK_REALTIME) / 1000000000);
		say(text);
	}
}

// naps: after each of some waits, short sleeps as by runtimes that wait for another thread to do
// something. No time passes meanwhile but what they ask for.
static void naps(void) {
	say("begin\n");
	for (int i = 0; i < 20; i++) {
		struct timespec wait = {30, 0};
		MUST(nanosleep(&wait, NULL) == 0);
		long long before = now(CLOCK_MONOTONIC);
		for (int n = 0; n < 3; n++) usleep(300);
		MUST(now(CLOCK_MONOTONIC) - before < 100 * 1000 * 1000);
	}
	say("ok\n");
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int answered;

static void *answer(void *unused) {
	for (int i = 0; i < 2; i++) {
		struct timespec wait = {0, 800 * 1000 * 1000};
		MUST(nanosleep(&wait, NULL) == 0);
	}
	pthread_mutex_lock(&lock);
	answered = 1;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	return unused;
}

// retries: each hour something that takes two short waits, and may take half a minute.
static void retries(void) {
	say("begin\n");
	for (int i = 0; i < 5; i++) {
		struct timespec hour = {3600, 0}, until;
		MUST(nanosleep(&hour, NULL) == 0);
		pthread_t t;
		MUST(clock_gettime(CLOCK_REALTIME, &until) == 0);
		until.tv_sec += 30;
		answered = 0;
		MUST(pthread_create(&t, NULL, answer, NULL) == 0);
		pthread_mutex_lock(&lock);
		while (!answered) MUST(pthread_cond_timedwait(&changed, &lock, &until) == 0);
		pthread_mutex_unlock(&lock);
		MUST(pthread_join(t, NULL) == 0);
	}
	say("ok\n");
}

int main(int argc, char **argv) {
	MUST(argc > 1);
	const char *act = argv[1];
	if (!strcmp(act, "storm")) storm();
	else if (!strcmp(act, "interrupts")) interrupts(0);
	else if (!strcmp(act, "interrupts-restart")) interrupts(SA_RESTART);
	else if (!strcmp(act, "remainders")) remainders();
	else if (!strcmp(act, "patience")) patience();
	else if (!strcmp(act, "forwards")) forwards();
	else if (!strcmp(act, "churn")) churn();
	else if (!strcmp(act, "families")) families(argv[0]);
	else if (!strcmp(act, "child")) child();
	else if (!strcmp(act, "faults")) faults();
	else if (!strcmp(act, "standstill")) standstill();
	else if (!strcmp(act, "poller")) poller(argv[2]);
	else if (!strcmp(act, "tell")) tell();
	else if (!strcmp(act, "naps")) naps();
	else if (!strcmp(act, "retries")) retries();
	else if (!strcmp(act, "ticker")) ticker(atoi(argv[2]));
	else if (!strcmp(act, "leaderless")) {
		pthread_t t;
		MUST(pthread_create(&t, NULL, later, NULL) == 0);
		usleep(20000); // which the kernel ends
		pthread_exit(NULL);
	} else if (!strcmp(act, "exit")) return atoi(argv[2]);
	else return 2;
	return 0;
}
