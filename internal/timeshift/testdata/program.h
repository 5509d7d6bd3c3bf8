// What the C programs here have in common. Each is given the name of what it does, and writes
// "ok" if it went well.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused)) // by some of them

#define MUST(what) do { if (!(what)) { fprintf(stderr, "line %d: %s: %s\n", __LINE__, #what, strerror(errno)); exit(1); } } while (0)

UNUSED static void say(const char *what) { MUST(write(1, what, strlen(what)) == (ssize_t)strlen(what)); }

// asleep returns when a process waits in the kernel.
UNUSED static void asleep(pid_t pid) {
	char name[40], text[300] = "";
	snprintf(name, sizeof name, "/proc/%d/stat", pid);
	while (!strstr(text, ") S ")) {
		FILE *f = fopen(name, "r");
		MUST(f && fgets(text, sizeof text, f));
		fclose(f);
		usleep(100);
	}
}

UNUSED static const long long second = 1000000000, minute = 60 * 1000000000LL;

UNUSED static long long nanoseconds(struct timespec t) {
	MUST(t.tv_nsec >= 0 && t.tv_nsec < second);
	return t.tv_sec * second + t.tv_nsec;
}

// now reads a clock as programs do, by the vDSO.
UNUSED static long long now(clockid_t id) {
	struct timespec t = {-1, -1};
	MUST(clock_gettime(id, &t) == 0);
	return nanoseconds(t);
}

UNUSED static struct timespec timespec(long long ns) { return (struct timespec){ns / second, ns % second}; }
