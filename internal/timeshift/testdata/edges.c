// What a C program does at the edges of what it may write. The first argument names it; "ok" is
// written where it went well.
#include "program.h"
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>

// call makes a system call with another stack.
static long call(void *stack, long nr, const void *a, const void *b, const void *c, const void *d, long e) {
#if defined __x86_64__
	register const void *r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long result;
	__asm__ volatile("mov %%rsp, %%r12\n\tmov %[stack], %%rsp\n\tsyscall\n\tmov %%r12, %%rsp"
		: "=a"(result) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), [stack] "r"(stack) : "rcx", "r11", "r12", "memory");
	return result;
#elif defined __aarch64__
	register long x8 __asm__("x8") = nr;
	register const void *x0 __asm__("x0") = a, *x1 __asm__("x1") = b, *x2 __asm__("x2") = c, *x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	__asm__ volatile("mov x20, sp\n\tmov sp, %[stack]\n\tsvc #0\n\tmov sp, x20"
		: "+r"(x0) : "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x8), [stack] "r"(stack) : "x20", "memory");
	return (long)x0;
#endif
}

enum { page = 1 << 16 }; // or less

// guarded is a stack of a page, with a page below it that nobody may access.
static char *guarded(void) {
	char *all = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(all != MAP_FAILED && mprotect(all, page, PROT_NONE) == 0);
	return all + page;
}

// readonly is a copy of something, in a page that may be read.
static void *readonly(const void *what, size_t size) {
	void *copy = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(copy != MAP_FAILED && memcpy(copy, what, size) && mprotect(copy, page, PROT_READ) == 0);
	return copy;
}

// How far above the guard a stack is: with room below it, with some of it, and with none.
static const int above[] = {1024, 256, 16};

// stacks: waits whose stack is at its end are over when lab time says so, and nothing is written
// into the guard below.
static void stacks(void) {
	for (int i = 0; i < 3; i++) {
		char *stack = guarded();
		long long began = now(CLOCK_MONOTONIC);
		struct timespec t = {60, 0};
		MUST((errno = -call(stack + above[i], SYS_nanosleep, &t, NULL, NULL, NULL, 0)) == 0);
		MUST(now(CLOCK_MONOTONIC) - began == minute);
		MUST((errno = -call(stack + above[i], SYS_ppoll, NULL, 0, &t, NULL, 0)) == 0);
		MUST(now(CLOCK_MONOTONIC) - began == 2 * minute);
		MUST(t.tv_sec == 0 && t.tv_nsec == 0);
		MUST(mprotect(stack - page, page, PROT_READ) == 0);
		for (int n = 1; n <= page; n++) MUST(stack[-n] == 0);
	}
	say("ok\n");
}

static volatile int signals;
static void handler(int s) { (void)s; signals++; }

// lowest is the lowest address of this thread's stack, which grows when it is used.
static char *lowest(void) {
	FILE *f = fopen("/proc/self/maps", "r");
	char line[300];
	unsigned long from = 0;
	while (f && fgets(line, sizeof line, f))
		if (strstr(line, "[stack]")) MUST(sscanf(line, "%lx-", &from) == 1);
	MUST(from && fclose(f) == 0);
	return (char *)from;
}

// standstill: they are not over while lab time stands, although the kernel's clock goes on; but
// for those with no room at all.
static void standstill(void) {
	static char signalstack[1 << 16];
	stack_t other = {.ss_sp = signalstack, .ss_size = sizeof signalstack};
	struct sigaction a = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
	MUST(sigaltstack(&other, NULL) == 0 && sigaction(SIGALRM, &a, NULL) == 0);
	pid_t self = getpid();
	for (int i = 0; i < 3; i++) {
		char *stack = i < 2 ? guarded() + above[i] : lowest() + 16;
		pid_t sender = fork();
		if (sender == 0) {
			asleep(self);
			for (int n = 0; n < 4; n++) usleep(50000); // so short waits are the kernel's to end
			kill(self, SIGALRM);
			_exit(0);
		}
		struct timespec nap = {0, 150000000}, left = {0, 0};
		MUST((errno = -call(stack, SYS_nanosleep, &nap, &left, NULL, NULL, 0)) == EINTR && signals == i + 1);
		MUST(left.tv_sec == 0 && left.tv_nsec == 150000000);
		while (waitpid(sender, NULL, 0) == -1) MUST(errno == EINTR);
	}
	say("ok\n");
}

// constants: what may only be read is not written to. Source: Linux, fs/select.c
// (poll_select_finish, core_sys_select).
static void constants(void) {
	const struct timespec sixty = {60, 0};
	const fd_set nothing = {0};
	struct timespec *t = readonly(&sixty, sizeof sixty);
	fd_set *set = readonly(&nothing, sizeof nothing);
	long long began = now(CLOCK_MONOTONIC);
	MUST(syscall(SYS_ppoll, NULL, 0, t, NULL, 0) == 0);
	MUST(now(CLOCK_MONOTONIC) - began == minute && t->tv_sec == 60);
	MUST(syscall(SYS_pselect6, 0, NULL, NULL, NULL, t, NULL) == 0);
	MUST(now(CLOCK_MONOTONIC) - began == 2 * minute && t->tv_sec == 60);
	MUST(syscall(SYS_pselect6, 1, set, NULL, NULL, t, NULL) == -1 && errno == EFAULT);
	MUST(now(CLOCK_MONOTONIC) - began == 3 * minute && t->tv_sec == 60);
	MUST(syscall(SYS_clock_gettime, CLOCK_REALTIME, t) == -1 && errno == EFAULT && t->tv_sec == 60);
	say("ok\n");
}

int main(int argc, char **argv) {
	MUST(argc > 1);
	if (!strcmp(argv[1], "stacks")) stacks();
	else if (!strcmp(argv[1], "standstill")) standstill();
	else if (!strcmp(argv[1], "constants")) constants();
	else return 2;
	return 0;
}
