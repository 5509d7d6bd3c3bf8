// What a C program does with timers that send signals. The first argument names it; "ok" is
// written if it went well.
#include "program.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

static void rest(long long ns) {
	struct timespec t = timespec(ns);
	while (nanosleep(&t, &t) == -1) MUST(errno == EINTR);
}

static volatile sig_atomic_t signals;
static siginfo_t last;
static pid_t by; // the thread that got it

static void handler(int s, siginfo_t *info, void *context) {
	(void)s; (void)context;
	signals++;
	last = *info;
	by = gettid();
}

static void handle(int signal) {
	struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	MUST(sigaction(signal, &a, NULL) == 0);
	signals = 0;
}

// rounds: alarm(2) tells how long the one before was still to take, in whole seconds.
static void rounds(void) {
	MUST(alarm(40) == 0);
	rest(10 * second + 600000000);
	MUST(alarm(30) == 29); // 29.4
	rest(400000000);
	MUST(alarm(20) == 30); // 29.6
	rest(19 * second + 800000000);
	MUST(alarm(0) == 1); // 0.2, but 0 says that none was set
}

// alarms: alarm(2) ends a wait at its time.
static void alarms(void) {
	handle(SIGALRM);
	long long began = now(CLOCK_MONOTONIC);
	MUST(alarm(600) == 0);
	MUST(pause() == -1 && errno == EINTR && signals == 1 && last.si_signo == SIGALRM);
	MUST(now(CLOCK_MONOTONIC) - began == 10 * minute);
	MUST(alarm(0) == 0); // it was once
	struct timespec hour = {3600, 0}, left;
	alarm(1200);
	MUST(nanosleep(&hour, &left) == -1 && errno == EINTR && left.tv_sec == 2400 && left.tv_nsec == 0 && signals == 2);
	alarm(60);
	MUST(poll(NULL, 0, 3600000) == -1 && errno == EINTR && signals == 3);
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	int fd = signalfd(-1, &set, 0), n;
	began = now(CLOCK_MONOTONIC);
	alarm(120);
	MUST(sigwait(&set, &n) == 0 && n == SIGALRM && now(CLOCK_MONOTONIC) - began == 2 * minute);
	alarm(120);
	struct signalfd_siginfo info;
	MUST(read(fd, &info, sizeof info) == sizeof info && info.ssi_signo == SIGALRM && now(CLOCK_MONOTONIC) - began == 4 * minute);
}

// intervals: setitimer(2) expires again and again, shares its timer with alarm(2), and
// getitimer(2) tells of both.
static void intervals(void) {
	handle(SIGALRM);
	long long began = now(CLOCK_MONOTONIC);
	struct itimerval every = {{120, 0}, {60, 0}}, once = {{0, 0}, {30, 500000}}, none = {{0, 0}, {0, 0}}, is;
	MUST(setitimer(ITIMER_REAL, &every, &is) == 0 && is.it_value.tv_sec == 0 && is.it_value.tv_usec == 0);
	for (int i = 0; i < 5; i++) {
		pause();
		MUST(signals == i + 1 && now(CLOCK_MONOTONIC) - began == (1 + 2 * i) * minute);
	}
	rest(30 * second);
	MUST(getitimer(ITIMER_REAL, &is) == 0 && is.it_value.tv_sec == 90 && is.it_value.tv_usec == 0 && is.it_interval.tv_sec == 120);
	MUST(alarm(7) == 90);
	MUST(getitimer(ITIMER_REAL, &is) == 0 && is.it_value.tv_sec == 7 && is.it_interval.tv_sec == 0);
	MUST(setitimer(ITIMER_REAL, &once, &is) == 0 && is.it_value.tv_sec == 7);
	began = now(CLOCK_MONOTONIC);
	pause();
	MUST(now(CLOCK_MONOTONIC) - began == 30 * second + second / 2);
	MUST(getitimer(ITIMER_REAL, &is) == 0 && is.it_value.tv_sec == 0 && is.it_value.tv_usec == 0);
	MUST(setitimer(ITIMER_REAL, &every, NULL) == 0 && setitimer(ITIMER_REAL, &none, &is) == 0 && is.it_value.tv_sec == 60);
	MUST(setitimer(ITIMER_REAL, &every, NULL) == 0 && syscall(SYS_setitimer, ITIMER_REAL, NULL, &is) == 0 && is.it_value.tv_sec == 60);
	signals = 0;
	rest(10 * minute);
	MUST(signals == 0);
	// One that counts processor time does not care.
	handle(SIGPROF);
	struct itimerval soon = {{0, 0}, {0, 20000}};
	began = now(CLOCK_MONOTONIC);
	MUST(setitimer(ITIMER_PROF, &soon, NULL) == 0);
	while (!signals) continue;
	MUST(now(CLOCK_MONOTONIC) == began);
}

static timer_t created(clockid_t id, int notify, int signal, void *value, pid_t thread) {
	struct sigevent e;
	memset(&e, 0, sizeof e);
	e.sigev_notify = notify;
	e.sigev_signo = signal;
	e.sigev_value.sival_ptr = value;
	e._sigev_un._tid = thread;
	timer_t t;
	MUST(timer_create(id, &e, &t) == 0);
	return t;
}

static void set(timer_t t, int flags, long long value, long long interval) {
	struct itimerspec s = {timespec(interval), timespec(value)};
	MUST(timer_settime(t, flags, &s, NULL) == 0);
}

static pid_t waiter; // a thread that takes all signals
static void *takes(void *arg) {
	(void)arg;
	waiter = gettid();
	for (;;) pause();
	return NULL;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t called = PTHREAD_COND_INITIALIZER;
static int calls;
static long long call_at;
static void callback(union sigval v) {
	MUST(v.sival_ptr == (void *)0x123456789abcdef);
	pthread_mutex_lock(&lock);
	calls++;
	call_at = now(CLOCK_MONOTONIC);
	pthread_cond_signal(&called);
	pthread_mutex_unlock(&lock);
}

static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME};

// creates: timers of timer_create(2), by every clock, for some time and until some time.
static void creates(void) {
	pthread_t thread;
	MUST(pthread_create(&thread, NULL, takes, NULL) == 0);
	rest(second);
	for (unsigned i = 0; i < 3; i++)
		for (int absolute = 0; absolute < 2; absolute++) {
			long long value = (absolute ? now(clocks[i]) : 0) + 7 * minute, began = now(CLOCK_MONOTONIC);
			// To the process.
			handle(SIGUSR1);
			timer_t t = created(clocks[i], SIGEV_SIGNAL, SIGUSR1, (void *)0x123456789abcdef, 0);
			set(t, absolute ? TIMER_ABSTIME : 0, value, 0);
			pause();
			MUST(signals == 1 && now(CLOCK_MONOTONIC) - began == 7 * minute);
			MUST(last.si_signo == SIGUSR1 && last.si_code == SI_TIMER && last.si_ptr == (void *)0x123456789abcdef && last.si_overrun == 0);
			MUST(last.si_timerid == (int)(long)t && timer_getoverrun(t) == 0);
			struct itimerspec s;
			MUST(timer_gettime(t, &s) == 0 && s.it_value.tv_sec == 0 && s.it_value.tv_nsec == 0);
			MUST(timer_delete(t) == 0);
			// To a thread.
			handle(SIGRTMIN);
			t = created(clocks[i], SIGEV_THREAD_ID, SIGRTMIN, NULL, waiter);
			value = absolute ? now(clocks[i]) + minute : minute;
			set(t, absolute ? TIMER_ABSTIME : 0, value, 0);
			rest(2 * minute);
			MUST(signals == 1 && by == waiter);
			MUST(timer_delete(t) == 0);
			// To a function.
			struct sigevent e = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = callback, .sigev_value.sival_ptr = (void *)0x123456789abcdef};
			MUST(timer_create(clocks[i], &e, &t) == 0);
			began = now(CLOCK_MONOTONIC), value = (absolute ? now(clocks[i]) : 0) + 5 * minute;
			calls = 0;
			set(t, absolute ? TIMER_ABSTIME : 0, value, minute);
			pthread_mutex_lock(&lock);
			while (calls < 3) pthread_cond_wait(&called, &lock);
			MUST(call_at - began == 7 * minute);
			pthread_mutex_unlock(&lock);
			MUST(timer_delete(t) == 0);
		}
	// SIGALRM, and the timer's number, if nothing else is said.
	handle(SIGALRM);
	int number;
	MUST(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &number) == 0 && number > 0);
	struct itimerspec s = {{0, 0}, {60, 0}};
	MUST(syscall(SYS_timer_settime, number, 0, &s, NULL) == 0);
	pause();
	MUST(signals == 1 && last.si_value.sival_int == number);
	// Nobody is told, but the timer runs.
	timer_t t = created(CLOCK_MONOTONIC, SIGEV_NONE, 0, NULL, 0);
	set(t, 0, 3 * minute, 2 * minute);
	rest(4 * minute);
	MUST(timer_gettime(t, &s) == 0 && s.it_value.tv_sec == 60 && s.it_interval.tv_sec == 120);
	// At once, if the time is over.
	handle(SIGUSR2);
	t = created(CLOCK_REALTIME, SIGEV_SIGNAL, SIGUSR2, NULL, 0);
	for (int i = 0; i < 100; i++) {
		set(t, TIMER_ABSTIME, 1, 0);
		while (signals == i) usleep(100);
		MUST(signals == i + 1);
	}
}

// overruns: what was missed is counted, told, and made up for by one signal.
static void overruns(void) {
	handle(SIGUSR1);
	timer_t t = created(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, NULL, 0);
	set(t, TIMER_ABSTIME, now(CLOCK_MONOTONIC) - 3 * minute - second, minute);
	while (!signals) usleep(100);
	MUST(signals == 1 && last.si_overrun == 3 && timer_getoverrun(t) == 3);
	struct itimerspec s, next = {{5, 6}, {1800, 1}};
	MUST(timer_gettime(t, &s) == 0 && s.it_value.tv_sec == 59 && s.it_interval.tv_sec == 60);
	pause();
	MUST(signals == 2 && last.si_overrun == 0 && timer_getoverrun(t) == 0);
	MUST(timer_settime(t, 0, &next, &s) == 0 && s.it_value.tv_sec == 60 && s.it_interval.tv_sec == 60);
	MUST(timer_gettime(t, &s) == 0 && s.it_value.tv_sec == 1800 && s.it_value.tv_nsec == 1 && s.it_interval.tv_nsec == 6);
	set(t, 0, 0, 0);
	MUST(timer_gettime(t, &s) == 0 && s.it_value.tv_sec == 0 && s.it_value.tv_nsec == 0);
	set(t, 0, minute, minute);
	MUST(timer_delete(t) == 0);
	rest(10 * minute);
	MUST(signals == 2);
	// One that counts processor time does not care.
	t = created(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR1, NULL, 0);
	long long began = now(CLOCK_MONOTONIC);
	set(t, 0, second / 50, 0);
	while (signals == 2) continue;
	MUST(now(CLOCK_MONOTONIC) == began);
}

// passes: a child has no timer of its parent, and an executed program an alarm alone.
static void passes(char *self) {
	signal(SIGALRM, SIG_DFL);
	timer_t t = created(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGKILL, NULL, 0);
	int status;
	pid_t child = fork();
	if (child == 0) {
		alarm(300);
		set(t = created(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGKILL, NULL, 0), 0, minute, 0);
		execl("/proc/self/exe", self, "rest", NULL);
		_exit(1);
	}
	long long began = now(CLOCK_MONOTONIC);
	MUST(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
	MUST(now(CLOCK_MONOTONIC) - began == 5 * minute);
	alarm(3600);
	set(t, 0, 3600 * second, 0);
	began = now(CLOCK_MONOTONIC);
	if ((child = fork()) == 0) {
		struct itimerspec s;
		MUST(alarm(0) == 0);
		MUST(timer_gettime(t, &s) == -1 && errno == EINVAL);
		rest(7200 * second);
		_exit(7);
	}
	MUST(alarm(0) == 3600);
	set(t, 0, 0, 0);
	MUST(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
	MUST(now(CLOCK_MONOTONIC) - began == 7200 * second);
}

// wrong: what is wrong is refused as by the kernel.
static void wrong(void) {
	struct itimerval good = {{0, 0}, {60, 0}}, bad = {{0, 0}, {0, 1000000}}, negative = {{0, 0}, {-1, 0}};
	MUST(setitimer(ITIMER_REAL, &bad, NULL) == -1 && errno == EINVAL);
	MUST(setitimer(ITIMER_REAL, &negative, NULL) == -1 && errno == EINVAL);
	MUST(syscall(SYS_setitimer, ITIMER_REAL, 8, NULL) == -1 && errno == EFAULT);
	MUST(syscall(SYS_setitimer, ITIMER_REAL, &good, 8) == -1 && errno == EFAULT);
	MUST(syscall(SYS_getitimer, ITIMER_REAL, 8) == -1 && errno == EFAULT);
	MUST(syscall(SYS_setitimer, 3, &good, NULL) == -1 && errno == EINVAL);
	MUST(syscall(SYS_getitimer, 3, &good) == -1 && errno == EINVAL);
	struct itimerspec s = {{0, 0}, {60, 0}}, wrong = {{0, 0}, {0, 1000000000}};
	timer_t t = created(CLOCK_MONOTONIC, SIGEV_NONE, 0, NULL, 0);
	MUST(timer_settime(t, 0, &wrong, NULL) == -1 && errno == EINVAL);
	MUST(syscall(SYS_timer_settime, t, 0, 8, NULL) == -1 && errno == EFAULT);
	MUST(syscall(SYS_timer_settime, t, 0, &s, 8) == -1 && errno == EFAULT);
	MUST(syscall(SYS_timer_gettime, t, 8) == -1 && errno == EFAULT);
	MUST(syscall(SYS_timer_settime, 12345, 0, &s, NULL) == -1 && errno == EINVAL);
	MUST(syscall(SYS_timer_gettime, 12345, &s) == -1 && errno == EINVAL);
	MUST(syscall(SYS_timer_getoverrun, 12345) == -1 && errno == EINVAL);
}

// running: while time runs.
static void running(void) {
	handle(SIGALRM);
	long long began = now(CLOCK_MONOTONIC);
	struct itimerval every = {{60, 0}, {600, 0}};
	MUST(setitimer(ITIMER_REAL, &every, NULL) == 0);
	while (signals < 5) pause();
	MUST(now(CLOCK_MONOTONIC) - began >= 14 * minute);
}

// storm: no call about a timer fails because signals come all the time.
static void storm(void) {
	handle(SIGALRM);
	struct itimerval every = {{0, 300}, {0, 300}}, is;
	timer_t t = created(CLOCK_MONOTONIC, SIGEV_NONE, 0, NULL, 0);
	struct itimerspec s;
	MUST(setitimer(ITIMER_REAL, &every, NULL) == 0);
	while (signals < 1000) {
		MUST(getitimer(ITIMER_REAL, &is) == 0 && is.it_value.tv_sec == 0 && is.it_value.tv_usec > 0 && is.it_value.tv_usec <= 300);
		set(t, 0, 3600 * second, 0);
		MUST(timer_gettime(t, &s) == 0 && s.it_value.tv_sec >= 3000);
		MUST(timer_getoverrun(t) == 0);
	}
	MUST(alarm(0) == 1);
}

int main(int argc, char **argv) {
	MUST(argc > 1);
	const char *act = argv[1];
	if (!strcmp(act, "rounds")) rounds();
	else if (!strcmp(act, "alarms")) alarms();
	else if (!strcmp(act, "intervals")) intervals();
	else if (!strcmp(act, "creates")) creates();
	else if (!strcmp(act, "overruns")) overruns();
	else if (!strcmp(act, "passes")) passes(argv[0]);
	else if (!strcmp(act, "rest")) rest(3600 * second);
	else if (!strcmp(act, "wrong")) wrong();
	else if (!strcmp(act, "running")) running();
	else if (!strcmp(act, "storm")) storm();
	else return 2;
	say("ok\n");
	return 0;
}
