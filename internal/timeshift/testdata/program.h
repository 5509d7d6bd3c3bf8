// What the C programs here have in common. Each is given the name of what it does, and writes
// "ok" if it went well.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MUST(what) do { if (!(what)) { fprintf(stderr, "line %d: %s: %s\n", __LINE__, #what, strerror(errno)); exit(1); } } while (0)

static inline void say(const char *what) { MUST(write(1, what, strlen(what)) == (ssize_t)strlen(what)); }

static const long long second __attribute__((unused)) = 1000000000, minute __attribute__((unused)) = 60 * 1000000000LL;

static inline long long nanoseconds(struct timespec t) {
	MUST(t.tv_nsec >= 0 && t.tv_nsec < second);
	return t.tv_sec * second + t.tv_nsec;
}

// now reads a clock as programs do, by the vDSO.
static inline long long now(clockid_t id) {
	struct timespec t = {-1, -1};
	MUST(clock_gettime(id, &t) == 0);
	return nanoseconds(t);
}

static inline struct timespec timespec(long long ns) { return (struct timespec){ns / second, ns % second}; }
