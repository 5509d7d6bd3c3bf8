// What a C program sees of time that reads the clock by its vDSO and by system calls. The
// first argument names what it does; "ok" is written if it went well.
#include "program.h"
#include <execinfo.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>

extern char **environ;

static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_TAI};
#define CLOCKS (sizeof clocks / sizeof clocks[0])

// ask_clock makes the system call.
static long long ask_clock(clockid_t id) {
	struct timespec t = {-1, -1};
	MUST(syscall(SYS_clock_gettime, id, &t) == 0);
	return nanoseconds(t);
}

// bare_call makes it with the registers for other arguments as they are.
static long long bare_call(clockid_t id) {
	struct timespec t = {-1, -1};
#if defined __x86_64__
	long result;
	__asm__ volatile("syscall" : "=a"(result) : "0"(SYS_clock_gettime), "D"(id), "S"(&t) : "rcx", "r11", "memory");
#else
	register long result __asm__("x0") = id;
	register void *to __asm__("x1") = &t;
	register long number __asm__("x8") = SYS_clock_gettime;
	__asm__ volatile("svc #0" : "+r"(result) : "r"(to), "r"(number) : "memory");
#endif
	MUST(result == 0);
	return nanoseconds(t);
}

// equal: while time stands, every way to read a clock shows the same.
static void equal(void) {
	for (int i = 0; i < 300; i++)
		for (unsigned n = 0; n < CLOCKS; n++) {
			long long shown = now(clocks[n]);
			MUST(ask_clock(clocks[n]) == shown && bare_call(clocks[n]) == shown && now(clocks[n]) == shown);
		}
	long long wall = now(CLOCK_REALTIME);
	struct timeval a = {-1, -1}, b = {-1, -1};
	struct timezone zone = {-1, -1};
	time_t t = -1;
	MUST(gettimeofday(&a, NULL) == 0 && syscall(SYS_gettimeofday, &b, &zone) == 0);
	MUST(a.tv_sec == wall / 1000000000 && a.tv_usec == wall % 1000000000 / 1000 && b.tv_sec == a.tv_sec && b.tv_usec == a.tv_usec);
	MUST(zone.tz_minuteswest == 0 && zone.tz_dsttime == 0);
	zone.tz_minuteswest = zone.tz_dsttime = -1;
	struct timeval *volatile none = NULL;
	MUST(gettimeofday(none, &zone) == 0 && zone.tz_minuteswest == 0 && zone.tz_dsttime == 0);
	MUST(gettimeofday(none, NULL) == 0);
	MUST(time(NULL) == a.tv_sec && time(&t) == a.tv_sec && t == a.tv_sec);
#ifdef SYS_time
	time_t u = -1;
	MUST(syscall(SYS_time, &u) == t && u == t);
#endif
}

// bracketed: while time runs, what one way shows is between what the other showed before and
// shows after, to the nanosecond.
static void bracketed(void) {
	for (int i = 0; i < 300; i++)
		for (unsigned n = 0; n < CLOCKS; n++) {
			long long a = now(clocks[n]), b = ask_clock(clocks[n]), c = now(clocks[n]), d = bare_call(clocks[n]);
			MUST(a <= b && b <= c && c <= d);
			struct timeval v;
			if (clocks[n] != CLOCK_REALTIME) continue;
			MUST(gettimeofday(&v, NULL) == 0);
			long long e = v.tv_sec * 1000000000LL + v.tv_usec * 1000;
			time_t t = time(NULL);
			MUST(d / 1000 * 1000 <= e && e / 1000000000 <= t && t <= ask_clock(CLOCK_REALTIME) / 1000000000);
		}
}

// others: what is not shifted is as the kernel has it.
static void others(void) {
	struct timespec t;
	MUST(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0 && t.tv_sec < 60);
	MUST(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0 && t.tv_sec < 60);
	clockid_t cpu;
	MUST(clock_getcpuclockid(getpid(), &cpu) == 0 && clock_gettime(cpu, &t) == 0 && t.tv_sec < 60);
	MUST(clock_gettime(99, &t) == -1 && errno == EINVAL);
	MUST(clock_gettime(0x7769656d, &t) == -1 && errno == EINVAL);
	MUST(clock_gettime((clockid_t)0x80000000, &t) == -1 && errno == EINVAL);
	MUST(clock_getres(CLOCK_MONOTONIC, &t) == 0 && t.tv_sec == 0 && t.tv_nsec == 1);
	unsigned processor = -1, node = -1;
	MUST(getcpu(&processor, &node) == 0 && processor < 4096);
	char random[32] = {0};
	MUST(getentropy(random, sizeof random) == 0);
}

// onward: no clock goes backwards between two ways to read it, in one thread, from one thread to
// another, or from one process to another, whatever becomes of lab time.
struct board { atomic_llong seen[12]; atomic_int stop, looks; };
static struct board *board;
static void *look(void *arg) {
	unsigned turn = (unsigned)(long)arg;
	while (!board->stop)
		for (unsigned i = 0; i < CLOCKS; i++) {
			clockid_t id = clocks[i];
			int way = turn++ % 8;
			long long before = board->seen[id];
			long long shown = way == 0 ? ask_clock(id) : way == 1 ? bare_call(id) : now(id);
			if (shown < before) {
				fprintf(stderr, "clock %d, way %d: %lld after %lld\n", id, way, shown, before);
				exit(1);
			}
			while (before < shown && !atomic_compare_exchange_weak(&board->seen[id], &before, shown)) continue;
			if (++board->looks == 50000) say("enough\n");
		}
	return NULL;
}
static void onward(void) {
	board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(board != MAP_FAILED);
	pid_t children[2];
	for (int i = 0; i < 2; i++)
		if ((children[i] = fork()) == 0) {
			look((void *)(long)i);
			exit(0);
		}
	pthread_t t[2];
	for (int i = 0; i < 2; i++) MUST(pthread_create(&t[i], NULL, look, (void *)(long)(i + 2)) == 0);
	say("begin\n");
	char c;
	MUST(read(0, &c, 1) >= 0);
	board->stop = 1;
	for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
	for (int i = 0; i < 2; i++) {
		int status;
		MUST(waitpid(children[i], &status, 0) == children[i] && status == 0);
	}
}

#if defined __x86_64__
#define REGISTER_PC(c) ((unsigned long)((ucontext_t *)(c))->uc_mcontext.gregs[REG_RIP])
#else
#define REGISTER_PC(c) ((unsigned long)((ucontext_t *)(c))->uc_mcontext.pc)
#endif

// unwinds: a backtrace that begins while a clock is being read finds the caller.
static volatile int signals, within, lost;
static unsigned long vdso;
static char *caller_from, *caller_to;
static void profile(int s, siginfo_t *info, void *context) {
	(void)s; (void)info;
	signals++;
	if (REGISTER_PC(context) - vdso >= 0x2000) return;
	within++;
	void *all[30];
	int n = backtrace(all, 30), found = 0;
	for (int i = 0; i < n; i++) found |= (char *)all[i] >= caller_from && (char *)all[i] < caller_to;
	lost += !found;
}
static __attribute__((noinline)) long reads_until(int way, int enough) {
	long sum = 0;
	struct timeval v;
	while (within < enough && signals < 20000)
		for (int i = 0; i < 1000; i++) switch (way) {
			case 0: sum += now(CLOCK_MONOTONIC); break;
			case 1: gettimeofday(&v, NULL); sum += v.tv_sec; break;
			case 2: sum += time(NULL); break;
			}
	return sum;
}
static void unwinds(void) {
	void *first[2];
	backtrace(first, 2); // loads what it needs
	vdso = getauxval(AT_SYSINFO_EHDR);
	MUST(vdso != 0);
	caller_from = (char *)reads_until;
	caller_to = caller_from + 300; // about
	struct sigaction a = {.sa_sigaction = profile, .sa_flags = SA_SIGINFO | SA_RESTART};
	MUST(sigaction(SIGPROF, &a, NULL) == 0);
	struct itimerval every = {{0, 500}, {0, 500}}, none = {{0, 0}, {0, 0}};
	MUST(setitimer(ITIMER_PROF, &every, NULL) == 0);
	for (int way = 0; way < 3; way++) reads_until(way, 30 * (way + 1));
	MUST(setitimer(ITIMER_PROF, &none, NULL) == 0);
	fprintf(stderr, "%d signals, %d while a clock was read, of %d of them the caller was not found\n", signals, within, lost);
	MUST(within > 0 && lost == 0);
}

// cancelled: a thread that may be cancelled anywhere is, while it reads a clock.
static void *endless(void *arg) {
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	*(atomic_int *)arg = 1;
	struct timespec t;
	for (;;) clock_gettime(CLOCK_REALTIME, &t);
	return NULL;
}
static void cancelled(void) {
	for (int i = 0; i < 100; i++) {
		pthread_t t;
		atomic_int began = 0;
		void *result;
		MUST(pthread_create(&t, NULL, endless, &began) == 0);
		while (!began) sched_yield();
		MUST(pthread_cancel(t) == 0 && pthread_join(t, &result) == 0 && result == PTHREAD_CANCELED);
	}
}

// secretive: nobody may look into its memory from now on.
static void secretive(void) {
	MUST(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
	for (int i = 0; i < 100; i++) printf("%lld\n", now(CLOCK_REALTIME) / 1000000000);
	fflush(stdout);
}

// readonly: the page cannot be written, nor made so that it can.
static void readonly(void) {
	FILE *f = fopen("/proc/self/maps", "r");
	char line[500];
	int found = 0;
	while (fgets(line, sizeof line, f)) {
		if (!strstr(line, "/SYSV")) continue;
		found++;
		unsigned long at = strtoul(line, NULL, 16);
		MUST(strstr(line, "r--s"));
		MUST(mprotect((void *)at, 4096, PROT_READ | PROT_WRITE) == -1 && errno == EACCES);
	}
	MUST(found == 1);
}

// attachments counts the pages that this process has attached.
static int attachments(void) {
	FILE *f = fopen("/proc/self/maps", "r");
	char line[500];
	int found = 0;
	while (fgets(line, sizeof line, f)) found += strstr(line, "/SYSV") != NULL;
	fclose(f);
	return found;
}

// attached: whoever is forked or executed, from whatever thread, has attached the page once.
static int child(void) { return attachments() == 1 && now(CLOCK_REALTIME) == ask_clock(CLOCK_REALTIME) ? 7 : 1; }
static void *check(void *ok) {
	*(int *)ok = attachments() == 1 && now(CLOCK_MONOTONIC) == ask_clock(CLOCK_MONOTONIC);
	return NULL;
}
static void *family(void *self) {
	char *args[] = {self, "child", NULL};
	for (int i = 0; i < 20; i++) {
		pid_t pid = -1;
		switch (i % 4) {
		case 0: if ((pid = fork()) == 0) _exit(child()); break;
		case 1: if ((pid = fork()) == 0) { execv("/proc/self/exe", args); _exit(1); } break;
		case 2: if ((pid = vfork()) == 0) { execv("/proc/self/exe", args); _exit(1); } break;
		case 3: MUST(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, args, environ) == 0); break;
		}
		int status;
		MUST(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7);
	}
	return NULL;
}
static void attached(char *self) {
	MUST(attachments() == 1);
	pthread_t t[4], u[20];
	int ok[20] = {0};
	for (int i = 0; i < 4; i++) MUST(pthread_create(&t[i], NULL, family, self) == 0);
	for (int i = 0; i < 20; i++) MUST(pthread_create(&u[i], NULL, check, &ok[i]) == 0);
	for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
	for (int i = 0; i < 20; i++) {
		pthread_join(u[i], NULL);
		MUST(ok[i]);
	}
}

// spins: until a minute has gone by on a clock, without ever waiting.
static void spins(const char *how) {
	say("begin\n");
	if (!strcmp(how, "clock_gettime")) {
		for (long long due = now(CLOCK_MONOTONIC) + 60000000000LL; now(CLOCK_MONOTONIC) < due;) continue;
	} else if (!strcmp(how, "coarse")) {
		for (long long due = now(CLOCK_REALTIME_COARSE) + 60000000000LL; now(CLOCK_REALTIME_COARSE) < due;) continue;
	} else if (!strcmp(how, "gettimeofday")) {
		struct timeval v;
		MUST(gettimeofday(&v, NULL) == 0);
		for (long long due = v.tv_sec + 60; v.tv_sec < due;) MUST(gettimeofday(&v, NULL) == 0);
	} else if (!strcmp(how, "time")) {
		for (time_t due = time(NULL) + 60; time(NULL) < due;) continue;
	} else if (!strcmp(how, "syscall")) {
		for (long long due = ask_clock(CLOCK_MONOTONIC) + 60000000000LL; ask_clock(CLOCK_MONOTONIC) < due;) continue;
	} else if (!strcmp(how, "child")) {
		pid_t pid = fork();
		if (pid == 0) {
			for (long long due = now(CLOCK_MONOTONIC) + 60000000000LL; now(CLOCK_MONOTONIC) < due;) continue;
			_exit(0);
		}
		int status;
		MUST(waitpid(pid, &status, 0) == pid && status == 0);
	} else MUST(!"a known way");
}

// cost: nanoseconds of processor time for a read.
static void cost(void) {
	struct timespec a, b, t;
	const long n = 300000;
	MUST(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a) == 0);
	for (long i = 0; i < n; i++) MUST(clock_gettime(CLOCK_REALTIME, &t) == 0);
	MUST(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b) == 0);
	printf("%.1f\n", (double)(nanoseconds(b) - nanoseconds(a)) / n);
	fflush(stdout);
}

int main(int argc, char **argv) {
	MUST(argc > 1);
	const char *act = argv[1];
	if (!strcmp(act, "equal")) equal();
	else if (!strcmp(act, "bracketed")) bracketed();
	else if (!strcmp(act, "others")) others();
	else if (!strcmp(act, "onward")) onward();
	else if (!strcmp(act, "unwinds")) unwinds();
	else if (!strcmp(act, "cancelled")) cancelled();
	else if (!strcmp(act, "secretive")) secretive();
	else if (!strcmp(act, "readonly")) readonly();
	else if (!strcmp(act, "attached")) attached(argv[0]);
	else if (!strcmp(act, "cost")) cost();
	else if (!strcmp(act, "child")) return child();
	else if (!strcmp(act, "spins") && argc > 2) spins(argv[2]);
	else if (!strcmp(act, "as-nobody") && argc > 2) {
		MUST(setgid(65534) == 0 && setuid(65534) == 0);
		execl("/proc/self/exe", argv[0], argv[2], NULL);
		MUST(!"executed");
	} else if (!strcmp(act, "own-ipc") && argc > 2) {
		MUST(unshare(CLONE_NEWIPC) == 0);
		execl("/proc/self/exe", argv[0], argv[2], NULL);
		MUST(!"executed");
	} else if (!strcmp(act, "own-filter") && argc > 2) { // it is killed if it attaches shared memory
		struct sock_filter code[] = {
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), // seccomp_data.nr
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_shmat, 0, 1),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		};
		struct sock_fprog filter = {4, code};
		MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
		execl("/proc/self/exe", argv[0], argv[2], NULL);
		MUST(!"executed");
	} else return 2;
	say("ok\n");
	return 0;
}
